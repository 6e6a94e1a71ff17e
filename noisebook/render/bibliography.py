"""A BibTeX file, and how its entries are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from noisebook.cells.names import suggest
from noisebook.render import latex
from noisebook.render.latex import MATH
from noisebook.render.typography import printed
from noisebook.report.model import BadInput, Position, Problem
from noisebook.report.model import quote as quoted
from noisebook.report.reader import Source

if TYPE_CHECKING:
    from noisebook.render.bibtex import Parser

VENUES = ("journal", "journaltitle", "booktitle", "publisher", "institution", "school", "howpublished")
SHOWN_FIELDS = (
    *VENUES, "title", "year", "date", "volume", "number", "pages", "doi", "eprint", "url",
    "type", "edition", "version", "note", "series", "chapter", "address", "location",
)  # fmt: skip
_NEEDED = ("author", "title", "year", "journal", "booktitle", "publisher")
"""Fields of which an entry that lacks one may have a misspelt one."""
KINDS = {
    "article", "artwork", "audio", "bibnote", "book", "bookinbook", "booklet", "codefragment", "collection",
    "commentary", "conference", "customa", "customb", "customc", "customd", "custome", "customf", "dataset",
    "electronic", "image", "inbook", "incollection", "inproceedings", "inreference", "jurisdiction", "legal",
    "legislation", "letter", "manual", "mastersthesis", "misc", "movie", "music", "mvbook", "mvcollection",
    "mvproceedings", "mvreference", "online", "patent", "performance", "periodical", "phdthesis",
    "proceedings", "reference", "report", "review", "set", "software", "softwaremodule", "softwareversion",
    "standard", "suppbook", "suppcollection", "suppperiodical", "techreport", "thesis", "unpublished",
    "video", "www", "xdata",
}  # fmt: skip
"""Types of entries: BibTeX's, biblatex's, and those of software."""
LONGEST_VALUE, LONGEST_NAMES = 2_000, 100_000
"""Characters of a value that is shown, and of a list of names."""
_MARKDOWN = re.compile(r"([\\`*_\[\]<>@~&{}!#])")
_EAST = re.compile(r"[\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\s,]+")
"""A name in Chinese, Japanese or Korean signs: the family comes first."""
_ARXIV = re.compile(
    r"(?i:(?:https?://arxiv\.org/(?:abs|pdf)/|arxiv:)?\s*)([a-z-]+(?:\.[A-Z]{2})?/\d{7}|\d{4}\.\d{1,5})(v\d+)?"
    r"(?:\.pdf)?(?:\s*\[[\w.-]+\])?"
)


@dataclass(frozen=True, slots=True)
class Work:
    """One entry: ``fields`` by their names in lower case, without TeX but for formulas, which stay ``$…$``.

    ``people`` are its authors, or its editors, each with given name and family name; the last may be et al.
    """

    key: str
    kind: str
    fields: Mapping[str, str]
    position: Position
    people: tuple[tuple[str, str], ...] = ()
    more: bool = False
    """There are people that the entry does not name."""
    editors: bool = False
    """Its people only edited it."""
    edited: str = ""
    """Who edited the collection that it stands in."""
    letter: str = ""
    """What tells it from another of the same people and year: a, b, …"""

    @property
    def authors(self) -> list[str]:
        """Names as they are read; after a single one "et al." is no item of its own."""
        names = [_full(given, family) for given, family in self.people]
        if not self.more:
            return names
        return [f"{names[0]} et al."] if len(names) == 1 else [*names, "et al."]

    @property
    def role(self) -> str:
        """``(eds.)`` where its people only edited it."""
        return ("(eds.)" if len(self.people) + self.more > 1 else "(ed.)") if self.editors else ""

    @property
    def names(self) -> str:
        """``Ho et al.``; of a work of nobody's, its title."""
        families = [family for _, family in self.people] or [self.title]
        if len(families) > 2 or self.more:
            return f"{families[0]} et al."
        return " and ".join(families)

    @property
    def year(self) -> str:
        """From ``year``, or from ``date`` as biblatex has it, with its letter; empty if it has none."""
        found = re.search(r"\d{4}", self.fields.get("date", ""))
        year = self.fields.get("year", "") or (found[0] if found else "")
        return year and year + self.letter

    @property
    def short(self) -> str:
        """``Ho et al., 2020``."""
        return ", ".join(filter(None, [self.names, self.year]))

    @property
    def title(self) -> str:
        """In plain words: formulas as Unicode has them. One without a title has its address.

        What has nothing else to be known by has its key.
        """
        found = MATH.sub(lambda match: latex.signs(match[1]), self.title_with_formulas)
        return found.replace("\\$", "$")

    @property
    def title_with_formulas(self) -> str:
        known = self.fields.get("title") or self.link.partition("://")[2]
        return known or ("" if self.people else self.venue or self.key)

    @property
    def title_as_text(self) -> str:
        """As a text of the report would have it: formulas, and signs that are marks of Markdown nowhere."""
        parts = MATH.split(self.title_with_formulas)
        return "".join(
            f"${part}$"
            if index % 2
            else _MARKDOWN.sub(r"\\\1", part.replace("\\$", "\0")).replace("\0", "\\$")
            for index, part in enumerate(parts)
        )

    @property
    def venue(self) -> str:
        """Where it appeared, with volume and pages, and what kind of thing it is."""
        fields = self.fields
        said = (fields[name] for name in VENUES if fields.get(name))
        venue = next((name for name in said if name != fields.get("title")), "")
        numbered = self.kind in ("techreport", "report")
        if venue and fields.get("volume"):
            in_volume = f"({fields['number']})" if fields.get("number") and not numbered else ""
            venue += f" {fields['volume']}{in_volume}"
        if venue and fields.get("pages"):
            venue += f", {re.sub('-+', '–', fields['pages'])}"
        kind = fields.get("type", "")
        if numbered and fields.get("number"):
            kind = f"{kind or 'Technical Report'} {fields['number']}"
        parts = [
            _edition(fields.get("edition", "")),
            kind,
            venue,
            fields.get("series"),
            fields.get("chapter") and f"chapter {fields['chapter']}",
            fields.get("address") or fields.get("location"),
            self.edited and f"edited by {self.edited}",
            fields.get("version") and f"version {fields['version']}",
            fields.get("note"),
        ]
        return ", ".join(filter(None, parts))

    @property
    def arxiv(self) -> str:
        """``arXiv:2006.11239``, where nothing else that is shown of it says so."""
        found = _ARXIV.fullmatch(self.fields.get("eprint", ""))
        return f"arXiv:{found[1]}{found[2] or ''}" if found and found[1] not in self.venue else ""

    @property
    def address(self) -> str:
        """Its address as paper needs it; nothing where what is shown says it."""
        said = re.sub("^https://doi.org/", "doi:", unquote(self.link))
        known = f"{self.arxiv} {self.venue} {self.title}"
        return "" if re.sub("^https?://(arxiv.org/abs/)?", "", said) in known else said

    @property
    def link(self) -> str:
        """Its address, or nothing."""
        doi = re.sub(r"^(?:https?://(?:dx\.)?doi\.org/|doi:)\s*", "", self.fields.get("doi", ""), flags=re.I)
        if doi:
            return f"https://doi.org/{quote(doi, safe='/:;()')}"
        if found := _ARXIV.fullmatch(self.fields.get("eprint", "")):
            return f"https://arxiv.org/abs/{found[1]}{found[2] or ''}"
        url = self.fields.get("url", "")
        with suppress(ValueError):
            return url if urlsplit(url).scheme in ("http", "https") else ""
        return ""


