r"""What stands in a section's body besides Markdown: math, code, citations, comments, and calls.

Math is ``$…$`` or ``\(…\)`` within a paragraph, ``$$…$$``, ``\[…\]`` or an environment of equations on its
own; calls are ``{{ figure("id") }}`` and ``{{ code("file", "name") }}``, each on a line of its own,
``{{ ref("id") }}`` and ``{{ value("id", "name") }}``. None of them is sought in code (between backticks, or
fenced by ``` or ~~~), comments or addresses, and a backslash takes the meaning from
what follows it. As with Pandoc, the first ``$`` has no space after it, the last none before it and no digit
after it, but for TeX's commands; one before a digit that ends nowhere, or that words follow, is a price.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from noisebook.cells.names import near
from noisebook.report.texnames import ALIKE, DEFINITION, HINTS, INSTEAD

Kind = Literal[
    "code", "fence", "math", "display", "figure", "ref", "value", "source", "cite", "comment", "address"
]
CALLS: dict[str, Kind] = {"figure": "figure", "ref": "ref", "value": "value", "code": "source"}
"""What may stand between braces, and the kind of its span."""
TAB = 4
"""Columns from one stop of tabs to the next."""
OF_TWO: tuple[Kind, ...] = ("value", "source")
"""Calls that say two things."""
ALONE: tuple[Kind, ...] = ("figure", "source")
"""Calls that stand on a line of their own."""


@dataclass(frozen=True, slots=True)
class Span:
    """``body[start:end]`` is code, math, a citation, a comment, the address of a link or a call.

    ``value`` is what stands between the delimiters: TeX (it starts at ``inner``), the code, or the id. What
    marks a quote's lines is no part of it: ``cuts`` says after how many characters how many are left out. A
    ``fence`` is a block of code, which still has those marks.
    ``name`` is the second thing that a call says.
    """

    kind: Kind
    start: int
    end: int
    value: str
    inner: int
    cuts: tuple[tuple[int, int], ...] = ()
    name: str = ""

    def place(self, offset: int) -> int:
        """Where a character of ``value`` stands in the body."""
        return self.inner + offset + sum(width for at, width in self.cuts if at <= offset)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at an offset of the body; ``cuts``: what follows cannot be read before it is mended."""

    offset: int
    message: str
    hint: str = ""
    cuts: bool = False


ANGLED = r"<(?:https?://|mailto:)[^\s<>]+>"
"""A link whose address stands in angle brackets."""
CJK = "[\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff]"
"""Characters of Chinese and Japanese, which stand without spaces between words."""
BARE = rf"(?:(?<![\w/@.\"'=])|(?<={CJK}))(?:https?://|www\.(?=\w))"
"""The beginning of an address that is a link by itself; it ends before a space, as on GitHub."""
_TOKEN = re.compile(
    r"""
    (?P<fence>^(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*(?P<fencing>`{3,}|~{3,})[^`\n]*$)
  | \\begin[ ]?\{(?P<environment>
      (?:equation|align|alignat|flalign|gather|multline|eqnarray|displaymath|math)\*?)\}
  | (?P<eqref>\\(?:eq)?ref\{[^{}\n]+\}|^"""
    + DEFINITION
    + r"""[ ]*$)
  | \\(?P<tex>[A-Za-z]+)\*?(?:\[[^\]\n]*\])?\{
  | (?P<bracket>\\[(\[])
  | (?P<escape>\\[^\w\s])
  | (?P<ticks>`+)
  | (?P<comment><!--)
  | (?P<cite>\[(?=[^\[\]\n]{0,200}@)(?:[^\[\]\n@]{0,200}[\s(-])?@\{?\w[^\[\]]{0,400}\](?!\())
  | (?P<display>\$\$)
  | (?P<math>\$(?=[^\s$]))
  | (?P<call>\{\{)
  | \]\(\s*(?P<target><[^<>\n]*>|(?:\\[^\w\s]|[^\s()<\\]|\((?:\\[^\w\s]|[^\s()\\])*\))+)
      (?=\s*\)|\s+["'(])
  | ^[ >]*\[(?!\^)[^\[\]\n]+\]:[ ]*\n?[ ]*(?P<defined><[^<>\n]*>|[^\s<]\S*)(?=[ ]*(?:\n|\Z|[ ]["'(]))
  | (?P<address>"""
    + ANGLED
    + "|"
    + BARE
    + r"""(?:(?!\]\()[^\s<>|])+)
    """,
    re.VERBOSE | re.MULTILINE,
)
_CALL = re.compile(
    r"""\s*([A-Za-z_]\w*)\s*\(\s*(?:"([^"]*)"|'([^']*)')\s*(?:,\s*(?:"([^"]*)"|'([^']*)')\s*)?\)\s*"""
)
_NAME = re.compile(r"\s*([A-Za-z_]\w*)")
_STEP = re.compile(
    r"\\(?:text[a-z]*|[mhf]box|f?colorbox(?:\[\w+\])?(?:\{[^{}$\\\n`]*\}){1,2})[ ]?"
    r"\{(?:[^{}$\\\n`]|\\.|\$[^$\n{}]*\$)*\}|\\.|\n[ \t]*\n|[^\\$`\n]+|.",
    re.DOTALL,
)
"""A piece of math within a paragraph; the text in it may hold math of its own."""
_BACKTICKED = re.compile(r"`([^`\n]{1,1000})`\$(?!\d)")
"""What follows the first sign of a formula that is written $`…`$, as on GitHub."""
_BLANK = re.compile(r"\n[ \t>]*(?:\n|\Z)")
_QUOTED = re.compile(r"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*")
_BLOCK = re.compile(
    r"\n(?P<marks>[ \t>]*)"
    r"(?P<begins>(?:[-*+]|1[.)]|#{1,6})[ \t]|\||`{3}|~{3}|(?:-+|=+|[*_]{3,})[ \t]*\n)?"
)
"""The beginning of a line, and whether a block begins there, however the one before it ended."""
_WORD = re.compile(r"(?:^|[\s(])[^\W\d_]{2,}(?=[\s,.;:!?)]|$)")
_BEFORE_DIGIT = re.compile(r"[^$\n]*\S\$\d")
_COMMAND = re.compile(r"\\[A-Za-z]")
_SIGNS = re.compile(r"[\\^_{}=<>+|]")
_LONGEST = 1000
"""Characters that math within a paragraph, or a call, may have."""
MOST = 20_000
"""Formulas, pieces of code, citations and calls that a text may have."""


