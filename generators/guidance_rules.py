"""How rules of guidance trade variety for recognition: one chart over γ, of a flow network's digits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle
from typing import Any

from noisebook.cells.contract import Cell, Context, Need, Result
from noisebook.cells.outputs import table

from . import mnist_guidance
from ._mnist_judge import DISTANCE, SPREAD, measured
from .flow_vs_ddpm import COLOURS
from .mnist_guidance import Params as Sets


class Params(Sets):
    """A chart and a table of the sets' scores."""


check = mnist_guidance.check


def cells(params: Params) -> list[Cell]:
    """One chart, from the scores of all sets."""
    sets = params.model_dump()
    needs, points = {}, []
    for rule in params.rules:
        for gamma in rule.gammas:
            of = mnist_guidance.name(rule, gamma)
            needs[of] = Need("mnist_guidance", sets, of)
            points.append([of, rule.kind, float(gamma)])
    kinds = ", ".join(rule.kind for rule in params.rules)
    alt = f"Recognised digits over their spread, and Fréchet distance over γ, a curve for each rule: {kinds}."
    return [Cell("rules", "rules", alt, {"points": points}, needs=needs, seed=None)]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Nothing is computed here but the drawing."""
    from ._mnist import chart

    for cell in cells:
        rows: list[list[Any]] = []
        for of, kind, gamma in cell.params["points"]:
            values = (measured(context, cell, of, each) for each in ("recognised", SPREAD, DISTANCE))
            rows.append([kind, gamma, *(round(value, 4) for value in values)])
        yield (
            cell,
            [
                chart("picture", partial(_draw, rows), 800, 340, panels=2),
                table("scores", ["rule", "γ", "recognised, %", SPREAD, DISTANCE], rows),
            ],
        )


def _draw(rows: Sequence[Sequence[Any]], trade: Any, distance: Any) -> None:
    for kind, colour in zip(dict.fromkeys(row[0] for row in rows), cycle(COLOURS), strict=False):
        points = sorted(tuple(row[1:]) for row in rows if row[0] == kind)
        gammas, recognised, spread, distances = zip(*points, strict=True)
        trade.plot(spread, recognised, "o-", color=colour, label=kind, markersize=4)
        for gamma, x, y in zip(gammas, spread, recognised, strict=True):
            trade.annotate(f"{gamma:g}", (x, y), xytext=(4, 4), textcoords="offset points", fontsize=7)
        distance.plot(gammas, distances, "o-", color=colour, label=kind, markersize=4)
    trade.set(title="recognised as asked, %, at each γ", xlabel=SPREAD)
    distance.set(title="Fréchet distance to test digits", xlabel="γ")
    distance.legend(frameon=False)
