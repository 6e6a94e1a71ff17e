"""Landscapes, drawn in vectors from a seed: each function gives the body of an SVG that fills its frame."""
# ruff: noqa: E501 -- a path is one line

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from random import Random

from tools.scenes.shapes import (
    S,
    ellipse,
    gradient,
    house,
    mountains,
    near,
    path,
    pine,
    polygon,
    rect,
    rgb,
    sky,
)


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
    """One, two or three falls over a cliff, each wider below, into a pool with spray; pines on the edge.

    More than 60 lines: one drawing, stroke upon stroke from back to front.
    """
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
    """Bright houses stacked on a steep headland over a blue sea.

    More than 60 lines: one drawing, stroke upon stroke from back to front.
    """
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
