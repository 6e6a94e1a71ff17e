"""From a report and its finished cells to a site."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from markupsafe import Markup

from noisebook.cells import checks
from noisebook.cells.plan import Planned
from noisebook.render import bibliography, citation, data
from noisebook.render.assets import Site
from noisebook.render.choices import samples
from noisebook.render.context import BadProse, Target
from noisebook.render.deliverables import delivered
from noisebook.render.figures import view
from noisebook.render.front import cards
from noisebook.render.keeping import Kept
from noisebook.render.listed import listed, states
from noisebook.render.pages import RenderSummary, Written
from noisebook.render.theme import Theme
from noisebook.render.typography import quotes
from noisebook.render.values import Values
from noisebook.render.views import FigureView, Further, Page, parts
from noisebook.report.body import scan
from noisebook.report.model import BadInput, Figure, Place, Position, Problem, Report, Section
from noisebook.report.reader import read_text

CREDITS = (
    ("Pictures", "images/CREDITS.md"),
    ("Models and data", "models/README.md"),
    ("Photographs of the library", "models/PHOTOGRAPHS.md"),
)
"""The texts of the page on credits: title and file, whose first heading is left out."""


class Before(Protocol):
    """The last build of a site: :class:`noisebook.render.again.Last`."""

    @property
    def written(self) -> Written: ...
    def same(self, page: Page) -> bool:
        """Whether the file of a page's section is as it was."""


def render_site(
    report: Report,
    figures: Mapping[str, Sequence[Planned]],
    out: Path,
    *,
    keep_stale: bool = False,
    before: Before | None = None,
) -> tuple[Written, RenderSummary]:
    """Write the site of ``report`` to ``out``; ``figures`` gives the planned cells of each figure by its id.

    Everything is rendered before the first byte is written, so that a mistake leaves the old site as it was.
    A page whose content has not changed is not touched; files that an earlier call wrote and nothing needs
    any more are removed, and no others. With ``keep_stale`` a cell that is not there shows an older version
    of itself, marked as such. ``before`` is the last build of this site, where nothing but sections' files
    has changed since: pages of sections that show what they showed then are taken from it. Given back is also
    what its pages were made of. Raises BadInput.
    """
    site = Site(out)
    theme = Theme(report.root, site)
    found = _Sections(report, figures, site, theme, keep_stale, before).write()
    return found, found.finish(site, theme)


def proofread(
    report: Report, figures: Mapping[str, Sequence[Planned]] | None = None, before: Before | None = None
) -> None:
    """Find what is wrong with a report's text before its figures are computed. Raises BadInput.

    Where their planned cells are known, so is which of them a text may quote. ``before`` is the last build as
    for :func:`render_site`: what it has read is not read again.
    """
    site = Site(report.root)
    sections = _Sections(report, {}, site, Theme(report.root, site), False, before)
    sections.values.figures = figures or {}
    sections.write()


