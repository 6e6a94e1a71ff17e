"""What a shared store and a cluster cost: seconds a cell beyond the local executor's; the size of sweeps.

Everything is measured in one run on this machine, with cells that do next to nothing.
"""

from __future__ import annotations

import contextlib
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))
CELLS = int(os.environ.get("BENCH_CELLS", "300"))

from tests.conftest import Book  # noqa: E402
from tests.servers import Cluster  # noqa: E402

SWEEP = """
---
title: Sweep
generator: tile
matrix:
  values: {values}
  seed: [{seeds}]
---
"""

PLAN = """
import resource, sys, time
started = time.perf_counter()
from pathlib import Path
from noisebook.cells.plan import work
from noisebook.project import Project
planned = Project(Path.cwd()).planned["tiles"]
todo = work(planned)
seconds = time.perf_counter() - started
print(len(planned), seconds, time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def seconds_of(book: Book, cells: int, scheduler: str | None) -> float:
    """Computing ``cells`` fresh cells, without what a build costs whatever it computes."""
    from noisebook.cells.plan import work
    from noisebook.cells.run import execute
    from noisebook.progress import PlainWatcher
    from noisebook.project import Project, opened
    from noisebook.shared import dask_executor

    project = Project(book.root)
    todo = work([cell for group in project.planned.values() for cell in group])
    assert len(todo.cells) == cells
    with contextlib.redirect_stdout(io.StringIO()):
        started = time.perf_counter()
        if scheduler is None:
            outcome = execute(todo, project.models, PlainWatcher(cells), errors=book.root)
        else:
            told = dask_executor.job(project, opened)
            outcome = dask_executor.compute(todo, scheduler, told, PlainWatcher(cells))
        seconds = time.perf_counter() - started
    assert len(outcome.computed) == cells and not outcome.failures
    return seconds


def processor_seconds() -> float:
    """Of this process and all that it has started."""
    mine = psutil.Process()
    spent = [process.cpu_times() for process in (mine, *mine.children(recursive=True))]
    return sum(times.user + times.system for times in spent)


def dask() -> None:
    with tempfile.TemporaryDirectory() as folder:
        book = Book(Path(folder) / "book", Path(folder) / "user")
        os.environ["NOISEBOOK_CACHE_DIR"] = str(book.cache)
        cluster = Cluster(book.environment())
        cluster.start_scheduler()
        cluster.start_worker()
        try:
            values = iter(range(100_000))
            few = 30

            def fresh(count: int, scheduler: str | None) -> tuple[float, float]:
                book.tiles([next(values) for _ in range(count)])
                before = processor_seconds()
                return seconds_of(book, count, scheduler), processor_seconds() - before

            def slope(scheduler: str | None) -> tuple[float, float]:
                """Milliseconds a cell: connecting, and planning on the worker, fall out."""
                less, more = fresh(few, scheduler), fresh(CELLS, scheduler)
                return tuple(1000 * (b - a) / (CELLS - few) for a, b in zip(less, more, strict=True))

            fresh(few, cluster.url)  # the worker imports and plans for the first time
            local, remote = slope(None), slope(cluster.url)
        finally:
            cluster.stop()
    for name, (clock, processor) in {"local": local, "Dask, one worker": remote}.items():
        print(f"{name}: {clock:.1f} ms a cell, {processor:.1f} ms of processors ({CELLS} cells)")
    clock, processor = remote[0] - local[0], remote[1] - local[1]
    print(f"overhead of Dask: {clock:.1f} ms a cell, {processor:.1f} ms of processors (wanted: under 10)")


def sweeps() -> None:
    with tempfile.TemporaryDirectory() as folder:
        book = Book(Path(folder) / "book", Path(folder) / "user")
        for count in (1_000, 10_000, 100_000):
            values = [[number] for number in range(count // 100)]
            seeds = ", ".join(map(str, range(100)))
            book.write("sections/tiles.md", SWEEP.format(values=values, seeds=seeds))
            done = subprocess.run(
                [sys.executable, "-c", PLAN],
                cwd=book.root, env=book.environment(), capture_output=True, text=True, check=True,
            )  # fmt: skip
            cells, seconds, busy, megabytes = done.stdout.split()
            clock = f"{float(seconds):.1f} s, {float(busy):.1f} s of a processor with Python's start"
            print(f"matrix of {cells} cells planned in {clock}, {float(megabytes):.0f} MB")


if __name__ == "__main__":
    dask()
    sweeps()
    print(f"this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
