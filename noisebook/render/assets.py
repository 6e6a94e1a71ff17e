"""The files of a site: what it should hold, written atomically, and what it held before."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from noisebook.cells.folders import LARGEST_NOTE, read_regular, replace

NOTES = ".noisebook.json"
"""The names of the files that we wrote, so that only they are ever removed."""
RULES = 2
"""How assets are made of outputs. Raise it where that changes: those of an earlier site are made anew."""


class NotOwn(Exception):
    """A file of the site would be written outside it."""


def _notes(path: Path) -> dict[str, Any]:
    """What an earlier build noted of its site; raises ValueError where that is anything else.

    Without a schema: an edit of words is on its page before what checks schemas is imported.
    """
    try:
        notes = json.loads(read_regular(path, LARGEST_NOTE))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if type(notes) is not dict or type(files := notes.get("files")) is not dict:
        raise ValueError("no names of files")
    if not all(type(digest) is str for digest in files.values()):
        raise ValueError("a digest is no text")
    return notes


class Site:
    """Collects files by name, then writes what differs and removes what is left over from before."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._files: dict[str, bytes | None] = {}
        self._within: dict[Path, bool] = {}
        self._noted: set[str] = set()
        self._there: dict[str, set[str]] = {}
        try:
            found = _notes(out / NOTES)
            self._before = {name: digest for name, digest in found["files"].items() if self._own(name)}
            self._kept = found.get("rules") == RULES
        except (OSError, ValueError):
            self._before, self._kept = {}, False

    def _own(self, name: str) -> bool:
        """Whether a file of that name lies in the site, and no link leads from there to another place."""
        folder = (self.out / name).parent
        if folder not in self._within:
            try:
                self._within[folder] = folder.resolve().is_relative_to(self.out.resolve())
            except (OSError, RuntimeError, ValueError):
                self._within[folder] = False
        return self._within[folder] and ".." not in name.split("/")

    def keep(self, name: str) -> bool:
        """Keep an asset, whose name tells its content, if it stands there already; whether it does."""
        if self._files.get(name) is None:
            if not (self._kept and name in self._before and self._stands(name)):
                return False
            self._files[name] = None
        self._noted.add(name)
        return True

    def _stands(self, name: str) -> bool:
        """Whether there is such a file: each folder is looked at once."""
        folder, _, file = name.rpartition("/")
        if folder not in self._there:
            try:
                with os.scandir(self.out / folder) as entries:
                    self._there[folder] = {entry.name for entry in entries if entry.is_file()}
            except OSError:
                self._there[folder] = set()
        return file in self._there[folder]

    @contextmanager
    def noting(self) -> Iterator[set[str]]:
        """The names of what is added or kept within the block."""
        self._noted = noted = set[str]()
        try:
            yield noted
        finally:
            self._noted = set()

    def digest(self, name: str) -> str:
        """The sha256 of a file that was added or kept."""
        data = self._files[name]
        return self._before[name] if data is None else hashlib.sha256(data).hexdigest()

    def add(self, name: str, data: bytes) -> str:
        """Put a file at ``name``, relative to the site's root."""
        self._files[name] = data
        self._noted.add(name)
        return name

    def read(self, name: str) -> bytes:
        """A file that was added or kept."""
        data = self._files.get(name)
        return (self.out / name).read_bytes() if data is None else data

    def add_hashed(self, stem: str, suffix: str, data: bytes) -> str:
        """Put an asset whose name holds a hash of its content."""
        return self.add(f"assets/{stem}.{hashlib.sha256(data).hexdigest()[:12]}{suffix}", data)

    def write(self) -> list[str]:
        """Assets first, then pages, then what is no longer wanted goes. Returns the pages that changed."""
        digests: dict[str, str] = {}
        changed: list[str] = []
        for name in sorted(self._files, key=lambda name: (not name.startswith("assets/"), name)):
            data = self._files[name]
            if data is None:
                digests[name] = self._before[name]
                continue
            digests[name] = hashlib.sha256(data).hexdigest()
            path = self.out / name
            if not self._own(name):
                raise NotOwn(f"{path} lies behind a link that leads out of {self.out}: remove the link")
            try:
                if path.stat().st_size == len(data) and path.read_bytes() == data:
                    continue
            except OSError:
                pass
            replace(path, data)
            if name.endswith(".html"):
                changed.append(name)
        if digests != self._before or not self._kept:
            notes = json.dumps({"files": digests, "rules": RULES}, indent=0, sort_keys=True)
            replace(self.out / NOTES, notes.encode())
        for name in self._before.keys() - digests.keys():
            (self.out / name).unlink(missing_ok=True)
        return changed
