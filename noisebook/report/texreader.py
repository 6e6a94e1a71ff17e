"""The tokens of a formula, and macros.

Every character that reaches the converter knows where it stands in the author's formula.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

LONGEST = 10_000
"""Characters of one formula, before and after macros are expanded."""
DEEPEST = 60
"""Groups that may stand in one another; browsers stop at some 500 elements, the converter at its stack."""
EXPANSIONS = 1000
"""Macros that one formula may expand."""
_DEPTH = re.compile(r"(\\(?:left|begin)\b|(?<!\\)(?:\\\\)*\{)|(\\(?:right|end)\b|(?<!\\)(?:\\\\)*\})")
_RUN = re.compile(r"(?:\\(?:[A-Za-z]+|.)\s*|[\^_']\s*){100}")
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|%[^\n]*\n?|\s+|.", re.DOTALL)

Token = tuple[str, int]


class Wrong(Exception):
    def __init__(self, place: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place, self.message, self.hint = place, message, hint


@dataclass(slots=True)
class Macro:
    """``count`` arguments, the first of which may be left out if it has a ``default``."""

    body: list[Token]
    count: int
    default: list[Token] | None = None


@dataclass(slots=True)
class Known:
    """What the formulas of a text have defined so far."""

    macros: dict[str, Macro]
    colours: dict[str, str] = field(default_factory=dict)


def bound(formula: str, place: Callable[[int], int] = lambda offset: offset) -> None:
    if len(formula) > LONGEST:
        raise Wrong(0, f"it has {len(formula)} characters, more than {LONGEST}", "write it as several")
    depth = 0
    for found in _DEPTH.finditer(formula):
        depth += 1 if found[1] else -1
        if depth > DEEPEST:
            raise Wrong(place(found.start()), f"groups stand more than {DEEPEST} deep in one another")
    if run := _RUN.search(formula):
        message = "a hundred commands follow one another with nothing between them"
        raise Wrong(place(run.start()), message)


def tokens(tex: str, place: int | None = None) -> list[Token]:
    """Commands, characters and spaces, each with where it stands; comments are left out."""
    return [
        (match[0], match.start() if place is None else place)
        for match in _TOKEN.finditer(tex)
        if match[0][0] != "%"
    ]


def _percent(formula: str, at: int, display: bool) -> bool:
    """Whether a sign that begins a comment was meant for itself."""
    before = formula[:at]
    if "\n" in formula[at:]:
        return before[-1:].isdigit()
    return not display or before.rstrip()[-1:].isdigit() or not before[-1:].isspace()


def macro(body: str) -> Macro:
    count = max((int(number) for number in re.findall(r"#([1-9])", body)), default=0)
    return Macro(tokens(body, 0), count)


class Reader:
    """The tokens of one formula, with the macros that it defines and expands."""

    def __init__(self, known: Known, formula: str, display: bool) -> None:
        self.known, self.display, self.formula = known, display, formula
        for found in _TOKEN.finditer(formula) if "%" in formula else ():
            if found[0][0] == "%" and _percent(formula, found.start(), display):
                raise Wrong(
                    found.start(), "% begins a comment, and hides what follows", "\\% is the sign itself"
                )
        self.rest = tokens(formula)[::-1]
        self.out: list[str] = []
        self.offsets: list[int] = []
        self.places: list[int] = []
        self.length = self.expanded = 0
        self.tex = ""

    def place(self, offset: int) -> int:
        """Where in the author's formula a character of ``tex`` comes from."""
        if offset >= len(self.tex):
            return len(self.formula)
        index = bisect.bisect_right(self.offsets, offset) - 1
        return min(self.places[index], len(self.formula)) if 0 <= index < len(self.places) else 0

    # Tokens in and out

    def _emit(self, text: str, place: int) -> None:
        if self.out and re.search(r"\\[A-Za-z]+$", self.out[-1]) and text[:1].isalpha():
            self.out.append(" ")
            self.length += 1
        self.offsets.append(self.length)
        self.places.append(place)
        self.out.append(text)
        self.length += len(text)
        if self.length > LONGEST:
            raise Wrong(place, f"it has more than {LONGEST} characters once its macros are expanded")

    def _push(self, pushed: Sequence[Token], place: int | None = None) -> None:
        self.rest.extend((text, at if place is None else place) for text, at in reversed(pushed))

    def _spaces(self) -> None:
        while self.rest and self.rest[-1][0].isspace():
            self.rest.pop()

    def _peek(self) -> str:
        self._spaces()
        return self.rest[-1][0] if self.rest else ""

    def _argument(self, place: int) -> list[Token]:
        """The next group, without its braces, or the next token."""
        self._spaces()
        if not self.rest or self.rest[-1][0] == "}":
            raise Wrong(place, "an argument is missing")
        first = self.rest.pop()
        if first[0] != "{":
            return [first]
        depth = 1
        found: list[Token] = []
        while self.rest:
            token = self.rest.pop()
            depth += (token[0] == "{") - (token[0] == "}")
            if not depth:
                return found
            found.append(token)
        raise Wrong(first[1], 'Expected closing token "}", but reached end of input.')

    def _optional(self) -> list[Token] | None:
        """What stands in brackets next, or None."""
        if self._peek() != "[":
            return None
        depth = 0
        for index in range(len(self.rest) - 2, -1, -1):
            text = self.rest[index][0]
            depth += (text == "{") - (text == "}")
            if text == "]" and not depth:
                found = self.rest[index + 1 : -1][::-1]
                del self.rest[index:]
                return found
        return None

    def _star(self) -> bool:
        if self.rest and self.rest[-1][0] == "*":
            self.rest.pop()
            return True
        return False

    def _words(self, words: list[Token]) -> str:
        return "".join(text for text, _ in words)

    def _expand(self, name: str, place: int) -> None:
        macro = self.known.macros[name]
        self.expanded += 1
        if self.expanded > EXPANSIONS:
            raise Wrong(place, f"more than {EXPANSIONS} macros are expanded: does {name} name itself?")
        arguments: list[list[Token]] = []
        if macro.default is not None:
            arguments.append(self._optional() or macro.default)
        while len(arguments) < macro.count:
            arguments.append(self._argument(place))
        result: list[Token] = []
        body = iter(macro.body)
        for token in body:
            if (
                token[0] == "#"
                and (number := next(body, ("", 0))[0]).isdigit()
                and 0 < int(number) <= len(arguments)
            ):
                result.extend(arguments[int(number) - 1])
            else:
                result.append((token[0], place))
        if len(result) + len(self.rest) > 4 * LONGEST:
            raise Wrong(place, f"it has more than {LONGEST} characters once its macros are expanded")
        self._push(result)

    def _define(self, place: int) -> None:
        self._star()
        name = self._words(self._argument(place)).strip()
        if not name.startswith("\\"):
            raise Wrong(place, f"{name[:20]!r} cannot be defined", "a macro's name begins with a backslash")
        count = self._words(self._optional() or [])
        default = self._optional() if count else None
        body = self._argument(place)
        self.known.macros[name] = Macro(body, int(count) if count.isdigit() else 0, default)

    _do_newcommand = _do_renewcommand = _do_providecommand = _define

    def _do_def(self, place: int) -> None:
        self._spaces()
        name = self.rest.pop()[0] if self.rest else ""
        count = 0
        while self.rest and self.rest[-1][0] != "{":
            count += self.rest.pop()[0] == "#"
        self.known.macros[name] = Macro(self._argument(place), count)

    def _do_let(self, place: int) -> None:
        name = self._words(self._argument(place))
        if self._peek() == "=":
            self.rest.pop()
        body = self._argument(place)
        self.known.macros[name] = self.known.macros.get(self._words(body)) or Macro(body, 0)

    def _do_DeclareMathOperator(self, place: int) -> None:
        operator = "\\operatorname*{" if self._star() else "\\operatorname{"
        name = self._words(self._argument(place)).strip()
        body = self._argument(place)
        self.known.macros[name] = Macro([*tokens(operator, place), *body, ("}", place)], 0)
