"""One net under every command: whatever goes wrong has a message for a person, and an exit status."""

from __future__ import annotations

import errno
import traceback
import warnings
from pathlib import Path
from typing import Any

import click

from noisebook.cells.failures import printable
from noisebook.cells.registry import GeneratorError, said
from noisebook.report.model import BadInput

UNFINISHED, BAD_INPUT = 1, 2
LOOP = "Symlink loop from "


class Guarded(click.Group):
    """Commands whose errors are for people: a message and an exit status, and the traceback with --debug."""

    group_class = type
    """Groups within are guarded too."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Every command takes --debug."""
        cmd.params.append(
            click.Option(
                ["--debug"], is_flag=True, expose_value=False, help="Show the traceback of an error.",
                callback=lambda ctx, _, value: ctx.meta.update(debug=value),
            )
        )  # fmt: skip
        super().add_command(cmd, name)

    def invoke(self, ctx: click.Context) -> Any:
        warnings.showwarning = lambda message, *_: click.echo(f"warning: {message}", err=True)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            status, message = UNFINISHED, "stopped; everything that was finished is kept"
        except BaseException as error:  # sys.exit() in a generator is no success of the command
            if ctx.meta.get("debug"):
                traceback.print_exc()
            status, message = explained(error)
        click.echo(printable(message), err=True)
        raise click.exceptions.Exit(status)


def explained(error: BaseException) -> tuple[int, str]:
    """The exit status and the message for a person of whatever went wrong."""
    if isinstance(error, BadInput):
        count = len(error.problems)
        last = f"{count} problem{'s' if count > 1 else ''}; {error.standing}"
        return BAD_INPUT, f"{error}\n{last}"
    if isinstance(error, GeneratorError):
        return BAD_INPUT, str(error)
    if isinstance(error, MemoryError):
        return UNFINISHED, "Error: out of memory. Fewer cells at a time: noisebook build --only ID"
    if isinstance(error, OSError):
        return UNFINISHED, f"Error: {_of_system(error)}"
    if said(error).startswith(LOOP):  # pathlib's, until Python 3.13
        return BAD_INPUT, f"Error: {said(error).removeprefix(LOOP)} is a link that leads to itself: remove it"
    if type(error).__module__.partition(".")[0] == "noisebook":  # its message was written for a person
        return UNFINISHED, f"Error: {error}"
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"  from {frame.filename}:{frame.lineno}; --debug shows the way there"
    return UNFINISHED, f"Error: {type(error).__name__}: {said(error)}\n{where}"


def _of_system(error: OSError) -> str:
    """What the system refused, of which file, and what to do."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the working folder is gone: cd to another one"
    name = str(error.filename2 or error.filename or "")
    what = f"{name if name.isprintable() else repr(name)}: {error.strerror or error}".removeprefix(": ")
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"cannot write {what}: make room"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{what}: give yourself the right to read and write it"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{what}: allow more, such as ulimit -n 1024"
    return what
