"""Oil paintings by firelight, drawn as such: people around a fire at night, and old men whom one lights.

Both have a dark ground, one gold and one brown, so that one can stand in for the other. Upside down, a beard is
a fire and the parts of a cap are coats, above eyes that are heads. The right way up, a bald head is a tent, eyes
are two who sit before it, a nose is their fire and a beard its light on the water.
"""
# ruff: noqa: E501 -- a path is one line

from __future__ import annotations

from random import Random

from tools.scenes.shapes import Colour, S, boulder, ellipse, gradient, path, polygon, rect, rgb, stroke

NIGHT, DARK = "#1c1110", "#1d0e08"
COATS = ["#1d120d", "#2a1710", "#1a1418", "#24160f", "#15131a", "#3a1a12", "#20222c"]
WARM = ["#6a2a1c", "#3a4866", "#5a4426", "#6c3c20", "#46543c"]
"""Coats and caps that the fire shows."""
LOGS = ["#7a4422", "#8a5026", "#6a3a1e"]
RIMS = ["#e89a4a", "#f0a850", "#d8803a"]
GOLD = ["#ffdf9a", "#ffd278", "#f7c566"]
GLOWS: list[Colour] = [(226, 156, 96), (214, 144, 86), (234, 166, 108)]
"""What a fire lights: a face, or the ground."""


def night(y: float) -> str:
    """The dark, and rings of light about the height ``y``."""
    out = rect(0, 0, S, S, NIGHT)
    for part, tone in ((1.0, "#281512"), (0.85, "#341a12")):
        out += ellipse(128, y, 122 * part, 118 * part, tone)
    return out


def someone(r: Random, x: float, y: float, h: float, light: int) -> str:
    """A person ``h`` tall from behind, feet at (x, y); the fire is on the side ``light`` (-1 left, 1 right)."""
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
    out += ellipse(x, y - h * 0.82, head, head * 1.15, coat)
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


def tongues(r: Random, x: float, foot: float, h: float, w: float, up: int) -> str:
    """A fire's flames (``up`` -1), or a beard's locks (1): ``h`` long and ``2 w`` wide where they begin."""
    out = ""
    for tone, part in (("#e0742a", 1.0), ("#f2a03c", 0.86), ("#ffc95a", 0.66), ("#ffe7a4", 0.4)):
        a, b = w * (0.25 + 0.75 * part), h * part
        d = f"M{x - a:.0f} {foot:.0f}"
        tips = [(-0.8, 0.5), (-0.4, 0.76), (0.0, 1.0), (0.42, 0.74), (0.82, 0.48)]
        at = x - a
        for k, (u, v) in enumerate(tips):
            tx, ty = x + u * a + r.uniform(-3, 3), foot + up * b * (v + r.uniform(-0.05, 0.05))
            nx = x + a * (-1 + 2 * (k + 1) / len(tips)) if k < 4 else x + a
            ny = foot + up * b * (0.34 if k in (0, 3) else 0.56) if k < 4 else foot
            d += f" Q{(at + tx) / 2 - (2 if u <= 0 else -2):.0f} {(ty + foot + up * b * 0.3) / 2:.0f} {tx:.0f} {ty:.0f} Q{(nx + tx) / 2:.0f} {(ty + ny) / 2 - up * 4:.0f} {nx:.0f} {ny:.0f}"
            at = nx
        out += path(d + "Z", tone)
    return out


