"""Plane waves: one picture per frequency."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import picture


class Params(Base):
    """What a section may say under `params:`."""

    frequencies: list[int] = Field([1, 2, 4], min_length=1, description="waves across each picture")


def cells(params: Params) -> list[Cell]:
    """One picture per frequency: another value in the list computes one more picture."""
    return [Cell(f"f={f}", f"f = {f}", f"{f} grey waves.", {"f": f}, seed=None) for f in params.frequencies]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Draw the cells that are asked for, one at a time."""
    import numpy as np

    for cell in cells:
        wave = np.sin(2 * np.pi * cell.params["f"] * np.arange(64) / 64)
        yield cell, [picture("picture", np.tile(np.uint8(127.5 + 127.5 * wave), (64, 1)))]
