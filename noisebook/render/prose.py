"""From an author's Markdown to HTML: math, references, citations, footnotes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from xml.etree.ElementTree import fromstring

from markupsafe import Markup

from noisebook.render import html
from noisebook.render.context import Context, Prose, Target
from noisebook.render.styles import Styles
from noisebook.render.text import Text
from noisebook.report import mathwords
from noisebook.report.model import Place, Position

__all__ = ["Context", "Prose", "Target", "Writer", "plain"]
_TAG = re.compile(r"<[^>]*>")
_FORMULA = re.compile(r"<math\b.*?</math>", re.DOTALL)
_SERVING = re.compile(r'<a class="(?:permalink|footnote-\w+)".*?</a>', re.DOTALL)
"""Links that only serve the page."""


class Writer:
    """Turns bodies and captions into HTML."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def body(self, text: str, file: str, line: int, figure: Callable[[str], str]) -> Prose:
        """A section's body, which starts on ``line`` of ``file``; ``figure`` gives a figure's HTML.

        Raises BadProse.
        """

        def locate(offset: int) -> Position:
            return Position(file, line + text.count("\n", 0, offset), offset - text.rfind("\n", 0, offset))

        own = replace(self.context, styles=Styles(), links=[], pictures=[])
        return Text(own, text, locate, figure).write()

    def inline(self, text: str, place: Place | Position) -> Markup:
        """A caption: Markdown of one paragraph."""
        return self._line(text, place).line()[0] if text.strip() else Markup("")

    def title(self, text: str, place: Place | Position) -> tuple[Markup, str]:
        """A title or a summary, as a page shows it within a link, and in words."""
        return self._line(text, place).line(plain=True) if text.strip() else (Markup(""), "")

    def _line(self, text: str, place: Place | Position) -> Text:
        line = " ".join(text.split())
        return Text(self.context, line, lambda offset: place.of(line, offset), lambda _: "")


def plain(markup: str) -> str:
    """The words of some HTML, for search."""
    said = _FORMULA.sub(
        lambda match: html.text(f" {mathwords.words(fromstring(match[0]))} "), _SERVING.sub("", markup)
    )
    return " ".join(unescape(_TAG.sub(" ", said)).split())
