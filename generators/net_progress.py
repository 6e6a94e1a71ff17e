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
    """One chart, from the scores of all sets."""
    scored = params.model_dump()
    names = [net_scores.name(score) for score in params.scores]
    return [
        Cell(
            "scores",
            "scores",
            "Two charts: subjects recognised over training, and over γ.",
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
        gamma = rows[0][1]
        rows.sort()
        columns = ["pictures seen", "γ", "top-1, %", "top-5, %"]
        rounded = [[*row[:2], *(round(share, 2) for share in row[2:])] for row in rows]
        yield (
            cell,
            [
                chart("picture", partial(_draw, rows, gamma), 900, 320, panels=2),
                table("scores", columns, rounded),
            ],
        )


def _draw(rows: Sequence[Sequence[Any]], gamma: float, over_training: Any, over_gamma: Any) -> None:
    training = [[row[0] / 1000, *row[2:]] for row in rows if row[1] == gamma]
    guidance = [row[1:] for row in rows if row[0] == rows[-1][0]]
    for axes, points in ((over_training, training), (over_gamma, guidance)):
        x, first, five = zip(*points, strict=True)
        axes.plot(x, five, "o-", color=FIVE, label="among the first five")
        axes.plot(x, first, "o-", color=FIRST, label="the first")
        axes.set(ylim=(0, 100), xlim=(0, None))
    over_training.set(title=f"recognised at γ = {gamma:g}, %", xlabel="pictures seen, thousands")
    over_gamma.set(title=f"recognised after {rows[-1][0] / 1000:g} thousand pictures, %", xlabel="γ")
    over_training.legend(frameon=False)
