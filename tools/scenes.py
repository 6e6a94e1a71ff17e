"""Pictures that no set of pictograms holds, drawn in vectors from a seed: landscapes and people.

Each function takes a random generator and gives the body of an SVG on a canvas of 256 × 256. Scenes fill
their frame; people have a transparent ground.
"""
# ruff: noqa: E501 -- a path is one line

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Literal

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


def village(r: Random) -> str:
    """Houses with snow on their roofs under snow-capped mountains."""
    mood = r.choice(
        [("#4f86c6", "#cfe3f5"), ("#5d6fa8", "#f3c9b0"), ("#7fa8d4", "#e8f1f8"), ("#3f5f9a", "#b9cfe8")]
    )
    out = sky([(0, mood[0]), (0.6, mood[1]), (1, "#ffffff")])
    out += mountains(r, 170, r.uniform(90, 115), near(r, (120, 135, 165)), 0.75)
    out += mountains(r, 185, r.uniform(100, 140), near(r, (84, 96, 122)), 0.6)
    out += path(
        f"M0 {r.uniform(168, 182)} Q64 {r.uniform(155, 172)} 128 {r.uniform(166, 180)} T256 {r.uniform(162, 180)} V256 H0Z",
        "#eef4fb",
    )
    for _ in range(r.randint(6, 10)):
        out += pine(r, r.uniform(0, S), r.uniform(172, 192), r.uniform(24, 44), near(r, (38, 74, 62)), True)
    spots = sorted((r.uniform(178, 246), r.uniform(-6, 226)) for _ in range(r.randint(6, 9)))
    for y, x in spots:
        wall = near(r, r.choice([(150, 96, 60), (176, 120, 82), (196, 160, 120), (140, 70, 56)]))
        out += house(r, x, y, r.uniform(26, 34) * (0.6 + (y - 170) / 110), wall, (110, 60, 48), True)
    if r.random() < 0.6:
        x = r.uniform(60, 180)
        out += (
            rect(x, 150, 13, 44, "#b98f6a")
            + polygon([(x - 3, 151), (x + 6.5, 112), (x + 16, 151)], "#6e3b38")
            + polygon([(x - 1, 146), (x + 6.5, 112), (x + 9, 130)], "#f7fafe")
        )
    return out


def peaks(r: Random) -> str:
    """Mountains alone."""
    mood = r.choice([("#3f80c8", "#d8e8f6"), ("#6a6fb0", "#f6cfae"), ("#86b0dc", "#eef4f8")])
    out = sky([(0, mood[0]), (0.7, mood[1]), (1, "#ffffff")])
    out += mountains(r, 190, r.uniform(110, 150), near(r, (118, 132, 160)), 0.7)
    out += mountains(r, 215, r.uniform(90, 165), near(r, (80, 92, 116)), 0.55)
    green = near(r, r.choice([(74, 120, 70), (100, 140, 84), (60, 100, 90)]))
    out += path(
        f"M0 {r.uniform(195, 215)} Q90 {r.uniform(180, 210)} 256 {r.uniform(195, 220)} V256 H0Z", rgb(green)
    )
    for _ in range(r.randint(4, 14)):
        out += pine(r, r.uniform(0, S), r.uniform(212, 256), r.uniform(26, 52), near(r, (34, 78, 56)))
    return out


