"""A Dask cluster of this machine's own processes, for as long as a build takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def workers(count: int) -> Iterator[tuple[str, str]]:
    """The address of a scheduler with ``count`` workers, and the threads that each of them should use.

    The machine's processors are shared out evenly, unless OMP_NUM_THREADS says otherwise.
    """
    from distributed import LocalCluster

    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // count))
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "silence_logs": 50}
    with LocalCluster(n_workers=count, host="127.0.0.1", **options) as cluster:
        yield cluster.scheduler_address, threads
