"""Pictures of the embedded library that a page draws with, cut out of the pinned files at render time.

A cell leaves JSON called ``bundles``: ``files`` are those that hold the pictures, and ``bundles`` says by a
sha256 which pictures follow one another in the bytes of that digest.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from noisebook.cells.folders import find
from noisebook.render.assets import Site

ASSET = "assets/{}.bin"


def cut(files: Sequence[str], bundles: Mapping[str, Sequence[str]], site: Site) -> bool:
    """Put every bundle into the site, those that are there already as they are; whether all could be had."""
    wanted = {sha256: names for sha256, names in bundles.items() if not site.keep(_asset(sha256))}
    if not wanted:
        return True
    paths = [find(Path(), name) for name in files]
    try:
        archives = [zipfile.ZipFile(path) for path in paths]
        holding = {name: archive for archive in archives for name in archive.namelist()}
        for sha256, names in wanted.items():
            data = b"".join(holding[name].read(name) for name in names)
            if hashlib.sha256(data).hexdigest() != sha256:
                return False
            site.add(_asset(sha256), data)
    except (OSError, KeyError, zipfile.BadZipFile):
        return False
    return True


def _asset(sha256: str) -> str:
    return ASSET.format(sha256[:16])
