"""What a flow buys: quality over model calls, for DDPM and for flow matching, in one chart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Any

from noisebook.cells.contract import Cell, Context, Need, Result
from noisebook.cells.outputs import table

from . import mnist_calls
from ._mnist_judge import DISTANCE, SPREAD, measured
from .mnist_calls import Params as Sets

COLOURS = ("#c4451c", "#e0a100", "#1f5fa8", "#24804f", "#7a4fa3", "#4a5764")


class Params(Sets):
    """A chart and a table of the sets' scores."""


check = mnist_calls.check


def cells(params: Params) -> list[Cell]:
    """One chart, from the scores of all sets."""
    sets = params.model_dump()
    needs, points = {}, []
    for method in params.methods:
        for calls in method.calls:
            of = mnist_calls.name(method, calls)
            needs[of] = Need("mnist_calls", sets, of)
            points.append([of, method.name, calls, "class" in method.training.objective])
    return [
        Cell(
            "scores",
            "scores",
            "Three curves over model calls for each sampler: recognised, spread, Fréchet distance.",
            {"points": points},
            needs=needs,
            seed=None,
        )
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Nothing is computed here but the drawing."""
    from ._mnist import chart

    for cell in cells:
        value = partial(measured, context, cell)
        rows: list[list[Any]] = []
        for of, method, calls, conditional in cell.params["points"]:
            recognised = value(of, "recognised" if conditional else "confident")
            spread = value(of, SPREAD) if conditional else float("nan")
            rows.append(
                [method, calls, recognised, spread, value(of, DISTANCE), value(of, "Fréchet distance")]
            )
        columns = ["method", "calls", "recognised, %", SPREAD, DISTANCE, "of all samples"]
        rounded = [[*row[:2], *(round(each, 4) if each == each else "" for each in row[2:])] for row in rows]
        yield (
            cell,
            [
                chart("picture", partial(_draw, rows), 900, 320, panels=3),
                table("scores", columns, rounded),
            ],
        )


def _draw(rows: Sequence[Sequence[Any]], recognised: Any, spread: Any, distance: Any) -> None:
    titles = ("recognised as asked, %", SPREAD, "Fréchet distance to test digits")
    for column, axes in enumerate((recognised, spread, distance), start=2):
        for method, colour in zip(dict.fromkeys(row[0] for row in rows), cycle(COLOURS), strict=False):
            points = sorted((row[1], row[column]) for row in rows if row[0] == method)
            calls, values = zip(*points, strict=True)
            axes.plot(calls, values, "o-", color=colour, label=method, markersize=4)
        axes.set_xscale("log")
        axes.set(title=titles[column - 2], xlabel="model calls")
    distance.set_yscale("log")
    recognised.legend(frameon=False)
