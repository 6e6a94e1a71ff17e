"""The drawings that the report edits: ``python -m tools.drawings images``.

Each is a plan of flat shapes, painted over with short strokes in its colours. Places, colours and lights
are near photographs that the embedded model knows, so that what is asked for is in its world.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 256
Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


class Plan:
    """Shapes on a square, in hundredths of its side, x to the right and y down."""

    def __init__(self, ground: Colour) -> None:
        self.image = Image.new("RGB", (4 * SIDE, 4 * SIDE), ground)
        self._draw = ImageDraw.Draw(self.image)
        self._unit = 4 * SIDE / 100

    def shape(self, colour: Colour, points: Points) -> None:
        """A polygon."""
        self._draw.polygon([(x * self._unit, y * self._unit) for x, y in points], fill=colour)

    def box(self, colour: Colour, left: float, top: float, right: float, bottom: float) -> None:
        """A rectangle."""
        self.shape(colour, [(left, top), (right, top), (right, bottom), (left, bottom)])

    def oval(self, colour: Colour, x: float, y: float, a: float, b: float, turn: float = 0.0) -> None:
        """An ellipse around (x, y) with half axes a and b, turned by ``turn`` degrees."""
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        around = [2 * math.pi * k / 48 for k in range(48)]
        self.shape(
            colour,
            [
                (x + a * math.cos(p) * c - b * math.sin(p) * s, y + a * math.cos(p) * s + b * math.sin(p) * c)
                for p in around
            ],
        )

    def line(self, colour: Colour, points: Points, width: float = 1.0) -> None:
        """A line through points."""
        places = [(x * self._unit, y * self._unit) for x, y in points]
        self._draw.line(places, fill=colour, width=max(1, round(width * self._unit)), joint="curve")

    def fade(self, top: Colour, bottom: Colour, first: float, last: float) -> None:
        """Colours from ``top`` to ``bottom`` between two heights."""
        for k in range(64):
            part = k / 63
            colour = tuple(round(a + (b - a) * part) for a, b in zip(top, bottom, strict=True))
            height = (last - first) / 64
            self.box(colour, 0, first + k * height, 100, first + (k + 1) * height + 0.2)  # type: ignore[arg-type]

    def painted(self, seed: int, count: int = 6000, length: float = 5.0, width: float = 1.3) -> Image.Image:
        """Strokes along the edges of the shapes, each of the colour under it, a little lighter or darker."""
        base = self.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        colours = np.asarray(base, np.float32)
        grey = np.asarray(base.convert("L").filter(ImageFilter.GaussianBlur(4)), np.float32)
        down, right = np.gradient(grey, axis=0), np.gradient(grey, axis=1)
        random = np.random.default_rng(seed)
        drawn = base.resize((4 * SIDE, 4 * SIDE), Image.Resampling.BICUBIC)
        brush, unit = ImageDraw.Draw(drawn), 4 * SIDE / 100
        for _ in range(count):
            x, y = random.uniform(0, SIDE, 2)
            column, row = int(x), int(y)
            strong = math.hypot(down[row, column], right[row, column]) > 0.6
            angle = (
                math.atan2(right[row, column], -down[row, column]) if strong else random.uniform(-0.5, 0.5)
            )
            half = length * unit / 2 * random.uniform(0.5, 1)
            colour = (colours[row, column] * random.uniform(0.9, 1.1) + random.uniform(-6, 6, 3)).clip(0, 255)
            a, b = half * math.cos(angle), half * math.sin(angle)
            ends = (4 * x - a, 4 * y - b, 4 * x + a, 4 * y + b)
            brush.line(ends, fill=tuple(map(int, colour)), width=round(width * unit))
        return drawn.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def flower() -> Image.Image:
    """A round orange flower before dark green leaves."""
    plan = Plan((6, 52, 54))
    for x, y, a, b, turn in ((12.0, 25.0, 26, 12, -40), (88, 70, 26, 12, 30), (82, 14, 22, 9, 20)):
        plan.oval((4, 82, 84), x, y, a, b, turn)
    plan.line((40, 92, 40), [(50, 60), (52, 100)], 2.5)
    rings = ((34, 16), (28, 15), (22, 13), (16, 11), (10, 8), (5, 6))
    for k, (radius, petals) in enumerate(rings):
        glow = k / (len(rings) - 1)
        for p in range(petals):
            angle = 360 * (p + k / 2) / petals
            x, y = (
                52 + (radius - 4) * math.cos(math.radians(angle)),
                45 + (radius - 4) * math.sin(math.radians(angle)),
            )
            for size, shade in ((6.6, 0.78), (5.4, 1.0)):
                colour = (255, 190 - 100 * glow, 125 - 85 * glow)
                plan.oval(
                    tuple(round(c * shade) for c in colour),  # type: ignore[arg-type]
                    x,
                    y,
                    size,
                    size * 0.62,
                    angle,
                )
    return plan.painted(1, 3500, 3.0, 0.9)


def cat() -> Image.Image:
    """A cat's face, nearly filling the frame, in chalk."""
    plan = Plan((182, 162, 150))
    plan.oval((150, 122, 104), 8, 62, 10, 9)
    plan.shape((190, 142, 124), [(10, 0), (30, 0), (34, 16), (18, 24)])
    plan.shape(
        (158, 116, 84), [(17, 30), (34, 4), (60, -4), (100, -2), (100, 74), (80, 100), (34, 100), (20, 62)]
    )
    plan.oval((166, 126, 92), 58, 8, 34, 20)
    plan.shape((192, 148, 110), [(46, 22), (60, 22), (58, 48), (54, 66), (40, 66), (42, 44)])
    plan.shape((150, 102, 56), [(38, 52), (56, 52), (52, 76), (38, 76)])
    for k in range(4):
        plan.line((104, 74, 48), [(42 + 7 * k, -2), (44 + 5 * k, 22)], 2.0)
    for k in range(4):
        plan.line((126, 90, 58), [(98, 52 + 9 * k), (78, 56 + 7 * k)], 1.8)
    plan.oval((186, 144, 114), 62, 82, 20, 13, -10)
    plan.oval((180, 138, 106), 30, 84, 12, 10, 10)
    for x, y, a, turn in ((28, 45, 9.5, 24), (78, 37, 12, -20)):
        plan.oval((60, 42, 28), x, y, a + 2.5, a * 0.8 + 2.5, turn)
        plan.oval((150, 146, 70), x, y, a, a * 0.8, turn)
        plan.oval((20, 18, 14), x + 1, y, a * 0.45, a * 0.68)
        plan.oval((240, 240, 230), x - 2, y - 3, 1.2, 1.2)
    plan.shape((150, 62, 40), [(38, 74), (53, 75), (48, 85), (43, 85)])
    plan.line((84, 48, 36), [(46, 85), (46, 91), (36, 94)], 1.6)
    plan.line((84, 48, 36), [(46, 91), (58, 94)], 1.6)
    for k in (-1, 0, 1):
        plan.line((226, 206, 190), [(60, 84 + 3 * k), (96, 84 + 8 * k)], 0.6)
    return plan.painted(2, 5000, 5.0, 0.8)


