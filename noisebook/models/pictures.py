"""Pictures in and out: files to arrays in [-1, 1], and back to bytes. numpy and Pillow only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

LONGEST_SIDE = 20_000
"""Pixels. A picture longer than that is refused before it is decoded."""


class UnreadablePicture(ValueError):
    """A file that is not a picture, or a broken one. The message names it."""


def open_rgb(path: Path) -> Image.Image:
    """Any picture file as 8-bit RGB: turned as its EXIF data says, transparency over white, 16 bits to 8.

    Raises :class:`UnreadablePicture`, with the file's name, for what cannot be read.
    """
    try:
        with Image.open(path) as file:
            if max(file.size) > LONGEST_SIDE:
                width, height = file.size
                raise UnreadablePicture(f"{path}: {width}×{height} pixels; at most {LONGEST_SIDE} a side")
            return _rgb(ImageOps.exif_transpose(file))
    except UnreadablePicture:
        raise
    except FileNotFoundError:
        raise UnreadablePicture(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise UnreadablePicture(f"{path}: not a picture in a format that is known here") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadablePicture(f"{path}: a broken picture ({error})") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        # 16-bit grey (or 32-bit holders of it): Pillow's own conversion would clip, not scale.
        values = np.asarray(image, dtype=np.float64)
        top = 65535.0 if image.mode.startswith("I") else max(1.0, float(values.max(initial=0.0)))
        image = Image.fromarray(np.round(np.clip(values / top, 0, 1) * 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        drawn = image.convert("RGBA")
        paper = Image.new("RGBA", drawn.size, "white")
        paper.alpha_composite(drawn)
        image = paper
    return image.convert("RGB")


def read_picture(path: Path, shape: int | tuple[int, int]) -> NDArray[np.float32]:
    """The largest centred part of a picture file that has this shape, at this size: (3, H, W) float32 in
    [-1, 1]. ``shape`` is (H, W), or the side of a square, pixels.

    Scaled with antialiasing. Raises :class:`UnreadablePicture`.
    """
    height, width = (shape, shape) if isinstance(shape, int) else shape
    part = ImageOps.fit(open_rgb(path), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(part, dtype=np.float32).transpose(2, 0, 1) / 127.5 - 1


def to_bytes(x: Any) -> NDArray[np.uint8]:
    """(..., 3, H, W) in [-1, 1], array or tensor, to (..., H, W, 3) uint8; what lies outside is clamped.

    Raises ValueError for what is not a number: it would come out black.
    """
    values = np.asarray(x, dtype=np.float32)
    if not np.isfinite(values).all():
        raise ValueError("a picture holds values that are not numbers (NaN or infinite)")
    return np.round((np.clip(values, -1, 1) + 1) * 127.5).astype(np.uint8).swapaxes(-3, -2).swapaxes(-2, -1)


def from_bytes(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Inverse of :func:`to_bytes`: (..., H, W, 3) uint8 to (..., 3, H, W) float32 in [-1, 1]."""
    return np.ascontiguousarray(np.moveaxis(pixels, -1, -3)).astype(np.float32) / 127.5 - 1
