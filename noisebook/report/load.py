"""From a report's folder to a :class:`Report`, or to everything that is wrong with it."""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from noisebook.cells.contract import Cell, InputFile, Labelled, Params, canonical
from noisebook.cells.registry import Generator, GeneratorError, Registry, UnknownGenerator, origin, suggest
from noisebook.report.body import Fault, Span, label_faults, math_fault, scan
from noisebook.report.files import InputFiles
from noisebook.report.matrix import combinations, combine
from noisebook.report.model import BadInput, Figure, Position, Problem, Report, Section, quote, shorten
from noisebook.report.reader import BadFile, Source, inside
from noisebook.report.schema import IDENTIFIER, ReportFile, SectionFile, input_files, validate
from noisebook.report.source import Document, Loc, parse_yaml, read

RESERVED = ("index", "404", "manifest", "references", "credits", "validation", "live")
"""Names that the site needs for itself."""

COMBINATIONS = 100_000
"""The most that one figure's matrix may have."""
MATRIX_PROBLEMS = 20
"""After so many, a matrix is not looked at further."""

_FENCE = re.compile(r"^---[ \t]*$", re.MULTILINE)
_CELL = re.compile(r"[A-Za-z0-9._=-]{1,80}")


def load_report(
    root: Path, registry: Registry, check_library: Callable[[Path], object] = lambda path: None
) -> Report:
    """Read report.yaml and sections/; raises :class:`BadInput` with the problems of all files.

    ``root`` is the folder that holds report.yaml. Figures get the cells that their generators name.
    ``check_library`` raises ValueError, a line for each fault, if a folder is no library of pictures.
    """
    problems: list[Problem] = []
    files = InputFiles(root)
    config, config_document = _read_config(root, files, check_library, problems)
    drafts = [_Draft(root, path) for path in _section_files(root, problems)]
    for draft in drafts:
        draft.read(registry, files)
    _check_together(drafts, config, problems)
    order = _order(drafts, config, config_document, problems)
    files.save()
    problems.extend(problem for draft in drafts for problem in draft.problems)
    if problems or config is None:
        raise BadInput(list(dict.fromkeys(problems)))
    return Report(
        root=root,
        title=config.title,
        seed=config.seed,
        model=config.model,
        sections=tuple(draft.section() for draft in order),
        subtitle=config.subtitle,
        authors=config.authors,
        description=config.description,
        language=config.language,
        base_url=config.base_url,
        library=config.library or "",
        store=config.store,
        parts=config.parts,
        macros={name.removeprefix("\\"): tex for name, tex in config.macros.items()},
        minutes_limit=config.minutes_limit,
        key_policy=config.key_policy,
        extra={
            "repository": config.repository,
            "licence": config.licence,
            "bibliography": config.bibliography or "",
        },
    )


def _read_config(
    root: Path, files: InputFiles, check_library: Callable[[Path], object], problems: list[Problem]
) -> tuple[ReportFile | None, Document | None]:
    source = read(root, "report.yaml", problems)
    if source is None:
        return None, None
    document = parse_yaml(source, 0, len(source.text), problems)
    if document is None:
        return None, None
    config = validate(ReportFile, document.data, document, (), problems)
    if config is None:
        return None, document
    _check_files(config, files, document, (), problems)
    if config.library is not None:
        at = document.value(("library",))
        problems.extend(files.check_library(config.library, at, check_library))
        if config.model not in ("exact", "auto"):
            hint = "leave library out, or write model: exact"
            problems.append(Problem(at, f"a library is for the model exact, not for {config.model}", hint))
    if "://" not in config.store:
        try:
            inside(root, config.store, document.value(("store",)))
        except BadFile as bad:
            hint = bad.problem.hint and "a store elsewhere is written as a URL: file:///…"
            problems.append(replace(bad.problem, hint=hint))
    _check_macros(config, document, problems)
    return config, document


def _check_macros(config: ReportFile, document: Document, problems: list[Problem]) -> None:
    """Names of macros are letters, with or without their backslash; their TeX is judged where it is used."""
    seen: set[str] = set()
    for name in config.macros:
        at, plain = document.key(("macros", name)), name.removeprefix("\\")
        if not re.fullmatch("[A-Za-z]{1,40}", plain):
            hint = "a macro's name is letters alone: abar, used as \\abar"
            problems.append(Problem(at, f"{quote(name)} cannot name a macro", hint))
        elif plain in seen:
            problems.append(Problem(at, f"the macro {name!r} is there twice, with and without its backslash"))
        seen.add(plain)


