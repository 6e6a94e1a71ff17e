"""From a report and its finished cells to a site."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from markupsafe import Markup

from noisebook.cells import checks
from noisebook.cells.checks import PIXEL_TOLERANCE, PSNR_FLOOR, RELATIVE_TOLERANCE
from noisebook.cells.plan import Planned
from noisebook.render import bibliography, data, feeds
from noisebook.render.assets import Site
from noisebook.render.deliverables import delivered
from noisebook.render.figures import view
from noisebook.render.formats import slug
from noisebook.render.front import cards, mosaic, social
from noisebook.render.links import dead
from noisebook.render.onepage import joined
from noisebook.render.outputs import SUFFIXES
from noisebook.render.prose import Context, Target, Writer
from noisebook.render.styles import Styles
from noisebook.render.theme import Theme
from noisebook.render.values import Values
from noisebook.render.views import Page, parts
from noisebook.report.body import scan
from noisebook.report.model import BadInput, Figure, Position, Problem, Report, Section
from noisebook.report.reader import read_picture, read_text

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
LIVE_POLICY = CONTENT_POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
"""Of a page with a network to run, and of no other. The network runs in a worker, which has no policy of its
own in most browsers, and the page's in some: there it is needed."""
CREDITS = (("Pictures", "images/CREDITS.md"), ("Models and data", "models/README.md"))


@dataclass(frozen=True, slots=True)
class RenderSummary:
    """``pages`` of the site, of which ``written`` changed."""

    pages: int
    written: int


def render_site(
    report: Report, figures: Mapping[str, Sequence[Planned]], out: Path, *, keep_stale: bool = False
) -> RenderSummary:
    """Write the site of ``report`` to ``out``; ``figures`` gives the planned cells of each figure by its id.

    Everything is rendered before the first byte is written, so that a mistake leaves the old site as it was.
    A page whose content has not changed is not touched; files that an earlier call wrote and nothing needs
    any more are removed, and no others. With ``keep_stale`` a cell that is not there shows an older version
    of itself, marked as such. Raises BadInput.
    """
    return _Renderer(report, figures, out, keep_stale).render()


def proofread(report: Report) -> None:
    """Find what is wrong with a report's text before its figures are computed. Raises BadInput."""
    _Renderer(report, {}, report.root, False).read()


