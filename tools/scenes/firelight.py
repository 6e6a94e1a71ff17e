"""Oil paintings by firelight, drawn as such: people around a fire at night, and old men whom one lights.

Both have a dark ground, one gold and one brown, so that flames can be a beard and heads can be eyes.
"""
# ruff: noqa: E501 -- a path is one line

from __future__ import annotations

from random import Random

from tools.scenes.shapes import Colour, S, boulder, ellipse, path, polygon, rect, rgb, stroke

NIGHT = "#1c1110"
COATS = ["#1d120d", "#2a1710", "#1a1418", "#24160f", "#15131a", "#3a1a12", "#20222c"]
FACES = ["#c98a54", "#b87744", "#d79a62", "#8a5430"]
RIMS = ["#e89a4a", "#f0a850", "#d8803a"]


def someone(r: Random, x: float, y: float, h: float, light: int, turned_away: bool) -> str:
    """A person ``h`` tall with feet at (x, y); the fire is on the side ``light`` (-1 left, 1 right)."""
    coat, head, w = r.choice(COATS), h * r.uniform(0.12, 0.15), h * r.uniform(0.2, 0.26)
    out = path(
        f"M{x - w:.0f} {y:.0f} Q{x - w * 1.15:.0f} {y - h * 0.62:.0f} {x:.0f} {y - h * 0.68:.0f} "
        f"Q{x + w * 1.15:.0f} {y - h * 0.62:.0f} {x + w:.0f} {y:.0f}Z",
        coat,
    )
    if r.random() < 0.7:  # sitting: knees towards the fire
        out += path(
            f"M{x:.0f} {y:.0f} Q{x + light * w * 2:.0f} {y - h * 0.34:.0f} {x + light * w * 1.9:.0f} {y:.0f}Z",
            coat,
        )
    out += ellipse(x, y - h * 0.82, head, head * 1.15, coat if turned_away else r.choice(FACES))
    if not turned_away:  # hair, on the dark side
        out += ellipse(x - light * head * 0.45, y - h * 0.87, head * 0.75, head * 0.85, coat)
    if r.random() < 0.35:
        brim = y - h * 0.86
        out += path(
            f"M{x - head * 1.7:.0f} {brim:.0f} H{x + head * 1.7:.0f} Q{x:.0f} {brim - head * 2.6:.0f} {x - head * 1.7:.0f} {brim:.0f}Z",
            coat,
        )
    rim = r.choice(RIMS)
    out += stroke(
        f"M{x + light * head * 0.9:.1f} {y - h * 0.9:.1f} Q{x + light * head * 1.25:.1f} {y - h * 0.8:.1f} {x + light * head * 0.5:.1f} {y - h * 0.7:.1f}",
        rim,
        h * 0.04,
    )
    return out + stroke(
        f"M{x + light * w * 0.55:.1f} {y - h * 0.62:.1f} Q{x + light * w * 1.1:.1f} {y - h * 0.4:.1f} {x + light * w:.1f} {y - h * 0.08:.1f}",
        rim,
        h * 0.04,
    )


def flames(r: Random, x: float, y: float, h: float) -> str:
    """A fire ``h`` high that stands at (x, y)."""
    out = ""
    for tone, part in (("#d8481c", 1.0), ("#f68a24", 0.8), ("#ffcb52", 0.6), ("#fff4cc", 0.4)):
        up, w, lean = h * part, h * 0.34 * part + 3, r.uniform(-8, 8)
        out += path(
            f"M{x - w:.0f} {y:.0f} C{x - w * 1.3:.0f} {y - up * 0.45:.0f} {x - w * 0.3:.0f} {y - up * 0.5:.0f} {x + lean:.0f} {y - up:.0f} "
            f"C{x + w * 0.35:.0f} {y - up * 0.6:.0f} {x + w * 1.35:.0f} {y - up * 0.4:.0f} {x + w:.0f} {y:.0f} Q{x:.0f} {y + 6:.0f} {x - w:.0f} {y:.0f}Z",
            tone,
        )
    return out


