"""A BibTeX file, how its entries are written, and the entry of the report itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from noisebook.render.formats import slug
from noisebook.report.model import BadInput, Position, Problem, Report

_ENTRY = re.compile(r"@(\w+)\s*\{\s*([^\s,{}]+)\s*,")
_FIELD = re.compile(r"\s*([A-Za-z][\w-]*)\s*=\s*")


@dataclass(frozen=True, slots=True)
class Work:
    """One entry: ``fields`` without braces, names in lower case."""

    key: str
    kind: str
    fields: Mapping[str, str]

    @property
    def authors(self) -> list[str]:
        """Names as they are read, given name first."""
        names = re.split(r"\s+and\s+", self.fields.get("author", "").strip())
        return [
            " ".join(reversed([part.strip() for part in name.split(",", 1)])).strip()
            for name in names
            if name
        ]

    @property
    def families(self) -> list[str]:
        names = re.split(r"\s+and\s+", self.fields.get("author", "").strip())
        return [name.split(",")[0].strip() if "," in name else name.split()[-1] for name in names if name]

    @property
    def short(self) -> str:
        """``Ho et al., 2020``."""
        names = self.families or [self.fields.get("title", self.key)]
        who = (
            names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
        )
        return ", ".join(filter(None, [who, self.fields.get("year", "")]))

    @property
    def venue(self) -> str:
        """Where it appeared, with volume and pages."""
        fields = self.fields
        venue = next(
            (
                fields[name]
                for name in ("journal", "booktitle", "publisher", "howpublished")
                if name in fields
            ),
            "",
        )
        if venue and "volume" in fields:
            venue += f" {fields['volume']}" + (f"({fields['number']})" if "number" in fields else "")
        if venue and "pages" in fields:
            venue += f", {fields['pages'].replace('--', '–')}"
        return venue

    @property
    def link(self) -> str:
        """Its address, or nothing."""
        if "doi" in self.fields:
            return f"https://doi.org/{self.fields['doi']}"
        if "eprint" in self.fields:
            return f"https://arxiv.org/abs/{self.fields['eprint']}"
        url = self.fields.get("url", "")
        return url if url.startswith(("https://", "http://")) else ""


def parse(text: str, file: str) -> dict[str, Work]:
    """The works of a BibTeX file, by key. Raises BadInput."""
    works: dict[str, Work] = {}
    problems: list[Problem] = []
    at = 0
    while entry := _ENTRY.search(text, at):
        start, at = entry.start(), entry.end()
        position = Position(file, text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start))
        if entry[1].lower() in ("comment", "preamble", "string"):
            continue
        fields: dict[str, str] = {}
        while field := _FIELD.match(text, at):
            try:
                value, at = _value(text, field.end())
            except ValueError:
                problems.append(Problem(position, f"the field {field[1]!r} of {entry[2]!r} is never closed"))
                at = len(text)
                break
            if field[1].lower() in ("author", "editor"):
                value = re.sub(r"\{([^{}]*)\}", _institution, value)
            fields[field[1].lower()] = " ".join(re.sub(r"[{}]", "", value).split())
            comma = re.compile(r"\s*,").match(text, at)
            at = comma.end() if comma else at
        if entry[2] in works:
            problems.append(Problem(position, f"the key {entry[2]!r} is given twice"))
        works[entry[2]] = Work(entry[2], entry[1].lower(), fields)
    if problems:
        raise BadInput(problems)
    return works


def _institution(match: re.Match[str]) -> str:
    """A name in braces is one name: the comma keeps it from being taken apart."""
    return f"{match[1]}," if " " in match[1].strip() else match[1]


def _value(text: str, at: int) -> tuple[str, int]:
    """The value that starts at ``at`` and where it ends: in braces, in quotes, or bare."""
    if text[at : at + 1] not in ("{", '"'):
        bare = re.compile(r"[^\s,{}]*").match(text, at)
        assert bare
        return bare[0], bare.end()
    closing = "}" if text[at] == "{" else '"'
    depth = 0
    for index in range(at + 1, len(text)):
        if text[index] == closing and depth == 0:
            return text[at + 1 : index], index + 1
        depth += {"{": 1, "}": -1}.get(text[index], 0)
    raise ValueError(text[at : at + 20])


def of_report(report: Report) -> str:
    """How to cite the report, from CITATION.cff's year and report.yaml."""
    path = report.root / "CITATION.cff"
    found = (
        re.search(r"^date-released:\s*['\"]?(\d{4})", path.read_text("utf-8"), re.MULTILINE)
        if path.is_file()
        else None
    )
    fields = {
        "title": f"{{{report.title}}}",
        "author": " and ".join(report.authors),
        "year": found[1] if found else str(date.today().year),
        "url": report.base_url or str(report.extra.get("repository", "")),
    }
    lines = "".join(f"  {name:<6} = {{{value}}},\n" for name, value in fields.items() if value)
    return f"@misc{{{slug(report.title)},\n{lines}}}"
