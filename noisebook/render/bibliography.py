"""A BibTeX file, how its entries are written, and the entry of the report itself."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from html import unescape
from typing import Any
from unicodedata import normalize
from urllib.parse import quote, urlsplit

from noisebook.render.formats import slug
from noisebook.report.model import SHOWN, BadInput, Position, Problem, Report
from noisebook.report.model import quote as quoted
from noisebook.report.reader import LARGEST_TEXT, Source, read_text

VENUES = ("journal", "journaltitle", "booktitle", "publisher", "institution", "school", "howpublished")
SHOWN_FIELDS = (*VENUES, "title", "year", "date", "volume", "number", "pages", "doi", "eprint", "url")
LONGEST_VALUE, LONGEST_NAMES = 2_000, 100_000
"""Characters of a value that is shown, and of a list of names."""
MATH = re.compile(r"(?<!\\)\$((?:[^$\\]|\\.)+)\$")
_COMMAND = re.compile(r"\\([A-Za-z]+)\s*")
_DOTLESS = re.compile(r"\\([`'^\"~=.])\s*\{\s*\\([ij])\s*\}")
_BELOW = re.compile(r"\\([db])(?:\s*\{(\w)\}|\s+(\w))")
_QUOTED = re.compile(r"\\(?:enquote|mkbibquote)\s*\{([^{}]*)\}")
_TAG = re.compile(r"</?(?:i|b|u|em|strong|sub|sup|span|sc|scp|tt)\b[^<>]*>", re.I)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[\da-f]{1,6}|[a-z]{1,31}\d*);", re.I)
_SIGNS = {
    "textquotesingle": "'", "textquotedbl": '"', "textquoteleft": "‘", "textquoteright": "’",
    "textquotedblleft": "“", "textquotedblright": "”", "grqq": "“", "glq": "‚", "grq": "‘", "textless": "<",
    "textgreater": ">", "textbar": "|", "textellipsis": "…", "dots": "…", "textmu": "µ",
    "textasciicircum": "^", "textunderscore": "_", "textsection": "§", "texteuro": "€", "euro": "€",
    "j": "ȷ", "SS": "ẞ",
}  # fmt: skip
"""Commands that the codec leaves, and what they print."""
_MARKDOWN = re.compile(r"([\\`*_\[\]<>@~&{}!#])")
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

    @property
    def authors(self) -> list[str]:
        """Names as they are read, given name first; after a single one "et al." is no item of its own."""
        names = [f"{given} {family}".strip() for given, family in self.people]
        if not self.more:
            return names
        return [f"{names[0]} et al."] if len(names) == 1 else [*names, "et al."]

    @property
    def names(self) -> str:
        """``Ho et al.``; of a work of nobody's, its title."""
        families = [family for _, family in self.people] or [self.title]
        if len(families) > 2 or self.more:
            return f"{families[0]} et al."
        return " and ".join(families)

    @property
    def year(self) -> str:
        """From ``year``, or from ``date`` as biblatex has it; empty if it has none."""
        found = re.search(r"\d{4}", self.fields.get("date", ""))
        return self.fields.get("year", "") or (found[0] if found else "")

    @property
    def short(self) -> str:
        """``Ho et al., 2020``."""
        return ", ".join(filter(None, [self.names, self.year]))

    @property
    def title(self) -> str:
        """In plain words: formulas as Unicode has them. One without a title has its address or key."""
        found = MATH.sub(lambda match: _signs(match[1]), self.title_with_formulas)
        return found.replace("\\$", "$")

    @property
    def title_with_formulas(self) -> str:
        return self.fields.get("title") or self.link.partition("://")[2] or self.key

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
        """Where it appeared, with volume and pages."""
        fields = self.fields
        venue = next((fields[name] for name in VENUES if fields.get(name)), "")
        if venue and fields.get("volume"):
            venue += f" {fields['volume']}" + (f"({fields['number']})" if fields.get("number") else "")
        if venue and fields.get("pages"):
            venue += f", {re.sub('-+', '–', fields['pages'])}"
        return venue

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
    from pybtex.database.input.bibtex import LowLevelParser, UndefinedMacro, month_names
    from pybtex.scanner import Literal, PrematureEOF, PybtexSyntaxError, Token
    from pybtex.utils import CaseInsensitiveDict

    source = Source(file, text)
    problems: list[Problem] = []

    class Parser(LowLevelParser):  # type: ignore[misc]
        pos: int
        put_in = 0

        def substitute_macro(self, name: str) -> str:
            """What a @string stands for, up to as much as a file may have: one may double another."""
            value: str = super().substitute_macro(name)
            self.put_in += len(value)
            if self.put_in > LARGEST_TEXT:
                message = f"@string has put in more than {LARGEST_TEXT:,} characters up to here"
                raise BadInput([*problems, Problem(source.position(self.pos), message)])
            return value

        def skip_to(self, signs: list[Literal]) -> Token | None:
            """To the first of some signs: one search, where pybtex has one for each, to the text's end."""
            by_sign = {sign.description[1:-1]: sign for sign in signs}
            found = re.compile(f"[{re.escape(''.join(by_sign))}]").search(self.text, self.pos)
            if not found:
                return None
            value = self.text[self.pos : found.end()]
            self.pos = found.end()
            return Token(value, by_sign[found[0]])

    def note(error: PybtexSyntaxError) -> None:
        key, start = parser.current_entry_key, parser.command_start
        if key is None and text[text.rfind("\n", 0, start) + 1 : start].strip():
            return  # a word with @ between the entries
        position = source.position(parser.pos)
        if isinstance(error, PrematureEOF):
            position, message = source.position(start), f"{quoted(key) if key else 'this'} is never closed"
        elif isinstance(error, UndefinedMacro):
            message = f"no @string defines {quoted(str(error).rpartition(' ')[2])}"
        else:
            message = re.sub(r"^syntax error in line \d+: ", "", str(error))
        hint = "a value stands in braces or quotation marks, and a comma follows it"
        problems.append(Problem(position, message, hint))
        if len(problems) == SHOWN:
            raise BadInput(problems)

    parser = Parser(text, macros=CaseInsensitiveDict(month_names), handle_error=note)
    works = _works(_entries(parser, source, problems), problems)
    if problems:
        raise BadInput(problems)
    return works


