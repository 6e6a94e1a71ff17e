"""The recipe of a build: compute what is missing, and write the site."""

from __future__ import annotations

import gc
import os
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Literal

from noisebook.cells import fresh, local, reads
from noisebook.cells.plan import Planned, Work, work
from noisebook.cells.run import Outcome, Watcher, execute
from noisebook.git import untracked
from noisebook.models import catalogue, tasks
from noisebook.progress import estimate, forecast, lacking, reasons, watcher
from noisebook.project import Project, opened
from noisebook.render.formats import counted, duration, size, summary
from noisebook.report.load import written_at
from noisebook.report.model import BadInput, Problem


class Unfinished(Exception):
    """Not all of the work could be done. The message says why, and what to do."""


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
        local_size: bytes of local objects on this machine, of all reports.
    """

    only: tuple[str, ...] = ()
    compute: bool = True
    frozen: bool = False
    keep_stale: bool = False
    beyond: Literal["compute", "refuse", "leave out"] = "refuse"
    scheduler: str | None = None
    jobs: int = 1
    local_size: float = local.LIMIT


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


@contextmanager
def _collecting(cycles: bool) -> Iterator[None]:
    """Collect what refers to itself, or not: to look for it among 10,000 cells is a quarter of the work."""
    before = gc.isenabled()
    (gc.enable if cycles else gc.disable)()
    gc.freeze()  # what was read and planned stays: it is not looked at again and again
    try:
        yield
    finally:
        gc.unfreeze()
        (gc.enable if before else gc.disable)()


@_collecting(False)
def build(
    book: Project,
    request: Request,
    say: Callable[[str], None] = print,
    now: fresh.Now | None = None,
) -> Built:
    """Compute what is missing and write the site, which is written even if something failed.

    What is wrong with the text is told before anything is computed. ``now`` is what has changed since the
    last build, if somebody has looked already.

    Raises BadInput, or Unfinished where nothing is written: frozen with cells missing, or beyond the limit.
    """
    from noisebook.render.again import kept, last_build
    from noisebook.render.site import proofread, render_site

    started = time.perf_counter()
    if request.frozen and book.automatic:
        message, hint = "model: auto depends on the machine; a frozen build does not", "name a model family"
        raise BadInput([Problem(at, message, hint) for at in book.automatic])
    begun, recorded = time.time_ns(), reads.record()
    now = now or fresh.Now(book.root)
    before = None if book.apart or book.place else last_build(book.root, now)
    if before:
        book.store.unchanged()
    todo = _fetched(book, [c for cells in book.select(request.only).values() for c in cells], say)
    if todo.cells and request.frozen:
        proofread(book.report, book.planned, before)
        raise Unfinished(lacking(todo))
    built = Built()
    if todo.cells and request.compute and _affordable(book, todo, request.beyond):
        proofread(book.report, book.planned, before)
        check_embeddings(book, todo.cells)
        for group in todo.groups:
            say(reasons(group, book.rates))
        for line in catalogue.lacking(_models(todo.cells), book.lock, book.root):
            warnings.warn(line, stacklevel=2)
        built.outcome = _compute(book, todo, request)
    sent = not request.compute or request.frozen or _sent(book, say)
    if book.automatic:
        say(f"model auto: this machine has {book.machine}")
    try:
        written, done = render_site(
            book.report, book.planned, book.site, keep_stale=request.keep_stale, before=before
        )
    except BadInput as error:  # such as a number that no cell turned out to have
        if built.outcome.computed:
            error.standing = f"{counted(len(built.outcome.computed), 'cell')} computed, and kept"
        raise
    built.pages = done.written
    standing = _standing(book)
    say(_summary(book, built, standing, time.perf_counter() - started))
    if built.outcome.computed:
        say_dropped(surplus(book, book.everything, request.local_size), say, drop=True)
    if sent and _whole(book, request):
        files = {*recorded.opened, *map(str, book.digests.wanted)}
        written_files = recorded.written if request.jobs == 1 and not request.scheduler else None
        _remember(book, now, kept(written, *standing), standing, files, begun, written_files)
    return built


def surplus(book: Project, keys: Collection[str], local_size: float) -> local.Surplus:
    """What lies on this machine alone and is beyond ``local_size`` bytes, or too old."""
    return local.surplus(book.store, keys, local_size, 60 * book.report.minutes_limit)


def say_dropped(found: local.Surplus, say: Callable[[str], None], *, drop: bool) -> None:
    """Drop it, or only say what would be dropped."""
    if found.paths:
        verb = "dropped" if drop else "would drop"
        say(f"{verb} {len(found.paths)} local objects or scratch folders, {size(found.bytes)}, long unused")
    if drop:
        found.drop()


def _remember(
    book: Project,
    now: fresh.Now,
    last: bytes,
    standing: tuple[int, str],
    opened_files: Collection[str],
    begun: int,
    written_files: Collection[str] | None,
) -> None:
    """Let the next build answer at once where nothing has changed."""
    book.store.save()
    nothing = _summary(book, Built(), standing, 0.0)
    fresh.remember(book.root, now, nothing, opened_files, begun, last, written_files)


def _whole(book: Project, request: Request) -> bool:
    """Whether a plain build would now have nothing to do."""
    if request.only or book.apart or book.place or book.automatic:
        return False
    cells = [cell for group in book.planned.values() for cell in group]
    if request.keep_stale and any(cell.state == "stale" for cell in cells if not cell.cached):
        return False  # it is shown, and a plain build would not show it
    return not work([c for cells in book.select(()).values() for c in cells]).cells


def _fetched(book: Project, cells: list[Planned], say: Callable[[str], None]) -> Work:
    """What is left to compute of ``cells`` once what the shared store has is here."""
    todo = work(cells)
    if not todo.cells or book.apart or book.remote is None:
        return todo
    from noisebook.shared.connection import Unreachable

    try:
        if count := book.remote.read_through(cells):
            say(f"fetched {counted(count, 'cell')} from {book.remote}")
    except Unreachable as error:
        warnings.warn(f"{error}; going on with what is here", stacklevel=2)
    return work(cells)


def _sent(book: Project, say: Callable[[str], None]) -> bool:
    """Send what the shared store lacks of what is finished, where a build does so; whether it has all now."""
    if not book.pushes or book.remote is None:
        return True
    done = book.remote.push(book.store, [cell.key for cell in book.everything.values() if cell.cached])
    if done.cells:
        say(f"pushed {counted(done.cells, 'cell')}, {size(done.bytes)}, to {book.remote}")
    if done.left:
        left = f"{counted(len(done.left), 'cell')} left: the next build sends them"
        warnings.warn(f"{done.reason}; {left}", stacklevel=2)
    return not done.left


def _models(cells: Iterable[Planned]) -> set[str]:
    """The names in the lock of all models that ``cells`` use."""
    return {name for cell in cells for name in cell.models.values()}


def check_embeddings(book: Project, cells: Iterable[Planned]) -> None:
    """Tell of prompts that report.yaml's embeddings lack before anything runs. Raises BadInput."""
    places = {figure.id: figure.position for _, figure in book.figures()}
    asking = [cell for cell in cells if any("embeddings" in book.lock[name] for name in cell.models.values())]
    if not asking or find_spec("torch") is None:
        return
    from noisebook.models.embeddings import BadEmbeddings, lacking, read

    file = book.report.embeddings
    try:
        known = read(book.root / file)
    except BadEmbeddings as error:
        raise BadInput([Problem(written_at(book.root, "embeddings"), str(error))]) from error
    hint = f"noisebook embed makes such files; or leave embeddings: {file} out"
    problems = {
        Problem(places[cell.figure], message, hint): None
        for cell in asking
        for message in lacking(file, known, tasks.asked(cell.cell.params))
    }
    if problems:
        raise BadInput(list(problems))


