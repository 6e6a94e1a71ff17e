"""Computing cells on a Dask cluster.

A cell is a task whose key is the cell's key. A worker opens the report itself, either the same folder, on a
file system that all machines share, or, with a shared store, a snapshot of it that travels through the store.
It plans, computes and stores the cell; the scheduler carries keys alone. A worker whose plan does not hold
the key has other code, other models or another Python than the builder, and says so instead of computing.

The scheduler and its workers run whatever a client sends them: give them a network of their own, or TLS.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import sys
import tarfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisebook.cells import fresh
from noisebook.cells.folders import user_cache
from noisebook.cells.plan import Planned, Work, everything, work
from noisebook.cells.record import Record
from noisebook.cells.run import Models, Outcome, Watcher, execute
from noisebook.shared.remote import Remote

if TYPE_CHECKING:
    from noisebook.project import Project

PATIENCE = 60.0
"""Seconds that a build waits for a scheduler that went away."""
TOPIC = "noisebook"
PROGRESS_EVERY = 1.0
"""Seconds between two words of a worker about one cell."""
GPU = "GPU"
"""The resource that workers with one declare: ``dask worker --resources GPU=1``."""


class CellFailed(Exception):
    """A cell could not be computed on its worker: ``key`` says which, the message why."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(key, message)
        self.key, self.message = key, message


class SchedulerAway(Exception):
    """No scheduler answers. What was finished is kept."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker must know of a build.

    Attributes:
        root: the report's folder on the builder.
        place: the store, where it is not report.yaml's.
        plan: the digest of all keys of the plan; a new one, and the report is read again.
        snapshot: the digest of the report's files in the shared store; '' where the folder itself is shared.
        threads: the builder's OMP_NUM_THREADS, or '': sums over more threads are rounded otherwise.
    """

    root: str
    place: str | None
    plan: str
    snapshot: str
    threads: str


# On the builder


def job(book: Project) -> Job:
    """This build, told to workers; with a shared store, the report's files are sent there."""
    keys = sorted({planned.key for cells in book.planned.values() for planned in cells})
    place = book.place or book.report.store
    return Job(
        root=str(book.root.resolve()),
        place=place if book.remote else book.place,
        plan=hashlib.sha256("".join(keys).encode()).hexdigest(),
        snapshot=book.remote.keep(pack(book.root)) if book.remote else "",
        threads=os.environ.get("OMP_NUM_THREADS", ""),
    )