def _entries(
    parser: Any, source: Source, problems: list[Problem]
) -> dict[str, tuple[Position, str, dict[str, str]]]:
    entries: dict[str, tuple[Position, str, dict[str, str]]] = {}
    for kind, content in parser:
        if kind.lower() in ("string", "preamble"):
            continue
        key, found = content
        if key is None:
            continue
        position = source.position(parser.command_start)
        if key in entries:
            problems.append(Problem(position, f"the key {key!r} is given twice"))
        fields: dict[str, str] = {}
        for name, value in ((name.lower(), "".join(value)) for name, value in found):
            if name in fields and name in ("author", "editor", *SHOWN_FIELDS):
                problems.append(Problem(position, f"{key!r}: its {name} is given twice"))
            fields[name] = value
        entries[key] = position, kind, fields
    return entries


def _works(
    entries: Mapping[str, tuple[Position, str, dict[str, str]]], problems: list[Problem]
) -> dict[str, Work]:
    works: dict[str, Work] = {}
    for key, (position, kind, fields) in entries.items():
        whole = entries.get(fields.get("crossref", "").strip(), (None, "", {}))[2]
        try:
            works[key] = _work(key, kind, {**_inherited(whole), **fields}, position)
        except ValueError as error:
            problems.append(Problem(position, f"{key!r}: {error}"))
    return works


def _inherited(whole: Mapping[str, str]) -> dict[str, str]:
    """What a work has of the book that its ``crossref`` names."""
    names = ("booktitle", "publisher", "institution", "year", "date", "editor", "series")
    found = {name: whole[name] for name in names if name in whole}
    return {"booktitle": whole["title"], **found} if "title" in whole else found


def _work(key: str, kind: str, fields: dict[str, str], position: Position) -> Work:
    from pybtex.bibtex.utils import split_name_list
    from pybtex.database import InvalidNameString, Person

    for name in ("author", "editor", *SHOWN_FIELDS):
        most = LONGEST_VALUE if name in SHOWN_FIELDS else LONGEST_NAMES
        if len(fields.get(name, "")) > most:
            raise ValueError(f"its {name} has more than {most:,} characters")
    people: list[tuple[str, str]] = []
    listed = re.sub(r"\s+and\s*$", "", fields.get("author") or fields.get("editor") or "")
    names = [name for name in split_name_list(listed) if name.strip("{} ")]
    more = bool(names) and names[-1].lower() == "others"
    for name in names[: len(names) - more]:
        if ";" in _plain(name):
            raise ValueError(f"{quoted(name)} is several names: they are joined by “and”")
        if re.match(r"\s*(?:family|given|prefix|suffix)\s*=", name):  # as biblatex writes them
            part = dict(piece.strip().split("=", 1) for piece in name.split(",") if "=" in piece)
            said = {each.strip(): _plain(value.strip()) for each, value in part.items()}
            family = [said[each] for each in ("prefix", "family", "suffix") if said.get(each)]
            people.append((said.get("given", ""), " ".join(family)))
            continue
        try:
            person = Person(name)
        except InvalidNameString as error:
            raise ValueError(f"{error}: names are joined by “and”") from error
        given = [*person.first_names, *person.middle_names]
        family = [*person.prelast_names, *person.last_names, *person.lineage_names]
        people.append((_plain(" ".join(given)), _plain(" ".join(family))))
    shown = {name: " ".join(fields[name].split()) for name in SHOWN_FIELDS if name in fields}
    for name, value in shown.items():
        shown[name] = (
            _address(value)
            if name in ("url", "doi", "eprint")
            else _text(value)
            if name == "title"
            else _text(value).replace("\\$", "$")
        )
    return Work(key, kind.lower(), shown, position, tuple(people), more)


