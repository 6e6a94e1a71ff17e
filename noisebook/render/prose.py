"""From an author's Markdown to HTML: math, references, citations, footnotes. Raw HTML stays text."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape, unescape
from typing import Any
from xml.etree.ElementTree import Element

from markupsafe import Markup

from noisebook.render.bibliography import Work
from noisebook.render.styles import Styles
from noisebook.report.body import Span, converter, scan
from noisebook.report.model import BadInput, Position, Problem

OWN_IDS = ("main", "works", "problems")
"""Ids that templates give."""
STRUT = '<mspace width="0" height="0.72em" depth="0.12em"/>'
"""Browsers hang a root's sign from its top: over a low letter it would fall below the line."""
_CITATION = re.compile(r"(?<!\\)\[(@[^\[\]\n]{1,400})\](?!\()")
_CITED = re.compile(r"@([\w:./+-]*\w)\s*(?:,\s*(.*))?")
_MARK = re.compile("\ue000(\\d+)\ue001")
_ALONE = re.compile("<p>\\s*\ue000(\\d+)\ue001\\s*</p>")
_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_ID = re.compile(r' id="([^"]*)"')
_HREF = re.compile(r' href="#([^"]*)"')
_REFERENCE = re.compile(r'<math><mtext><a href="([^"]*)">([^<]*)</a></mtext></math>')
_ANCHOR = re.compile(r"</?a\b[^>]*>")
_TABLE = re.compile(r"<table>.*?</table>", re.DOTALL)
_EMPTY_HEADER = re.compile(r"<th([^>]*)>\s*</th>")
_TAG = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Target:
    """What ``{{ ref(…) }}`` may name: the words that stand for it, and its address."""

    words: str
    href: str
    title: str = ""


@dataclass(slots=True)
class Context:
    """What prose may refer to.

    ``image`` gives the address in the site of a picture that the text names by its path, or None.
    """

    targets: Mapping[str, Target]
    works: Mapping[str, Work]
    styles: Styles
    image: Callable[[str], tuple[str, int, int] | None]
    pages: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Prose:
    """The HTML of one body; ``figures`` are those that it placed, ``cited`` the works it names."""

    html: Markup
    headings: list[dict[str, Any]]
    figures: list[str]
    cited: list[str]
    equations: int


