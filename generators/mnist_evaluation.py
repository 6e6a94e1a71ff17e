"""How good samples of a class are: over epochs, and over γ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, Need, Result
from noisebook.cells.outputs import table

from . import mnist_scores
from ._mnist import run_complaints
from ._mnist_judge import DISTANCE, SPREAD, measured
from .mnist_scores import Params as Scores


class Params(Scores):
    """A chart and a table of scores."""

    over: Literal["epoch", "gamma", "how"] = Field(
        description="what the horizontal axis shows; how: which weights draw, and what from"
    )


def place(score: mnist_scores.Score, over: str) -> float | str:
    """Where a score stands on the horizontal axis."""
    return f"{score.weights}, from {score.start}" if over == "how" else float(getattr(score, over))


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run must keep every checkpoint that is scored, and a curve needs two points."""
    for index, score in enumerate(params.scores):
        where = ("scores", index)
        yield from run_complaints(
            params.training, epochs=[score.epoch], weights=score.weights, place=where, asked="epoch"
        )
    if len({place(score, params.over) for score in params.scores}) < 2:
        yield Complaint(("over",), f"all scores have the same {params.over}")


def cells(params: Params) -> list[Cell]:
    """One chart, from the scores of all sets."""
    scored = params.model_dump(exclude={"over"})
    needs = {"real": Need("mnist_scores", scored, "real")}
    points = []
    for score in params.scores:
        needs[mnist_scores.name(score)] = Need("mnist_scores", scored, mnist_scores.name(score))
        points.append([mnist_scores.name(score), place(score, params.over), score.samples])
    return [
        Cell(
            "scores",
            "scores",
            f"Three curves over {params.over}: samples recognised, spread within a class, Fréchet distance.",
            {"over": params.over, "points": points},
            needs=needs,
            seed=None,
        )
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Nothing is computed here but the drawing."""
    from ._mnist import chart

    columns = ["recognised", SPREAD, DISTANCE]
    for cell in cells:
        floor = measured(context, cell, "real", DISTANCE)
        rows: list[list[Any]] = [
            [x, count, *(measured(context, cell, of, column) for column in columns), floor]
            for of, x, count in sorted(cell.params["points"], key=lambda point: point[1])
        ]

        def draw(
            recognised: Any, spreads: Any, distance: Any, rows: Any = rows, over: str = cell.params["over"]
        ) -> None:
            axis = [row[0] if over != "how" else row[0].replace(", ", "\n") for row in rows]
            label = {"epoch": "epoch", "gamma": "γ", "how": ""}[over]
            dots = "o" if over == "how" else "o-"
            recognised.plot(axis, [row[2] for row in rows], dots, color="#1f5fa8")
            recognised.set(title="recognised as asked, %", xlabel=label, ylim=(None, 100.5))
            spreads.plot(axis, [row[3] for row in rows], dots, color="#24804f")
            spreads.axhline(1, color="#8a97a5", linewidth=0.8)
            spreads.set(title=SPREAD, xlabel=label, ylim=(0, None))
            distance.plot(axis, [row[4] for row in rows], dots, color="#c4451c", label="samples")
            distance.plot(
                axis, [row[5] for row in rows], "_", color="#4a5764", label="as many training digits"
            )
            distance.set(title="Fréchet distance to test digits", xlabel=label, ylim=(0, None))
            distance.legend(frameon=False)

        head = [cell.params["over"], "samples", "recognised, %", SPREAD, "Fréchet distance", "noise floor"]
        rounded = [[row[0], row[1], *(round(number, 4) for number in row[2:])] for row in rows]
        yield cell, [chart("picture", draw, 900, 300, panels=3), table("scores", head, rounded)]
