"""One text on its way from Markdown to HTML."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Collection
from unicodedata import normalize
from urllib.parse import unquote
from xml.etree.ElementTree import Element, SubElement

from markupsafe import Markup

from noisebook.render import html, inline
from noisebook.render.blocks import Blocks
from noisebook.render.cite import NAMED, cite
from noisebook.render.code import fenced, source
from noisebook.render.context import WAITING, BadProse, Context, Prose
from noisebook.render.headings import Headings
from noisebook.render.links import Link
from noisebook.render.notes import number_notes
from noisebook.render.typography import smarten
from noisebook.report import mathwords, tex
from noisebook.report.body import CJK, MOST, Span, scan
from noisebook.report.model import BadInput, Position, Problem, quote
from noisebook.report.reader import BadFile

MOST_PROBLEMS = 50
"""Of one text; what is further wrong with it is told once these are gone."""
_WRAPPED = re.compile(rf"(?<={CJK})[ ]?\n(?={CJK})")
"""The end of a line within Chinese or Japanese, which is no space."""
_TARGET = r"(?<=[(<\s]){}(?=[\s)>]|$)"


class Text:
    """One text on its way: what is not Markdown is taken out of it in pieces, the rest becomes a tree."""

    def __init__(
        self,
        context: Context,
        text: str,
        locate: Callable[[int], Position],
        figure: Callable[[str], str],
    ) -> None:
        self.context, self.locate, self.figure = context, locate, figure
        self.text = re.sub("[\x02\x03]", " ", text)
        self.problems: list[Problem] = []
        self.pieces: list[Element] = []
        self.spans: list[Span] = []
        self.figures: list[str] = []
        self.cited: list[str] = []
        self.equations = 0
        self.at = 0
        """Where the block begins that is being read."""
        self.told: dict[str, int] = {}
        self._said: dict[int, str] = {}
        """Formulas in words."""

    def write(self) -> Prose:
        """The HTML. Raises BadProse."""
        lines, self.starts = self._take_out()
        blocks = Blocks(self._whole, lambda line: inline.restored(line, self._original), self._tell_line)
        blocks.read(lines)
        self._read(blocks, blocks.notes)
        root = blocks.root
        for name, line in number_notes(blocks):
            self._tell(self._start(line), f"no text refers to the footnote {name!r}", f"[^{name}] does")
        for table in root.iter("div"):
            if table.get("class") == "scroll":
                label = f"Table: {self._label(table)}".removesuffix(": ")
                table.attrib.update({"tabindex": "0", "role": "region", "aria-label": label})
        headings = Headings(self.words)
        for name in headings.name(root):
            self.at = 0
            if self.text.count(f"#{name}") > 1:
                self._find(f"#{name}")  # the second is the one too many
            hint = "the page itself has it, or another line here: choose another"
            self._tell_text(f"#{name}", f"the id {name!r} is there already", hint)
        contents = [{"id": each.get("id", ""), "html": self._bare(each)} for each in headings.highest]
        headings.link()
        written, own = Markup(self._html(root).strip()), self.context
        prose = Prose(
            written, contents, self.figures, self.cited, self.equations, own.styles, own.links, own.pictures
        )
        if self.problems:
            raise BadProse(self.problems, prose)
        return prose

    def line(self, plain: bool = False) -> tuple[Markup, str]:
        """A text that is one line, and its words; if it is ``plain``, without links. Raises BadInput."""
        lines, self.starts = self._take_out()
        blocks = Blocks(self._whole, lambda line: inline.restored(line, self._original), self._tell_line)
        words = SubElement(blocks.root, "p")
        words.text = lines[0]
        blocks.leaves.append((words, 0))
        self._read(blocks, None)
        if self.problems:
            raise BadInput(self.problems)
        shown = self._bare(words) if plain else self._html(words)
        return Markup(shown), " ".join(inline.said(words, self.words).split())

    # Pieces

    def _take_out(self) -> tuple[list[str], list[int]]:
        """The lines of the text with a sign for each piece, and where each of them starts in the text."""
        parts: list[str] = []
        starts, at = [0], 0
        spans, faults = scan(self.text)
        for fault in faults if len(spans) >= MOST else ():
            self._tell(fault.offset, fault.message, fault.hint)
        if self.problems:
            raise BadInput(self.problems)
        formulas = iter(self._math([span for span in spans if span.kind in ("math", "display")]))
        for span in [*spans, None]:
            between = self.text[at : span.start if span else len(self.text)]
            if between.endswith("~") and span and (span.kind in ("ref", "cite") or "ref{" in span.value[:7]):
                between = between[:-1] + "\N{NO-BREAK SPACE}"  # TeX's space that does not break
            starts.extend(at + match.end() for match in re.finditer("\n", between))
            parts.append(between)
            if span is None:
                break
            at = span.end
            if span.kind == "address":
                parts.append(self.text[span.start : at])  # the engine reads it; nothing is sought in it
                continue
            if span.kind == "comment" and not self._alone(span):
                continue
            parts.append(inline.piece(len(self.pieces)))
            self.spans.append(span)
            self.pieces.append(next(formulas) if span.kind in ("math", "display") else self._piece(span))
        return "".join(parts).split("\n"), starts

    def _alone(self, span: Span) -> bool:
        """Whether nothing but marks of lists and quotes stands beside a piece: it is a block of its own."""
        before = self.text[self.text.rfind("\n", 0, span.start) + 1 : span.start]
        return not before.strip(" \t>-*+") and not self.text[span.end :].partition("\n")[0].strip()

    def _piece(self, span: Span) -> Element:
        if span.kind == "comment":
            return html.unseen()
        if span.kind == "figure":
            self.figures.append(span.value)
            return Element("figure", id=span.value)
        if span.kind == "ref":
            return self._reference(span)
        if span.kind == "cite":
            return cite(span, self.context.works, self.cited, self._tell)
        if span.kind in ("value", "source"):
            return self._asked(span)
        if span.kind == "fence":
            return fenced(self.text, span)
        code = Element("code")
        value = re.sub(r"[ \t]*\n[ \t]*", " ", span.value)
        code.text = value[1:-1] if value[:1] == value[-1:] == " " and value.strip() else value
        return code

    def _original(self, number: int) -> str:
        return self.text[self.spans[number].start : self.spans[number].end]

    def words(self, number: int) -> str:
        """A piece in words."""
        if self.spans[number].kind in ("math", "display"):
            if number not in self._said:
                self._said[number] = mathwords.words(self.pieces[number])
            return self._said[number]
        return "".join(self.pieces[number].itertext())

    def _prose(self, number: int) -> str:
        """A piece in words, if it is no formula."""
        return "" if self.spans[number].kind in ("math", "display") else self.words(number)

    def _whole(self, line: str) -> Element | None:
        number = inline.piece_alone(line)
        if number is None:
            return None
        found = self.pieces[number]
        return found if found.tag in ("pre", "div", "figure", "details", "comment") else None

    def _math(self, spans: list[Span]) -> list[Element]:
        try:
            found = tex.Tex(self.context.macros).convert(
                [(span.value, span.kind == "display") for span in spans]
            )
        except tex.NotMath as error:
            for index, offset, message, hint in error.faults:
                span = spans[index]
                place = span.place(min(offset, len(span.value)))
                self._tell(place, f"in a formula: {message}", hint)
            return [Element("math") for _ in spans]
        return [
            self._formula(formula, span.kind == "display") for span, formula in zip(spans, found, strict=True)
        ]

    def _formula(self, formula: Element, display: bool) -> Element:
        """A formula as the page shows it."""
        for each in formula.iter():
            if label := each.get("id"):
                each.set("id", f"eq-{label}")
            if each.tag == "msqrt":
                # Browsers hang a root's sign from its top: over a low letter it would fall below the line.
                each.insert(0, Element("mspace", width="0", height="0.72em", depth="0.12em"))
        link = next(formula.iter("a"), None)
        if link is not None and "".join(formula.itertext()) == (link.text or ""):
            return html.link(link.text or "", f"#eq-{link.get('href', '')[1:]}")
        if not len(formula):
            return html.unseen()  # it only defines a macro
        if not display:
            return formula
        # A wide formula scrolls by itself, and the keyboard must be able to reach it.
        self.equations += 1
        outer = Element("span", {"class": "equation", "tabindex": "0"})
        outer.append(formula)
        return outer

    def _reference(self, span: Span) -> Element:
        target = self.context.targets.get(span.value)
        if target is None:
            self._tell(span.start, f"nothing has the id {span.value!r}")
            return Element("span")
        return html.link(target.words, target.href, title=target.title)

    def _asked(self, span: Span) -> Element:
        """A number of a record, or a piece of the code."""
        try:
            if span.kind == "source":
                return source(self.context.root, span.value, span.name)
            words = self.context.value(span.value, span.name)
        except LookupError as error:
            self._tell(span.start, str(error), getattr(error, "hint", ""))
            return Element("span")
        number = Element("span", {"class": "quoted"})
        number.text = words
        if words == WAITING:
            number.set("title", "not computed yet")
        return number

    # The tree

    def _read(self, blocks: Blocks, notes: Collection[str] | None) -> None:
        """What stands in the lines of every block; ``notes`` are the footnotes, None if there can be none."""
        engine = inline.engine(self.words, notes, self._tell_text)
        engine.references = {
            name: (address, inline.restored(title, self.words))
            for name, (address, title) in blocks.references.items()
        }
        stage = engine.treeprocessors["inline"]
        # A registry sees to its order at every look.
        stage.inlinePatterns = list(engine.inlinePatterns)  # type: ignore[attr-defined]
        unescape_all = engine.treeprocessors["unescape"]
        for leaf, line in blocks.leaves:
            self.at = self._start(line)
            if bad := inline.too_much(leaf.text or ""):
                self._tell(self.at + bad[0], bad[1], "a blank line begins another; \\[ is a bracket")
                continue
            for told in inline.foreign_html(leaf.text or ""):
                self._tell_text(*told)
            if leaf.tag in ("td", "th"):
                self._unescape_bars(leaf.text or "")
            for name in NAMED.findall(leaf.text or ""):
                if name in (self.context.works or ()):
                    hint = f"write [@{name}], or \\@{name} for the words themselves"
                    if f"[@{name}](" in (leaf.text or ""):
                        hint = f"[@{name}] without an address links to the work by itself"
                    self._tell_text(f"@{name}", "a citation stands in brackets", hint)
            leaf.text = _WRAPPED.sub("", leaf.text or "")
            if inline.simple(leaf, self.words):
                smarten(leaf, self.context.language)
                continue
            holder = Element("div")
            holder.append(leaf)
            try:
                stage.run(holder)
            except RecursionError:
                self._tell(self.at, "marks stand too deep in one another in this paragraph")
                continue
            smarten(leaf, self.context.language)
            unescape_all.run(holder)
            for element in leaf.iter():
                if element.tag == "a":
                    self._link(element)
                elif element.tag == "img":
                    self._picture(element)

    def _unescape_bars(self, text: str) -> None:
        r"""A bar in code within a table may be written ``\|``, as elsewhere in its row."""
        for code in map(self.pieces.__getitem__, inline.pieces(text)):
            if code.tag == "code":
                code.text = (code.text or "").replace("\\|", "|")

    def _link(self, element: Element) -> None:
        """Only addresses that lead somewhere harmless; a section's file becomes its page."""
        href = element.get("href", "")
        kind = html.scheme(href)
        if not href:
            self._tell_text("]()", "this link leads nowhere", "its address stands in the parentheses")
        if kind is None or (kind in ("http", "https") and not html.HOST.match(href)):
            message = f"a link cannot lead to {quote(href)}"
            hint = "an address begins with https://, http:// or mailto:, or is a page of the report"
            self._tell(self._find(element.get("href", ""), _TARGET), message, hint)
        elif kind:
            element.set("href", href.replace("\\", "%5C"))  # for a browser it were a slash
            element.set("rel", "noopener")
        else:
            self.context.links.append(Link(href, self.locate(self._find(element.get("href", ""), _TARGET))))
            path, sign, fragment = href.partition("#")
            name = path.rpartition("/")[2].removesuffix(".md")
            element.set("href", href)
            if path.endswith(".md") and name in self.context.pages:
                element.set("href", self.context.pages[name] + sign + fragment)

    def _picture(self, element: Element) -> None:
        source = element.get("src", "")
        forms = [normalize(form, each) for each in (source, unquote(source)) for form in ("NFC", "NFD")]
        message, hint = f"no picture {quote(source)} in this report", "give a path relative to report.yaml"
        found = None
        for path in dict.fromkeys([source, *forms]) if html.scheme(source) == "" else ():
            try:
                found = found or self.context.image(path)
            except BadFile as error:
                message, hint = error.problem.message, error.problem.hint
        if found is None:
            near = self.context.near(source)
            hint = f"did you mean {near}?" if near else hint
            written = element.get("src", "")
            self._tell(self._find(written, _TARGET) if written else self._find("]()"), message, hint)
            return
        self.context.pictures.append(found[0])
        element.set("alt", html.entities(element.get("alt", "")))
        element.set("src", found[0])
        element.set("width", str(found[1]))
        element.set("height", str(found[2]))
        element.set("loading", "lazy")

    # HTML

    def _html(self, element: Element) -> str:
        special = {
            inline.PIECE: lambda each: html.element(self.pieces[int(each.get("n", ""))], self.context.styles),
            "figure": lambda each: self.figure(each.get("id", "")),
        }
        return html.serialise(element, self.context.styles, special)

    def _bare(self, heading: Element) -> str:
        """What a heading says, as the contents list shows it: nothing that links, or that has an id."""

        def formula(each: Element) -> str:
            return html.element(html.unlinked(self.pieces[int(each.get("n", ""))]), self.context.styles)

        special = {inline.PIECE: formula, "sup": lambda each: ""}
        return html.serialise(heading, self.context.styles, special, without=("a", "img"))

    def _label(self, table: Element) -> str:
        """A table's name: its caption, or its first row that says something."""
        rows: list[list[Element]] = [list(table.iter("caption")), *map(list, table.iter("tr"))]
        for row in rows:
            words = " ".join(inline.said(cell, self._prose) for cell in row).split()
            if words:
                return " ".join(words)[:60]
        return ""

    # Mistakes

    def _start(self, line: int) -> int:
        return self.starts[min(line, len(self.starts) - 1)]

    def _tell(self, offset: int, message: str, hint: str = "") -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(self.locate(offset), message, hint))

    def _tell_line(self, line: int, message: str, hint: str) -> None:
        start = self._start(line)
        indent = re.compile("[ \t]*").match(self.text, start)
        self._tell(indent.end() if indent else start, message, hint)

    def _tell_text(self, needle: str, message: str, hint: str) -> None:
        """Told where the words stand: after the beginning of the block and where they were last told."""
        self._tell(self._find(needle), message, hint)

    def _find(self, needle: str, whole: str = "{}") -> int:
        """Where words stand next outside code, formulas and calls; ``whole`` is a pattern of them."""
        start = max(self.at, self.told.get(needle, -1) + 1)
        signs = "".join(rf"(?:\\?{re.escape(sign)}|&#?\w+;)" for sign in needle)  # as it may be written
        pattern = re.compile(whole.format(signs))
        for found in pattern.finditer(self.text, start) if needle else ():
            place = found.start()
            index = bisect_right(self.spans, place, key=lambda span: span.start) - 1
            if index < 0 or place >= self.spans[index].end:
                self.told[needle] = place
                return place
        return self.at
