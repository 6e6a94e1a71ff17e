"""A worker of a Dask cluster: computes one cell of a build at a time.

It opens the report itself: the same folder, on a file system that all machines share, or, with a shared
store, a snapshot of it that travels through the store. It plans, computes and stores the cell. A worker whose
plan does not hold the key has other code, other models or another Python than the builder, and says so
instead of computing.
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from noisebook.cells import fresh
from noisebook.cells.folders import user_cache
from noisebook.cells.plan import Planned, Work, everything, work
from noisebook.cells.registry import said
from noisebook.cells.run import Models, Peers, Watcher, execute
from noisebook.shared.remote import Remote

TOPIC = "noisebook"
PROGRESS_EVERY = 1.0
"""Seconds between two words of a worker about one cell."""


class Book(Protocol):
    """A report that is open: :class:`noisebook.project.Project`."""

    @property
    def root(self) -> Path: ...
    @property
    def place(self) -> str | None: ...
    @property
    def notes(self) -> Path: ...
    @property
    def planned(self) -> Mapping[str, Sequence[Planned]]: ...
    @property
    def remote(self) -> Remote | None: ...
    def peers(self) -> AbstractContextManager[Peers]: ...
    @property
    def lock(self) -> Mapping[str, Any]: ...
    @property
    def models(self) -> Models: ...


class CellFailed(Exception):
    """A cell could not be computed on its worker: ``key`` says which, the message why."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(key, message)
        self.key, self.message = key, message


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know of a build.

    Attributes:
        open: called with a root and a store's place, opens the report there. It travels by its name.
        root: the report's folder on the builder.
        place: the store, where it is not report.yaml's.
        plan: the digest of all keys of the plan; a new one, and the report is read again.
        snapshot: the digest of the report's files in the shared store; '' where the folder itself is shared.
        threads: the builder's OMP_NUM_THREADS, or '': sums over more threads are rounded otherwise.
    """

    open: Callable[[Path, str | None], Book]
    root: str
    place: str | None
    plan: str
    snapshot: str
    threads: str


def _code() -> str:
    """What noisebook's own files look like."""
    return fresh.look(Path("/"), fresh.OURS)[0]


_code_at_start = _code()
_one_at_a_time = threading.RLock()
"""Torch's global generator and thread count belong to the process."""


@dataclass(slots=True)
class _Open:
    """The report that this worker has open."""

    job: Job
    book: Book
    models: Models
    cells: dict[str, Planned]


_open: _Open | None = None


def _opened(job: Job) -> _Open:
    """The report, read and planned once for all cells of a build; loaded models stay between builds."""
    global _open
    if _open is not None and _open.job == job:
        return _open
    if _code() != _code_at_start:
        raise RuntimeError("noisebook has changed since this worker started: restart the worker")
    if "torch" in sys.modules and job.threads:
        sys.modules["torch"].set_num_threads(int(job.threads))
    elif job.threads:
        os.environ["OMP_NUM_THREADS"] = job.threads
    else:
        os.environ.pop("OMP_NUM_THREADS", None)  # Dask's nanny sets it to 1; the builder has not
    root = _unpacked(job) if job.snapshot else Path(job.root)
    if not (root / "report.yaml").is_file():
        raise RuntimeError(
            f"there is no report in {root} on this worker: share the folder, or use a shared store"
        )
    book = job.open(root, job.place)
    cells = everything(planned for group in book.planned.values() for planned in group)
    models = book.models
    if _open is not None and _open.book.root == root and _open.book.lock == book.lock:
        models = _open.models
    _open = _Open(job, book, models, cells)
    return _open


def _unpacked(job: Job) -> Path:
    """The snapshot in this machine's cache folder."""
    target = user_cache() / "reports" / job.snapshot
    if not target.exists():
        data = Remote(str(job.place)).kept(job.snapshot)
        temporary = target.with_name(f".{job.snapshot}.{os.urandom(4).hex()}")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(temporary, filter="data")
        try:
            temporary.rename(target)
        except OSError:
            if not target.exists():  # else another worker was first
                raise
    return target


def run_cell(key: str, local: bool, needs: Sequence[str], *, job: Job) -> str:
    """Compute and store a cell on this worker, unless the store has it; gives back its key.

    ``local``: other cells need its local outputs. ``needs`` only make it wait. Raises CellFailed.
    """
    with _one_at_a_time:
        try:
            _run(job, key, local)
        except (CellFailed, KeyboardInterrupt):
            raise
        except BaseException as error:  # sys.exit() would end the worker
            raise CellFailed(key, f"{type(error).__name__}: {said(error)}") from None
        return key


def _run(job: Job, key: str, local: bool) -> None:
    opened = _opened(job)
    planned = opened.cells.get(key)
    if planned is None:
        raise CellFailed(
            key, "this worker plans other keys: its noisebook, packages or files differ from the builder's"
        )
    store, remote = planned.store, opened.book.remote
    _look(planned)
    if remote is not None and not store.has(key, local=local):
        remote.read_through([planned])
    made = [key]
    if not store.has(key, local=local):
        todo = work([planned])
        if not todo.cells:
            todo = Work([[planned]], {key})
        with opened.book.peers() as peers:
            outcome = execute(
                todo, opened.models, _EventWatcher(), errors=opened.book.notes / "errors", peers=peers
            )
        for _, message in outcome.failures:
            raise CellFailed(key, message)
        made = sorted({key, *(record.key for record in outcome.computed)})
    if remote is not None:
        pushed = remote.push(store, made, local=True)
        if pushed.left:
            raise CellFailed(key, f"computed, but not sent: {pushed.reason}")


def _look(planned: Planned) -> None:
    """Take in what other workers have stored of this cell and what it needs."""
    for need in planned.needs.values():
        if not need.store.has(need.key):
            _look(need)
    if not planned.store.has(planned.key):
        planned.store.look(planned.key)


class _EventWatcher(Watcher):
    """Tells the builder of progress, through the scheduler's events."""

    def __init__(self) -> None:
        self._last = 0.0

    def progress(self, planned: Planned, done: float, total: float, note: str) -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_EVERY:
            self._last = now
            from distributed import get_worker

            get_worker().log_event(TOPIC, (planned.key, done, total, note))
