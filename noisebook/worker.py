"""One of the processes that share the computation of a cell: see :mod:`noisebook.cells.launch`."""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
from pathlib import Path

from noisebook.cells.launch import FAILED, PROGRESS
from noisebook.cells.plan import Planned
from noisebook.cells.registry import said
from noisebook.cells.run import RunContext, Watcher
from noisebook.project import Project


class _PipeWatcher(Watcher):
    """Tells the builder of progress, by a pipe."""

    def progress(self, planned: Planned, done: float, total: float, note: str) -> None:
        print(PROGRESS + json.dumps([done, total, note]), flush=True)


def _end_with_the_builder() -> None:
    """The pipe ends when the builder does, be it by SIGKILL."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main() -> None:
    """Take part: arguments are the report's folder, the store's, the cell's key and the function."""
    threading.Thread(target=_end_with_the_builder, daemon=True).start()
    root, place, key, name = sys.argv[1:]
    try:
        book = Project(Path(root), place=place)
        planned = book.everything.get(key)
        if planned is None:
            raise RuntimeError("the report has changed since this build began: build again")
        first = os.environ.get("RANK", "0") == "0"
        function = getattr(importlib.import_module(planned.generator.module), name)
        function(planned.cell, RunContext([planned], book.models, _PipeWatcher() if first else None))
    except BaseException as error:  # sys.exit(0) would pass for a cell that is computed
        print(f"{FAILED}{type(error).__name__}: {said(error)}", file=sys.stderr, flush=True)
        raise RuntimeError from error
    # The work is done and on disk. Threads of the process group may still run, and an interpreter that is
    # torn down around them now and then aborts ("terminate called without an active exception").
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
