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
        panels = [
            (column, title)
            for column, title in enumerate(TITLES, start=2)
            if any(row[column] == row[column] for row in rows)  # no spread without a class
        ]
        yield (
            cell,
            [
                chart("picture", partial(_draw, rows, panels), 300 * len(panels), 320, panels=len(panels)),
                table("scores", columns, rounded),
            ],
        )


TITLES = ("recognised as asked, %", SPREAD, "Fréchet distance to test digits")


def _draw(rows: Sequence[Sequence[Any]], panels: Sequence[tuple[int, str]], *every: Any) -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    for axes, (column, title) in zip(every, panels, strict=True):
        for method, colour in zip(dict.fromkeys(row[0] for row in rows), cycle(COLOURS), strict=False):
            points = sorted((row[1], row[column]) for row in rows if row[0] == method)
            calls, values = zip(*points, strict=True)
            axes.plot(calls, values, "o-", color=colour, label=method, markersize=4)
        axes.set_xscale("log")
        axes.set(title=title, xlabel="model calls")
        if column == 4:
            axes.set_yscale("log")
            axes.set_ylim(min(row[4] for row in rows) / 1.5, max(row[4] for row in rows) * 1.5)
        for axis in (axes.xaxis, axes.yaxis):
            if axis.get_scale() == "log":
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(FormatStrFormatter("%g"))
                axis.set_minor_formatter(NullFormatter())
    every[0].set_ylim(min(row[2] for row in rows) - 1, 100.5)
    every[0].legend(frameon=False)
