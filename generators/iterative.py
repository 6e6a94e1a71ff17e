"""Iterative denoising: a noisy picture on its way back, and three ways to denoise it side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, ImagePath, Json, Labelled, Result
from noisebook.cells.outputs import picture

from ._sampling import (
    NEUTRAL,
    Guidance,
    Process,
    Prompt,
    Start,
    even_kernel,
    start_complaints,
    stem,
)


class Params(Process):
    """Noise the picture to timestep number ``i_start``, then remove the noise step by step."""

    picture: ImagePath = Field(default="images/tower.jpg", description="the clean picture")
    i_start: Start = 10
    every: int = Field(
        default=5, ge=1, le=1000, description="steps between two pictures on the way; 0th is the start"
    )
    compare: bool = Field(
        default=False, description="side by side in place of the way: original, iterative, one-step, blurred"
    )
    prompt: Prompt = NEUTRAL
    guidance: Guidance = 1.0
    kernel: int = Field(
        default=7, ge=1, le=255, description="taps of the blur it is compared with, odd, pixels"
    )
    sigma: float = Field(default=1.5, gt=0, le=100, description="standard deviation of that blur, pixels")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """A start beyond the timesteps; an even kernel."""
    yield from start_complaints(params, [params.i_start])
    yield from even_kernel(params.kernel)


def cells(params: Params) -> list[Cell]:
    """One process, shown on its way or compared with other ways."""
    name = stem(params.picture)
    begin = params.first_timestep - params.i_start * params.stride
    asked: dict[str, Json] = params.process() | {
        "i_start": params.i_start,
        "prompt": params.prompt,
        "guidance": params.guidance,
    }
    if params.compare:
        asked |= {"every": None, "blur": [params.kernel, float(params.sigma)]}
        pictures = [
            Labelled("original", "original", f"The test picture {name}."),
            Labelled("iterative", "iterative", f"{name} denoised step by step from {begin}."),
            Labelled("one-step", "one step", f"{name} denoised in one step from {begin}."),
            Labelled("blurred", "Gaussian blur", f"{name} with the noise of timestep {begin}, blurred."),
        ]
    else:
        asked |= {"every": params.every, "blur": None}
        pictures = [
            Labelled(f"t={t}", f"t = {t}", f"{name} on its way from timestep {begin} to {t}.")
            for t in range(begin, -1, -params.stride * params.every)
        ]
        pictures.append(Labelled("animation", "all the way", f"{name} losing its noise step by step."))
    return [
        Cell(
            "compared" if params.compare else "way",
            f"from t = {begin}",
            f"{name} denoised step by step from timestep {begin}.",
            asked,
            {"picture": params.picture},
            {"stage1": params.model},
            minutes=0.3,
            pictures=pictures,
        )
    ]


def _way(cell: Cell) -> range:
    """The timesteps at which the process is shown."""
    params = cell.params
    begin = params["first_timestep"] - params["i_start"] * params["stride"]
    return range(begin, -1, -params["stride"] * params["every"])


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """The one-step estimate is the process's first x̂_0."""
    import torch

    from noisebook.diffusion.filters import blur
    from noisebook.diffusion.schedules import forward
    from noisebook.models.pictures import to_bytes

    from ._noisy import distances
    from ._process import Denoiser, Loop, Task, clean_of, drawn, noise_of, picture_of

    def denoised(cell: Cell, denoiser: Denoiser) -> Task:
        params, loop = cell.params, Loop.of(cell, context)
        start = loop.index(params["first_timestep"] - params["i_start"] * params["stride"])
        alpha = float(denoiser.alphas_cumprod[loop.timesteps[start]])
        noise, generator = noise_of(context.seed(cell, "sample", 0), denoiser)
        x = forward(clean_of(cell, context, denoiser), alpha, noise)
        return Task(loop, x, generator, (params["prompt"],), start)

    for cell, process in drawn(cells, context, denoised):
        x_0 = picture_of(cell, context, process.end.shape[-2:])
        states = torch.from_numpy(process.pictures(process.states))
        if cell.params["blur"]:
            shown = {
                "iterative": states[-1],
                "one-step": torch.from_numpy(process.pictures(process.estimates[:1])[0]),
                "blurred": blur(states[0][None], *cell.params["blur"])[0],
            }
            others = [picture("original", to_bytes(x_0)), *process.outputs()]
        else:
            # The nearest state: a draft has fewer.
            at = torch.tensor(process.timesteps)
            shown = {f"t={t}": states[int((at - t).abs().argmin())] for t in _way(cell)}
            others = [process.film("animation")]
        found = [
            output
            for name, x in shown.items()
            for output in (picture(name, to_bytes(x)), *distances(x, x_0, name))
        ]
        yield cell, [*found, *others]