def pack(root: Path) -> bytes:
    """The report's files as a tar archive, the same for the same files; without what a build makes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in _sources(root):
            entry = tarfile.TarInfo(path.relative_to(root).as_posix())
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                archive.addfile(entry, file)
    return buffer.getvalue()


def _sources(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in ("cache", "site", "__pycache__"):
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from _sources(path)
        elif path.is_file():
            yield path


def compute(
    todo: Work,
    scheduler: str,
    told: Job,
    watcher: Watcher,
    *,
    remote: Remote | None = None,
    gpu: Callable[[Planned], bool] = lambda planned: False,
    patience: float = PATIENCE,
) -> Outcome:
    """Compute every cell of ``todo`` on the cluster at ``scheduler``.

    A worker that dies costs the cell that it was computing, which another one computes again. A scheduler
    that goes away is waited for. Raises :class:`SchedulerAway`.
    """
    import distributed

    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what matters is told here
    outcome = Outcome()
    started = time.perf_counter()
    build = _Build(todo, told, watcher, remote, gpu, outcome)
    deadline = time.monotonic() + patience
    while build.waiting:
        try:
            with distributed.Client(scheduler, timeout=5, set_as_default=False) as client:
                deadline = time.monotonic() + patience
                if build.round(client):
                    break
            warnings.warn(f"the scheduler at {scheduler} went away: waiting for it", stacklevel=2)
            deadline = time.monotonic() + patience
            build.look()
        except (OSError, TimeoutError) as error:
            if time.monotonic() > deadline:
                raise SchedulerAway(
                    f"no scheduler answers at {scheduler} ({error}); {len(build.waiting)} cells are left. "
                    "Everything that was finished is kept: build again when it is back"
                ) from error
            time.sleep(0.5)
        except KeyboardInterrupt:
            outcome.stopped = True
            break
    outcome.seconds = time.perf_counter() - started
    return outcome


@dataclass(slots=True)
class _Build:
    """One build on a cluster: what is left of it."""

    todo: Work
    told: Job
    watcher: Watcher
    remote: Remote | None
    gpu: Callable[[Planned], bool]
    outcome: Outcome
    waiting: dict[str, Planned] = field(default_factory=dict)
    local: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.waiting = {planned.key: planned for planned in self.todo.cells}
        for planned in self.todo.cells:
            self.local |= {need.key for name, need in planned.needs.items() if planned.cell.needs[name].local}

    def round(self, client: Any) -> bool:
        """Send what is left and take in what comes; False if the scheduler went away before the end."""
        from distributed import as_completed

        self._say_what_lacks(client)
        client.subscribe_topic(TOPIC, self._progress)
        futures: dict[str, Any] = {}
        for group in self.todo.groups:
            mine = [planned for planned in group if planned.key in self.waiting]
            if mine:
                self.watcher.begin(mine)
            for asks in (False, True):
                some = [planned for planned in mine if self.gpu(planned) == asks]
                if not some:
                    continue
                keys = [planned.key for planned in some]
                sent = client.map(
                    run_cell,
                    keys,
                    [key in self.local for key in keys],
                    [[futures[n.key] for n in p.needs.values() if n.key in futures] for p in some],
                    told=self.told,
                    key=keys,
                    resources={GPU: 1} if asks else None,
                )
                futures.update(zip(keys, sent, strict=True))
        try:
            for future in as_completed(list(futures.values()), loop=client.loop):
                if future.status == "finished":
                    self.take(future.key)
                elif future.status == "error":
                    self.failed(future.key, future.exception())
                else:
                    return False
        except KeyboardInterrupt:
            client.cancel(list(futures.values()))
            raise
        return True

    def _say_what_lacks(self, client: Any) -> None:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        if not workers:
            warnings.warn("the scheduler has no workers yet: waiting for one", stacklevel=3)
        elif any(map(self.gpu, self.waiting.values())) and not any(
            worker.get("resources", {}).get(GPU) for worker in workers
        ):
            warnings.warn(
                "no worker offers a GPU, and some cells ask for one: waiting for one "
                f"(dask worker --resources {GPU}=1)",
                stacklevel=3,
            )

    def look(self) -> None:
        """Take in what was stored while nobody told."""
        for key in list(self.waiting):
            if self._here(key):
                self.take(key)

    def _here(self, key: str) -> bool:
        store = self.waiting[key].store
        if self.remote is not None:
            self.remote.fetch([key], store)
        else:
            store.look(key)
        return store.has(key)

    def take(self, key: str) -> None:
        """A worker says that a cell is stored: see for oneself."""
        if key not in self.waiting:
            return
        here = self._here(key)
        for _ in range(50):  # file systems over a network may show it later
            if here:
                break
            time.sleep(0.1)
            here = self._here(key)
        planned = self.waiting[key]
        record = planned.store.get(key) if here else None
        if record is None:
            message = (
                "a worker has stored this cell, and it is not in the store here: share the folder "
                f"{planned.store.place} between the machines, or make the store a URL"
            )
            self.failed(key, CellFailed(key, message))
            return
        del self.waiting[key]
        self.outcome.computed.append(record)
        self.outcome.bytes += sum(output.bytes for output in record.outputs)
        self.watcher.finished(planned, record)

    def failed(self, key: str, error: Exception | None) -> None:
        """A cell did not succeed; what needs it goes with it, silently."""
        planned = self.waiting.pop(key, None)
        if planned is None or (isinstance(error, CellFailed) and error.key != key):
            return
        if isinstance(error, CellFailed):
            message = error.message
        elif type(error).__name__ == "KilledWorker":
            message = f"every worker that computed it died (out of memory?): {error}"
        else:
            message = f"{type(error).__name__}: {error}"
        self.outcome.failures.append(([planned], message))
        self.watcher.failed([planned], message)

    def _progress(self, event: tuple[float, Any]) -> None:
        _, (key, done, total, note) = event
        planned = self.waiting.get(key)
        if planned is not None:
            self.watcher.progress(planned, done, total, note)


# On a worker


def _code() -> str:
    """What noisebook's own files look like."""
    from importlib import import_module

    places = [fresh.PACKAGE, *import_module("noisebook.generators").__path__]
    return fresh.look(Path("/"), places)[0]


