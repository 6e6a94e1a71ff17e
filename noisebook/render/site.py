"""From a report and its finished cells to a site."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from traceback import extract_tb
from typing import Any

from markupsafe import Markup

from noisebook.cells import checks
from noisebook.cells.checks import PIXEL_TOLERANCE, PSNR_FLOOR, RELATIVE_TOLERANCE
from noisebook.cells.plan import Planned
from noisebook.cells.record import Record
from noisebook.progress import duration, size
from noisebook.render import bibliography, feeds, runtime
from noisebook.render.assets import Site, social
from noisebook.render.figures import FigureView, Picture, card, older, parts, view
from noisebook.render.prose import Context, Prose, Target, Writer, plain
from noisebook.render.styles import Styles
from noisebook.report.model import BadInput, Figure, Position, Problem, Report, Section

MANIFEST_FORMAT = 1
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
LIVE_POLICY = CONTENT_POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
"""Of a page with a network to run, and of no other. The network runs in a worker, which has no policy of its
own in most browsers, and the page's in some: there it is needed."""
FONT_URL = re.compile(r'url\("?fonts/([\w.-]+)"?\)')


@dataclass(frozen=True, slots=True)
class RenderSummary:
    """``pages`` of the site, of which ``written`` changed."""

    pages: int
    written: int


@dataclass(slots=True)
class Page:
    """One section's page on its way."""

    section: Section
    href: str
    figures: list[FigureView] = field(default_factory=list)
    prose: Prose | None = None
    references: list[bibliography.Work] = field(default_factory=list)
    cards: list[Picture] = field(default_factory=list)
    further: dict[str, FigureView] = field(default_factory=dict)
    """Parts of large figures, each by the address of a page of its own."""

    @property
    def live(self) -> bool:
        return any(figure.live for figure in self.figures)

    @property
    def title(self) -> str:
        return self.section.title

    @property
    def number(self) -> str:
        return self.section.number


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


