"""Reading a text file, and YAML in it, so that everything keeps its place."""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from noisebook.report.model import Place, Position, Problem, shorten
from noisebook.report.reader import CONTROL, BadFile, Source, read_text

DEEPEST = 20
"""Lists in lists (or mappings) that YAML may nest."""
MOST = 50_000
"""Values that the YAML of one file may hold."""

Loc = tuple[str | int, ...]

_SURROGATE = re.compile("[\ud800-\udfff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times faster


def read(root: Path, file: str, problems: list[Problem]) -> Source | None:
    """The text of a file, which must not be empty, or None and what is wrong with it."""
    try:
        text = read_text(root, file)
    except BadFile as bad:
        problems.append(bad.problem)
        return None
    if not text.strip():
        problems.append(Problem(Position(file), "the file is empty"))
        return None
    return Source(file, text)


@dataclass(slots=True)
class Document:
    """A YAML mapping as Python values, and where each of them stands.

    ``keys`` and ``values`` map the path of a value to its key's and its own position, ``texts`` that of a
    text to how the file has it; ``comments`` are where one begins that may be meant as text.
    """

    data: dict[str, Any] = field(default_factory=dict)
    keys: dict[Loc, Position] = field(default_factory=dict)
    values: MutableMapping[Loc, Position] = field(default_factory=dict)
    texts: dict[Loc, str] = field(default_factory=dict)
    comments: dict[Loc, Position] = field(default_factory=dict)

    def key(self, loc: Loc) -> Position:
        """Where the key of a value stands, else the nearest thing that contains it."""
        return self.keys.get(loc) or self.value(loc)

    def value(self, loc: Loc) -> Position:
        """Where a value stands, else the nearest thing that contains it."""
        while loc not in self.values:
            loc = loc[:-1]
        return self.values[loc]

    def place(self, loc: Loc) -> Place:
        """Where a text stands, and each of its characters."""
        return Place(self.value(loc), self.texts.get(loc, ""))


def parse_yaml(source: Source, start: int, end: int, problems: list[Problem]) -> Document | None:
    """The YAML mapping in ``source.text[start:end]``, or None if it is not even YAML.

    Plain values are read by the core schema of YAML 1.2: ``1e-4`` is a number, ``no`` and ``2024-01-01`` are
    text. Aliases, tags, keys written twice and deep nesting are problems.
    """
    reader = _Reader(source, start, problems)
    try:
        data = reader.read(yaml.parse(source.text[start:end], Loader=_LOADER))
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = source.position(min(start + mark.index, end) if mark else start)
        if tab := _indenting_tab(source, position):
            problems.append(Problem(tab, "a tab cannot indent YAML", "use spaces"))
        else:
            said = " ".join(filter(None, (error.context, error.problem)))
            hint = next((hint for words, hint in _HINTS.items() if words in said), "")
            above, line = ["", *source.text.split("\n")][position.line - 1 : position.line + 1]
            deeper = len(line) - len(line.lstrip(" ")) > len(above) - len(above.lstrip(" -"))
            if (
                "mapping values" in said
                and line.find(":") == position.column - 1
                and deeper
                and ": " in above
            ):
                hint = "this line is indented deeper than the one above: begin both in one column"
            if (begins := _SIGN.match(line)) and hint in ("", _HINTS[_NO_KEY]):
                hint = f"a text that begins with {begins[1]} wants quotes around all of it"
            problems.append(Problem(position, f"this is not YAML: {said}", hint))
        return None
    except yaml.YAMLError as error:  # the reader's, which has no mark
        problems.append(Problem(source.position(start), f"this is not YAML: {error}"))
        return None
    if not isinstance(data, dict):
        where, hint = reader.document.value(()), "a space follows the colon" if ":" in str(data) else ""
        problems.append(Problem(where, f"expected lines of `key: value`, found {describe(data)}", hint))
        return None
    reader.document.data = data
    return reader.document


def describe(value: object) -> str:
    """A value as messages show it."""
    match value:
        case None:
            return "nothing"
        case str():
            return f"the text {shorten(value)!r}"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {shorten(repr(value))}"
        case list():
            return "a list"
        case _:
            return "a mapping of keys to values"


_SIGN = re.compile(r"[ ]*(?:-[ ]+)?[\w.-]+:[ ]+([]\[{}*&!|>%@`\"'-])(?=.)")
_NO_KEY = "did not find expected key"
_HINTS = {
    "mapping values are not allowed": "a text with a colon in it wants quotes around it",
    "found unknown escape character": "a backslash is kept as it is within 'single quotes'",
    "expected ',' or ']'": "is every bracket closed?",
    "expected ',' or '}'": "is every brace closed?",
    "expected node content": "a value is missing, or a text wants quotes around it",
    "cannot start any token": "a text that begins with this wants quotes around it",
    "found unexpected end of stream": "is every quote and bracket closed?",
    "did not find expected '-'": "is this line indented as those that belong with it?",
    _NO_KEY: "are all lines indented alike, and all quotes closed?",
    "could not find expected ':'": "every line is `key: value`, or indented under one that is",
}


def _indenting_tab(source: Source, position: Position) -> Position | None:
    """The tab that indents this line or the one before, if there is one."""
    lines = source.text.split("\n")
    for number in (position.line, position.line - 1):
        if number >= 1 and (tab := re.match(r" *(\t)", lines[number - 1])):
            return Position(source.file, number, tab.start(1) + 1)
    return None


class _Stop(Exception):
    """Nothing more can be read."""


class _Reader:
    """Plain values from YAML's events: nothing is shared between them, and no type but JSON's can arise."""

    def __init__(self, source: Source, start: int, problems: list[Problem]) -> None:
        self.source, self.start, self.problems = source, start, problems
        self.document = Document(values={(): source.position(start)})

    def place(self, event: Any) -> Position:
        return self.source.position(self.start + event.start_mark.index)

    def raw(self, event: Any) -> str:
        return self.source.text[self.start + event.start_mark.index : self.start + event.end_mark.index]

    def colon(self, key: Any, value: Any) -> bool:
        """Whether anything stands between a key and its value."""
        return bool(value.start_mark.index > key.end_mark.index)

    def comment(self, event: Any) -> Position | None:
        """Where a comment begins right after a text, without a space in it before its words."""
        found = _COMMENT.match(self.source.text, self.start + event.end_mark.index)
        return self.source.position(found.end() - 1) if found else None

    def problem(self, event: Any, message: str, hint: str = "") -> None:
        self.problems.append(Problem(self.place(event), message, hint))

    def read(self, events: Iterator[Any]) -> Any:
        value: Any = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.NodeEvent):
                value = self.node(event, events, ())
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.problem(event, "a second YAML document begins here", "only one is read")
                    raise _Stop
        return value

    def node(self, event: Any, events: Iterator[Any], loc: Loc) -> Any:
        self.document.values[loc] = self.place(event)
        if len(self.document.values) > MOST:
            self.problem(event, f"there are more than {MOST:,} values in this file", "a matrix needs fewer")
            raise _Stop
        if isinstance(event, yaml.AliasEvent):
            self.problem(event, f"the alias *{event.anchor} is not allowed", "write the value out")
            return None
        if event.tag is not None:
            self.problem(event, f"the tag {shorten(event.tag)} is not allowed", "values need no tags here")
        if isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event, loc)
            if isinstance(value, str):
                self.document.texts[loc] = self.raw(event)
                if event.implicit[0] and (comment := self.comment(event)):
                    self.document.comments[loc] = comment
            return value
        if len(loc) >= DEEPEST:
            self.problem(event, f"values are nested more than {DEEPEST} deep")
            raise _Stop
        if isinstance(event, yaml.SequenceStartEvent):
            values: list[Any] = []
            while not isinstance(item := next(events), yaml.SequenceEndEvent):
                values.append(self.node(item, events, (*loc, len(values))))
            return values
        mapping: dict[str, Any] = {}
        while not isinstance(key := next(events), yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                self.problem(
                    key, "expected a name as key", "braces and brackets in a text want quotes around it"
                )
                raise _Stop
            at = (*loc, key.value)
            if key.value in mapping:
                first = self.document.keys[at].line
                self.problem(
                    key, f"the key {shorten(key.value)!r} is written twice", f"first on line {first}"
                )
                self.node(next(events), events, (*loc, "\0again"))
                continue
            self.document.keys[at] = self.place(key)
            item = next(events)
            if key.value and not self.colon(key, item):
                message = f"{shorten(key.value)!r} is a key of its own here, without a value"
                self.problem(key, message, "a text with a comma in it wants quotes around it")
            mapping[key.value] = self.node(item, events, at)
        return mapping

    def scalar(self, event: Any, loc: Loc) -> Any:
        text: str = event.value
        if event.style == '"' and (escape := next(_eaten(self.raw(event), loc[:1] == ("macros",)), None)):
            where = self.source.position(self.start + event.start_mark.index + escape.start())
            hint = f"put 'single quotes' around the text, or write \\{escape[0]}"
            self.problems.append(
                Problem(where, f"YAML reads {escape[0][:2]} in double quotes as a sign of its own", hint)
            )
            return self.raw(event)[1:-1].replace('\\"', '"')  # as it was meant
        if CONTROL.search(text) or _SURROGATE.search(text):
            self.problem(
                event, "a control character has no place in a text", "'single quotes' keep backslashes"
            )
            return ""
        if not event.implicit[0]:  # quoted, or a block of text
            return text
        if text in ("", "~", "null", "Null", "NULL"):
            return None
        if text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return text in ("true", "True", "TRUE")
        if _INTEGER.fullmatch(text):
            return self.integer(event, text)
        if _FLOAT.fullmatch(text):
            value = float(text)
            if value in (float("inf"), float("-inf")) or (not value and re.match("[^eE]*[1-9]", text)):
                self.problem(event, f"the number {shorten(text)} is too {'small' if not value else 'large'}")
                return 0.0
            return value
        if _NOT_FINITE.fullmatch(text):
            self.problem(event, "expected a finite number", "put quotes around it if it is a text")
            return 0.0
        return text

    def integer(self, event: Any, text: str) -> int:
        """A whole number of at most 64 bits, however many zeros it begins with."""
        base = {"0x": 16, "0o": 8}.get(text[:2], 10)
        digits = (text[2:] if base != 10 else text.lstrip("+-")).lstrip("0") or "0"
        if len(digits) > 21 or (number := int(digits, base)) >= 2**63:
            self.problem(event, f"{shorten(text)} is a whole number of more than 64 bits")
            return 0
        return -number if text.startswith("-") else number


def _eaten(raw: str, formula: bool) -> Iterator[re.Match[str]]:
    """Commands of formulas in double quotes that YAML reads as something else: a tab in ``"$\\theta$"``."""
    for found in _ESCAPE.finditer(raw):
        if found[0][1:].isalpha() and (formula or raw.count("$", 0, found.start()) % 2):
            yield found


_ESCAPE = re.compile(r"\\(?:[abefnrtv][A-Za-z]+|.)", re.DOTALL)
_COMMENT = re.compile(r"[ \t]+#(?=\S)")
_INTEGER = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
