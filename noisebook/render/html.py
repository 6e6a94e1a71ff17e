"""A tree of elements as HTML: only elements, attributes and addresses of one list come out of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from html import unescape
from html.entities import html5
from xml.etree.ElementTree import Element

from noisebook.render.styles import Styles

SCHEMES = ("http", "https", "mailto")
"""Of links; all else is relative."""
_NAMES = {
    "text": "p em strong code pre ul ol li dl dt dd h2 h3 h4 h5 h6 blockquote hr br wbr div span sub sup kbd"
    " del ins mark small abbr var samp q s u a img input table caption thead tbody tr th td details summary",
    "math": "math mrow mi mn mo mtext mspace ms msqrt mroot mfrac msub msup msubsup munder mover munderover"
    " mmultiscripts mprescripts mtable mtr mtd mpadded mphantom mstyle merror none",
    "attributes": "class id title href rel src alt width height loading start type disabled checked open role"
    " tabindex aria-label aria-hidden lang dir display displaystyle scriptlevel mathvariant stretchy"
    " symmetric fence separator form lspace rspace minsize maxsize largeop movablelimits accent accentunder"
    " linethickness depth voffset columnspan rowspan",
    "bare": "open disabled checked",
    "void": "br wbr hr img input",
    "blocks": "p ul ol li dl dt dd h2 h3 h4 h5 h6 blockquote hr div pre table caption thead tbody tr details"
    " figure",
}
_LISTS = {name: frozenset(words.split()) for name, words in _NAMES.items()}
ELEMENTS = _LISTS["text"] | _LISTS["math"]
ATTRIBUTES = _LISTS["attributes"]
_CONTROL = re.compile("[\x00-\x20\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufeff]")
HOST = re.compile(r"https?://[^/\\]", re.IGNORECASE)
"""How an address of a host begins."""
ENTITY = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});"
_SCHEME = re.compile(r"([^/?#:]*):")

Special = Mapping[str, Callable[[Element], str]]


def entities(words: str) -> str:
    """Words with the signs that whole entities stand for: ``&name`` without its semicolon is none."""
    return re.sub(ENTITY, lambda found: _sign(found[0]), words)


def _sign(entity: str) -> str:
    if entity[1] != "#":
        return html5.get(entity[1:], entity)
    return re.sub("[\x00-\x08\x0b-\x1f\x7f]", "", unescape(entity))


def scheme(address: str) -> str | None:
    """The scheme of an address as a browser reads it, in small letters; "" where it is relative to a page.

    None if it belongs to another host or to nothing that a link may do.
    """
    bare = _CONTROL.sub("", unescape(unescape(address))).replace("\\", "/")
    if bare.startswith("//"):
        return None
    found = _SCHEME.match(bare)
    if not found:
        return ""
    name = found[1].lower()
    return name if name in SCHEMES else None


def serialise(
    element: Element, styles: Styles, special: Special | None = None, without: Collection[str] = ()
) -> str:
    """What is in an element, without its own tags.

    ``special`` gives the HTML of elements by their tags; of those in ``without`` only the content is written.
    """
    out: list[str] = []
    _Writer(out.append, styles, special or {}, without).inside(element)
    return "".join(out)


def element(whole: Element, styles: Styles, special: Special | None = None) -> str:
    """An element with its tags."""
    holder = Element("div")
    holder.append(whole)
    return serialise(holder, styles, special).rstrip("\n")


class _Writer:
    def __init__(
        self, write: Callable[[str], object], styles: Styles, special: Special, without: Collection[str]
    ) -> None:
        self.write, self.styles, self.special, self.without = write, styles, special, without

    def inside(self, element: Element) -> None:
        write = self.write
        if element.text:
            write(text(element.text))
        for child in element:
            tag = child.tag
            if tag in self.special:
                write(self.special[tag](child))
            elif tag in ELEMENTS and tag not in self.without:
                write(f"<{tag}{_attributes(child, self.styles)}>")
                if tag not in _LISTS["void"]:
                    self.inside(child)
                    write(f"</{tag}>")
            else:
                self.inside(child)
            if child.tail:
                write(text(child.tail))
            elif tag in _LISTS["blocks"]:
                write("\n")


def _attributes(element: Element, styles: Styles) -> str:
    found = dict(element.attrib)
    if style := found.pop("style", None):
        found["class"] = " ".join(filter(None, (found.get("class"), styles.name(style))))
    for name in ("href", "src"):
        if name in found and scheme(found[name]) is None:
            del found[name]
    return "".join(
        f" {name}" if name in _LISTS["bare"] else f' {name}="{quoted(value)}"'
        for name, value in found.items()
        if name in ATTRIBUTES
    )


def text(words: str) -> str:
    """Text of an element."""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quoted(words: str) -> str:
    """The value of an attribute."""
    return text(words).replace('"', "&quot;")


def link(words: str, href: str, kind: str = "ref", title: str = "") -> Element:
    """A link of a class."""
    made = Element("a", {"class": kind, "href": href, **({"title": title} if title else {})})
    made.text = words
    return made


def checkbox(done: bool) -> Element:
    """What begins a task."""
    label = "done" if done else "to do"
    found = Element("input", {"type": "checkbox", "disabled": "", "aria-label": label})
    if done:
        found.set("checked", "")
    return found


def unseen() -> Element:
    """A block that no reader sees, and that parts what is around it."""
    found = Element("comment")
    found.tail = "\n"
    return found


def unlinked(element: Element) -> Element:
    """A copy without ids and addresses."""
    found = deepcopy(element)
    for each in found.iter():
        each.attrib.pop("id", None)
        if each.tag == "a":
            each.tag = "span"
            each.attrib.clear()
    return found
