"""What a text may refer to, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from noisebook.render.bibliography import Work
from noisebook.render.links import Link
from noisebook.render.styles import Styles
from noisebook.report.model import BadInput, Problem

WAITING = "…"
"""What stands for a number that is not computed yet."""


@dataclass(frozen=True, slots=True)
class Target:
    """What ``{{ ref(…) }}`` may name: the words that stand for it, and its address."""

    words: str
    href: str
    title: str = ""


@dataclass(slots=True)
class Context:
    """What prose may refer to.

    ``works`` is None if the bibliography cannot be read. ``image`` gives the address in the site of a picture
    that the text names by its path; None, or BadFile, if there is none.
    """

    targets: Mapping[str, Target]
    works: Mapping[str, Work] | None
    styles: Styles
    image: Callable[[str], tuple[str, int, int] | None]
    pages: Mapping[str, str] = field(default_factory=dict)
    macros: Mapping[str, str] = field(default_factory=dict)
    near: Callable[[str], str] = lambda path: ""
    """The path of a picture that another may have been meant for."""
    root: Path = Path()
    """The report's folder."""
    value: Callable[[str, str], str] = lambda place, name: WAITING
    """A number of a figure, as :class:`noisebook.render.values.Values` gives it."""
    links: list[Link] = field(default_factory=list)
    """Links without a scheme, of everything that was written."""
    pictures: list[str] = field(default_factory=list)
    """The addresses that ``image`` gave."""
    language: str = "en"
    """The text's language, as in HTML: its quotation marks."""


@dataclass(slots=True)
class Prose:
    """The HTML of one body; ``figures`` are those that it placed, ``cited`` the works it names.

    ``headings`` are those of the highest level: their ids, and what they say in HTML without links.
    ``styles``, ``links`` and ``pictures`` are those of the body alone.
    """

    html: Markup
    headings: list[dict[str, str]]
    figures: list[str]
    cited: list[str]
    equations: int
    styles: Styles = field(default_factory=Styles)
    links: list[Link] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)


class BadProse(BadInput):
    """What is wrong with a body, and what could be written all the same: its addresses, its links."""

    def __init__(self, problems: list[Problem], prose: Prose) -> None:
        super().__init__(problems)
        self.prose = prose
