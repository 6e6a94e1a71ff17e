"""How well the embedded network draws: over training, and over γ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from noisebook.cells.contract import Cell, Context, Need, Result
from noisebook.cells.outputs import table

from . import net_scores
from .net_scores import Params as Scores

FIRST, FIVE = "#c4451c", "#1f5fa8"


class Params(Scores):
    """A chart over training at the γ of the first score, one of the last checkpoint over γ, and a table."""


check = net_scores.check


def cells(params: Params) -> list[Cell]:
    """One picture of one or two charts, from the scores of all sets."""
    scored = params.model_dump()
    names = [net_scores.name(score) for score in params.scores]
    return [
        Cell(
            "scores",
            "scores",
            "Charts: subjects recognised over training, or over γ.",
            {"scores": [score.model_dump() for score in params.scores]},
            needs={each: Need("net_scores", scored, each) for each in names},
            seed=None,
        )
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Nothing is computed here but the drawing."""
    from ._mnist import chart

    for cell in cells:
        rows: list[list[Any]] = []
        for of, score in zip(cell.needs, cell.params["scores"], strict=True):
            found = [json.loads(context.needed(cell, of).data(f"top-{best}"))["value"] for best in (1, 5)]
            rows.append([score["seen"], score["gamma"], *found])
        panels = _panels(rows)
        rows.sort()
        columns = ["pictures seen", "γ", "top-1, %", "top-5, %"]
        rounded = [[*row[:2], *(round(share, 2) for share in row[2:])] for row in rows]
        yield (
            cell,
            [
                chart("picture", partial(_draw, panels), 450 * len(panels), 320, panels=len(panels)),
                table("scores", columns, rounded),
            ],
        )


def _panels(rows: Sequence[Sequence[Any]]) -> list[tuple[str, str, list[list[Any]]]]:
    """Title, x axis and [x, top-1, top-5] of each: over training at the first γ, over γ at its end.

    Of the two, what the sets leave at one point is not drawn.
    """
    gamma, last = rows[0][1], max(row[0] for row in rows)
    panels = [
        (
            f"recognised at γ = {gamma:g}, %",
            "pictures seen, thousands",
            sorted([row[0] / 1000, *row[2:]] for row in rows if row[1] == gamma),
        ),
        (
            f"recognised after {last / 1000:g} thousand pictures, %",
            "γ",
            sorted(list(row[1:]) for row in rows if row[0] == last),
        ),
    ]
    return [panel for panel in panels if len(panel[2]) > 1] or panels


def _draw(panels: Sequence[tuple[str, str, list[list[Any]]]], *axes: Any) -> None:
    for axis, (title, label, points) in zip(axes, panels, strict=True):
        x, first, five = zip(*points, strict=True)
        axis.plot(x, five, "o-", color=FIVE, label="among the first five")
        axis.plot(x, first, "o-", color=FIRST, label="the first")
        axis.set(title=title, xlabel=label, ylim=(0, 100), xlim=(0, None))
    axes[0].legend(frameon=False)
