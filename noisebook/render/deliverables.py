"""What is to be handed in: what of it is there, missing, stale, or still holds a place to fill."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from noisebook.cells.plan import Planned
from noisebook.report.model import BadInput, Figure, Position, Problem, Report, Section
from noisebook.report.reader import read_text

PLACE = re.compile(r"\bTODO\b")
"""What marks a place to fill, in a text or in a comment of YAML."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One item, and how far it is.

    Attributes:
        parts: the figures' ids and the sections' names that it consists of.
        cells, missing, stale: its pictures, those of them that are not computed, and those by older code.
        places: where something is still to be filled in.
    """

    item: str
    parts: tuple[str, ...]
    cells: int = 0
    missing: int = 0
    stale: int = 0
    places: tuple[Position, ...] = ()

    @property
    def state(self) -> str:
        """``missing``, ``stale``, ``to fill`` or ``there``: the first that holds."""
        found = {"missing": self.missing, "stale": self.stale, "to fill": self.places}
        return next((state for state, some in found.items() if some), "there")

    @property
    def remarks(self) -> list[str]:
        """What keeps it from being there."""
        counts = ((self.missing, "missing"), (self.stale, "stale"))
        found = [f"{count} of {self.cells} pictures {state}" for count, state in counts if count]
        for file, places in itertools.groupby(self.places, lambda place: place.file):
            lines = [str(place.line) for place in places]
            found.append(f"to fill: {file}, line{'s'[: len(lines) > 1]} {', '.join(lines)}")
        return found

    def __str__(self) -> str:
        return f"{self.item}: {'; '.join(self.remarks) or 'there'}"

    def row(self) -> dict[str, Any]:
        """For programs."""
        places = [{"file": place.file, "line": place.line} for place in self.places]
        return {**asdict(self), "places": places, "state": self.state}


def delivered(report: Report, planned: Mapping[str, Sequence[Planned]]) -> list[Delivered]:
    """Every item of the report's deliverables; and report.yaml, if it holds a place to fill.

    Raises :class:`BadInput` if the report lists none.
    """
    if not report.deliverables:
        hint = "deliverables: lists what is to be handed in (docs/sections.md)"
        raise BadInput([Problem(Position("report.yaml"), "it lists no deliverables", hint)])
    sections = {section.slug: section for section in report.sections}
    figures = {figure.id: (section, figure) for section in report.sections for figure in section.figures}
    found = []
    for each in report.deliverables:
        shown = dict.fromkeys(each.figures)
        shown |= dict.fromkeys(figure.id for name in each.sections for figure in sections[name].figures)
        states = [cell.state for name in shown for cell in planned.get(name, ())]
        places = [place for name in each.figures for place in _of_figure(report, *figures[name])]
        places += [place for name in each.sections for place in _places(report, sections[name].path)]
        found.append(
            Delivered(
                each.item,
                each.figures + each.sections,
                len(states),
                states.count("missing"),
                states.count("stale"),
                tuple(sorted(set(places))),
            )
        )
    if own := _places(report, "report.yaml"):
        found.append(Delivered("The report's own particulars", (), places=tuple(own)))
    return found


def _places(report: Report, file: str) -> list[Position]:
    lines = read_text(report.root, file, default="").splitlines()
    return [Position(file, number) for number, line in enumerate(lines, 1) if PLACE.search(line)]


def _of_figure(report: Report, section: Section, figure: Figure) -> list[Position]:
    """Those between a figure's beginning and the next one's, or the end of the front matter."""
    first = figure.position.line if len(section.figures) > 1 else 1
    later = [each.position.line for each in section.figures if each.position.line > figure.position.line]
    last = min([*later, section.body_line])
    return [place for place in _places(report, section.path) if first <= place.line < last]
