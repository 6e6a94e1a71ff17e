"""Lithographs drawn as such: pale paper showing through black ink, without a treatment that would blur it.

Waterfalls and skulls share their ground and their two tones, so that one can stand in for the other.
"""
# ruff: noqa: E501 -- a path is one line

from __future__ import annotations

from random import Random

from tools.scenes.shapes import S, boulder, ellipse, path, polygon, rect, stroke

INK, PAPER, GREY = "#1b1918", "#f3ecdd", "#cdc3b0"


def fir(r: Random, x: float, y: float, h: float) -> str:
    """A black conifer with pale outlines."""
    out = ""
    for k in range(4):
        top, low, w = y - h * (1 - 0.22 * k), y - h * (0.62 - 0.2 * k), h * (0.1 + 0.055 * k)
        out += polygon(
            [(x, top), (x + w, low), (x - w, low)], "#0f0e0d", f'stroke="{GREY}" stroke-width="1.4"'
        )
    return out


def curtain(r: Random, x: float, top: float, foot: float, upper: float, lower: float) -> str:
    """Water that falls from a lip of width ``upper``, and is ``lower`` wide at its foot; rocks part it."""
    a, b, c, d = x - upper / 2, x + upper / 2, x + lower / 2, x - lower / 2
    knee = top + (foot - top) * 0.3
    out = path(
        f"M{a:.0f} {top:.0f} Q{x:.0f} {top - 8:.0f} {b:.0f} {top:.0f} C{b + 6:.0f} {knee:.0f} {c:.0f} {knee + 8:.0f} "
        f"{c:.0f} {foot:.0f} Q{x:.0f} {foot + 8:.0f} {d:.0f} {foot:.0f} C{d:.0f} {knee + 8:.0f} {a - 6:.0f} {knee:.0f} "
        f"{a:.0f} {top:.0f}Z",
        PAPER,
    )
    for _ in range(round(lower / 2.6)):  # threads of shade in the water
        u, y = r.uniform(-0.45, 0.45), top + r.uniform(2, (foot - top) * 0.6)
        end = min(foot - 2, y + r.uniform(16, 52))
        out += stroke(
            f"M{x + u * upper:.1f} {y:.1f} Q{x + u * (upper + lower) / 2:.1f} {(y + end) / 2:.1f} {x + u * lower:.1f} {end:.1f}",
            INK,
            r.uniform(1.3, 2.8),
            r.uniform(0.55, 1.0),
        )
    for _ in range(r.choice([0, 1, 1, 2, 2])):
        across, down = r.uniform(9, 24), r.uniform(8, 24)
        bx, by = x + r.uniform(-0.34, 0.34) * lower, r.uniform(top + 12, max(top + 13, foot - 10))
        out += boulder(r, bx, by, across, down, INK, 0.18)
        for k in range(3):
            y = by + down * (-0.5 + 0.4 * k)
            out += stroke(
                f"M{bx - across * 0.6:.0f} {y:.0f} q{across * 0.6:.0f} -4 {across:.0f} 1", GREY, 1.7, 0.8
            )
    return out


def cliff(r: Random, top: float, foot: float) -> str:
    """Black rock in level strata from ``top`` down, often under a pale sky, with water from ``foot`` down."""
    out = rect(0, 0, S, S, INK)
    for _ in range(170):
        x, y, w = r.uniform(-20, S), r.uniform(top, foot + 10), r.uniform(10, 34)
        out += stroke(
            f"M{x:.0f} {y:.0f} q{w / 2:.0f} {r.uniform(-4, 4):.0f} {w:.0f} {r.uniform(-2, 5):.0f}",
            GREY,
            r.uniform(1.2, 2.6),
            r.uniform(0.45, 0.95),
        )
    if r.random() < 0.6:
        out += rect(0, 0, S, top - 4, "#e6decd")
    out += rect(0, foot + 6, S, S - foot, "#2a2623")
    for k in range(8):
        for _ in range(3):
            x, w, y = r.uniform(-10, 230), r.uniform(30, 80), foot + 10 + 5.5 * k
            out += stroke(f"M{x:.0f} {y:.0f} q{w / 2:.0f} 4 {w:.0f} 0", PAPER, r.uniform(1.6, 3))
    return out


def wood(r: Random, top: float, foot: float) -> str:
    """Firs up both sides of a valley, the nearest last."""
    out = ""
    for y in range(round(top), round(foot) - 4, 22):
        for _ in range(7):
            x = r.choice([r.uniform(-6, 78), r.uniform(178, S + 6)])
            out += fir(r, x, y + r.uniform(14, 36), r.uniform(38, 62))
    return out