@lru_cache(maxsize=4)
def parse(text: str, file: str) -> Mapping[str, Work]:
    """The works of a BibTeX file, by key. Raises BadInput."""
    if not text.strip():
        return {}
    from noisebook.render.bibtex import Parser

    source = Source(file, text)
    problems: list[Problem] = []
    parser = Parser(source, problems)
    works = _works(_entries(parser, source, problems), problems)
    if problems:
        raise BadInput(problems)
    return works


def named(text: str, file: str) -> Mapping[str, Work]:
    """The works of a file with mistakes: nothing is known of them but their keys."""
    position = Position(file)
    keys = re.findall(r"@\w+\s*[{(]\s*([^\s,{}()=]+)", text)
    return {key: Work(key, "", {}, position) for key in keys}


def _edition(said: str) -> str:
    """``2nd edition``, whether it is said by a number or in words."""
    if said.isdecimal():
        last = 0 if said[-2:-1] == "1" else int(said[-1])
        said += {1: "st", 2: "nd", 3: "rd"}.get(last, "th")
    return said if not said or re.search(r"\bed(ition|n|\.)", said, re.I) else f"{said} edition"


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry as it stands in the file; ``places`` are those of its fields."""

    position: Position
    kind: str
    fields: dict[str, str]
    places: Mapping[str, Position]


def _entries(parser: Parser, source: Source, problems: list[Problem]) -> dict[str, _Entry]:
    entries: dict[str, _Entry] = {}
    for kind, content in parser:
        if kind.lower() in ("string", "preamble"):
            continue
        key, found = content
        if key is None:
            continue
        position = source.position(parser.command_start)
        if key in entries:
            problems.append(Problem(position, f"the key {key!r} is given twice"))
        if kind.lower() not in KINDS:
            hint = suggest(kind.lower(), tuple(KINDS), "types of entries")
            problems.append(Problem(position, f"{key!r}: no entry has the type {quoted('@' + kind)}", hint))
        fields: dict[str, str] = {}
        for name, value in ((name.lower(), "".join(value)) for name, value in found):
            if name in fields and name in ("author", "editor", *SHOWN_FIELDS):
                problems.append(Problem(position, f"{key!r}: its {name} is given twice"))
            fields[name] = value
        for name, meant in _misspelt(fields):
            message = f"{key!r}: no field has the name {quoted(name)}"
            where = source.position(parser.places.get(name, 0))
            problems.append(Problem(where, message, f"did you mean {meant!r}?"))
        places = {name: source.position(at) for name, at in parser.places.items() if name in SHOWN_FIELDS}
        entries[key] = _Entry(position, kind, fields, places)
    return entries


def _misspelt(fields: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Fields that are shown nowhere, each with the one that it resembles and that the entry lacks."""
    lacking = [name for name in _NEEDED if name not in fields and not (name == "year" and "date" in fields)]
    for name in fields:
        found = [] if name in SHOWN_FIELDS else get_close_matches(name[:20], lacking, n=1, cutoff=0.75)
        if found and found[0] not in name[1:]:  # a subtitle is no title
            yield name, found[0]