def _text(tex: str) -> str:
    """Words of a BibTeX value, its formulas left as they are."""
    parts = MATH.split(re.sub(r"\\\((.+?)\\\)", r"$\1$", tex))
    return "".join(
        f"${part}$" if index % 2 else _beside(part).replace("$", "\\$") for index, part in enumerate(parts)
    )


def _beside(tex: str) -> str:
    """Words beside formulas; their codec leaves out the space at a beginning."""
    return " " * tex[:1].isspace() + _plain(tex)


def _signs(tex: str) -> str:
    """A formula in one line of Unicode: its letters and signs, without what sets them."""
    return _plain(re.sub(r"\\[A-Za-z]+", lambda match: _plain(f"${match[0]}$").strip("$"), tex))


def _plain(tex: str) -> str:
    """TeX as Unicode, as far as that goes: accents, signs; no braces and no commands that only set type."""
    import latexcodec  # noqa: F401  registers its codec

    tex = _DOTLESS.sub(r"\\\1{\2}", tex)
    decoded: str = codecs.decode(re.sub(r"(?<!\\)~", " ", tex), "ulatex")  # type: ignore[call-overload]
    decoded = _QUOTED.sub(r"“\1”", decoded.replace("\u00ad", ""))
    below = {"d": "\u0323", "b": "\u0331"}
    decoded = _BELOW.sub(lambda match: normalize("NFC", (match[2] or match[3]) + below[match[1]]), decoded)
    decoded = re.sub(r"\\([,;:])|\\[/@!]", lambda match: " " if match[1] else "", decoded)
    decoded = _TAG.sub("", _COMMAND.sub(lambda match: _SIGNS.get(match[1], ""), decoded))
    decoded = re.sub(r"\\([$&%#_{}])", r"\1", re.sub(r"(?<!\\)[{}]", "", decoded))
    return _ENTITY.sub(lambda match: unescape(match[0]), decoded)


def _address(tex: str) -> str:
    """An address as browsers take it, where TeX's signs for its characters stand in it."""
    plain = re.sub(r"\\(?:url|path|nolinkurl)\s*(?=\{)", "", tex)
    plain = re.sub(r"\{?\\textasciitilde\s*(?:\{\})?\}?|\\~\{\}|\$\\sim\$", "~", plain)
    return re.sub(r"\\([_%&#~{}$])", r"\1", re.sub(r"(?<!\\)[{}]", "", plain))


@dataclass(frozen=True, slots=True)
class Citation:
    """How a figure is cited: its address, whole or from the page it is on, in words, and as BibTeX."""

    address: str
    words: str
    bibtex: str


def of_report(report: Report) -> str:
    """How to cite the report, from CITATION.cff's year and report.yaml."""
    url = report.base_url or str(report.extra.get("repository", ""))
    return _misc(slug(report.title), report.title, report, year_of(report), url)


def of_figure(report: Report, year: str, figure: str, number: int, section: str, href: str) -> Citation:
    """How to cite a figure; ``section`` is the title of the page ``href`` that it stands on."""
    address = f"{report.base_url.rstrip('/')}/{href}" if report.base_url else href
    title = f"Figure {number}: {section}"
    people = f"{', '.join(report.authors)}. " if report.authors else ""
    words = f"{people}{title}. In: {report.title}, {year}. {address}"
    url = address if report.base_url else ""
    key = f"{slug(report.title)}-{figure}"
    bibtex = _misc(key, title, report, year, url, howpublished=f"In: {report.title}")
    return Citation(address, words, bibtex)


def _misc(key: str, title: str, report: Report, year: str, url: str, **more: str) -> str:
    fields = {
        "title": f"{{{title}}}",
        "author": " and ".join(report.authors),
        **more,
        "year": year,
        "url": url,
    }
    lines = "".join(f"  {name:<6} = {{{value}}},\n" for name, value in fields.items() if value)
    return f"@misc{{{key},\n{lines}}}"


def year_of(report: Report) -> str:
    """CITATION.cff's, or the present one."""
    citation = read_text(report.root, "CITATION.cff", default="")
    found = re.search(r"^date-released:\s*['\"]?(\d{4})", citation, re.MULTILINE)
    return found[1] if found else str(date.today().year)
