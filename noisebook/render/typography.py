"""Quotes, dashes and dots as they are printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree.ElementTree import Element

from markdown.util import AtomicString

_MARKS = re.compile(r"-{2,}|\.\.\.|[\"']")
_VERBATIM = ("code", "pre", "kbd", "samp", "var", "piece", "note", "img", "input")
_OPENS = " \t\n\N{NO-BREAK SPACE}([{<«“‘„‚—–-/"
_THIN = "\N{NARROW NO-BREAK SPACE}"
_ENGLISH = ("“", "”", "‘", "’")
_GERMAN = ("„", "“", "‚", "‘")
_POLISH = ("„", "”", "«", "»")
_ROMANCE = ("«", "»", "“", "”")
_FRENCH = ("«" + _THIN, _THIN + "»", "“", "”")
_SWISS = ("«", "»", "‹", "›")
_SWEDISH = ("”", "”", "’", "’")
QUOTES = {
    "de": _GERMAN, "cs": _GERMAN, "sk": _GERMAN, "sl": _GERMAN, "da": ("»", "«", "›", "‹"),
    "pl": _POLISH, "ro": _POLISH, "hu": ("„", "”", "»", "«"), "nl": _ENGLISH, "fr": _FRENCH,
    "es": _ROMANCE, "it": _ROMANCE, "pt-pt": _ROMANCE, "el": _ROMANCE, "nb": ("«", "»", "‘", "’"),
    "nn": ("«", "»", "‘", "’"), "no": ("«", "»", "‘", "’"), "ru": ("«", "»", "„", "“"),
    "uk": ("«", "»", "„", "“"), "de-ch": _SWISS, "fr-ch": _SWISS, "it-ch": _SWISS, "de-li": _SWISS,
    "sv": _SWEDISH, "fi": _SWEDISH,
}  # fmt: skip
"""Outer and inner quotation marks of languages and of their regions; others have those of English."""


def smarten(element: Element, language: str = "en") -> None:
    """Print a block's text as SmartyPants does, with the quotation marks of its language.

    Code is left alone, and the hyphens of ``--option``.
    """
    _inside(element, "", quotes(language))


def quotes(language: str) -> Sequence[str]:
    """The quotation marks of a language: outer ones, then inner ones."""
    tag = language.lower()
    return QUOTES.get(tag) or QUOTES.get(tag.partition("-")[0], _ENGLISH)


def _inside(element: Element, before: str, quotes: Sequence[str]) -> str:
    """``before`` is the character that stands before the element; the one that it ends with is given back."""
    if element.tag in _VERBATIM or isinstance(element.text, AtomicString):
        return "x"
    if element.text:
        element.text = printed(element.text, before, quotes)
        before = element.text[-1]
    elif element.tag == "br":
        before = "\n"
    for child in element:
        before = _inside(child, before, quotes)
        if child.tail:
            child.tail = printed(child.tail, before, quotes)
            before = child.tail[-1]
    return before


def printed(words: str, before: str, quotes: Sequence[str] = _ENGLISH) -> str:
    """Words as they are printed after the character ``before``, or at a beginning."""
    opened, within = -1, False
    """Where a quotation mark ended that opens: one within it opens as well, and a hyphen there is no dash."""

    def mark(match: re.Match[str]) -> str:
        sign, start, end = match[0], match.start(), match.end()
        nonlocal opened, within
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
            return quotes[0] if opens else quotes[1]
        if opens and not (following.isspace() or following.isdigit()):
            within = True
            return quotes[2]
        if within and not following.isalnum():
            within = False
            return quotes[3]
        return "’"  # an apostrophe

    return _MARKS.sub(mark, words)
