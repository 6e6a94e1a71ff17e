"""The fast answer: has anything changed since the last build that left a finished site?

A digest over the signature (size, times, inode) of every file that a build reads or writes: all that is
visible in the report's folder, and whatever else the last build opened. It imports next to nothing. Any
difference, and the full answer of ``plan`` is asked for; it can only err on that side.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

FORMAT = 3
TICK = 50_000_000
"""A file that changed in the last 50 ms before the look may change again without a new time stamp (ns)."""

OUTPUTS = ("cache", "site")
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OURS = (
    [PACKAGE]
    if os.path.isdir(os.path.join(PACKAGE, "generators"))
    else [os.path.join(os.path.dirname(PACKAGE), name) for name in ("noisebook", "generators", "templates")]
)
"""Noisebook itself: as installed, or as its repository holds it."""


def look(root: Path, places: Iterable[str]) -> tuple[str, int]:
    """The digest of all signatures under ``places``, and the newest change (ns) among them."""
    digest = hashlib.sha256(f"{FORMAT} {root} {_surroundings()}".encode())
    newest = 0
    for place in places:
        lines = []
        for path, stat in _walk(os.path.join(root, place)):
            changed = stat.st_ctime_ns
            if changed > newest:
                newest = changed
            lines.append(f"{path}\0{stat.st_size} {stat.st_mtime_ns} {changed} {stat.st_ino}\n")
        digest.update("".join(lines).encode(errors="surrogateescape"))
    return digest.hexdigest(), newest


def _surroundings() -> list[Any]:
    """What matters beside files: Python, the installed packages (their folder changes), our variables."""
    return [
        sys.version,
        [(path, os.stat(path).st_mtime_ns) for path in sys.path if path.endswith("-packages")],
        sorted((name, value) for name, value in os.environ.items() if name.startswith("NOISEBOOK_")),
    ]


def inputs(root: Path) -> list[str]:
    """What a build may read: all of the report's folder but what builds write, and noisebook itself."""
    return [*sorted(name for name in os.listdir(root) if _seen(name) and name not in OUTPUTS), *OURS]


def _seen(name: str) -> bool:
    """Hidden files are left out: an editor's, version control's, and locks."""
    return not name.startswith(".") and name != "__pycache__"


def _walk(path: str, linked: set[str] | None = None) -> Iterator[tuple[str, os.stat_result]]:
    """Every readable file at or under ``path``. Of links to one folder one is followed: there are loops."""
    linked = set() if linked is None else linked
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except NotADirectoryError:
        with suppress(OSError):  # a file, or nothing: what should be its folder is a file
            yield path, os.stat(path)
        return
    except OSError:
        return
    for entry in entries:
        if not _seen(entry.name):
            continue
        if entry.is_dir():
            if entry.is_symlink():
                real = os.path.realpath(entry.path)
                if real in linked:
                    continue
                linked.add(real)
            yield from _walk(entry.path, linked)
        else:
            with suppress(OSError):
                yield entry.path, entry.stat()


def last_summary(root: Path) -> str | None:
    """The summary of the last build if nothing has changed since, else None."""
    try:
        with open(os.path.join(root, ".noisebook", "fresh"), encoding="utf-8") as file:
            known, places, summary = file.read(1_000_000).split("\n", 2)
    except (OSError, ValueError):
        return None
    more = list(filter(None, places.split("\0")))
    return (
        summary
        if _answer(look(root, [*inputs(root), *OUTPUTS, *more])[0], places, summary) == known
        else None
    )


def _answer(digest: str, places: str, summary: str) -> str:
    return hashlib.sha256("\n".join((digest, places, summary)).encode(errors="surrogateescape")).hexdigest()


def besides(root: Path, opened: Iterable[str]) -> list[str]:
    """Of the files and folders that a build opened, those that the walk over the report does not see."""
    top = os.path.abspath(root)
    installed = [place for place in sys.path if place.endswith("-packages")]  # see _surroundings
    python = (sys.prefix, sys.base_prefix, *installed)
    walked = (*python, os.path.join(top, ".noisebook"), "/proc", "/sys", "/dev", *OURS)
    result = set()
    for path in opened:
        inside = path == top or path.startswith(top + os.sep)
        seen = inside and all(_seen(name) for name in path[len(top) + 1 :].split(os.sep) if name)
        bytecode = f"{os.sep}__pycache__" in path
        if not (seen or bytecode) and not f"{path}{os.sep}".startswith(
            tuple(place + os.sep for place in walked)
        ):
            result.add(path)
    return sorted(result - {top, *map(os.path.abspath, sys.path)})


def remember(root: Path, before: str, summary: str, opened: Iterable[str], started: int) -> None:
    """The site is finished: keep what everything looks like.

    ``before`` is the digest of the inputs from before they were read, at ``started`` (ns): had one changed
    meanwhile, the site would not show it.
    """
    path = root / ".noisebook" / "fresh"
    path.unlink(missing_ok=True)
    more = besides(root, opened)
    written = tuple(os.path.join(os.path.abspath(root), name) + os.sep for name in OUTPUTS)
    read = [place for place in more if not place.startswith(written)]
    if any("\n" in place for place in more) or look(root, read)[1] > started - TICK:
        return
    for _ in range(20):
        digest, newest = look(root, [*inputs(root), *OUTPUTS, *more])
        if newest < time.time_ns() - TICK:
            break
        time.sleep(TICK / 1e9)
    else:
        return  # somebody is writing
    if look(root, inputs(root))[0] == before:
        places = "\0".join(more)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = f"{_answer(digest, places, summary)}\n{places}\n{summary}"
        with suppress(OSError):
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
