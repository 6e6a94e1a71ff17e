"""What a page shows of a figure: its cells, and their pictures, numbers, tables and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import gcd
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from noisebook.cells.checks import Check
from noisebook.render.bibliography import Work
from noisebook.render.citation import Citation
from noisebook.render.formats import measure, size, title
from noisebook.render.links import Link
from noisebook.render.prose import Prose
from noisebook.render.styles import Styles
from noisebook.report.model import Section

if TYPE_CHECKING:
    from noisebook.cells.contract import Json
    from noisebook.render.keeping import Kept
    from noisebook.render.listed import Listed

PIXELATED = 128
"""Pictures of at most so many pixels a side are enlarged pixel by pixel."""
ENLARGED = 256
"""… to at most so many CSS pixels."""
PART = 60
"""Pictures that a page shows of one figure; a larger grid goes on on pages of its own."""
PAGED = ("grid", "row", "pairs")
MOVED = ("turn", "flip", "distance", "dim")
"""Kinds whose pictures a reader moves by hand; films that show the same then have no place."""


@dataclass(slots=True)
class File:
    """One output as a file of the site. ``path`` is empty if its bytes are not published."""

    name: str
    mime: str
    path: str
    sha256: str
    bytes: int
    width: int | None
    height: int | None
    download: str

    @property
    def size(self) -> str:
        return size(self.bytes)


@dataclass(slots=True)
class Picture:
    """A picture to show: ``src`` is what the page shows, ``full`` what a click opens."""

    src: str
    full: str
    width: int
    height: int
    alt: str
    pixelated: bool = False
    vector: bool = False
    css: str = ""
    video: str = ""
    poster: str = ""
    animated: bool = False
    natural: int = 0
    frames: str = ""
    """All frames of an animation side by side, for a reader who goes through them by hand."""
    durations: Sequence[int] = ()
    """The milliseconds of each of them."""

    @property
    def wide(self) -> bool:
        """A row rather than a square."""
        return not self.vector and self.width > 1.5 * self.height


@dataclass(slots=True)
class Table:
    name: str
    columns: list[str]
    rows: list[list[Json]]
    csv: str
    numeric: list[bool]
    measured: bool = False
    """Tells of the machine: under the figure only as a file."""


@dataclass(frozen=True, slots=True)
class Download:
    """Something that was made of a cell's outputs, for readers to take away."""

    name: str
    path: str
    download: str


@dataclass(slots=True)
class Live:
    """A network that the reader's browser runs: its operations, what the page's script is told about it (any
    JSON), and by name the path and size of the files with weights that the operations may be run with."""

    network: File
    sampler: str
    weights: dict[str, dict[str, str | int]]


@dataclass(frozen=True, slots=True)
class Words:
    """What a page draws pictures from words with.

    Attributes:
        data: the JSON that the page's script reads: subjects, tables, constants.
        names: of the subjects, each as it stands in a caption.
        styles: each with its caption, ``{}`` for the subject.
        timesteps: by the number of steps.
        views: names.
        complete: whether the subjects' pictures are on the site.
    """

    data: File
    names: Mapping[str, str]
    styles: Mapping[str, str]
    timesteps: Mapping[str, Sequence[int]]
    views: Sequence[str]
    complete: bool


@dataclass(slots=True)
class Tile:
    """One place in a figure: a cell, or one of the labelled pictures of a cell. ``values`` stand under it."""

    id: str
    label: str
    pictures: list[Picture] = field(default_factory=list)
    values: dict[str, Json] = field(default_factory=dict)
    row: str = ""
    """What the row is of that begins here."""

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """Names and values as they are read."""
        return [(title(name), measure(value)) for name, value in self.values.items()]


@dataclass(slots=True)
class CellView:
    """A cell as the page shows it: on one tile, or on one for each picture that it labels."""

    id: str
    label: str
    key: str
    state: str
    params: Mapping[str, Json]
    tiles: list[Tile]
    values: dict[str, Json] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)
    provenance: Mapping[str, Json] = field(default_factory=dict)
    seed: Json = None
    needs: list[str] = field(default_factory=list)
    live: Live | None = None
    words: Words | None = None
    check: Check | None = None
    """How it came out when it was computed again, if it was."""

    @property
    def pictures(self) -> list[Picture]:
        return [picture for tile in self.tiles for picture in tile.pictures]

    @property
    def numbers(self) -> list[tuple[str, str]]:
        return Tile(self.id, self.label, [], self.values).numbers


@dataclass(frozen=True, slots=True)
class Samples:
    """All samples from which a figure's was chosen.

    Attributes:
        first: the readings of sample 0; none where that was chosen.
        sheet: thumbnails of all ``count`` of them; the ``chosen`` one stands in ``row`` and ``column``, both
            counted from 1.
        earlier: whether they were drawn by other code or models than the figure.
        href: the page that shows the sheet.
    """

    first: Sequence[Picture]
    sheet: Picture
    count: int
    chosen: int
    row: int
    column: int
    earlier: bool
    href: str = ""