def _section_files(root: Path, problems: list[Problem]) -> Iterator[Path]:
    """sections/*.md by name, but for _name.md and .name.md; a name that no page can have is a problem."""
    folder = root / "sections"
    if not folder.is_dir():
        problems.append(Problem(Position("sections"), "there is no folder sections/ beside report.yaml"))
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(("_", ".")) or path.suffix.lower() not in (".md", ".markdown"):
            continue
        where = Position(f"sections/{path.name}")
        if path.suffix != ".md":
            problems.append(Problem(where, f"a section's file ends in .md, not {path.suffix}", "rename it"))
        elif not re.match(IDENTIFIER, path.stem):
            hint = "rename it: small letters, digits, . - _"
            problems.append(Problem(where, "this name cannot be a page's address", hint))
        elif path.stem in RESERVED:
            problems.append(Problem(where, f"the site itself has a page {path.stem!r}", "rename it"))
        else:
            yield path


@dataclass(slots=True)
class _Draft:
    """A section on its way: what could be read of it, and its problems."""

    root: Path
    path: Path
    file: str = ""
    slug: str = ""
    problems: list[Problem] = field(default_factory=list)
    source: Source | None = None
    document: Document | None = None
    front: SectionFile | None = None
    body_start: int = 0
    spans: list[Span] = field(default_factory=list)
    drawn: dict[Loc, tuple[Generator, Params, tuple[Cell, ...]]] = field(default_factory=dict)
    ids: dict[str, Loc] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.file = f"sections/{self.path.name}"
        self.slug = self.path.stem

    def read(self, registry: Registry, files: InputFiles) -> None:
        """Everything that can be said of this section alone."""
        self.source = source = read(self.root, self.file, self.problems)
        if source is None:
            return
        opening = _FENCE.match(source.text)
        if not opening:
            hint = "begin the file with: ---, title: …, ---, each on a line of its own"
            self.problems.append(Problem(Position(self.file), "the front matter is missing", hint))
            return
        closing = _FENCE.search(source.text, opening.end())
        if not closing:
            hint = "a line --- ends it, before the text"
            self.problems.append(Problem(Position(self.file), "the front matter is never closed", hint))
            return
        self.document = parse_yaml(source, opening.end() + 1, closing.start(), self.problems)
        if self.document:
            unread = list(self.problems)
            self.front = validate(SectionFile, self.document.data, self.document, (), self.problems)
            for loc, raw in self.entries():
                self.read_figure(loc, raw, registry, files)
            self.check_form()
            # A value that could not be read has been told of; what stands in for it is not the author's.
            places = {problem.position for problem in unread}
            self.problems[:] = unread + [
                each for each in self.problems[len(unread) :] if each.position not in places
            ]
        self.body_start = min(closing.end() + 1, len(source.text))
        self.read_body()

    def entries(self) -> Iterator[tuple[Loc, dict[str, Any]]]:
        """Every figure as it was written, in short form or in the list, whether or not it is valid."""
        data = self.document.data if self.document else {}
        if "generator" in data:
            yield (), data
        if isinstance(listed := data.get("figures"), list):
            for index, raw in enumerate(listed):
                if isinstance(raw, dict):
                    yield ("figures", index), raw

    def check_form(self) -> None:
        """The short form and the list exclude each other; the short form needs its generator."""
        assert self.document and self.source
        data = self.document.data
        short = [
            key
            for key in ("generator", "params", "matrix", "caption", "alt", "layout", "pending")
            if key in data
        ]
        if "figures" in data and short:
            message = f"{short[0]!r} belongs to a figure, and this section has a list of figures"
            hint = "move it into an item of the list"
            self.problems.append(Problem(self.document.key((short[0],)), message, hint))
        elif short and "generator" not in data:
            message = f"{short[0]!r} needs a generator, and this section names none"
            hint = "add generator: NAME"
            self.problems.append(Problem(self.document.key((short[0],)), message, hint))

    def read_figure(self, loc: Loc, raw: dict[str, Any], registry: Registry, files: InputFiles) -> None:
        """Find the generator, check its parameters and files, ask it for cells."""
        assert self.document
        document, problems = self.document, self.problems
        identifier = raw.get("id") if loc else self.slug
        if isinstance(identifier, str):
            if identifier in self.ids:
                first = document.value((*self.ids[identifier], "id")).line
                where = document.value((*loc, "id"))
                problems.append(
                    Problem(
                        where, f"two figures are called {shorten(identifier)!r}", f"first on line {first}"
                    )
                )
            self.ids.setdefault(identifier, loc)
        self.check_text((*loc, "caption"), raw.get("caption"))
        name = raw.get("generator")
        params = raw.get("params") or {}
        if not isinstance(name, str) or not isinstance(params, dict):
            return
        try:
            generator = registry.get(name)
        except UnknownGenerator as error:
            problems.append(Problem(document.value((*loc, "generator")), error.message, error.hint))
            return
        except GeneratorError as error:
            problems.append(Problem(self.code(error.path, error.line), error.message, error.hint))
            return
        matrix = raw.get("matrix")
        if not matrix or not isinstance(matrix, dict):
            drawn = self.read_params(loc, generator, params, document, files)
        else:
            drawn = self.read_matrix(loc, generator, params, matrix, files)
        if drawn:
            self.drawn[loc] = (generator, *drawn)

    def read_params(
        self, loc: Loc, generator: Generator, params: dict[str, Any], document: Document, files: InputFiles
    ) -> tuple[Params, tuple[Cell, ...]] | None:
        """Check one set of parameters and its files, and ask for its cells."""
        problems, at = self.problems, (*loc, "params")
        checked = self.ask(
            generator,
            "Params",
            lambda: validate(generator.Params, params, document, at, problems, "parameters"),
        )
        if checked is None:  # the files that can be told from what was written are checked all the same
            known = generator.Params.model_fields
            written = {key: value for key, value in params.items() if key in known}
            _check_files(generator.Params.model_construct(**written), files, document, at, problems)
            return None
        if not _check_files(checked, files, document, at, problems):
            return None
        before = len(problems)
        if generator.check:
            complaints = self.ask(generator, "check()", lambda: list(generator.check(checked, files)))  # type: ignore[misc]
            for complaint in complaints or ():
                problems.append(Problem(document.value((*at, *complaint.loc)), complaint.message))
        if len(problems) > before:
            return None
        cells = self.ask(generator, "cells()", lambda: _checked_cells(generator.cells(checked)))
        if cells is None:
            return None
        for path in sorted({path for cell in cells for path in cell.inputs.values()}):
            try:
                files.check(path, InputFile(), document.value(at))
            except BadFile as bad:
                problems.append(bad.problem)
        return checked, cells

    def read_matrix(
        self,
        loc: Loc,
        generator: Generator,
        params: dict[str, Any],
        matrix: dict[str, Any],
        files: InputFiles,
    ) -> tuple[Params, tuple[Cell, ...]] | None:
        """The cells of every combination, in order; the last parameter changes fastest."""
        assert self.document
        document, problems, at = self.document, self.problems, (*loc, "params")
        before = len(problems)
        for name in matrix.keys() & params.keys():
            where = document.key((*loc, "matrix", name))
            problems.append(Problem(where, f"{name!r} is both in params and in matrix", "keep one of them"))
        if not all(isinstance(values, list) and values for values in matrix.values()):
            return None  # the schema tells of it
        if (count := combinations(matrix)) > COMBINATIONS:
            message = f"the matrix has {count} combinations, more than {COMBINATIONS}"
            problems.append(Problem(document.key((*loc, "matrix")), message, "make several figures of it"))
        seeds = "seed" in matrix and "seed" not in generator.Params.model_fields
        for index, seed in enumerate(matrix["seed"] if seeds else ()):
            if type(seed) is not int or not 0 <= seed < 2**63:
                where = document.value((*loc, "matrix", "seed", index))
                problems.append(Problem(where, f"expected a whole number of at least 0, found {seed!r}"))
        if len(problems) > before:
            return None
        first: Params | None = None
        cells: list[Cell] = []
        for combination in combine(matrix):
            places = {
                (*at, name): document.value((*loc, "matrix", name, index))
                for name, index in combination.indices.items()
            }
            here = Document(document.data, document.keys, ChainMap(places, document.values))
            values = dict(combination.values)
            seed = values.pop("seed") if seeds else None
            drawn = self.read_params(loc, generator, {**params, **values}, here, files)
            if drawn is None:
                if len(problems) > before + MATRIX_PROBLEMS:
                    break
                continue
            first = first or drawn[0]
            cells.extend(combination.mark(cell, seed) for cell in drawn[1])
        return (first, tuple(cells)) if first and len(problems) == before else None

    def ask(self, generator: Generator, function: str, call: Callable[[], Any]) -> Any:
        """What a generator's function answers; its exceptions are problems of the generator's file."""
        try:
            return call()
        except (Exception, SystemExit) as error:
            path, line = origin(error, generator.path)
            message = f"{function} of generator {generator.name!r} failed: {type(error).__name__}: {error}"
            self.problems.append(
                Problem(self.code(path, line), shorten(message, 300), f"asked by {self.file}")
            )
            return None

    def code(self, path: Path | None, line: int) -> Position:
        """A place in a generator's file, relative to the report where it belongs to it."""
        if path is None:
            return Position(self.file)
        if path.is_relative_to(self.root):
            return Position(path.relative_to(self.root).as_posix(), line)
        return Position(str(path), line)

    def check_text(self, loc: Loc, text: Any) -> None:
        """Math and references in a value of the front matter, told at the value's beginning."""
        if not isinstance(text, str) or not self.document:
            return
        spans, faults = scan(text)
        for fault in [*faults, *_math_faults(spans)]:
            self.problems.append(Problem(self.document.value(loc), fault.message, fault.hint))
        for span in spans:
            if span.kind == "figure":
                message, hint = "a caption cannot hold a figure", 'write {{ ref("id") }}'
                self.problems.append(Problem(self.document.value(loc), message, hint))

    def read_body(self) -> None:
        """Calls, math and code of the body."""
        assert self.source
        body = self.source.text[self.body_start :]
        self.spans, faults = scan(body)
        for fault in [*faults, *_math_faults(self.spans)]:
            self.fault(fault.offset, fault.message, fault.hint)
        placed: dict[str, int] = {}
        for span in self.spans:
            if span.kind == "figure":
                if span.value in placed:
                    first = self.place(placed[span.value]).line
                    self.fault(
                        span.start, f"the figure {span.value!r} is placed twice", f"first on line {first}"
                    )
                placed.setdefault(span.value, span.start)
        if self.document and not body.strip() and not any(self.entries()):
            message = "this section has neither text nor a figure"
            self.problems.append(Problem(Position(self.file), message, "write some, or add generator: NAME"))

    def place(self, offset: int) -> Position:
        """Where an offset of the body stands in the file."""
        assert self.source
        return self.source.position(self.body_start + offset)

    def fault(self, offset: int, message: str, hint: str = "") -> None:
        """Add a problem at an offset of the body."""
        self.problems.append(Problem(self.place(offset), message, hint))

    def references(self) -> Iterator[tuple[Span, Position]]:
        """Every figure() and ref(), in the body and in captions."""
        for span in self.spans:
            if span.kind in ("figure", "ref"):
                yield span, self.place(span.inner)
        for loc, raw in self.entries():
            if self.document and isinstance(caption := raw.get("caption"), str):
                for span in scan(caption)[0]:
                    if span.kind == "ref":
                        yield span, self.document.value((*loc, "caption"))

    def section(self) -> Section:
        """The finished section, once there are no problems."""
        assert self.front and self.source and self.document
        figures = []
        for identifier, loc in self.ids.items():
            generator, params, cells = self.drawn[loc]
            entry = self.front.figures[int(loc[1])] if loc and self.front.figures else self.front
            figures.append(
                Figure(
                    id=identifier,
                    generator=generator.name,
                    params=params,
                    cells=cells,
                    position=self.document.value((*loc, "id")) if loc else self.document.key(("generator",)),
                    caption=entry.caption,
                    alt=entry.alt,
                    layout=entry.layout.model_dump(exclude_unset=True),
                    matrix=entry.matrix or {},
                    pending=entry.pending,
                )
            )
        return Section(
            path=self.file,
            slug=self.slug,
            title=self.front.title,
            part=self.front.part,
            number=self.front.number,
            summary=self.front.summary,
            body=self.source.text[self.body_start :],
            body_line=self.place(0).line,
            figures=tuple(figures),
        )


