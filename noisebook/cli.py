"""The entry point: a plain ``noisebook build`` with nothing to do is answered before anything is imported."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisebook.cells.fresh import Now


class _Patient(io.FileIO):
    """A stream that may be closed or full while the work goes on: what was begun is finished all the same."""

    lost: OSError | None = None
    replaced: Any = None
    """The stream that this one stands for: it closes the descriptor when it goes."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):  # ``| head -1`` has read what it wanted
                self.lost = error
            return memoryview(data).nbytes


def _patient(name: str) -> _Patient:
    """Let sys.stdout or sys.stderr write by way of a :class:`_Patient`, and give that."""
    stream = getattr(sys, name) or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (to the end)
    raw = _Patient(stream.fileno(), "w", closefd=False)
    text = io.TextIOWrapper(
        io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=stream.line_buffering
    )
    raw.replaced = stream
    setattr(sys, name, text)
    return raw


def _at_once(now: Now) -> str | None:
    """The summary of a build that has nothing to do, or, once their pages are written, edited words alone."""
    if now.summary is not None or now.memory is None:
        return now.summary
    from noisebook.render.again import rewrite

    return rewrite(Path.cwd(), now)


def _now() -> Now | None:
    """What has changed in the report here, for a plain build of it."""
    if sys.argv[1:] not in (["build"], ["build", "--frozen"]) or not Path("report.yaml").is_file():
        return None
    from noisebook.cells.fresh import Now

    try:
        return Now(Path.cwd())
    except OSError:
        return None


def main() -> None:
    """Run the command line."""
    out, _ = _patient("stdout"), _patient("stderr")
    try:
        if (now := _now()) and (summary := _at_once(now)) is not None:
            print(summary)
        else:
            from noisebook.commands import cli

            cli(obj=now)
    finally:
        sys.stdout.flush()
        if out.lost:
            sys.exit(f"Error: the output could not be written: {out.lost.strerror}")


def script() -> None:
    """Run the command line as a process of its own, which ends without freeing every object.

    To free them takes a tenth of a build of 10,000 cells.
    """
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    import atexit
    import threading

    if threading.active_count() == 1:  # others are waited for
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    script()
