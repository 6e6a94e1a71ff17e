"""What stands in a section's body besides Markdown: math, code, and the two calls.

Math is ``$…$`` within a paragraph and ``$$…$$``; calls are ``{{ figure("id") }}``, on a line of its own, and
``{{ ref("id") }}``. None of them is looked for in code (between backticks, or fenced by ``` or ~~~), and a
backslash takes the meaning from the character after it. As with Pandoc, the first ``$`` has no space after
it, the last none before it and no digit after it; one before a digit that ends nowhere is a price.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from math_core import LatexToMathML

Kind = Literal["code", "math", "display", "figure", "ref"]
CALLS = ("figure", "ref")


@dataclass(frozen=True, slots=True)
class Span:
    """``body[start:end]`` is code, math or a call.

    ``value`` is what stands between the delimiters: TeX (it starts at ``inner``), the code, or the id.
    """

    kind: Kind
    start: int
    end: int
    value: str
    inner: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at an offset of the body."""

    offset: int
    message: str
    hint: str = ""


_TOKEN = re.compile(
    r"""
    (?P<fence>^(?:[ >]|[-*+][ ]|\d{1,3}[.)][ ])*(?P<fencing>`{3,}|~{3,})[^`\n]*$)
  | (?P<escape>\\[^\w\s])
  | (?P<ticks>`+)
  | (?P<display>\$\$)
  | (?P<math>\$(?=[^\s$]))
  | (?P<call>\{\{)
    """,
    re.VERBOSE | re.MULTILINE,
)
_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\(\s*(?:\"([^\"]*)\"|'([^']*)')\s*\)\s*")
_NAME = re.compile(r"\s*([A-Za-z_]\w*)")
_INLINE = re.compile(r"((?:[^\\$`\n]|\\.|\n(?!\s*\n))+?)(?<!\s)\$(?!\d)", re.DOTALL)
_BLANK = re.compile(r"\n[ \t]*(?:\n|\Z)")
_LONGEST = 1000
"""Characters that math within a paragraph, or a call, may have."""


def scan(body: str) -> tuple[list[Span], list[Fault]]:
    """All spans of a body in order, and its faults. The TeX itself is not judged: see :func:`math_fault`."""
    spans: list[Span] = []
    faults: list[Fault] = []
    at = paragraph = 0
    while token := _TOKEN.search(body, at):
        start, inner = token.span()
        at = inner
        if inner > paragraph:
            blank = _BLANK.search(body, inner)
            paragraph = blank.start() if blank else len(body)
        if token["fence"] is not None:
            closing = re.compile(rf"^[ >]*{token['fencing']}[`~]*[ \t]*$", re.MULTILINE).search(body, inner)
            at = closing.end() if closing else len(body)
            spans.append(Span("code", start, at, body[inner:at], inner))
            if not closing:
                faults.append(Fault(token.start("fencing"), "this block of code is never closed"))
        elif token["ticks"]:
            closing = re.compile(rf"(?<!`){token['ticks']}(?!`)").search(body, inner, paragraph)
            if closing:
                at = closing.end()
                spans.append(Span("code", start, at, body[inner : closing.start()], inner))
        elif token["display"]:
            end = body.find("$$", inner)
            at = end + 2 if end >= 0 else len(body)
            if end > paragraph:
                faults.append(Fault(start, "this formula has a blank line in it", "or its $$ has no partner"))
            elif end < 0:
                faults.append(Fault(start, "this formula is never closed", "$$ ends it"))
            else:
                spans.append(Span("display", start, at, body[inner:end], inner))
        elif token["math"]:
            if closing := _INLINE.match(body, inner, min(len(body), inner + _LONGEST)):
                at = closing.end()
                spans.append(Span("math", start, at, closing[1], inner))
            elif not body[inner].isdigit():
                faults.append(Fault(start, "this formula is never closed", "a dollar sign is written \\$"))
        elif token["call"]:
            end = body.find("}}", inner, inner + _LONGEST)
            if end < 0 or "\n" in body[inner:end]:
                faults.append(Fault(start, "{{ is never closed", "}} ends a call, on the same line"))
            else:
                at = end + 2
                call = _call(body, start, inner, end)
                if isinstance(call, Span):
                    spans.append(call)
                else:
                    faults.append(call)
    return spans, faults


def _call(body: str, start: int, inner: int, end: int) -> Span | Fault:
    usage = 'write {{ figure("id") }} or {{ ref("id") }}'
    call = _CALL.fullmatch(body, inner, end)
    name = _NAME.match(body, inner, end)
    if name and name[1] not in CALLS:
        near = difflib.get_close_matches(name[1], CALLS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else usage
        return Fault(name.start(1), f"unknown call {name[1][:40]!r}", hint)
    if not call:
        return Fault(start, "between {{ and }} stands no call", usage)
    kind: Kind = "figure" if call[1] == "figure" else "ref"
    group = 2 if call[2] is not None else 3
    if kind == "figure":
        line_start, line_end = body.rfind("\n", 0, start) + 1, body.find("\n", end)
        around = body[line_start:start] + body[end + 2 : line_end if line_end >= 0 else len(body)]
        if around.strip():
            return Fault(
                start, "a figure stands on a line of its own", 'within a text, {{ ref("id") }} names it'
            )
    return Span(kind, start, end + 2, call[group], call.start(group))


@cache
def converter() -> LatexToMathML:
    """The one TeX converter, as both checking and rendering use it."""
    from math_core import LatexToMathML

    return LatexToMathML(fancy_error=False)


def math_fault(span: Span) -> Fault | None:
    """Why the TeX of a span is not math, or None."""
    from math_core import LatexError

    if not span.value.strip():
        return Fault(span.start, "this formula is empty")
    try:
        converter().convert_with_local_state(span.value, displaystyle=span.kind == "display")
    except LatexError as error:
        offset, _, message = str(error).partition(": ")
        if not offset.isdecimal():
            offset, message = "0", str(error)
        return Fault(span.inner + min(int(offset), len(span.value)), f"in a formula: {message}")
    return None


_LABEL = re.compile(r"\\(label|eqref|ref)\s*\{([^{}]*)\}")


def label_faults(spans: list[Span]) -> Iterator[Fault]:
    r"""Labels of equations given twice, and ``\eqref`` to labels that the body does not give."""
    uses = [
        (match[1], match[2], span.inner + match.start(2))
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
        if command != "label" and label not in known:
            near = difflib.get_close_matches(label, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "\\label{…} within the equation gives one"
            yield Fault(offset, f"no equation here has the label {label!r}", hint)
