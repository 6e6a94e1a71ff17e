"""The converter's MathML as browsers draw it, and in words."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from html import unescape
from xml.etree.ElementTree import Element, fromstring

DEEPEST = 180
"""Elements that may stand in one another."""
_TAG = re.compile(r"<(/?)[^>]*?(/?)>")
_ENTITY = re.compile(r"&(?!amp;|lt;|gt;|quot;|apos;|#)[A-Za-z]\w*;")
_NAMES = """
Apricot Aquamarine Bittersweet BlueGreen BlueViolet BrickRed BurntOrange CadetBlue CarnationPink Cerulean
CornflowerBlue Dandelion DarkOrchid Emerald ForestGreen Fuchsia Goldenrod GreenYellow JungleGreen
Lavender LimeGreen Mahogany Maroon Melon MidnightBlue Mulberry NavyBlue OliveGreen OrangeRed Orchid Peach
Periwinkle PineGreen Plum ProcessBlue RawSienna RedOrange RedViolet Rhodamine RoyalBlue RoyalPurple
RubineRed Salmon SeaGreen Sepia SkyBlue SpringGreen Tan TealBlue Thistle Turquoise VioletRed
WildStrawberry YellowGreen YellowOrange
"""
_STRIKE = "linear-gradient(to {} {},transparent calc(50% - .05em),currentColor calc(50% - .04em),"
_STRIKE += "currentColor calc(50% + .04em),transparent calc(50% + .05em))"
ENCLOSED = {
    "box": "border:1px solid;padding:.25em .35em",
    "updiagonalstrike": "background:" + _STRIKE.format("bottom", "right"),
    "downdiagonalstrike": "background:" + _STRIKE.format("bottom", "left"),
}
"""What ``menclose`` is drawn as: Chromium does not know it."""
_SUBSCRIPTS = dict(
    zip("0123456789+-=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True)
)
_SUPERSCRIPTS = dict(
    zip("0123456789+-=()abcdefghijklmnoprstuvwxyzT", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀ", strict=True)
)


class TooDeep(Exception):
    """Elements stand too deep in one another for a browser."""


class Marks:
    """What is asked of parts of a formula, and how the parts are found again in the converter's answer."""

    def __init__(self) -> None:
        self.wraps: dict[str, dict[str, str]] = {}
        self.rows: dict[str, str] = {}

    def wrap(self, mark: dict[str, str]) -> str:
        """The name of a colour that no other part has; "" if there is none left."""
        free = _palette()
        if len(self.wraps) >= len(free):
            return ""
        name, value = free[len(self.wraps)]
        self.wraps[value] = mark
        return name

    def row(self, amount: float, unit: str) -> str:
        """The width of a space that says: this row has so much more below it."""
        width = f"0.000{len(self.rows) + 1:03d}em"
        size = {"mu": "em", "bp": "pt"}.get(unit, unit)
        self.rows[width] = f"padding-bottom:calc(.5ex + {amount / 18 if unit == 'mu' else amount:g}{size})"
        return width


@cache
def _palette() -> list[tuple[str, str]]:
    """Names of colours that the converter knows, each with another value."""
    found: dict[str, str] = {}
    for name in _NAMES.split():
        if value := _dvips(name):
            found.setdefault(value, name)
    return [(name, value) for value, name in found.items()]


@cache
def _dvips(name: str) -> str:
    from math_core import LatexError, LatexToMathML

    try:
        markup = LatexToMathML(fancy_error=False).convert_with_local_state(
            f"\\textcolor{{{name}}}{{x}}", displaystyle=False
        )
    except LatexError:
        return ""
    found = re.search("color:(#[0-9A-Fa-f]{6})", markup)
    return found[1] if found else ""


def colour(name: str) -> str:
    """The value of a colour's name: those of TeX, then those of the Web; "" if it is none."""
    if not re.fullmatch("[A-Za-z]+", name):
        return ""
    if found := _dvips(name):
        return found.lower()
    from PIL import ImageColor

    return str(ImageColor.colormap.get(name.lower(), ""))


def read(markup: str, marks: Marks) -> Element:
    """The tree of a formula, with all that was asked of its parts. Raises TooDeep."""
    if len(markup) > 1000:
        depth = 0
        for tag in _TAG.finditer(markup):
            depth += -1 if tag[1] else not tag[2]
            if depth > DEEPEST:
                raise TooDeep("fractions, roots and the like stand too deep in one another")
    root = fromstring(_ENTITY.sub(lambda match: unescape(match[0]), markup).replace("\ufe00", ""))
    for each in list(root.iter()):
        _draw(each)
    if marks.rows:
        _rows(root, marks)
    if marks.wraps:
        for each in list(root.iter()):
            value = each.get("style", "").removeprefix("color:").rstrip(";")
            if value in marks.wraps:
                _wrapped(each, marks.wraps[value])
    return root


