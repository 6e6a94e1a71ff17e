"""The files that an author's parameters name: looked at once, and what was learnt of pictures remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from noisebook.cells.contract import InputFile
from noisebook.cells.folders import read_memo, write_memo
from noisebook.cells.media import Picture
from noisebook.report.model import Position, Problem
from noisebook.report.reader import LARGEST_FILE, BadFile, decode, inside, read_bytes


class InputFiles:
    """The input files of one report.

    A picture is decoded once: what :class:`Picture` says of whole ones is remembered in
    ``.noisebook/pictures.json``, by the digest of their bytes. Losing that file costs time alone.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._memory = root / ".noisebook" / "pictures.json"
        self._known: dict[str, Picture] | None = None
        self._learnt = False
        self._checked: dict[tuple[str, str], Picture | BadFile | None] = {}

    def check(self, name: str, kind: InputFile, at: Position | None = None) -> Picture | None:
        """What is known of a picture, None of another file; raises :class:`BadFile` unless it is a whole one.

        ``at`` is where its name was written.
        """
        key = (name, kind.kind)
        if kind.kind == "file" and (name, "image") in self._checked:
            key = (name, "image")
        at = at or Position(name)
        if key not in self._checked:
            try:
                data = read_bytes(self.root, name, LARGEST_FILE, at)
                self._checked[key] = self._look(data, name, at) if kind.kind == "image" else None
            except BadFile as bad:
                self._checked[key] = bad
        result = self._checked[key]
        if isinstance(result, BadFile):
            raise BadFile(result.told(at))
        return result

    def image_size(self, path: str) -> tuple[int, int]:
        """Width and height in pixels, after EXIF rotation."""
        picture = self._picture(path)
        return picture.width, picture.height

    def image_range(self, path: str) -> tuple[int, int]:
        """Its darkest and its brightest grey, 0 to 255: the mean of the channels, over white."""
        picture = self._picture(path)
        return picture.dark, picture.bright

    def _picture(self, path: str) -> Picture:
        picture = self.check(path, InputFile("image"))
        assert picture
        return picture

    def check_library(self, name: str, at: Position, check: Callable[[Path], object]) -> list[Problem]:
        """What is wrong with a folder of named pictures; ``check`` raises ValueError with a line for each.

        It is asked when one of the folder's files has changed: ``.noisebook/library`` remembers.
        """
        try:
            path = inside(self.root, name, at)
        except BadFile as bad:
            return bad.problems
        memory = self.root / ".noisebook" / "library"
        lines = [str(path)]
        for file in sorted(path.rglob("*")):
            with suppress(OSError):  # a link to nothing
                stat = file.stat()
                lines.append(f"{file}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}")
        seen = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
        if read_memo(memory, str) == seen:
            return []
        try:
            check(path)
        except ValueError as error:
            wrong = str(error).replace(f"{self.root}/", "").splitlines()
            return [Problem(at, each, "docs/sections.md says what a library holds") for each in wrong]
        write_memo(memory, seen)
        return []

    def save(self) -> None:
        """Remember what was learnt about pictures, where that is possible."""
        if self._learnt and self._known is not None:
            write_memo(self._memory, {sha: asdict(picture) for sha, picture in self._known.items()})

    def _look(self, data: bytes, name: str, at: Position) -> Picture:
        if self._known is None:
            self._known = read_memo(self._memory, dict[str, Picture]) or {}
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self._known:
            self._known[digest] = decode(data, name, at)
            self._learnt = True
        return self._known[digest]
