"""Values as a reader sees them: numbers, times, sizes, names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from noisebook.cells.contract import Json


INFINITE = {"Infinity": math.inf, "-Infinity": -math.inf}
"""How JSON has what it has no numbers for."""
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
    "video/mp4": ".mp4",
    "application/json": ".json",
    "application/onnx": ".onnx",
    "application/x-safetensors": ".safetensors",
    "text/csv": ".csv",
    "text/plain": ".txt",
}
"""How the files of a site end, by media type."""
ACRONYMS = {"psnr", "ssim", "mse", "snr", "fid", "lpips", "l2", "flops"}


def duration(seconds: float) -> str:
    """A time for people: ``0.4 s``, ``12 s``, ``3 min``, ``2 h 05 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """A number of bytes for people: ``812 B``, ``3.4 kB``, ``12 MB``."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def title(name: str) -> str:
    """``psnr`` is PSNR, ``test_loss`` test loss."""
    return " ".join(word.upper() if word in ACRONYMS else word for word in name.replace("_", " ").split())


def number(value: float, unit: str = "") -> str:
    """As many digits as say something: decibels with one decimal, else three or four significant ones."""
    if value != value:
        return "not a number"
    if value in (math.inf, -math.inf):
        return "∞" if value > 0 else "−∞"
    if abs(value) >= 1e15 or (unit != "dB" and 0 < abs(value) < 1e-3):
        mantissa, exponent = f"{Decimal(value):.2e}".split("e")
        superscript = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{mantissa}\u2009×\u200910{superscript}"
    if unit == "dB":
        return f"{value:.1f}"
    if value == int(value):
        return f"{value:,.0f}".replace(",", "\u202f") if abs(value) >= 10_000 else f"{value:.0f}"
    if abs(value) < 0.1:
        return f"{value:.3g}"
    decimals = next((n for n, bound in ((3, 1), (2, 10), (1, 1000)) if abs(value) < bound), 0)
    return f"{value:,.{decimals}f}".replace(",", "\u202f" if abs(value) >= 10_000 else "")


def is_number(value: Json) -> bool:
    """Whether a value of a cell's JSON is a number, infinite ones as the encoders write them."""
    if isinstance(value, str):
        return value in INFINITE
    return isinstance(value, int | float) and not isinstance(value, bool)


def measure(value: Mapping[str, Json]) -> str:
    """A number with its unit, as a cell's output has them."""
    unit = str(value.get("unit", ""))
    found = value["value"]
    return (
        f"{number(INFINITE.get(found, math.nan) if isinstance(found, str) else found, unit)} {unit}".strip()
    )


def field(value: Json) -> str:
    """A table's field."""
    return measure({"value": value}) if is_number(value) else words(value)


def words(value: Json) -> str:
    """A parameter's value for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(words, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {words(item)}" for name, item in value.items())
    return str(value)


def counted(count: int, what: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{count} {what}{'s' if count != 1 else ''}"


def slug(text: str) -> str:
    """A short name for a file: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "x"


def summary(computed: int, cached: int, seconds: float, stored: float, pages: int, index: Path) -> str:
    """What a build says at its end; ``stored`` in bytes."""
    return (
        f"computed {computed}, cached {cached}, {duration(seconds)}, {size(stored)} stored, "
        f"{counted(pages, 'page')} written: {index}"
    )
