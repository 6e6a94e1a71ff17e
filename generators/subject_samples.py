"""Draw a picture of each of many subjects, on sheets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.outputs import arrays, number, picture

from ._sampling import BATCH, Guidance, Modelled
from ._subjects import MOST, draw, nearest, sheet, subjects

BLOCK = 55
COLUMNS = 11


class Params(Modelled):
    """One picture a subject, by its name alone."""

    gamma: Guidance = 7.0
    count: int = Field(MOST, ge=BLOCK, le=MOST, multiple_of=BLOCK, description="how many subjects")


def cells(params: Params) -> list[Cell]:
    """A sheet for every 55 subjects."""
    return [
        Cell(
            f"from={start}",
            f"subjects {start + 1} to {start + BLOCK}",
            f"A sheet of {BLOCK} pictures, each drawn from the name of a subject.",
            {"gamma": float(params.gamma), "from": start},
            models={"stage1": params.model, "pictures": "library", "memory": "exact/stage1"},
            minutes=1,
        )
        for start in range(0, params.count, BLOCK)
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Each picture has a seed of its own, which no figure uses."""
    import numpy as np
    import torch

    for cell in cells:
        model, memory = context.model(cell, "stage1"), context.model(cell, "memory")
        start = int(cell.params["from"])
        names = subjects(context.model(cell, "pictures"))[start : start + (BATCH if context.draft else BLOCK)]
        began, drawn, near = time.perf_counter(), [], []
        for first in range(0, len(names), BATCH):
            part = names[first : first + BATCH]
            seeds = [context.seed(cell, "subject", name) for name in part]
            drawn += list(draw(model, part, seeds, cell.params["gamma"], 120 if context.draft else 30))
            near += [nearest(memory, name, x)[0] for name, x in zip(part, drawn[first:], strict=True)]
            context.progress(cell, len(drawn), len(names), "pictures")
        seconds = (time.perf_counter() - began) / len(names)
        yield (
            cell,
            [
                picture("picture", sheet(torch.stack(drawn), COLUMNS)),
                arrays("nearest", {"decibels": np.array(near, np.float32)}),
                number("time of a picture", seconds, "s", measured=True),
            ],
        )
