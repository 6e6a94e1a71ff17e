"""People and a dog, drawn in vectors from a seed. Portraits have a transparent ground; a scene fills its frame."""
# ruff: noqa: E501 -- a path is one line

from __future__ import annotations

from random import Random

from tools.scenes.shapes import Colour, S, ellipse, gradient, near, path, pine, polygon, rect, rgb, sky

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

FACE = 128.0, 122.0
"""The middle of a face."""
EYES = 8
"""How far its eyes are above it."""


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


def person(r: Random, old: bool = False, hat: bool = False, woman: bool = False) -> str:
    """Head and shoulders, shaded, on a transparent ground.

    More than 60 lines: one drawing, stroke upon stroke from back to front.
    """
    skin, cloth = near(r, SKINS[r.choice([0, 0, 1, 1, 2, 3, 4])], 6), near(r, r.choice(CLOTHES))
    hair: Colour = (
        (226, 224, 220)
        if old
        else r.choice([(38, 28, 24), (82, 54, 34), (132, 92, 50), (26, 26, 30), (176, 132, 72)])
    )
    if old:
        hair = near(r, hair, 10)
    w, h = r.uniform(52, 60), r.uniform(70, 78)
    x, y = FACE
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
    gap, ey = r.uniform(21, 25), y - EYES
    out += _eyes(r, gap, hair, skin, old)
    out += path(
        f"M{x - 2} {ey + 2} Q{x - 11} {ey + 30} {x - 9} {ey + 33} Q{x} {ey + 41} {x + 11} {ey + 33} Q{x + 7} {ey + 24} {x + 4} {ey + 2}Z",
        rgb(skin, 0.82),
    )
    lips = rgb((196, 70, 76)) if woman else rgb(skin, 0.62)
    beard = (old and r.random() < 0.75) or (not woman and not old and r.random() < 0.35)
    if beard:
        out += _beard(r, w, h, hair, old)
    out += path(
        f"M{x - 15} {y + 45} Q{x} {y + (50 if not woman else 54)} {x + 15} {y + 45}",
        "none",
        f'stroke="{lips}" stroke-width="{6 if woman else 5}" stroke-linecap="round"',
    )
    if old:
        out += _age(r, w, gap, hair, skin, beard)
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
        out += _hat(r, w, h)
    return out


def _eyes(r: Random, gap: float, hair: Colour, skin: Colour, old: bool) -> str:
    """Eyes ``2 gap`` apart, and their brows."""
    (x, y), out = FACE, ""
    ey = y - EYES
    brow = rgb(hair, 0.9 if old else 0.75)
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
    return out


def _beard(r: Random, w: float, h: float, hair: Colour, old: bool) -> str:
    """A beard on a face ``2 w`` wide and ``2 h`` high, in shade on the right."""
    (x, y), out = FACE, ""
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
    return out


def _age(r: Random, w: float, gap: float, hair: Colour, skin: Colour, beard: bool) -> str:
    """A moustache where there is no beard, wrinkles, thin hair at the sides, and sometimes glasses."""
    (x, y), out = FACE, ""
    ey = y - EYES
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
    return out


def _hat(r: Random, w: float, h: float) -> str:
    """A hat on a head ``2 w`` wide and ``2 h`` high."""
    (x, y), out = FACE, ""
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