def tent(r: Random, x: float, y: float, w: float, h: float) -> str:
    """A tent lit from within."""
    out = polygon([(x, y - h), (x + w / 2, y), (x - w / 2, y)], r.choice(["#d9a050", "#e0b060", "#c88a44"]))
    out += polygon([(x, y - h), (x + w / 2, y), (x + w * 0.16, y)], "#a8642c")
    out += polygon([(x, y - h * 0.8), (x + w * 0.13, y), (x - w * 0.13, y)], "#ffe2a0")
    return out + stroke(f"M{x:.0f} {y - h - 8:.0f} L{x:.0f} {y - h:.0f}", "#3a2014", 3)


def rock(r: Random, x: float, y: float, rx: float, ry: float) -> str:
    """A rock face in the fire's light, in strokes of paint."""
    out = ""
    for tone, part in (("#4a2414", 1.14), ("#8a4a26", 1.02), ("#b9703c", 0.9), ("#d6955a", 0.74)):
        out += boulder(r, x, y + ry * (1 - part) * 0.6, rx * part, ry * part, tone)
    for _ in range(24):
        a, b = x + r.uniform(-0.8, 0.8) * rx, y + r.uniform(-0.85, 0.7) * ry
        d = f"M{a:.0f} {b:.0f} q{r.uniform(-14, 14):.0f} {r.uniform(-8, 8):.0f} {r.uniform(-26, 26):.0f} {r.uniform(-10, 10):.0f}"
        out += stroke(d, r.choice(["#7a4122", "#f0b878", "#5c2f1a", "#e6a868"]), r.uniform(2, 5), 0.55)
    return out


def blaze(r: Random) -> str:
    """A great fire in the middle, and people who stand and sit before it with their backs to us."""
    x, foot = 128 + r.uniform(-12, 12), r.uniform(150, 180)
    out = ""
    for part, tone in ((1.0, "#3a1c12"), (0.8, "#5c2c16"), (0.62, "#8a4420")):
        out += ellipse(x, foot - 60, 112 * part, 110 * part, tone)
    out += path(f"M0 {foot:.0f} Q128 {foot - 14:.0f} 256 {foot:.0f} V256 H0Z", "#2c1a12")
    out += ellipse(x, foot + 10, 96, 30, "#a85c28") + ellipse(x, foot + 4, 70, 18, "#e09a4c")
    for side in (-1, 1):
        out += flames(r, x + side * r.uniform(12, 24), foot, r.uniform(70, 110))
    out += flames(r, x, foot + 4, r.uniform(120, 165))
    places = [side * r.uniform(24, 40) for side in (-1, 1)] + [
        r.uniform(-110, 110) for _ in range(r.randint(1, 3))
    ]
    for place in sorted(places, key=abs, reverse=True):
        h = r.uniform(84, 116)
        out += someone(r, x + place, foot + h * 0.5 + r.uniform(0, 16), h, -1 if place > 0 else 1, True)
    return out


