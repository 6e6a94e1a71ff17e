"""The text of a section's file: where its body begins, and what is wrong with that as it stands."""

from __future__ import annotations

import re
from collections.abc import Callable

from noisebook.report.body import Span, scan
from noisebook.report.formulas import Macros, math_faults
from noisebook.report.habits import foreign
from noisebook.report.model import Position, Problem, quote
from noisebook.report.reader import Source

_FENCE = re.compile(r"^---[ \t]*$", re.MULTILINE)


def fences(source: Source, problems: list[Problem]) -> tuple[int, int, int] | None:
    """Where the front matter begins and ends, and where the body begins."""
    where = Position(source.file)
    if not (opening := _FENCE.match(source.text)):
        hint = "begin the file with: ---, title: …, ---, each on a line of its own"
        problems.append(Problem(where, "the front matter is missing", hint))
        return None
    if not (closing := _FENCE.search(source.text, opening.end())):
        hint = "a line --- ends it, before the text"
        problems.append(Problem(where, "the front matter is never closed", hint))
        return None
    return opening.end() + 1, closing.start(), min(closing.end() + 1, len(source.text))


def read_body(
    body: str, place: Callable[[int], Position], macros: Macros, problems: list[Problem]
) -> tuple[list[Span], bool]:
    """Calls, math and code of a body, and whether they are all; what is wrong joins ``problems``."""
    spans, faults = scan(body)
    for fault in [*faults, *math_faults(spans, macros), *foreign(body, spans)]:
        problems.append(Problem(place(fault.offset), fault.message, fault.hint))
    placed: dict[str, int] = {}
    for span in spans:
        if span.kind == "figure" and span.start != (first := placed.setdefault(span.value, span.start)):
            message = f"the figure {quote(span.value)} is placed twice"
            hint = f"first on line {place(first).line}"
            problems.append(Problem(place(span.start), message, hint))
    return spans, not any(fault.cuts for fault in faults)