@dataclass(slots=True)
class FigureView:
    """A figure as the page shows it."""

    id: str
    number: int
    generator: str
    kind: str
    columns: int
    cells: list[CellView]
    caption: Any = ""
    alt: str = ""
    params: list[tuple[str, str]] = field(default_factory=list)
    made: list[tuple[str, str]] = field(default_factory=list)
    css: str = ""
    wide: bool = False
    chosen: str = ""
    samples: Samples | None = None
    pending: str = ""
    first: int = 1
    """The number of its first picture, and that of all pictures, if this is a part of a figure."""
    total: int = 0
    before: str = ""
    """Where the part before stands, and the one after."""
    after: str = ""
    csv: str = ""
    """All its numbers as a file, if it has any."""
    automatic: str = ""
    """The model family that this machine chose."""
    cards: list[Picture] = field(default_factory=list)
    """A few of its pictures, small: what stands for it where it is referred to."""
    citation: Citation | None = None

    def _in_state(self, state: str) -> int:
        return sum(cell.state == state for cell in self.cells)

    @property
    def stale(self) -> int:
        return self._in_state("stale")

    @property
    def missing(self) -> int:
        return self._in_state("missing")

    @property
    def checked(self) -> str:
        """What came of computing its cells again."""
        found = [cell.check for cell in self.cells if cell.check]
        if not found:
            return "–"
        same, wrong = sum(check.same for check in found), sum(not check.agrees for check in found)
        close = len(found) - same - wrong
        parts = [(same, "same bytes"), (close, "within tolerance"), (wrong, "differ")]
        said = ", ".join(f"{count} {what}" for count, what in parts if count)
        return said if len(found) == len(self.cells) else f"{said}, of {len(self.cells)}"

    @property
    def tiles(self) -> list[Tile]:
        return [tile for cell in self.cells for tile in cell.tiles]

    @property
    def pictures(self) -> list[Picture]:
        return [picture for cell in self.cells for picture in cell.pictures]

    @property
    def live(self) -> bool:
        """Whether the reader's browser computes something here."""
        return any(cell.live or cell.words for cell in self.cells)

    @property
    def words(self) -> Words | None:
        """What it draws pictures from words with, if it does."""
        return next((cell.words for cell in self.cells if cell.words), None)

    @property
    def numbers(self) -> bool:
        return any(cell.numbers for cell in self.cells)

    @property
    def tables(self) -> list[Table]:
        """What is shown under the figure."""
        return [table for cell in self.cells for table in cell.tables if not table.measured]


@dataclass(frozen=True, slots=True)
class Further:
    """What a page of its own shows of a figure: ``part.html`` or ``samples.html``."""

    template: str
    title: str
    figure: Kept[FigureView]


@dataclass(slots=True)
class Page:
    """One section's page on its way."""

    section: Section
    listed: list[Listed] = field(default_factory=list)
    """Its figures, as the rest of the site lists them."""
    prose: Prose = field(default_factory=lambda: Prose(Markup(""), [], [], [], 0))
    search: str = ""
    """What searches look through of the section, as JSON."""
    joined: Markup = field(default_factory=Markup)
    """Its prose, as it stands among all sections on one page."""
    references: list[Work] = field(default_factory=list)
    cards: list[Picture] = field(default_factory=list)
    title_html: Markup = field(default_factory=Markup)
    summary_html: Markup = field(default_factory=Markup)
    drawn: dict[str, str] = field(default_factory=dict)
    """The HTML of its figures by their ids, in the order in which they stand."""
    further: dict[str, Further] = field(default_factory=dict)
    """Parts of large figures, and all samples of chosen ones, each by the address of a page of its own."""
    styles: Styles = field(default_factory=Styles)
    """Of its figures and captions, as what follows; ``prose`` has its own."""
    links: list[Link] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    assets: set[str] = field(default_factory=set)
    """What its figures show."""
    stamp: str = ""
    """Another one whenever it is written."""

    @property
    def href(self) -> str:
        return f"{self.section.slug}.html"

    @property
    def live(self) -> bool:
        return any(figure.live for figure in self.listed)

    @property
    def title(self) -> str:
        return self.section.title

    @property
    def number(self) -> str:
        return self.section.number

    @property
    def name(self) -> str:
        """Its number and its title."""
        return f"{self.number} {self.title}".strip()


def parts(shown: FigureView, page: str, name: str) -> dict[str, FigureView]:
    """A large figure by the addresses of its parts: the first on ``page``, the others on pages of their own.

    ``name`` is what their names begin with.
    """
    total = len(shown.tiles)
    if shown.kind not in PAGED or total <= PART or shown.live:
        return {page: shown}
    each = max(len(cell.tiles) for cell in shown.cells)
    whole = shown.columns // gcd(shown.columns, each)  # cells that end with a row
    step = max(1, PART // each // whole) * whole
    starts = range(0, len(shown.cells), step)
    places = [page, *(f"{name}-{number}.html" for number in range(2, len(starts) + 1))]
    return {
        place: replace(
            shown,
            cells=shown.cells[start : start + step],
            first=1 + sum(len(cell.tiles) for cell in shown.cells[:start]),
            total=total,
            before=before,
            after=after,
        )
        for place, start, before, after in zip(places, starts, ["", *places], [*places[1:], ""], strict=False)
    }
