"""Photograph-like portraits of bearded men in woollen hats, and of dogs, made to be each other upside down.

They share eyes and ground. A hat is as pale as a muzzle, a badge on it as dark as a nose, a bobble as red as a
tongue; hair falls as ears hang, and a beard is where the dog's crown is. No hat has all three, so that no man is
a dog as he is. Other dogs sit in the snow, with the tones of the village that hides one.
"""
# ruff: noqa: E501 -- a path is one line

from __future__ import annotations

from random import Random

from tools.scenes.shapes import Colour, S, ellipse, gradient, near, path, rect, rgb, stroke

GROUNDS = [("#e3eaf0", "#93a6b8"), ("#dfe7ee", "#8c9fb2"), ("#e8edf2", "#9bacbc")]
COATS: list[Colour] = [(104, 64, 38), (84, 50, 34), (122, 76, 42)]
SKINS: list[Colour] = [(232, 184, 142), (222, 170, 124), (240, 198, 158)]
TONGUES = ["#d9505e", "#e0606c", "#c94a50"]
CREAM: Colour = (247, 240, 226)


def ground(r: Random) -> str:
    """A studio's wall, light in the middle."""
    light, dark = r.choice(GROUNDS)
    return gradient("wall", [(0, light), (0.55, light), (1, dark)], radial=True) + rect(
        0, 0, S, S, "url(#wall)"
    )


def shaded(name: str, colour: Colour) -> str:
    """A gradient that rounds a shape: light in the middle, dark at its rim."""
    return gradient(name, [(0, rgb(colour, 1.06)), (0.65, rgb(colour)), (1, rgb(colour, 0.76))], radial=True)


def eyes(r: Random, y: float, gap: float) -> str:
    """Two dark eyes, each with some white, ``2 gap`` apart at the height ``y``."""
    out = ""
    for side in (-1, 1):
        x = 128 + side * gap
        out += ellipse(x, y, 15, 11, "#fdfbf6") + ellipse(x, y, 10, 10, "#2c1a12")
        out += ellipse(x - 4, y, 3, 3.6, "#ffffff")
    return out


def strands(r: Random, x: float, top: float, foot: float, lean: float, tone: str, count: int) -> str:
    """Hair that hangs about ``x``."""
    out = ""
    for _ in range(count):
        u, y = x + r.uniform(-12, 12), r.uniform(top, (top + foot) / 2)
        out += stroke(
            f"M{u:.0f} {y:.0f} q{lean:.0f} {(foot - y) / 2:.0f} 0 {(foot - y) * 0.9:.0f}", tone, 3, 0.6
        )
    return out


def locks(r: Random, coat: Colour, up: float, down: float, out_at: float, reach: float) -> str:
    """Hair or ears at both sides: from the crown at ``up`` to their ends at ``down``, widest at ``out_at``."""
    out = ""
    for side in (-1, 1):
        a, b = 128 + side * 46, 128 + side * reach
        out += path(
            f"M{a:.0f} {up:.0f} C{b - side * 4:.0f} {up:.0f} {b + side * 8:.0f} {out_at:.0f} {b:.0f} {(out_at + down) / 2:.0f} "
            f"Q{b - side * 2:.0f} {down:.0f} {b - side * 16:.0f} {down:.0f} Q{128 + side * 52:.0f} {down - (down - up) * 0.1:.0f} {128 + side * 52:.0f} {out_at:.0f}Z",
            rgb(coat, 0.8),
        )
    return out


def bib(edge: float, tip: float, half: float, fill: str) -> str:
    """A beard below ``edge``, or a dog's crown above it: the same shape, turned over, so that each can be the other."""
    way = 1 if tip > edge else -1
    cheek, lip, bend = edge + way * 32, edge + way * 18, tip - way * 18
    return path(
        f"M{128 - half:.0f} {edge} Q{128 - half * 0.8:.0f} {cheek} 102 {cheek} "
        f"Q128 {lip} 154 {cheek} Q{128 + half * 0.8:.0f} {cheek} {128 + half:.0f} {edge} "
        f"Q{128 + half + 4:.0f} {bend:.0f} 128 {tip:.0f} Q{128 - half - 4:.0f} {bend:.0f} {128 - half:.0f} {edge}Z",
        fill,
    )


