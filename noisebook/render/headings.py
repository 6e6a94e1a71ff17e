"""The headings of a page: their levels, ids and links."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from xml.etree.ElementTree import Element, SubElement

from noisebook.render import inline

OWN_IDS = ("main", "works", "problems")
"""Ids that templates give."""


class Headings:
    """``words`` says in words what a piece of the text is."""

    def __init__(self, words: Callable[[int], str]) -> None:
        self.words = words
        self.all: list[Element] = []

    @property
    def highest(self) -> list[Element]:
        return [each for each in self.all if each.tag == "h2"]

    def name(self, root: Element) -> list[str]:
        """Give levels and ids; those that an author gave twice, or that the page has itself.

        The page's title is the only h1; no level is skipped.
        """
        self.all = [element for element in root.iter() if re.fullmatch("h[1-6]", element.tag)]
        top = min((int(element.tag[1]) for element in self.all), default=1)
        given = Counter(element.get("id", "") for element in root.iter() if element.tag != "figure")
        before, used = 1, {*given}
        counts: dict[str, int] = {}
        for element in self.all:
            before = min(int(element.tag[1]) - top + 2, before + 1, 6)
            element.tag = f"h{before}"
            if element.get("id"):
                continue
            name = first = address(inline.said(element, self.words)) or "section"
            while name in used:
                counts[first] = counts.get(first, 0) + 1
                name = f"{first}_{counts[first]}"
            used.add(name)
            element.set("id", name)
        return [name for name, count in given.items() if name and (count > 1 or _taken(name))]

    def link(self) -> None:
        """Give each a link to itself."""
        for element in self.all:
            link = SubElement(element, "a", {"class": "permalink", "href": f"#{element.get('id')}"})
            link.set("aria-label", f"Link to “{' '.join(inline.said(element, self.words).split())}”")
            link.text = "#"


def address(words: str) -> str:
    """The id of a heading: its words in small letters, with hyphens between them; never one that a page has.

    Letters keep their script; those of Latin lose their accents.
    """
    plain = "".join(
        bare if (bare := unicodedata.normalize("NFKD", sign)[:1]).isascii() else sign
        for sign in unicodedata.normalize("NFC", words)
    )
    kept = "".join(
        sign for sign in plain if sign in "-_" or sign.isspace() or unicodedata.category(sign)[0] in "LMN"
    )
    found = re.sub(r"[-\s]+", "-", kept.strip().lower())
    return f"{found}-section" if _taken(found) or found.startswith("fn") else found


def _taken(name: str) -> bool:
    """Whether a page may have the id itself."""
    return name in OWN_IDS or name.startswith(("fig-", "eq-"))