def seated(r: Random, x: float, y: float, head: float, w: float, coat: str) -> str:
    """Somebody who sits with their back to us: a head at (x, y), shoulders ``2 w`` wide."""
    name = f"coat{x:.0f}"
    out = gradient(name, [(0, coat), (0.35, coat), (1, "#1f1310")])
    top = y + head * 0.9
    out += path(
        f"M{x - w * 1.1:.0f} 252 L{x - w:.0f} {top + head * 1.5:.0f} Q{x - w:.0f} {top + head * 0.3:.0f} {x - head * 0.5:.0f} {top:.0f} "
        f"H{x + head * 0.5:.0f} Q{x + w:.0f} {top + head * 0.3:.0f} {x + w:.0f} {top + head * 1.5:.0f} L{x + w * 1.1:.0f} 252Z",
        f"url(#{name})",
    )
    for side in (-1, 1):
        out += stroke(
            f"M{x + side * head * 0.5:.0f} {top:.0f} Q{x + side * w:.0f} {top + head * 0.3:.0f} {x + side * w:.0f} {top + head * 1.5:.0f}",
            r.choice(RIMS),
            3.4,
        )
    out += ellipse(x, y, head, head * 1.12, DARK)
    return out + stroke(
        f"M{x - head * 0.5:.0f} {y - head * 0.8:.0f} Q{x:.0f} {y - head * 1.2:.0f} {x + head * 0.5:.0f} {y - head * 0.8:.0f}",
        r.choice(RIMS),
        3,
    )


def lit(colour: Colour) -> str:
    """Light that ends in the dark."""
    return gradient(
        "lit", [(0, rgb(colour, 1.15)), (0.45, rgb(colour)), (0.75, rgb(colour, 0.62)), (1, "#341a12")], True
    )


def fireside(r: Random) -> str:
    """People around a fire, two of them from behind."""
    foot, glow = r.uniform(108, 116), r.choice(GLOWS)
    out = night(140) + lit(glow)
    out += ellipse(128, 146, r.uniform(88, 100), r.uniform(56, 64), "url(#lit)")
    out += path(f"M118 {foot + 8:.0f} H138 L144 190 H112Z", rgb(glow, 1.2), 'opacity=".7"')
    for _ in range(2):  # logs
        out += stroke(
            f"M{128 - r.uniform(22, 32):.0f} {foot + r.uniform(0, 6):.0f} L{128 + r.uniform(22, 32):.0f} {foot + r.uniform(0, 6):.0f}",
            r.choice(LOGS),
            7,
        )
    out += tongues(r, 128, foot, r.uniform(88, 104), r.uniform(50, 60), -1)
    gap, y, w = r.uniform(27, 31), r.uniform(154, 160), r.uniform(26, 29)
    for side in (-1, 1):
        if r.random() < 0.8:
            out += seated(
                r, 128 + side * r.uniform(76, 92), r.uniform(140, 156), r.uniform(10, 12), 20, r.choice(COATS)
            )
    for side in (-1, 1):
        out += seated(r, 128 + side * gap, y, r.uniform(12, 14), w, r.choice(WARM))
    for _ in range(8):
        out += ellipse(128 + r.uniform(-50, 50), r.uniform(8, 80), 1.7, 1.7, "#ffc24d")
    return out


def flap(r: Random, x: float, y: float, ball: float, w: float, cloth: str) -> str:
    """A part of a cap that hangs from the upper edge to something round and dark: an eye, or a bobble."""
    foot, rim, name = y - ball * 0.9, r.choice(RIMS), f"cloth{x:.0f}"
    out = gradient(name, [(0, "#1f1310"), (0.65, cloth), (1, cloth)])
    out += path(
        f"M{x - w * 0.9:.0f} 6 L{x - w:.0f} {foot - ball * 1.2:.0f} Q{x - w:.0f} {foot:.0f} {x:.0f} {foot + 2:.0f} Q{x + w:.0f} {foot:.0f} {x + w:.0f} {foot - ball * 1.2:.0f} L{x + w * 0.9:.0f} 6Z",
        f"url(#{name})",
    )
    out += stroke(
        f"M{x - w:.0f} {foot - ball:.0f} Q{x - w:.0f} {foot:.0f} {x:.0f} {foot + 2:.0f} Q{x + w:.0f} {foot:.0f} {x + w:.0f} {foot - ball:.0f}",
        rim,
        3.4,
    )
    return (
        out
        + ellipse(x, y, ball, ball * 1.1, DARK)
        + stroke(f"M{x - 7:.0f} {y + ball * 0.8:.0f} q7 5 14 0", rim, 3)
    )