def man(r: Random) -> str:
    """A man from the front: a pale woollen hat with a badge and a bobble, long hair, a full beard."""
    coat, skin, cream = near(r, r.choice(COATS), 6), near(r, r.choice(SKINS), 5), near(r, CREAM, 4)
    ey, gap, reach = 128 + r.uniform(-2, 2), r.uniform(26, 28), r.uniform(82, 90)
    out = ground(r) + shaded("skin", skin) + shaded("wool", cream) + shaded("beard", coat)
    if r.random() < 0.6:
        shirt = r.choice(["#8fa3b5", "#9aa9b6", "#a5b0b8", "#7f95aa"])
        out += path("M20 256 Q40 226 100 218 H156 Q216 226 236 256Z", shirt)
    out += locks(r, coat, 214 + r.uniform(-6, 6), 100, 130 + r.uniform(-6, 6), reach)
    out += ellipse(128, 140, 60, 82, "url(#skin)")
    for side in (-1, 1):  # brows, and shade beside the nose
        out += stroke(
            f"M{128 + side * 14:.0f} {ey - 15:.0f} q{side * 14:.0f} -6 {side * 27:.0f} 2",
            rgb(coat, 0.9),
            5,
            0.8,
        )
    out += eyes(r, ey, gap)
    out += path(
        f"M122 {ey + 6:.0f} Q114 {ey + 32:.0f} 115 {ey + 36:.0f} Q128 {ey + 46:.0f} 141 {ey + 36:.0f} Q142 {ey + 32:.0f} 134 {ey + 6:.0f}Z",
        rgb(skin, 0.84),
    )
    jaw, chin = r.uniform(60, 66), r.uniform(228, 244)
    out += bib(146, chin, jaw, "url(#beard)")
    out += path("M108 192 Q118 186 128 190 Q138 186 148 192 Q128 208 108 192Z", "#b0665a")
    for k in range(7):
        u = 128 + (k - 3) * 14
        out += stroke(
            f"M{u:.0f} {208 + r.uniform(-4, 4):.0f} q{r.uniform(-4, 4):.0f} 8 {(128 - u) * 0.15:.0f} 18",
            rgb(coat, 0.7),
            2.4,
            0.6,
        )
    top = r.uniform(38, 48)
    out += path(
        f"M66 110 C60 {top + 20:.0f} 92 {top:.0f} 128 {top:.0f} C164 {top:.0f} 196 {top + 20:.0f} 190 110 Q128 92 66 110Z",
        "url(#wool)",
    )
    out += stroke("M66 108 Q128 90 190 108", rgb(cream, 0.8), 4)
    worn = r.sample(["badge", "seams", "bobble"], r.choice([1, 1, 2]))  # never all: a hat is no dog's muzzle
    if "seams" in worn:
        a, b = r.uniform(70, 77), r.uniform(96, 104)
        out += stroke(
            f"M128 86 V68 M{b:.0f} {a:.0f} Q112 56 128 68 Q144 56 {256 - b:.0f} {a:.0f}", rgb(coat, 0.6), 5
        )
    if "badge" in worn:
        out += ellipse(128, r.uniform(88, 94), r.uniform(17, 21), r.uniform(11, 14), "#1e1715")
    if "bobble" in worn:
        out += ellipse(128, top - 4, r.uniform(14, 18), r.uniform(15, 20), r.choice(TONGUES))
    return out


def indoors(r: Random) -> str:
    """A dog in front of the same wall: brown crown and ears, a tan face, a pale muzzle, its tongue out."""
    coat, tan, pale = near(r, r.choice(COATS), 6), near(r, r.choice(SKINS), 5), near(r, CREAM, 4)
    ey, gap, reach = 128 + r.uniform(-2, 2), r.uniform(26, 28), r.uniform(82, 90)
    out = ground(r) + shaded("tan", tan) + shaded("muzzle", pale) + shaded("crown", coat)
    if r.random() < 0.4:
        out += path("M56 256 Q64 206 128 200 Q192 206 200 256Z", r.choice(["#d5dce2", "#c6d0d8", "#e2e2de"]))
    out += ellipse(128, 118, 64, 84, "url(#tan)")
    jaw, top = r.uniform(60, 66), r.uniform(14, 26)
    out += bib(110, top, jaw, "url(#crown)")
    out += locks(r, coat, 42 + r.uniform(-6, 6), 156, 126 + r.uniform(-6, 6), reach)
    if r.random() < 0.6:  # a fold of the brow
        out += path("M122 122 Q114 98 115 92 Q128 80 141 92 Q142 98 134 122Z", rgb(tan, 0.88))
    else:  # a blaze
        out += path("M116 156 Q124 110 122 70 Q128 62 134 70 Q132 110 140 156Z", rgb(pale))
    out += eyes(r, ey, gap)
    chin = r.uniform(208, 218)
    out += ellipse(128, chin + 4, r.uniform(14, 18), r.uniform(16, 22), r.choice(TONGUES))
    out += path(
        f"M70 146 Q128 166 186 146 C196 {chin - 20:.0f} 164 {chin:.0f} 128 {chin:.0f} C92 {chin:.0f} 60 {chin - 20:.0f} 70 146Z",
        "url(#muzzle)",
    )
    out += stroke("M128 170 V188 M98 182 Q112 200 128 188 Q144 200 158 182", rgb(coat, 0.5), 5)
    for _ in range(6):
        out += ellipse(
            128 + r.choice([-1, 1]) * r.uniform(20, 44), r.uniform(168, 186), 1.6, 1.6, rgb(coat, 0.7)
        )
    return out + ellipse(128, r.uniform(160, 167), r.uniform(18, 22), r.uniform(12, 15), "#1e1715")