def cottage() -> Image.Image:
    """A hut on a plain, in sepia wash."""
    plan = Plan((196, 188, 160))
    plan.fade((176, 168, 142), (206, 198, 170), 0, 48)
    for x, y, a in ((18, 20, 20), (44, 10, 16), (84, 14, 18), (60, 32, 20)):
        plan.oval((214, 207, 182), x, y, a, 5)
    plan.box((120, 112, 88), 0, 47, 100, 50)
    plan.fade((176, 167, 134), (198, 188, 156), 50, 100)
    plan.oval((150, 140, 108), 22, 60, 26, 3)
    plan.oval((92, 84, 64), 72, 68, 32, 3.5)
    plan.shape((78, 72, 58), [(52, 40), (84, 38), (98, 42), (98, 66), (64, 68), (52, 62)])
    plan.shape((50, 46, 38), [(52, 40), (58, 28), (66, 41), (66, 68), (52, 62)])
    plan.shape((104, 96, 78), [(57, 27), (86, 27), (100, 41), (67, 42)])
    plan.box((14, 12, 10), 56, 46, 60, 63)
    plan.box((20, 18, 14), 76, 47, 84, 56)
    for x in range(68, 98, 4):
        plan.line((58, 54, 42), [(x, 43), (x, 67)], 0.5)
    return plan.painted(3, 4500, 4.0, 0.8)


