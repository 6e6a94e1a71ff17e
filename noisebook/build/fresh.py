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
from pathlib import Path

FORMAT = 1
TICK = 50_000_000
"""A file that changed in the last 50 ms before the look may change again without a new time stamp (ns)."""

INPUTS = ("sections", "templates", "generators", "images", "models")
OUTPUTS = ("cache", "site")
SKIPPED = frozenset({"__pycache__", ".locks", "aside"})
PACKAGE = str(Path(__file__).resolve().parents[1])


def look(root: Path, places: Iterable[str]) -> tuple[str, int]:
    """The digest of all signatures under ``places``, and the newest time stamp (ns) among them."""
    digest = hashlib.sha256(f"{FORMAT} {sys.version} {root}".encode())
    newest = 0
    for place in places:
        for path, stat in _walk(os.path.join(root, place)):
            newest = max(newest, stat.st_mtime_ns, stat.st_ctime_ns)
            line = f"{path}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}\n"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest(), newest


def inputs(root: Path, extra: Iterable[str] = ()) -> list[str]:
    """What a build reads: files beside report.yaml, the input folders, noisebook itself."""
    return [*sorted(entry.name for entry in os.scandir(root) if entry.is_file()), *INPUTS, *extra, PACKAGE]


def _walk(path: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except NotADirectoryError:
        yield path, os.stat(path)
        return
    except FileNotFoundError:
        return
    for entry in entries:
        if not entry.is_dir():
            yield entry.path, entry.stat()
        elif entry.name not in SKIPPED:
            yield from _walk(entry.path)


def last_summary(root: Path) -> str | None:
    """The summary of the last build if nothing has changed since, else None."""
    try:
        with open(os.path.join(root, ".noisebook", "fresh"), encoding="utf-8") as file:
            extra, known, summary = file.read().split("\n", 2)
    except (OSError, ValueError):
        return None
    return summary if look(root, [*inputs(root, extra.split("\t")), *OUTPUTS])[0] == known else None


def remember(root: Path, before: str, extra: list[str], summary: str) -> None:
    """The site is finished: keep what everything looks like.

    ``before`` is the digest of the inputs from before they were read: had one changed meanwhile, the site
    would not show it. ``extra`` are further inputs that report.yaml names.
    """
    path = root / ".noisebook" / "fresh"
    path.unlink(missing_ok=True)
    while True:
        digest, newest = look(root, [*inputs(root, extra), *OUTPUTS])
        if newest < time.time_ns() - TICK:
            break
        time.sleep(TICK / 1e9)
    if look(root, inputs(root))[0] == before:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\t".join(extra) + f"\n{digest}\n{summary}", encoding="utf-8")
