"""How fast the embedded denoiser is, and how much of it is memory.

``python bench/exact.py`` draws subjects at γ = 7 in 33 steps and prints, for stage I and stage II, seconds a
picture in a batch of six (processor seconds beside them: other work on the machine slows only the
first; THREADS in the environment sets the number of threads),
the share of pictures that are plain copies of one picture of their bank, and how different the pictures of
one prompt are.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import torch
from noisebook.generators._metrics import psnr
from torch import Tensor

from noisebook.diffusion import sampling
from noisebook.diffusion.denoiser import Denoiser, Enlarge, Prompt
from noisebook.diffusion.estimates import guided
from noisebook.diffusion.schedules import strided
from noisebook.models.exact import Exact
from noisebook.models.library import shipped
from noisebook.models.text import SHIPPED, Text

COPY = 30.0
"""PSNR in dB from which a picture counts as a copy."""

PROMPTS = ["a rocket ship", "an oil painting of an old man", "a photo of a dog", "a lithograph of a skull"]


def draw(model: Denoiser, prompts: list[Prompt], seeds: list[int], scale: float = 7.0) -> Tensor:
    """One picture for each seed, 33 model calls."""
    each = sampling.generators(seeds)
    x = sampling.draw_noise(each, (3, model.image_size, model.image_size))
    steps = strided(960)
    return sampling.finish(
        sampling.reverse(x, steps, model.alphas_cumprod, guided(model, prompts, scale), each)
    )


def main() -> None:
    """Print the table."""
    torch.set_num_threads(int(os.environ.get("THREADS", torch.get_num_threads())))
    root = Path(__file__).resolve().parent.parent
    library, text = shipped(root / "models/library.zip"), Text(root / SHIPPED)
    small, large = Exact(library, text), Exact(library, text, 256)
    seeds = list(range(1000, 1006))
    small.bank("").pictures(64)
    copies: list[float] = []
    print(
        f"{torch.get_num_threads()} threads, {len(library.pictures)} pictures of {len(library.names)} names"
    )
    for prompt in PROMPTS:
        start = time.perf_counter()
        pictures = small.bank(prompt).pictures(64)
        ready, busy = time.perf_counter(), time.process_time()
        drawn = draw(small, [prompt] * 6, seeds)
        seconds, busy = (time.perf_counter() - ready) / 6, (time.process_time() - busy) / 6
        nearest = [max(psnr(x, p) for p in pictures) for x in drawn]
        apart = [psnr(a, b) for i, a in enumerate(drawn) for b in drawn[:i]]
        copies += nearest
        print(
            f"{prompt}: bank {ready - start:.1f} s, {seconds:.2f} s a picture ({busy:.2f} s of processor), "
            f"nearest of the bank {statistics.median(nearest):.1f} dB, "
            f"one another {statistics.median(apart):.1f} dB"
        )
    print(f"plain copies: {sum(value >= COPY for value in copies)} of {len(copies)}")
    questions: list[Prompt] = [Enlarge(PROMPTS[0], x, torch.zeros(3, 256, 256)) for x in drawn[:2]]
    start, busy = time.perf_counter(), time.process_time()
    draw(large, questions, seeds[:2], 4.0)
    seconds, busy = (time.perf_counter() - start) / 2, (time.process_time() - busy) / 2
    print(f"stage II: {seconds:.1f} s a picture ({busy:.1f} s of processor)")


if __name__ == "__main__":
    main()
