"""What stands within the lines of a block: Python-Markdown's own marks, and a few more."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any
from xml.etree.ElementTree import Element, SubElement

from markdown import Markdown
from markdown.inlinepatterns import (
    ImageInlineProcessor,
    InlineProcessor,
    LinkInlineProcessor,
    ReferenceInlineProcessor,
    SubstituteTagInlineProcessor,
)
from markdown.util import AtomicString

from noisebook.cells.names import near
from noisebook.render.emphasis import Emphasis, unmarked
from noisebook.render.html import ENTITY, entities
from noisebook.report.body import BARE
from noisebook.report.model import quote

PIECE = "piece"
"""The tag of an element that stands for what was taken out of the text before; ``n`` is its number."""
MOST = 20_000_000
"""Characters times marks of one paragraph: each mark moves all that follows it."""
BRACKETS = 100
"""Brackets that may stand open in a paragraph."""
_PIECE = re.compile("\x02piece:(\\d+)\x03")
_MARK = re.compile(r"[\\*_\[<&~!\x02]|https?:|www\.")
_MARKED = re.compile(r"[\\*_\[<&~!]|https?:|www\.|  \n")
_BRACKET = re.compile(r"\[|\](\()?|\)")
_TAGS = "sub|sup|kbd|mark|small|del|ins|s|u|var|samp|q|b|i|em|strong"
_TAG = re.compile(
    r"""(?<!\\)(?<!\]\()<(/?)([A-Za-z][A-Za-z0-9]*)"""
    r"""((?:\s+(?:[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s<>"']+)|open|hidden|controls|async|defer))*)\s*/?>"""
)
_NOT_HERE = (
    "a abbr article aside audio big blockquote canvas caption center dfn div dl embed figcaption figure"
    " font footer form h1 h2 h3 h4 h5 h6 header hr iframe img li nav object ol p picture pre rt ruby script"
    " section span strike style svg table tbody td tfoot th thead tr tt ul video details summary"
)
"""Elements of HTML that authors try; other words between angle brackets are words."""
_INSTEAD = {
    "a": "a link is [words](address)",
    "img": "a picture is ![what it shows](path)",
    "table": "a table is | a | b |, and below it |---|---|",
    "details": "<details> (or <details open>), <summary>words</summary> and </details> begin lines",
}
_INSTEAD |= {"tr": _INSTEAD["table"], "td": _INSTEAD["table"], "summary": _INSTEAD["details"]}
_USE = "<br>, <sub>, <sup>, <kbd>, <mark> and their like may be used, without attributes"
_SIGN = "\\< is the sign itself"
_MEANT = {"b": "strong", "i": "em"}
_TITLED = re.compile(r"(\S+)\s+\(([^()]*)\)")
_ENDS = re.compile(r"""(?:[.,:;!?'"”’)*_~。，、；：！？）」』》\\]|\x02klzzwxh:\d+\x03)+$""")
"""What does not belong to a bare address at its end."""
_HELD = re.compile("\x02klzzwxh:(\\d+)\x03")
"""What the engine writes for what it has read."""
_ADDRESS = rf"(?:[^\s<>\x02\x03]|{_HELD.pattern.replace('(', '(?:')})+"

Tell = Callable[[str, str, str], None]
"""What is told: the text that it is about, the message, and a hint."""


def piece(number: int) -> str:
    """What stands in the text for a piece: characters that no file may have, and that no text keeps here."""
    return f"\x02piece:{number}\x03"


def piece_alone(line: str) -> int | None:
    """The number of the piece that a line consists of."""
    found = _PIECE.fullmatch(line.strip())
    return int(found[1]) if found else None


def pieces(text: str) -> list[int]:
    """The numbers of the pieces in a text."""
    return [int(found[1]) for found in _PIECE.finditer(text)]


def restored(text: str, original: Callable[[int], str]) -> str:
    """A text with what its pieces were before."""
    return _PIECE.sub(lambda match: original(int(match[1])), text)


def simple(element: Element, words: Callable[[int], str]) -> bool:
    """Put the pieces of an element's text in their places, if that is all there is to do."""
    text = element.text or ""
    if _MARKED.search(text):
        return False
    if "\x02" in text:
        element.text, *rest = _PIECE.split(text)
        for number, tail in zip(rest[::2], rest[1::2], strict=True):
            sign = SubElement(element, PIECE, n=number)
            sign.text, sign.tail = AtomicString(words(int(number))), tail
    return True


def said(element: Element, words: Callable[[int], str]) -> str:
    """What an element says in words; ``words`` gives those of a piece."""
    if element.tag == PIECE:
        return words(int(element.get("n", "")))
    if element.tag in ("sup", "note"):
        return ""
    return (element.text or "") + "".join(said(child, words) + (child.tail or "") for child in element)


def foreign_html(text: str) -> Iterator[tuple[str, str, str]]:
    """Tags that are none here: each with a message and a hint."""
    still_open: Counter[str] = Counter()
    told: set[str] = set()
    for tag in _TAG.finditer(text) if "<" in text else ():
        name = tag[2].lower()
        known = name in _TAGS.split("|")
        if tag[1] and name in told:
            continue
        if name in _NOT_HERE.split() or "=" in tag[3] or (tag[3].strip() and (known or name == "br")):
            told.add(name)
            yield (
                tag[0],
                f"{quote(tag[0])} is no HTML that a text may have",
                f"{_INSTEAD.get(name, _USE)}; {_SIGN}",
            )
        elif known and name != "s":  # </s> ends a sentence in many a vocabulary
            still_open[name] += -1 if tag[1] else 1
    for name, count in still_open.items():
        here, other = (f"<{name}>", f"</{name}>") if count > 0 else (f"</{name}>", f"<{name}>")
        if count:
            yield here, f"{here} has no {other} in its paragraph", _SIGN


def too_much(text: str) -> tuple[int, str] | None:
    """Where a paragraph becomes too much to read in reasonable time, and why."""
    marks = sum(1 for _ in _MARK.finditer(text))
    if marks * len(text) > MOST:
        return 0, f"this paragraph has {len(text)} characters, and {marks} of them are marks of Markdown"
    depth = targets = 0
    for found in _BRACKET.finditer(text):
        depth = depth + 1 if found[0] == "[" else max(depth - 1, 0) if found[0][0] == "]" else depth
        targets = targets + 1 if found[1] else max(targets - 1, 0) if found[0] == ")" else targets
        if max(depth, targets) > BRACKETS:
            return found.start(), f"more than {BRACKETS} brackets stand open here"
    return None


class _Pieces(InlineProcessor):
    def __init__(self, md: Markdown, words: Callable[[int], str]) -> None:
        super().__init__(_PIECE.pattern, md)
        self.words = words

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Element, int, int]:  # type: ignore[override]
        element = Element(PIECE, n=m[1])
        element.text = AtomicString(self.words(int(m[1])))
        return element, m.start(), m.end()


class _Entity(InlineProcessor):
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[str | None, int, int]:  # type: ignore[override]
        found = entities(m[0])
        return (None if found == m[0] else found), m.start(), m.end()


class _Element(InlineProcessor):
    """HTML that may stand in a text; what is between its tags is Markdown."""

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Element, int, int]:  # type: ignore[override]
        tag = m[1].lower()
        element = Element(_MEANT.get(tag, tag))
        if m.lastindex and m.lastindex > 1:
            element.text = m[m.lastindex]
        return element, m.start(), m.end()


class _Link(InlineProcessor):
    """An address in angle brackets, or bare."""

    ANCESTOR_EXCLUDES = ("a",)

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Any, Any, Any]:  # type: ignore[override]
        words, end = m[1], m.end()
        if other := next((each for each in _HELD.finditer(words) if not self._escaped(each)), None):
            if m[0][0] == "<":
                return None, None, None
            words = words[: other.start()]
        if m[0][0] != "<":
            bare = _ENDS.sub("", words)
            if bare.count("(") > bare.count(")") and words[len(bare) : len(bare) + 1] == ")":
                bare += ")"
            words, end = bare, m.start() + len(bare)
        words = entities(_HELD.sub(self._escaped, words))
        mail = "@" in words and "/" not in words and ":" not in words
        element = Element(
            "a", href=f"mailto:{words}" if mail else f"https://{words}" if words[:4] == "www." else words
        )
        element.text = AtomicString(words.removeprefix("mailto:"))
        return element, m.start(), end

    def _escaped(self, held: re.Match[str]) -> str:
        """An escaped sign with its backslash, which in an address stands for itself; "" for all else."""
        node = self.md.treeprocessors["inline"].stashed_nodes.get(held[1])  # type: ignore[attr-defined]
        return f"\\{chr(int(node[1:-1]))}" if isinstance(node, str) and node[1:-1].isdecimal() else ""