class _Renderer:
    def __init__(
        self, report: Report, figures: Mapping[str, Sequence[Planned]], out: Path, keep_stale: bool
    ) -> None:
        self.report, self.planned, self.keep_stale = report, figures, keep_stale
        self.site, self.styles = Site(out), Styles()
        self.theme = Theme(report.root, self.site)
        self.live: dict[str, Any] | None = None
        self.works = self._bibliography()
        self.checks = next(
            (checks.read(cell.store.place) for cells in figures.values() for cell in cells), {}
        )
        self.pages = list(map(Page, report.sections))
        self.targets: dict[str, Target] = {}
        self.numbers: dict[str, int] = {}
        pages = {page.section.slug: page.href for page in self.pages}
        self.writer = Writer(
            Context(
                self.targets,
                self.works,
                self.styles,
                self._image,
                pages,
                report.macros,
                self._near,
                report.root,
                Values(figures, keep_stale=keep_stale),
            )
        )
        for page in self.pages:
            self._set_title(page)
            self._name_targets(page)

    def _set_title(self, page: Page) -> None:
        """Formulas in a section's title and summary: set as such on pages, in words everywhere else."""
        section = page.section
        page.title_html, title = self.writer.title(section.title, Position(section.path))
        page.summary_html, summary = self.writer.title(section.summary, Position(section.path))
        page.section = replace(section, title=title, summary=summary)

    def _name_targets(self, page: Page) -> None:
        """What references to a section and to its figures say; figures are numbered through the report."""
        section = page.section
        words = f"Section {section.number}" if section.number else f"“{section.title}”"
        self.targets[section.slug] = Target(words, page.href, section.title)
        for figure in in_order(section):
            number = self.numbers[figure.id] = len(self.numbers) + 1
            href = f"{page.href}#fig-{figure.id}"
            self.targets[figure.id] = Target(f"Figure {number}", href, page.title)

    def render(self) -> RenderSummary:
        self.read()
        credits = self._credits()
        shared = self._shared()
        for index, page in enumerate(self.pages):
            self._page(
                page.href,
                {**shared, "policy": LIVE_POLICY} if page.live else shared,
                template="section.html",
                page=page,
                title=page.name,
                description=page.section.summary,
                previous=self.pages[index - 1] if index else None,
                next=self.pages[index + 1] if index + 1 < len(self.pages) else None,
                social=social(page.cards, self.report.base_url, self.site),
            )
            for href, part in page.further.items():
                title = f"Figure {part.number}, from cell {part.first}"
                self._page(href, shared, template="part.html", page=page, figure=part, title=title)
        self._own_pages(shared, credits)
        self.site.add(".nojekyll", b"")
        self.site.add("manifest.json", data.manifest(self.report.title, self.pages))
        if self.report.base_url:
            self._page("404.html", shared, title="Not found")
            lost = self.site.read("404.html").decode()
            self.site.add("404.html", feeds.anywhere(lost, self.report.base_url).encode())
            for name, content in feeds.files(self.report, [(page.href, page.section) for page in self.pages]):
                self.site.add(name, content)
        written = self.site.write()
        own = 4 + bool(self.works) + bool(self.report.deliverables)
        return RenderSummary(len(self.pages) + own, len(written))

    def read(self) -> None:
        """Write the prose of every section. Raises BadInput."""
        problems = [problem for page in self.pages for problem in self._section(page)]
        written = {page.section.slug: page.prose.html for page in self.pages}
        problems = problems or dead(self.writer.context.links, written)
        if problems:
            raise BadInput(problems)

    def _section(self, page: Page) -> list[Problem]:
        """Write a section's prose and figures; what is wrong with them."""
        section = page.section
        problems: list[Problem] = []
        html: dict[str, str] = {}
        for figure in in_order(section):
            shown = view(
                figure,
                self.numbers[figure.id],
                self.planned.get(figure.id, ()),
                self.site,
                self.styles,
                model=self.report.model,
                keep_stale=self.keep_stale,
            )
            for cell in shown.cells:
                cell.check = self.checks.get(cell.key)
            try:
                shown.caption = self.writer.inline(figure.caption, figure.position)
            except BadInput as error:
                problems += error.problems
            page.figures.append(shown)
            if shown.live and not self.live:
                self.live = self.theme.live()
            some = parts(shown, page.href, f"{section.slug}--{figure.id}")
            html[figure.id] = self.theme.render("figure.html", figure=some.pop(page.href), live=self.live)
            page.further.update(some)
        try:
            page.prose = self.writer.body(
                section.body, section.path, section.body_line, lambda name: html.get(name, "")
            )
        except BadInput as error:
            return problems + error.problems
        placed = page.prose.figures
        page.prose.html += Markup("".join(text for name, text in html.items() if name not in placed))
        page.references = [self.works[key] for key in page.prose.cited]
        page.cards = cards(page.figures, self.site)
        return problems

    def _own_pages(self, shared: Mapping[str, Any], credits: Sequence[tuple[str, Markup]]) -> None:
        """The pages that every site has."""
        front = mosaic([page.cards for page in self.pages])
        card = social(front, self.report.base_url, self.site)
        said = self.report.description
        self._page("index.html", shared, title="", description=said, mosaic=front, social=card)
        self._page(
            "validation.html",
            shared,
            title="Validation",
            description="What stands behind the figures, taken from the records of the runs that made them.",
            everything=[(page, figure) for page in self.pages for figure in page.figures],
            needed=data.behind(self.planned, self.checks),
            tolerances={"pixels": PIXEL_TOLERANCE, "psnr": PSNR_FLOOR, "relative": RELATIVE_TOLERANCE},
        )
        addresses = {page.href: page.section.slug for page in self.pages} | {"references.html": "all-works"}
        self._page(
            "print.html",
            shared,
            title="The whole report",
            description="All sections on one page, to print or to save as a PDF.",
            articles=[
                (page, Markup(joined(page.prose.html, page.section.slug, addresses))) for page in self.pages
            ],
        )
        said = "How to cite this report, and whose pictures, data and models are in it."
        self._page("credits.html", shared, title="Credits", description=said, text=credits)
        if self.report.deliverables:
            self._page(
                "deliverables.html",
                shared,
                title="Deliverables",
                description="What is to be handed in, and how far it is.",
                items=delivered(self.report, self.planned),
                targets=self.targets,
            )
        if self.works:
            said = "The works that this report refers to."
            self._page("references.html", shared, title="References", description=said)

    def _page(self, name: str, shared: Mapping[str, Any], *, template: str = "", **values: Any) -> None:
        values = {**shared, "href": name, "description": "", "social": "", **values}
        self.site.add(name, self.theme.render(template or name, **values).encode())

    def _shared(self) -> dict[str, Any]:
        """What every page's template sees."""
        extra = self.report.extra
        groups: list[tuple[str, str, list[Page]]] = []
        for page in self.pages:
            letter = page.section.part
            if not groups or groups[-1][0] != letter:
                groups.append((letter, self.report.parts.get(letter, ""), []))
            groups[-1][2].append(page)
        return {
            "report": self.report,
            "parts": groups,
            "pages": self.pages,
            "works": list(self.works.values()),
            "formulas": self._formulas,
            "policy": CONTENT_POLICY,
            "repository": extra.get("repository", ""),
            "licence": extra.get("licence", ""),
            "citation": bibliography.of_report(self.report),
            "live": self.live,
            # Named alike whatever it holds, so that an edit of one page writes one page.
            "search": self.site.add("assets/search.js", data.search_index(self.pages)),
            **self.theme.assets(self.styles),
        }

    def _bibliography(self) -> Mapping[str, bibliography.Work]:
        name = str(self.report.extra.get("bibliography") or "references.bib")
        return bibliography.parse(read_text(self.report.root, name, default=""), name)

    def _formulas(self, text: str) -> Markup:
        """Words with formulas, as the title of a work has them."""
        return self.writer.title(text, Position("references.bib"))[0]

    def _image(self, path: str) -> tuple[str, int, int]:
        """A picture that the text names, as an asset; its suffix is told by its content. Raises BadFile."""
        content, found = read_picture(self.report.root, path, Position(path))
        name = self.site.add_hashed(slug(Path(path).stem), SUFFIXES[found.mime], content)
        return name, found.width, found.height

    def _near(self, path: str) -> str:
        """The path of the report's own picture that is called most like ``path``."""
        pictures = [
            each.relative_to(self.report.root).as_posix()
            for folder in ("images", "sections")
            for each in sorted((self.report.root / folder).rglob("*"))
            if each.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")
        ]
        return next(iter(get_close_matches(path, pictures, n=1)), "")

    def _credits(self) -> list[tuple[str, Markup]]:
        """The report's own files of credits, as the credits page shows them."""
        found = []
        for title, name in CREDITS:
            text = read_text(self.report.root, name, default="")
            if text:
                text = re.sub(r"\A\s*#[^\n]*\n", "", text)
                found.append((title, self.writer.body(text, name, 1, lambda _: "").html))
        return found


def in_order(section: Section) -> list[Figure]:
    """A section's figures as its reader meets them: as placed in the body, then the others."""
    placed = [span.value for span in scan(section.body)[0] if span.kind == "figure"]
    order = {name: index for index, name in reversed(list(enumerate(placed)))}
    return sorted(section.figures, key=lambda figure: order.get(figure.id, len(placed)))
