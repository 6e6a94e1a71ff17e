"""What is wrong with the formulas of a text: their TeX, their labels."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from noisebook.cells.names import near
from noisebook.report import tex
from noisebook.report.body import Fault, Span


def math_fault(span: Span, known: tex.Tex | None = None) -> Fault | None:
    """Why the TeX of a span is not math, or None; ``known`` are the macros so far."""
    if not span.value.strip():
        return Fault(span.start, "this formula is empty")
    if (comment := span.value.find("<!--")) >= 0:
        return Fault(
            span.place(comment), "<!-- begins no comment within a formula", "a line of TeX has % for it"
        )
    if entity := re.search("&(lt|gt|le|ge|amp|nbsp|quot|#[0-9]+);", span.value):
        hint = "write the sign itself" if entity[1] not in ("amp", "nbsp") else "write \\& or ~"
        return Fault(span.place(entity.start()), f"{entity[0]} is HTML, and this is a formula", hint)
    if found := (known or tex.Tex()).fault(span.value, span.kind == "display"):
        offset, message, hint = found
        return Fault(span.place(min(offset, len(span.value))), f"in a formula: {message}", hint)
    return None


Macros = Mapping[str, str] | None
"""Macros of a report by their names; None if they cannot be read: no command is unknown then."""


def math_faults(spans: list[Span], macros: Macros, body: bool = True) -> Iterator[Fault]:
    """What is wrong with the formulas of a text, which know ``macros`` and what those before them define.

    Only a section's ``body`` refers to its equations.
    """
    known = tex.Tex(macros)
    for span in spans if macros is not None else ():
        if span.kind in ("math", "display") and (fault := math_fault(span, known)):
            yield fault
    yield from label_faults(spans, body)


_LABEL = re.compile(r"\\(label|eqref|ref)\s*\{([^{}]*)\}")


def label_faults(spans: list[Span], body: bool = True) -> Iterator[Fault]:
    r"""Labels of equations given twice, and ``\eqref`` to labels that the body does not give."""
    uses = [
        (match[1], match[2], span.place(match.start(2)))
        for span in spans
        if span.kind in ("math", "display")
        for match in _LABEL.finditer(span.value)
    ]
    known: set[str] = set()
    for command, label, offset in uses:
        if command == "label":
            if label in known:
                yield Fault(offset, f"the equation label {label!r} is given twice")
            known.add(label)
    for command, label, offset in uses:
        if command != "label" and label not in known and not body:
            yield Fault(offset, "captions, titles and the like cannot refer to equations", "the text can")
        elif command != "label" and label not in known:
            hint = near(label, known) or "\\label{…} within the equation gives one"
            yield Fault(offset, f"no equation here has the label {label!r}", hint)
