"""From a report's folder to a :class:`Report`, or to everything that is wrong with it.

``parse`` reads YAML with its places, ``sections`` a section's file, ``schema`` says what may stand in them,
``resolve`` turns figures into cells; here they are joined, and what no file knows alone is checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from noisebook.cells.contract import Params
from noisebook.cells.names import suggest
from noisebook.cells.registry import Generator, Registry
from noisebook.report.files import InputFiles
from noisebook.report.model import (
    BadInput,
    Deliverable,
    Enough,
    Figure,
    Place,
    Position,
    Problem,
    Problems,
    Report,
    Section,
    quote,
)
from noisebook.report.parse import Document, Loc, parse_yaml, read
from noisebook.report.reader import BadFile, inside
from noisebook.report.resolve import Cells, check_files, resolve
from noisebook.report.schema import Drawn, ReportFile, SectionFile, url_fault
from noisebook.report.sections import Draft, check_text, read_section, section_files
from noisebook.report.validation import fitting, validate

NO_STORE = ("sections", "generators", "templates", "images", "models", "tests", "site", ".noisebook", ".git")
"""Folders of a report that hold something else."""

Resolved = dict[Loc, tuple[Generator, Cells]]
"""The figures of one section that could be resolved, by their places in its front matter."""


def load_report(
    root: Path, registry: Registry, check_library: Callable[[Path], object] = lambda path: None
) -> Report:
    """Read report.yaml and sections/; raises :class:`BadInput` with the problems of all files.

    ``root`` is the folder that holds report.yaml. Figures get the cells that their generators name.
    ``check_library`` raises ValueError, a line for each fault, if a folder is no library of pictures.
    """
    problems, files = Problems(), InputFiles(root)
    drafts: list[Draft] = []
    drawn: dict[str, Resolved] = {}
    order: list[Draft] = []
    config, document, unread = _read_config(root, problems)
    with suppress(Enough):
        if "" not in unread:
            _check_config(config, document, files, check_library, problems)
        macros = None if {"", "macros"} & unread else config.macros
        drafts += (read_section(root, file, macros) for file in section_files(root, problems))
        drawn |= {draft.slug: _resolve(draft, registry, files) for draft in drafts}
        _check_names(drafts, None if {"", "parts"} & unread else config.parts, problems)
        _check_references(drafts, problems)
        order += _order(drafts, config, document, problems)
        _check_deliverables(drafts, config, document, problems)
    files.save()
    told = [*problems, *(problem for draft in drafts for problem in draft.told())]
    readable = [draft for draft in order if draft.readable]
    places = _places(document, (), "title", "subtitle", "description")
    places |= {f"part {letter}": document.place(("parts", letter)) for letter in config.parts}
    report = replace(_report(root, config, readable, drawn), places=places)
    if told:
        # Whether a reference leads somewhere is told above, or cannot be said before all can be read.
        names = {draft.slug for draft in drafts}.union(*(draft.ids for draft in drafts))
        names |= {span.value for draft in drafts for span, _ in draft.references() if span.kind == "ref"}
        names -= {name for draft in readable for name in (draft.slug, *draft.ids) if draft.front}
        if {"", "bibliography"} & unread:
            names.add("report.yaml")
        raise BadInput(list(dict.fromkeys(told)), replace(report, unread=tuple(sorted(names))))
    return report


def written_at(root: Path, key: str) -> Position:
    """Where report.yaml has the value of a key, or would have it."""
    _, document, _ = _read_config(root, Problems())
    return document.value((key,))


def _report(root: Path, config: ReportFile, drafts: list[Draft], drawn: Mapping[str, Resolved]) -> Report:
    return Report(
        root=root,
        title=config.title,
        seed=config.seed,
        model=config.model,
        sections=tuple(_section(draft, drawn[draft.slug]) for draft in drafts),
        subtitle=config.subtitle,
        authors=config.authors,
        description=config.description,
        language=config.language,
        base_url=config.base_url,
        library=config.library or "",
        embeddings=config.embeddings or "",
        store=config.store,
        push=config.push,
        parts=config.parts,
        macros={name.removeprefix("\\"): tex for name, tex in config.macros.items()},
        deliverables=tuple(Deliverable(**dict(each)) for each in config.deliverables),
        minutes_limit=config.minutes_limit,
        key_policy=config.key_policy,
        extra={
            "repository": config.repository,
            "licence": config.licence,
            "bibliography": config.bibliography or "",
        },
    )


def _read_config(root: Path, problems: list[Problem]) -> tuple[ReportFile, Document, set[str]]:
    """What report.yaml says, where it stands, and the keys whose values cannot be read: "" if none can."""
    source = read(root, "report.yaml", problems)
    document = source and parse_yaml(source, 0, len(source.text), problems)
    if not document:
        return fitting(ReportFile, {})[0], Document(values={(): Position("report.yaml")}), {""}
    if config := validate(ReportFile, document.data, document, (), problems):
        return config, document, set()
    config, faulty = fitting(ReportFile, document.data)
    return config, document, faulty


def _check_config(
    config: ReportFile,
    document: Document,
    files: InputFiles,
    check_library: Callable[[Path], object],
    problems: list[Problem],
) -> None:
    """What the schema cannot say of report.yaml: files, folders, names of macros."""
    problems.extend(check_files(config, files, document, ()))
    if config.library is not None:
        at = document.value(("library",))
        problems.extend(files.check_library(config.library, at, check_library))
        if config.model not in ("exact", "auto"):
            hint = "leave library out, or write model: exact"
            problems.append(Problem(at, f"a library is for the model exact, not for {config.model}", hint))
    problems.extend(_store_problems(config.store, document.value(("store",)), files.root))
    if config.push == "auto" and not re.match("(?!https?:)[^:]+://", config.store):
        message = f"push: auto wants a shared store that takes cells, and store is {quote(config.store)}"
        hint = "store: a URL such as s3://BUCKET/FOLDER, sftp://HOST/FOLDER, file:///FOLDER"
        problems.append(Problem(document.value(("push",)), message, hint))
    for loc in [("title",), ("subtitle",), ("description",), *(("parts", letter) for letter in config.parts)]:
        check_text(document, loc, config.macros, problems)
    seen: set[str] = set()
    for name in config.macros:
        at, plain = document.key(("macros", name)), name.removeprefix("\\")
        if not re.fullmatch("[A-Za-z]{1,40}", plain):
            hint = "a macro's name is letters alone: abar, used as \\abar"
            problems.append(Problem(at, f"{quote(name)} cannot name a macro", hint))
        elif plain in seen:
            problems.append(Problem(at, f"the macro {name!r} is there twice, with and without its backslash"))
        seen.add(plain)


def _store_problems(store: str, at: Position, root: Path) -> Iterator[Problem]:
    """A store is a URL, or a folder of its own within the report, there or not."""
    if "://" in store:
        if fault := url_fault(store):
            yield Problem(at, f"{quote(store)} is not a URL: {fault}")
        return
    try:
        path = inside(root, store, at)
    except BadFile as bad:
        hint = bad.problem.hint and "a store elsewhere is written as a URL: file:///…"
        yield replace(bad.problem, hint=hint)
        return
    first, *_ = (*PurePosixPath(store).parts, "")
    if not first or first.casefold() in NO_STORE:
        message = f"{quote(store)} is a folder of the report itself"
        yield Problem(at, message, "finished cells want a folder of their own: store: cache")
    for place in (path, *path.parents):
        if place == root:
            break
        if os.path.lexists(place) and not place.is_dir():
            message = f"{quote(place.relative_to(root).as_posix())} is a file, and a store is a folder"
            yield Problem(at, message, "choose another name, or move the file away")


def _resolve(draft: Draft, registry: Registry, files: InputFiles) -> Resolved:
    """The cells of a section's figures; what is wrong joins its problems."""
    drawn: Resolved = {}
    with suppress(Enough):
        draft.problems.extend(check_files(draft.front, files, draft.document, ()))
        for loc, raw in draft.entries():
            found = resolve(loc, raw, draft.document, registry, files)
            if isinstance(found, list):
                draft.problems.extend(found)
            else:
                drawn[loc] = found
    if len(drawn) < len(draft.ids) and not draft.problems:  # no mistake is without its message
        draft.problems.append(Problem(draft.document.value(()), "a figure here cannot be read"))
    return drawn


