"""A library of named pictures: the shipped one, or anyone's folder.

Pictures are of two kinds: a ``piece`` has a transparent ground and can stand anywhere; a ``scene`` fills its
frame.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from noisebook.models.lock import Entry, MissingModel, digest

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 16
SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
WHERE = "library"
"""Key of a lock entry that names a folder of pictures in place of the shipped library."""


NAMES = "names.txt"
"""In such a folder: lines FILE: NAME for pictures whose file names do not say what they show."""


class BadPicture(MissingModel, ValueError):
    """A picture of a library cannot be used: which one, and why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: what it shows, how it is drawn, and where its bytes are."""

    name: str
    style: str
    kind: Literal["piece", "scene"]
    file: str


class Library:
    """Pictures by index. Nothing is decoded before it is asked for."""

    def __init__(self, path: Path, pictures: Sequence[Picture], more: Sequence[Path] = ()) -> None:
        """``path`` is a zip file, or a folder, that holds the pictures' files; ``more``, other zip files."""
        if not pictures:
            raise BadPicture(f"{path}: no pictures")
        self.path, self.pictures, self.more = path, tuple(pictures), tuple(more)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The distinct names, sorted."""
        return tuple(sorted({picture.name for picture in self.pictures}))

    @cached_property
    def by_name(self) -> dict[str, list[int]]:
        """Name → indices of its pictures."""
        out: dict[str, list[int]] = {name: [] for name in self.names}
        for index, picture in enumerate(self.pictures):
            out[picture.name].append(index)
        return out

    @cached_property
    def _archives(self) -> dict[str, zipfile.ZipFile]:
        """File → its zip file, opened once: reading its directory takes as long as ten pictures."""
        archives = [zipfile.ZipFile(path) for path in (self.path, *self.more) if path.is_file()]
        return {name: archive for archive in archives for name in archive.namelist()}

    def rgba(self, indices: Sequence[int], size: int) -> Tensor:
        """(N, 4, size, size) float32 in [0, 1]: colours multiplied by alpha, and alpha.

        Raises BadPicture for one that cannot be read.
        """
        import numpy as np
        import torch
        from PIL import Image, ImageOps, UnidentifiedImageError

        out = torch.empty(len(indices), 4, size, size)
        archives = self._archives
        for row, index in enumerate(indices):
            file = self.pictures[index].file
            try:
                data = archives[file].read(file) if archives else (self.path / file).read_bytes()
                image: Image.Image = Image.open(io.BytesIO(data))
                if min(image.size) < SMALLEST:
                    raise BadPicture(
                        f"{self.path}/{file}: {image.width}×{image.height} pixels, below {SMALLEST}"
                    )
                image = ImageOps.exif_transpose(image)
                if image.mode.startswith("I;16"):
                    image = image.point(lambda value: value / 256).convert("L")
                if image.width != image.height:
                    image = ImageOps.fit(image, (min(image.size),) * 2)
                image = image.convert("RGBA")
            except (
                OSError,
                ValueError,
                KeyError,
                SyntaxError,
                UnidentifiedImageError,
                Image.DecompressionBombError,
            ) as error:
                raise BadPicture(f"{self.path}/{file}: not a picture that can be read ({error})") from None
            values = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
            values[:, :3] *= values[:, 3:]
            if values.shape[-1] != size:
                values = torch.nn.functional.interpolate(
                    values, size=(size, size), mode="bilinear", antialias=True
                )
            out[row] = values[0]
        return out


def shipped(path: Path, *more: Path) -> Library:
    """The library that :mod:`tools.dataset` wrote, in one or several zip files."""
    records = []
    for each in (path, *more):
        with zipfile.ZipFile(each) as archive:
            records += json.loads(archive.read("index.json"))["pictures"]
    return Library(path, [Picture(**record) for record in records], more)


def write(path: Path, pictures: Sequence[tuple[Picture, bytes]]) -> None:
    """A zip of the pictures and their index: the same input gives the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        index = {"pictures": [asdict(picture) for picture, _ in pictures]}
        entries = [("index.json", json.dumps(index, indent=0, ensure_ascii=False).encode())]
        for name, data in entries + [(picture.file, data) for picture, data in pictures]:
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED if name == "index.json" else zipfile.ZIP_STORED
            archive.writestr(info, data)


