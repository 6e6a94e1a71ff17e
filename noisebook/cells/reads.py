"""Which files this process opens or writes: what a build depends on, and what a generator opens unasked.

By an audit hook, which sees every ``open`` of Python's own; a library that opens files in C is not seen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from noisebook.cells.folders import embedded, user_cache
from noisebook.cells.fresh import OURS

if TYPE_CHECKING:
    from noisebook.cells.plan import Planned


WRITES = {"os.rename": 2, "os.remove": 1, "os.truncate": 1}
"""How many files each of these events names first."""
WATCHED = {"open", "os.scandir", "os.listdir", *WRITES}


class Recorded(NamedTuple):
    """Absolute paths, as they were named."""

    opened: set[str]
    """Files opened for reading, and folders listed."""
    written: set[str]
    """Files written, renamed or removed."""


_recorded: Recorded | None = None
_guard: Callable[[str], None] | None = None
_installed = False


def record() -> Recorded:
    """What this process opens and writes from now on."""
    global _recorded
    _install()
    _recorded = Recorded(set(), set())
    return _recorded


@contextmanager
def guarded(check: Callable[[str], None]) -> Iterator[None]:
    """Call ``check`` with the absolute path of each file that is opened for reading, before it is."""
    global _guard
    _install()
    before, _guard = _guard, check
    try:
        yield
    finally:
        _guard = before


def _install() -> None:
    """A hook cannot be taken off again: one stands for all."""
    global _installed
    if not _installed:
        _installed = True
        sys.addaudithook(_seen)


def _seen(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in WATCHED or (_recorded is None and _guard is None):
        return
    if event in WRITES or (event == "open" and _writes(*arguments[1:3])):
        if _recorded is not None:
            _recorded.written.update(map(_absolute, arguments[: WRITES.get(event, 1)]))
        return
    path = arguments[0] if arguments[0] is not None else "."
    if isinstance(path, int):
        return
    name = _absolute(path)
    if _recorded is not None:
        _recorded.opened.add(name)
    if _guard is not None and event == "open":
        _guard(name)


def _absolute(path: Any) -> str:
    return "" if isinstance(path, int) else os.path.abspath(os.fsdecode(path))


def _writes(mode: str | None, flags: int | None) -> bool:
    if mode is not None:
        return any(letter in mode for letter in "wax")
    return bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


class UndeclaredInput(Exception):
    """A generator opens a file of the report that its cells do not name: its edit would rerun nothing."""


CODE = (".py", ".pyc", ".so", ".pyd")


def undeclared(group: Sequence[Planned], root: Path, files: Collection[Path]) -> Callable[[str], None]:
    """Raises UndeclaredInput for a file of the report that is no input, code, model or cell of ``group``."""
    top, generator = os.path.abspath(root), group[0].generator.name
    named = {os.path.abspath(path) for planned in group for path in planned.inputs.values()}
    named |= {os.path.abspath(path) for path in files}
    places = [os.path.join(top, name) for name in (".noisebook", ".git", "site")]
    places += [os.path.abspath(planned.store.place) for planned in group[:1]]
    places += [str(user_cache()), sys.prefix, *OURS, *map(str, embedded())]
    inside, allowed = top + os.sep, tuple(place + os.sep for place in places)

    def check(path: str) -> None:
        if not path.startswith(inside) or path.endswith(CODE) or path.startswith(allowed) or path in named:
            return
        raise UndeclaredInput(
            f"it opens {path[len(inside) :]}, which its cells do not name: an edit of that file would rerun "
            f"nothing. Give it in `inputs` of the cells of {generator}, and open context.input(cell, name)"
        )

    return check