def waterfall(r: Random) -> str:
    """One, two or three falls over a cliff, each wider below, into a pool with spray; pines on the edge."""
    out = sky([(0, "#5f9fd0"), (0.4, "#a9d0e8"), (1, "#a9d0e8")])
    top, foot = r.uniform(62, 88), r.uniform(186, 204)
    rock = near(r, r.choice([(84, 76, 72), (72, 80, 76), (98, 86, 72)]))
    line = [(x, top + r.uniform(-9, 7)) for x in range(0, S + 1, 32)]
    out += polygon([*line, (S, S), (0, S)], rgb(rock))
    for _ in range(60):  # ledges: level, where the water is upright
        x, y, w = r.uniform(-20, S), r.uniform(top + 8, foot + 16), r.uniform(18, 46)
        out += polygon(
            [(x, y), (x + w, y + r.uniform(-3, 3)), (x + w * 0.9, y + r.uniform(5, 11)), (x + 4, y + 9)],
            rgb(rock, r.choice([0.5, 0.62, 1.25])),
            'opacity=".8"',
        )
    count = r.choice([1, 1, 2, 2, 3])
    middles = {1: [128], 2: [80, 178], 3: [40, 128, 216]}[count]
    falls = [(m + r.uniform(-12, 12), r.uniform(30, 40) + (26 if count == 1 else 0)) for m in middles]
    for _ in range(r.randint(9, 13)):
        x = r.uniform(-6, S + 6)
        if all(abs(x - m) > w * 0.5 + 6 for m, w in falls):
            out += pine(r, x, top + r.uniform(0, 8), r.uniform(42, 68), near(r, (30, 66, 44)))
    for x, w in falls:
        y, flare, step = top - 1, w * 0.34, r.uniform(0.42, 0.6)
        ledge = top + (foot - top) * step
        out += path(
            f"M{x - w / 2} {y} Q{x} {y - 6} {x + w / 2} {y} C{x + w / 2 + 5} {y + 20} {x + w / 2 + 3} {ledge} {x + w / 2 + flare} {ledge + 6} L{x + w / 2 + flare * 1.5} {foot + 6} H{x - w / 2 - flare * 1.5} L{x - w / 2 - flare} {ledge + 6} C{x - w / 2 - 3} {ledge} {x - w / 2 - 5} {y + 20} {x - w / 2} {y}Z",
            "#f4fafd",
        )
        for k in range(round(w / 6)):  # threads of water, parted by shade
            u = -0.42 + 0.84 * (k + r.uniform(0.2, 0.8)) / round(w / 6)
            out += path(
                f"M{x + u * w} {y + r.uniform(8, 26)} Q{x + u * w * 1.05} {ledge} {x + u * (w + 2 * flare)} {ledge + 8} L{x + u * (w + 3 * flare)} {foot - r.uniform(0, 18)}",
                "none",
                f'stroke="{r.choice(["#7fb2cf", "#96c4dc"])}" stroke-width="{r.uniform(2.2, 3.6):.1f}" stroke-linecap="round"',
            )
    out += gradient("pool", [(0, "#a8d8e8"), (1, "#2f7394")]) + path(
        f"M0 {foot + r.uniform(2, 8)} Q128 {foot - 4} 256 {foot + r.uniform(2, 8)} V256 H0Z", "url(#pool)"
    )
    for x, w in falls:
        for _ in range(9):
            out += ellipse(
                x + r.uniform(-0.8, 0.8) * w,
                foot + r.uniform(-9, 6),
                r.uniform(9, 17),
                r.uniform(6, 11),
                "#ffffff",
                'opacity=".8"',
            )
        for k in range(4):  # rings on the pool
            out += ellipse(
                x,
                foot + 13 + 10 * k,
                w * (0.8 + 0.32 * k),
                3.5 + 1.5 * k,
                "none",
                f'stroke="#e6f5fa" stroke-width="2.6" opacity="{0.9 - 0.15 * k:.2f}"',
            )
    for side in (0, 1):
        for _ in range(3):
            x = r.uniform(-4, 34) if side == 0 else r.uniform(222, 260)
            out += ellipse(
                x, r.uniform(226, 256), r.uniform(14, 28), r.uniform(10, 16), rgb(rock, r.uniform(0.5, 0.85))
            )
    return out


def coast(r: Random) -> str:
    """Bright houses stacked on a steep headland over a blue sea."""
    out = sky([(0, "#4b9ee0"), (0.45, "#c9e6f6"), (1, "#ffffff")])
    horizon = r.uniform(112, 134)
    out += gradient("sea", [(0, "#3f97c8"), (0.5, "#1f78b4"), (1, "#1b5f98")]) + rect(
        0, horizon, S, S - horizon, "url(#sea)"
    )
    mirror = r.random() < 0.5
    land: list[str] = []
    hill = near(r, (112, 132, 88))
    foot = r.uniform(196, 226)
    crest = [
        (0, r.uniform(26, 50)),
        (44, r.uniform(36, 60)),
        (96, r.uniform(66, 92)),
        (146, r.uniform(112, 140)),
        (188, foot - 14),
        (206, foot),
    ]
    land.append(
        polygon(
            [(0, r.uniform(50, 84)), (80, horizon - 40), (140, horizon - 14), (200, horizon), (0, horizon)],
            rgb(hill, 1.25),
            'opacity=".7"',
        )
    )
    land.append(polygon([*crest, (150, foot + 10), (90, foot + 22), (0, S)], rgb(hill)))
    for _ in range(16):
        t = r.random() * 0.9
        x = t * 190
        y = _on(crest, x) + r.uniform(4, 60)
        if y < foot:
            land.append(ellipse(x, y, r.uniform(7, 14), r.uniform(5, 9), rgb(near(r, (70, 104, 62)))))
    walls = [
        (244, 214, 160),
        (240, 180, 150),
        (250, 236, 214),
        (226, 140, 110),
        (250, 220, 120),
        (236, 196, 196),
        (255, 248, 236),
    ]
    spots = []
    for _ in range(60):
        x = r.uniform(-8, 176)
        low = _on(crest, x) + 22
        if low < foot + 8:
            spots.append((r.uniform(low, foot + 10), x))
    for y, x in sorted(spots)[:44]:
        w = r.uniform(16, 25)
        land.append(house(r, x, y, w, near(r, r.choice(walls), 8), (190, 96, 66), False, r.random() < 0.55))
    land.append(
        path(
            f"M0 {foot + 40:.0f} Q90 {foot + 14:.0f} 206 {foot:.0f} L214 {foot + 5:.0f} Q110 {foot + 26:.0f} 40 {S} H0Z",
            "#d9c49a",
        )
    )
    body = "".join(land)
    out += f'<g transform="translate({S} 0) scale(-1 1)">{body}</g>' if mirror else body
    for _ in range(r.randint(2, 5)):
        x, y = (r.uniform(150, 240), r.uniform(horizon + 20, 240))
        x = S - x if mirror else x
        out += path(f"M{x - 8} {y} h16 l-3 5 h-10Z", "#ffffff") + polygon(
            [(x, y - 14), (x + 8, y - 2), (x, y - 2)], "#f6f6f6"
        )
    for _ in range(9):
        out += path(
            f"M{r.uniform(0, 230):.0f} {r.uniform(horizon + 6, 250):.0f} h{r.uniform(10, 30):.0f}",
            "none",
            'stroke="#9fd0ea" stroke-width="1.6" opacity=".7"',
        )
    return out


