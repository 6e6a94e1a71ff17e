"""Drawing digits with a trained network: one sample is a cell, and samples are drawn in batches."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Json, Output, Params, Result
from noisebook.cells.outputs import picture

from ._mnist import after, greys, loss_curve
from .mnist_training import Params as Training

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from noisebook.networks.mnist.denoiser import MnistDenoiser

Process = Callable[[Sequence[int], Sequence[int | None]], Iterator["Tensor"]]
"""From the seed and the class (or None) of each sample: what sampling starts from, and x after each step."""
Sampler = Callable[[Cell, Context], Process]

BATCH = 100
FRAMES = 24
HOLD = 10
"""Frames that an animation stands at its end."""

Gamma = Annotated[float, Field(ge=0, le=50, description="γ in ε_u + γ(ε_c - ε_u); 0 is unconditional")]
RUN: dict[str, Json] = {
    "width": 64,
    "batch": 128,
    "epochs": 20,
    "checkpoints": [1, 5, 10, 15, 20],
    "learning_rate": 1e-3,
    "decay": 0.1,
    "average": 0.999,
    "precision": "bf16",
}
"""How both conditional networks are trained."""


Weights = Annotated[
    Literal["weights", "average"],
    Field(description="as trained, or their moving average (if the run keeps one)"),
]


class Drawn(Params):
    """How digits are drawn with a network."""

    variance: Literal["small", "large"] = Field("large", description="σ_t² of a step: β̃_t, or β_t")
    precision: Literal["fp32", "bf16"] = Field("bf16", description="what the network computes in")

    def shared(self, training: Training, weights: Weights) -> dict[str, Json]:
        """What a cell must say of its run and of how it draws."""
        return (
            network_params(training)
            | self.model_dump(include={"variance", "precision"})
            | {"weights": weights}
        )


class Sampled(Drawn):
    """A training run, and what is drawn with it."""

    weights: Weights = "weights"
    show: Literal["loss", "samples", "animation"] = Field(
        examples=["samples"],
        description="the loss curve; samples after some epochs; how the samples come about",
    )
    epochs: list[int] = Field([20], min_length=1, examples=[[1, 2]], description="checkpoints to sample with")


def loss_cell(training: Training) -> Cell:
    """The loss of a whole run."""
    return Cell(
        "loss",
        "loss",
        f"Loss on a log scale over {training.epochs} epochs of training.",
        {"show": "loss"},
        needs={"trained": after(training, training.epochs)},
        seed=None,
    )


def network_params(training: Training) -> dict[str, Json]:
    """What a cell must say of the run to rebuild its network and schedule."""
    return training.model_dump(include={"objective", "width", "timesteps", "beta_first", "beta_last"})


def denoiser_of(cell: Cell, context: Context) -> MnistDenoiser:
    """The network that a cell needs, as a denoiser."""
    from noisebook.networks.mnist.denoiser import MnistDenoiser

    from ._mnist import network

    params = dict(cell.params)
    net = network(context.needed(cell, "trained"), params, params["weights"])
    schedule = (params["timesteps"], params["beta_first"], params["beta_last"])
    return MnistDenoiser(net, *schedule, params["precision"])


def draw(
    denoiser: MnistDenoiser,
    seeds: Sequence[int],
    classes: Sequence[int | None],
    gamma: float,
    variance: Literal["small", "large"],
    stride: int = 1,
    originals: Tensor | None = None,
) -> Iterator[Tensor]:
    """What sampling starts from, and x after each step; (B, 1, 28, 28), the last one clean.

    Args:
        seeds: one per sample: it stays the same in any batch.
        gamma: γ, of no effect where the class is None.
        stride: take only every so many-th timestep (drafts).
        originals: (B, 1, 28, 28), digits to start from, with the noise of time T; None for noise alone.
    """
    from noisebook.diffusion.estimates import guided
    from noisebook.diffusion.posterior import ancestral
    from noisebook.diffusion.sampling import draw_noise, generators, reverse
    from noisebook.diffusion.schedules import forward
    from noisebook.diffusion.thresholding import thresholding

    each = generators(seeds)
    x = draw_noise(each, (1, 28, 28))
    if originals is not None:
        x = forward(originals, float(denoiser.alphas_cumprod[denoiser.timesteps]), x)
    yield x
    # Without classes both estimates are the same: one call, not two.
    scale = 0.0 if all(label is None for label in classes) else gamma
    for state in reverse(
        x,
        list(range(denoiser.timesteps, 0, -stride)),
        denoiser.alphas_cumprod,
        guided(denoiser, classes, scale),
        each,
        threshold=thresholding("none"),
        step=ancestral(variance),
    ):
        yield state.x


def ddpm(cell: Cell, context: Context) -> Process:
    """How a cell draws from a network that has learnt noise."""
    denoiser, params = denoiser_of(cell, context), cell.params
    stride = 10 if context.draft else 1
    return lambda seeds, classes: draw(denoiser, seeds, classes, params["gamma"], params["variance"], stride)


def sampled(cells: Sequence[Cell], context: Context, sampler: Sampler = ddpm) -> Iterator[Result]:
    """Cells of one sample each; those that share a network are drawn together."""
    from noisebook.cells.contract import canonical

    groups: dict[bytes, list[Cell]] = {}
    for cell in cells:
        shared = {name: value for name, value in cell.params.items() if name not in ("class", "sample")}
        groups.setdefault(canonical([shared, cell.needs["trained"].cell]), []).append(cell)
    for group in groups.values():
        process = sampler(group[0], context)
        total = int(group[0].params.get("steps") or group[0].params["timesteps"])
        for start in range(0, len(group), BATCH):
            batch = group[start : start + BATCH]
            x = None
            states = process(
                [sample_seed(cell, context, cell.params["class"], cell.params["sample"]) for cell in batch],
                [cell.params["class"] for cell in batch],
            )
            for step, state in enumerate(states):
                x = state
                for cell in batch:
                    context.progress(cell, step, total)
            assert x is not None
            for cell, digit in zip(batch, x[:, 0], strict=True):
                yield cell, [picture("picture", greys(digit))]


def sample_seed(cell: Cell, context: Context, label: int | None, sample: int) -> int:
    """The same noise after every epoch and at every γ, so that pictures can be compared."""
    return context.seed(cell, "mnist sample", label, sample)


def animated(cell: Cell, context: Context, sampler: Sampler = ddpm) -> Result:
    """How a grid of samples comes out of noise: as a film, as a heavier GIF, and its last frame."""
    import numpy as np

    from ._mnist import sheet

    params = cell.params
    labels = [None if label is None else int(label) for label in params["classes"]]
    seeds = [
        sample_seed(cell, context, label, sample)
        for label, sample in zip(labels, params["samples"], strict=True)
    ]
    states = list(sampler(cell, context)(seeds, labels))
    # As many frames as an eye needs, more of them near the end, where the digit appears.
    progress = 1 - (1 - np.linspace(0, 1, FRAMES)) ** 2
    chosen = [states[i] for i in sorted({round(p * (len(states) - 1)) for p in progress})]
    columns = params["columns"]
    frames = [sheet(state.unflatten(0, (-1, columns)), scale=2) for state in chosen]
    pixels = np.stack([*frames, *[frames[-1]] * HOLD])
    return cell, [
        film("animation", pixels, fps=10),
        gif("animation gif", pixels, fps=10),
        picture("picture", frames[-1]),
    ]


def film(name: str, frames: NDArray[np.uint8], fps: int) -> Output:
    """H.264 of ``frames``, (N, H, W) uint8 with even sides; the same bytes for the same frames."""
    import imageio.v3 as iio

    data = iio.imwrite(
        "<bytes>",
        frames[..., None].repeat(3, -1),
        extension=".mp4",
        fps=fps,
        codec="libx264",
        macro_block_size=2,
        # One thread and no version in the header, or the bytes would differ from machine to machine.
        output_params=[
            "-crf",
            "28",
            "-preset",
            "slow",
            "-threads",
            "1",
            "-fflags",
            "+bitexact",
            "-flags:v",
            "+bitexact",
        ],
    )
    return Output(name, "video/mp4", data, frames.shape[2], frames.shape[1])


def gif(name: str, frames: NDArray[np.uint8], fps: float) -> Output:
    """An endless grey GIF of ``frames``, (N, H, W) uint8, in 16 levels of grey."""
    from PIL import Image

    palette = [level for grey in range(0, 256, 17) for level in (grey, grey, grey)]
    pages = []
    for frame in frames:
        page = Image.fromarray(((frame.astype(int) + 8) // 17).astype("uint8"), "P")
        page.putpalette(palette)
        pages.append(page)
    buffer = io.BytesIO()
    pages[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=pages[1:],
        duration=round(1000 / fps),
        loop=0,
        optimize=False,
    )
    return Output(name, "image/gif", buffer.getvalue(), frames.shape[2], frames.shape[1])


def loss_result(cell: Cell, context: Context) -> Result:
    """The curve, and where it ended."""
    from noisebook.cells.outputs import number

    recorded = context.needed(cell, "trained").arrays("loss")
    return cell, [loss_curve("picture", recorded), number("test loss", float(recorded["test"][-1]))]