def _works(entries: Mapping[str, _Entry], problems: list[Problem]) -> dict[str, Work]:
    works: dict[str, Work] = {}
    for key, entry in entries.items():
        whole = entries.get(entry.fields.get("crossref", "").strip())
        try:
            works[key] = _work(key, entry, whole.fields if whole else {}, problems)
        except ValueError as error:
            problems.append(Problem(entry.position, f"{key!r}: {error}", getattr(error, "hint", "")))
    return _lettered(works)


def _lettered(works: Mapping[str, Work]) -> dict[str, Work]:
    """Works that would be cited alike have letters after their years, in the order of the file."""
    alike = Counter(work.short for work in works.values() if work.year)
    so_far: Counter[str] = Counter()
    lettered: dict[str, Work] = {}
    for key, work in works.items():
        if alike[work.short] > 1:
            number = so_far[work.short]
            so_far[work.short] += 1
            letter = chr(ord("a") + number % 26)
            work = replace(work, letter=chr(ord("a") + number // 26 - 1) + letter if number > 25 else letter)
        lettered[key] = work
    return lettered


def _inherited(whole: Mapping[str, str]) -> dict[str, str]:
    """What a work has of the book that its ``crossref`` names."""
    names = ("booktitle", "publisher", "institution", "year", "date", "editor", "series")
    found = {name: whole[name] for name in names if name in whole}
    return {"booktitle": whole["title"], **found} if "title" in whole else found


def _work(key: str, entry: _Entry, whole: Mapping[str, str], problems: list[Problem]) -> Work:
    fields = {**_inherited(whole), **entry.fields}
    for name in ("author", "editor", *SHOWN_FIELDS):
        most = LONGEST_VALUE if name in SHOWN_FIELDS else LONGEST_NAMES
        if len(fields.get(name, "")) > most:
            raise ValueError(f"its {name} has more than {most:,} characters")
    shown: dict[str, str] = {}

    def read(name: str, value: str) -> None:
        try:
            shown[name] = _shown(name, value)
        except latex.NotText as error:
            where = entry.places.get(name, entry.position)
            problems.append(Problem(where, f"{key!r}: in its {name} {error}", error.hint))

    if not fields.get("url") and (found := _found_address(fields)):
        name, address, rest = found
        fields |= {"url": address, name: rest}
    for name in SHOWN_FIELDS:
        if name in fields:
            read(name, " ".join(fields[name].split()))
    people, more = _people(fields.get("author") or fields.get("editor") or "")
    edited = ""
    if fields.get("author") and entry.kind.lower() in ("incollection", "inbook"):
        editors, others = _people(fields.get("editor", ""))
        names = [_full(given, family) for given, family in editors]
        edited = ", ".join([*names[:-2], " and ".join(names[-2:])] if names else []) + " et al." * others
    editors_only = bool(people) and not fields.get("author")
    return Work(key, entry.kind.lower(), shown, entry.position, tuple(people), more, editors_only, edited)


def _shown(name: str, value: str) -> str:
    if name in ("url", "doi", "eprint"):
        return latex.address(value)
    if name == "title":
        return latex.text(value)
    words = MATH.sub(lambda match: latex.signs(match[1]), latex.text(value)).replace("\\$", "$")
    return printed(words, "") if name not in ("date", "pages") else words


_ADDRESS = re.compile(r"\\(?:url|href)\s*\{([^{}]*)\}(?:\s*(?=\{))?|(?:https?://|www\.)[^\s{},]+[^\s{},.;)]")


def _found_address(fields: Mapping[str, str]) -> tuple[str, str, str] | None:
    """An address that stands in words: the field's name, the address, and what is printed of the words."""
    for name in ("howpublished", "note"):
        said = fields.get(name, "")
        if found := _ADDRESS.search(said):
            before, address, after = said[: found.start()], found[1] or found[0], said[found.end() :]
            if "href" in found[0] or not f"{before}{after}".strip("{} .,"):
                return name, address, before + after
            return name, address, before + address.replace("~", r"\textasciitilde{}") + after
    return None


def _people(listed: str) -> tuple[list[tuple[str, str]], bool]:
    """Given and family name of each, and whether there are others. Raises ValueError."""
    from pybtex.bibtex.utils import split_name_list, split_tex_string
    from pybtex.database import InvalidNameString, Person

    people: list[tuple[str, str]] = []
    listed = re.sub(r"(?:^| )and(?= and |$)|^and ", "", " ".join(listed.split()))
    names = [name for name in split_name_list(listed) if name.strip("{} ")]
    more = bool(names) and names[-1].lower() == "others"
    for name in names[: len(names) - more]:
        if _EAST.fullmatch(name):
            family, *given = name.replace(",", " ").split()
            people.append(("".join(given), family))
            continue
        if re.match(r"\s*(?:family|given|prefix|suffix)\s*=", name):  # as biblatex writes them
            part = dict(piece.strip().split("=", 1) for piece in name.split(",") if "=" in piece)
            said = {each.strip(): _plain(value.strip()) for each, value in part.items()}
            family = [said[each] for each in ("prefix", "family", "suffix") if said.get(each)]
            people.append((said.get("given", ""), " ".join(family)))
            continue
        between = split_tex_string(name, ",")[1:-1]  # van Last, Jr., First
        if ";" in _plain(name) or any(" " in each.strip() for each in between):
            raise ValueError(f"{quoted(name)} is several names: they are joined by “and”")
        try:
            person = Person(name)
        except InvalidNameString as error:
            raise ValueError(f"{error}: names are joined by “and”") from error
        given = [*person.first_names, *person.middle_names]
        last = [*person.prelast_names, *person.last_names, *person.lineage_names]
        people.append((_plain(" ".join(given)), _plain(" ".join(last))))
    return people, more


def _full(given: str, family: str) -> str:
    if given and _EAST.fullmatch(given + family):
        return family + given
    return f"{given} {family}".strip()


def _plain(name: str) -> str:
    return printed(latex.plain(name), "")
