"""Shapes that scenes are drawn with, as pieces of SVG on a canvas of 256 × 256."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

S = 256
Colour = tuple[float, float, float]


def rgb(colour: Colour, light: float = 1.0) -> str:
    """An SVG colour of (r, g, b) in 0 … 255, lighter or darker."""
    return "#" + "".join(f"{round(min(255, max(0, c * light))):02x}" for c in colour)


def near(r: Random, colour: Colour, spread: float = 14) -> Colour:
    """A colour near another."""
    shift = r.uniform(-spread, spread)
    a, b, c = (v + shift + r.uniform(-spread, spread) / 2 for v in colour)
    return a, b, c


def polygon(points: list[tuple[float, float]], fill: str, extra: str = "") -> str:
    """A closed polygon."""
    return f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="{fill}" {extra}/>'


def ellipse(x: float, y: float, rx: float, ry: float, fill: str, extra: str = "") -> str:
    """An ellipse about (x, y)."""
    return f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{rx:.1f}" ry="{ry:.1f}" fill="{fill}" {extra}/>'


def rect(x: float, y: float, w: float, h: float, fill: str, extra: str = "") -> str:
    """A rectangle with its top left corner at (x, y)."""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" fill="{fill}" {extra}/>'


def path(d: str, fill: str, extra: str = "") -> str:
    """A path."""
    return f'<path d="{d}" fill="{fill}" {extra}/>'


def gradient(
    name: str, stops: list[tuple[float, str]], radial: bool = False, opacity: list[float] | None = None
) -> str:
    """A gradient definition, top to bottom or from the middle outwards."""
    alphas = opacity or [1.0] * len(stops)
    body = "".join(
        f'<stop offset="{o}" stop-color="{c}" stop-opacity="{a}"/>'
        for (o, c), a in zip(stops, alphas, strict=True)
    )
    if radial:
        return f'<radialGradient id="{name}">{body}</radialGradient>'
    return f'<linearGradient id="{name}" x1="0" y1="0" x2="0" y2="1">{body}</linearGradient>'


def sky(stops: list[tuple[float, str]], name: str = "sky") -> str:
    """A gradient over the whole canvas."""
    return gradient(name, stops) + rect(0, 0, S, S, f"url(#{name})")


def ridge(
    r: Random, base: float, height: float, rough: float = 0.55, steps: int = 5
) -> list[tuple[float, float]]:
    """A mountain line from left to right by midpoint displacement."""
    line = [
        base - r.uniform(0.1, 0.5) * height,
        base - r.uniform(0.75, 1.0) * height,
        base - r.uniform(0.1, 0.5) * height,
    ]
    if r.random() < 0.5:
        line = [line[0], line[1], base - 0.35 * height, base - r.uniform(0.6, 0.95) * height, line[2]]
    amount = height * 0.22
    for _ in range(steps):
        middle = [(a + b) / 2 + r.uniform(-amount, amount) for a, b in pairwise(line)]
        line = [v for pair in zip(line, [*middle, 0], strict=False) for v in pair][:-1]
        amount *= rough
    return [(i * S / (len(line) - 1), y) for i, y in enumerate(line)]


def mountains(r: Random, base: float, height: float, rock: Colour, snow: float) -> str:
    """A range with snow down to a share ``snow`` of its height, shaded on one side."""
    line = ridge(r, base, height)
    out = polygon([*line, (S, S), (0, S)], rgb(rock))
    limit = base - height * (1 - snow)
    cap = [(x, y) for x, y in line]
    lower = [(x, max(y, limit + r.uniform(-0.10, 0.14) * height)) for x, y in reversed(line)]
    out += polygon(cap + lower, "#f4f8fc")
    for (x0, y0), (x1, y1) in pairwise(line):
        if y1 > y0:  # falls to the right: in shade
            bottom = min(base, y0 + 0.55 * height)
            out += polygon(
                [(x0, y0), (x1, y1), (x1 + 2, bottom), (x0 + 1, bottom)], "#20304e", 'opacity=".22"'
            )
    return out


def pine(r: Random, x: float, y: float, h: float, colour: Colour, snowy: bool = False) -> str:
    """A conifer with its foot at (x, y)."""
    out = rect(x - h * 0.04, y - h * 0.15, h * 0.08, h * 0.15, "#3d2b20")
    for k in range(3):
        top, low, w = y - h * (1 - 0.25 * k), y - h * (0.52 - 0.2 * k), h * (0.16 + 0.06 * k)
        out += polygon([(x, top), (x + w, low), (x - w, low)], rgb(colour, 0.9 + 0.1 * k))
        if snowy:
            out += polygon(
                [(x, top), (x + w * 0.55, (top + low) / 2), (x - w * 0.5, (top + low) / 2 + 2)], "#f2f6fb"
            )
    return out


def house(
    r: Random,
    x: float,
    y: float,
    w: float,
    wall: Colour,
    roof: Colour,
    snowy: bool = False,
    flat: bool = False,
) -> str:
    """A house with its lower left corner at (x, y)."""
    h = w * r.uniform(0.55, 0.85)
    out = rect(x, y - h, w, h, rgb(wall)) + rect(x + w * 0.68, y - h, w * 0.32, h, rgb(wall, 0.84))
    if not flat:
        eaves = w * 0.12
        out += polygon([(x - eaves, y - h), (x + w / 2, y - h - w * 0.5), (x + w + eaves, y - h)], rgb(roof))
        if snowy:
            out += polygon(
                [
                    (x - eaves, y - h - 1),
                    (x + w / 2, y - h - w * 0.56),
                    (x + w + eaves, y - h - 1),
                    (x + w / 2, y - h - w * 0.22),
                ],
                "#f7fafe",
            )
    else:
        out += rect(x - 1, y - h - w * 0.08, w + 2, w * 0.1, rgb(roof))
    light = "#ffd36b" if snowy else rgb((70, 80, 100))
    for i in range(2):
        for j in range(2 if h > w * 0.7 else 1):
            out += rect(x + w * (0.16 + 0.4 * i), y - h * (0.8 - 0.42 * j), w * 0.18, h * 0.24, light)
    return out


def stroke(d: str, colour: str, width: float, opacity: float = 1.0) -> str:
    """A line along a path, round at its ends."""
    return path(
        d,
        "none",
        f'stroke="{colour}" stroke-width="{width:.1f}" stroke-linecap="round" opacity="{opacity:.2f}"',
    )


def boulder(r: Random, x: float, y: float, rx: float, ry: float, fill: str, rough: float = 0.12) -> str:
    """A rounded, uneven shape about (x, y)."""
    corners = []
    for k in range(12):
        angle, reach = math.tau * k / 12, 1 + r.uniform(-rough, rough)
        corners.append((x + rx * reach * math.cos(angle), y + ry * reach * math.sin(angle)))
    middles = [
        ((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in zip(corners, corners[1:] + corners[:1], strict=True)
    ]
    d = f"M{middles[-1][0]:.1f} {middles[-1][1]:.1f}"
    for (a, b), (c, e) in zip(corners, middles, strict=True):
        d += f" Q{a:.1f} {b:.1f} {c:.1f} {e:.1f}"
    return path(d + "Z", fill)