class _Target:
    """What stands in parentheses ends after it begins; the engine gives -1 for some that are never closed.

    A title may stand in parentheses too.
    """

    def getLink(self, data: str, index: int) -> tuple[str, str | None, int, bool]:
        href, title, end, handled = super().getLink(data, index)  # type: ignore[misc]
        if title is None and (found := _TITLED.fullmatch(href)):
            href, title = found.groups()
        return entities(href), title and entities(title), end, handled and end > index


class _Text(_Target, LinkInlineProcessor):
    pass


class _Picture(_Target, ImageInlineProcessor):
    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Any, Any, Any]:  # type: ignore[override]
        found, start, end = super().handleMatch(m, data)
        if isinstance(found, Element):
            found.set("alt", unmarked(found.get("alt", "")))
        return found, start, end


class _Note(InlineProcessor):
    """``[^name]``: a footnote's sign, numbered once all are known; None if the text can have none."""

    def __init__(self, md: Markdown, known: Collection[str] | None, tell: Tell) -> None:
        super().__init__(r"\[\^([^\]\n]+)\]", md)
        self.known, self.tell = known, tell

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Any, Any, Any]:  # type: ignore[override]
        if self.known is None:
            hint = "a section's text has them; \\[ is a bracket"
            self.tell(m[0], "captions, titles and the like have no footnotes", hint)
            return None, None, None
        if m[1] not in self.known:
            hint = near(m[1], self.known) or f"a line [^{m[1]}]: … gives its text; \\[ is a bracket"
            self.tell(m[0], f"no footnote is called {m[1]!r}", hint)
            return None, None, None
        return Element("note", name=m[1]), m.start(), m.end()


