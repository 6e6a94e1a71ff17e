"""Photographs for the library: crops of free pictures, and views that a camera would see in free panoramas.

The pictures that the report edits (images/CREDITS.md) are left out, whole. tools/sources.yaml has the table,
from which models/PHOTOGRAPHS.md, the credits, is written.
"""

from __future__ import annotations

import base64
import io
import math
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noisebook.models.library import Picture
from tools.packages import Package, packages, sources

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Photograph:
    """One source.

    Attributes:
        name: what it shows, as a prompt would say it.
        package, file: where it is.
        author, licence: credit.
        count: how many pictures are cut from it.
        smallest: side of the smallest crop, as a part of the shorter side.
        box: left, top, right, bottom as parts of width and height: where crops may lie.
        pitch, field: panoramas: range of a view's pitch and field of view, degrees.
        yaws: panoramas: ranges of directions worth seeing, degrees from the left edge.
    """

    name: str
    package: Package
    file: str
    author: str
    licence: str
    count: int = 24
    smallest: float = 0.45
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    pitch: tuple[float, float] = (-8.0, 14.0)
    field: tuple[float, float] = (45.0, 85.0)
    yaws: tuple[tuple[float, float], ...] = ((0.0, 360.0),)


HDRI = packages()["panoramas"]
PHOTOGRAPHS = [
    Photograph(**{**each, "package": packages()[each["package"]]}) for each in sources()["photographs"]
]
"""Every source of photographs, and how it is cut."""

HEADING = """# Photographs in scenes.zip

Cut, scaled down to 256 pixels and re-encoded by `tools/photographs.py`; views of panoramas are tone-mapped. The
pictures that the report edits (images/CREDITS.md) are not among them.
"""  # noqa: E501


def equirectangular(script: bytes) -> Array:
    """(256, 512, 3) in 0 … 1, from a script with a base64 OpenEXR in it: the sphere, tone-mapped.

    Light is scaled so that its geometric mean is .3, and compressed by x(1 + x/9)/(1 + x) (Reinhard and
    others, "Photographic tone reproduction for digital images", 2002, eq. 4, white at 3).
    """
    import OpenEXR

    found = re.search(rb"base64,([A-Za-z0-9+/=]+)", script)
    if found is None:
        raise ValueError("no picture in base64")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panorama.exr"
        path.write_bytes(base64.b64decode(found.group(1)))
        with OpenEXR.File(str(path)) as file:
            pixels = next(iter(file.channels().values())).pixels[..., :3]
    light = np.asarray(pixels, np.float64)
    # The sun was too bright for the file: what stands at its place overflowed, and is made white.
    sun = np.abs(light).max(-1) > 30
    for axis in (0, 1):
        sun = sun | np.roll(sun, 2, axis) | np.roll(sun, -2, axis)
    light[sun & (light[..., 1] < 1)] = 100
    light = light.clip(1e-4, 100)
    light *= 0.3 / np.exp(np.log(light.mean(-1)).mean())
    mapped = (light * (1 + light / 9) / (1 + light)).clip(0, 1)
    return np.asarray(mapped ** (1 / 2.2), np.float32)


def view(sphere: Array, yaw: float, pitch: float, field: float, size: int) -> Array:
    """What a camera sees, (size, size, 3): angles in degrees, pitch upwards, ``field`` from edge to edge."""
    height, width, _ = sphere.shape
    reach = math.tan(math.radians(field) / 2)
    x, y = np.meshgrid(np.linspace(-reach, reach, size), np.linspace(reach, -reach, size))
    p, w = math.radians(pitch), math.radians(yaw)
    up, ahead = y * math.cos(p) + math.sin(p), math.cos(p) - y * math.sin(p)
    east, north = x * math.cos(w) + ahead * math.sin(w), ahead * math.cos(w) - x * math.sin(w)
    column = (np.arctan2(east, north) / (2 * math.pi) % 1) * width - 0.5
    row = (0.5 - np.arctan2(up, np.hypot(east, north)) / math.pi) * height - 0.5
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    a, b = (column - left)[..., None], (row - top)[..., None]

    def at(r: NDArray[np.int_], c: NDArray[np.int_]) -> Array:
        pixels: Array = sphere[r.clip(0, height - 1), c % width]
        return pixels

    upper = at(top, left) * (1 - a) + at(top, left + 1) * a
    lower = at(top + 1, left) * (1 - a) + at(top + 1, left + 1) * a
    return np.asarray(upper * (1 - b) + lower * b, np.float32)


def cuts(source: Photograph) -> Iterator[Any]:
    """Square Pillow images, at most 256 pixels wide: views of a panorama, or crops at many scales."""
    from PIL import Image

    r = Random(f"{source.file}")
    data = source.package.read(source.file)
    if source.package is HDRI:
        sphere = equirectangular(data)
        for _ in range(source.count):
            low, high = r.choice(source.yaws)
            picture = view(
                sphere, r.uniform(low, high), r.uniform(*source.pitch), r.uniform(*source.field), 144
            )
            yield Image.fromarray(np.uint8(picture * 255 + 0.5))
        return
    image = Image.open(io.BytesIO(data)).convert("RGB")
    left, top, right, bottom = (
        part * side for part, side in zip(source.box, (image.width, image.height) * 2, strict=True)
    )
    short = min(right - left, bottom - top)
    for number in range(source.count):
        # The first crops are the largest, so that the whole subject is among them.
        whole = number < source.count // 4
        side = short * (r.uniform(0.9, 1.0) if whole else r.uniform(source.smallest, 1.0))
        x, y = left + r.random() * (right - left - side), top + r.random() * (bottom - top - side)
        size = min(256, round(side))
        yield image.resize((size, size), Image.Resampling.LANCZOS, (x, y, x + side, y + side))


def photographs() -> list[tuple[Picture, bytes]]:
    """Every picture that is cut, with its bytes as WebP."""
    out = []
    for source in PHOTOGRAPHS:
        stem = re.sub(r"\W+", "-", source.name.lower())
        for number, image in enumerate(cuts(source)):
            data = io.BytesIO()
            image.save(data, "WEBP", quality=80, method=6)
            file = f"photograph/{stem}-{number:02d}.webp"
            out.append((Picture(source.name, "photograph", "scene", file), data.getvalue()))
    return out


def credits_table() -> str:
    """The table of sources, in Markdown."""
    lines = [HEADING, "| photograph/ | file | package | by | licence |", "|---|---|---|---|---|"]
    for source in PHOTOGRAPHS:
        stem = re.sub(r"\W+", "-", source.name.lower())
        package = f"{source.package.name} {source.package.version} ({source.package.registry})"
        lines.append(f"| {stem}-* | {source.file} | {package} | {source.author} | {source.licence} |")
    return "\n".join(lines) + "\n"
