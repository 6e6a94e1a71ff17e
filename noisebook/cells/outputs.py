"""What a cell leaves behind, as bytes: pictures, animations, drawings, numbers, tables, arrays.

How they are encoded is part of the key of every cell that uses them, unlike the types of
:mod:`noisebook.cells.contract`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from noisebook.cells.contract import Json, Output, canonical
from noisebook.cells.pixels import as_frames, as_number, as_pixels


def picture(name: str, pixels: Any, keep: Literal["published", "local"] = "published") -> Output:
    """A PNG of one picture: an array or tensor, a PIL picture or a matplotlib figure.

    Its shape is (H, W), (H, W, 3) or (H, W, 4), or with the channels first; its values are uint8, bool or
    uint16 over their whole range, or floats in [0, 1] or [-1, 1]: see :mod:`noisebook.cells.pixels`.
    """
    from PIL import Image

    with named("picture", name):
        found = as_pixels(pixels)
    buffer = io.BytesIO()
    Image.fromarray(found).save(buffer, "PNG", compress_level=9)
    return Output(name, "image/png", buffer.getvalue(), found.shape[1], found.shape[0], keep)


def animation(
    name: str,
    frames: Any,
    fps: float,
    keep: Literal["published", "local"] = "published",
    *,
    quality: int = 60,
) -> Output:
    """An endless animation as WebP; keep it short, some 24 frames.

    ``frames`` are (N, H, W, 3), (N, H, W) or with the channels first, or a list of such pictures, of values
    as :func:`picture` takes them. ``quality`` is WebP's, 0 to 100: noise needs little of it, edges much.
    """
    from PIL import Image

    with named("animation", name):
        frames = as_frames(frames)
    first, *others = (Image.fromarray(frame) for frame in frames)
    buffer = io.BytesIO()
    first.save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=round(1000 / fps),
        loop=0,
        quality=quality,
        method=4,
    )
    return Output(name, "image/webp", buffer.getvalue(), frames.shape[2], frames.shape[1], keep)


@contextmanager
def named(kind: str, name: str) -> Iterator[None]:
    """Errors that say which output it is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(f"{kind} {name!r}: {error}") from error


def vector(name: str, svg: str, width: int, height: int) -> Output:
    """An SVG drawing, ``width`` × ``height`` CSS pixels."""
    return Output(name, "image/svg+xml", svg.encode(), width, height)


def number(name: str, value: float, unit: str = "", *, measured: bool = False) -> Output:
    """A number that the page shows beside the picture, with its unit (``dB``, ``s``, or none).

    It may be infinite (the PSNR of a picture with itself), and a scalar of numpy or torch.
    """
    with named("number", name):
        value = as_number(value)
    return Output(name, "application/json", canonical({"value": value, "unit": unit}), measured=measured)


def table(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[Json]], *, measured: bool = False
) -> Output:
    """A table that the page shows under the figure and offers as data. None leaves a field empty."""
    with named("table", name):
        lines = [[as_number(value) for value in row] for row in rows]
        if wrong := next((line for line in lines if len(line) != len(columns)), None):
            raise ValueError(f"a row of {len(wrong)} values under {len(columns)} columns: {wrong}")
    value = {"columns": list(columns), "rows": lines}
    return Output(name, "application/json", canonical(value), measured=measured)


def arrays(
    name: str,
    tensors: Mapping[str, Any],
    keep: Literal["published", "local"] = "published",
    metadata: Mapping[str, str] | None = None,
) -> Output:
    """Named arrays or tensors (curves, states, weights), as safetensors."""
    import numpy as np
    from safetensors.numpy import save

    # safetensors takes an array's bytes as they lie in memory.
    dense = {
        key: np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, order="C")
        for key, value in tensors.items()
    }
    return Output(name, "application/x-safetensors", save(dense, dict(metadata or {})), keep=keep)