def _on(line: Sequence[tuple[float, float]], x: float) -> float:
    for (x0, y0), (x1, y1) in pairwise(line):
        if x0 <= x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return line[0][1] if x < line[0][0] else line[-1][1]


SKINS: list[Colour] = [(244, 208, 178), (230, 184, 146), (206, 152, 112), (160, 108, 74), (108, 70, 48)]
CLOTHES: list[Colour] = [
    (180, 52, 48),
    (52, 92, 150),
    (66, 120, 78),
    (200, 140, 50),
    (110, 72, 130),
    (70, 74, 84),
    (150, 96, 60),
]


def sitter(r: Random, x: float, y: float, h: float, face: int) -> str:
    """Somebody sitting on the ground, lit by a fire at their ``face`` side (-1 left, 1 right)."""
    skin, cloth = r.choice(SKINS), near(r, r.choice(CLOTHES))
    head = h * 0.17
    out = path(
        f"M{x - h * 0.24} {y} Q{x - h * 0.26} {y - h * 0.62} {x} {y - h * 0.64} Q{x + h * 0.26} {y - h * 0.62} {x + h * 0.24} {y}Z",
        rgb(cloth, 0.8),
    )
    out += path(f"M{x} {y} Q{x + face * h * 0.5} {y - h * 0.3} {x + face * h * 0.44} {y}Z", rgb(cloth, 0.55))
    out += path(
        f"M{x + face * h * 0.1} {y - h * 0.45} Q{x + face * h * 0.2} {y - h * 0.2} {x + face * h * 0.4} {y - h * 0.3}",
        "none",
        f'stroke="{rgb(cloth, 1.1)}" stroke-width="{h * 0.1:.1f}" stroke-linecap="round"',
    )
    out += path(
        f"M{x + face * h * 0.12} {y - h * 0.62} Q{x + face * h * 0.25} {y - h * 0.5} {x + face * h * 0.2} {y - h * 0.06} L{x + face * h * 0.12} {y - h * 0.06}Z",
        "#ffb35c",
        'opacity=".6"',
    )
    out += ellipse(x, y - h * 0.78, head, head * 1.1, rgb(skin, 0.9))
    out += ellipse(x + face * head * 0.35, y - h * 0.76, head * 0.6, head * 0.85, "#ffcf8a", 'opacity=".7"')
    hair = rgb(r.choice([(40, 28, 22), (84, 54, 32), (120, 84, 44), (30, 30, 34)]))
    out += path(
        f"M{x - head * 1.08} {y - h * 0.76} A{head * 1.08} {head * 1.2} 0 0 1 {x + head * 1.08} {y - h * 0.80} Q{x} {y - h * 0.88} {x - head * 1.08} {y - h * 0.72}Z",
        hair,
    )
    return out