class _Reference(ReferenceInlineProcessor):
    """``[text][label]``, told if nothing has the label."""

    RE_LINK = re.compile(r"\[([^\]]*)\]")

    def __init__(self, pattern: str, md: Markdown, tell: Tell, picture: bool = False) -> None:
        super().__init__(pattern, md)
        self.tell, self.picture = tell, picture

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Any, Any, Any]:  # type: ignore[override]
        found = super().handleMatch(m, data)
        if found[0] is None and found[2] is not None:
            label = re.search(r"\[([^\]]*)\]$", data[m.start() : found[2]])
            before = data[m.start() - 1 : m.start()]
            if label and not (before.isalnum() or before in ("]", "_", ")")):
                name = label[1] or data[m.end() : found[2]].partition("]")[0]
                hint = (
                    near(name, self.md.references) or f"a line [{name}]: address gives it; \\[ is a bracket"
                )
                self.tell(f"[{name}]", f"no link is called {name!r}", hint)
        return found

    def makeTag(self, href: str, title: str, text: str) -> Element:
        if not self.picture:
            return super().makeTag(href, title, text)
        return Element(
            "img", {"src": href, "alt": unmarked(self.unescape(text)), **({"title": title} if title else {})}
        )


def engine(words: Callable[[int], str], notes: Collection[str] | None, tell: Tell) -> Markdown:
    """Python-Markdown's inline stage; ``words`` says what a piece is, ``notes`` are the footnotes, None if
    the text can have none.
    """
    md = Markdown()
    md.ESCAPED_CHARS = list(string.punctuation)
    patterns = md.inlinePatterns
    for name in (
        "backtick",
        "html",
        "linebreak",
        "automail",
        "autolink",
        "reference",
        "image_reference",
        "entity",
    ):
        patterns.deregister(name)
    patterns.register(_Pieces(md, words), "piece", 190)
    patterns.register(_Text(r"(?<!\!)\[", md), "link", 160)
    patterns.register(_Picture(r"\!\[", md), "image_link", 150)
    patterns.register(_Note(md, notes, tell), "note", 175)
    patterns.register(_Reference(r"(?<!\!)\[", md, tell), "reference", 170)
    patterns.register(_Reference(r"\!\[", md, tell, picture=True), "image_reference", 140)
    patterns.register(
        _Link(rf"<((?:https?://|mailto:){_ADDRESS}|[^\s<>@:/]+@[^\s<>@:/]+\.[^\s<>@:/]+)>", md), "angled", 120
    )
    patterns.register(_Link(r"<(https?://[^\s<>]*\]\([^\s<>]*)>", md), "address", 178)  # not a link in it
    patterns.register(_Link(rf"({BARE}{_ADDRESS})", md), "bare", 115)
    patterns.register(SubstituteTagInlineProcessor(r"(?:(?<! )[ ]{2,}|\\)\n", "br"), "linebreak", 50)
    patterns.register(_Element(r"(?i)<(br|wbr)[ ]*/?>", md), "empty", 92)
    for level in range(3):  # from the inside out
        pattern = rf"(?i)<({_TAGS})[ ]*>((?:(?!</?(?:{_TAGS})\b).)*)</\1[ ]*>"
        patterns.register(_Element(pattern, md), f"html{level}", 91 - level)
    patterns.register(_Entity(ENTITY, md), "entity", 80)
    patterns.register(Emphasis(r"[*_~]", md), "em_strong", 60)
    return md
