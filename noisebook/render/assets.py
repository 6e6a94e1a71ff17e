"""The files of a site: what it should hold, written atomically, and what it held before."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

NOTES = ".noisebook.json"
"""The names of the files that we wrote, so that only they are ever removed."""


class Site:
    """Collects files by name, then writes what differs and removes what is left over from before."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._files: dict[str, bytes | None] = {}
        try:
            found = json.loads((out / NOTES).read_bytes())["files"]
            self._before = {name: digest for name, digest in found.items() if _inside(name)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._before = {}

    def has(self, name: str) -> bool:
        """Whether an asset, whose name tells its content, stands there already."""
        return self._files.get(name) is not None or (name in self._before and (self.out / name).is_file())

    def keep(self, name: str) -> str:
        """Keep a file that :meth:`has` found."""
        self._files.setdefault(name, None)
        return name

    def add(self, name: str, data: bytes) -> str:
        """Put a file at ``name``, relative to the site's root."""
        self._files[name] = data
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
            try:
                if path.stat().st_size == len(data) and path.read_bytes() == data:
                    continue
            except OSError:
                pass
            _replace(path, data)
            if name.endswith(".html"):
                changed.append(name)
        if digests != self._before:
            _replace(self.out / NOTES, json.dumps({"files": digests}, indent=0, sort_keys=True).encode())
        for name in self._before.keys() - digests.keys():
            (self.out / name).unlink(missing_ok=True)
        return changed


def _inside(name: object) -> bool:
    return isinstance(name, str) and not name.startswith("/") and ".." not in name.split("/")


def _replace(path: Path, data: bytes) -> None:
    """A whole file or none. No fsync: a site can be written again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def thumbnail(data: bytes, largest: int) -> bytes:
    """The picture, smoothly scaled so that no side has more than ``largest`` pixels, as WebP."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        picture.thumbnail((largest, largest), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "WEBP", quality=84, method=4)
    return buffer.getvalue()


def still(data: bytes) -> tuple[bytes, bool]:
    """The last frame of an animation as PNG, and whether there are several frames."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        frames = int(getattr(picture, "n_frames", 1))
        picture.seek(frames - 1)
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), frames > 1


def frame_count(data: bytes) -> int:
    """How many frames an animation has."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as picture:
        return int(getattr(picture, "n_frames", 1))


def strip(data: bytes) -> bytes:
    """The frames of an animation from left to right, as WebP."""
    from PIL import Image, ImageSequence

    with Image.open(io.BytesIO(data)) as picture:
        frames = [frame.convert("RGB") for frame in ImageSequence.Iterator(picture)]
    width, height = frames[0].size
    joined = Image.new("RGB", (width * len(frames), height))
    for index, frame in enumerate(frames):
        joined.paste(frame, (index * width, 0))
    buffer = io.BytesIO()
    joined.save(buffer, "WEBP", quality=85, method=4)
    return buffer.getvalue()


def gif(data: bytes, small: int, target: int) -> bytes:
    """An animation as GIF; pictures of up to ``small`` pixels a side are enlarged towards ``target``."""
    from PIL import Image, ImageSequence

    with Image.open(io.BytesIO(data)) as picture:
        factor = max(1, target // max(picture.size)) if max(picture.size) <= small else 1
        size = (picture.width * factor, picture.height * factor)
        frames, durations = [], []
        for frame in ImageSequence.Iterator(picture):
            durations.append(int(frame.info.get("duration", 100)))
            frames.append(frame.convert("RGB").quantize(255).resize(size, Image.Resampling.NEAREST))
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return buffer.getvalue()


def curves(data: bytes) -> bytes | None:
    """Named arrays of one dimension as CSV, a column each; None for anything else."""
    from itertools import zip_longest

    from safetensors.numpy import load

    found = sorted(load(data).items())
    if not found or any(array.ndim != 1 for _, array in found):
        return None
    lines = [",".join(["index", *(name for name, _ in found)])]
    rows = zip_longest(*(array.tolist() for _, array in found), fillvalue="")
    lines += [",".join(map(str, [index, *row])) for index, row in enumerate(rows)]
    return ("\n".join(lines) + "\n").encode()


SOCIAL = (1200, 630)
"""Pixels of the picture that a link to a page is shown with."""


def social(pictures: Sequence[bytes]) -> bytes:
    """One to nine pictures as a social card, a JPEG: a large one and four small ones, or two rows of four."""
    from PIL import Image, ImageOps

    width, height = SOCIAL
    small, half = (width - height) // 2, height // 2
    if len(pictures) >= 8:
        boxes = [(x * width // 4, y * half, width // 4, half) for y in range(2) for x in range(4)]
    elif len(pictures) >= 5:
        boxes = [(0, 0, height, height)]
        boxes += [(height + x * small, y * half, small, half) for y in range(2) for x in range(2)]
    elif len(pictures) >= 2:
        boxes = [(0, 0, width // 2, height), (width // 2, 0, width // 2, height)]
    else:
        boxes = [((width - height) // 2, 0, height, height)]
    result = Image.new("RGB", SOCIAL, "#16161a")
    for data, (x, y, w, h) in zip(pictures, boxes, strict=False):
        with Image.open(io.BytesIO(data)) as picture:
            sharp = max(picture.size) < h
            method = Image.Resampling.NEAREST if sharp else Image.Resampling.LANCZOS
            result.paste(ImageOps.fit(picture.convert("RGB"), (w, h), method), (x, y))
    buffer = io.BytesIO()
    result.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()
