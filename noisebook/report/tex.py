"""TeX to MathML: one door for checking and for rendering, with math-core behind it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from noisebook.report import mathml
from noisebook.report.rewrite import Rewriter
from noisebook.report.texnames import ENVIRONMENTS, HINTS, MACROS, known_commands
from noisebook.report.texreader import Known, Wrong, bound, macro

if TYPE_CHECKING:
    from math_core import LatexToMathML


class NotMath(Exception):
    """Why formulas are not math: their indices, the places in them, the reasons, and what would be."""

    def __init__(self, faults: list[tuple[int, int, str, str]]) -> None:
        super().__init__(faults)
        self.faults = faults


class Tex:
    """The formulas of one text, in order: what one defines, the next ones know."""

    def __init__(self, macros: Mapping[str, str] | None = None) -> None:
        given = {**MACROS, **{f"\\{name.lstrip(chr(92))}": body for name, body in (macros or {}).items()}}
        self.known = Known({name: macro(body) for name, body in given.items()})
        self._written: dict[tuple[str, bool], Rewriter] = {}
        """What has been rewritten since the last definition: a text says x_t again and again."""
        self._sound: set[tuple[str, bool]] = set()
        """Those of them that are math."""

    def fault(self, formula: str, display: bool) -> tuple[int, str, str] | None:
        """Where a formula is not math, why, and what would be; None if it is."""
        from math_core import LatexError

        if (formula, display) in self._sound:
            return None
        written: Rewriter | None = None
        try:
            written = self._rewrite(formula, display)
            mathml.read(
                _converter().convert_with_local_state(written.tex, displaystyle=display), written.marks
            )
        except Wrong as error:
            return error.place, error.message, error.hint
        except LatexError as error:
            offset, _, message = str(error).partition(": ")
            if not offset.isdecimal():
                offset, message = "0", str(error)
            place = written.place(int(offset)) if written else 0
            used = re.compile(r"\\[A-Za-z]+").match(formula, place)
            if used and used[0] in self.known.macros and used[0] not in MACROS:
                message = f"{message.rstrip('.')}, in the macro {used[0]}"
            return place, message, _hint(message)
        except mathml.TooDeep as error:
            return 0, str(error), ""
        if (formula, display) in self._written:
            self._sound.add((formula, display))
        return None

    def convert(self, formulas: Sequence[tuple[str, bool]]) -> list[Element]:
        """The MathML of all formulas of a text, each with whether it is displayed: they refer to one another.

        Raises NotMath.
        """
        from math_core import LatexError

        before = dict(self.known.macros)
        try:
            written = [self._rewrite(*formula) for formula in formulas]
            found = _converter().convert_all(
                [(each.tex, display) for each, (_, display) in zip(written, formulas, strict=True)]
            )
            return [mathml.read(markup, each.marks) for markup, each in zip(found, written, strict=True)]
        except (LatexError, Wrong, mathml.TooDeep):
            self.known.macros = before
            self._forget()
        faults = [(index, found) for index, each in enumerate(formulas) if (found := self.fault(*each))]
        raise NotMath([(index, *found) for index, found in faults])

    def _rewrite(self, formula: str, display: bool) -> Rewriter:
        if found := self._written.get((formula, display)):
            return found
        bound(formula)
        before = dict(self.known.macros), dict(self.known.colours)
        try:
            written = Rewriter(self.known, formula, display)
            bound(written.tex, written.place)
        finally:
            if defines := before != (self.known.macros, self.known.colours):
                self._forget()
        if not defines:
            self._written[formula, display] = written
        return written

    def _forget(self) -> None:
        self._written.clear()
        self._sound.clear()


@cache
def _converter() -> LatexToMathML:
    from math_core import LatexToMathML

    return LatexToMathML(fancy_error=False, allow_unreliable_rendering=True)


def _hint(message: str) -> str:
    """What to write in place of what the converter does not know."""
    unknown = re.search(r'Unknown (command|environment) "([^"]+)"', message)
    if not unknown:
        return HINTS.get(message.partition(",")[0], "")
    if hint := HINTS.get(unknown[2].rstrip("*")):
        return hint
    names = known_commands() if unknown[1] == "command" else tuple(ENVIRONMENTS)
    near = difflib.get_close_matches(unknown[2], names, n=1, cutoff=0.7)
    if near:
        return f"did you mean {near[0]}?"
    return "your own commands stand under macros: in report.yaml" if unknown[1] == "command" else ""
