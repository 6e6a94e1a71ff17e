"""Drawings without anything that runs or reaches out: a reader may open them as pages of the site."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
XML = "http://www.w3.org/XML/1998/namespace"
_NAMES = (
    "a circle clipPath defs desc ellipse filter g image line linearGradient marker mask path pattern polygon"
)
_NAMES += " polyline radialGradient rect stop style svg switch symbol text textPath title tspan use"
ELEMENTS = frozenset(_NAMES.split())
"""With them the primitives of filters, ``fe…``, but for the one that loads pictures."""
LARGEST = 8_000_000
"""Bytes of a drawing, whose tree takes fifty times as many."""
DEEPEST = 200
"""Elements within each other."""
_PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")
_FOREIGN = re.compile(
    r"url\(\s*+['\"]?+\s*+(?!#)|javascript:|\\|(?:image|image-set|cross-fade|src|element)\s*\(", re.IGNORECASE
)
_FOREIGN_STYLE = re.compile(rf"{_FOREIGN.pattern}|@|://", re.IGNORECASE)

ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)


def clean(data: bytes) -> bytes:
    """An SVG file of what draws alone: no scripts, handlers, animations, foreign elements or addresses.

    Raises ValueError for what is no SVG, has entities of its own, is too large or nests too deeply.
    """
    if len(data) > LARGEST:
        raise ValueError(f"an SVG of more than {LARGEST // 1_000_000} MB")
    if b"<!ENTITY" in data.replace(b"\0", b""):  # in UTF-16 too
        raise ValueError("an SVG with entities of its own")
    depth = 0
    try:
        for event, element in ElementTree.iterparse(io.BytesIO(data), ("start", "end")):
            depth += 1 if event == "start" else -1
            if depth > DEEPEST:
                raise ValueError(f"an SVG of more than {DEEPEST} elements within each other")
            if event == "end":
                _clean_element(element)
    except (ElementTree.ParseError, LookupError) as error:  # LookupError: an encoding that is none
        raise ValueError(f"not a whole SVG: {error}") from error
    if element.tag != f"{{{SVG}}}svg":  # the last to end is the root
        raise ValueError(f"not an SVG: its root is {element.tag[:60]}")
    drawing: bytes = ElementTree.tostring(element, "utf-8")
    return drawing


def _clean_element(element: ElementTree.Element) -> None:
    for child in list(element):
        space, _, name = str(child.tag).rpartition("}")
        known = space == f"{{{SVG}" and (name in ELEMENTS or (name[:2] == "fe" and name != "feImage"))
        if not known or (name == "style" and (len(child) or _FOREIGN_STYLE.search(child.text or ""))):
            element.remove(child)
    for name, value in list(element.attrib.items()):
        if not _is_harmless(name, value):
            del element.attrib[name]


def _is_harmless(name: str, value: str) -> bool:
    space, _, local = name.rpartition("}")
    if local == "href" and space in ("", f"{{{XLINK}"):
        return value.strip().startswith("#") or _PICTURE.fullmatch(value.strip()) is not None
    if space not in ("", f"{{{XML}") or local in ("base", "src") or local.lower().startswith("on"):
        return False
    return not (_FOREIGN_STYLE if local == "style" else _FOREIGN).search(value)
