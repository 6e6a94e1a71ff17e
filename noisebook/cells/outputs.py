"""What a cell leaves behind, as bytes: pictures, animations, drawings, numbers, tables, arrays.

How they are encoded is part of the key of every cell that uses them, unlike the types of
:mod:`noisebook.cells.contract`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from noisebook.cells.contract import Json, Output, canonical

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def picture(
    name: str, pixels: NDArray[np.uint8], keep: Literal["published", "local"] = "published"
) -> Output:
    """A PNG of ``pixels``: (H, W) grey or (H, W, 3) RGB, uint8."""
    from PIL import Image

    if pixels.dtype.name != "uint8" or pixels.ndim not in (2, 3):
        raise TypeError(
            f"picture {name!r}: expected uint8 (H, W) or (H, W, 3), got {pixels.dtype} {pixels.shape}"
        )
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=9)
    return Output(name, "image/png", buffer.getvalue(), pixels.shape[1], pixels.shape[0], keep)


def animation(
    name: str,
    frames: NDArray[np.uint8],
    fps: float,
    keep: Literal["published", "local"] = "published",
    *,
    quality: int = 60,
) -> Output:
    """An endless animation of ``frames``, (N, H, W, 3) uint8, as WebP; keep it short, some 24 frames.

    ``quality`` is WebP's, 0 to 100: noise needs little of it, edges much.
    """
    from PIL import Image

    if frames.dtype.name != "uint8" or frames.ndim != 4 or frames.shape[-1] != 3 or not len(frames):
        raise TypeError(f"animation {name!r}: expected uint8 (N, H, W, 3), got {frames.dtype} {frames.shape}")
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


def vector(name: str, svg: str, width: int, height: int) -> Output:
    """An SVG drawing, ``width`` × ``height`` CSS pixels."""
    return Output(name, "image/svg+xml", svg.encode(), width, height)


def number(name: str, value: float, unit: str = "", *, measured: bool = False) -> Output:
    """A number that the page shows beside the picture, with its unit (``dB``, ``s``, or none)."""
    return Output(name, "application/json", canonical({"value": value, "unit": unit}), measured=measured)


def table(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[Json]], *, measured: bool = False
) -> Output:
    """A table that the page shows under the figure and offers as data."""
    return Output(
        name,
        "application/json",
        canonical({"columns": list(columns), "rows": [list(row) for row in rows]}),
        measured=measured,
    )


def arrays(
    name: str,
    tensors: Mapping[str, NDArray[Any]],
    keep: Literal["published", "local"] = "published",
    metadata: Mapping[str, str] | None = None,
) -> Output:
    """Named arrays (curves, states, weights), as safetensors."""
    import numpy as np
    from safetensors.numpy import save

    # safetensors takes an array's bytes as they lie in memory.
    dense = {key: np.asarray(value, order="C") for key, value in tensors.items()}
    return Output(name, "application/x-safetensors", save(dense, dict(metadata or {})), keep=keep)