def name_of(file: Path) -> str:
    """What a file's name says: ``red_apple-02.png`` is "red apple"."""
    words = re.sub(r"[_\-.+]+", " ", file.stem)
    return re.sub(r"\s+", " ", re.sub(r"\b\d+\b", " ", words)).strip().lower()


def picture_files(path: Path) -> list[Path]:
    """The pictures of a folder and its subfolders, by name."""
    if not path.is_dir():
        raise BadPicture(f"{path}: no such folder of pictures")
    files = [f for f in sorted(path.rglob("*")) if f.suffix.lower() in SUFFIXES and f.is_file()]
    if not files:
        raise BadPicture(f"{path}: no pictures ({', '.join(sorted(SUFFIXES))})")
    return files


def given_names(path: Path) -> dict[str, str]:
    """File → name from ``path/names.txt``, if there is one: lines ``FILE: NAME``, # begins a comment.

    Raises BadPicture with every line that is wrong.
    """
    where = path / NAMES
    if not where.is_file():
        return {}
    names: dict[str, str] = {}
    wrong = []
    try:
        lines = where.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadPicture(f"{where}: cannot be read as UTF-8 ({error})") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        file, _, name = (part.strip() for part in line.partition(": "))
        if not name:
            wrong.append(f"{where}:{number}: expected FILE: NAME, found {line.strip()!r}")
        elif file in names:
            wrong.append(f"{where}:{number}: {file!r} has a name already, {names[file]!r}")
        elif not (path / file).is_file():
            wrong.append(f"{where}:{number}: there is no file {file!r} in {path}")
        else:
            names[file] = name
    if wrong:
        raise BadPicture("\n".join(wrong))
    return names


def folder(path: Path) -> Library:
    """The pictures of a folder and its subfolders, named by their files or by its names.txt.

    Raises BadPicture with every file that is broken, too small or without a name, or if there are none.
    """
    from PIL import Image, UnidentifiedImageError

    pictures, wrong = [], []
    files, names = picture_files(path), given_names(path)
    for file in files:
        place = file.relative_to(path).as_posix()
        name = names.get(place) or name_of(file)
        if not name:
            wrong.append(f"{file}: its name says nothing of what it shows; rename it, or name it in {NAMES}")
        try:
            with Image.open(file) as image:
                size, clear = image.size, image.has_transparency_data
                image.load()
        except (
            OSError,
            ValueError,
            SyntaxError,
            UnidentifiedImageError,
            Image.DecompressionBombError,
        ) as error:
            wrong.append(f"{file}: not a picture that can be read ({error})")
            continue
        if min(size) < SMALLEST:
            wrong.append(f"{file}: {size[0]}×{size[1]} pixels, at least {SMALLEST} are needed")
        pictures.append(Picture(name, "own", "piece" if clear else "scene", place))
    if wrong:
        raise BadPicture("\n".join(wrong))
    return Library(path, pictures)


def with_folder(
    entry: Entry, root: Path, where: str, digest_of: Callable[[Path], str] = digest
) -> dict[str, Any]:
    """``entry`` with the pictures of the folder ``root/where`` as its library, each with its digest.

    Files are named relative to the folder: their names say what they show, the folder's says nothing.
    Raises BadPicture if there are none.
    """
    path = root / where
    files = picture_files(path) + [path / NAMES] * (path / NAMES).is_file()
    digests = {file.relative_to(path).as_posix(): digest_of(file) for file in files}
    return {**entry, WHERE: where, "files": digests}


def of_their_own(
    entries: Mapping[str, Entry], root: Path, where: str, digest_of: Callable[[Path], str] = digest
) -> dict[str, Entry]:
    """A lock's entries, where those that :mod:`noisebook.models.exact` loads draw from ``root/where``."""
    return {
        name: with_folder(entry, root, where, digest_of)
        if entry["loader"] == "noisebook.models.exact"
        else entry
        for name, entry in entries.items()
    }


def open_library(name: str, entry: Entry, root: Path) -> Library:
    """The library of a lock entry, its files checked against their digests."""
    from noisebook.models.lock import verify

    if WHERE in entry:
        verify(name, entry, root / entry[WHERE])
        return folder(root / entry[WHERE])
    return shipped(*verify(name, entry, root).values())


def load(name: str, entry: Entry, root: Path) -> Library:
    """The library alone, as data."""
    return open_library(name, entry, root)