def _draw(element: Element) -> None:
    tag = element.tag
    if tag == "menclose":
        for kind in element.attrib.pop("notation", "").split():
            before = element.get("style")
            style = ENCLOSED.get(kind, "")
            if before and before.startswith("background:") and style.startswith("background:"):
                style = f"{before},{style.removeprefix('background:')}"
            element.set("style", style)
        element.tag = "mrow"
        for child in list(element):
            if child.get("class", "").startswith("menclose"):
                element.remove(child)
    elif tag == "mover" and len(element) == 2 and element[1].text == "~":
        element[1].text = "\N{SMALL TILDE}"


def _rows(root: Element, marks: Marks) -> None:
    for row in root.iter("mtr"):
        for cell in row:
            for parent in cell.iter():
                for space in list(parent):
                    style = marks.rows.get(space.get("width", "")) if space.tag == "mspace" else None
                    if style:
                        parent.remove(space)
                        for each in row:
                            each.set("style", f"{each.get('style', '').rstrip(';')};{style}".lstrip(";"))


def _wrapped(element: Element, mark: dict[str, str]) -> None:
    del element.attrib["style"]
    if style := mark.get("style"):
        element.set("style", style)
    if kind := mark.get("table"):
        for table in element.iter("mtable"):
            table.attrib.pop("scriptlevel", None)
            table.attrib.pop("displaystyle", None)
            if kind == "small":
                table.set("scriptlevel", "1")
            for cell in table.iter("mtd"):
                cell.set("style", "padding:.08em " + (".25em" if kind == "small" else "0"))
    if mark.get("text") == "bare":
        for link in element.iter("a"):
            link.text = (link.text or "").strip("()")
    sizes: dict[str, str] = {name: mark[name] for name in mark if name in ("width", "height", "depth")}
    if sizes:
        element.tag = "mpadded"
        element.attrib.update(sizes)
        if move := mark.get("move"):
            inner = Element("mrow", style=f"transform:translateX({move})")
            inner.extend(list(element))
            for child in list(element):
                element.remove(child)
            element.append(inner)


def words(element: Element) -> str:
    """A formula in plain words: x₀, a/b, √n."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", _words(element))).strip()


def _words(element: Element) -> str:
    tag, parts = element.tag, [_words(child) for child in element]
    if tag == "mfrac":
        return "/".join(part if len(part) < 2 or part.isalnum() else f"({part})" for part in parts)
    if tag in ("msqrt", "mroot"):
        inner = parts[0] if tag == "mroot" else "".join(parts)
        degree = _raised(parts[1], _SUPERSCRIPTS, "") if tag == "mroot" else ""
        return f"{degree}√{inner if len(inner) < 3 else f'({inner})'}"
    if tag in ("msub", "munder") and len(parts) == 2:
        return parts[0] + _raised(parts[1], _SUBSCRIPTS, "_")
    if tag == "mover" and len(parts) == 2 and element.get("accent") == "true":
        accent = parts[1].strip()
        accent = {"^": "\u0302", "~": "\u0303", "→": "\u20d7"}.get(accent, accent)
        return parts[0] + (accent if unicodedata.combining(accent[:1] or " ") else "")
    if tag in ("msup", "mover") and len(parts) == 2:
        return parts[0] + (parts[1] if parts[1].strip("′") == "" else _raised(parts[1], _SUPERSCRIPTS, "^"))
    if tag in ("msubsup", "munderover") and len(parts) == 3:
        return parts[0] + _raised(parts[1], _SUBSCRIPTS, "_") + _raised(parts[2], _SUPERSCRIPTS, "^")
    if tag == "mspace":
        return " "
    if tag == "mtr":
        return " ".join(filter(None, map(str.strip, parts)))
    if tag == "mtable":
        return "; ".join(parts)
    own = unicodedata.normalize("NFKC", element.text or "").translate(
        {0x2061: " ", 0x2062: None, 0x2063: None}
    )
    if tag == "mo" and len(own) == 1 and unicodedata.category(own) == "Sm" and own not in "|∣":
        own = f" {own} "
    return own + "".join(parts)


def _raised(part: str, signs: dict[str, str], sign: str) -> str:
    part = part.replace(" ", "").replace("−", "-")
    if part and all(each in signs for each in part):
        return "".join(signs[each] for each in part)
    return f"{sign}{part}" if len(part) < 2 else f"{sign}({part})"