def _check_names(drafts: list[Draft], parts: Mapping[str, str] | None, problems: list[Problem]) -> None:
    """Parts are known; every number and every id means one thing in the whole report."""
    numbers: dict[str, Draft] = {}
    for draft in drafts:
        if not draft.front:
            continue
        part, number = draft.front.part, draft.front.number
        if parts is not None and part and part not in parts:
            hint = suggest(part, tuple(parts), "parts (in report.yaml)")
            problems.append(Problem(draft.document.value(("part",)), f"unknown part {quote(part)}", hint))
        if number and (first := numbers.setdefault(number, draft)) is not draft:
            where, hint = draft.document.value(("number",)), f"the other one is {first.file}"
            problems.append(Problem(where, f"two sections have the number {quote(number)}", hint))
    slugs = {draft.slug for draft in drafts}
    owners: dict[str, Draft] = {}
    pages: dict[str, tuple[str, str]] = {}
    for draft in drafts:
        for identifier in draft.ids:
            where, owner = draft.figure_place(identifier), owners.setdefault(identifier, draft)
            if owner is not draft:
                hint = f"the other one is in {owner.file}"
                problems.append(Problem(where, f"two figures are called {quote(identifier)}", hint))
            elif identifier != draft.slug and identifier in slugs:
                message = f"the figure {quote(identifier)} is called like a section"
                problems.append(Problem(where, message, "references could mean either: rename the figure"))
            page = f"{draft.slug}--{identifier}"
            if (figure := pages.setdefault(page, (draft.slug, identifier))) != (draft.slug, identifier):
                message = (
                    f"{page}-2.html would be a page of this figure, and of {figure[1]!r} in {figure[0]}.md"
                )
                problems.append(Problem(where, message, "rename one of the figures"))
    for draft in drafts:
        further = re.fullmatch(r"(.+)-\d+", draft.slug)
        if further and further[1] in pages:
            slug, identifier = pages[further[1]]
            message = f"this name is for further pictures of the figure {identifier!r} of {slug}.md"
            problems.append(Problem(Position(draft.file), message, "rename this section"))