def _math_faults(spans: list[Span]) -> Iterator[Fault]:
    for span in spans:
        if span.kind in ("math", "display") and (fault := math_fault(span)):
            yield fault
    yield from label_faults(spans)


def _check_files(
    params: Any, files: InputFiles, document: Document, at: Loc, problems: list[Problem]
) -> bool:
    """Whether all files that validated values name are there and whole."""
    good = True
    for loc, name, kind in input_files(params):
        try:
            files.check(name, kind, document.value((*at, *loc)))
        except BadFile as bad:
            problems.append(bad.problem)
            good = False
    return good


def _checked_cells(cells: Any) -> tuple[Cell, ...]:
    """Cells as the contract wants them; raises ValueError."""
    result = tuple(cells)
    if not result:
        raise ValueError("it names no cell")
    seen: set[str] = set()
    for cell in result:
        if not isinstance(cell, Cell):
            raise ValueError(f"expected Cells, found {type(cell).__name__}")
        if not isinstance(cell.id, str) or not _CELL.fullmatch(cell.id):
            raise ValueError(f"the cell id {cell.id!r} is not made of letters, digits, . = - and _")
        if cell.id in seen:
            raise ValueError(f"two cells have the id {cell.id!r}")
        seen.add(cell.id)
        if not isinstance(cell.label, str) or not isinstance(cell.alt, str):
            raise ValueError(f"label and alt of the cell {cell.id!r} are not both text")
        shown = [each.output for each in cell.pictures if isinstance(each, Labelled)]
        if len(set(shown)) != len(cell.pictures):
            raise ValueError(
                f"the pictures of the cell {cell.id!r} are not Labelled outputs, each named once"
            )
        canonical(dict(cell.params))
    return result


