"""One computation in several processes at once, one for each device, by accelerate's launcher.

The processes are new ones: a fork of the builder would inherit its threads and its hold on the devices. Each
opens the report itself, as a Dask worker does, and calls one function of the cell's generator. They end when
the builder does, however it ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from noisebook.cells.contract import Cell, Context
from noisebook.cells.plan import Planned

VARIABLE = "NOISEBOOK_PROCESSES"
WORKER = "noisebook.worker"
"""What each process runs; it opens reports, and so stands above this room."""
PROGRESS, FAILED = "noisebook progress: ", "noisebook failed: "
"""How lines of a process begin that are for the builder."""


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
        "--module", WORKER, str(root), str(planned.store.place.resolve()), planned.key, function.__name__,
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
