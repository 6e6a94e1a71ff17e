"""From written sections to the pages of a site: what has to be done again at any edit, and needs no cell."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from noisebook.cells.checks import PIXEL_TOLERANCE, PSNR_FLOOR, RELATIVE_TOLERANCE, Check
from noisebook.render import bibliography, citation, data, feeds
from noisebook.render.context import BadProse, Context, Prose, Target
from noisebook.render.formats import SUFFIXES, slug
from noisebook.render.front import mosaic, social
from noisebook.render.links import Link, dead, source_address
from noisebook.render.onepage import joined
from noisebook.render.prose import Writer
from noisebook.render.styles import Styles
from noisebook.render.views import Page
from noisebook.report.model import BadInput, Position, Problem, Report
from noisebook.report.reader import read_picture

if TYPE_CHECKING:
    from noisebook.cells.contract import Json
    from noisebook.render.assets import Site
    from noisebook.render.deliverables import Delivered
    from noisebook.render.theme import Theme

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
LIVE_POLICY = CONTENT_POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
"""Of a page with something to run, and of no other. The network runs in a worker, which has no policy of its
own in most browsers, and the page's in some: there it is needed."""


@dataclass(frozen=True, slots=True)
class RenderSummary:
    """``pages`` of the site, of which ``written`` changed."""

    pages: int
    written: int


@dataclass(slots=True)
class Written:
    """A report whose sections are written.

    Attributes:
        report: what report.yaml says of it; the sections are those of the pages.
        targets: what ``{{ ref(…) }}`` may name.
        works: the bibliography; None if it cannot be read.
        titled: what report.yaml says of the report, and its parts, as HTML and in words.
        credits: the texts of the page on credits, with their titles.
        needed: name, provenance and check of each cell that no figure shows and others were computed from.
        styles, links, pictures: of titles; each page has its own.
        values: the numbers that texts quote, by their places and names.
        made: of each page that shows one section, a digest of what it was made of, by its name.
        delivered: what is to be handed in, and how far it is.
    """

    report: Report
    pages: list[Page]
    works: Mapping[str, bibliography.Work] | None
    titled: dict[str, tuple[Markup, str]] = field(default_factory=dict)
    credits: list[tuple[str, Prose]] = field(default_factory=list)
    targets: dict[str, Target] = field(default_factory=dict)
    needed: Sequence[tuple[str, Mapping[str, Json], Check | None]] = ()
    styles: Styles = field(default_factory=Styles)
    links: list[Link] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    values: dict[tuple[str, str], str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)
    delivered: Sequence[Delivered] = ()

    def writer(
        self, site: Site, value: Callable[[str, str], str] | None = None, page: Page | None = None
    ) -> Writer:
        """What turns its texts, or a page's, into HTML; pictures that they name are added to ``site``.

        ``value`` gives the numbers that they quote; without it, those that were quoted before.
        """
        root, of = self.report.root, page or self

        def quoted(place: str, name: str) -> str:
            if value:
                self.values[place, name] = value(place, name)
            return self.values[place, name]

        addresses = {page.section.slug: page.href for page in self.pages}
        addresses |= {name: f"{name}.html" for name in self.report.unread}
        return Writer(
            Context(
                self.targets,
                self.works,
                of.styles,
                lambda path: _picture(root, path, site),
                addresses,
                self.report.macros,
                lambda path: _near(root, path),
                root,
                quoted,
                of.links,
                of.pictures,
                self.report.language,
            )
        )

    def write_body(self, page: Page, writer: Writer) -> None:
        """The prose of a section, whose figures are drawn. Raises BadInput."""
        section, problems = page.section, []
        try:
            page.prose = writer.body(
                section.body, section.path, section.body_line, lambda name: page.drawn.get(name, "")
            )
        except BadProse as bad:
            page.prose, problems = bad.prose, bad.problems
        placed = page.prose.figures
        page.prose.html += Markup("".join(text for name, text in page.drawn.items() if name not in placed))
        if problems:
            raise BadInput(problems)
        page.references = [(self.works or {})[key] for key in page.prose.cited]
        page.search = data.searched(page)
        addresses = {each.href: each.section.slug for each in self.pages} | {"references.html": "all-works"}
        page.joined = Markup(joined(page.prose.html, section.slug, addresses))
        page.stamp = os.urandom(8).hex()

    def check_links(self, problems: Sequence[Problem] = ()) -> None:
        """Raises BadInput for links that lead nowhere, together with the ``problems`` that there are."""
        links = [*self.links, *(link for page in self.pages for link in (*page.links, *page.prose.links))]
        links += (link for _, prose in self.credits for link in prose.links)
        pages: dict[str, str | None] = {page.section.slug: page.prose.html for page in self.pages}
        unread = self.report.unread
        if found := [*problems, *dead(links, dict.fromkeys(unread) | pages, unread)]:
            raise BadInput(found)

    def finish(self, site: Site, theme: Theme) -> RenderSummary:
        """Write every page to ``site``, which has the assets of figures and bodies. Raises BadInput."""
        pages = _Pages(self, site, theme)
        pages.add()
        own = 4 + bool(self.works) + bool(self.delivered)
        return RenderSummary(len(self.pages) + own, len(site.write()))