class _Sections:
    def __init__(
        self,
        report: Report,
        figures: Mapping[str, Sequence[Planned]],
        site: Site,
        theme: Theme,
        keep_stale: bool,
        before: Before | None = None,
    ) -> None:
        self.planned, self.site, self.theme, self.keep_stale = figures, site, theme, keep_stale
        self.checks = next(
            (checks.read(cell.store.place) for cells in figures.values() for cell in cells), {}
        )
        self.problems: list[Problem] = []
        self.written = Written(report, list(map(Page, report.sections)), self._works(report))
        self.values = Values(figures, keep_stale=keep_stale)
        self.writer = self.written.writer(site, self.values)
        self._write_own(report)
        self.title = self.written.titled["title"][1]
        """The report's, its formulas in words."""
        self.written_as = {section.slug: section.title for section in report.sections}
        self.year = citation.year_of(report)
        self.numbers: dict[str, int] = {}
        self.written.targets |= {name: Target(name, "") for name in report.unread}
        for page in self.written.pages:
            self._set_title(page)
            self._name_targets(page)
        self.before: dict[str, Page] = {}
        if before and before.written.targets == self.written.targets:
            self.before = {page.section.path: page for page in before.written.pages if before.same(page)}
            self.written.made = before.written.made

    def write(self) -> Written:
        """Figures and prose of every section. Raises BadInput with all that is wrong."""
        written = self.written
        written.pages = [self._again(page) or page for page in written.pages]
        for page in written.pages:
            if not page.stamp:
                self._section(page)
        written.check_links(self.problems)
        written.needed = data.behind(self.planned, self.checks)
        if self.planned and written.report.deliverables:
            written.delivered = delivered(written.report, self.planned)
        return written

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """What is wrong is told once all has been looked at."""
        try:
            yield
        except BadInput as error:
            self.problems += error.problems

    def _works(self, report: Report) -> Mapping[str, bibliography.Work] | None:
        """The bibliography, if it can be read."""
        named = str(report.extra.get("bibliography") or "")
        name = named or "references.bib"
        if "report.yaml" in report.unread or (named and not (report.root / named).exists()):
            return None
        with self._noting():
            text = read_text(report.root, name, default="")
            try:
                return bibliography.parse(text, name)
            except BadInput as error:
                self.problems += error.problems
                return bibliography.named(text, name)
        return None

    def _title(self, text: str, place: Place | Position) -> tuple[Markup, str]:
        """A title as HTML and in words."""
        with self._noting():
            return self.writer.title(text, place)
        return Markup(""), text

    def _write_own(self, report: Report) -> None:
        """What the report says of itself, and whose work is in it."""
        texts = {name: getattr(report, name) for name in ("title", "subtitle", "description")}
        texts |= {f"part {letter}": title for letter, title in report.parts.items()}
        for name, text in texts.items():
            self.written.titled[name] = self._title(text, report.places.get(name, Position("report.yaml")))
        for work in (self.written.works or {}).values():
            if "$" in work.title_as_text:
                self._title(work.title_as_text, work.position)
        for title, name in CREDITS:
            with self._noting():
                text = read_text(report.root, name, default="")
                heading = re.match(r"\s*#[^\n]*\n", text)
                start = heading.end() if heading else 0
                line = 1 + text.count("\n", 0, start)
                try:
                    prose = self.writer.body(text[start:], name, line, lambda _: "")
                except BadProse as bad:
                    prose, self.problems = bad.prose, [*self.problems, *bad.problems]
                if text:
                    self.written.credits.append((title, prose))
                    self.written.pictures += prose.pictures

    def _set_title(self, page: Page) -> None:
        """Formulas in a section's title and summary: set as such on pages, in words everywhere else."""
        section = page.section
        page.title_html, title = self._title(section.title, section.places["title"])
        page.summary_html, summary = self._title(section.summary, section.places["summary"])
        page.section = replace(section, title=title, summary=summary)

    def _name_targets(self, page: Page) -> None:
        """What references to a section and to its figures say; figures are numbered through the report."""
        section, targets = page.section, self.written.targets
        words = (
            f"Section {section.number}"
            if section.number
            else section.title.join(quotes(self.written.report.language)[:2])
        )
        targets[section.slug] = Target(words, page.href, section.title)
        for figure in in_order(section):
            number = self.numbers[figure.id] = len(self.numbers) + 1
            href = f"{page.href}#fig-{figure.id}"
            targets[figure.id] = Target(f"Figure {number}", href, page.title)

    def _again(self, page: Page) -> Page | None:
        """The section's page of the last build, if it would be the same now."""
        section, last = page.section, self.before.get(page.section.path)
        if last is None or any("value(" in text for text in (section.body, *_captions(section))):
            return None
        if self.planned and not (self._as_shown(last) and self._kept(last)):
            return None
        return replace(last, section=section, title_html=page.title_html, summary_html=page.summary_html)

    def _as_shown(self, last: Page) -> bool:
        """Whether the cells of a page's figures are those that it shows."""
        for shown in last.listed:
            cells = self.planned.get(shown.id, ())
            if not all(cell.cached for cell in cells):
                return False
            if shown.states != states((cell.key, "cached") for cell in cells):
                return False
        return True

    def _kept(self, last: Page) -> bool:
        """Whether the files that a page shows stand where they stood."""
        return all(map(self.site.keep, (*last.assets, *last.prose.pictures)))

    def _section(self, page: Page) -> None:
        """Draw a section's figures and write its prose."""
        with self.site.noting() as page.assets:
            self._figures(page)
        with self._noting():
            self.written.write_body(page, self.writer)

    def _figures(self, page: Page) -> None:
        """Draw a section's figures."""
        section, writer = page.section, self.written.writer(self.site, self.values, page)
        figures: list[FigureView] = []
        for figure in in_order(section):
            if re.search(r"[$\\*_`\[&<~]", figure.alt):
                with self._noting():
                    figure = replace(figure, alt=writer.title(figure.alt, figure.places["alt"])[1])
            shown = view(
                figure,
                self.numbers[figure.id],
                self.planned.get(figure.id, ()),
                self.site,
                page.styles,
                model=self.written.report.model,
                keep_stale=self.keep_stale,
            )
            for cell in shown.cells:
                cell.check = self.checks.get(cell.key)
            with self._noting():
                planned, root = self.planned.get(figure.id, ()), self.written.report.root
                if found := samples(figure, planned, root, self.site):
                    shown.samples = replace(found, href=f"{section.slug}--{figure.id}-all.html")
            with self._noting():
                shown.caption = writer.inline(figure.caption, figure.places["caption"])
            figures.append(shown)
            shown.cards = cards([shown], self.site)[:3]
            shown.citation = citation.of_figure(
                self.written.report,
                (self.title, section.title),
                self.year,
                figure.id,
                shown.number,
                self.written_as[section.slug],
                f"{page.href}#fig-{figure.id}",
            )
            some = parts(shown, page.href, f"{section.slug}--{figure.id}")
            page.drawn[figure.id] = self.theme.render("figure.html", figure=some.pop(page.href))
            page.further |= {
                href: Further("part.html", f"Figure {part.number}, from cell {part.first}", Kept(part))
                for href, part in some.items()
            }
            if shown.samples:
                title = f"Samples of figure {shown.number}"
                page.further[shown.samples.href] = Further("samples.html", title, Kept(shown))
            page.listed.append(listed(shown, page))
        page.cards = cards(figures, self.site)


def _captions(section: Section) -> Iterator[str]:
    for figure in section.figures:
        yield from (figure.caption, figure.alt)


def in_order(section: Section) -> list[Figure]:
    """A section's figures as its reader meets them: as placed in the body, then the others."""
    placed = [span.value for span in scan(section.body)[0] if span.kind == "figure"]
    order = {name: index for index, name in reversed(list(enumerate(placed)))}
    return sorted(section.figures, key=lambda figure: order.get(figure.id, len(placed)))
