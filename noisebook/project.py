"""A report on this machine: what its author wrote, its store, and the plan that joins them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from noisebook.cells.digests import Digests
from noisebook.cells.folders import find
from noisebook.cells.names import suggest
from noisebook.cells.plan import Planned, everything
from noisebook.cells.planner import PlanError, Planner
from noisebook.cells.rates import rates
from noisebook.cells.registry import Registry
from noisebook.cells.run import Alone, Peers
from noisebook.cells.store import Store
from noisebook.models import library, tasks
from noisebook.models.lock import AUTO, HINTS, Entry, Models, automatic, hint_for, known
from noisebook.report.load import load_report
from noisebook.report.model import BadInput, Figure, Position, Problem, Report, Section, quote
from noisebook.report.overrides import Overrides, override, read_overrides

if TYPE_CHECKING:
    from noisebook.shared.remote import Remote

CACHE = "cache"
"""The folder of the local store when report.yaml names a URL."""


def is_url(place: str) -> bool:
    """Whether ``place`` is a URL rather than a folder."""
    return "://" in place


def find_root(start: Path) -> Path:
    """The nearest folder, upwards from ``start``, that holds a report.yaml."""
    for folder in (start, *start.parents):
        if (folder / "report.yaml").is_file():
            return folder
    hint = "go to a report's folder: the one with report.yaml and sections/"
    raise BadInput([Problem(Position("report.yaml"), f"no report.yaml in {start} or above", hint)])


class ReportModels(Models):
    """The models of a report, and which files are theirs."""

    @cached_property
    def files(self) -> set[Path]:
        """All files that the lock names, wherever a loader finds them."""
        found: set[Path] = set()
        for entry in self.lock.values():
            folder = self.root / (entry.get(library.WHERE) or entry.get("folder") or "")
            found |= {find(folder, file) for file in entry["files"]}
            if encoder := entry.get("text_folder"):
                found.update((self.root / encoder).rglob("*"))
            if embeddings := entry.get("embeddings"):
                found.add(self.root / embeddings["file"])
        return found


@dataclass(frozen=True)
class Project:
    """One report, read and planned. Raises BadInput on construction of its parts."""

    root: Path
    draft: bool = False
    place: str | None = None
    """Another store than report.yaml names."""
    settings: tuple[str, ...] = ()
    """Parameters for this build alone: see :mod:`noisebook.report.overrides`."""

    @cached_property
    def registry(self) -> Registry:
        return Registry(self.root)

    @cached_property
    def report(self) -> Report:
        try:
            report = load_report(self.root, self.registry, library.folder)
        except BadInput as error:
            raise BadInput(error.problems + _further(error.rest, error.problems)) from None
        return override(report, self.overrides, self.registry) if self.settings else report

    @cached_property
    def overrides(self) -> Overrides:
        return read_overrides(self.settings)

    @property
    def apart(self) -> bool:
        """Whether it is built beside the store and the site: a draft, or with parameters of its own."""
        return self.draft or bool(self.settings)

    @cached_property
    def store(self) -> Store:
        place = self.place or self.report.store
        notes = self.notes / ("store.json" if self.place is None or is_url(place) else "other-store.json")
        return Store(self.root / (CACHE if is_url(place) else place), notes, pinned=self.pinned)

    @cached_property
    def pinned(self) -> dict[str, Path]:
        """The files that the lock pins in the report's folder or among Noisebook's own, by sha256."""
        entries = (entry for entry in self.lock.values() if library.WHERE not in entry)
        return {sha: find(self.root, file) for entry in entries for file, sha in entry["files"].items()}

    @cached_property
    def remote(self) -> Remote | None:
        """The shared store behind the local one, if the store is a URL."""
        place = self.place or self.report.store
        if not is_url(place):
            return None
        from noisebook.shared.connection import BadPlace
        from noisebook.shared.remote import Remote

        try:
            return Remote(place)
        except BadPlace as error:
            where = "command line" if self.place else "report.yaml"
            raise BadInput([Problem(Position(where), str(error))]) from error

    @property
    def pushes(self) -> bool:
        """Whether a build sends what it has computed to the shared store by itself."""
        return self.report.push == "auto" and not self.apart and self.remote is not None

    @contextmanager
    def peers(self) -> Iterator[Peers]:
        """The builders on other machines that share the store, for as long as a build computes."""
        if not self.pushes or self.remote is None:
            yield Alone()
            return
        from noisebook.shared.peers import StorePeers

        with StorePeers(self.remote.url) as peers:
            yield peers

    @property
    def shared(self) -> Remote:
        """The shared store, or a word on how to have one."""
        if self.remote is None:
            where, hint = Position("report.yaml"), "store: URL names a shared one"
            raise BadInput([Problem(where, "its store is a folder here", hint)])
        return self.remote

    @cached_property
    def notes(self) -> Path:
        """What may be thrown away at any time."""
        return self.root / ".noisebook"

    @cached_property
    def digests(self) -> Digests:
        return Digests(self.notes / "inputs.json")

    @cached_property
    def lock(self) -> dict[str, Entry]:
        """The pinned models, with the library and the embeddings that report.yaml names."""
        entries, report = known(self.root), self.report
        if report.library:
            entries = library.of_their_own(entries, self.root, report.library, self.digests.of)
        if report.embeddings:
            entries = tasks.with_embeddings(entries, self.root, report.embeddings, self.digests.of)
        return entries

    @cached_property
    def machine(self) -> str:
        """The model family that ``auto`` means on this machine."""
        return automatic(self.lock, self.root)

    @cached_property
    def planner(self) -> Planner:
        return self.planner_for(self.store)

    def planner_for(self, store: Store, *, draft: bool = False, finished: Store | None = None) -> Planner:
        """A planner of the report's cells for another store; ``finished``: where cells may stand already."""
        return Planner(
            self.root,
            store,
            self.registry,
            self.lock,
            aliases={AUTO: self.machine},
            hints=HINTS | {name: hint for name in self.named if (hint := hint_for(name))},
            model=self.report.model,
            seed=self.report.seed,
            draft=draft,
            finished=finished,
            policy=key_policy(self.report.key_policy),
            digests=self.digests,
        )

    @cached_property
    def automatic(self) -> list[Position]:
        """Where ``model: auto`` stands, which leaves the model to the machine."""
        figures = [f.position for _, f in self.figures() if getattr(f.params, "model", None) == AUTO]
        return [Position("report.yaml")] * (self.report.model == AUTO) + figures

    @property
    def named(self) -> set[str]:
        """The model families that report.yaml and the figures name."""
        return {self.report.model, *(getattr(f.params, "model", None) or AUTO for _, f in self.figures())}

    @cached_property
    def models(self) -> ReportModels:
        return ReportModels(self.root, self.lock)

    @cached_property
    def site(self) -> Path:
        return self.notes / "draft-site" if self.apart else self.root / "site"

    def figures(self) -> Iterable[tuple[Section, Figure]]:
        return ((section, figure) for section in self.report.sections for figure in section.figures)

    def figure(self, name: str) -> tuple[Section, Figure]:
        """The figure called ``name``, and the section that it stands in. Raises BadInput."""
        found = {figure.id: (section, figure) for section, figure in self.figures()}
        if name not in found:
            hint = suggest(name, tuple(found), "figures")
            raise BadInput([Problem(Position("command line"), f"no figure is called {quote(name)}", hint)])
        return found[name]

    @cached_property
    def planned(self) -> dict[str, list[Planned]]:
        """The cells of every figure, in reading order; what is built apart, in a store of its own."""
        result: dict[str, list[Planned]] = {}
        problems: list[Problem] = []
        aside = Store(self.notes / "draft", self.notes / "draft.json", pinned=self.pinned)
        drafts = self.planner_for(aside, draft=self.draft, finished=self.store)
        for _, figure in self.figures():
            generator = self.registry.get(figure.generator)
            try:
                cells = self.planner.plan(figure.id, generator, figure.cells)
                if self.draft or figure.id in self.overrides:
                    shown = drafts.plan(figure.id, generator, figure.cells)
                    cells = [cell if cell.cached else other for cell, other in zip(cells, shown, strict=True)]
                result[figure.id] = cells
                refused = dict.fromkeys(filter(None, map(self._refusal, cells)))
                problems.extend(Problem(_meant(figure, message), message) for message in refused)
            except PlanError as error:
                problems.append(Problem(figure.position, str(error)))
        if problems:
            raise BadInput(problems + _further(self.report))
        self.planner.save()
        return result

    def _refusal(self, planned: Planned) -> str:
        """Why a model cannot draw a cell that it is planned to draw; "" if it can, or has."""
        if planned.cached:
            return ""
        params, generator = planned.cell.params, planned.generator.name
        found = (tasks.refusal(n, self.lock[n], generator, params) for n in planned.models.values())
        return next(filter(None, found), "")

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
        met: set[str] = set()
        for section, figure in self.figures():
            together = (figure.id, section.slug, figure.generator)
            known |= dict.fromkeys(together)
            for cell in self.planned[figure.id]:
                if meant := set(names).intersection((*together, f"{figure.id}/{cell.cell.id}", cell.key)):
                    chosen.setdefault(figure.id, []).append(cell)
                    met |= meant
        if unknown := [name for name in names if name not in met]:
            at = Position("command line")
            hints = {name: suggest(name, tuple(known), "names") for name in unknown}
            raise BadInput([Problem(at, f"nothing is called {n!r}", hint) for n, hint in hints.items()])
        return chosen

    def chosen(self, names: Sequence[str]) -> dict[str, Planned]:
        """The cells that ``names`` mean and all that they need by key, needs first."""
        return everything(cell for cells in self.select(names).values() for cell in cells)

    @cached_property
    def everything(self) -> Mapping[str, Planned]:
        """All cells of all figures, and all that they need, by key, needs first."""
        return everything(cell for cells in self.planned.values() for cell in cells)

    @cached_property
    def rates(self) -> Mapping[str, float]:
        """How long cells take here, see :mod:`noisebook.cells.rates`."""
        return rates(self.everything.values())

    @property
    def earlier(self) -> set[str]:
        """The keys of finished cells that ``adopt`` could carry over to cells that are not."""
        missing = (cell for cell in self.everything.values() if not cell.cached)
        return {key for cell in missing for key in self.store.same_identity(cell.components)}


def opened(root: Path, place: str | None) -> Project:
    """A report as a worker on another machine opens it."""
    return Project(root, place=place)


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


def _further(rest: Report | None, told: Iterable[Problem] = ()) -> list[Problem]:
    """What is wrong with the texts that could be read, besides what has been told."""
    from noisebook.render.site import proofread

    try:
        if rest:
            proofread(rest)
    except BadInput as error:
        return [each for each in dict.fromkeys(error.problems) if each not in told and not _formula(each)]
    return []


def _meant(figure: Figure, message: str) -> Position:
    """Where the parameter is written that a message names as ``size:``; else the figure's place."""
    named = (figure.places.get(f"params {name}") for name in re.findall(r"(\w+):", message))
    return next((place.position for place in named if place), figure.position)


def _formula(problem: Problem) -> bool:
    """Whether it is a formula of a section or of report.yaml, whose mistakes loading tells."""
    of_section = problem.position.file == "report.yaml" or problem.position.file.startswith("sections/")
    return of_section and problem.message.startswith("in a formula")
