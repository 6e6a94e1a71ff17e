"""A report on this machine: what its author wrote, its store, and the plan that joins them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from noisebook.cells.plan import PlanError, Planned, Planner
from noisebook.cells.registry import Registry, suggest
from noisebook.cells.run import Models
from noisebook.cells.store import Store
from noisebook.models import library
from noisebook.models.lock import AUTO
from noisebook.report.load import load_report
from noisebook.report.model import BadInput, Figure, Position, Problem, Report, Section
from noisebook.shared.remote import BadPlace, Remote, is_url

CACHE = "cache"
"""The folder of the local store when report.yaml names a URL."""


def find_root(start: Path) -> Path:
    """The nearest folder, upwards from ``start``, that holds a report.yaml."""
    for folder in (start, *start.parents):
        if (folder / "report.yaml").is_file():
            return folder
    raise BadInput(
        [
            Problem(
                Position("report.yaml"),
                f"no report.yaml in {start} or above",
                "go to a report's folder: the one with report.yaml and sections/",
            )
        ]
    )


@dataclass(frozen=True)
class Project:
    """One report, read and planned. Raises BadInput on construction of its parts."""

    root: Path
    draft: bool = False
    place: str | None = None
    """Another store than report.yaml names."""

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.root)

    @cached_property
    def report(self) -> Report:
        return load_report(self.root, self.registry, library.folder)

    @cached_property
    def store(self) -> Store:
        place = self.place or self.report.store
        if is_url(place):
            return Store(self.root / CACHE, self.notes / "store.json")
        notes = self.notes / ("store.json" if self.place is None else "other-store.json")
        return Store(self.root / place, notes)

    @cached_property
    def remote(self) -> Remote | None:
        """The shared store behind the local one, if the store is a URL."""
        place = self.place or self.report.store
        if not is_url(place):
            return None
        try:
            return Remote(place)
        except BadPlace as error:
            where = "command line" if self.place else "report.yaml"
            raise BadInput([Problem(Position(where), str(error))]) from error

    @cached_property
    def notes(self) -> Path:
        """What may be thrown away at any time."""
        return self.root / ".noisebook"

    @cached_property
    def planner(self) -> Planner:
        return self._planner(self.store, draft=False)

    def _planner(self, store: Store, *, draft: bool) -> Planner:
        return Planner(
            self.root,
            store,
            self.registry,
            model=self.report.model,
            seed=self.report.seed,
            draft=draft,
            policy=key_policy(self.report.key_policy),
            library=self.report.library,
        )

    @cached_property
    def automatic(self) -> list[Position]:
        """Where ``model: auto`` stands, which leaves the model to the machine."""
        figures = [f.position for _, f in self.figures() if getattr(f.params, "model", None) == AUTO]
        return [Position("report.yaml")] * (self.report.model == AUTO) + figures

    @cached_property
    def models(self) -> Models:
        return Models(self.root, self.planner.lock)

    @cached_property
    def site(self) -> Path:
        return self.notes / "draft-site" if self.draft else self.root / "site"

    def figures(self) -> Iterable[tuple[Section, Figure]]:
        return ((section, figure) for section in self.report.sections for figure in section.figures)

    @cached_property
    def planned(self) -> dict[str, list[Planned]]:
        """The cells of every figure, in reading order. Of a draft, what is not cached is planned as draft."""
        result: dict[str, list[Planned]] = {}
        problems: list[Problem] = []
        drafts = self._planner(Store(self.notes / "draft", self.notes / "draft.json"), draft=True)
        for _, figure in self.figures():
            generator = self.registry.get(figure.generator)
            try:
                cells = self.planner.plan(figure.id, generator, figure.cells)
                if self.draft:
                    shown = drafts.plan(figure.id, generator, figure.cells)
                    cells = [cell if cell.cached else other for cell, other in zip(cells, shown, strict=True)]
                result[figure.id] = cells
            except PlanError as error:
                problems.append(Problem(figure.position, str(error)))
        if problems:
            raise BadInput(problems)
        self.planner.save()
        return result

    def select(self, names: Sequence[str]) -> dict[str, list[Planned]]:
        """The cells that ``names`` (figures, sections, generators or cells as FIGURE/CELL) mean.

        Without names all of them, but for those of pending figures that are not computed.
        """
        if not names:
            return {
                figure.id: [cell for cell in self.planned[figure.id] if cell.cached or not figure.pending]
                for _, figure in self.figures()
            }
        chosen: dict[str, list[Planned]] = {}
        known: dict[str, None] = {}
        for section, figure in self.figures():
            cells = self.planned[figure.id]
            for name in (figure.id, section.slug, figure.generator):
                known.setdefault(name)
            if {figure.id, section.slug, figure.generator}.intersection(names):
                chosen[figure.id] = cells
            elif some := [
                cell for cell in cells if f"{figure.id}/{cell.cell.id}" in names or cell.key in names
            ]:
                chosen[figure.id] = some
        found = {
            name
            for section, figure in self.figures()
            for cell in chosen.get(figure.id, [])
            for name in (figure.id, section.slug, figure.generator, f"{figure.id}/{cell.cell.id}", cell.key)
        }
        unknown = [name for name in names if name not in found]
        if unknown:
            raise BadInput(
                [
                    Problem(
                        Position("command line"),
                        f"nothing is called {name!r}",
                        suggest(name, tuple(known), "names"),
                    )
                    for name in unknown
                ]
            )
        return chosen


def key_policy(names: Iterable[str]) -> Mapping[str, str]:
    """What a report adds to its keys: ``torch`` the installed version, ``device`` the kind of device."""
    from importlib import metadata

    values: dict[str, str] = {}
    for name in names:
        try:
            values[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            values[name] = os.environ.get(f"NOISEBOOK_{name.upper()}", "")
    return values
