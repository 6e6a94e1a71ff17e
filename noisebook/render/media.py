"""Pictures, films and curves made from what cells left behind."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import zip_longest

from PIL import Image, ImageOps, ImageSequence


def thumbnail(data: bytes, largest: int) -> bytes:
    """The picture, smoothly scaled so that no side has more than ``largest`` pixels, as WebP."""
    with Image.open(io.BytesIO(data)) as picture:
        picture.thumbnail((largest, largest), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "WEBP", quality=84, method=4)
    return buffer.getvalue()


def still(data: bytes) -> tuple[bytes, bool]:
    """The last frame of an animation as PNG, and whether there are several frames."""
    with Image.open(io.BytesIO(data)) as picture:
        frames = int(getattr(picture, "n_frames", 1))
        picture.seek(frames - 1)
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, "PNG", optimize=True)
    return buffer.getvalue(), frames > 1


def frame_count(data: bytes) -> int:
    """How many frames an animation has."""
    with Image.open(io.BytesIO(data)) as picture:
        return int(getattr(picture, "n_frames", 1))


def strip(data: bytes) -> bytes:
    """The frames of an animation from left to right, as WebP."""
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