def outdoors(r: Random) -> str:
    """A dog in the snow under a blue sky: a white blaze and muzzle, a brown face, dark ears."""
    coat, dark = (
        near(r, r.choice([(196, 140, 92), (176, 108, 72), (206, 152, 104)]), 8),
        near(r, (78, 48, 34), 6),
    )
    x, y, w = 128 + r.uniform(-6, 6), 112 + r.uniform(-8, 6), r.uniform(58, 66)
    snow = r.uniform(164, 186)
    out = rect(0, 0, S, S, rgb(near(r, (92, 140, 190), 8))) + rect(0, snow, S, S - snow, "#eef3f6")
    for _ in range(4):
        out += ellipse(r.uniform(0, S), snow, r.uniform(40, 80), r.uniform(6, 12), "#eef3f6")
    out += shaded("coat", coat)
    out += path(
        f"M{x - 76:.0f} 256 Q{x - 70:.0f} 176 {x:.0f} 166 Q{x + 70:.0f} 176 {x + 76:.0f} 256Z", "url(#coat)"
    )
    out += path(
        f"M{x - 44:.0f} 256 Q{x - 40:.0f} 190 {x:.0f} 186 Q{x + 40:.0f} 190 {x + 44:.0f} 256Z", "#fbfbf8"
    )
    out += ellipse(x, y, w, w * 1.15, "url(#coat)")
    for side in (-1, 1):
        a, b = x + side * w * 0.6, x + side * w * 1.34
        out += path(
            f"M{a:.0f} {y - w:.0f} C{b:.0f} {y - w * 1.2:.0f} {b + side * 6:.0f} {y - 8:.0f} {b:.0f} {y + 20:.0f} "
            f"Q{b - side * 12:.0f} {y + 50:.0f} {b - side * 24:.0f} {y + 34:.0f} Q{a + side * 8:.0f} {y - 10:.0f} {a:.0f} {y - w:.0f}Z",
            rgb(dark),
        )
    out += path(
        f"M{x - 8:.0f} {y - w * 1.12:.0f} H{x + 8:.0f} Q{x + 8:.0f} {y - 6:.0f} {x + 40:.0f} {y + 34:.0f} H{x - 40:.0f} Q{x - 8:.0f} {y - 6:.0f} {x - 8:.0f} {y - w * 1.12:.0f}Z",
        "#fbfbf8",
    )
    out += ellipse(x, y + 74, r.uniform(13, 17), r.uniform(14, 20), r.choice(TONGUES))
    out += ellipse(x, y + 44, r.uniform(44, 50), r.uniform(32, 36), "#fbfbf8")
    for side in (-1, 1):
        ex = x + side * r.uniform(29, 32)
        out += ellipse(ex, y - 8, 12, 13, "#1d1512") + ellipse(ex - 4, y - 12, 3.4, 3.4, "#ffffff")
    out += stroke(
        f"M{x:.0f} {y + 40:.0f} V{y + 58:.0f} M{x - 28:.0f} {y + 54:.0f} Q{x - 14:.0f} {y + 70:.0f} {x:.0f} {y + 58:.0f} Q{x + 14:.0f} {y + 70:.0f} {x + 28:.0f} {y + 54:.0f}",
        "#2a1c18",
        4.5,
    )
    return out + ellipse(x, y + 32, r.uniform(19, 23), r.uniform(14, 16), "#1b1615")


def dog(r: Random) -> str:
    """A dog from the front."""
    return indoors(r) if r.random() < 0.25 else outdoors(r)