def campfire(r: Random) -> str:
    """People around a fire at night."""
    out = sky([(0, "#0c1230"), (0.55, "#22264e"), (1, "#2a2030")])
    for _ in range(26):
        x, y, size = r.uniform(0, S), r.uniform(0, 90), r.uniform(0.9, 2.0)
        out += ellipse(x, y, size, size, "#fff6d8", 'opacity=".9"')
    if r.random() < 0.5:
        out += ellipse(r.choice([36, 216]) + r.uniform(-12, 12), r.uniform(24, 44), 13, 13, "#f7efc8")
    for _ in range(14):
        x = r.choice([r.uniform(-8, 84), r.uniform(172, 264)])
        out += pine(r, x, r.uniform(150, 172), r.uniform(60, 116), near(r, (16, 30, 36), 5))
    out += gradient("ground", [(0, "#4a3428"), (1, "#1d1618")]) + path(
        "M0 164 Q128 152 256 164 V256 H0Z", "url(#ground)"
    )
    fx, fy, fh = 128 + r.uniform(-8, 8), r.uniform(204, 218), r.uniform(104, 138)
    out += gradient(
        "glow",
        [(0, "#ffc25a"), (0.4, "#f08a30"), (0.75, "#b8481c"), (1, "#6a2818")],
        True,
        [0.95, 0.6, 0.25, 0],
    )
    out += ellipse(fx, fy - fh * 0.42, r.uniform(88, 104), r.uniform(96, 112), "url(#glow)")
    out += ellipse(fx, fy + 8, 84, 17, "#d8803a", 'opacity=".55"')
    if r.random() < 0.5:
        for side in (-1, 1):
            x = fx + side * r.uniform(56, 64)
            out += sitter(r, x, r.uniform(188, 196), r.uniform(68, 78), -side)
    for side in (-1, 1):
        out += sitter(r, fx + side * r.uniform(84, 96), r.uniform(224, 238), r.uniform(98, 116), -side)
    for angle in (-26, 24, 0):
        out += f'<rect x="{fx - 34:.1f}" y="{fy - 3:.1f}" width="68" height="12" rx="6" fill="{rgb(near(r, (96, 58, 36)))}" transform="rotate({angle} {fx:.1f} {fy:.1f})"/>'
    for k, (tone, part) in enumerate(
        [("#e8481c", 1.0), ("#f98a1f", 0.76), ("#ffcb3d", 0.53), ("#fff3b0", 0.3)]
    ):
        h, w = fh * part, 33 * part + 2
        lean = r.uniform(-7, 7)
        out += path(
            f"M{fx - w} {fy - 2} C{fx - w * 1.3} {fy - h * 0.45} {fx - w * 0.3} {fy - h * 0.5} {fx + lean} {fy - h} C{fx + w * 0.35} {fy - h * 0.6} {fx + w * 1.35} {fy - h * 0.4} {fx + w} {fy - 2} Q{fx} {fy + 6 - k} {fx - w} {fy - 2}Z",
            tone,
        )
    for _ in range(8):
        out += ellipse(fx + r.uniform(-40, 40), fy - r.uniform(90, 160), 1.7, 1.7, "#ffc24d")
    return out


def beach(r: Random) -> str:
    """Sand, sea and a palm."""
    out = sky([(0, "#3fa0e6"), (0.5, "#d4eefb"), (1, "#ffffff")])
    horizon = r.uniform(118, 140)
    out += gradient("sea", [(0, "#2f93c9"), (1, "#7fd3dc")]) + rect(0, horizon, S, 80, "url(#sea)")
    out += path(
        f"M0 {r.uniform(180, 200)} Q128 {r.uniform(166, 190)} 256 {r.uniform(186, 206)} V256 H0Z", "#f0dcae"
    )
    for _ in range(r.randint(1, 3)):
        x, y, h = r.uniform(30, 226), r.uniform(205, 236), r.uniform(90, 140)
        lean = r.uniform(-26, 26)
        out += path(
            f"M{x} {y} Q{x + lean * 0.2} {y - h * 0.5} {x + lean} {y - h}",
            "none",
            'stroke="#8a6240" stroke-width="8" stroke-linecap="round"',
        )
        for k in range(7):
            a = math.pi * (k / 6) + r.uniform(-0.15, 0.15)
            dx, dy = math.cos(a) * 46, -math.sin(a) * 24
            out += path(
                f"M{x + lean} {y - h} Q{x + lean + dx * 0.6} {y - h + dy - 12} {x + lean + dx} {y - h + dy + 18}",
                "none",
                f'stroke="{rgb(near(r, (54, 134, 66)))}" stroke-width="8" stroke-linecap="round"',
            )
    return out


