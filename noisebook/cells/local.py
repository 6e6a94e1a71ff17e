"""What lies on a user's disk alone, for all their reports: local objects, and the scratch of unfinished runs.

Local objects (states of a reverse process, checkpoints of a training) are bounded by a size, and what has not
been used for the longest time goes first. Each can be computed again with its cell: those of this report's
cells go last, and those of cells that no build may compute unasked never. A scratch folder goes when its run
has not gone on for :data:`SCRATCH_AGE`.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from noisebook.cells.folders import user_cache
from noisebook.cells.store import Store

LIMIT = 5e9
"""Bytes of local objects, unless NOISEBOOK_LOCAL_SIZE says otherwise."""
SCRATCH_AGE = 30 * 86400.0
IN_USE = 3600.0
"""Seconds after its last use in which an object may belong to a build that is running."""


@dataclass(frozen=True, slots=True)
class Surplus:
    """Local objects and scratch folders that go, and their bytes."""

    paths: list[Path] = field(default_factory=list)
    bytes: int = 0

    def drop(self) -> None:
        """Remove them."""
        for path in self.paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def surplus(store: Store, kept: Collection[str], limit: float, affordable: float) -> Surplus:
    """What of the local objects is beyond ``limit`` bytes, and which scratch is too old. Touches nothing.

    Args:
        kept: the keys that this report uses.
        affordable: seconds that a build may take unasked: local objects of kept cells that took longer stay.
    """
    own: dict[str, float] = {}
    for key in kept:
        if entry := store.entries.get(key):
            own |= {
                sha: max(entry.seconds, own.get(sha, 0.0)) for sha, keep in entry.objects if keep == "local"
            }
    now = time.time()
    files = {path: path.stat() for path in _children(store.local) if path.is_file()}
    size = sum(stat.st_size for stat in files.values())
    found = Surplus(*_old_scratch(now))
    gone = 0
    for path in sorted(files, key=lambda path: (path.name in own, files[path].st_mtime)):
        if size - gone <= limit:
            break
        if own.get(path.name, 0.0) <= affordable and now - files[path].st_mtime > IN_USE:
            found.paths.append(path)
            gone += files[path].st_size
    return Surplus(found.paths, found.bytes + gone)


def _old_scratch(now: float) -> tuple[list[Path], int]:
    """The scratch folders in which nothing has changed for long, and their bytes."""
    paths, size = [], 0
    for folder in _children(user_cache() / "scratch"):
        stats = [path.stat() for path in (folder, *folder.rglob("*"))]
        if now - max(stat.st_mtime for stat in stats) > SCRATCH_AGE:
            paths.append(folder)
            size += sum(stat.st_size for stat in stats)
    return paths, size


def _children(folder: Path) -> Iterator[Path]:
    """What lies in a folder, if that is one; what is behind a link is not ours."""
    if folder.is_dir():
        yield from (path for path in folder.iterdir() if not path.is_symlink())
