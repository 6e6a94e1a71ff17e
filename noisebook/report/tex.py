"""TeX to MathML, by math-core; nothing that it cannot bear reaches it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from math_core import LatexToMathML

LONGEST = 10_000
"""Characters of one formula."""
DEEPEST = 60
"""Groups that may stand in one another; browsers stop at some 500 elements, the converter at its stack."""
_DEPTH = re.compile(r"(\\(?:left|begin)\b|(?<!\\)(?:\\\\)*\{)|(\\(?:right|end)\b|(?<!\\)(?:\\\\)*\})")
_RUN = re.compile(r"(?:\\(?:[A-Za-z]+|.)\s*|[\^_']\s*){100}")


@cache
def _converter() -> LatexToMathML:
    from math_core import LatexToMathML

    return LatexToMathML(fancy_error=False)


def fault(formula: str, display: bool) -> tuple[int, str, str] | None:
    """Where a formula is not math, why, and what would be; None if it is."""
    from math_core import LatexError

    if bound := _too_much(formula):
        return bound
    try:
        _converter().convert_with_local_state(formula, displaystyle=display)
    except LatexError as error:
        offset, _, message = str(error).partition(": ")
        if not offset.isdecimal():
            offset, message = "0", str(error)
        return int(offset), message, ""
    return None


def convert(formulas: Sequence[tuple[str, bool]]) -> list[str]:
    """The MathML of all formulas of a text, each with whether it is displayed: they refer to one another."""
    return _converter().convert_all(list(formulas))


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
