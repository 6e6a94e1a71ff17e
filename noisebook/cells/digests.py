"""Digests of files, remembered between builds."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from noisebook.cells.folders import read_memo, write_memo

Signature = list[int]


def signature(stat: os.stat_result) -> Signature:
    """Changes whenever a file is written or replaced; ctime cannot be set back by ordinary means."""
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


@dataclass(slots=True)
class Digests:
    """Digests of input files, remembered by signature in ``notes`` between builds."""

    notes: Path
    wanted: set[Path] = field(default_factory=set)
    """Files whose digests were wanted, also those that did not have to be opened."""
    _kept: dict[str, tuple[Signature, str]] = field(default_factory=dict)
    _loaded: bool = False
    _dirty: bool = False

    def of(self, path: Path) -> str:
        """The sha256 of a file's content."""
        if not self._loaded:
            self._loaded = True
            self._kept = read_memo(self.notes, dict[str, tuple[Signature, str]]) or {}
        self.wanted.add(path)
        sign = signature(path.stat())
        known = self._kept.get(str(path))
        if known is None or known[0] != sign:
            with path.open("rb") as file:
                known = sign, hashlib.file_digest(file, "sha256").hexdigest()
            self._kept[str(path)] = known
            self._dirty = True
        return known[1]

    def save(self) -> None:
        """Keep what was learnt."""
        if self._dirty:
            write_memo(self.notes, self._kept)
