"""One section's file: its front matter and body, parsed and checked as far as it alone can tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noisebook.report.body import ALONE, Fault, Span, scan
from noisebook.report.formulas import Macros, math_faults
from noisebook.report.habits import foreign
from noisebook.report.model import Enough, Position, Problem, Problems, quote
from noisebook.report.parse import Document, Loc, parse_yaml, read
from noisebook.report.reader import Source
from noisebook.report.schema import IDENTIFIER, SectionFile
from noisebook.report.texts import fences, read_body
from noisebook.report.validation import validate

RESERVED = (
    "index",
    "404",
    "manifest",
    "references",
    "credits",
    "validation",
    "live",
    "print",
    "deliverables",
)
"""Names that the site needs for itself."""
_BLOCK = re.compile(
    r"\n(?:[ ]*\n\s*(?=\S)|[ ]*(?=(?:[-*+]|1[.)]|#{1,6})[ ]|\|.*\|[ ]*$|```|>[ ]))", re.MULTILINE
)
"""Before what begins a block within a text that is a paragraph."""


@dataclass(slots=True)
class Draft:
    """A section as it was written. Its figures are resolved elsewhere.

    Attributes:
        whole: whether the front matter is YAML. If not, nothing can be said of its figures.
        front: the front matter, if it fits the schema.
        ids: id → place in the front matter of each figure that has an id, be it valid or not.
        spans: math, code and calls of the body, which starts at ``body_start`` of the source.
        unread: how many problems came first, of values that are not YAML as it is read here.
        readable: whether the body can be read to its end, whatever else is wrong with it.
    """

    source: Source
    document: Document
    problems: Problems = field(default_factory=Problems)
    whole: bool = False
    front: SectionFile | None = None
    ids: dict[str, Loc] = field(default_factory=dict)
    body_start: int = 0
    spans: list[Span] = field(default_factory=list)
    unread: int = 0
    readable: bool = False

    @property
    def file(self) -> str:
        return self.source.file

    @property
    def slug(self) -> str:
        return Path(self.file).stem

    @property
    def body(self) -> str:
        return self.source.text[self.body_start :]

    def entries(self) -> Iterator[tuple[Loc, dict[str, Any]]]:
        """Every figure as it was written, in short form or in the list, whether or not it is valid."""
        data = self.document.data
        if "generator" in data:
            yield (), data
        if isinstance(listed := data.get("figures"), list):
            for index, raw in enumerate(listed):
                if isinstance(raw, dict):
                    yield ("figures", index), raw

    def told(self) -> list[Problem]:
        """The problems, but for those of what stands in for a value that could not be read."""
        unread = self.problems[: self.unread]
        places = {problem.position for problem in unread}
        return unread + [each for each in self.problems[self.unread :] if each.position not in places]

    def place(self, offset: int) -> Position:
        """Where an offset of the body stands in the file."""
        return self.source.position(self.body_start + offset)

    def figure_place(self, identifier: str) -> Position:
        """Where a figure says its id, or, in short form, its generator."""
        loc = self.ids[identifier]
        return self.document.value((*loc, "id")) if loc else self.document.key(("generator",))

    def references(self) -> Iterator[tuple[Span, Position]]:
        """Every figure(), ref() and value(), in the body and in captions."""
        for span in self.spans:
            if span.kind in ("figure", "ref", "value"):
                yield span, self.place(span.inner)
        for loc, raw in self.entries():
            if isinstance(caption := raw.get("caption"), str):
                for span in scan(caption)[0]:
                    if span.kind in ("ref", "value"):
                        yield span, self.document.place((*loc, "caption")).of(caption, span.inner)


def section_files(root: Path, problems: list[Problem]) -> Iterator[str]:
    """sections/*.md by name, but for _name.md and .name.md; a name that no page can have is a problem."""
    folder = root / "sections"
    if not folder.is_dir():
        problems.append(Problem(Position("sections"), "there is no folder sections/ beside report.yaml"))
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")) or path.suffix.lower() not in (".md", ".markdown"):
            continue
        file = f"sections/{path.name}"
        where = Position(file)
        if path.suffix != ".md":
            problems.append(Problem(where, f"a section's file ends in .md, not {path.suffix}", "rename it"))
        elif not re.fullmatch(IDENTIFIER, path.stem):
            hint = "rename it: small letters, digits, . - _"
            problems.append(Problem(where, "this name cannot be a page's address", hint))
        elif path.stem in RESERVED:
            problems.append(Problem(where, f"the site itself has a page {path.stem!r}", "rename it"))
        else:
            yield file


def read_section(root: Path, file: str, macros: Macros) -> Draft:
    """A section's file, and everything that can be said of it alone; ``macros`` are those of the report."""
    problems = Problems()
    source = read(root, file, problems)
    draft = Draft(source or Source(file, ""), Document(values={(): Position(file)}), problems)
    if source is None or not (found := fences(source, problems)):
        return draft
    start, end, draft.body_start = found
    with suppress(Enough):
        if document := parse_yaml(source, start, end, problems):
            draft.document, draft.whole, draft.unread = document, True, len(problems)
            draft.front = validate(SectionFile, document.data, document, (), problems)
            _check_front(draft, macros)
        _check_body(draft, macros)
    return draft


def _check_front(draft: Draft, macros: Macros) -> None:
    """Ids, what is read as text, and that the short form and the list exclude each other."""
    document, problems = draft.document, draft.problems
    for loc, raw in draft.entries():
        identifier = raw.get("id") if loc else draft.slug
        if isinstance(identifier, str):
            if identifier in draft.ids:
                hint = f"first on line {document.value((*draft.ids[identifier], 'id')).line}"
                message = f"two figures are called {quote(identifier)}"
                problems.append(Problem(document.value((*loc, "id")), message, hint))
            draft.ids.setdefault(identifier, loc)
    texts = [(key,) for key in ("title", "summary")] + [
        (*loc, key) for loc, _ in draft.entries() for key in ("caption", "alt")
    ]
    for loc in texts:
        check_text(document, loc, macros, problems)
    form = ("generator", "params", "matrix", "caption", "alt", "layout", "chosen", "pending")
    short = next((key for key in form if key in document.data), None)
    if "generator" in document.data and document.data["generator"] is None:
        message, hint = "generator: names nothing", "write a generator's name, or delete the line"
        problems.append(Problem(document.key(("generator",)), message, hint))
    if short and "figures" in document.data:
        message = f"{short!r} belongs to a figure, and this section has a list of figures"
        problems.append(Problem(document.key((short,)), message, "move it into an item of the list"))
    elif short and "generator" not in document.data:
        message = f"{short!r} needs a generator, and this section names none"
        problems.append(Problem(document.key((short,)), message, "add generator: NAME"))


def check_text(document: Document, loc: Loc, macros: Macros, problems: list[Problem]) -> None:
    """Math and calls in a value of some YAML."""
    value: Any = document.data
    for key in loc:
        value = value[key] if isinstance(key, int) else value.get(key)
    if not isinstance(value, str):
        return
    spans, faults = scan(value)
    for span in spans:
        if span.kind in ALONE:
            hint = 'write {{ ref("id") }}'
            faults.append(Fault(span.start, f"a {loc[-1]} cannot hold a figure or a piece of code", hint))
    if found := _BLOCK.search(value):
        hint = "take the empty line out, or write it in the section's text"
        faults.append(Fault(found.end(), f"a {loc[-1]} is one paragraph, without lists and tables", hint))
    place = document.place(loc)
    if loc in document.comments:
        hint = "put quotes around the text, or a space after the #"
        problems.append(
            Problem(document.comments[loc], "what follows is a comment in YAML, and not shown", hint)
        )
    for fault in [*faults, *math_faults(spans, macros, body=False), *foreign(value, spans)]:
        problems.append(Problem(place.of(value, fault.offset), fault.message, fault.hint))


def _check_body(draft: Draft, macros: Macros) -> None:
    """Calls, math and code of the body."""
    draft.spans, draft.readable = read_body(draft.body, draft.place, macros, draft.problems)
    if draft.whole and not draft.body.strip() and not any(draft.entries()):
        message = "this section has neither text nor a figure"
        draft.problems.append(Problem(Position(draft.file), message, "write some, or add generator: NAME"))
