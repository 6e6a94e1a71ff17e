"""A steep coast with houses, and a village in the snow, made to be each other's reflection.

What is pale sky over the coast is snow under the village, and what is deep sea is evening sky; the houses
between are boxes with windows, which read the same either way up.
"""
# ruff: noqa: E501 -- a path is one line

from __future__ import annotations

from random import Random

from tools.scenes.shapes import Colour, S, ellipse, near, path, polygon, rect, rgb, stroke

BLUE: Colour = (36, 96, 160)
WALLS: list[Colour] = [
    (244, 206, 140),
    (236, 164, 128),
    (250, 232, 204),
    (222, 128, 96),
    (248, 214, 110),
    (232, 186, 170),
]
WOOD: list[Colour] = [(196, 140, 92), (176, 108, 72), (222, 176, 120), (160, 92, 66), (214, 160, 100)]


def windows(r: Random, x: float, y: float, w: float, h: float, tone: str) -> str:
    """Rows of windows on a wall with its top left corner at (x, y)."""
    out = ""
    for i in range(max(1, int(w // 13))):
        for j in range(max(1, int(h // 16))):
            out += rect(x + 4 + 13 * i, y + 5 + 16 * j, 5, 8, tone)
    return out


def box(r: Random, x: float, y: float, w: float, h: float, wall: Colour, window: str) -> str:
    """A house with its lower left corner at (x, y): a wall in light, a narrow one in shade."""
    out = rect(x, y - h, w, h, rgb(wall)) + rect(x + w * 0.74, y - h, w * 0.26, h, rgb(wall, 0.8))
    return out + windows(r, x, y - h, w * 0.74, h, window)


def coast(r: Random) -> str:
    """Bright houses up a headland, rocks at its foot, over a deep blue sea; a pale sky above.

    More than 60 lines: one drawing, stroke upon stroke from back to front.
    """
    horizon = r.uniform(104, 128)
    out = rect(0, 0, S, S, "#eef3f6")
    out += path(
        f"M0 {horizon - r.uniform(20, 44):.0f} Q90 {horizon - r.uniform(26, 60):.0f} 170 {horizon:.0f} H0Z",
        "#c3ccd0",
    )
    out += rect(0, horizon, S, S - horizon, rgb(near(r, BLUE, 8)))
    for _ in range(16):
        out += stroke(
            f"M{r.uniform(-10, 240):.0f} {r.uniform(horizon + 6, 252):.0f} h{r.uniform(12, 40):.0f}",
            "#4f8fc4",
            2,
            0.7,
        )
    middle, reach = r.uniform(70, 186), r.uniform(88, 132)
    foot, top = r.uniform(156, 180), r.uniform(34, 58)
    hill = near(r, (122, 126, 92))
    out += polygon(
        [
            (middle - reach, foot),
            (middle - reach * 0.55, top + 46),
            (middle - reach * 0.1, top),
            (middle + reach * 0.35, top + 26),
            (middle + reach, foot),
        ],
        rgb(hill),
    )
    rocks = near(r, (88, 84, 84))
    points = [(middle - reach - 6, foot - 4.0)]
    steps = 9
    for k in range(1, steps):  # rocks that reach into the sea, as peaks would into a sky
        u = middle - reach + 2 * reach * k / steps
        points.append((u, foot + (r.uniform(26, 64) if k % 2 else r.uniform(4, 16))))
    out += polygon([*points, (middle + reach + 6, foot - 4)], rgb(rocks))
    for a, b in points[1:-1:2]:
        out += polygon([(a, b), (a - 9, b - 26), (a + 2, b - 22)], "#e8eef2", 'opacity=".85"')
    spots = []
    for _ in range(40):
        u, v = r.uniform(-0.86, 0.86), r.random()
        y = top + 34 + (foot - top - 30) * max(v, abs(u))
        spots.append((y, middle + u * reach))
    for y, x in sorted(spots):
        w, h = r.uniform(18, 32), r.uniform(18, 34)
        out += box(
            r,
            x - w / 2,
            min(y, foot + 4),
            w,
            h,
            near(r, r.choice(WALLS), 8),
            r.choice(["#5d5a66", "#7a6a60", "#46566e"]),
        )
        if r.random() < 0.4:
            out += rect(x - w / 2 - 1, min(y, foot + 4) - h - 3, w + 2, 4, "#c4694a")
    for _ in range(r.randint(1, 4)):
        x, y = r.uniform(20, 236), r.uniform(foot + 44, 246)
        out += polygon([(x, y - 15), (x + 9, y - 2), (x, y - 2)], "#ffffff") + path(
            f"M{x - 7:.0f} {y:.0f} h17 l-4 5 h-10Z", "#ffffff"
        )
    return out


def village(r: Random) -> str:
    """Lit houses with snow on their roofs under peaks, in a blue evening; snow in front.

    More than 60 lines: one drawing, stroke upon stroke from back to front.
    """
    snow = r.uniform(176, 196)
    out = rect(0, 0, S, S, rgb(near(r, BLUE, 8)))
    for _ in range(16):  # streaks of cloud
        out += stroke(
            f"M{r.uniform(-10, 240):.0f} {r.uniform(4, 100):.0f} h{r.uniform(12, 40):.0f}", "#4f8fc4", 2, 0.7
        )
    rocks = near(r, (88, 88, 96))
    middle, reach, base = r.uniform(80, 176), r.uniform(96, 140), r.uniform(96, 118)
    points: list[tuple[float, float]] = [(middle - reach - 30, base)]
    for k in range(1, 9):
        u = middle - reach + 2 * reach * k / 9
        points.append((u, base - (r.uniform(34, 78) if k % 2 else r.uniform(2, 14))))
    out += polygon([*points, (middle + reach + 30, base), (S, base + 40), (0, base + 40)], rgb(rocks))
    for a, b in points[1::2]:
        out += polygon(
            [(a, b), (a + 14, b + 26), (a + 3, b + 20), (a - 4, b + 30), (a - 13, b + 24)], "#f4f8fb"
        )
    out += path(
        f"M0 {base + r.uniform(4, 16):.0f} Q70 {base - 4:.0f} 128 {base + 8:.0f} T256 {base + r.uniform(0, 14):.0f} V256 H0Z",
        "#c8d3de",
    )
    out += rect(0, snow, S, S - snow, "#eef3f6")
    spots = [
        (r.uniform(base + 28, snow + 14), r.uniform(middle - reach * 0.95, middle + reach * 0.95))
        for _ in range(26)
    ]
    for y, x in sorted(spots):
        w, h = r.uniform(22, 36), r.uniform(18, 30)
        out += box(
            r, x - w / 2, y, w, h, near(r, r.choice(WOOD), 10), r.choice(["#ffd978", "#ffe6a0", "#5a4038"])
        )
        eaves, ridge = w / 2 + 5, y - h - r.uniform(9, 16)
        out += polygon(
            [(x - eaves, y - h + 2), (x - 3, ridge), (x + 3, ridge), (x + eaves, y - h + 2)], "#f6fafd"
        )
        out += stroke(f"M{x - eaves:.0f} {y - h + 3:.0f} H{x + eaves:.0f}", "#8a93a4", 2)
    for _ in range(r.randint(2, 6)):
        x, y, h = r.uniform(0, S), r.uniform(snow - 20, snow + 20), r.uniform(26, 46)
        for k in range(3):
            out += polygon(
                [
                    (x, y - h * (1 - 0.25 * k)),
                    (x + h * (0.14 + 0.06 * k), y - h * (0.5 - 0.2 * k)),
                    (x - h * (0.14 + 0.06 * k), y - h * (0.5 - 0.2 * k)),
                ],
                "#3a5a50",
            )
    for _ in range(5):
        x, y = r.uniform(0, S), r.uniform(snow + 16, 250)
        out += ellipse(x, y, r.uniform(20, 46), r.uniform(4, 8), "#dbe5ee")
    if r.random() < 0.5:
        x = middle + r.uniform(-40, 40)
        y = r.uniform(snow - 24, snow)
        out += (
            rect(x - 8, y - 52, 16, 52, "#d8a878")
            + polygon([(x - 11, y - 50), (x, y - 86), (x + 11, y - 50)], "#e8eef4")
            + rect(x - 3, y - 44, 6, 10, "#5a4038")
        )
    return out
