"""What an author wrote, once it has been read and checked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisebook.cells.contract import Cell, Json, Params


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file: line and column count from 1, columns in characters."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        file = self.file if self.file.isprintable() else repr(self.file)  # a terminal obeys its escapes
        return f"{file}:{self.line}:{self.column}"

    def of(self, text: str, offset: int) -> Position:
        """Where a character of a text stands of which no more is known than this."""
        return self


_BEFORE = re.compile(r"(?:[&!]\S*\s+)*(?:[|>][^\n]*\n|['\"])?")
"""What stands before the first sign of a value in YAML."""
_SIGNS = {
    '"': re.compile(r"\\(?:x(?P<x>.{2})|u(?P<u>.{4})|U(?P<U>.{8})|(?P<space>[ \t\nnrtvfNLP_])|.)|\S"),
    "'": re.compile(r"''|\S"),
    "": re.compile(r"\S"),
}
"""Signs, as the kinds of quotes have them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands as the value of a key, and each of its characters: ``raw`` is how YAML has it."""

    position: Position
    raw: str = field(repr=False)

    def of(self, text: str, offset: int) -> Position:
        """Where a character of the text stands, whose spaces and ends of lines may be others here."""
        before = _BEFORE.match(self.raw)
        start = before.end() if before else 0
        quotes = self.raw[start - 1 : start]
        signs = _SIGNS.get(quotes, _SIGNS[""]).finditer(self.raw, start)
        wanted = sum(not sign.isspace() for sign in text[:offset])
        for sign in signs:
            start = sign.start()
            code = sign[sign.lastgroup] if sign.lastgroup else ""
            if sign.lastgroup == "space" or (code and chr(int(code, 16)).isspace()):
                continue
            if not wanted:
                break
            wanted -= 1
        line_start = self.raw.rfind("\n", 0, start) + 1
        column = start - line_start + (1 if line_start else self.position.column)
        return Position(self.position.file, self.position.line + self.raw.count("\n", 0, start), column)


LONGEST = 400
"""Characters of a message or a hint: whatever an author's value is, what is said of it can be read."""
SHOWN = 40
"""Problems that are shown at once."""


def shorten(text: str, length: int = 60) -> str:
    """At most ``length`` characters of a text."""
    return text if len(text) <= length else text[: length - 1] + "…"


def quote(text: str, length: int = 60) -> str:
    """A text as messages quote it: on one line, and not too long."""
    return repr(shorten(text, length))


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake, told to a person: where, what, what was expected, what to do."""

    position: Position
    message: str
    hint: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", shorten(self.message, LONGEST))
        object.__setattr__(self, "hint", shorten(self.hint, LONGEST))

    def __str__(self) -> str:
        return f"{self.position}: {self.message}" + (f"\n    {self.hint}" if self.hint else "")


class Enough(Exception):
    """There are as many problems as anybody reads: nothing more is looked at."""


class Problems(list[Problem]):
    """Problems as they are found; :class:`Enough` is raised in place of adding one too many."""

    most = 200

    def append(self, problem: Problem) -> None:
        if len(self) >= self.most:
            raise Enough
        super().append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.append(problem)


class BadInput(Exception):
    """All the problems of all files, in one go; ``rest`` is what could be read of a report all the same.

    ``standing`` says what was computed before they were found.
    """

    def __init__(self, problems: list[Problem], rest: Report | None = None) -> None:
        self.problems, self.rest = sorted(problems), rest
        self.standing = "nothing was computed"
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """The first problems as they are shown, and how many there are besides."""
        shown = [str(problem) for problem in self.problems[:SHOWN]]
        more = len(self.problems) - len(shown)
        return [*shown, f"… and {more} more"] if more else shown


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a section.

    ``cells`` are what its generator named for ``params``, in the order in which the page shows them.
    With a ``matrix`` (parameter → values), ``cells`` are those of every combination, and ``params`` the first
    combination's.
    """

    id: str
    generator: str
    params: Params
    cells: tuple[Cell, ...]
    position: Position
    caption: str = ""
    alt: str = ""
    layout: Mapping[str, Json] = field(default_factory=dict)
    matrix: Mapping[str, list[Json]] = field(default_factory=dict)
    chosen: str = ""
    """Of how many samples its own were chosen, and by what: "48 by eye"."""

    sheet: str = ""
    """The picture that has thumbnails of them."""

    pending: str = ""
    """Why it is not computed yet; the page says so in its place."""

    places: Mapping[str, Place] = field(default_factory=dict)
    """Where its caption and alternative text are written, if they are, and parameters: ``params size``."""


@dataclass(frozen=True, slots=True)
class Section:
    """One file of sections/: front matter, and the Markdown body that starts on ``body_line``."""

    path: str
    slug: str
    title: str
    part: str
    number: str
    summary: str
    body: str
    body_line: int
    figures: tuple[Figure, ...]
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where its title and its summary are written, if they are."""


@dataclass(frozen=True, slots=True)
class Deliverable:
    """What is to be handed in, and what it consists of; a section is its text and all its figures."""

    item: str
    figures: tuple[str, ...]
    sections: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """report.yaml and its sections, in reading order.

    ``root`` is the folder that holds report.yaml; every path an author writes is relative to it.
    """

    root: Path
    title: str
    seed: int
    model: str
    sections: tuple[Section, ...]
    subtitle: str = ""
    authors: tuple[str, ...] = ()
    description: str = ""
    language: str = "en"
    base_url: str = ""
    library: str = ""
    embeddings: str = ""
    store: str = "cache"
    push: str = "asked"
    """``auto``: what a build has computed goes to the shared store by itself."""

    parts: Mapping[str, str] = field(default_factory=dict)
    macros: Mapping[str, str] = field(default_factory=dict)
    """TeX macros of every formula: names without their backslash."""
    deliverables: tuple[Deliverable, ...] = ()
    minutes_limit: float = 15.0
    key_policy: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where its title, subtitle, description and the titles of its ``part A`` are written, if they are."""
    unread: tuple[str, ...] = ()
    """Sections that cannot be read, and figures, by name: this report is without them. Also sections whose
    figures are not known, and ``report.yaml``, if it does not say which bibliography there is."""