def _check_together(drafts: list[_Draft], config: ReportFile | None, problems: list[Problem]) -> None:
    """What no section can know alone: parts, numbers, unique ids, references."""
    slugs = {draft.slug for draft in drafts}
    owners: dict[str, _Draft] = {}
    numbers: dict[str, _Draft] = {}
    for draft in drafts:
        document, front = draft.document, draft.front
        for identifier, loc in draft.ids.items():
            assert document
            where = document.value((*loc, "id")) if loc else document.key(("generator",))
            if identifier in owners:
                other = owners[identifier].file
                hint = f"the other one is in {other}"
                problems.append(Problem(where, f"two figures are called {shorten(identifier)!r}", hint))
            elif identifier != draft.slug and identifier in slugs:
                message = f"the figure {shorten(identifier)!r} is called like a section"
                problems.append(Problem(where, message, "references could mean either: rename the figure"))
            owners.setdefault(identifier, draft)
        if document and front and config and front.part and front.part not in config.parts:
            hint = suggest(front.part, tuple(config.parts), "parts (in report.yaml)")
            problems.append(Problem(document.value(("part",)), f"unknown part {front.part!r}", hint))
        if document and front and front.number:
            if front.number in numbers:
                hint = f"the other one is {numbers[front.number].file}"
                message = f"two sections have the number {front.number!r}"
                problems.append(Problem(document.value(("number",)), message, hint))
            numbers.setdefault(front.number, draft)
    everything_read = all(draft.document for draft in drafts)
    for draft in drafts:
        for span, where in draft.references():
            if span.kind == "figure" and draft.document and span.value not in draft.ids:
                message = f"this section has no figure {span.value!r}"
                if span.value in owners:
                    hint = f'{owners[span.value].file} has: {{{{ ref("{span.value}") }}}} refers to it'
                else:
                    hint = suggest(span.value, tuple(draft.ids), "figures")
                problems.append(Problem(where, message, hint))
            elif (
                span.kind == "ref"
                and everything_read
                and span.value not in owners
                and span.value not in slugs
            ):
                hint = suggest(span.value, (*owners, *sorted(slugs - owners.keys())), "figures and sections")
                problems.append(Problem(where, f"no figure or section is called {span.value!r}", hint))


def _order(
    drafts: list[_Draft], config: ReportFile | None, document: Document | None, problems: list[Problem]
) -> list[_Draft]:
    """Sections as report.yaml lists them, then the others by name."""
    rest = {draft.slug: draft for draft in drafts}
    ordered: list[_Draft] = []
    for index, name in enumerate(config.sections if config else ()):
        assert document
        where = document.value(("sections", index))
        if name in rest:
            ordered.append(rest.pop(name))
        elif any(draft.slug == name for draft in ordered):
            problems.append(Problem(where, f"the section {name!r} is listed twice"))
        else:
            hint = suggest(name, tuple(draft.slug for draft in drafts), "sections")
            problems.append(Problem(where, f"there is no file sections/{name}.md", hint))
    return [*ordered, *rest.values()]