def _check_references(drafts: list[Draft], problems: list[Problem]) -> None:
    """Figures are placed in their own section; references lead somewhere in the report."""
    owners = {identifier: draft for draft in reversed(drafts) for identifier in draft.ids}
    slugs = {draft.slug for draft in drafts}
    known = (*owners, *sorted(slugs - owners.keys()))
    for draft in drafts:
        for span, where in draft.references():
            if span.kind == "figure" and draft.whole and span.value not in draft.ids:
                hint = suggest(span.value, tuple(draft.ids), "figures")
                if span.value in owners:
                    hint = f'{owners[span.value].file} has: {{{{ ref("{span.value}") }}}} refers to it'
                problems.append(Problem(where, f"this section has no figure {quote(span.value)}", hint))
            elif span.kind == "ref" and span.value not in known and all(each.whole for each in drafts):
                hint = suggest(span.value, known, "figures and sections")
                problems.append(Problem(where, f"no figure or section is called {quote(span.value)}", hint))
            elif span.kind == "value" and (name := span.value.partition("/")[0]) not in owners:
                hint = suggest(name, tuple(owners), "figures")
                problems.append(Problem(where, f"no figure is called {quote(name)}", hint))


def _order(
    drafts: list[Draft], config: ReportFile, document: Document, problems: list[Problem]
) -> list[Draft]:
    """Sections as report.yaml lists them, then the others by name."""
    rest = {draft.slug: draft for draft in drafts}
    ordered: list[Draft] = []
    for index, name in enumerate(config.sections):
        where = document.value(("sections", index))
        if name in rest:
            ordered.append(rest.pop(name))
        elif any(draft.slug == name for draft in ordered):
            problems.append(Problem(where, f"the section {quote(name)} is listed twice"))
        else:
            hint = suggest(name, tuple(draft.slug for draft in drafts), "sections")
            problems.append(Problem(where, f"there is no file sections/{name}.md", hint))
    return [*ordered, *rest.values()]


def _check_deliverables(
    drafts: list[Draft], config: ReportFile, document: Document, problems: list[Problem]
) -> None:
    """Each item names something, and what it names is there."""
    known = {
        "figures": tuple(identifier for draft in drafts for identifier in draft.ids),
        "sections": tuple(draft.slug for draft in drafts),
    }
    for index, entry in enumerate(config.deliverables):
        if not entry.figures and not entry.sections:
            where = document.value(("deliverables", index))
            problems.append(Problem(where, f"{quote(entry.item)} names neither figures nor sections"))
        for kind, names in known.items():
            for place, name in enumerate(getattr(entry, kind)):
                if name not in names and all(draft.whole for draft in drafts):
                    where = document.value(("deliverables", index, kind, place))
                    message = f"no {kind.removesuffix('s')} is called {quote(name)}"
                    problems.append(Problem(where, message, suggest(name, names, kind)))


def _section(draft: Draft, drawn: Resolved) -> Section:
    """The finished section; if it has mistakes, as much of it as can be read."""
    front = draft.front or fitting(SectionFile, draft.document.data)[0]
    raw = dict(draft.entries())
    figures = []
    for identifier, loc in draft.ids.items():
        generator, (params, cells) = drawn.get(loc, (None, (Params(), ())))
        entry = front if draft.front else fitting(Drawn, raw[loc])[0]
        if draft.front and front.figures and loc:
            entry = front.figures[int(loc[1])]
        figures.append(
            Figure(
                id=identifier,
                generator=generator.name if generator else "",
                params=params,
                cells=cells,
                position=draft.figure_place(identifier),
                caption=entry.caption,
                alt=entry.alt,
                layout=entry.layout.model_dump(exclude_unset=True),
                matrix=entry.matrix or {},
                chosen=f"{entry.chosen.of} by {entry.chosen.by}" if entry.chosen else "",
                sheet=(not draft.problems and entry.chosen and entry.chosen.sheet) or "",
                pending=entry.pending,
                places=_places(draft.document, loc, "caption", "alt")
                | _parameters(draft.document, loc, raw[loc]),
            )
        )
    return Section(
        path=draft.file,
        slug=draft.slug,
        title=front.title,
        part=front.part,
        number=front.number,
        summary=front.summary,
        body=draft.body,
        body_line=draft.place(0).line,
        figures=tuple(figures),
        places=_places(draft.document, (), "title", "summary"),
    )


def _places(document: Document, loc: Loc, *keys: str) -> dict[str, Place]:
    return {key: document.place((*loc, key)) for key in keys}


def _parameters(document: Document, loc: Loc, raw: Mapping[str, Any]) -> dict[str, Place]:
    """Where a figure's parameters are written, by ``params`` and their names."""
    return {
        f"params {name}": document.place((*loc, form, name))
        for form in ("params", "matrix")
        if isinstance(raw.get(form), dict)
        for name in raw[form]
    }
