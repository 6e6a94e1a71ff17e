"""Iterative denoising: a noisy picture on its way back, and three ways to denoise it side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, ImagePath, Json, Output, Result
from noisebook.cells.outputs import number, picture

from ._sampling import (
    NEUTRAL,
    Guidance,
    Process,
    Prompt,
    Start,
    Task,
    drawn,
    even_kernel,
    source,
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
    """The pictures on the way and their film, or the comparison."""
    name = stem(params.picture)
    shared: dict[str, Any] = {
        "inputs": {"picture": params.picture},
        "models": {"stage1": params.model},
        "minutes": 0.3,
    }
    asked: dict[str, Json] = params.process() | {
        "i_start": params.i_start,
        "prompt": params.prompt,
        "guidance": params.guidance,
    }
    begin = params.first_timestep - params.i_start * params.stride
    if not params.compare:
        way = range(begin, -1, -params.stride * params.every)
        stages = [
            Cell(
                f"t={t}",
                f"t = {t}",
                f"{name} on its way from timestep {begin} to {t}.",
                {**asked, "show": t},
                **shared,
            )
            for t in way
        ]
        film = Cell(
            "film",
            "all the way",
            f"{name} losing its noise step by step.",
            {**asked, "show": "film"},
            **shared,
        )
        return [*stages, film]
    blurring = {"show": "blurred", "kernel": params.kernel, "sigma": params.sigma}
    shown: list[tuple[str, str, str, dict[str, Json]]] = [
        ("original", "original", f"The test picture {name}.", {"show": "original"}),
        ("iterative", "iterative", f"{name} denoised step by step from {begin}.", {"show": "iterative"}),
        ("one-step", "one step", f"{name} denoised in one step from {begin}.", {"show": "one-step"}),
        ("blurred", "Gaussian blur", f"{name} with the noise of timestep {begin}, blurred.", blurring),
    ]
    return [Cell(id, label, alt, {**asked, **more}, **shared) for id, label, alt, more in shown]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """One process for all the cells that show it: the one-step estimate is its first x̂_0."""
    import torch

    from noisebook.diffusion.denoiser import Denoiser
    from noisebook.diffusion.filters import blur
    from noisebook.diffusion.metrics import psnr, ssim
    from noisebook.models.pictures import to_bytes

    pictures: dict[str, Any] = {}

    def describe(cell: Cell, denoiser: Denoiser) -> Task:
        x_0 = pictures[cell.id] = source(cell, context, denoiser.image_size)
        params = cell.params
        return Task(
            context.seed(cell, "sample", 0), (params["prompt"],), params["guidance"], x_0, params["i_start"]
        )

    for same, process in drawn(cells, context, describe):
        x_0 = torch.from_numpy(pictures[same[0].id])
        x_t = torch.from_numpy(process.states[0])
        for cell in same:
            if cell.params["show"] == "film":
                yield cell, [process.film("animation")]
                continue
            show, outputs = cell.params["show"], list[Output]()
            if show == "original":
                shown = x_0
            elif show == "iterative":
                shown = torch.from_numpy(process.end)
                outputs = process.outputs()
            elif show == "one-step":
                shown = torch.from_numpy(process.estimates[0])
            elif show == "blurred":
                shown = blur(x_t[None], cell.params["kernel"], cell.params["sigma"])[0]
            else:
                place = min(range(len(process.states)), key=lambda k: abs(process.timesteps[k] - show))
                shown = torch.from_numpy(process.states[place])
            if show != "original":
                outputs += [number("PSNR", psnr(shown, x_0), "dB"), number("SSIM", ssim(shown, x_0))]
            yield cell, [picture("picture", to_bytes(shown)), *outputs]
