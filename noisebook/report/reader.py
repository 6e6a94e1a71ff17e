"""The one way to read a file that an author wrote or named: text or picture, whole, bounded, and regular.

Whatever is wrong raises :class:`BadFile`, which is a :class:`BadInput`: left alone, it is told at the file's
own beginning; with ``at``, where the file's name was written.
"""

from __future__ import annotations

import bisect
import errno
import os
import re
import stat
import unicodedata
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from noisebook.cells import media
from noisebook.cells.folders import find
from noisebook.cells.media import Picture
from noisebook.cells.names import suggest
from noisebook.report.model import BadInput, Position, Problem, quote

LARGEST_TEXT = 1_000_000
"""Bytes that a file of text may have."""
LARGEST_FILE = 200_000_000
"""Bytes that any other file may have."""
NEIGHBOURS = 2000
"""Names of a folder that are looked through for one like a missing file's."""

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")
"""Characters that no text may hold."""


class BadFile(BadInput):
    """One thing that is wrong with a file."""

    def __init__(self, problem: Problem) -> None:
        super().__init__([problem])
        self.problem = problem

    def told(self, at: Position) -> Problem:
        """The problem as it is told where the file's name was written."""
        within = self.problem.position != Position(self.problem.position.file)
        return self.problem if within else replace(self.problem, position=at)


class Source:
    """The text of one file, and where each of its characters stands.

    ``file`` is its name in messages: relative to the report's folder, with forward slashes.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def position(self, offset: int) -> Position:
        """The line and column of a character."""
        line = bisect.bisect_right(self._starts, offset)
        return Position(self.file, line, offset - self._starts[line - 1] + 1)


def inside(root: Path, name: str, at: Position | None = None) -> Path:
    """The path of ``name``, which no author can place outside ``root``; raises :class:`BadFile`."""
    pure = PurePosixPath(name)
    hint = "copy the file into the folder"
    if not name.strip():
        raise _bad(name, at, "expected the name of a file, found nothing")
    if "\\" in name or PureWindowsPath(name).drive:
        message = f"{quote(name)} is not written with forward slashes, relative to the report's folder"
        raise _bad(name, at, message)
    if pure.is_absolute() or ".." in pure.parts:
        raise _bad(name, at, f"{quote(name)} leads out of the report's folder", hint)
    try:
        path = find(root, name)
        own = path != root / name  # one of Noisebook's own models
        if not own and not path.resolve().is_relative_to(root.resolve()):
            raise _bad(name, at, f"{quote(name)} is a link out of the report's folder", hint)
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise _bad(name, at, f"{quote(name)} cannot be followed: {reason}") from error
    return path


def read_bytes(root: Path, name: str, most: int = LARGEST_FILE, at: Position | None = None) -> bytes:
    """The content of a regular file of at most ``most`` bytes under ``root``; raises :class:`BadFile`.

    ``name`` is relative to ``root``; ``at`` is where it was written, if it was. FIFOs and devices are refused
    before they are opened.
    """
    path = inside(root, name, at)
    who = "the file" if at is None else quote(name)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
            raise _bad(name, at, f"{who} cannot be read: it is {kind}, not a file")
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in (errno.ENOENT, errno.ENOTDIR):
            message = "there is no such file" if at is None else f"there is no file {quote(name)}"
            raise _bad(name, at, message, _nearest(root, name)) from None
        reason = getattr(error, "strerror", None) or error
        raise _bad(name, at, f"{who} cannot be read: {reason}") from error
    if len(data) > most:
        size = f"{most // 1000} kB" if most < 10_000_000 else f"{most // 1_000_000} MB"
        raise _bad(name, at, f"{who} is larger than {size}")
    return data


def read_text(
    root: Path,
    name: str,
    most: int = LARGEST_TEXT,
    at: Position | None = None,
    default: str | None = None,
) -> str:
    """The text of a UTF-8 file, with line feeds for line ends and without a byte order mark.

    A bad byte or control character is told at its line and column. ``default`` stands for a file that need
    not be there. Raises :class:`BadFile`; parameters are those of :func:`read_bytes`.
    """
    if default is not None and not os.path.lexists(root / name):
        return default
    data = read_bytes(root, name, most, at)
    who = "the file" if at is None else quote(name)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _bad(name, at, f"{who} is UTF-16", "save it as UTF-8")
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        good = Source(name, data[: error.start].decode())
        message = f"the byte 0x{data[error.start]:02x} is not UTF-8"
        raise BadFile(Problem(good.position(len(good.text)), message, "save the file as UTF-8")) from None
    if control := CONTROL.search(text):
        message = f"the control character U+{ord(control[0]):04X} has no place in a text"
        raise BadFile(Problem(Source(name, text).position(control.start()), message, "delete it"))
    return text


def read_picture(root: Path, name: str, at: Position | None = None) -> tuple[bytes, Picture]:
    """The bytes of a picture file and what they decode to; raises :class:`BadFile` as :func:`read_bytes`."""
    data = read_bytes(root, name, LARGEST_FILE, at)
    return data, decode(data, name, at)


def decode(data: bytes, name: str, at: Position | None = None) -> Picture:
    """:func:`noisebook.cells.media.decode` for a file of that name; else :class:`BadFile`."""
    try:
        return media.decode(data, "the file" if at is None else quote(name))
    except media.NotAPicture as error:
        formats = ", ".join(media.FORMATS[:-1]) + f" or {media.FORMATS[-1]}"
        raise _bad(name, at, str(error), f"pictures are {formats}") from error


def _bad(name: str, at: Position | None, message: str, hint: str = "") -> BadFile:
    return BadFile(Problem(at or Position(name), message, hint))


def _nearest(root: Path, name: str) -> str:
    """What to say of a file that is not there: the name that was probably meant."""
    folder, parts = root, PurePosixPath(name).parts
    for index, part in enumerate(parts):
        try:
            known = sorted(each.name for each in folder.iterdir())[:NEIGHBOURS]
        except OSError:
            break
        if part in known:
            folder = folder / part
            if folder.is_symlink() and not folder.exists():
                return f"{quote(part)} is a link to {quote(str(folder.readlink()))}, which is not there"
            continue
        for each in known:
            if _folded(each) == _folded(part):
                same = each.casefold() == part.casefold()
                what = "capital letters count" if same else "its accents are written in another Unicode form"
                return f"did you mean {each!r}? {what}"
        near = suggest(part, tuple(known), "files")
        if index == len(parts) - 1 and near.startswith("did you mean"):
            return near
        break
    return f"paths are relative to the folder of report.yaml, {root}"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
