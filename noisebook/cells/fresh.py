"""The fast answer: has anything changed since the last build that left a finished site?

A digest over the signature (size, times, inode) of every file that a build reads or writes. It imports next
to nothing. Any difference, and the full answer of ``plan`` is asked for; it can only err on that side.
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

FORMAT = 2
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
            known, summary = file.read().split("\n", 1)
    except (OSError, ValueError):
        return None
    return summary if look(root, [*inputs(root), *OUTPUTS])[0] == known else None


def remember(root: Path, before: str, summary: str) -> None:
    """The site is finished: keep what everything looks like.

    ``before`` is the digest of the inputs from before they were read: had one changed meanwhile, the site
    would not show it.
    """
    path = root / ".noisebook" / "fresh"
    path.unlink(missing_ok=True)
    for _ in range(20):
        digest, newest = look(root, [*inputs(root), *OUTPUTS])
        if newest < time.time_ns() - TICK:
            break
        time.sleep(TICK / 1e9)
    else:
        return  # somebody is writing
    if look(root, inputs(root))[0] == before:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{digest}\n{summary}", encoding="utf-8")
