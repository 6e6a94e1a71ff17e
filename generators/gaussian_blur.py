"""Classical denoising: noisy pictures, and the same ones under a Gaussian blur."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, ImagePath, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import picture

from ._sampling import Side, Size, Timestep, even_kernel, stem


class Params(Base):
    """A square kernel of ``kernel`` taps a side and standard deviation ``sigma``."""

    picture: ImagePath = Field(default="images/tower.jpg", description="the clean picture")
    timesteps: Annotated[list[Timestep], Field(min_length=1, description="noise levels to blur")] = Field(
        default=[250, 500, 750]
    )
    kernel: int = Field(default=7, ge=1, le=255, description="taps of the kernel, odd, in pixels")
    sigma: float = Field(default=1.5, gt=0, le=100, description="standard deviation of the kernel, pixels")
    size: Side | Size = Field(default=64, description="side of the pictures, or [width, height], pixels")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """An even kernel, or one that is larger than the picture."""
    yield from even_kernel(params.kernel)
    shorter = params.size if isinstance(params.size, int) else min(params.size)
    if params.kernel // 2 >= shorter:
        yield Complaint(
            ("kernel",), f"a kernel of {params.kernel} is too large for a picture of {shorter} pixels"
        )


def cells(params: Params) -> list[Cell]:
    """The noisy pictures, then the blurred ones, in the same order."""
    name = stem(params.picture)
    inputs = {"picture": params.picture}
    noisy = [
        Cell(
            f"noisy-t={t}",
            f"noisy, t = {t}",
            f"{name} with the noise of timestep {t}.",
            {"t": t, "size": params.size, "kernel": 1, "sigma": 1.0},
            inputs,
        )
        for t in params.timesteps
    ]
    blurred = [
        Cell(
            f"blurred-t={t}",
            f"blurred, t = {t}",
            f"{name} with the noise of timestep {t}, blurred with a Gaussian of σ {params.sigma} pixels.",
            {"t": t, "size": params.size, "kernel": params.kernel, "sigma": params.sigma},
            inputs,
        )
        for t in params.timesteps
    ]
    return noisy + blurred


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Each with its distance from the clean picture."""
    from noisebook.diffusion.filters import blur
    from noisebook.models.pictures import to_bytes

    from ._noisy import distances, noisy_picture

    for cell in cells:
        x_0, x_t = noisy_picture(cell, context)
        blurred = blur(x_t[None], cell.params["kernel"], cell.params["sigma"])[0]
        yield cell, [picture("picture", to_bytes(blurred)), *distances(blurred, x_0)]
