"""Rockets that stand on their pads above a lake, painted in oil: a pale sky, hazy shores, bushes in front."""
# ruff: noqa: E501 -- a path is one line

from __future__ import annotations

from random import Random

from tools.scenes.shapes import Colour, S, ellipse, gradient, near, path, polygon, rect, rgb, sky, stroke

PAINTS: list[Colour] = [(132, 52, 42), (110, 60, 46), (150, 78, 52), (168, 60, 44), (196, 190, 184)]
TRIMS: list[Colour] = [(206, 150, 92), (222, 196, 150), (70, 110, 108), (226, 222, 214)]


def lake(r: Random, shore: float) -> str:
    """Sky, far hills and water from ``shore`` down, in strokes."""
    out = sky([(0, "#b7cdec"), (0.3, "#cfdff2"), (0.55, "#e6ebf1"), (1, "#e6ebf1")])
    for _ in range(46):
        x, y, w = r.uniform(-20, S), r.uniform(0, shore), r.uniform(18, 60)
        tone = rgb(near(r, (206, 221, 240), 12))
        out += stroke(
            f"M{x:.0f} {y:.0f} q{w / 2:.0f} {r.uniform(-5, 5):.0f} {w:.0f} 0", tone, r.uniform(4, 9), 0.5
        )
    out += path(
        f"M0 {shore - r.uniform(4, 12):.0f} Q60 {shore - r.uniform(10, 18):.0f} 128 {shore - 5:.0f} "
        f"T{S} {shore - r.uniform(4, 14):.0f} V{shore + 4:.0f} H0Z",
        "#a9b7bd",
    )
    out += rect(0, shore, S, S - shore, "#aebdc0")
    for _ in range(40):
        x, y, w = r.uniform(-20, S), r.uniform(shore + 2, S), r.uniform(16, 54)
        tone = rgb(near(r, (176, 192, 194), 14))
        out += stroke(f"M{x:.0f} {y:.0f} h{w:.0f}", tone, r.uniform(2, 4.5), 0.7)
    return out


def bushes(r: Random, top: float) -> str:
    """Dark green leaves from ``top`` down, higher at the left edge, in dabs."""
    out = ""
    for _ in range(150):
        x = r.uniform(-6, S + 6)
        y = r.uniform(top - (44 if x < 34 else 4), S + 4) + 0.0016 * (x - 128) ** 2 * (-0.5 if x < 34 else 0)
        tone = rgb(near(r, (88, 92, 48), 26), 0.75 + 0.35 * r.random())
        out += ellipse(x, y, r.uniform(5, 13), r.uniform(4, 9), tone)
    return out


def hull(
    r: Random, name: str, x: float, top: float, foot: float, half: float, paint: Colour, trim: Colour
) -> str:
    """A rocket's stage about x: a body with a pointed nose, in shade on its left, with rings and a stripe."""
    nose = top + half * r.uniform(1.5, 2.2)
    stops = [(0, rgb(paint, 0.42)), (0.35, rgb(paint, 0.72)), (0.75, rgb(paint, 1.08)), (1, rgb(paint, 0.86))]
    shade = gradient(name, stops).replace('x2="0" y2="1"', 'x2="1" y2="0"')
    out = shade + path(
        f"M{x - half:.1f} {foot:.1f} V{nose:.1f} Q{x - half * 0.9:.1f} {top + half * 0.6:.1f} {x:.1f} {top:.1f} "
        f"Q{x + half * 0.9:.1f} {top + half * 0.6:.1f} {x + half:.1f} {nose:.1f} V{foot:.1f}Z",
        f"url(#{name})",
    )
    y = nose
    while y < foot - 12:
        out += rect(x - half, y, half * 1.3, r.uniform(3, 6), rgb(trim, 0.62))
        out += rect(x + half * 0.3, y, half * 0.7, r.uniform(3, 6), rgb(trim))
        y += r.uniform(30, 52)
    return out


def gantry(r: Random, x: float, top: float, foot: float) -> str:
    """A service tower of crossed beams, with arms to the right."""
    out, wide = "", r.uniform(12, 18)
    for side in (0, wide):
        out += stroke(f"M{x + side:.0f} {top:.0f} V{foot:.0f}", "#4c3a34", 3)
    y = top
    while y < foot:
        out += stroke(
            f"M{x:.0f} {y:.0f} l{wide:.0f} {wide:.0f} m0 {-wide:.0f} l{-wide:.0f} {wide:.0f}", "#5c4438", 2
        )
        y += wide
    for k in range(3):
        level = top + (foot - top) * (0.12 + 0.26 * k)
        out += rect(x + wide, level, 34, 4, "#54403a")
    return out


def rocket(r: Random) -> str:
    """A rocket with its boosters and fins in the middle of the picture; beside it, often, a service tower."""
    shore = r.uniform(124, 142)
    x, top, foot, half = r.uniform(112, 138), r.uniform(10, 34), r.uniform(206, 222), r.uniform(24, 46)
    paint, trim = near(r, r.choice(PAINTS), 10), near(r, r.choice(TRIMS), 10)
    out = lake(r, shore)
    if r.random() < 0.4:
        out += gantry(r, x - half * r.uniform(2.3, 2.8), top + r.uniform(20, 50), foot + 10)
    fins = min(half * r.uniform(1.7, 2.3), 78)
    for side, light in ((-1, 0.5), (1, 0.95)):
        out += polygon(
            [
                (x + side * half * 0.9, foot - half * r.uniform(2.2, 2.8)),
                (x + side * fins, foot - half * 0.6),
                (x + side * fins, foot + 6),
                (x + side * half * 0.8, foot - 4),
            ],
            rgb(trim if r.random() < 0.3 else paint, light),
        )
    if r.random() < 0.55:
        for k, side in enumerate((-1, 1)):
            out += hull(
                r, f"b{k}", x + side * half * 1.25, top + (foot - top) * 0.42, foot, half * 0.36, paint, trim
            )
    out += hull(r, "body", x, top, foot, half, paint, trim)
    if r.random() < 0.75:
        y, size = top + half * r.uniform(2.4, 3.0), half * r.uniform(0.3, 0.42)
        out += ellipse(x + half * 0.1, y, size * 1.3, size * 1.3, rgb(trim, 0.8))
        out += ellipse(x + half * 0.1, y, size, size, "#33505e") + ellipse(
            x + half * 0.2, y - size * 0.3, size * 0.35, size * 0.3, "#cfe2ea"
        )
    out += polygon(
        [
            (x - half * 0.6, foot),
            (x + half * 0.6, foot),
            (x + half * 0.85, foot + 14),
            (x - half * 0.85, foot + 14),
        ],
        "#3a302c",
    )
    out += rect(x - half * 2.6, foot + 12, half * 5.2, 10, "#77706a")
    if r.random() < 0.45:
        for _ in range(26):
            reach = r.uniform(-3.2, 3.2)
            tone = rgb(near(r, (232, 230, 226), 12))
            out += ellipse(
                x + reach * half,
                foot + r.uniform(8, 30) - 3 * abs(reach),
                r.uniform(9, 20),
                r.uniform(7, 13),
                tone,
            )
    return out + bushes(r, r.uniform(218, 234))