def forest(r: Random) -> str:
    """Many trees."""
    out = sky([(0, "#b8dcc8"), (0.6, "#dfeede"), (1, "#7da46a")])
    out += rect(0, 176, S, 80, rgb(near(r, (88, 130, 70))))
    for y, dark in sorted((r.uniform(150, 256), r.uniform(0.7, 1.1)) for _ in range(26)):
        out += pine(
            r,
            r.uniform(-10, 266),
            y,
            r.uniform(60, 120) * y / 220,
            near(r, (44 * dark + 10, 100 * dark, 62 * dark)),
        )
    return out


def city(r: Random) -> str:
    """A skyline, by day or by night."""
    night = r.random() < 0.5
    out = sky([(0, "#121a3c"), (1, "#574a7c")] if night else [(0, "#6fb2e6"), (1, "#eaf4fa")])
    for layer in range(3):
        x = -10.0
        while x < S:
            w, h = r.uniform(20, 40), r.uniform(50, 170) * (1 - 0.22 * layer)
            tone = near(r, (40, 46, 80) if night else (150, 164, 182))
            out += rect(x, S - h, w, h, rgb(tone, 1 - 0.22 * layer))
            for i in range(int(w // 8)):
                for j in range(int(h // 12)):
                    if r.random() < 0.5:
                        out += rect(
                            x + 3 + 8 * i, S - h + 5 + 12 * j, 4, 6, "#ffd977" if night else "#5d7590"
                        )
            x += w + r.uniform(-2, 6)
    return out


def desert(r: Random) -> str:
    """Dunes under a hot sky."""
    out = sky([(0, "#59a9dd"), (0.55, "#f6e6c0"), (1, "#f2cf8c")])
    out += ellipse(r.uniform(40, 216), r.uniform(40, 80), 18, 18, "#fff3c4")
    for k in range(4):
        y = 130 + 30 * k + r.uniform(-8, 8)
        out += path(
            f"M0 {y + r.uniform(-10, 20)} Q{r.uniform(40, 120)} {y - 34} {r.uniform(120, 160)} {y} T256 {y + r.uniform(-14, 12)} V256 H0Z",
            rgb(near(r, (226 - 14 * k, 170 - 14 * k, 96 - 8 * k), 8)),
        )
    return out


def dusk(r: Random) -> str:
    """The sun going down over the sea."""
    horizon, x = r.uniform(130, 156), r.uniform(70, 186)
    out = sky([(0, "#4a3f7c"), (0.35, "#e0685c"), (0.6, "#fdc36a"), (1, "#fdc36a")])
    out += ellipse(x, horizon - r.uniform(2, 26), 24, 24, "#fff0b0")
    out += gradient("sea", [(0, "#d98a5c"), (1, "#33386a")]) + rect(0, horizon, S, S - horizon, "url(#sea)")
    for k in range(12):
        w = 22 + k * r.uniform(2, 4)
        out += rect(x - w / 2 + r.uniform(-8, 8), horizon + 5 + 9 * k, w, 3.5, "#ffe0a0", 'opacity=".75"')
    return out


def meadow(r: Random) -> str:
    """Flowers in front of hills."""
    out = sky([(0, "#6cb6ee"), (0.6, "#e6f4fb"), (1, "#ffffff")])
    for k in range(3):
        y = 120.0 + 26 * k
        out += path(
            f"M0 {y + r.uniform(-12, 12)} Q80 {y - 26} 140 {y} T256 {y + r.uniform(-10, 10)} V256 H0Z",
            rgb(near(r, (120 - 16 * k, 176 - 12 * k, 92 - 10 * k))),
        )
    for y in sorted(r.uniform(176, 252) for _ in range(46)):
        x, size = r.uniform(0, S), 2.5 + (y - 170) / 12
        tone = rgb(
            r.choice([(232, 72, 88), (250, 206, 70), (240, 140, 190), (250, 250, 250), (150, 110, 214)])
        )
        out += rect(x - 0.8, y, 1.6, size * 2, "#3c7a3c")
        for k in range(5):
            out += ellipse(
                x + math.cos(k * 1.257) * size * 0.7,
                y + math.sin(k * 1.257) * size * 0.7,
                size * 0.55,
                size * 0.55,
                tone,
            )
        out += ellipse(x, y, size * 0.42, size * 0.42, "#f7c531")
    return out


def person(r: Random, old: bool = False, hat: bool = False, woman: bool = False) -> str:
    """Head and shoulders, shaded, on a transparent ground."""
    skin, cloth = near(r, SKINS[r.choice([0, 0, 1, 1, 2, 3, 4])], 6), near(r, r.choice(CLOTHES))
    hair: Colour = (
        (226, 224, 220)
        if old
        else r.choice([(38, 28, 24), (82, 54, 34), (132, 92, 50), (26, 26, 30), (176, 132, 72)])
    )
    if old:
        hair = near(r, hair, 10)
    w, h = r.uniform(52, 60), r.uniform(70, 78)
    x, y = 128.0, 122.0
    out = gradient("skin", [(0, rgb(skin, 1.1)), (0.7, rgb(skin)), (1, rgb(skin, 0.72))], True)
    out += gradient("cloth", [(0, rgb(cloth, 1.15)), (1, rgb(cloth, 0.6))])
    if woman:
        out += path(
            f"M{x - w - 12} 232 Q{x - w - 26} {y - h * 1.1} {x} {y - h - 12} Q{x + w + 26} {y - h * 1.1} {x + w + 12} 232Z",
            rgb(hair, 0.85),
        )
    out += path(
        f"M{x - 104} 256 Q{x - 98} 204 {x - 34} 196 H{x + 34} Q{x + 98} 204 {x + 104} 256Z", "url(#cloth)"
    )
    out += path(f"M{x - 24} 170 H{x + 24} V200 Q{x} 222 {x - 24} 200Z", rgb(skin, 0.78))
    if not woman:
        out += polygon([(x - 30, 196), (x, 226), (x - 44, 222)], "#f4f0ea") + polygon(
            [(x + 30, 196), (x, 226), (x + 44, 222)], "#e6e0d8"
        )
    for side in (-1, 1):
        out += ellipse(x + side * (w + 2), y + 4, 10, 15, rgb(skin, 0.86))
    if not old and not woman:
        out += ellipse(x, y - 14, w + 6, h - 2, rgb(hair))
    out += ellipse(x, y, w, h, "url(#skin)")
    # Light from the left: the right side of the face is darker.
    out += path(
        f"M{x + w * 0.35} {y - h * 0.9} Q{x + w * 1.05} {y - h * 0.5} {x + w} {y} Q{x + w * 0.95} {y + h * 0.7} {x + w * 0.2} {y + h * 0.97} Q{x + w * 0.75} {y + h * 0.3} {x + w * 0.35} {y - h * 0.9}Z",
        "#3a1c10",
        'opacity=".16"',
    )
    brow = rgb(hair, 0.9 if old else 0.75)
    gap, ey = r.uniform(21, 25), y - 8
    for side in (-1, 1):
        ex = x + side * gap
        out += ellipse(ex, ey - 1, 13, 10, rgb(skin, 0.78), 'opacity=".7"')
        out += (
            ellipse(ex, ey, 10, 6.4, "#fbfaf6")
            + ellipse(
                ex, ey, 5.6, 6.2, rgb(r.choice([(70, 46, 30), (60, 96, 140), (70, 110, 70), (40, 30, 26)]))
            )
            + ellipse(ex, ey, 2.8, 3.2, "#111111")
        )
        out += path(
            f"M{ex - 14} {ey - 11} Q{ex} {ey - 21} {ex + 14} {ey - 12}",
            "none",
            f'stroke="{brow}" stroke-width="{7 if old else 5.5}" stroke-linecap="round"',
        )
        if old:
            out += path(
                f"M{ex - 10} {ey + 11} Q{ex} {ey + 16} {ex + 10} {ey + 11}",
                "none",
                f'stroke="{rgb(skin, 0.66)}" stroke-width="2.4"',
            )
    out += path(
        f"M{x - 2} {ey + 2} Q{x - 11} {ey + 30} {x - 9} {ey + 33} Q{x} {ey + 41} {x + 11} {ey + 33} Q{x + 7} {ey + 24} {x + 4} {ey + 2}Z",
        rgb(skin, 0.82),
    )
    lips = rgb((196, 70, 76)) if woman else rgb(skin, 0.62)
    beard = (old and r.random() < 0.75) or (not woman and not old and r.random() < 0.35)
    if beard:
        length = r.uniform(14, 62) if old else r.uniform(2, 10)
        tip = r.uniform(0.35, 0.9) if old else 1.0
        out += path(
            f"M{x - w} {y + 4} Q{x - w * 0.9} {y + 34} {x - 26} {y + 34} Q{x} {y + 24} {x + 26} {y + 34} Q{x + w * 0.9} {y + 34} {x + w} {y + 4} Q{x + w * tip} {y + h * 0.8} {x} {y + h + length} Q{x - w * tip} {y + h * 0.8} {x - w} {y + 4}Z",
            rgb(hair, 0.97),
        )
        out += path(
            f"M{x + w * 0.3} {y + 40} Q{x + w} {y + 30} {x + w} {y + 6} Q{x + w * tip} {y + h * 0.8} {x} {y + h + length}Z",
            "#000000",
            'opacity=".13"',
        )
    out += path(
        f"M{x - 15} {y + 45} Q{x} {y + (50 if not woman else 54)} {x + 15} {y + 45}",
        "none",
        f'stroke="{lips}" stroke-width="{6 if woman else 5}" stroke-linecap="round"',
    )
    if old:
        if not beard:
            out += path(
                f"M{x - 24} {y + 40} Q{x} {y + 24} {x + 24} {y + 40} Q{x} {y + 36} {x - 24} {y + 40}Z",
                rgb(hair, 0.95),
            )
        for k in range(3):
            out += path(
                f"M{x - 28} {y - 38 - 9 * k} Q{x} {y - 43 - 9 * k} {x + 28} {y - 38 - 9 * k}",
                "none",
                f'stroke="{rgb(skin, 0.76)}" stroke-width="2.4"',
            )
        for side in (-1, 1):
            out += path(
                f"M{x + side * (w - 6)} {y - 34} Q{x + side * (w + 20)} {y - 30} {x + side * (w + 8)} {y + 14} Q{x + side * (w - 4)} {y} {x + side * (w - 6)} {y - 34}Z",
                rgb(hair, 0.93),
            )
            out += path(
                f"M{x + side * 18} {y + 26} Q{x + side * 32} {y + 34} {x + side * 30} {y + 46}",
                "none",
                f'stroke="{rgb(skin, 0.7)}" stroke-width="2.4"',
            )
        if r.random() < 0.35:
            for side in (-1, 1):
                out += ellipse(x + side * gap, ey, 17, 14, "none", 'stroke="#3a3a3a" stroke-width="3"')
            out += rect(x - gap + 16, ey - 2, 2 * gap - 32, 3, "#3a3a3a")
    elif woman:
        out += path(
            f"M{x - w - 6} {y + 10} Q{x - w - 8} {y - h} {x} {y - h - 8} Q{x + w + 8} {y - h} {x + w + 6} {y + 10} Q{x + w - 6} {y - h * 0.45} {x + r.uniform(-10, 20)} {y - h * 0.62} Q{x - w + 6} {y - h * 0.4} {x - w - 6} {y + 10}Z",
            rgb(hair),
        )
    else:
        out += path(
            f"M{x - w - 4} {y - 6} Q{x - w - 6} {y - h - 4} {x} {y - h - 12} Q{x + w + 6} {y - h - 4} {x + w + 4} {y - 6} Q{x + w - 4} {y - h * 0.5} {x + r.uniform(-16, 16)} {y - h * 0.55} Q{x - w + 4} {y - h * 0.5} {x - w - 4} {y - 6}Z",
            rgb(hair),
        )
    if hat:
        tone = near(r, r.choice([(40, 38, 44), (110, 70, 42), (196, 164, 110), (60, 74, 104), (130, 40, 44)]))
        band = r.choice(CLOTHES)
        crown = r.uniform(50, 66)
        brim = r.uniform(84, 104)
        cx, top = x, y - h * 0.52
        out += gradient("hat", [(0, rgb(tone, 1.2)), (1, rgb(tone, 0.8))])
        out += path(
            f"M{cx - w - 3} {top} Q{cx - w + 2} {top - crown} {cx - 22} {top - crown - 4} Q{cx} {top - crown + 6} {cx + 22} {top - crown - 4} Q{cx + w - 2} {top - crown} {cx + w + 3} {top}Z",
            "url(#hat)",
        )
        out += path(
            f"M{cx - w - 3} {top} L{cx - w} {top - 15} Q{cx} {top - 5} {cx + w} {top - 15} L{cx + w + 3} {top} Q{cx} {top + 12} {cx - w - 3} {top}Z",
            rgb(band),
        )
        out += path(
            f"M{cx - brim} {top - 2} Q{cx} {top + 26} {cx + brim} {top - 2} Q{cx + brim - 8} {top + 14} {cx} {top + 22} Q{cx - brim + 8} {top + 14} {cx - brim} {top - 2}Z",
            rgb(tone, 0.72),
        )
    return out


def dog(r: Random) -> str:
    """A dog's head and chest from the front, shaded, on a transparent ground."""
    coat = near(
        r, r.choice([(168, 112, 66), (206, 160, 104), (120, 78, 50), (226, 206, 176), (96, 84, 78)]), 8
    )
    dark = near(r, r.choice([(70, 44, 30), (92, 58, 38), (48, 40, 38)]), 6)
    pale = (246, 236, 222)
    x, y, w, h = 128.0, 112.0, r.uniform(58, 66), r.uniform(62, 70)
    out = gradient("coat", [(0, rgb(coat, 1.12)), (0.7, rgb(coat)), (1, rgb(coat, 0.7))], True)
    out += path(f"M{x - 78} 256 Q{x - 70} 178 {x} 170 Q{x + 70} 178 {x + 78} 256Z", rgb(coat, 0.9))
    out += path(f"M{x - 34} 256 Q{x - 32} 196 {x} 188 Q{x + 32} 196 {x + 34} 256Z", rgb(pale))
    out += ellipse(x, y, w, h, "url(#coat)")
    if r.random() < 0.6:
        out += path(
            f"M{x - 9} {y - h} Q{x} {y - h - 3} {x + 9} {y - h} Q{x + 7} {y - 10} {x + 22} {y + 16} H{x - 22} Q{x - 7} {y - 10} {x - 9} {y - h}Z",
            rgb(pale),
        )
    hang, upright = r.uniform(70, 92), r.random() < 0.2
    for side in (-1, 1):
        a = x + side * w * 0.62
        if upright:
            out += polygon(
                [(a - side * 16, y - h * 0.78), (a + side * 22, y - h - 40), (a + side * 26, y - h * 0.2)],
                rgb(dark),
            )
        else:
            out += path(
                f"M{a - side * 6} {y - h * 0.86} Q{a + side * 42} {y - h * 1.02} {a + side * 50} {y - h * 0.1} Q{a + side * 52} {y - h * 0.86 + hang} {a + side * 30} {y - h * 0.86 + hang} Q{a + side * 4} {y + 2} {a - side * 6} {y - h * 0.86}Z",
                rgb(dark),
            )
    out += ellipse(x, y + 40, 38, 31, rgb(pale))
    for side in (-1, 1):
        out += ellipse(x + side * 27, y - 8, 11, 12, "#1d1512") + ellipse(
            x + side * 27 - 3, y - 12, 3.5, 3.5, "#ffffff"
        )
        out += path(
            f"M{x + side * 16} {y - 26} Q{x + side * 28} {y - 34} {x + side * 40} {y - 25}",
            "none",
            f'stroke="{rgb(dark)}" stroke-width="5" stroke-linecap="round"',
        )
    out += path(
        f"M{x - 19} {y + 20} Q{x} {y + 10} {x + 19} {y + 20} Q{x + 15} {y + 39} {x} {y + 40} Q{x - 15} {y + 39} {x - 19} {y + 20}Z",
        "#1b1615",
    )
    out += ellipse(x - 6, y + 20, 5, 3, "#6a6462")
    if r.random() < 0.7:
        out += path(
            f"M{x - 13} {y + 54} Q{x} {y + 62} {x + 13} {y + 54} V{y + 72} Q{x} {y + 92} {x - 13} {y + 72}Z",
            "#e46a7c",
        )
    out += path(
        f"M{x} {y + 40} V{y + 52} M{x - 26} {y + 50} Q{x - 12} {y + 62} {x} {y + 52} Q{x + 12} {y + 62} {x + 26} {y + 50}",
        "none",
        'stroke="#241a18" stroke-width="4.5" stroke-linecap="round"',
    )
    out += rect(x - 42, 180, 84, 12, rgb(r.choice(CLOTHES)), 'rx="6"')
    return out


DRAWN: list[tuple[str, Literal["piece", "scene"], Callable[[Random], str], int]] = [
    ("people around a campfire", "scene", campfire, 40),
    ("snowy mountain village", "scene", village, 40),
    ("waterfalls", "scene", waterfall, 40),
    ("amalfi coast", "scene", coast, 40),
    ("mountains", "scene", peaks, 16),
    ("beach", "scene", beach, 12),
    ("forest", "scene", forest, 12),
    ("city skyline", "scene", city, 12),
    ("desert", "scene", desert, 10),
    ("sunset over the sea", "scene", dusk, 10),
    ("meadow of flowers", "scene", meadow, 12),
    ("dog", "piece", dog, 24),
    ("old man", "piece", lambda r: person(r, old=True), 28),
    ("man", "piece", lambda r: person(r), 28),
    ("woman", "piece", lambda r: person(r, woman=True), 14),
    ("man wearing a hat", "piece", lambda r: person(r, hat=True), 28),
    ("old man wearing a hat", "piece", lambda r: person(r, old=True, hat=True), 10),
]
"""Name, kind, how it is drawn, and how many."""


def draw(name: str, number: int, how: Callable[[Random], str]) -> str:
    """The SVG of one picture; (name, number) decides it."""
    body = how(Random(f"{name}/{number}"))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {S} {S}">{body}</svg>'
