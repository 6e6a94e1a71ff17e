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
    import dask
    from distributed import LocalCluster

    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // count))
    # Dask has freed memory given back at once, and a thread's memory apart from the process's: then each step
    # takes its memory afresh from the kernel, which clears it page by page.
    kept = {"MALLOC_ARENA_MAX": 1, "MALLOC_MMAP_MAX_": 0, "MALLOC_TRIM_THRESHOLD_": 2**62}
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "silence_logs": 50}
    name = "distributed.nanny.pre-spawn-environ"
    environment = {name: {**dask.config.get(name), **kept}}
    with dask.config.set(environment), LocalCluster(n_workers=count, host="127.0.0.1", **options) as cluster:
        yield cluster.scheduler_address, threads
