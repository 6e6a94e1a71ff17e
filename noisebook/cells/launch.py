"""One computation in several processes at once, one for each device, by accelerate's launcher.

The processes are new ones: a fork of the builder would inherit its threads and its hold on the devices. Each
opens the report itself, as a Dask worker does, and calls one function of the cell's generator. They end when
the builder does, however it ends.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from noisebook.cells.contract import Cell, Context
from noisebook.cells.plan import Planned, everything

VARIABLE = "NOISEBOOK_PROCESSES"


def processes() -> int:
    """How many: what NOISEBOOK_PROCESSES says, else the number of GPUs; 1 where there are none."""
    if wanted := os.environ.get(VARIABLE):
        if not (wanted.isdecimal() and int(wanted)):
            raise ValueError(f"{VARIABLE} is a number of processes, not {wanted!r}")
        return int(wanted)
    import torch

    return max(1, torch.cuda.device_count())


def launch(
    function: Callable[[Cell, Context], None],
    planned: Planned,
    root: Path,
    count: int,
    progress: Callable[[float, float, str], None],
) -> None:
    """Call ``function``, a name of the generator's module, in ``count`` processes; ends when all have.

    Raises RuntimeError if one fails, with what it wrote as a note.
    """
    import torch

    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(count),
        "--num_machines", "1", "--main_process_port", "0", "--dynamo_backend", "no",
        "--mixed_precision", os.environ.get("ACCELERATE_MIXED_PRECISION", "no"),
        "--module", __name__, str(root), str(planned.store.place.resolve()), planned.key, function.__name__,
    ]  # fmt: skip
    cpu = {} if torch.cuda.is_available() else {"ACCELERATE_USE_CPU": "true"}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            env={**os.environ, **cpu},
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith(PROGRESS):
                    progress(*json.loads(line.removeprefix(PROGRESS)))
        finally:
            process.stdin.close()
            status = process.wait()
        if status:
            errors.seek(0)
            text = errors.read()
            said = [line for line in text.splitlines() if line.startswith(FAILED)] or [
                f"exit status {status}"
            ]
            failure = RuntimeError(f"in one of {count} processes: {said[0].removeprefix(FAILED)}")
            failure.add_note(text)
            raise failure


# In each of the processes

PROGRESS, FAILED = "noisebook progress: ", "noisebook failed: "


class _Told:
    """A watcher that tells the builder, by a pipe."""

    def begin(self, group: object) -> None: ...
    def finished(self, planned: object, record: object) -> None: ...
    def failed(self, group: object, message: str) -> None: ...

    def progress(self, planned: object, done: float, total: float, note: str) -> None:
        print(PROGRESS + json.dumps([done, total, note]), flush=True)


def _end_with_the_builder() -> None:
    """The pipe ends when the builder does, be it by SIGKILL."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main() -> None:
    """Take part: arguments are the report's folder, the store's, the cell's key and the function."""
    from noisebook.cells.run import RunContext
    from noisebook.project import Project

    threading.Thread(target=_end_with_the_builder, daemon=True).start()
    root, place, key, name = sys.argv[1:]
    try:
        book = Project(Path(root), place=place)
        planned = everything(c for cells in book.planned.values() for c in cells).get(key)
        if planned is None:
            raise RuntimeError("the report has changed since this build began: build again")
        first = os.environ.get("RANK", "0") == "0"
        function = getattr(importlib.import_module(planned.generator.module), name)
        function(planned.cell, RunContext([planned], book.models, _Told() if first else None))
    except Exception as error:
        print(f"{FAILED}{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        raise
    # The work is done and on disk. Threads of the process group may still run, and an interpreter that is
    # torn down around them now and then aborts ("terminate called without an active exception").
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
