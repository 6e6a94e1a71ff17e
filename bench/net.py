"""How fast the embedded network trains and draws.

``python bench/net.py`` times steps of training on captioned pictures, and 33 steps at γ = 7 in a batch of
six, for both stages, with untrained weights, which are as fast. Rates are by processor time: other work on
the machine does not count; drawing is timed by the clock too. THREADS in the environment sets the number of
threads.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from noisebook.generators.net_training import Params

from noisebook.cells.contract import derive_seed
from noisebook.diffusion import sampling
from noisebook.diffusion.denoiser import Enlarge, Prompt
from noisebook.diffusion.estimates import guided
from noisebook.diffusion.schedules import strided
from noisebook.models.captions import CaptionedPictures
from noisebook.models.library import shipped
from noisebook.networks.text.denoiser import NetDenoiser, load_network
from noisebook.networks.text.network import Network, Shape, shape_of
from noisebook.networks.text.training import Recipe, Training

STEPS = 4
STAGE2 = {
    **{"stage": 2, "patch": 4, "channels": [64, 96, 128], "blocks": [1, 1, 1], "reads": 2, "looks": 3},
    **{"batch": 16, "every": 16, "phases": [{"size": 256, "pictures": 16}]},
}


def train(shape: Shape, size: int, batch: int, pictures: CaptionedPictures, optimizer: str) -> float:
    """Pictures a processor second, best of a few steps."""
    run = Training(
        Recipe(shape=shape, batch=batch, optimizer=optimizer),  # type: ignore[arg-type]
        lambda *purpose: derive_seed(42, *purpose),
    )
    tokens = torch.randn(len(pictures.captions), 16, 384).half()
    rates = []
    for _ in range(STEPS):
        begun = time.process_time()
        run.train_step(pictures, tokens, 1e-3)
        rates.append(batch / (time.process_time() - begun))
    return max(rates)


def draw(shape: Shape) -> tuple[float, float]:
    """Seconds a picture: of processor time, and by the clock."""
    torch.manual_seed(0)
    network = load_network(Network(shape).state_dict(), shape)  # as published weights are loaded
    denoiser = NetDenoiser(network, lambda texts: torch.randn(len(texts), 16, 384))
    each = sampling.generators(list(range(6)))
    x = sampling.draw_noise(each, (3, shape.size, shape.size))
    prompts: list[Prompt] = ["a cat"] * 6
    if shape.enlarges:
        prompts = [Enlarge("a cat", torch.zeros(3, 64, 64), torch.zeros(x.shape[1:]))] * 6
    begun = time.process_time(), time.perf_counter()
    sampling.finish(
        sampling.reverse(x, strided(960), denoiser.alphas_cumprod, guided(denoiser, prompts, 7.0), each)
    )
    return (time.process_time() - begun[0]) / 6, (time.perf_counter() - begun[1]) / 6


def main() -> None:
    """Print the table."""
    torch.set_num_threads(int(os.environ.get("THREADS", torch.get_num_threads())))
    library = shipped(Path(__file__).resolve().parent.parent / "models/library.zip")
    names = library.names[:40]
    first, second = (shape_of(Params(**more).shape()) for more in ({}, STAGE2))  # type: ignore[arg-type]
    print(f"{torch.get_num_threads()} threads")
    for stage, shape in (("I", first), ("II", second)):
        with torch.device("meta"):
            weights = sum(value.numel() for value in Network(shape).parameters())
        draw(shape)  # the first use builds the kernels
        processor, clock = draw(shape)
        print(
            f"stage {stage}: {weights / 1e6:.1f} million weights; a picture (33 steps, γ = 7) takes "
            f"{processor:.2f} s of processor time, {clock:.2f} s by the clock"
        )
    for shape, size, batch in ((first, 32, 64), (first, 64, 64), (second, 256, 8)):
        pictures = CaptionedPictures(library, names, size)
        begun = time.process_time()
        pictures.draw(batch, torch.Generator().manual_seed(0))
        making = time.process_time() - begun
        rates = ", ".join(f"{how} {train(shape, size, batch, pictures, how):.1f}" for how in ("adam", "muon"))
        print(
            f"training at {size} pixels: {rates} pictures/s; "
            f"a picture takes {making / batch * 1e3:.1f} ms of that"
        )


if __name__ == "__main__":
    main()
