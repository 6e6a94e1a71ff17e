"""The files that an author's parameters name: inside the report's folder, there, and whole."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, cast

from noisebook.cells.contract import InputFile
from noisebook.cells.folders import write_note
from noisebook.cells.registry import suggest
from noisebook.models.library import folder

if TYPE_CHECKING:
    from PIL import Image

LARGEST_PICTURE = 50_000_000
"""Pixels that an input picture may have: what is larger is taken for a decompression bomb."""
Look = tuple[int, int, int, int]
"""Of a picture: width and height after EXIF rotation, its darkest and its brightest grey."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
LARGEST_FILE = 200_000_000
"""Bytes that an input file may have."""


class BadFile(Exception):
    """What is wrong with a file, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def inside(root: Path, name: str) -> Path:
    """The file called ``name``, which no author can place outside ``root``; raises :class:`BadFile`."""
    if not name.strip():
        raise BadFile("expected the name of a file, found nothing")
    pure = PurePosixPath(name)
    if "\\" in name or PureWindowsPath(name).drive:
        raise BadFile(f"{name!r} is not written with forward slashes, relative to the report's folder")
    if pure.is_absolute() or ".." in pure.parts:
        raise BadFile(f"{name!r} leads out of the report's folder", "copy the file into the folder")
    path = root / pure
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            raise BadFile(f"{name!r} is a link out of the report's folder", "copy the file into the folder")
    except (OSError, RuntimeError) as error:
        raise BadFile(f"{name!r} cannot be followed: {error}") from error
    return path


class InputFiles:
    """The input files of one report.

    A picture is decoded once: the sizes and greys of whole pictures are remembered in
    ``.noisebook/pictures.json``, by the digest of their bytes. Losing that file costs time alone.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._memory = root / ".noisebook" / "pictures.json"
        self._looks: dict[str, Look] | None = None
        self._learnt = False
        self._checked: dict[tuple[str, str], Look | BadFile | None] = {}

    def check(self, name: str, kind: InputFile) -> None:
        """Raise :class:`BadFile` unless ``name`` is such a file."""
        key = (name, kind.kind)
        if kind.kind == "file" and (name, "image") in self._checked:
            key = (name, "image")
        if key not in self._checked:
            try:
                if kind.kind == "image":
                    self._checked[key] = self._look(name, self._read(name, LARGEST_FILE))
                else:
                    self._read(name, 1)
                    self._checked[key] = None
            except BadFile as bad:
                self._checked[key] = bad
        result = self._checked[key]
        if isinstance(result, BadFile):
            raise result

    def image_size(self, path: str) -> tuple[int, int]:
        """Width and height in pixels, after EXIF rotation."""
        return self._picture(path)[:2]

    def image_range(self, path: str) -> tuple[int, int]:
        """Its darkest and its brightest grey, 0 to 255: the mean of the channels, over white."""
        return self._picture(path)[2:]

    def _picture(self, path: str) -> Look:
        self.check(path, InputFile("image"))
        look = self._checked[path, "image"]
        assert isinstance(look, tuple)
        return look

    def check_library(self, name: str) -> None:
        """Raise :class:`BadFile` or BadPicture unless ``name`` is a folder of whole, named pictures.

        They are decoded when one of the folder's files has changed: ``.noisebook/library`` remembers.
        """
        path = inside(self.root, name)
        memory = self.root / ".noisebook" / "library"
        lines = [str(path)]
        for file in sorted(path.rglob("*")):
            stat = file.stat()
            lines.append(f"{file}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}")
        seen = hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()
        try:
            if memory.read_text() == seen:
                return
        except (OSError, ValueError):
            pass  # never looked, or the memory is spoilt
        folder(path)
        write_note(memory, seen.encode())

    def save(self) -> None:
        """Remember what was learnt about pictures, where that is possible."""
        if not self._learnt:
            return
        temporary = self._memory.with_name(f"pictures.{os.getpid()}.tmp")
        try:
            self._memory.parent.mkdir(exist_ok=True)
            temporary.write_text(json.dumps(self._known()))
            temporary.replace(self._memory)
        except OSError:
            return  # a folder that cannot be written can still be read

    def _read(self, name: str, length: int) -> bytes:
        path = inside(self.root, name)
        try:
            if path.is_dir():
                raise BadFile(f"{name!r} is a folder, not a file")
            if path.stat().st_size > LARGEST_FILE:
                raise BadFile(f"{name!r} is larger than {LARGEST_FILE // 1_000_000} MB")
            with path.open("rb") as stream:
                return stream.read(length)
        except FileNotFoundError:
            raise BadFile(f"there is no file {name!r}", self._nearest(path)) from None
        except (OSError, ValueError) as error:
            raise BadFile(f"{name!r} cannot be read: {getattr(error, 'strerror', error)}") from error

    def _nearest(self, path: Path) -> str:
        folder = path.parent
        while not folder.is_dir():
            folder = folder.parent
        near = suggest(path.name, tuple(sorted(each.name for each in folder.iterdir())), "files")
        if folder == path.parent and near.startswith("did you mean"):
            return near
        return f"paths are relative to the folder of report.yaml, {self.root}"

    def _known(self) -> dict[str, Look]:
        if self._looks is None:
            self._looks = {}
            try:
                for digest, (width, height, dark, bright) in json.loads(self._memory.read_bytes()).items():
                    self._looks[digest] = int(width), int(height), int(dark), int(bright)
            except (OSError, ValueError, TypeError, AttributeError):
                pass  # not there, or damaged: learn again
        return self._looks

    def _look(self, name: str, data: bytes) -> Look:
        digest = hashlib.sha256(data).hexdigest()
        known = self._known()
        if digest not in known:
            known[digest] = decode(name, data)
            self._learnt = True
        return known[digest]


def decode(name: str, data: bytes) -> Look:
    """What there is to know of a picture that decodes to its end; else :class:`BadFile`."""
    import io

    from PIL import ExifTags, Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > LARGEST_PICTURE:
                    raise Image.DecompressionBombError
                picture.verify()  # checksums, which decoding may not reach
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
                dark, bright = _greys(picture)
    except BadFile:
        raise
    except Image.DecompressionBombError as error:
        raise BadFile(f"{name!r} has more than {LARGEST_PICTURE:,} pixels") from error
    except Exception as error:  # decoders of damaged files raise almost anything
        formats = ", ".join(FORMATS[:-1]) + f" or {FORMATS[-1]}"
        said = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise BadFile(f"{name!r} is not a whole picture{said}", f"pictures are {formats}") from error
    return (height, width, dark, bright) if turned else (width, height, dark, bright)


def _greys(picture: Image.Image) -> tuple[int, int]:
    from PIL import Image

    if picture.has_transparency_data:
        paper = Image.new("RGBA", picture.size, "white")
        paper.alpha_composite(picture.convert("RGBA"))
        picture = paper
    # 16-bit grey would be clipped on the way to RGB, not scaled.
    scale = 257 if picture.mode.startswith("I") else 1
    if scale == 1:
        picture = picture.convert("RGB").convert("L", (1 / 3, 1 / 3, 1 / 3, 0))
    dark, bright = (round(cast(float, grey) / scale) for grey in picture.getextrema())
    return dark, bright
