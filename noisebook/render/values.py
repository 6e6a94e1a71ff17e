"""Numbers of finished cells, as a text quotes them: {{ value("figure", "name") }}."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence

from noisebook.cells.contract import Json
from noisebook.cells.plan import Planned
from noisebook.cells.record import Record
from noisebook.cells.store import Absent
from noisebook.render.context import WAITING
from noisebook.render.formats import INFINITE, duration, is_number, measure
from noisebook.render.outputs import older


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
            reached = list(_reached(cells))
            cells = [each for each in reached if wanted in (each.cell.id, each.generator.name)]
            if reached and not cells:
                names = list(
                    dict.fromkeys(name for each in reached for name in (each.cell.id, each.generator.name))
                )
                raise NoValue(f"the figure {figure!r} has no cell {wanted!r}", _near(wanted, names))
        finished = [(cell, record) for cell in cells if (record := self._record(cell))]
        found = [said for cell, record in finished if (said := _said(cell, record, name))]
        if not found and finished and len(finished) == len(cells):
            names = [each.name for _, record in finished for each in record.outputs]
            raise NoValue(
                f"no cell of {place!r} has a number {name!r}", _near(name, list(dict.fromkeys(names)))
            )
        if len(set(found)) > 1:
            raise NoValue(f"{len(found)} cells of {place!r} have a number {name!r}", "name one: figure/cell")
        return found[0] if found else WAITING

    def _record(self, cell: Planned) -> Record | None:
        return cell.record or (older(cell) if self.keep_stale else None)


def _reached(cells: Sequence[Planned]) -> Iterator[Planned]:
    """The cells, and what they were computed from."""
    waiting, seen = list(cells), set()
    for cell in waiting:
        if cell.key not in seen:
            seen.add(cell.key)
            waiting.extend(cell.needs.values())
            yield cell


def _said(cell: Planned, record: Record, name: str) -> str:
    output = record.output(name)
    if output is None:
        return ""
    try:
        value: Json = json.loads(cell.store.open(output))
    except (Absent, ValueError):
        return ""
    if not (isinstance(value, Mapping) and is_number(value.get("value"))):
        return ""
    seconds = value["value"] if value.get("unit") == "s" else None
    return duration(float(seconds)) if seconds and seconds not in INFINITE else measure(value)


def _near(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean {near[0]!r}?" if near else f"it has: {', '.join(names[:12])}"