def camp(r: Random) -> str:
    """A great tent in the fire's light, and before the fire two people or more with their backs to us."""
    x, edge, half = 128 + r.uniform(-8, 8), r.uniform(156, 170), r.uniform(58, 74)
    top, cloth = r.uniform(12, 46), r.choice(["#ffd278", "#f7c566", "#e8b860"])
    out = ellipse(x, edge - 20, 116, 70, "#3a1c12") + ellipse(x, edge - 10, 92, 50, "#5c2c16")
    for side in (-1, 1):  # bushes that catch the light
        out += boulder(
            r,
            x + side * (half + 4),
            edge - r.uniform(4, 14),
            15,
            28,
            r.choice([cloth, "#a89c8c", "#8a6a38"]),
            0.25,
        )
    sag = r.uniform(0.2, 0.5)
    out += path(
        f"M{x:.0f} {top:.0f} Q{x + half * sag:.0f} {(top + edge) / 2:.0f} {x + half:.0f} {edge:.0f} H{x - half:.0f} "
        f"Q{x - half * sag:.0f} {(top + edge) / 2:.0f} {x:.0f} {top:.0f}Z",
        cloth,
    )
    for k in range(5):  # seams
        out += stroke(
            f"M{x:.0f} {top + 12:.0f} L{x + (k - 2) * half * 0.36:.0f} {edge - 44:.0f}", "#c98a3a", 2.4, 0.7
        )
    out += stroke(f"M{x:.0f} {top - 9:.0f} V{top + 4:.0f}", "#7a4a20", 3)
    glow: Colour = r.choice([(214, 150, 100), (198, 134, 88), (226, 168, 120)])
    out += path(
        f"M{x - half * 0.96:.0f} {edge + 4:.0f} L{x - 34:.0f} {edge - 62:.0f} Q{x:.0f} {edge - 74:.0f} {x + 34:.0f} {edge - 62:.0f} L{x + half * 0.96:.0f} {edge + 4:.0f}Z",
        rgb(glow),
    )
    out += flames(r, x + r.uniform(-4, 4), edge + 4, r.uniform(56, 84))
    out += path(
        f"M0 {edge:.0f} Q128 {edge - 10:.0f} 256 {edge:.0f} V256 H0Z",
        r.choice(["#2a1710", "#241512", "#20181c"]),
    )
    gap = r.uniform(25, 33)
    places = [-gap, gap] + [side * r.uniform(66, 108) for side in (-1, 1) if r.random() < 0.6]
    for place in places:
        head, y, coat = r.uniform(12, 17), edge - r.uniform(4, 12), r.choice(COATS)
        out += path(
            f"M{x + place - 24:.0f} 256 Q{x + place - 26:.0f} {y + 18:.0f} {x + place:.0f} {y + 14:.0f} Q{x + place + 26:.0f} {y + 18:.0f} {x + place + 24:.0f} 256Z",
            coat,
        )
        out += ellipse(x + place, y, head, head * 1.1, "#1d0e08")
        light = -1 if place > 0 else 1
        out += stroke(
            f"M{x + place + light * head:.0f} {y - 4:.0f} q{light * 3} 8 {-light * 3} 13 M{x + place + light * 13:.0f} {y + 19:.0f} q{light * 9} 10 {light * 10} 34",
            r.choice(RIMS),
            3,
        )
    return out


def campfire(r: Random) -> str:
    """People by a fire at night, before a rock or a tent that it lights up."""
    out = rect(0, 0, S, S, NIGHT)
    for _ in range(10):
        x, y, h = r.choice([r.uniform(-8, 70), r.uniform(186, 264)]), r.uniform(150, 230), r.uniform(80, 170)
        for k in range(4):
            top, low, w = y - h * (1 - 0.22 * k), y - h * (0.62 - 0.2 * k), h * (0.09 + 0.05 * k)
            out += polygon(
                [(x, top), (x + w, low), (x - w, low)], r.choice(["#120c0d", "#160f10", "#0f0b0e"])
            )
    cx, y, rx, top = 128 + r.uniform(-24, 24), r.uniform(196, 232), r.uniform(50, 92), r.uniform(14, 80)
    kind = r.random()
    if kind < 0.45:
        return out + camp(r)
    if kind < 0.6:
        return out + blaze(r)
    if kind < 0.8:
        out += rock(r, cx, (top + y) / 2, rx, (y - top) / 2)
    elif kind < 0.9:
        out += tent(r, cx + r.uniform(-14, 14), y - 4, rx * 1.9, (y - top) * r.uniform(0.8, 1.0))
    else:
        for part, tone in ((1.0, "#4a2414"), (0.8, "#7a3c1c"), (0.6, "#b0602c")):
            out += ellipse(cx, y - 60, rx * 1.3 * part, (y - top) * 0.6 * part, tone)
    out += path(f"M0 {y - 6:.0f} Q128 {y - 18:.0f} 256 {y - 6:.0f} V256 H0Z", "#2c1a12")
    out += ellipse(cx, y + 6, rx * 0.95, 15, "#b8682c", 'opacity=".8"')
    for _ in range(r.randint(1, 4)):  # behind the fire, dark before the light
        x = cx + r.uniform(-0.85, 0.85) * rx
        out += someone(r, x, y - r.uniform(4, 30), r.uniform(46, 110), 1 if x < cx else -1, r.random() < 0.75)
    fx = cx + r.uniform(-14, 14)
    out += flames(r, fx, y + r.uniform(2, 12), r.uniform(90, 170) if kind >= 0.9 else r.uniform(80, 140))
    for angle in (-24, 20):
        out += rect(
            cx - 30, y + 4, 60, 9, "#3a2014", f'rx="4" transform="rotate({angle} {cx:.0f} {y + 8:.0f})"'
        )
    for side in (-1, 1):
        for _ in range(r.randint(1, 2)):
            x = cx + side * r.uniform(52, 112)
            out += someone(r, x, y + r.uniform(6, 24), r.uniform(80, 130), -side, r.random() < 0.4)
    for _ in range(8):
        out += ellipse(cx + r.uniform(-40, 40), y - r.uniform(90, 180), 1.7, 1.7, "#ffc24d")
    return out


