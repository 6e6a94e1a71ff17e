"""A report on this machine: what its author wrote, its store, the plan that joins them, and its build."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from noisebook.cells import fresh, reads
from noisebook.cells.digests import Digests
from noisebook.cells.folders import find
from noisebook.cells.plan import Planned, Work, everything, work
from noisebook.cells.planner import PlanError, Planner
from noisebook.cells.registry import Registry, suggest
from noisebook.cells.run import Outcome, Watcher, execute
from noisebook.cells.store import Store
from noisebook.git import untracked
from noisebook.models import catalogue, library, tasks
from noisebook.models.lock import AUTO, HINTS, Entry, Models, automatic, hint_for, known
from noisebook.progress import forecast, lacking, reasons, watcher
from noisebook.render.formats import duration, size
from noisebook.report.load import load_report
from noisebook.report.model import BadInput, Figure, Position, Problem, Report, Section
from noisebook.shared.remote import BadPlace, Remote, Unreachable, is_url

CACHE = "cache"
"""The folder of the local store when report.yaml names a URL."""


class Unfinished(Exception):
    """Not all of the work could be done. The message says why, and what to do."""


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
        return found


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
        try:
            return Remote(place)
        except BadPlace as error:
            where = "command line" if self.place else "report.yaml"
            raise BadInput([Problem(Position(where), str(error))]) from error

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
        """The pinned models; with a library of the author's own, the closed form draws from that."""
        entries, own = known(self.root), self.report.library
        return library.of_their_own(entries, self.root, own, self.digests.of) if own else entries

    @cached_property
    def machine(self) -> str:
        """The model family that ``auto`` means on this machine."""
        return automatic(self.lock, self.root)

    @cached_property
    def planner(self) -> Planner:
        return self._planner(self.store, draft=False)

    def _planner(self, store: Store, *, draft: bool) -> Planner:
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
                refused = dict.fromkeys(filter(None, map(self._refusal, cells)))
                problems.extend(Problem(figure.position, message) for message in refused)
            except PlanError as error:
                problems.append(Problem(figure.position, str(error)))
        if problems:
            raise BadInput(problems)
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
            here = Position("command line")
            raise BadInput(
                [
                    Problem(here, f"nothing is called {name!r}", suggest(name, tuple(known), "names"))
                    for name in unknown
                ]
            )
        return chosen

    def chosen(self, names: Sequence[str]) -> dict[str, Planned]:
        """The cells that ``names`` mean and all that they need by key, needs first."""
        return everything(cell for cells in self.select(names).values() for cell in cells)

    @cached_property
    def used(self) -> set[str]:
        """The keys of all cells of all figures, and of what they need."""
        return set(everything(cell for cells in self.planned.values() for cell in cells))


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


@dataclass(frozen=True, slots=True)
class Request:
    """What a build is asked for.

    Attributes:
        only: figures, sections, generators or cells; all of them if empty.
        compute: compute what is missing.
        frozen: fail by name on what is missing.
        keep_stale: show old pictures, marked as stale, where new ones are missing.
        beyond: what to do if it will take longer than report.yaml's minutes_limit.
        scheduler: the address of a Dask scheduler; on this machine if None.
        jobs: cells that are computed at once on this machine.
    """

    only: tuple[str, ...] = ()
    compute: bool = True
    frozen: bool = False
    keep_stale: bool = False
    beyond: Literal["compute", "refuse", "leave out"] = "refuse"
    scheduler: str | None = None
    jobs: int = 1


@dataclass(slots=True)
class Built:
    """What a build came to: what was computed, and how many pages were written."""

    outcome: Outcome = field(default_factory=Outcome)
    pages: int = 0

    def check(self) -> None:
        """Raises KeyboardInterrupt if it was stopped, Unfinished if a cell could not be computed."""
        if self.outcome.stopped:
            raise KeyboardInterrupt
        if self.outcome.failures:
            raise Unfinished(
                "\n".join(
                    f"{group[0].figure}: {len(group)} not computed\n  {message}"
                    for group, message in self.outcome.failures
                )
            )