def house() -> Image.Image:
    """A brick house with arches on a square, in the evening."""
    plan = Plan((96, 96, 112))
    plan.fade((160, 186, 216), (196, 212, 230), 0, 36)
    for x, y, a in ((24, 8, 22), (66, 15, 26)):
        plan.oval((180, 200, 226), x, y, a, 3)
    plan.shape((46, 54, 52), [(76, 62), (76, 34), (82, 26), (88, 32), (94, 25), (100, 30), (100, 62)])
    plan.box((122, 76, 70), -1, 32, 52, 62)
    plan.box((96, 94, 106), 52, 30, 80, 62)
    plan.shape((58, 50, 56), [(-1, 33), (4, 26), (48, 26), (53, 33)])
    plan.shape((64, 58, 66), [(51, 31), (56, 25), (76, 25), (81, 31)])
    for x in (12, 30):
        plan.box((70, 56, 60), x - 1.2, 20, x + 1.8, 27)
    for x, wide in ((20, 7), (64, 6)):
        plan.oval((36, 34, 42), x, 49, wide, 6)
        plan.box((36, 34, 42), x - wide, 49, x + wide, 62)
    for x in (5, 36, 45, 55, 64, 73):
        plan.box((48, 44, 54), x - 1.8, 37, x + 1.8, 43)
    for x in (38, 74):
        plan.box((52, 46, 54), x - 2, 49, x + 2, 56)
    plan.fade((100, 106, 126), (86, 85, 98), 62, 100)
    plan.shape((112, 116, 134), [(0, 68), (100, 65), (100, 68), (0, 72)])
    return plan.painted(4, 4500, 4.0, 0.9)


def portrait() -> Image.Image:
    """A man in a dark coat who bends to a camera, in grey."""
    plan = Plan((178, 178, 178))
    plan.fade((196, 196, 196), (186, 186, 186), 0, 46)
    plan.box((150, 150, 150), 60, 40, 100, 48)
    for x, top in ((66, 36), (78, 32), (88, 38), (95, 34)):
        plan.box((206, 206, 206), x, top, x + 4, 46)
    plan.fade((140, 140, 140), (128, 128, 128), 48, 100)
    plan.shape(
        (14, 14, 14),
        [(2, 52), (10, 40), (26, 30), (40, 36), (48, 46), (58, 44), (60, 50), (48, 58), (44, 100), (14, 100)],
    )
    plan.oval((128, 128, 128), 47, 24, 8, 10, -14)
    plan.shape((128, 128, 128), [(53, 20), (57, 26), (53, 28)])
    plan.oval((40, 40, 40), 50, 21, 1.2, 0.8)
    plan.shape((18, 18, 18), [(33, 24), (32, 10), (40, 3), (52, 6), (54, 14), (44, 16), (42, 26), (37, 29)])
    plan.oval((170, 170, 170), 58, 42, 4, 3)
    plan.box((42, 42, 42), 53, 22, 68, 30)
    plan.box((30, 30, 30), 68, 24, 74, 28)
    plan.box((60, 60, 60), 58, 30, 65, 36)
    for foot in (46, 64, 84):
        plan.line((88, 88, 88), [(62, 36), (foot, 98)], 1.6)
    plan.shape((230, 230, 230), [(36, 30), (42, 34), (38, 38)])
    return plan.painted(5, 4500, 4.0, 0.9)


DRAWINGS: dict[str, Callable[[], Image.Image]] = {
    "drawn-flower": flower,
    "drawn-cat": cat,
    "drawn-cottage": cottage,
    "drawn-house": house,
    "drawn-portrait": portrait,
}


def main(place: Path) -> None:
    """Write them all."""
    for name, draw in DRAWINGS.items():
        draw().save(place / f"{name}.jpg", quality=92)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