def old_man(r: Random) -> str:
    """An old man's face by firelight, filling the frame: deep eyes, a beard that the fire makes gold.

    More than 60 lines: one drawing, stroke upon stroke from back to front.
    """
    skin: Colour = r.choice([(214, 150, 100), (198, 134, 88), (226, 168, 120), (176, 112, 70)])
    w, h, x, y = r.uniform(58, 72), r.uniform(84, 98), 128 + r.uniform(-8, 8), 112 + r.uniform(-10, 8)
    hair, lit = r.choice(["#ffdf9a", "#ffd278", "#fbe3ae", "#f7c566"]), r.choice([-1, 1])
    out = rect(0, 0, S, S, NIGHT)
    coat = r.choice(["#3a1c16", "#2a1a22", "#40281a", "#241a18"])
    out += path(
        f"M{x - 110:.0f} 256 Q{x - 90:.0f} 200 {x:.0f} 196 Q{x + 90:.0f} 200 {x + 110:.0f} 256Z", coat
    )
    for side in (-1, 1):
        out += boulder(
            r,
            x + side * (w + 3),
            y - h * 0.18,
            w * 0.28,
            h * 0.42,
            hair if r.random() < 0.8 else "#a89c8c",
            0.2,
        )
    out += ellipse(x, y, w, h, rgb(skin, 0.95))
    out += ellipse(x + lit * w * 0.22, y - h * 0.12, w * 0.7, h * 0.8, rgb(skin, 1.12))
    out += ellipse(x, y - h * 0.66, w * 0.6, h * 0.22, rgb(skin, 1.28))
    out += path(  # the cheek that the fire does not reach
        f"M{x - lit * w * 0.35:.0f} {y - h * 0.95:.0f} Q{x - lit * w * 1.1:.0f} {y - h * 0.4:.0f} {x - lit * w:.0f} {y:.0f} "
        f"Q{x - lit * w * 0.9:.0f} {y + h * 0.8:.0f} {x - lit * w * 0.2:.0f} {y + h * 0.9:.0f} Q{x - lit * w * 0.6:.0f} {y:.0f} {x - lit * w * 0.35:.0f} {y - h * 0.95:.0f}Z",
        "#2a120a",
        'opacity=".5"',
    )
    gap, ey = r.uniform(25, 31), y - h * 0.12
    open_eyes, hooded = r.random() < 0.3, r.random() < 0.45
    for side in (-1, 1):
        ex = x + side * gap
        out += ellipse(ex, ey - 2, r.uniform(17, 21), r.uniform(12, 17), "#1d0e08", 'opacity=".94"')
        if open_eyes:
            out += ellipse(ex + lit * 3, ey, 2.6, 2.6, "#f4e6cc")
        out += stroke(
            f"M{ex - 19:.0f} {ey - 12:.0f} Q{ex:.0f} {ey - 24:.0f} {ex + 19:.0f} {ey - 12:.0f}", hair, 8
        )
        out += stroke(f"M{ex - 12:.0f} {ey + 18:.0f} q12 6 24 0", rgb(skin, 0.6), 3)
    out += path(
        f"M{x - 4:.0f} {ey:.0f} Q{x - 16:.0f} {ey + 38:.0f} {x - 14:.0f} {ey + 42:.0f} Q{x:.0f} {ey + 52:.0f} {x + 14:.0f} {ey + 42:.0f} Q{x + 9:.0f} {ey + 30:.0f} {x + 5:.0f} {ey:.0f}Z",
        rgb(skin, 1.05),
    )
    out += stroke(
        f"M{x - 14:.0f} {ey + 42:.0f} Q{x:.0f} {ey + 52:.0f} {x + 14:.0f} {ey + 42:.0f}", rgb(skin, 0.5), 4
    )
    length, tip = r.uniform(20, 60), r.uniform(0.4, 0.85)
    out += path(
        f"M{x - w * 0.98:.0f} {y + 2:.0f} Q{x - w * 0.85:.0f} {y + h * 0.42:.0f} {x - 26:.0f} {y + h * 0.44:.0f} Q{x:.0f} {y + h * 0.36:.0f} {x + 26:.0f} {y + h * 0.44:.0f} "
        f"Q{x + w * 0.85:.0f} {y + h * 0.42:.0f} {x + w * 0.98:.0f} {y + 2:.0f} Q{x + w * tip:.0f} {y + h * 0.9:.0f} {x:.0f} {y + h + length:.0f} Q{x - w * tip:.0f} {y + h * 0.9:.0f} {x - w * 0.98:.0f} {y + 2:.0f}Z",
        hair,
    )
    for k in range(5):  # strands
        u = x + (k - 2) * 12
        out += stroke(
            f"M{u:.0f} {y + h * 0.62:.0f} Q{u + r.uniform(-5, 5):.0f} {y + h * 0.8:.0f} {x + (u - x) * 0.6:.0f} {y + h + length * 0.5:.0f}",
            "#c98a3a",
            2.4,
            0.7,
        )
    out += path(
        f"M{x - 16:.0f} {y + h * 0.58:.0f} Q{x:.0f} {y + h * 0.54:.0f} {x + 16:.0f} {y + h * 0.58:.0f} Q{x:.0f} {y + h * 0.68:.0f} {x - 16:.0f} {y + h * 0.58:.0f}Z",
        "#3a1410",
    )
    if not hooded:
        for k in range(2):
            out += stroke(f"M{x - 30:.0f} {y - h * 0.46 - 9 * k:.0f} q30 -7 60 0", rgb(skin, 0.7), 3)
        return out
    wool = r.choice(["#2a1710", "#20222c", "#3a1a12"])  # a cap, down to the brows
    brim = ey - r.uniform(5, 14)
    out += path(
        f"M{x - w - 6:.0f} {brim:.0f} Q{x - w:.0f} {y - h * 1.12:.0f} {x:.0f} {y - h * 1.14:.0f} "
        f"Q{x + w:.0f} {y - h * 1.12:.0f} {x + w + 6:.0f} {brim:.0f} Q{x:.0f} {brim - 12:.0f} {x - w - 6:.0f} {brim:.0f}Z",
        wool,
    )
    return out + stroke(
        f"M{x - w - 4:.0f} {brim:.0f} Q{x:.0f} {brim - 12:.0f} {x + w + 4:.0f} {brim:.0f}",
        r.choice(RIMS),
        4,
        0.7,
    )