class Writer:
    """Turns bodies and captions into HTML."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._problems: list[Problem] = []
        self._locate: Callable[[int], Position] = lambda offset: Position("")

    def body(self, text: str, file: str, line: int, figure: Callable[[str], str]) -> Prose:
        """A section's body, which starts on ``line`` of ``file``; ``figure`` gives a figure's HTML."""

        def locate(offset: int) -> Position:
            return Position(file, line + text.count("\n", 0, offset), offset - text.rfind("\n", 0, offset))

        return self._write(text, locate, figure)

    def inline(self, text: str, position: Position) -> Markup:
        """A caption: Markdown of one paragraph."""
        if not text.strip():
            return Markup("")
        prose = self._write(" ".join(text.split()), lambda offset: position, lambda _: "")
        html = str(prose.html).strip()
        return Markup(html.removeprefix("<p>").removesuffix("</p>") if html.count("<p>") == 1 else html)

    def _write(self, text: str, locate: Callable[[int], Position], figure: Callable[[str], str]) -> Prose:
        self._problems, self._locate = [], locate
        text = re.sub("[\ue000-\ue002]", "", text)
        spans, _ = scan(text)
        math = iter(self._math([span for span in spans if span.kind in ("math", "display")]))
        parts: list[str] = []
        pieces: list[str] = []
        figures: list[str] = []
        cited: list[str] = []
        at = 0
        for span in [*spans, None]:
            end = span.start if span else len(text)
            parts.append(self._cite(text, at, end, pieces, cited))
            if span is None:
                break
            at = span.end
            if span.kind == "code":
                parts.append(text[span.start : span.end])
                continue
            if span.kind == "figure":
                figures.append(span.value)
                html = figure(span.value)
            elif span.kind == "ref":
                html = self._reference(span)
            elif span.kind == "display":
                # A wide formula scrolls by itself, and the keyboard must be able to reach it.
                html = f'<span class="equation" tabindex="0">{next(math)}</span>'
            else:
                html = next(math)
            mark = _mark(pieces, html)
            parts.append(f"\n\n{mark}\n\n" if span.kind == "figure" else mark)
        html, headings = self._markdown("".join(parts))
        html = _ALONE.sub(
            lambda match: (
                pieces[int(match[1])]
                if pieces[int(match[1])].startswith("<figure")
                else f"<p>{pieces[int(match[1])]}</p>"
            ),
            html,
        )
        html = _MARK.sub(lambda match: pieces[int(match[1])], html)
        if self._problems:
            raise BadInput(self._problems)
        return Prose(Markup(html), headings, figures, cited, html.count('<span class="equation"'))

    def _math(self, spans: list[Span]) -> list[str]:
        from math_core import LatexError

        if not spans:
            return []
        try:
            found = converter().convert_all([(span.value, span.kind == "display") for span in spans])
        except LatexError:
            found = []
            for span in spans:
                try:
                    converter().convert_with_local_state(span.value, displaystyle=span.kind == "display")
                except LatexError as error:
                    message = str(error).partition(": ")[2]
                    self._problems.append(Problem(self._locate(span.inner), f"in a formula: {message}"))
            raise BadInput(self._problems) from None
        result = []
        for html in found:
            html = _HREF.sub(r' href="#eq-\1"', _ID.sub(r' id="eq-\1"', html))
            html = self.context.styles.replace(html).replace("\ufe00", "")
            result.append(_link_out(html).replace("<msqrt>", f"<msqrt>{STRUT}"))
        return result

    def _reference(self, span: Span) -> str:
        target = self.context.targets.get(span.value)
        if target is None:
            self._problems.append(Problem(self._locate(span.start), f"nothing has the id {span.value!r}"))
            return ""
        title = f' title="{escape(target.title)}"' if target.title else ""
        return f'<a class="ref" href="{escape(target.href)}"{title}>{escape(target.words)}</a>'

    def _cite(self, text: str, start: int, end: int, pieces: list[str], cited: list[str]) -> str:
        """The text between two spans, its citations replaced."""

        def replace(match: re.Match[str]) -> str:
            links = []
            for item in match[1].split(";"):
                found = _CITED.fullmatch(item.strip())
                key, place = (found[1], found[2] or "") if found else (item.strip(), "")
                work = self.context.works.get(key)
                if work is None:
                    known = ", ".join(self.context.works) or "the bibliography is empty"
                    self._problems.append(
                        Problem(
                            self._locate(start + match.start()),
                            f"no work has the key {key!r}",
                            f"known: {known}",
                        )
                    )
                    continue
                if key not in cited:
                    cited.append(key)
                title = escape(work.fields.get("title", key))
                words = escape(work.short + (f", {place}" if place else ""))
                links.append(
                    f'<a class="cite" href="references.html#{escape(key)}" title="{title}">{words}</a>'
                )
            return _mark(pieces, f"({'; '.join(links)})")

        return _CITATION.sub(replace, text[start:end])

    def _markdown(self, text: str) -> tuple[str, list[dict[str, Any]]]:
        import markdown
        from markdown.treeprocessors import Treeprocessor

        links = self._link
        pictures = self._picture

        class Addresses(Treeprocessor):
            def run(self, root: Element) -> None:
                for element in root.iter():
                    if element.tag == "a" and "href" in element.attrib:
                        links(element)
                    elif element.tag == "img":
                        pictures(element)

        class Headings(Treeprocessor):
            def run(self, root: Element) -> None:
                """The page's title is the only h1; no level is skipped."""
                found = [element for element in root.iter() if re.fullmatch("h[1-6]", element.tag)]
                highest = min((int(element.tag[1]) for element in found), default=1)
                before = 1
                for element in found:
                    before = min(int(element.tag[1]) - highest + 2, before + 1, 6)
                    element.tag = f"h{before}"

        engine = markdown.Markdown(
            extensions=[
                "tables",
                "footnotes",
                "def_list",
                "sane_lists",
                "smarty",
                "toc",
                "pymdownx.superfences",
            ],
            extension_configs={
                "tables": {"use_align_attribute": True},
                "footnotes": {"BACKLINK_TITLE": "Back to the text (note {})"},
                "toc": {"slugify": _heading_id},
                "pymdownx.superfences": {},
            },
            output_format="html",
        )
        engine.preprocessors.deregister("html_block")
        engine.inlinePatterns.deregister("html")
        engine.treeprocessors.register(Headings(engine), "headings", 15)  # before toc
        engine.treeprocessors.register(Addresses(engine), "addresses", 1)
        html = engine.convert(text)
        html = re.sub(r' align="(\w+)"', r' class="\1"', html)
        html = _TABLE.sub(_scrolling, _EMPTY_HEADER.sub(r"<td\1></td>", html))
        html = html.replace("<pre>", '<pre tabindex="0">')
        return html, engine.toc_tokens  # type: ignore[attr-defined]

    def _link(self, element: Element) -> None:
        """Only addresses that lead somewhere harmless; a section's file becomes its page."""
        href = unescape(element.get("href", ""))
        scheme = _SCHEME.match(href)
        if scheme and scheme[1].lower() not in ("http", "https", "mailto"):
            del element.attrib["href"]
        elif scheme:
            element.set("rel", "noopener")
        else:
            path, hash_, fragment = href.partition("#")
            name = path.rpartition("/")[2].removesuffix(".md")
            if path.endswith(".md") and name in self.context.pages:
                element.set("href", self.context.pages[name] + hash_ + fragment)
            elif path.startswith("//"):
                del element.attrib["href"]

    def _picture(self, element: Element) -> None:
        source = unescape(element.get("src", ""))
        found = None if _SCHEME.match(source) else self.context.image(source)
        if found is None:
            self._problems.append(
                Problem(
                    self._locate(0),
                    f"no picture {source!r} in this report",
                    "give a path relative to report.yaml",
                )
            )
            return
        element.set("src", found[0])
        element.set("width", str(found[1]))
        element.set("height", str(found[2]))
        element.set("loading", "lazy")