def _affordable(book: Project, todo: Work, beyond: str) -> bool:
    """Whether to compute ``todo``; raises Unfinished where that is for a person to say."""
    seconds = forecast(todo.cells, book.rates)
    if seconds <= 60 * book.report.minutes_limit or beyond == "compute" or book.draft:
        return True
    if beyond == "refuse":
        dear = sorted(todo.groups, key=lambda group: -forecast(group, book.rates))[:3]
        longest = ", ".join(f"{group[0].figure} {estimate(group, book.rates)}" for group in dear)
        raise Unfinished(
            f"this would take about {duration(seconds)}, more than the {book.report.minutes_limit:g} minutes "
            f"that report.yaml allows unasked (the longest: {longest}): "
            "add --yes, look at a --draft, choose with --only ID, or show old pictures with --keep-stale"
        )
    return False


@_collecting(True)
def _compute(book: Project, todo: Work, request: Request) -> Outcome:
    """Compute ``todo`` in this process, in several, or on a cluster."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # libraries' own bars, among ours
    with watcher(len(todo.cells)) as watching:
        if request.scheduler is None and request.jobs == 1:
            with book.peers() as peers:
                return execute(
                    todo, book.models, watching, draft=book.draft, errors=book.notes / "errors", peers=peers
                )
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


def _standing(book: Project) -> tuple[int, str]:
    """How many cells the site shows, and a line about those that are missing, if any."""
    cells = {c.key: c for group in book.planned.values() for c in group}
    cached = sum(c.cached for c in cells.values())
    if cached == len(cells):
        return cached, ""
    pending = sum(not c.cached for _, f in book.figures() if f.pending for c in book.planned[f.id])
    missing = len(cells) - cached
    are = "cell is" if missing == 1 else "cells are"
    return cached, f"\n{missing} {are} missing ({pending} of them pending): their figures say so"


def _summary(book: Project, built: Built, standing: tuple[int, str], seconds: float) -> str:
    """The last lines of a build, of a site that stands like that."""
    computed, (there, missing) = built.outcome.computed, standing
    new = {record.key for record in computed}
    cached = there - len(new and new.intersection(c.key for group in book.planned.values() for c in group))
    index = book.site / "index.html"
    line = summary(len(computed), cached, seconds, built.outcome.bytes, built.pages, index) + missing
    if computed and not book.apart:
        added = untracked(book.store.place)
        line += f"\na commit would add {size(added)} under {book.store.place.name}/" if added else ""
    return line
