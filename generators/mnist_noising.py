"""Test digits with more and more noise: z = x + σε."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import picture

from ._mnist import FIRST_OF_EACH_CLASS, SIGMAS, Digits, Sigma


class Params(Base):
    """One row of digits for each noise level."""

    sigmas: Annotated[list[Sigma], Field(min_length=1, description="noise levels")] = SIGMAS
    digits: Digits = FIRST_OF_EACH_CLASS


def cells(params: Params) -> list[Cell]:
    """One row for each noise level."""
    return [
        Cell(
            f"sigma={sigma:g}",
            f"σ = {sigma:g}",
            f"A row of {len(params.digits)} test digits with noise of standard deviation {sigma:g}.",
            {"sigma": float(sigma), "digits": params.digits},
            models={"data": "mnist"},
        )
        for sigma in params.sigmas
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Each digit has the same noise at every level, so that rows differ in its amount alone."""
    from ._mnist import noise_for, strip, test_digits

    for cell in cells:
        noisy = test_digits(cell, context) + cell.params["sigma"] * noise_for(cell, context)
        yield cell, [picture("picture", strip(noisy))]
