"""Numbers of finished cells, as a text quotes them: {{ value("figure", "name") }}."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from noisebook.cells.names import suggest
from noisebook.cells.plan import Planned, everything
from noisebook.cells.record import Record
from noisebook.cells.store import Absent
from noisebook.render.context import WAITING
from noisebook.render.formats import INFINITE, duration, is_number, measure
from noisebook.render.outputs import LARGEST_NUMBER, decoded, older


class NoValue(LookupError):
    """Nothing has the number that a text asks for: ``message`` says why, ``hint`` what there is."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class Values:
    """The numbers of the planned cells of every figure, by its id.

    With ``keep_stale`` a cell that is not there gives the number of its newest older version.
    """

    def __init__(self, figures: Mapping[str, Sequence[Planned]], *, keep_stale: bool) -> None:
        self.figures, self.keep_stale = figures, keep_stale

    def __call__(self, place: str, name: str) -> str:
        """The number ``name`` with its unit, or :data:`WAITING`.

        ``place`` is a figure, or ``figure/cell``: a cell of it, or one that it was computed from, by the
        cell's or by its generator's name. Raises NoValue where none has it, or several differ.
        """
        figure, _, wanted = place.partition("/")
        cells = self.figures.get(figure, ())
        if wanted:
            reached = list(everything(cells).values())
            cells = [each for each in reached if wanted in (each.cell.id, each.generator.name)]
            if reached and not cells:
                names = dict.fromkeys(
                    said for each in reached for said in (each.cell.id, each.generator.name)
                )
                hint = suggest(wanted, names, "cells")
                raise NoValue(f"the figure {figure!r} has no cell {wanted!r}", hint)
        finished = [(cell, record) for cell in cells if (record := self._record(cell))]
        found = [said for cell, record in finished if (said := _said(cell, record, name))]
        if not found and finished and len(finished) == len(cells):
            names = dict.fromkeys(each.name for _, record in finished for each in record.outputs)
            hint = suggest(name, names, "outputs")
            raise NoValue(f"no cell of {place!r} has a number {name!r}", hint)
        if len(set(found)) > 1:
            raise NoValue(f"{len(found)} cells of {place!r} have a number {name!r}", "name one: figure/cell")
        return found[0] if found else WAITING

    def _record(self, cell: Planned) -> Record | None:
        return cell.record or (older(cell) if self.keep_stale else None)


def _said(cell: Planned, record: Record, name: str) -> str:
    output = record.output(name)
    if output is None:
        return ""
    try:
        value = decoded(cell.store, output, LARGEST_NUMBER)
    except Absent:
        return ""
    if not (isinstance(value, Mapping) and is_number(value.get("value"))):
        return ""
    found = value["value"]
    if found and value.get("unit") == "s" and found not in INFINITE and math.isfinite(found):
        return duration(found)
    return measure(value)
