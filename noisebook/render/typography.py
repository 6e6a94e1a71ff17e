"""Quotes, dashes and dots as they are printed."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element

from markdown.util import AtomicString

_MARKS = re.compile(r"-{2,}|\.\.\.|[\"']")
_VERBATIM = ("code", "pre", "kbd", "samp", "var", "piece", "note", "img", "input")
_OPENS = " \t\n\N{NO-BREAK SPACE}([{<«“‘—–-/"


def smarten(element: Element) -> None:
    """Print a block's text as SmartyPants does; code is left alone, and the hyphens of ``--option``."""
    _inside(element, "")


def _inside(element: Element, before: str) -> str:
    """``before`` is the character that stands before the element; the one that it ends with is given back."""
    if element.tag in _VERBATIM or isinstance(element.text, AtomicString):
        return "x"
    if element.text:
        element.text = printed(element.text, before)
        before = element.text[-1]
    elif element.tag == "br":
        before = "\n"
    for child in element:
        before = _inside(child, before)
        if child.tail:
            child.tail = printed(child.tail, before)
            before = child.tail[-1]
    return before


def printed(words: str, before: str) -> str:
    """Words as they are printed after the character ``before``, or at a beginning."""
    opened = -1
    """Where a quotation mark ended that opens: one within it opens as well, and a hyphen there is no dash."""

    def mark(match: re.Match[str]) -> str:
        sign, start, end = match[0], match.start(), match.end()
        nonlocal opened
        last = "(" if opened == start else words[start - 1] if start else before
        following = words[end : end + 1]
        if sign[0] == "-":
            option = (
                len(sign) == 2
                and following.isalpha()
                and not (last and (last.isalnum() or last in "\"')]}”’"))
            )
            return sign if option or len(sign) > 3 else "—" if len(sign) == 3 else "–"
        if sign == "...":
            return "…"
        opens = not last or last in _OPENS
        opened = end if opens else -1
        if sign == '"':
            return "“" if opens else "”"
        return "‘" if opens and following and not (following.isspace() or following.isdigit()) else "’"

    return _MARKS.sub(mark, words)