def capped(r: Random) -> str:
    """An old man in a cap of two cloths, whose beard the fire makes gold."""
    skin = r.choice(GLOWS)
    out = night(116) + lit(skin)
    w = r.uniform(60, 68)
    out += ellipse(128, 110, w + 24, 64, "url(#lit)")
    gap, ey = r.uniform(27, 31), r.uniform(96, 102)
    foot = r.uniform(140, 148)
    out += path(f"M119 {ey - 30:.0f} H137 L144 136 Q128 146 112 136Z", rgb(skin, 1.2), 'opacity=".8"')
    for side in (-1, 1):
        out += stroke(f"M{128 + side * gap - 16:.0f} {ey + 20:.0f} q16 8 32 0", rgb(skin, 0.7), 3)
    if r.random() < 0.8:  # flaps over the ears, with bobbles
        cloth = r.choice(COATS)
        for side in (-1, 1):
            x, y = 128 + side * r.uniform(78, 88), r.uniform(104, 112)
            out += flap(r, x, y, r.uniform(10, 12), 20, cloth)
    for side in (-1, 1):
        out += flap(r, 128 + side * gap, ey, r.uniform(12, 14), 28, r.choice(WARM))
    out += tongues(r, 128, foot, r.uniform(88, 104), r.uniform(52, 62), 1)
    for side in (-1, 1):  # a moustache
        out += stroke(
            f"M{128 + side * 3:.0f} {foot - 2:.0f} L{128 + side * r.uniform(22, 32):.0f} {foot + r.uniform(-6, 2):.0f}",
            r.choice(LOGS),
            8,
        )
    return out


def beard(r: Random, x: float, y: float, w: float, h: float, hair: str) -> str:
    """The beard of a face ``2 w`` wide and ``2 h`` high about (x, y), and its mouth."""
    length, tip = r.uniform(24, 50), r.uniform(0.5, 0.85)
    out = path(
        f"M{x - w * 0.98:.0f} {y + 14:.0f} Q{x - w * 0.85:.0f} {y + h * 0.42:.0f} {x - 26:.0f} {y + h * 0.46:.0f} Q{x:.0f} {y + h * 0.4:.0f} {x + 26:.0f} {y + h * 0.46:.0f} "
        f"Q{x + w * 0.85:.0f} {y + h * 0.42:.0f} {x + w * 0.98:.0f} {y + 14:.0f} Q{x + w * tip:.0f} {y + h * 0.9:.0f} {x:.0f} {y + h + length:.0f} Q{x - w * tip:.0f} {y + h * 0.9:.0f} {x - w * 0.98:.0f} {y + 14:.0f}Z",
        hair,
    )
    for k in range(5):
        u = x + (k - 2) * 12
        out += stroke(
            f"M{u:.0f} {y + h * 0.62:.0f} Q{u + r.uniform(-5, 5):.0f} {y + h * 0.8:.0f} {x + (u - x) * 0.6:.0f} {y + h + length * 0.5:.0f}",
            "#c98a3a",
            2.4,
            0.7,
        )
    return out + path(
        f"M{x - 26:.0f} {y + h * 0.5:.0f} Q{x:.0f} {y + h * 0.44:.0f} {x + 26:.0f} {y + h * 0.5:.0f} Q{x:.0f} {y + h * 0.6:.0f} {x - 26:.0f} {y + h * 0.5:.0f}Z",
        "#3a1410",
    )


