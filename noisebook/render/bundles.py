"""Pictures of the embedded library that a page draws with, cut out of the pinned files at render time.

A cell leaves JSON called ``bundles``: ``files`` are those that hold the pictures, and ``bundles`` says by a
sha256 which pictures follow one another in the bytes of that digest.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisebook.cells.folders import find
from noisebook.render.assets import Site

ASSET = "assets/{}.bin"
LARGEST = 20_000_000
"""Bytes of a bundle."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something to draw, and how it stands in a caption."""

    name: str
    phrase: str


@dataclass(frozen=True, slots=True)
class Process:
    """A reverse process of so many steps."""

    timesteps: list[int]


@dataclass(frozen=True, slots=True)
class Offered:
    """What of a cell's JSON called ``words`` a page is written with; its script reads more."""

    subjects: list[Subject]
    styles: dict[str, str]
    processes: dict[str, Process]
    views: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bundles:
    """What a cell's JSON called ``bundles`` says."""

    files: list[str]
    bundles: dict[str, list[str]]


def cut(parts: Bundles, site: Site, pinned: Iterable[Path]) -> bool:
    """Put every bundle into the site, those that are there already as they are; whether all could be had.

    No file is read but those that the lock pins.
    """
    wanted = {sha256: names for sha256, names in parts.bundles.items() if not site.keep(_asset(sha256))}
    if not wanted:
        return True
    own = {path.resolve() for path in pinned if path.is_file()}
    try:
        paths = [find(Path(), name) for name in parts.files]
        if not own.issuperset(path.resolve() for path in paths):
            return False
        archives = [zipfile.ZipFile(path) for path in paths]
        holding = {info.filename: (archive, info) for archive in archives for info in archive.infolist()}
        for sha256, names in wanted.items():
            found = [holding[name] for name in names]
            if sum(info.file_size for _, info in found) > LARGEST:
                return False
            data = b"".join(archive.read(info) for archive, info in found)
            if hashlib.sha256(data).hexdigest() != sha256:
                return False
            site.add(_asset(sha256), data)
    except (OSError, KeyError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return False
    return True


def _asset(sha256: str) -> str:
    return ASSET.format(sha256[:16])
