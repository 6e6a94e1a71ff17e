"""TeX to MathML, by math-core; nothing that it cannot bear reaches it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from html import unescape
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, fromstring

if TYPE_CHECKING:
    from math_core import LatexToMathML

LONGEST = 10_000
"""Characters of one formula."""
DEEPEST = 60
"""Groups that may stand in one another; browsers stop at some 500 elements, the converter at its stack."""
_DEPTH = re.compile(r"(\\(?:left|begin)\b|(?<!\\)(?:\\\\)*\{)|(\\(?:right|end)\b|(?<!\\)(?:\\\\)*\})")
_TAG = re.compile(r"<(/?)[^>]*?(/?)>")
_ENTITY = re.compile(r"&(?!amp;|lt;|gt;|quot;|apos;|#)[A-Za-z]\w*;")
_RUN = re.compile(r"(?:\\(?:[A-Za-z]+|.)\s*|[\^_']\s*){100}")


@cache
def _converter() -> LatexToMathML:
    from math_core import LatexToMathML

    return LatexToMathML(fancy_error=False)


class NotMath(Exception):
    """Why formulas are not math: their indices, the places in them, the reasons, and what would be."""

    def __init__(self, faults: list[tuple[int, int, str, str]]) -> None:
        super().__init__(faults)
        self.faults = faults


def fault(formula: str, display: bool) -> tuple[int, str, str] | None:
    """Where a formula is not math, why, and what would be; None if it is."""
    from math_core import LatexError

    if bound := _too_much(formula):
        return bound
    try:
        _element(_converter().convert_with_local_state(formula, displaystyle=display))
    except LatexError as error:
        offset, _, message = str(error).partition(": ")
        if not offset.isdecimal():
            offset, message = "0", str(error)
        return int(offset), message, ""
    except RecursionError as error:
        return 0, str(error), ""
    return None


def convert(formulas: Sequence[tuple[str, bool]]) -> list[Element]:
    """The MathML of all formulas of a text, each with whether it is displayed: they refer to one another.

    Raises NotMath.
    """
    from math_core import LatexError

    try:
        if not any(_too_much(formula) for formula, _ in formulas):
            return [_element(markup) for markup in _converter().convert_all(list(formulas))]
    except (LatexError, RecursionError):
        pass
    faults = [(index, found) for index, each in enumerate(formulas) if (found := fault(*each))]
    raise NotMath([(index, *found) for index, found in faults])


def _element(markup: str) -> Element:
    if len(markup) > 20 * DEEPEST:
        depth = 0
        for tag in _TAG.finditer(markup):
            depth += -1 if tag[1] else not tag[2]
            if depth > 3 * DEEPEST:
                raise RecursionError(f"fractions, roots and the like stand more than {DEEPEST} deep")
    return fromstring(_ENTITY.sub(lambda match: unescape(match[0]), markup).replace("\ufe00", ""))


def _too_much(formula: str) -> tuple[int, str, str] | None:
    if len(formula) > LONGEST:
        return 0, f"it has {len(formula)} characters, more than {LONGEST}", "write it as several"
    depth = 0
    for found in _DEPTH.finditer(formula):
        depth += 1 if found[1] else -1
        if depth > DEEPEST:
            return found.start(), f"groups stand more than {DEEPEST} deep in one another", ""
    if run := _RUN.search(formula):
        return run.start(), "a hundred commands follow one another with nothing between them", ""
    return None