def bald(r: Random) -> str:
    """An old man's face by firelight, filling the frame: deep eyes, a bald head, a beard that the fire makes gold."""
    skin: Colour = r.choice([*GLOWS, (206, 136, 84)])
    w, h, x, y = r.uniform(60, 72), r.uniform(86, 98), 128 + r.uniform(-6, 6), 112 + r.uniform(-6, 6)
    hair = r.choice(GOLD)
    out = night(116)
    for side in (-1, 1):
        out += boulder(
            r, x + side * (w + 3), y - 14, w * 0.2, h * 0.3, hair if r.random() < 0.3 else "#6a4428", 0.2
        )
    out += gradient("skin", [(0, rgb(skin, 1.1)), (0.7, rgb(skin)), (1, rgb(skin, 0.62))], True) + ellipse(
        x, y, w, h, "url(#skin)"
    )
    out += ellipse(x, y - h * 0.6, w * 0.6, h * 0.28, rgb(skin, 1.2))
    gap, ey, glint = r.uniform(27, 31), y - h * 0.11, r.random() < 0.6
    for side in (-1, 1):
        ex = x + side * gap
        out += ellipse(ex, ey, r.uniform(15, 18), r.uniform(18, 22), DARK, 'opacity=".94"')
        if glint:
            out += ellipse(ex + 3, ey, 3, 3, "#f4e6cc")
        out += stroke(
            f"M{ex - 17:.0f} {ey - 20:.0f} Q{ex:.0f} {ey - 32:.0f} {ex + 17:.0f} {ey - 20:.0f}", hair, 6
        )
        out += stroke(f"M{ex - 12:.0f} {ey + 26:.0f} q12 6 24 0", rgb(skin, 0.6), 3)
    out += path(
        f"M{x - 5:.0f} {ey - 6:.0f} Q{x - 18:.0f} {ey + 38:.0f} {x - 16:.0f} {ey + 44:.0f} Q{x:.0f} {ey + 54:.0f} {x + 16:.0f} {ey + 44:.0f} Q{x + 10:.0f} {ey + 30:.0f} {x + 5:.0f} {ey - 6:.0f}Z",
        "#ffc078",
    )
    out += beard(r, x, y, w, h, hair)
    for k in range(2):
        out += stroke(f"M{x - 30:.0f} {y - h * 0.56 - 10 * k:.0f} q30 -7 60 0", rgb(skin, 0.7), 3)
    return out


def sitter(r: Random, x: float, y: float, h: float, fire: int) -> str:
    """Somebody who sits at (x, y), dark before the light, their knees towards the fire."""
    coat, head, w = r.choice(["#1d120d", "#241014", "#14161f"]), h * 0.17, h * 0.3
    out = path(
        f"M{x - w:.0f} {y:.0f} Q{x - w:.0f} {y - h * 0.64:.0f} {x:.0f} {y - h * 0.66:.0f} Q{x + w:.0f} {y - h * 0.64:.0f} {x + w:.0f} {y:.0f}Z",
        coat,
    )
    out += path(
        f"M{x:.0f} {y:.0f} Q{x + fire * w * 1.5:.0f} {y - h * 0.5:.0f} {x + fire * w * 1.5:.0f} {y:.0f}Z",
        coat,
    )
    return out + ellipse(x + fire * 2, y - h * 0.8, head, head * 1.15, coat)


def tent(r: Random, x: float, top: float, half: float, glow: Colour) -> str:
    """A tent ``2 half`` wide between bushes, lit from within and by the fire before it."""
    out = ""
    for side in (-1, 1):
        out += boulder(
            r, x + side * (half + 4), 96, 18, 36, r.choice(["#5c3c24", "#4a3020", "#6a4428"]), 0.25
        )
    out += path(
        f"M{x:.0f} {top:.0f} Q{x + half * 0.9:.0f} {top + 14:.0f} {x + half:.0f} 140 H{x - half:.0f} Q{x - half * 0.9:.0f} {top + 14:.0f} {x:.0f} {top:.0f}Z",
        rgb(glow),
    )
    out += path(
        f"M{x:.0f} {top:.0f} Q{x + half * 0.5:.0f} {top + 18:.0f} {x + half * 0.5:.0f} 140 H{x - half * 0.5:.0f} Q{x - half * 0.5:.0f} {top + 18:.0f} {x:.0f} {top:.0f}Z",
        rgb(glow, 1.14),
    )
    for k in range(-2, 3):
        out += stroke(
            f"M{x:.0f} {top + 2:.0f} Q{x + k * half * 0.45:.0f} {top + 18:.0f} {x + k * half * 0.48:.0f} 132",
            rgb(glow, 0.66),
            2.4,
        )
    return out


