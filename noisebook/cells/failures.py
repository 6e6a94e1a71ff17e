"""What a person is told when a generator fails."""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noisebook.cells.plan import Planned
from noisebook.cells.registry import said
from noisebook.cells.store import Absent

LONGEST, LONGEST_SAID = 4000, 2000
"""Characters of a message, and of what an error says in it."""


def explain_failure(
    error: BaseException, planned: Planned, errors: Path, plain: type[Exception], loaded: Mapping[str, Any]
) -> str:
    """One message for a person; the traceback of a generator's own mistake goes to a file.

    ``plain`` errors say themselves what to do; ``loaded`` are the models that were asked for.
    """
    return printable(_explained(error, planned, errors, plain, loaded))[:LONGEST]


def printable(text: str) -> str:
    """A text without what a terminal would obey: escapes, marks of direction, half characters."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def _explained(
    error: BaseException, planned: Planned, errors: Path, plain: type[Exception], loaded: Mapping[str, Any]
) -> str:
    if isinstance(error, plain):
        return str(error)
    if isinstance(error, Absent):
        return f"{planned.cell.id} of {planned.generator.name} goes on from what is lost: {error}"
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        why = said(error).removeprefix("out of memory").lstrip(":. ")
        return f"out of memory: {why}. Fewer cells at a time: noisebook build --only {planned.figure}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename) == planned.generator.path]
    where = f"{planned.generator.path}:{own[-1].lineno if own else 1}"
    if type(error).__name__ == "NotANumber":
        return f"{where}: {planned.generator.name}: {error}{_wider_range(planned, loaded, str(error))}"
    text = "".join(traceback.format_exception(error))
    errors.mkdir(parents=True, exist_ok=True)
    data = text.encode(errors="backslashreplace")
    path = errors / f"{planned.generator.name}-{hashlib.sha256(data).hexdigest()[:8]}.txt"
    path.write_bytes(data)
    if isinstance(error, ModuleNotFoundError):
        return (
            f"{where}: {planned.generator.name} needs {error.name}, which is not installed: "
            "noisebook[figures] brings numpy, noisebook[compute] what models need"
        )
    return (
        f"{where}: {planned.generator.name}: {type(error).__name__}: {said(error)[:LONGEST_SAID]}\n"
        f"    the whole traceback is in {path}"
    )


def _wider_range(planned: Planned, loaded: Mapping[str, Any], said: str) -> str:
    """What precision the models of a cell compute in and which setting helps, if no error has said it."""
    found = ""
    for name in planned.models.values():
        model = loaded.get(name)
        helps, precision = (getattr(model, key, "") for key in ("if_it_overflows", "precision"))
        if helps and helps not in said:
            found += f"; {name} computes in {precision}: {helps}"
    return found
