"""Pictures, films and curves made from what cells left behind."""

from __future__ import annotations

import io
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from PIL import Image, ImageOps

from noisebook.cells.media import arrays

LARGEST_GIF = 50_000_000
"""Pixels of all frames of a GIF, which are held at once."""
KINDS = {
    "F16": "e", "F32": "f", "F64": "d", "BOOL": "?", "I8": "b", "U8": "B", "I16": "h", "U16": "H", "I32": "i",
    "U32": "I", "I64": "q", "U64": "Q",
}  # fmt: skip
"""What safetensors calls the types of numbers, and what struct does: pages are made without numpy."""


def thumbnail(data: bytes, largest: int) -> bytes:
    """The picture, smoothly scaled so that no side has more than ``largest`` pixels, as WebP."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.thumbnail((largest, largest), Image.Resampling.LANCZOS)
        return _saved(_opaque(picture), "WEBP", quality=84, method=4)


def film(data: bytes) -> Iterator[tuple[Image.Image, int]]:
    """The frames of a picture, one if it does not move, each with the milliseconds that it is shown."""
    with Image.open(io.BytesIO(data)) as picture:
        for index in range(getattr(picture, "n_frames", 1)):
            picture.seek(index)
            picture.load()  # its duration is that of the frame loaded last
            yield _opaque(picture), int(picture.info.get("duration", 100))


def shape(data: bytes) -> tuple[int, int, int]:
    """Width, height and number of frames of a picture."""
    with Image.open(io.BytesIO(data)) as picture:
        return *picture.size, int(getattr(picture, "n_frames", 1))


def still(data: bytes) -> bytes:
    """The last frame of a film as PNG."""
    [(last, _)] = deque(film(data), maxlen=1)  # one at a time is held
    return _saved(last, "PNG", optimize=True)


def strip(data: bytes) -> bytes:
    """The frames of a film from left to right, as WebP."""
    width, height, frames = shape(data)
    joined = Image.new("RGB", (width * frames, height))
    for index, (frame, _) in enumerate(film(data)):
        joined.paste(frame, (index * width, 0))
    return _saved(joined, "WEBP", quality=85, method=4)


def gif(data: bytes, small: int, target: int) -> bytes | None:
    """A film as GIF, as long as it is; None for one of more than :data:`LARGEST_GIF` pixels.

    Of up to ``small`` pixels a side it is enlarged towards ``target``. GIF counts hundredths of a second, and
    browsers show none for less than two of them: what rounding takes from one frame the next one gets, and a
    frame too short to be seen gives all its time to the next.
    """
    width, height, frames = shape(data)
    factor = max(1, target // max(width, height)) if max(width, height) <= small else 1
    size = (width * factor, height * factor)
    if size[0] * size[1] * frames > LARGEST_GIF:
        return None
    shown: list[Image.Image] = []
    durations: list[int] = []
    elapsed = told = 0.0
    for frame, milliseconds in film(data):
        elapsed += milliseconds / 10
        if round(elapsed - told) >= 2 or not shown:
            shown.append(frame.quantize(255).resize(size, Image.Resampling.NEAREST))
            durations.append(max(2, round(elapsed - told)))
            told += durations[-1]
    durations[-1] = max(2, durations[-1] + round(elapsed - told))
    return _saved(
        shown[0],
        "GIF",
        save_all=True,
        append_images=shown[1:],
        duration=[10 * each for each in durations],
        loop=0,
    )


def _opaque(picture: Image.Image) -> Image.Image:
    """In RGB, over white where one sees through."""
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture.convert("RGBA"))
    return paper.convert("RGB")


def _saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def curves(data: bytes) -> bytes | None:
    """Named arrays of one dimension as CSV, a column each; None for anything else."""
    found = sorted(arrays(data).items())
    if not found or any(len(each["shape"]) != 1 or each["dtype"] not in KINDS for _, each in found):
        return None
    lines = [",".join(["index", *(name for name, _ in found)])]
    columns = (struct.unpack(f"<{each['shape'][0]}{KINDS[each['dtype']]}", each["data"]) for _, each in found)
    rows = zip_longest(*columns, fillvalue="")
    lines += [",".join(map(str, [index, *row])) for index, row in enumerate(rows)]
    return ("\n".join(lines) + "\n").encode()


SOCIAL = (1200, 630)
"""Pixels of the picture that a link to a page is shown with."""


def social(pictures: Sequence[bytes]) -> bytes:
    """One to nine pictures as a social card, a JPEG: a large one and four small ones, or two rows of four."""
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
            result.paste(ImageOps.fit(_opaque(picture), (w, h), method), (x, y))
    return _saved(result, "JPEG", quality=88)
