"""The drawings that the report edits: ``python -m tools.drawings images``.

Paintings after photographs that the embedded model knows, so that what is asked for is in its world, and a
tulip.
"""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from noisebook.models.bank import Banks, Settings, render
from noisebook.models.library import shipped
from noisebook.models.text import SHIPPED, Text
from tools.scenes.shapes import Colour, S, path, rgb

AFTER = {
    "drawn-flower": 1678,
    "drawn-cat": 754,
    "drawn-cottage": 452,
    "drawn-house": 1138,
    "drawn-mountain": 1097,
    "drawn-portrait": 1906,
    "drawn-stream": 793,
    "drawn-tower": 424,
}
"""Painting → which picture it is after of those that stand for a photo of anything."""
BRUSHES = ((14.0, 40.0), (8.0, 28.0), (4.5, 18.0))
"""Widths and lengths of strokes, pixels of 256, the broadest first."""
LEFT = 24.0
"""A stroke is painted where the picture is further than this from the photograph: summed over colours of 0 to
255, mean of a square as wide as the brush."""


def painted(photograph: Image.Image, seed: int) -> Image.Image:
    """The photograph in strokes along its edges, each layer finer and only where the last one is far off.

    Hertzmann, "Painterly Rendering with Curved Brush Strokes of Multiple Sizes", 1998, with straight ones.
    """
    random = np.random.default_rng(seed)
    size = photograph.width, photograph.height
    canvas = photograph.filter(ImageFilter.GaussianBlur(12)).resize((2 * size[0], 2 * size[1]))
    brush = ImageDraw.Draw(canvas)
    for width, length in BRUSHES:
        seen = np.asarray(photograph.filter(ImageFilter.GaussianBlur(width / 2)), np.float32)
        grey = np.asarray(photograph.convert("L").filter(ImageFilter.GaussianBlur(width)), np.float32)
        down, right = np.gradient(grey, axis=0), np.gradient(grey, axis=1)
        far = np.abs(seen - np.asarray(canvas.resize(size, Image.Resampling.BOX), np.float32)).sum(2)
        corners = [(x, y) for y in np.arange(0, size[1], width) for x in np.arange(0, size[0], width)]
        random.shuffle(corners)
        for x, y in corners:
            part = far[int(y) : int(y + width) + 1, int(x) : int(x + width) + 1]
            if width < BRUSHES[0][0] and part.mean() < LEFT:
                continue
            row, column = np.add(np.unravel_index(part.argmax(), part.shape), (int(y), int(x)))
            across, along = right[row, column], down[row, column]
            edge = math.hypot(across, along) > 0.5
            angle = math.atan2(across, -along) if edge else random.uniform(-0.6, 0.6)
            half = length * random.uniform(0.25, 0.5)
            colour = seen[row, column] * random.uniform(0.95, 1.05) + random.uniform(-10, 10, 3)
            stroke(brush, column, row, half * math.cos(angle), half * math.sin(angle), width, colour)
    return canvas.resize(size, Image.Resampling.LANCZOS)


def stroke(
    brush: ImageDraw.ImageDraw,
    x: float,
    y: float,
    a: float,
    b: float,
    width: float,
    colour: NDArray[np.float32],
) -> None:
    """A round-ended stroke from (x - a, y - b) to (x + a, y + b), on a canvas of twice the size."""
    fill = tuple(int(value) for value in colour.clip(0, 255))
    ends = [(2 * (x - a), 2 * (y - b)), (2 * (x + a), 2 * (y + b))]
    brush.line(ends, fill=fill, width=int(width))
    for u, v in ends:
        brush.ellipse((u - width / 2, v - width / 2, u + width / 2, v + width / 2), fill=fill)


def tulip(stem: Colour = (150, 176, 70), petal: Colour = (226, 60, 80)) -> Image.Image:
    """A tulip on white that lies from corner to corner, flat shapes."""
    import resvg_py

    shapes = [
        ("M118 262 C116 200 118 150 120 92 H138 C140 150 142 200 140 262Z", stem, 1.0),
        ("M118 262 C116 200 118 150 120 92 H127 C124 150 122 200 124 262Z", stem, 0.8),
        ("M116 250 C92 200 100 150 112 112 C122 150 128 200 128 250Z", stem, 0.92),
        ("M142 250 C164 205 158 160 148 122 C136 160 130 205 131 250Z", stem, 1.08),
        (
            "M96 22 C88 60 96 100 128 102 C160 100 168 60 160 22 C150 34 146 40 143 46 C138 30 133 20 128 12 "
            "C123 20 118 30 113 46 C110 40 106 34 96 22Z",
            petal,
            1.0,
        ),
        ("M128 12 C112 36 110 76 128 102 C146 76 144 36 128 12Z", petal, 1.14),
        ("M96 22 C88 60 96 100 128 102 C108 84 104 52 96 22Z", petal, 0.82),
    ]
    body = "".join(path(line, rgb(colour, light)) for line, colour, light in shapes)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {S} {S}"><rect width="{S}" height="{S}" '
        f'fill="#fff"/><g transform="rotate(45 {S / 2} {S / 2})">{body}</g></svg>'
    )
    data = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=S, height=S))
    return Image.open(io.BytesIO(data)).convert("RGB")


def main(place: Path, root: Path = Path()) -> None:
    """Write them all."""
    library = shipped(root / "models/library.zip", root / "models/scenes.zip")
    bank = Banks(library, Text(root / SHIPPED), Settings()).of("a photo")
    for name, number in AFTER.items():
        (pixels,) = render(library, [bank.variants[number]], S)
        photograph = Image.fromarray((pixels.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
        painted(photograph, number).save(place / f"{name}.jpg", quality=92)
    tulip().save(place / "drawn-tulip.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
