"""How a report and its figures are cited, in words and as BibTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from noisebook.render import latex
from noisebook.render.formats import slug
from noisebook.report.model import Report
from noisebook.report.reader import read_text


@dataclass(frozen=True, slots=True)
class Citation:
    """How a figure is cited: its address, whole or from the page it is on, in words, and as BibTeX."""

    address: str
    words: str
    bibtex: str


def of_report(report: Report, title: str) -> str:
    """How to cite the report, from CITATION.cff's year and report.yaml; ``title`` is its own in words."""
    url = report.base_url or str(report.extra.get("repository", ""))
    return _misc(slug(title), report.title, report, year_of(report), url)


def of_figure(
    report: Report, titles: tuple[str, str], year: str, figure: str, number: int, section: str, href: str
) -> Citation:
    """How to cite a figure of the page ``href``.

    ``titles`` are the report's and the page's in words; ``section`` is the page's as it is written.
    """
    address = f"{report.base_url.rstrip('/')}/{href}" if report.base_url else href
    people = f"{', '.join(report.authors)}. " if report.authors else ""
    words = f"{people}Figure {number}: {titles[1]}. In: {titles[0]}, {year}. {address}"
    url = address if report.base_url else ""
    key = f"{slug(titles[0])}-{figure}"
    place = f"In: {latex.written(report.title)}"
    bibtex = _misc(key, f"Figure {number}: {section}", report, year, url, howpublished=place)
    return Citation(address, words, bibtex)


def _misc(key: str, title: str, report: Report, year: str, url: str, **more: str) -> str:
    fields = {
        "title": f"{{{latex.written(title)}}}",
        "author": " and ".join(map(latex.written, report.authors)),
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
