"""An author's own pictures and numbers as what the encoders take, where their meaning is plain.

Whatever is not plain is refused in words: :class:`TypeError` for what is no picture at all, else
:class:`ValueError`.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from noisebook.cells.contract import Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OVERSHOOT = 1e-3
"""How far rounding may take a float picture out of its range: it is clipped."""


def as_array(value: Any) -> NDArray[Any]:
    """A numpy array, a torch tensor on any device, a PIL picture or a list of numbers, as a numpy array."""
    import numpy as np

    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    if hasattr(value, "convert") and hasattr(value, "mode") and value.mode not in ("L", "RGB", "RGBA"):
        value = value.convert("RGBA" if value.has_transparency_data else "RGB")
    found = np.asarray(value)
    if found.dtype.kind not in "buif":
        raise TypeError(f"expected numbers, got {type(value).__name__} of {found.dtype}")
    return found


def as_pixels(value: Any) -> NDArray[np.uint8]:
    """One picture as uint8: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    Taken are arrays and tensors of those shapes or with their channels first, with or without a leading axis
    of one; a PIL picture; a matplotlib figure, at 150 dots an inch. For their values see :func:`as_bytes`.
    """
    if hasattr(value, "savefig"):
        value = _drawn(value)
    array = as_array(value)
    if array.ndim == 4 and len(array) == 1:
        array = array[0]
    if array.ndim == 4:
        raise ValueError(f"{len(array)} pictures where one is expected: {array.shape}")
    return as_bytes(_channels_last(array, array.ndim))


def as_frames(value: Any) -> NDArray[np.uint8]:
    """A film as (N, H, W, 3) uint8, of what :func:`as_pixels` takes but for transparency."""
    import numpy as np

    if isinstance(value, list | tuple):
        value = np.stack([as_array(frame) for frame in value]) if value else np.empty(0)
    array = as_array(value)
    if array.ndim not in (3, 4) or not len(array):
        raise ValueError(f"expected the frames of a film, (N, H, W) or (N, H, W, 3), got {array.shape}")
    frames = as_bytes(_channels_last(array, array.ndim - 1))
    if frames.ndim == 3:
        frames = np.repeat(frames[..., None], 3, axis=-1)
    if frames.shape[-1] != 3:
        raise ValueError(f"a film has no transparency: expected three channels, got {frames.shape}")
    return frames


def _channels_last(array: NDArray[Any], dimensions: int) -> NDArray[Any]:
    """Its last ``dimensions`` axes as (H, W), or as (H, W, C) with 3 or 4 channels."""
    import numpy as np

    shape = array.shape[array.ndim - dimensions :]
    if dimensions == 3:
        first, last = shape[0] in (1, 3, 4), shape[2] in (1, 3, 4)
        if last and shape[0] in (3, 4):
            raise ValueError(f"channels first or last? {shape} reads both ways: give (height, width)")
        if not (first or last):
            raise ValueError(f"expected 1, 3 or 4 channels, first or last, got {shape}")
        array = array if last else np.moveaxis(array, -3, -1)
        if array.shape[-1] == 1:
            array = array[..., 0]
    elif dimensions != 2:
        raise ValueError(f"expected (height, width) or (height, width, 3), got {shape}")
    if 0 in array.shape:
        raise ValueError(f"a picture of no pixels: {shape}")
    return array


def as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Values as 0 to 255: uint8 as it is, bool and uint16 over their range, floats in [0, 1] or in [-1, 1].

    Floats are taken for [-1, 1] if one of them is negative. Other whole numbers are refused, and so is what
    is not a number.
    """
    import numpy as np

    kind = array.dtype
    if kind == np.uint8:
        return array.astype(np.uint8, copy=False)
    if kind == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if kind == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if kind.kind != "f":
        raise ValueError(f"whole numbers are taken as uint8 alone, 0 to 255: got {kind}")
    if not np.isfinite(array).all():
        count = int(array.size - np.isfinite(array).sum())
        raise ValueError(f"{count} of its {array.size} values are not numbers (NaN or infinite)")
    low, high = float(array.min()), float(array.max())
    if low < -1 - OVERSHOOT or high > 1 + OVERSHOOT:
        raise ValueError(f"expected floats in [0, 1] or in [-1, 1], got {low:.4g} to {high:.4g}: scale them")
    values = array.astype(np.float64)
    values = (values + 1) / 2 if low < -OVERSHOOT else values
    grey: NDArray[np.uint8] = np.rint(values.clip(0, 1) * 255).astype(np.uint8)
    return grey


def _drawn(figure: Any) -> Any:
    """A matplotlib figure as a PIL picture."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    with Image.open(buffer) as picture:
        return picture.convert("RGB")


def as_number(value: Any) -> Json:
    """A number as JSON has it: infinite ones as ``"Infinity"`` and ``"-Infinity"``; NaN is refused."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError("it is not a number (NaN)")
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    return value