def _scrolling(table: re.Match[str]) -> str:
    """A table that scrolls by itself; a region of the page, named by its first row that says something."""
    bare = _TAG.sub(" ", _MARK.sub(" ", table[0].replace("</tr>", "\ue002")))
    rows = (" ".join(unescape(row).split()) for row in bare.split("\ue002"))
    label = escape(next(filter(None, rows), "")[:60])
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table: {label}">{table[0]}</div>'


def _link_out(html: str) -> str:
    """A reference alone becomes a link; within a formula, where nothing should take the focus, its number."""
    if alone := _REFERENCE.fullmatch(html):
        return f'<a class="ref" href="{alone[1]}">{alone[2]}</a>'
    return _ANCHOR.sub("", html)


def _heading_id(words: str, separator: str) -> str:
    """The id of a heading: as Markdown makes it, but never one that a page has already."""
    from markdown.extensions.toc import slugify

    found = slugify(words, separator)
    return f"{found}-section" if found in OWN_IDS or found.startswith(("fig-", "eq-")) else found


def _mark(pieces: list[str], html: str) -> str:
    pieces.append(html)
    return f"\ue000{len(pieces) - 1}\ue001"


def plain(html: str) -> str:
    """The words of some HTML, for search."""
    return " ".join(unescape(_TAG.sub(" ", html)).split())