def build(book: Project, request: Request, say: Callable[[str], None] = print) -> Built:
    """Compute what is missing and write the site, which is written even if something failed.

    What is wrong with the text is told before anything is computed.

    Raises BadInput, or Unfinished where nothing is written: frozen with cells missing, or beyond the limit.
    """
    from noisebook.render.site import proofread

    started = time.perf_counter()
    if request.frozen and book.automatic:
        message, hint = "model: auto depends on the machine; a frozen build does not", "name a model family"
        raise BadInput([Problem(at, message, hint) for at in book.automatic])
    begun, opened_files = time.time_ns(), reads.record()
    before = fresh.look(book.root, fresh.inputs(book.root))[0]
    todo = _fetched(book, [c for cells in book.select(request.only).values() for c in cells], say)
    if todo.cells and request.frozen:
        raise Unfinished(lacking(todo))
    built = Built()
    if todo.cells and request.compute and _affordable(book, todo, request.beyond):
        proofread(book.report)
        for group in todo.groups:
            say(reasons(group))
        for line in catalogue.lacking(_models(todo.cells), book.lock, book.root):
            warnings.warn(line, stacklevel=2)
        built.outcome = _compute(book, todo, request)
    if book.automatic:
        say(f"model auto: this machine has {book.machine}")
    built.pages = render(book, keep_stale=request.keep_stale)
    say(_summary(book, built, time.perf_counter() - started))
    whole = not (request.only or request.keep_stale or book.draft or book.place or book.automatic)
    if whole and not work([c for cells in book.select(()).values() for c in cells]).cells:
        files = {*opened_files, *map(str, book.digests.asked)}
        fresh.remember(book.root, before, _summary(book, Built(), 0.0), files, begun)
    return built


def render(book: Project, *, keep_stale: bool = False) -> int:
    """Write the site; the number of pages that changed."""
    from noisebook.render.site import render_site

    return render_site(book.report, book.planned, book.site, keep_stale=keep_stale).written


def _fetched(book: Project, cells: list[Planned], say: Callable[[str], None]) -> Work:
    """What is left to compute of ``cells`` once what the shared store has is here."""
    todo = work(cells)
    if not todo.cells or book.draft or book.remote is None:
        return todo
    try:
        if count := book.remote.read_through(cells):
            say(f"fetched {count} cells from {book.remote}")
    except Unreachable as error:
        warnings.warn(f"{error}; going on with what is here", stacklevel=2)
    return work(cells)


def _models(cells: Iterable[Planned]) -> set[str]:
    """The names in the lock of all models that ``cells`` use."""
    return {name for cell in cells for name in cell.models.values()}


def _affordable(book: Project, todo: Work, beyond: str) -> bool:
    """Whether to compute ``todo``; raises Unfinished where that is for a person to say."""
    seconds = forecast(todo.cells)
    if seconds <= 60 * book.report.minutes_limit or beyond == "compute" or book.draft:
        return True
    if beyond == "refuse":
        raise Unfinished(
            f"this would take about {duration(seconds)}, more than the {book.report.minutes_limit:g} minutes "
            "that report.yaml allows unasked: "
            "add --yes, choose with --only ID, or show old pictures with --keep-stale"
        )
    return False


def _compute(book: Project, todo: Work, request: Request) -> Outcome:
    """Compute ``todo`` in this process, in several, or on a cluster."""
    with watcher(len(todo.cells)) as watching:
        if request.scheduler is None and request.jobs == 1:
            return execute(todo, book.models, watching, draft=book.draft, errors=book.notes / "errors")
        try:
            from noisebook.shared.dask_executor import SchedulerAway
            from noisebook.shared.workers import workers

            if request.scheduler:
                return _on_cluster(book, todo, request.scheduler, watching)
            with workers(min(request.jobs, len(todo.cells))) as (scheduler, threads):
                return _on_cluster(book, todo, scheduler, watching, threads)
        except ModuleNotFoundError as error:
            raise Unfinished(f"{error}: pip install 'noisebook[cluster]'") from error
        except SchedulerAway as error:
            raise Unfinished(str(error)) from error


def _on_cluster(book: Project, todo: Work, scheduler: str, watching: Watcher, threads: str = "") -> Outcome:
    """Compute ``todo`` by way of a scheduler; a lock entry with ``"gpu": true`` asks for one."""
    from noisebook.shared import dask_executor

    def gpu(planned: Planned) -> bool:
        return any(book.lock[name].get("gpu") for name in planned.models.values())

    job = dask_executor.job(book, opened)
    job = replace(job, threads=threads or job.threads)
    return dask_executor.compute(todo, scheduler, job, watching, remote=book.remote, gpu=gpu)


def _summary(book: Project, built: Built, seconds: float) -> str:
    """The last lines of a build."""
    cells = {c.key: c for group in book.planned.values() for c in group}
    computed = built.outcome.computed
    cached = sum(c.cached for c in cells.values()) - sum(r.key in cells for r in computed)
    line = (
        f"computed {len(computed)}, cached {cached}, {duration(seconds)}, "
        f"{size(built.outcome.bytes)} stored, {built.pages} pages written: {book.site / 'index.html'}"
    )
    missing = sum(not c.cached for c in cells.values())
    if missing:
        pending = sum(not c.cached for _, f in book.figures() if f.pending for c in book.planned[f.id])
        line += f"\n{missing} cells are missing ({pending} of them pending): their figures say so"
    if computed and not book.draft:
        added = untracked(book.store.place)
        line += f"\na commit would add {size(added)} under {book.store.place.name}/" if added else ""
    return line