def scan(body: str) -> tuple[list[Span], list[Fault]]:
    """All spans of a body in order, and its faults. The TeX itself is not judged: see :func:`math_fault`."""
    scanner = _Scanner(body)
    scanner.run()
    return scanner.spans, scanner.faults


class _Scanner:
    def __init__(self, body: str) -> None:
        self.body = body
        self.spans: list[Span] = []
        self.faults: list[Fault] = []
        self.paragraph = 0
        """Where the paragraph ends that is looked at."""
        self.price = -1
        self.absent: dict[str, int] = {}
        """Up to where a closing sign has been looked for in vain."""

    def run(self) -> None:
        at = 0
        while token := _TOKEN.search(self.body, at):
            if len(self.spans) >= MOST or len(self.faults) >= MOST:
                message = f"more than {MOST} formulas, pieces of code and the like in one text"
                self._fault(token.start(), message, "make several sections of it", cuts=True)
                return
            kind = token.lastgroup or ""
            kind = "fence" if token["fence"] is not None else kind
            if kind in ("target", "defined", "address"):
                at = self._add("address", *token.span(kind), *token.span(kind))
                continue
            if token.end() > self.paragraph:
                blank = _BLANK.search(self.body, token.end())
                self.paragraph = blank.start() if blank else len(self.body)
            at = getattr(self, f"_{kind}")(token) if kind != "escape" else token.end()

    def _fault(self, offset: int, message: str, hint: str = "", cuts: bool = False) -> None:
        self.faults.append(Fault(offset, message, hint, cuts))

    def _find(self, sign: str, start: int, limit: int) -> int:
        """Where a sign stands next, or -1."""
        found = self.body.find(sign, max(start, self.absent.get(sign, 0)), limit)
        if found < 0:
            self.absent[sign] = max(limit - len(sign) + 1, self.absent.get(sign, 0))
        return found

    def _add(self, kind: Kind, start: int, end: int, inner: int, last: int) -> int:
        """A span whose value is ``body[inner:last]``, without the marks of a quote around it."""
        value = self.body[inner:last]
        cuts: list[tuple[int, int]] = []
        if kind in ("math", "display", "code") and "\n" in value:
            prefix = _QUOTED.match(self.body, self.body.rfind("\n", 0, start) + 1, start)
            if prefix and (depth := prefix[0].count(">")):
                mark = re.compile(rf"(?<=\n)(?:[ ]{{0,3}}>[ ]?){{1,{depth}}}")
                removed = 0
                for found in mark.finditer(value):
                    cuts.append((found.start() - removed, len(found[0])))
                    removed += len(found[0])
                value = mark.sub("", value)
        self.spans.append(Span(kind, start, end, value, inner, tuple(cuts)))
        return end

    def _fence(self, token: re.Match[str]) -> int:
        sign = token["fencing"]
        closing = re.compile(rf"^[ \t>]*{sign}{sign[0]}*[ \t]*$", re.MULTILINE).search(self.body, token.end())
        end = closing.end() if closing else len(self.body)
        if not closing:
            self._fault(
                token.start("fencing"), "this block of code is never closed", f"a line {sign} ends it"
            )
        elif out := self._outside(token, end):
            self._fault(out, "this line leaves the list item that its code stands in", "indent it as its ```")
        elif self.body[token.end("fencing") : token.end()].strip() == "math":
            return self._add("display", token.start("fencing"), end, token.end(), closing.start())
        return self._add("fence", token.start("fencing"), end, token.end(), end)

    def _outside(self, token: re.Match[str], end: int) -> int:
        """Where a line of code that begins beside an item's marker leaves the item; 0 if none does."""
        prefix = self.body[token.start() : token.start("fencing")]
        if not prefix.strip(" \t>"):
            return 0
        width = len(prefix.expandtabs(TAB))
        for line in re.compile(r"^([ \t>]*)(?=[^ \t>\n])", re.MULTILINE).finditer(
            self.body, token.end(), end
        ):
            if len(line[1].expandtabs(TAB)) < width:
                return line.end()
        return 0

    def _environment(self, token: re.Match[str]) -> int:
        start, last = token.start(), f"\\end{{{token['environment']}}}"
        end = self._find(last, token.end(), self.paragraph)
        if end < 0:
            message = f"\\begin{{{token['environment']}}} has no \\end in its paragraph"
            self._fault(start, message, "a formula has no blank line in it")
            return token.end()
        return self._add("display", start, end + len(last), start, end + len(last))

    def _eqref(self, token: re.Match[str]) -> int:
        return self._add("math", *token.span(), *token.span())

    def _tex(self, token: re.Match[str]) -> int:
        name = re.sub(ALIKE, "", token["tex"])
        named = re.compile(r"(\w+)\*?\}").match(self.body, token.end()) if name in ("begin", "end") else None
        hint = HINTS.get(named[1], "") if named else ""
        hint = hint or INSTEAD.get(name, "a formula stands between $ and $")
        self._fault(token.start(), f"\\{token['tex']} is not known in a text", hint)
        return token.end()

    def _bracket(self, token: re.Match[str]) -> int:
        r"""``\(…\)`` and ``\[…\]``: formulas, but for words and numbers, whose brackets are escaped."""
        display = token["bracket"] == "\\["
        start, inner = token.span()
        end = self._find("\\]" if display else "\\)", inner, min(self.paragraph, inner + 10 * _LONGEST))
        value = self.body[inner:end].strip() if end >= 0 else ""
        if not value:
            return inner
        before = self.body[self.body.rfind("\n", 0, start) + 1 : start]
        alone = not before.strip(" >") and self.body[end + 2 : end + 3] in ("", "\n")
        alone = alone or (self.body[inner].isspace() and not _WORD.search(value))
        if (display and not alone and not _SIGNS.search(value)) or (
            _WORD.search(value) and not _SIGNS.search(value)
        ):
            return inner
        return self._add("display" if display else "math", start, end + 2, inner, end)

    def _ticks(self, token: re.Match[str]) -> int:
        start, inner = token.span()
        places = self._runs.get(inner - start, [])
        last = places[index] if (index := bisect_left(places, inner)) < len(places) else self.paragraph
        end = last + inner - start
        if end > self.paragraph or self._blocks(start, end):
            return inner
        return self._add("code", start, end, inner, last)

    def _blocks(self, start: int, end: int) -> bool:
        """Whether a block begins on a line between."""
        before = _QUOTED.match(self.body, self.body.rfind("\n", 0, start) + 1, start)
        outer = before[0].expandtabs(TAB) if before else ""
        row = before is not None and self.body.startswith("|", before.end())
        for line in _BLOCK.finditer(self.body, start, end):
            marks = line["marks"].expandtabs(TAB)
            begins = row if line["begins"] == "|" else line["begins"] and len(marks) < len(outer) + 4
            if begins or marks.count(">") > outer.count(">"):
                return True
        return False

    @cached_property
    def _runs(self) -> dict[int, list[int]]:
        """Where the runs of backticks begin, by their length: found once for all lengths."""
        runs: dict[int, list[int]] = {}
        for run in re.finditer("`+", self.body):
            runs.setdefault(len(run[0]), []).append(run.start())
        return runs

    def _comment(self, token: re.Match[str]) -> int:
        start, inner = token.span()
        end = self.body.find("-->", start + 2)  # <!--> and <!---> are whole
        if end < 0:
            self._fault(start, "this comment is never closed", "--> ends it", cuts=True)
            return len(self.body)
        return self._add("comment", start, end + 3, inner, max(inner, end))

    def _cite(self, token: re.Match[str]) -> int:
        return self._add("cite", *token.span(), token.start() + 1, token.end() - 1)

    def _display(self, token: re.Match[str]) -> int:
        start, inner = token.span()
        end = self.body.find("$$", inner)
        if end > self.paragraph:
            self._fault(start, "this formula has a blank line in it", "or its $$ has no partner")
        elif end < 0:
            self._fault(start, "this formula is never closed", "$$ ends it", cuts=True)
        else:
            self._add("display", start, end + 2, inner, end)
        return end + 2 if end >= 0 else len(self.body)

    def _math(self, token: re.Match[str]) -> int:
        start, inner = token.span()
        body = self.body
        if start == self.price:
            return inner
        if fenced := _BACKTICKED.match(body, inner):
            return self._add("math", start, fenced.end(), *fenced.span(1))
        end = self._end_of_math(inner)
        if end < 0:
            if not body[inner].isdigit():
                message, hint = "this formula is never closed", "a dollar sign is written \\$"
                if _BEFORE_DIGIT.match(body, inner):
                    hint = f"its last $ has no digit after it: write that within the formula; {hint}"
                self._fault(start, message, hint)
            return inner
        value = body[inner:end]
        beside = body[start - 1 : start] + body[end + 1 : end + 2]
        if (value[0].isdigit() or value[0] in ").,;:!?" or any(map(str.isalnum, beside))) and (
            _WORD.search(value) and not _SIGNS.search(value)
        ):
            self.price = end
            return inner
        return self._add("math", start, end + 1, inner, end)

    def _end_of_math(self, inner: int) -> int:
        """Where the dollar sign stands that ends math, or -1."""
        at, limit = inner, min(len(self.body), inner + _LONGEST)
        while at < limit and (step := _STEP.match(self.body, at, limit)):
            if step[0] == "$":
                good = (
                    at > inner
                    and not self.body[at - 1].isspace()
                    and (not self.body[at + 1 : at + 2].isdigit() or _COMMAND.search(self.body, inner, at))
                )
                return at if good else -1
            if step[0] == "`" or (step[0][0] == "\n" and len(step[0]) > 1):
                return -1
            at = step.end()
        return -1

    def _call(self, token: re.Match[str]) -> int:
        start, inner = token.span()
        end = self.body.find("}}", inner, inner + _LONGEST)
        if end < 0 or "\n" in self.body[inner:end]:
            self._fault(start, "{{ is never closed", "}} ends a call, on the same line")
            return inner
        call = _call(self.body, start, inner, end)
        if isinstance(call, Span):
            self.spans.append(call)
        else:
            self.faults.append(call)
        return end + 2