def waterfalls(r: Random) -> str:
    """One to three falls in steps over black rock, with firs beside them and a pool below."""
    top, foot = r.uniform(14, 58), r.uniform(188, 222)
    out = cliff(r, top, foot) + wood(r, top, foot)
    count = r.choice([1, 1, 1, 2, 2, 3])
    width = r.uniform(110, 190) / (1 if count == 1 else 0.75 * count)
    middles = [128 + (k - (count - 1) / 2) * width * r.uniform(1.02, 1.3) for k in range(count)]
    for middle in middles:
        x, y, w = middle + r.uniform(-10, 10), top + r.uniform(-6, 26), width * r.uniform(0.5, 0.85)
        steps = r.choice([1, 2, 3, 3, 4])
        for k in range(steps):
            low = y + (foot - y) / (steps - k) + (r.uniform(-14, 14) if k < steps - 1 else 0)
            wider = w * r.uniform(1.1, 1.4)
            out += curtain(r, x, y, low, w, wider)
            if k < steps - 1:
                for _ in range(r.randint(1, 4)):
                    ledge = r.uniform(x - wider / 2, x + wider / 2 - 14)
                    out += path(f"M{ledge:.0f} {low:.0f} q9 {r.uniform(3, 9):.0f} 24 0 v6 q-10 6 -22 0Z", INK)
            y, w = low, wider
        for _ in range(9):
            out += ellipse(
                x + r.uniform(-0.55, 0.55) * w,
                foot + r.uniform(-8, 5),
                r.uniform(7, 14),
                r.uniform(5, 9),
                PAPER,
            )
    for _ in range(r.randint(8, 16)):
        x = r.uniform(-4, S + 4)
        if all(abs(x - middle) > width * 0.42 for middle in middles):
            out += fir(r, x, top + r.uniform(4, 24), r.uniform(40, 78))
    return out


def skull(r: Random) -> str:
    """A skull from the front before a cliff, paper on ink, hatched where it turns away."""
    top, foot = r.uniform(14, 58), r.uniform(188, 222)
    out = cliff(r, top, foot) + wood(r, top, foot)
    x, y, w, h = 128 + r.uniform(-6, 6), 100 + r.uniform(-6, 6), r.uniform(74, 96), r.uniform(76, 92)
    jaw, chin = w * r.uniform(0.52, 0.62), y + h * r.uniform(1.3, 1.5)
    out += ellipse(x, y, w, h, PAPER)
    out += path(
        f"M{x - w * 0.9:.0f} {y + h * 0.4:.0f} L{x - jaw:.0f} {y + h:.0f} L{x - jaw * 0.9:.0f} {chin:.0f} "
        f"Q{x:.0f} {chin + 12:.0f} {x + jaw * 0.9:.0f} {chin:.0f} L{x + jaw:.0f} {y + h:.0f} L{x + w * 0.9:.0f} {y + h * 0.4:.0f}Z",
        PAPER,
    )
    gap, ey, socket = w * r.uniform(0.4, 0.46), y + h * r.uniform(0.2, 0.3), w * r.uniform(0.27, 0.33)
    for side in (-1, 1):
        out += boulder(r, x + side * gap, ey, socket, socket * r.uniform(0.9, 1.1), INK, 0.06)
        out += path(  # the temple, and the hollow of the cheek
            f"M{x + side * w * 0.98:.0f} {y + h * 0.15:.0f} q{-side * 12} 14 {-side * 6} 34 l{side * 10} 6Z",
            INK,
        )
        out += path(
            f"M{x + side * w * 0.74:.0f} {y + h * 0.72:.0f} L{x + side * jaw * 0.98:.0f} {y + h * 1.3:.0f} "
            f"L{x + side * jaw * 0.72:.0f} {y + h * 0.96:.0f}Z",
            INK,
        )
    nose = y + h * 0.62
    for side in (-1, 1):
        out += path(
            f"M{x + side * 2:.0f} {nose - 12:.0f} Q{x + side * 15:.0f} {nose + 14:.0f} {x + side * 10:.0f} {nose + 17:.0f} L{x + side * 2:.0f} {nose + 11:.0f}Z",
            INK,
        )
    teeth = y + h * r.uniform(1.08, 1.16)
    out += stroke(
        f"M{x - jaw * 0.7:.0f} {teeth:.0f} Q{x:.0f} {teeth + 8:.0f} {x + jaw * 0.7:.0f} {teeth:.0f}", INK, 3.4
    )
    for k in range(9):
        u = x + jaw * (-0.64 + 0.16 * k)
        out += stroke(f"M{u:.0f} {teeth - 11:.0f} v{r.uniform(22, 28):.0f}", INK, 2.2)
    lit = r.choice([-1, 1])
    for _ in range(26):  # hatching on the side away from the light
        u, v = r.uniform(0.45, 0.95), r.uniform(-0.8, 0.75)
        if u * u + v * v < 0.98:
            out += stroke(
                f"M{x - lit * w * u:.0f} {y + h * v:.0f} q{-lit * 3} 9 {-lit * 2} 20", INK, 1.8, 0.7
            )
    return out