class _Renderer:
    def __init__(
        self, report: Report, figures: Mapping[str, Sequence[Planned]], out: Path, keep_stale: bool
    ) -> None:
        self.report, self.planned, self.keep_stale = report, figures, keep_stale
        self.site, self.styles = Site(out), Styles()
        self.live: dict[str, Any] | None = None
        self.works = self._bibliography()
        self.checks = next(
            (checks.read(cell.store.place) for cells in figures.values() for cell in cells), {}
        )
        self.pages = [Page(section, f"{section.slug}.html") for section in report.sections]
        self.targets: dict[str, Target] = {}
        numbered: list[tuple[Page, Figure]] = []
        for page in self.pages:
            section = page.section
            words = f"Section {section.number}" if section.number else f"“{section.title}”"
            self.targets[section.slug] = Target(words, page.href, section.title)
            numbered.extend((page, figure) for figure in in_order(section))
        self.numbers = {figure.id: number for number, (_, figure) in enumerate(numbered, 1)}
        for page, figure in numbered:
            self.targets[figure.id] = Target(
                f"Figure {self.numbers[figure.id]}", f"{page.href}#fig-{figure.id}", page.title
            )
        self.writer = Writer(
            Context(
                self.targets,
                self.works,
                self.styles,
                self._image,
                {page.section.slug: page.href for page in self.pages},
            )
        )

    def render(self) -> RenderSummary:
        from jinja2 import TemplateError, TemplateSyntaxError

        try:
            return self._render()
        except TemplateSyntaxError as error:
            raise _bad_template(f"{error.name}", error.message or "", error.lineno) from error
        except TemplateError as error:
            frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename.endswith(".html")]
            name, line = (Path(frames[-1].filename).name, frames[-1].lineno or 1) if frames else ("", 1)
            raise _bad_template(name, str(error), line) from error

    def _render(self) -> RenderSummary:
        self.environment = self._environment()
        problems: list[Problem] = []
        for page in self.pages:
            try:
                self._section(page)
            except BadInput as error:
                problems.extend(error.problems)
        if problems:
            raise BadInput(problems)
        cited = {key for page in self.pages if page.prose for key in page.prose.cited}
        self.cited = [work for work in self.works.values() if work.key in cited]
        self.credits = self._credits()
        shared = self._shared()
        for index, page in enumerate(self.pages):
            self._page(
                page.href,
                "section.html",
                {**shared, "policy": LIVE_POLICY} if page.live else shared,
                page=page,
                title=" ".join(filter(None, [page.number, page.title])),
                description=page.section.summary,
                previous=self.pages[index - 1] if index else None,
                next=self.pages[index + 1] if index + 1 < len(self.pages) else None,
                social=self._social(page.cards),
            )
            for href, part in page.further.items():
                title = f"Figure {part.number}, from cell {part.first}"
                self._page(href, "part.html", shared, page=page, figure=part, title=title)
        mosaic = self._mosaic()
        self._page(
            "index.html",
            "index.html",
            shared,
            title="",
            description=self.report.description,
            mosaic=mosaic,
            social=self._social(mosaic),
        )
        everything = [(page, figure) for page in self.pages for figure in page.figures]
        self._page(
            "validation.html",
            "validation.html",
            shared,
            title="Validation",
            description="What stands behind the figures, taken from the records of the runs that made them.",
            everything=everything,
            needed=self._needed(),
            tolerances={"pixels": PIXEL_TOLERANCE, "psnr": PSNR_FLOOR, "relative": RELATIVE_TOLERANCE},
        )
        said = "How to cite this report, and whose pictures, data and models are in it."
        self._page(
            "credits.html", "credits.html", shared, title="Credits", description=said, text=self.credits
        )
        if self.works:
            said = "The works that this report refers to."
            self._page("references.html", "references.html", shared, title="References", description=said)
        self.site.add(".nojekyll", b"")
        self.site.add("manifest.json", self._manifest())
        if self.report.base_url:
            for name, data in feeds.files(self.report, [(page.href, page.section) for page in self.pages]):
                self.site.add(name, data)
        written = self.site.write()
        return RenderSummary(len(self.pages) + 3 + bool(self.works), len(written))

    # Pages

    def _section(self, page: Page) -> None:
        section = page.section
        problems: list[Problem] = []
        html: dict[str, str] = {}
        template = self.environment.get_template("figure.html")
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
                problems.extend(error.problems)
            page.figures.append(shown)
            if shown.live and not self.live:
                self.live = self._live()
            some = parts(shown, page.href, f"{section.slug}--{figure.id}")
            html[figure.id] = template.render(figure=some.pop(page.href), live=self.live)
            page.further.update(some)
        try:
            page.prose = self.writer.body(
                section.body, section.path, section.body_line, lambda name: html.get(name, "")
            )
        except BadInput as error:
            problems.extend(error.problems)
        if problems:
            raise BadInput(problems)
        assert page.prose
        rest = "".join(html[figure.id] for figure in in_order(section) if figure.id not in page.prose.figures)
        page.prose.html += Markup(rest)
        page.references = [self.works[key] for key in page.prose.cited]
        page.cards = self._cards(page)

    def _live(self) -> dict[str, Any]:
        """What a network needs to run in a browser."""
        return {
            "runtime": runtime.add(PACKAGED / "onnxruntime", self.site),
            "script": self.site.add_hashed("live", ".js", self._source("live.js")),
            "worker": self.site.add_hashed("live-worker", ".js", self._source("live-worker.js")),
        }

    def _cards(self, page: Page) -> list[Picture]:
        """One, two or five pictures that stand for a section on the front page."""
        for shown in page.figures:
            every = [(cell, picture) for cell in shown.cells for picture in cell.pictures]
            found = [(cell, picture) for cell, picture in every if not picture.animated] or every
            if not found:
                continue
            first = found[0][1]
            aspect = first.width / first.height
            if first.vector:
                count = 1
            elif first.wide:
                count = min(5, max(1, round(aspect / 2)))  # rows, one above the other
            else:
                count = 5 if len(found) >= 5 else 2  # a large square and four small ones, or two
            if count == 2 and not first.wide and len(found) > 2:
                chosen = [found[0], found[round((len(found) - 1) * 2 / 3)]]
            elif len(found) > count > 1:
                chosen = [found[round(i * (len(found) - 1) / (count - 1))] for i in range(count)]
            else:
                chosen = found[:count]
            cells = {item.cell.id: item for item in self.planned[shown.id]}
            return [self._card(cells[cell.id], picture) for cell, picture in chosen]
        return []

    def _mosaic(self) -> list[Picture]:
        """Nine pictures from all over the report, or none."""
        columns = [
            [
                picture
                for picture in page.cards
                if not (picture.vector or picture.video or picture.animated or picture.wide)
            ]
            for page in self.pages
        ]
        columns = [column for column in columns if column]
        # One from each section, each time from another place in its row, until there are enough.
        found = [column[(i + turn) % len(column)] for turn in range(5) for i, column in enumerate(columns)]
        distinct = list({picture.src: picture for picture in found}.values())
        return distinct[:9] if len(distinct) >= 9 else distinct[:4] if len(distinct) >= 4 else []

    def _social(self, pictures: Sequence[Picture]) -> str:
        """The address of the picture that a link to the page is shown with; none without a base URL."""
        names = [picture.poster or picture.src for picture in pictures if not picture.vector]
        if not (names and self.report.base_url):
            return ""
        name = f"assets/social-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:16]}.jpg"
        if not self.site.has(name):
            self.site.add(name, social([self.site.read(each) for each in names]))
        return f"{self.report.base_url.rstrip('/')}/{self.site.keep(name)}"

    def _card(self, planned: Planned, picture: Picture) -> Picture:
        source = (picture.poster or picture.src).rpartition("/")[2][:16]
        record = planned.record or older(planned)
        outputs = record.outputs if record else ()
        stored = next((output for output in outputs if output.sha256.startswith(source)), None)
        return card(picture, planned.store.open(stored), self.site) if stored else picture

    def _page(self, name: str, template: str, shared: Mapping[str, Any], **values: Any) -> None:
        values = {"description": "", "social": "", **values}
        html = self.environment.get_template(template).render(shared, href=name, **values)
        self.site.add(name, html.encode())

    def _shared(self) -> dict[str, Any]:
        """What every page's template sees."""
        extra = self.report.extra
        parts: list[tuple[str, str, list[Page]]] = []
        for page in self.pages:
            letter = page.section.part
            if not parts or parts[-1][0] != letter:
                parts.append((letter, self.report.parts.get(letter, ""), []))
            parts[-1][2].append(page)
        search = json.dumps(self._search(), ensure_ascii=False, separators=(",", ":"))
        own = self.report.root / "templates" / "own.css"
        sheet = self._source("theme.css").decode() + (own.read_text("utf-8") if own.is_file() else "")
        sheet = FONT_URL.sub(lambda match: f'url("{self._font(match[1])}")', sheet)
        return {
            "report": self.report,
            "parts": parts,
            "pages": self.pages,
            "works": list(self.works.values()),
            "cited": self.cited,
            "policy": CONTENT_POLICY,
            "repository": extra.get("repository", ""),
            "licence": extra.get("licence", ""),
            "citation": bibtex(self.report),
            "sheet": self.site.add_hashed("theme", ".css", (sheet + self.styles.sheet()).encode()),
            "fonts": [
                "assets/" + self._font(f"source-{name}-latin-normal.woff2") for name in ("serif-4", "sans-3")
            ],
            "math_font": "assets/" + self._font("math.woff2"),
            "first_script": self.site.add_hashed("first", ".js", self._source("first.js")),
            "script": self.site.add_hashed("site", ".js", self._source("site.js")),
            "live": self.live,
            # Named alike whatever it holds, so that an edit of one page writes one page.
            "search": self.site.add("assets/search.js", f"window.searchIndex={search};\n".encode()),
            "icon": self.site.add_hashed("icon", ".svg", self._source("icon.svg")),
        }

    def _environment(self) -> Any:
        import jinja2

        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader([self.report.root / "templates", PACKAGED]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        environment.filters["duration"] = duration
        environment.filters["size"] = size
        return environment

    def _source(self, name: str) -> bytes:
        """A file of the theme: the report's own, else ours. Raises BadInput."""
        own = self.report.root / "templates" / name
        path = own if own.is_file() else PACKAGED / name
        if not path.is_file():
            raise _bad_template("own.css or theme.css", f"it names {name}, and there is no templates/{name}")
        return path.read_bytes()

    def _font(self, name: str) -> str:
        return self.site.add_hashed(
            name.partition(".")[0], ".woff2", self._source(f"fonts/{name}")
        ).rpartition("/")[2]

    # What pages refer to

    def _bibliography(self) -> dict[str, bibliography.Work]:
        name = self.report.extra.get("bibliography") or "references.bib"
        path = self.report.root / str(name)
        return bibliography.parse(path.read_text("utf-8"), str(name)) if path.is_file() else {}

    def _image(self, path: str) -> tuple[str, int, int] | None:
        """A picture that the text names, as an asset; None if the report has none there."""
        from PIL import Image, UnidentifiedImageError

        source = (self.report.root / path).resolve()
        if not source.is_relative_to(self.report.root.resolve()) or not source.is_file():
            return None
        data = source.read_bytes()
        try:
            with Image.open(io.BytesIO(data)) as picture:
                size = picture.size
        except UnidentifiedImageError:
            return None
        return self.site.add_hashed(_slug(source.stem), source.suffix.lower(), data), *size

    def _credits(self) -> list[tuple[str, Markup]]:
        """The report's own files of credits, as the credits page shows them."""
        found = []
        for title, name in (("Pictures", "images/CREDITS.md"), ("Models and data", "models/README.md")):
            path = self.report.root / name
            if path.is_file():
                text = re.sub(r"\A\s*#[^\n]*\n", "", path.read_text("utf-8"))
                found.append((title, self.writer.body(text, name, 1, lambda _: "").html))
        return found

    def _search(self) -> list[list[str]]:
        """[title, address, text] of every section, and of every figure's caption."""
        entries = []
        for page in self.pages:
            assert page.prose
            text = re.sub(r"<(figure|math)\b.*?</\1>", " ", str(page.prose.html), flags=re.DOTALL)
            name = " ".join(filter(None, [page.number, page.title]))
            entries.append([name, page.href, " ".join(filter(None, [page.section.summary, plain(text)]))])
            for shown in page.figures:
                labels = " · ".join(dict.fromkeys(tile.label for cell in shown.cells for tile in cell.tiles))
                entries.append(
                    [
                        f"Figure {shown.number} · {page.number or page.title}",
                        f"{page.href}#fig-{shown.id}",
                        f"{plain(str(shown.caption))} {labels}"[:2000],
                    ]
                )
        return entries

    def _needed(self) -> list[tuple[str, Record, checks.Check | None]]:
        """The cells that no figure shows and others were computed from: their names, records and checks."""
        found: dict[str, tuple[str, Record, checks.Check | None]] = {}

        def visit(planned: Planned) -> None:
            for need in planned.needs.values():
                visit(need)
                if need.record:
                    name = f"{need.generator.name}/{need.cell.id}"
                    found.setdefault(need.key, (name, need.record, self.checks.get(need.key)))

        for cells in self.planned.values():
            for planned in cells:
                visit(planned)
        shown = {planned.key for cells in self.planned.values() for planned in cells}
        return [each for key, each in found.items() if key not in shown]

    def _manifest(self) -> bytes:
        """The same for programs."""
        figures = [
            {
                "id": shown.id,
                "section": page.section.slug,
                "page": page.href,
                "number": shown.number,
                "generator": shown.generator,
                "cells": [
                    {
                        "id": cell.id,
                        "key": cell.key,
                        "state": cell.state,
                        "params": dict(cell.params),
                        "numbers": cell.values,
                        "files": [
                            {
                                "name": file.name,
                                "path": file.path,
                                "sha256": file.sha256,
                                "mime": file.mime,
                                "width": file.width,
                                "height": file.height,
                            }
                            for file in cell.files
                        ],
                        "provenance": dict(cell.provenance),
                    }
                    for cell in shown.cells
                ],
            }
            for page in self.pages
            for shown in page.figures
        ]
        value = {"format": MANIFEST_FORMAT, "title": self.report.title, "figures": figures}
        return json.dumps(value, ensure_ascii=False).encode()  # indenting takes ten times as long


def in_order(section: Section) -> list[Figure]:
    """A section's figures as its reader meets them: as placed in the body, then the others."""
    from noisebook.report.body import scan

    placed = [span.value for span in scan(section.body)[0] if span.kind == "figure"]
    order = {name: index for index, name in reversed(list(enumerate(placed)))}
    return sorted(section.figures, key=lambda figure: order.get(figure.id, len(placed)))


def bibtex(report: Report) -> str:
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
    return f"@misc{{{_slug(report.title)},\n{lines}}}"


def _bad_template(name: str, message: str, line: int = 1) -> BadInput:
    return BadInput([Problem(Position(f"templates/{name}", line), message)])


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "x"


def _packaged() -> Path:
    """The theme that noisebook ships: ``noisebook.templates`` in a wheel, ``templates/`` in a checkout."""
    installed = Path(__file__).parents[1] / "templates"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "templates"


PACKAGED = _packaged()