def _call(body: str, start: int, inner: int, end: int) -> Span | Fault:
    usage = (
        'write {{ figure("id") }}, {{ ref("id") }}, {{ value("id", "name") }} or {{ code("file", "name") }}'
    )
    call = _CALL.fullmatch(body, inner, end)
    name = _NAME.match(body, inner, end)
    if name and name[1] not in CALLS:
        return Fault(name.start(1), f"unknown call {name[1][:40]!r}", near(name[1], CALLS) or usage)
    if not call:
        return Fault(start, "between {{ and }} stands no call", usage)
    kind, second = CALLS[call[1]], call[4] if call[4] is not None else call[5]
    if (second is not None) != (kind in OF_TWO):
        return Fault(start, f"{call[1]}() takes {'two texts' if kind in OF_TWO else 'one text'}", usage)
    group = 2 if call[2] is not None else 3
    if kind in ALONE:
        line_start, line_end = body.rfind("\n", 0, start) + 1, body.find("\n", end)
        around = body[line_start:start] + body[end + 2 : line_end if line_end >= 0 else len(body)]
        if around.strip():
            what = "a figure" if kind == "figure" else "a piece of code"
            hint = 'within a text, {{ ref("id") }} names it' if kind == "figure" else ""
            return Fault(start, f"{what} stands on a line of its own", hint)
    return Span(kind, start, end + 2, call[group], call.start(group), (), second or "")