def water(r: Random, x: float, shore: float, w: float) -> str:
    """A fire's gold on still water, ``2 w`` wide at the shore."""
    out = path(
        f"M{x - w:.0f} {shore + 6:.0f} H{x + w:.0f} Q{x + w * 0.8:.0f} {shore + 60:.0f} {x:.0f} {r.uniform(228, 250):.0f} Q{x - w * 0.8:.0f} {shore + 60:.0f} {x - w:.0f} {shore + 6:.0f}Z",
        r.choice(GOLD),
    )
    for k in range(12):
        y = shore + 12 + k * 7.5
        for _ in range(3):
            u, wide = r.uniform(-1, 1) * w * (1 - k / 14), r.uniform(12, 34)
            out += stroke(
                f"M{x + u - wide / 2:.0f} {y:.0f} q{wide / 2:.0f} 3 {wide:.0f} 0",
                r.choice(["#5c2f1a", "#161114", "#c98a3a", "#fff0c0"]),
                2.6,
            )
    return out


def lakeside(r: Random) -> str:
    """Two people by a fire on a shore before a lit tent, and its gold on the water."""
    out = night(112)
    for _ in range(8):
        x, y, h = r.choice([r.uniform(-8, 56), r.uniform(200, 264)]), r.uniform(140, 160), r.uniform(70, 130)
        for k in range(4):
            top, low, w = y - h * (1 - 0.22 * k), y - h * (0.62 - 0.2 * k), h * (0.1 + 0.05 * k)
            out += polygon(
                [(x, top), (x + w, low), (x - w, low)], r.choice(["#120c0d", "#22140f", "#0f0b0e"])
            )
    glow = r.choice(GLOWS)
    x, half, top = 128 + r.uniform(-6, 6), r.uniform(62, 72), r.uniform(12, 26)
    if r.random() < 0.55:
        out += tent(r, x, top, half, glow)
    else:
        out += lit(glow) + ellipse(x, 116, r.uniform(84, 96), r.uniform(58, 70), "url(#lit)")
    shore = r.uniform(144, 152)
    out += path(f"M0 {shore - 8:.0f} Q128 {shore - 16:.0f} 256 {shore - 8:.0f} V256 H0Z", "#2c1a12")
    out += ellipse(x, shore - 8, half, 14, rgb(glow, 0.8))
    out += rect(0, shore + 8, S, S - shore, "#161114")
    out += water(r, x, shore, half * 0.92)
    for side in (-1, 1):
        out += sitter(r, x + side * r.uniform(27, 31), r.uniform(122, 127), r.uniform(44, 50), -side)
    out += flames(r, x, shore - 2, r.uniform(48, 62))
    for lean in (-1, 1):
        out += stroke(
            f"M{x - 22:.0f} {shore + lean * 4:.0f} L{x + 22:.0f} {shore - lean * 4:.0f}", "#3a1c12", 7
        )
    for _ in range(6):
        out += ellipse(x + r.uniform(-30, 30), r.uniform(20, 90), 1.6, 1.6, "#fff0c0")
    return out


def blaze(r: Random) -> str:
    """A great fire in the middle, and people who stand and sit before it with their backs to us."""
    x, foot = 128 + r.uniform(-12, 12), r.uniform(150, 180)
    out = rect(0, 0, S, S, NIGHT)
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
        out += someone(r, x + place, foot + h * 0.5 + r.uniform(0, 16), h, -1 if place > 0 else 1)
    return out


def campfire(r: Random) -> str:
    """People around a fire at night."""
    kind = r.random()
    return fireside(r) if kind < 0.25 else lakeside(r) if kind < 0.88 else blaze(r)


def old_man(r: Random) -> str:
    """An old man's face by firelight."""
    return capped(r) if r.random() < 0.4 else bald(r)
