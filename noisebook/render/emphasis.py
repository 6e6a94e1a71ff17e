"""Emphasis as CommonMark has it: which signs open, which close, and what stands between them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from unicodedata import category
from xml.etree.ElementTree import Element, SubElement

from markdown.inlinepatterns import InlineProcessor
from markdown.util import ETX, STX

from noisebook.render.blocks import TEXT
from noisebook.report.body import CJK

_RUN = re.compile(r"\*+|_+|~+")
_CJK = re.compile(CJK)
_PUNCTUATION = ("P", "S", STX, ETX)
"""Categories of Unicode, and the signs around what was taken out of the text before."""
DEEPEST = 100
"""Marks that may stand in one another."""
_Region = tuple[int, int, int, int, str]
"""Where the opening signs begin and end, where the closing ones do, and the tag of what is between."""


@dataclass(slots=True)
class _Run:
    """``left`` signs from ``start`` on are not paired, of ``length`` in all."""

    order: int
    sign: str
    start: int
    left: int
    length: int
    opens: bool
    closes: bool


class Emphasis(InlineProcessor):
    """All emphasis of a text at once: its signs that are left are no signs.

    Beyond CommonMark, where it pairs nothing, signs also close after a punctuation mark that closes, and open
    before one that opens, whatever stands beyond: in ``**Note:**text``. Punctuation of Chinese and Japanese
    counts as letters do, for no space stands beside it.
    """

    def handleMatch(self, m: re.Match[str], data: str) -> tuple[Element, int, int]:  # type: ignore[override]
        return _tree(data, _regions(data)), 0, len(data)


def unmarked(data: str) -> str:
    """A text without its marks of emphasis."""
    return "".join(_tree(data, _regions(data)).itertext()) if _RUN.search(data) else data


def _regions(data: str) -> list[_Region]:
    """What is emphasised. Regions lie within one another or apart."""
    runs = [
        _Run(order, found[0][0], found.start(), len(found[0]), len(found[0]), *_flanks(data, found))
        for order, found in enumerate(_RUN.finditer(data))
        if found[0][0] != "~" or len(found[0]) == 2
    ]
    regions = _paired(runs)
    marks = sorted(mark for region in regions for mark in ((region[0], 1, region), (region[2], -1, region)))
    within, at = [0], 0
    left = []
    for run in filter(lambda run: run.left, runs):
        while at < len(marks) and marks[at][0] < run.start:
            if marks[at][1] > 0:
                within.append(at + 1)
            else:
                within.pop()
            at += 1
        before, after = data[run.start - 1 : run.start], data[run.start + run.left : run.start + run.left + 1]
        run.closes = run.closes or (run.sign != "_" and _is(before, "Pe", "Pf", "Pi", "Po", ETX))
        run.opens = run.opens or (
            run.sign != "_" and (_is(after, "Ps", "Pi", "Pf", STX) or after in ('"', "'"))
        )
        left.append((within[-1], run))
    for _, group in groupby(sorted(left, key=lambda each: (each[0], each[1].order)), lambda each: each[0]):
        regions += _paired([run for _, run in group])
    return regions


def _paired(runs: list[_Run]) -> list[_Region]:
    """The regions between runs, innermost first: "process emphasis" of CommonMark 0.31."""
    regions: list[_Region] = []
    openers: list[_Run] = []
    bottoms: dict[tuple[str, bool, int], int] = {}
    """Up to which opener none was found for a closer of that kind."""
    for run in runs:
        kind = run.sign, run.opens, run.length % 3
        while run.closes and run.left:
            index = len(openers) - 1
            while index >= 0 and openers[index].order > bottoms.get(kind, -1):
                if openers[index].sign == run.sign and not _apart(openers[index], run):
                    break
                index -= 1
            else:
                bottoms[kind] = openers[-1].order if openers else -1
                break
            del openers[index + 1 :]
            opener = openers[index]
            width = 2 if min(opener.left, run.left) > 1 else 1
            end = opener.start + opener.left
            tag = "del" if run.sign == "~" else "strong" if width == 2 else "em"
            regions.append((end - width, end, run.start, run.start + width, tag))
            opener.left -= width
            run.left -= width
            run.start += width
            if not opener.left:
                openers.pop()
        if run.opens and run.left:
            openers.append(run)
    return regions


def _apart(opener: _Run, closer: _Run) -> bool:
    """The rule of three: ``*a**b*`` is no strong ``b``."""
    both = opener.closes or closer.opens
    return both and (opener.length + closer.length) % 3 == 0 and bool(opener.length % 3 or closer.length % 3)


def _flanks(data: str, run: re.Match[str]) -> tuple[bool, bool]:
    """Whether a run may open, and whether it may close."""
    before, after = data[run.start() - 1 : run.start()], data[run.end() : run.end() + 1]
    east, further = bool(_CJK.match(before)), bool(_CJK.match(after))
    mark = _is(before, *_PUNCTUATION) and not east
    following = _is(after, *_PUNCTUATION) and not further
    left = bool(after.strip()) and (not following or mark or east or not before.strip())
    right = bool(before.strip()) and (not mark or following or further or not after.strip())
    if run[0][0] != "_":
        return left, right
    return left and (mark or not right), right and (following or not left)


def _is(sign: str, *kinds: str) -> bool:
    """Whether a character is one of these, or of these categories."""
    return sign != "" and (sign in kinds or category(sign).startswith(kinds))


def _tree(data: str, regions: list[_Region]) -> Element:
    """The text with its regions as elements; the signs that are left stand as if they were escaped.

    Raises RecursionError.
    """
    marks = [(start, end, tag) for start, end, _, _, tag in regions]
    marks += [(start, end, "") for _, _, start, end, _ in regions]
    path, at = [Element(TEXT)], 0
    for start, end, tag in [*sorted(marks), (len(data), len(data), "")]:
        words = _RUN.sub(lambda run: f"{STX}{ord(run[0][0])}{ETX}" * len(run[0]), data[at:start])
        parent = path[-1]
        if len(parent):
            parent[-1].tail = words
        else:
            parent.text = words
        if tag:
            path.append(SubElement(parent, tag))
            if len(path) > DEEPEST:
                raise RecursionError("emphasis")
        else:
            path.pop()
        at = end
    return parent