_code_at_start = _code()
_one_at_a_time = threading.RLock()
"""Torch's global generator and thread count belong to the process."""


@dataclass(slots=True)
class _Open:
    """The report that this worker has open."""

    told: Job
    book: Project
    models: Models
    cells: dict[str, Planned]


_open: _Open | None = None


def _opened(told: Job) -> _Open:
    """The report, read and planned once for all cells of a build; loaded models stay between builds."""
    global _open
    if _open is not None and _open.told == told:
        return _open
    from noisebook.project import Project

    if _code() != _code_at_start:
        raise RuntimeError("noisebook has changed since this worker started: restart the worker")
    if "torch" in sys.modules and told.threads:
        sys.modules["torch"].set_num_threads(int(told.threads))
    elif told.threads:
        os.environ["OMP_NUM_THREADS"] = told.threads
    else:
        os.environ.pop("OMP_NUM_THREADS", None)  # Dask's nanny sets it to 1; the builder has not
    root = _unpacked(told) if told.snapshot else Path(told.root)
    if not (root / "report.yaml").is_file():
        raise RuntimeError(
            f"there is no report in {root} on this worker: share the folder, or use a shared store"
        )
    book = Project(root, place=told.place)
    cells = everything(planned for group in book.planned.values() for planned in group)
    models = book.models
    if _open is not None and _open.models.root == root and _open.models.lock == models.lock:
        models = _open.models
    _open = _Open(told, book, models, cells)
    return _open


def _unpacked(told: Job) -> Path:
    """The snapshot in this machine's cache folder."""
    target = user_cache() / "reports" / told.snapshot
    if not target.exists():
        data = Remote(str(told.place)).kept(told.snapshot)
        temporary = target.with_name(f".{told.snapshot}.{os.urandom(4).hex()}")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(temporary, filter="data")
        try:
            temporary.rename(target)
        except OSError:
            if not target.exists():  # else another worker was first
                raise
    return target


def run_cell(key: str, local: bool, needs: Sequence[str], *, told: Job) -> str:
    """Compute and store a cell on this worker, unless the store has it; gives back its key.

    ``local``: other cells need its local outputs. ``needs`` only make it wait. Raises CellFailed.
    """
    with _one_at_a_time:
        try:
            _run(told, key, local)
        except CellFailed:
            raise
        except Exception as error:
            raise CellFailed(key, f"{type(error).__name__}: {error}") from None
        return key


def _run(told: Job, key: str, local: bool) -> None:
    opened = _opened(told)
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
            todo = Work([[planned]])
        outcome = execute(todo, opened.models, _Told(), errors=opened.book.notes / "errors")
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


class _Told:
    """A watcher that tells the builder, through the scheduler's events."""

    def __init__(self) -> None:
        self._last = 0.0

    def begin(self, group: Sequence[Planned]) -> None:
        pass

    def progress(self, planned: Planned, done: float, total: float, note: str) -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_EVERY:
            self._last = now
            from distributed import get_worker

            get_worker().log_event(TOPIC, (planned.key, done, total, note))

    def finished(self, planned: Planned, record: Record) -> None:
        pass

    def failed(self, group: Sequence[Planned], message: str) -> None:
        pass
