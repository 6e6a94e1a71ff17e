"""The converter's MathML as browsers draw it."""

from __future__ import annotations

import re
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
_SIZES = {"1.2em": 0, "1.623em": 1, "2.047em": 2, "2.470em": 2}
"""The heights of ``\\big``, ``\\Big``, ``\\bigg`` and ``\\Bigg``, and the sign of the font that each has."""
_FENCES = {
    sign: widths
    for signs, widths in {
        "()": (".468em", ".6em", ".75em"),
        "[]": (".383em", ".459em", ".508em"),
        "{}": (".575em", ".717em", ".906em"),
        "⟨⟩": (".578em", ".622em", ".765em"),
        "⌊⌋⌈⌉": (".453em", ".524em", ".565em"),
        "/\\": (".579em", ".806em", "1.101em"),
    }.items()
    for sign in signs
}
"""The widths of these signs of the font at three heights: Chromium gives each the room of the widest."""
_LINE = ("mi", "mn", "mtext", "mrow", "mspace", "msub", "msup", "msubsup")
_OPERATOR = re.compile("[\u220f-\u2211\u222b-\u2233\u22c0-\u22c3\u2a00-\u2a21]")


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
    for each in list(root.iter())[::-1]:
        _draw(each)
    for table in root.iter("mtable"):
        _close(table)
    if marks.rows:
        _rows(root, marks)
    if marks.wraps:
        for each in list(root.iter()):
            value = each.get("style", "").removeprefix("color:").rstrip(";")
            if value in marks.wraps:
                _wrapped(each, marks.wraps[value])
        if any(mark.get("text") == "row" for mark in marks.wraps.values()):
            _across(root)
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
    elif tag in ("mover", "munder") and len(element) == 2:
        _accent(element, element[1])
    elif tag in ("msub", "msup", "msubsup") and "minsize" in element[0].attrib:
        # Alone as a base, a sign does not stretch in Chromium.
        base = Element("mrow")
        base.append(element[0])
        element[0] = base
    elif tag == "mrow" and len(element) > 1:
        _fences(element)
    elif tag == "mo" and element.text in _FENCES and element.get("minsize") in _SIZES:
        element.set("style", f"width:{_FENCES[element.text][_SIZES[element.attrib['minsize']]]}")


def _fences(row: Element) -> None:
    """``\\left`` and ``\\right`` around one line have the height that TeX gives them there, and its width."""
    stretched = [
        each
        for each in row
        if each.tag == "mo" and each.text in _FENCES and not {"stretchy", "minsize"} & set(each.attrib)
    ]
    if not stretched or not all(each in stretched or _low(each) for each in row):
        return
    raised = any(each.tag in ("msup", "msubsup", "mover") or each.get("minsize") for each in row.iter())
    for each in stretched:
        if raised:
            each.attrib.update({"minsize": "1.2em", "maxsize": "1.2em"})
            _draw(each)
        else:
            each.set("stretchy", "false")


def _low(element: Element) -> bool:
    """Whether it stands within a line with its scripts."""
    if element.tag == "mo":
        return element.get("minsize", "1.2em") == "1.2em" and not _OPERATOR.match(element.text or "")
    accented = element.tag == "mover" and element[-1].get("stretchy") == "false"
    return (accented or element.tag in _LINE) and all(_low(each) for each in element)


def _accent(element: Element, sign: Element) -> None:
    """Signs that combine with what is before them are drawn beside it: others stand for them, or a border."""
    if element.tag == "mover" and sign.text == "~":
        sign.text = "\N{SMALL TILDE}"
    elif sign.text == "\N{COMBINING LOW LINE}" and element.tag == "mover" and len(element[0].text or "") == 1:
        sign.text = "¯"
        sign.set("stretchy", "false")
    elif sign.text == "\N{COMBINING LOW LINE}":
        side = "top" if element.tag == "mover" else "bottom"
        element.remove(sign)
        element.tag = "mrow"
        element.attrib.clear()
        element.set("style", f"border-{side}:.05em solid;padding-{side}:.12em")
    elif spacing := {"\u20d7": "→", "\u20db": "...", "\u20dc": "...."}.get(sign.text or ""):
        sign.text = spacing
        sign.attrib.update({"stretchy": "false", "scriptlevel": "+2", "lspace": "0", "rspace": "0"})


def _close(table: Element) -> None:
    """A line below the last row is that row's; the converter draws it over a row of nothing."""
    last = table[-1]
    lines = [cell.get("style", "") for cell in last if cell.get("style", "").startswith("border-top")]
    if len(table) > 1 and lines and not any(len(cell) or cell.text for cell in last):
        table.remove(last)
        line = lines[0].partition(";")[0].replace("border-top", "border-bottom")
        for cell in table[-1]:
            cell.set("style", f"{cell.get('style', '').rstrip(';')};{line}".lstrip(";"))


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


def _across(root: Element) -> None:
    """Words between the rows of equations stand in a row of their own, from its beginning."""
    for table in root.iter("mtable"):
        columns = max((len(row) for row in table), default=1)
        for row in table:
            words = next((each for each in row.iter() if each.attrib.pop("class", "") == "across"), None)
            if words is not None:
                for cell in list(row):
                    row.remove(cell)
                cell = Element("mtd", columnspan=str(columns), style="text-align:left;justify-items:start")
                cell.append(words)
                row.append(cell)


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
    if mark.get("text") == "row":
        element.set("class", "across")
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
