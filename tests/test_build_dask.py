"""Cells on a Dask cluster of real processes: the same bytes, nothing lost, nothing stored computed twice."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import ensure_sshd
from .conftest import HANGS, Book
from .servers import Cluster, Sftp
from .test_build_faults import check_store

VALUES = list(range(12))


@pytest.fixture
def cluster(book: Book) -> Iterator[Cluster]:
    """A scheduler and two workers that see the book's folder."""
    cluster = Cluster(book.environment(TILE_PAUSE="0.1"))
    cluster.start_scheduler()
    for _ in range(2):
        cluster.start_worker()
    yield cluster
    cluster.stop()


def dask(cluster: Cluster) -> tuple[str, ...]:
    return ("build", "--executor", "dask", "--scheduler", cluster.url)


def objects(book: Book) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((book.root / "cache" / "objects").iterdir())}


def wait_for_cells(book: Book, count: int, process: subprocess.Popen[str]) -> None:
    while len(book.stored()) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_the_same_bytes_whichever_executor_ran(book: Book, cluster: Cluster, tmp_path: Path) -> None:
    book.tiles(VALUES)
    done = book.run(*dask(cluster))
    assert done.returncode == 0, done.stderr
    assert "computed 12, cached 0" in done.stdout and "[12/12]" in done.stdout
    assert Counter(book.computed()) == Counter(f"v={value}" for value in VALUES)
    here = Book(tmp_path / "here" / "book", tmp_path / "here" / "user")
    here.tiles(VALUES)
    here.build()
    assert objects(book) == objects(here)
    assert check_store(book) == check_store(here), "and the same keys"
    # An edited report is read again by workers that have read it before.
    book.edit("generators/_paint.py", "value % 256", "(value + 1) % 256")
    assert "computed 12" in book.run(*dask(cluster)).stdout
    here.edit("generators/_paint.py", "value % 256", "(value + 1) % 256")
    here.build()
    assert objects(book) == objects(here)
    # A generator's mistake is told as it is at home.
    book.edit("generators/_paint.py", "return", "raise ValueError('no such grey')\n    return")
    done = book.run(*dask(cluster))
    assert done.returncode == 1 and "ValueError: no such grey" in done.stderr
    assert "Traceback" not in done.stderr


def test_killed_workers_and_a_restarted_scheduler(book: Book, cluster: Cluster) -> None:
    """A worker is killed in mid-cell, then the scheduler with all that it knows."""
    book.tiles(list(range(24)))
    process = book.start(*dask(cluster))
    wait_for_cells(book, 2, process)
    cluster.workers[0].send_signal(signal.SIGKILL)
    wait_for_cells(book, 6, process)
    cluster.kill_scheduler()
    for worker in cluster.workers:
        worker.kill()
    cluster.start_scheduler()
    cluster.start_worker()
    out, err = process.communicate(timeout=HANGS)
    assert process.returncode == 0, out + err
    assert "went away" in err and "Traceback" not in err
    assert len(check_store(book)) == 24
    counts = Counter(book.computed())
    assert sum(counts.values()) <= 24 + 3, "only what was lost in mid-cell was begun again"
    assert "computed 0" in book.build()


def test_workers_that_see_only_the_shared_store(book: Book, tmp_path: Path) -> None:
    """The report travels through the store; its server is away for a while."""
    if not ensure_sshd.find():
        pytest.skip("no sshd on this machine")
    server = Sftp(tmp_path / "sftp")
    server.start()
    book.write("report.yaml", f"title: Grey\nmodel: exact\nstore: {server.url}\n")
    book.tiles(VALUES)
    elsewhere = {"NOISEBOOK_CACHE_DIR": str(tmp_path / "worker"), "TILE_PAUSE": "0.1"}
    cluster = Cluster(book.environment(**server.environment, **elsewhere))
    cluster.start_scheduler()
    cluster.start_worker()
    shared = server.files / "shared" / "cells"
    try:
        process = book.start(*dask(cluster), **server.environment)
        while len(list(shared.glob("[!.]*"))) < 3:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        server.stop()
        time.sleep(0.5)
        finished = {path.stem for path in shared.glob("[!.]*")}
        server.start()
        out, err = process.communicate(timeout=HANGS)
        assert "Traceback" not in err
        assert process.returncode == 0 or "cannot be reached" in err, out + err
        done = book.run(*dask(cluster), **server.environment)
        assert done.returncode == 0, done.stderr
    finally:
        cluster.stop()
        server.stop()
    assert Counter(book.computed()) == Counter(f"v={value}" for value in VALUES), "each just once"
    assert finished <= {path.stem for path in shared.glob("[!.]*")} == check_store(book)
    [snapshot] = (tmp_path / "worker" / "reports").iterdir()
    assert (snapshot / "sections" / "tiles.md").read_bytes() == (book.root / "sections/tiles.md").read_bytes()
    here = Book(tmp_path / "here" / "book", tmp_path / "here" / "user")
    here.tiles(VALUES)
    here.build()
    assert objects(book) == objects(here)


def test_an_exit_does_not_end_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    from noisebook.shared import dask_worker

    def leave(*_: object) -> None:
        raise SystemExit(0)

    monkeypatch.setattr(dask_worker, "_run", leave)
    job = dask_worker.Job(leave, "", None, "", "", "")  # type: ignore[arg-type]
    with pytest.raises(dask_worker.CellFailed, match="SystemExit: 0"):
        dask_worker.run_cell("ab", False, [], job=job)


def test_without_a_scheduler_there_is_a_clear_error(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    prelude = "import noisebook.shared.dask_executor as d; d.compute.__kwdefaults__['patience'] = 0.5"
    done = book.run("build", "--executor", "dask", "--scheduler", "tcp://127.0.0.1:9", prelude=prelude)
    assert done.returncode == 1 and "no scheduler answers at tcp://127.0.0.1:9" in done.stderr
    assert "3 cells are left" in done.stderr and "Traceback" not in done.stderr
    assert book.run("build", "--executor", "dask").returncode == 2


def test_several_processes_of_this_machine(book: Book, tmp_path: Path) -> None:
    book.tiles(VALUES)
    done = book.run("build", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    assert "computed 12, cached 0" in done.stdout and "Traceback" not in done.stderr
    here = Book(tmp_path / "here" / "book", tmp_path / "here" / "user")
    here.tiles(VALUES)
    here.build()
    assert objects(book) == objects(here) and book.stored() == here.stored()
    book.edit("generators/_paint.py", "return", "raise ValueError('no such grey')\n    return")
    done = book.run("build", "--jobs", "2")
    assert done.returncode == 1 and "ValueError: no such grey" in done.stderr
    assert "Traceback" not in done.stderr


def _faults() -> int:
    """Pages that four rounds of taking and freeing 64 MB bring in, after the first round."""
    import resource

    for turn in range(5):
        if turn == 1:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        bytearray(64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(os.name != "posix", reason="the allocator of glibc")
def test_a_worker_keeps_the_memory_that_it_frees() -> None:
    from distributed import Client

    from noisebook.shared.workers import workers

    with workers(1) as (address, _), Client(address) as client:
        assert client.submit(_faults).result(60) < 2 * (64 << 20) // os.sysconf("SC_PAGESIZE")
