"""Computing cells on a Dask cluster.

This is the builder's side. A cell is a task whose key is the cell's key; the scheduler carries keys alone.
:mod:`noisebook.shared.dask_worker` computes and stores it, and the builder sees for itself that it is there.

The scheduler and its workers run whatever a client sends them: give them a network of their own, or TLS.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import tarfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noisebook.cells.plan import Planned, Work
from noisebook.cells.run import Outcome, Watcher
from noisebook.shared.dask_worker import TOPIC, Book, CellFailed, Job, run_cell
from noisebook.shared.remote import Remote

PATIENCE = 60.0
"""Seconds that a build waits for a scheduler that went away."""
GPU = "GPU"
"""The resource that workers with one declare: ``dask worker --resources GPU=1``."""


class SchedulerAway(Exception):
    """No scheduler answers. What was finished is kept."""


def job(book: Book, open_book: Callable[[Path, str | None], Book]) -> Job:
    """This build, as workers are given it; with a shared store, the report's files are sent there."""
    keys = sorted({planned.key for cells in book.planned.values() for planned in cells})
    return Job(
        open=open_book,
        root=str(book.root.resolve()),
        place=book.remote.url if book.remote else book.place,
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
    job: Job,
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
    build = _Build(todo, job, watcher, remote, gpu, outcome)
    deadline = time.monotonic()  # one that never answered is told at once
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
    job: Job
    watcher: Watcher
    remote: Remote | None
    gpu: Callable[[Planned], bool]
    outcome: Outcome
    waiting: dict[str, Planned] = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = {planned.key: planned for planned in self.todo.cells}

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
                    [key in self.todo.local for key in keys],
                    [[futures[n.key] for n in p.needs.values() if n.key in futures] for p in some],
                    job=self.job,
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
