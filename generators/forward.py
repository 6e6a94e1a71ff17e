"""A clean picture, and the same picture with the noise of several timesteps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from noisebook.cells.contract import Cell, Context, ImagePath, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import picture

from ._sampling import Side, Size, Timestep, stem


class Params(Base):
    """x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε on the cosine schedule of 1000 timesteps."""

    picture: ImagePath = Field(default="images/tower.jpg", description="the clean picture")
    timesteps: Annotated[list[Timestep], Field(min_length=1, description="noise levels to show")] = Field(
        default=[250, 500, 750]
    )
    size: Side | Size = Field(default=64, description="side of the pictures, or [width, height], pixels")


def cells(params: Params) -> list[Cell]:
    """The clean picture, then one cell per timestep."""
    name = stem(params.picture)
    inputs = {"picture": params.picture}
    clean = Cell(
        "clean", "clean", f"The test picture {name}.", {"t": None, "size": params.size}, inputs, seed=None
    )
    return [clean] + [
        Cell(
            f"t={t}",
            f"t = {t}",
            f"{name} with the noise of timestep {t}.",
            {"t": t, "size": params.size},
            inputs,
        )
        for t in params.timesteps
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """All timesteps share one noise, so that they differ in its amount alone."""
    from noisebook.models.pictures import to_bytes

    from ._noisy import distances, noisy_picture

    for cell in cells:
        x_0, x_t = noisy_picture(cell, context)
        known = [] if cell.params["t"] is None else distances(x_t, x_0)
        yield cell, [picture("picture", to_bytes(x_t)), *known]