class _Pages:
    def __init__(self, written: Written, site: Site, theme: Theme) -> None:
        self.written, self.site, self.theme = written, site, theme
        self.pages, self.works = written.pages, written.works or {}
        root, repository = written.report.root, str(written.report.extra.get("repository", ""))
        self.sources = source_address(repository, root)
        self.writer = written.writer(site)
        self.titled = {name: shown for name, (shown, _) in written.titled.items()}
        """What the report says of itself, and its parts, as HTML; ``report`` has it in words."""
        self.report = self._in_words(written.report)
        self.shared = self._shared()
        self.common = self._common()
        self.mosaic = mosaic([page.cards for page in self.pages])
        stills = self.mosaic or [card for page in self.pages for card in page.cards]
        self.card = social(stills[:9], self.report.base_url, site)
        self.made: dict[str, str] = {}

    def _in_words(self, report: Report) -> Report:
        """Formulas in titles are set as such on pages, and are words in everything else."""

        said = {name: words for name, (_, words) in self.written.titled.items()}
        return replace(
            report,
            title=said["title"],
            subtitle=said["subtitle"],
            description=said["description"],
            parts={letter: said[f"part {letter}"] for letter in report.parts},
        )

    def add(self) -> None:
        for index, page in enumerate(self.pages):
            card = social(page.cards, self.report.base_url, self.site) or self.card
            self._page(
                page.href,
                template="section.html",
                policy=LIVE_POLICY if page.live else CONTENT_POLICY,
                page=page,
                title=page.name,
                description=page.section.summary,
                previous=self.pages[index - 1] if index else None,
                next=self.pages[index + 1] if index + 1 < len(self.pages) else None,
                social=card,
                edit=self.sources and self.sources + page.section.path,
                stamp=page.stamp,
            )
            for href, part in page.further.items():
                shown = {"page": page, "figure": part.figure, "title": part.title, "social": card}
                self._page(href, template=part.template, stamp=page.stamp, **shown)
        self.written.made = self.made
        self._own_pages()
        self.site.add(".nojekyll", b"")
        self.site.add("manifest.json", data.manifest(self.report.title, self.pages))
        if self.report.base_url:
            self._page("404.html", title="Not found")
            lost = self.site.read("404.html").decode()
            self.site.add("404.html", feeds.anywhere(lost, self.report.base_url).encode())
            for name, content in feeds.files(self.report, [(page.href, page.section) for page in self.pages]):
                self.site.add(name, content)

    def _own_pages(self) -> None:
        """The pages that every site has."""
        said = self.report.description
        self._page("index.html", title="", description=said, mosaic=self.mosaic)
        self._page(
            "validation.html",
            title="Validation",
            description="What stands behind the figures, taken from the records of the runs that made them.",
            everything=[(page, figure) for page in self.pages for figure in page.listed],
            needed=self.written.needed,
            tolerances={"pixels": PIXEL_TOLERANCE, "psnr": PSNR_FLOOR, "relative": RELATIVE_TOLERANCE},
        )
        self._page(
            "print.html",
            title="The whole report",
            description="All sections on one page, to print or to save as a PDF.",
            articles=[(page, page.joined) for page in self.pages],
        )
        said = "How to cite this report, and whose pictures, data and models are in it."
        text = [(title, prose.html) for title, prose in self.written.credits]
        self._page("credits.html", title="Credits", description=said, text=text)
        if self.written.delivered:
            self._page(
                "deliverables.html",
                title="Deliverables",
                description="What is to be handed in, and how far it is.",
                items=self.written.delivered,
                targets=self.written.targets,
            )
        if self.works:
            said = "The works that this report refers to."
            self._page("references.html", title="References", description=said)

    def _page(self, name: str, *, template: str = "", stamp: str = "", **values: Any) -> None:
        """Render a page; one of a section, whose ``stamp`` it has, only if something has changed."""
        values = {**self.shared, "href": name, "description": "", "social": self.card, **values}
        if stamp:
            around = [values["social"], *(_beside(values.get(each)) for each in ("previous", "next"))]
            self.made[name] = hashlib.sha256(f"{self.common}{stamp}{around}".encode()).hexdigest()
            if self.written.made.get(name) == self.made[name] and self.site.keep(name):
                return
        if figure := values.get("figure"):
            values["figure"] = figure.value
        self.site.add(name, self.theme.render(template or name, **values).encode())

    def _common(self) -> str:
        """All that pages of sections show of the rest of the report."""
        report = replace(self.report, root=Path(), sections=(), places={})
        shared = {name: value for name, value in self.shared.items() if name in COMMON}
        beside = [(letter, title, list(map(_beside, pages))) for letter, title, pages in self.shared["parts"]]
        return repr((report, self.titled, self.sources, shared, beside))

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
            "titled": self.titled,
            "parts": groups,
            "pages": self.pages,
            "works": list(self.works.values()),
            "formulas": lambda work: self.writer.title(work.title_as_text, work.position)[0],
            "policy": CONTENT_POLICY,
            "repository": extra.get("repository", ""),
            "licence": extra.get("licence", ""),
            "citation": citation.of_report(self.written.report, self.report.title),
            # Named alike whatever it holds, so that an edit of one page writes one page.
            "search": self.site.add("assets/search.js", data.search_index(self.pages)),
            "figures": self.site.add("assets/figures.js", data.figure_index(self.pages)),
            **self.theme.assets(self._styles()),
        }

    def _styles(self) -> Styles:
        """Those of everything that is written."""
        found = Styles()
        bodies = [*(page.prose for page in self.pages), *(prose for _, prose in self.written.credits)]
        own = [page.styles for page in self.pages]
        for styles in (self.written.styles, *own, *(body.styles for body in bodies)):
            found.add(styles)
        return found


COMMON = (
    "works", "repository", "licence", "citation", "search", "figures", "sheet", "fonts", "math_font",
    "first_script", "script", "search_engine", "icon",
)  # fmt: skip
"""What every page's template sees, besides the report and its pages."""


def _beside(page: Page | None) -> object:
    """What other pages show of a page."""
    return page and (page.href, page.name, page.number, page.title_html, page.summary_html, page.section.part)


def _picture(root: Path, path: str, site: Site) -> tuple[str, int, int]:
    """A picture that a text names, as an asset; its suffix is told by its content. Raises BadFile."""
    content, found = read_picture(root, path, Position(path))
    name = site.add_hashed(slug(Path(path).stem), SUFFIXES[found.mime], content)
    return name, found.width, found.height


def _near(root: Path, path: str) -> str:
    """The path of the report's own picture that is called most like ``path``."""
    pictures = [
        each.relative_to(root).as_posix()
        for folder in ("images", "sections")
        for each in sorted((root / folder).rglob("*"))
        if each.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".gif", ".svg")
    ]
    return next(iter(get_close_matches(path, pictures, n=1)), "")
