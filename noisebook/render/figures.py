"""From planned cells and their records to what a page shows of a figure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from noisebook.cells.checks import Check
from noisebook.cells.contract import Json, Labelled
from noisebook.cells.plan import Planned
from noisebook.cells.record import Record, Stored
from noisebook.cells.store import Absent
from noisebook.models.lock import AUTO
from noisebook.progress import duration, size
from noisebook.render.assets import Site, curves, frame_count, gif, still, strip, thumbnail
from noisebook.render.styles import Styles
from noisebook.report.model import Figure

PIXELATED = 128
"""Pictures of at most so many pixels a side are enlarged pixel by pixel."""
ENLARGED = 256
"""… to at most so many CSS pixels."""
CARD = 320
"""Pixels of a thumbnail's longer side."""
PART = 60
"""Cells that a page shows of one figure; a larger grid goes on on pages of its own."""
PAGED = ("grid", "row", "pairs")
FEW = 12
"""Values of one fact that are written out."""
LARGEST_CURVES = 2_000_000
"""Bytes; larger arrays are weights and states, not curves."""
LONGEST_STRIP = 16_383
"""Pixels; the largest side that WebP has."""
LARGEST_DOWNLOAD = 25_000_000
"""Bytes; larger outputs stay in the store."""
NETWORK = "application/onnx"
"""A cell that leaves a network of this type, and JSON called ``sampler``, is run by the reader's browser."""
ACRONYMS = {"psnr", "ssim", "mse", "snr", "fid", "lpips", "l2", "flops"}
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
    "video/mp4": ".mp4",
    "application/json": ".json",
    "application/onnx": ".onnx",
    "application/x-safetensors": ".safetensors",
    "text/csv": ".csv",
    "text/plain": ".txt",
}


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
    count: int = 0
    output: str = ""
    """The name of the output that it shows."""

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
    """A network that the reader's browser runs, and what the page's script is told about it: any JSON."""

    network: File
    sampler: str


@dataclass(slots=True)
class Tile:
    """One place in a figure: a cell, or one of the labelled pictures of a cell."""

    id: str
    label: str
    pictures: list[Picture]
    values: Mapping[str, Any]

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """What stands under it."""
        units = [
            (name, float(value["value"]), str(value.get("unit", ""))) for name, value in self.values.items()
        ]
        return [(title(name), f"{number(value, unit)} {unit}".strip()) for name, value, unit in units]


@dataclass(slots=True)
class CellView:
    """A cell as the page shows it."""

    id: str
    label: str
    key: str
    state: str
    params: Mapping[str, Json]
    pictures: list[Picture] = field(default_factory=list)
    labelled: Sequence[Labelled] = ()
    values: dict[str, Json] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)
    provenance: Mapping[str, Json] = field(default_factory=dict)
    seed: Json = None
    models: Mapping[str, Json] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    live: Live | None = None
    check: Check | None = None
    """How it came out when it was computed again, if it was."""

    @property
    def numbers(self) -> list[tuple[str, str]]:
        return Tile(self.id, self.label, [], self.values).numbers

    @property
    def tiles(self) -> list[Tile]:
        """One for each of its labelled pictures, or one for the cell. A missing cell has them too."""
        if not self.labelled:
            return [Tile(self.id, self.label, self.pictures, self.values)]
        return [
            Tile(
                f"{self.id}-{shown.output}",
                shown.label,
                [picture for picture in self.pictures if picture.output == shown.output],
                {
                    name.removesuffix(of): value
                    for name, value in self.values.items()
                    if name.endswith(of := f" of {shown.output}")
                },
            )
            for shown in self.labelled
        ]


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
    pending: str = ""
    first: int = 1
    """The number of its first cell, and that of all cells, if this is a part of a figure."""
    total: int = 0
    before: str = ""
    """Where the part before stands, and the one after."""
    after: str = ""
    csv: str = ""
    """All its numbers as a file, if it has any."""
    automatic: str = ""
    """The model family that this machine chose."""

    @property
    def states(self) -> set[str]:
        return {cell.state for cell in self.cells}

    @property
    def stale(self) -> int:
        return sum(cell.state == "stale" for cell in self.cells)

    @property
    def missing(self) -> int:
        return sum(cell.state == "missing" for cell in self.cells)

    @property
    def checked(self) -> str:
        """What came of computing its cells again."""
        found = [cell.check for cell in self.cells if cell.check]
        if not found:
            return "–"
        same, wrong = sum(check.same for check in found), sum(not check.agrees for check in found)
        close = len(found) - same - wrong
        parts = [(same, "same bytes"), (close, "within tolerance"), (wrong, "differ")]
        words = ", ".join(f"{count} {what}" for count, what in parts if count)
        return words if len(found) == len(self.cells) else f"{words}, of {len(self.cells)}"

    @property
    def pictures(self) -> list[Picture]:
        return [picture for cell in self.cells for picture in cell.pictures]

    @property
    def live(self) -> bool:
        """Whether the reader's browser computes something here."""
        return any(cell.live for cell in self.cells)

    @property
    def numbers(self) -> bool:
        return any(cell.numbers for cell in self.cells)

    @property
    def tables(self) -> list[Table]:
        """What is shown under the figure."""
        return [table for cell in self.cells for table in cell.tables if not table.measured]


def view(
    figure: Figure,
    number: int,
    planned: Sequence[Planned],
    site: Site,
    styles: Styles,
    *,
    model: str = "",
    keep_stale: bool,
) -> FigureView:
    """Everything about one figure; its files are added to ``site``. ``model`` is the report's."""
    cells = [_cell(figure, item, site, styles, keep_stale=keep_stale) for item in planned]
    pictures = [picture for cell in cells for picture in cell.pictures]
    kind = str(figure.layout.get("kind", "grid"))
    tiles = [tile for cell in cells for tile in cell.tiles]
    per_tile = max((len(tile.pictures) for tile in tiles), default=1) or 1
    columns = int(figure.layout.get("columns") or _columns(kind, len(tiles), per_tile, pictures))
    widest = max((picture.width for picture in pictures), default=ENLARGED)
    css = styles.name(f"--n:{columns};--p:{_on_phones(columns, pictures)};--cell:{widest}px")
    return FigureView(
        id=figure.id,
        number=number,
        generator=planned[0].generator.name if planned else figure.generator,
        kind=kind,
        columns=columns,
        cells=cells,
        alt=figure.alt,
        pending=figure.pending,
        params=[(name, words(value)) for name, value in figure.params.model_dump(mode="json").items()],
        made=_made(cells),
        automatic=_automatic(figure, planned, model),
        css=css,
        wide=widest * columns > 720,
        csv=_numbers(figure.id, cells, site),
    )


def parts(shown: FigureView, page: str, name: str) -> dict[str, FigureView]:
    """A large figure by the addresses of its parts: the first on ``page``, the others on pages of their own.

    ``name`` is what their names begin with.
    """
    if shown.kind not in PAGED or len(shown.cells) <= PART or shown.live:
        return {page: shown}
    rows = max(1, PART // shown.columns) * shown.columns
    starts = range(0, len(shown.cells), rows)
    places = [page, *(f"{name}-{number}.html" for number in range(2, len(starts) + 1))]
    return {
        place: replace(
            shown,
            cells=shown.cells[start : start + rows],
            first=start + 1,
            total=len(shown.cells),
            before=before,
            after=after,
        )
        for place, start, before, after in zip(places, starts, ["", *places], [*places[1:], ""], strict=False)
    }


def _columns(kind: str, tiles: int, per_tile: int, pictures: Sequence[Picture]) -> int:
    """A sensible number of columns where the author gives none."""
    if any(picture.vector or picture.width > 480 for picture in pictures):
        return 1 if tiles * per_tile == 1 else 2
    if kind == "pairs" or (kind == "grid" and tiles == 4):
        return 2
    if kind in ("row", "filmstrip", "compare", "scrubber") or tiles <= 7:
        return min(tiles, 8)
    return next((n for n in (5, 6, 4, 7) if tiles % n == 0), 6)


def _on_phones(columns: int, pictures: Sequence[Picture]) -> int:
    """Columns where some 330 CSS pixels are all there is."""
    largest = max((picture.natural for picture in pictures), default=PIXELATED)
    if largest > 480 or any(picture.vector for picture in pictures):
        return 1
    if largest <= 32 and columns % 5 == 0:
        return 5
    if largest > PIXELATED:
        return 3 if columns == 3 else min(columns, 2)
    return 3 if columns % 3 == 0 else min(columns, 3 if largest <= 32 else 2)


def _cell(figure: Figure, planned: Planned, site: Site, styles: Styles, *, keep_stale: bool) -> CellView:
    record, state = planned.record, "cached"
    if record is not None and planned.components.get("draft"):
        state = "draft"
    if record is None:
        record, state = (older(planned) if keep_stale else None), "stale"
    cell = planned.cell
    result = CellView(
        cell.id,
        cell.label,
        planned.key,
        state if record else "missing",
        dict(cell.params),
        labelled=cell.pictures,
    )
    components = record.components if record else planned.components
    result.seed = components.get("seed")
    if record is None:
        return result
    result.key = record.key
    result.needs = list(map(_needed, planned.needs.values()))
    result.provenance = {name: value for name, value in record.provenance.items() if name != "reached"}
    result.models = dict(record.provenance.get("models", {}))
    shown = [output for output in record.outputs if output.keep == "published"]
    main = [output for output in shown if output.name == "picture"] or [
        output for output in shown if output.mime.startswith(("image/", "video/"))
    ]
    moving = [output for output in shown if output.name.startswith("animation")]
    alts = {each.output: each.alt for each in cell.pictures}
    if alts:
        main = [output for output in shown if output.name in alts]
    elif moving:
        best = min(
            moving,
            key=lambda output: (
                ("video/mp4", "image/webp").index(output.mime)
                if output.mime in ("video/mp4", "image/webp")
                else 2
            ),
        )
        main = [best]
    for output in shown:
        if output.mime == "application/json" and _number(output, planned, result):
            continue
        file = _file(figure, planned, record, output, site)
        if file is None:  # its bytes are not on this machine
            return CellView(
                cell.id,
                cell.label,
                planned.key,
                "missing",
                dict(cell.params),
                labelled=cell.pictures,
                seed=result.seed,
            )
        result.files.append(file)
        if output in main:
            alt = alts.get(output.name) or cell.alt or figure.alt or cell.label
            picture = _picture(planned, record, output, file, alt, site, styles)
            if picture and picture.animated and not picture.video and figure.layout.get("kind") == "scrubber":
                picture.frames, picture.count = _frames(planned, output, site)
            if picture:
                result.pictures.append(picture)
        elif output.mime == "application/json":
            _table(json.loads(planned.store.open(output)), output, site, result)
        elif output.mime == NETWORK and file.path and (told := record.output("sampler")):
            result.live = Live(file, planned.store.open(told).decode())
        _take_away(figure, planned, output, shown, site, result)
    for need in planned.needs.values():
        for output in need.record.outputs if need.record else ():
            if output.keep == "published":
                _take_away(figure, need, output, (), site, result)
    return result


def _take_away(
    figure: Figure,
    planned: Planned,
    output: Stored,
    others: Sequence[Stored],
    site: Site,
    result: CellView,
) -> None:
    """A film as a GIF, where the cell has none; curves as CSV."""
    if output.mime == "image/webp" and output.name.startswith("animation"):
        if any(other.mime == "image/gif" for other in others):
            return
        suffix = ".gif"
    elif output.mime == "application/x-safetensors" and output.bytes <= LARGEST_CURVES:
        suffix = ".csv"
    else:
        return
    path = f"assets/{output.sha256[:16]}{suffix}"
    if not site.has(path):
        try:
            data = planned.store.open(output)
        except Absent:
            return
        made = gif(data, PIXELATED, ENLARGED) if suffix == ".gif" else curves(data)
        if made is None:
            return
        site.add(path, made)
    name = f"{output.name.replace(' ', '-')}{suffix}"
    result.downloads.append(Download(name, site.keep(path), f"{figure.id}-{result.id}-{name}"))


def _numbers(name: str, cells: Sequence[CellView], site: Site) -> str:
    """Every number of a figure, a line a picture, as CSV."""
    tiles = [tile for cell in cells for tile in cell.tiles]
    found = list(dict.fromkeys(key for tile in tiles for key in tile.values))
    if not found:
        return ""
    units = {key: tile.values[key].get("unit", "") for tile in tiles for key in tile.values}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["cell", "label", *(f"{key} ({units[key]})" if units[key] else key for key in found)])
    for tile in tiles:
        if tile.values:
            writer.writerow(
                [tile.id, tile.label, *(tile.values.get(key, {}).get("value", "") for key in found)]
            )
    return site.add_hashed(f"{name}-numbers", ".csv", text.getvalue().encode())


def _needed(planned: Planned) -> str:
    """A cell that another one was computed from, a trained network most often, and what it cost."""
    name = f"{planned.generator.name}/{planned.cell.id}"
    if (record := planned.record) is None:
        return name
    return f"{name} ({duration(float(record.provenance.get('seconds', 0)))})"


def older(planned: Planned) -> Record | None:
    """The newest record that this very cell of this figure left, made by other code, inputs or models."""
    store = planned.store
    records = map(store.get, store.same_identity(planned.components))
    own = [
        record
        for record in records
        if record
        and record.provenance.get("figure") == planned.figure
        and record.provenance.get("cell") == planned.cell.id
    ]
    return max(own, key=lambda record: str(record.provenance.get("finished", "")), default=None)


def _file(figure: Figure, planned: Planned, record: Record, output: Stored, site: Site) -> File | None:
    suffix = SUFFIXES.get(output.mime, ".bin")
    path = f"assets/{output.sha256[:16]}{suffix}"
    if output.bytes > LARGEST_DOWNLOAD:
        path = ""
    elif site.has(path):
        site.keep(path)
    else:
        try:
            site.add(path, planned.store.open(output))
        except Absent:
            return None
    name = f"{figure.id}-{planned.cell.id}" + ("" if output.name == "picture" else f"-{output.name}")
    return File(
        output.name,
        output.mime,
        path,
        output.sha256,
        output.bytes,
        output.width,
        output.height,
        name + suffix,
    )


def _picture(
    planned: Planned, record: Record, output: Stored, file: File, alt: str, site: Site, styles: Styles
) -> Picture | None:
    width, height = output.width or 0, output.height or 0
    if not (width and height):
        return None
    result = Picture(file.path, file.path, width, height, alt, natural=width, output=output.name)
    if output.mime == "image/svg+xml":
        result.vector = True
        return result
    if output.mime == "video/mp4":
        result.animated, result.video = True, file.path
        poster = record.output("picture") or record.output("poster")
        result.poster = f"assets/{poster.sha256[:16]}{SUFFIXES.get(poster.mime, '.png')}" if poster else ""
    elif output.mime in ("image/webp", "image/gif"):
        poster_name = f"assets/{output.sha256[:16]}-still.png"
        if site.has(poster_name):
            result.animated, result.poster = True, site.keep(poster_name)
        else:
            last, several = still(planned.store.open(output))
            if several:
                result.animated, result.poster = True, site.add(poster_name, last)
    if max(width, height) <= PIXELATED:
        factor = max(1, ENLARGED // max(width, height))
        result.pixelated = True
        result.css = styles.name(f"--w:{width}px;--max:{width * factor}px")
        result.width, result.height = width * factor, height * factor
    else:
        result.css = styles.name(f"--max:{width}px")
    return result


def _frames(planned: Planned, output: Stored, site: Site) -> tuple[str, int]:
    """The frames of a small animation as one picture, and how many they are."""
    data = planned.store.open(output)
    count = frame_count(data)
    if not output.width or count * output.width > LONGEST_STRIP:
        return "", 0
    name = f"assets/{output.sha256[:16]}-frames.webp"
    return site.keep(name) if site.has(name) else site.add(name, strip(data)), count


def _number(output: Stored, planned: Planned, cell: CellView) -> bool:
    """Whether the output is a number: it goes beside the picture."""
    if output.bytes > 200:
        return False
    try:
        value = json.loads(planned.store.open(output))
    except Absent:
        return False
    if not (isinstance(value, Mapping) and isinstance(value.get("value"), int | float)):
        return False
    cell.values[output.name] = dict(value)
    return True


def _table(value: Any, output: Stored, site: Site, cell: CellView) -> None:
    """A table goes under the figure, and is offered as CSV."""
    if not (isinstance(value, Mapping) and isinstance(value.get("columns"), list)):
        return
    columns, rows = [str(column) for column in value["columns"]], value.get("rows", [])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    path = site.add(f"assets/{output.sha256[:16]}.csv", text.getvalue().encode())
    numeric = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]
    shown = [[number(item) if isinstance(item, int | float) else words(item) for item in row] for row in rows]
    cell.tables.append(Table(title(output.name), columns, shown, path, numeric, output.measured))


def card(picture: Picture, data: bytes, site: Site) -> Picture:
    """A light version for the front page."""
    if picture.vector or picture.pixelated:
        return picture
    source = picture.poster or picture.src
    name = f"{source.rpartition('.')[0]}-{CARD}.webp"
    if not site.has(name):
        site.add(name, thumbnail(data, CARD))
    scale = min(1, CARD / max(picture.width, picture.height))
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return Picture(site.keep(name), picture.full, width, height, picture.alt, css=picture.css)


def _made(cells: Sequence[CellView]) -> list[tuple[str, str]]:
    """What the cells' provenance says, each fact once."""
    done = [cell for cell in cells if cell.provenance]

    def distinct(values: Sequence[Json]) -> str:
        found = list(dict.fromkeys(words(value) for value in values if value not in (None, "", {})))
        return ", ".join(found[:FEW]) + (f" … ({len(found)} in all)" if len(found) > FEW else "")

    versions: dict[str, list[str]] = {}
    for cell in done:
        for package, version in dict(cell.provenance.get("versions", {})).items():
            if version not in versions.setdefault(package, []):
                versions[package].append(str(version))
    seconds = sum(float(cell.provenance.get("seconds", 0)) for cell in done)
    finished = sorted(
        str(cell.provenance["finished"])[:10] for cell in done if cell.provenance.get("finished")
    )
    models = sorted({f"{role}: {name}" for cell in done for role, name in cell.models.items()})
    rows = [
        ("Weights and data", ", ".join(models)),
        ("Computed from", distinct([need for cell in cells for need in cell.needs])),
        ("Words read as", distinct([text for cell in done for text in _understood(cell.provenance)])),
        ("Seed", distinct([cell.seed for cell in cells])),
        ("Time", f"{duration(seconds)} in all" if done else ""),
        ("Device", distinct([cell.provenance.get("device") for cell in done])),
        ("Processor", distinct([cell.provenance.get("processor") for cell in done])),
        ("Threads", distinct([cell.provenance.get("threads") for cell in done])),
        ("Python", distinct([cell.provenance.get("python") for cell in done])),
        ("Versions", ", ".join(f"{name} {' / '.join(found)}" for name, found in sorted(versions.items()))),
        ("Carried over", distinct([_adopted(cell.provenance) for cell in done])),
        ("Made on", " to ".join(dict.fromkeys([finished[0], finished[-1]])) if finished else ""),
    ]
    return [(name, value) for name, value in rows if value]


def _automatic(figure: Figure, planned: Sequence[Planned], model: str) -> str:
    if (getattr(figure.params, "model", None) or model) != AUTO or not hasattr(figure.params, "model"):
        return ""
    return ", ".join(sorted({name.partition("/")[0] for item in planned for name in item.models.values()}))


def _understood(provenance: Mapping[str, Json]) -> Iterator[str]:
    """What a model that reads words by their nearest names took each prompt for."""
    for prompt, notes in dict(provenance.get("words", {})).items():
        if notes["nearest"]:
            far = ", far from anything known" if notes["far"] else ""
            yield f"“{prompt}”: {notes['nearest'][0]} ({notes['similarity']:.2f}{far})"


def _adopted(provenance: Mapping[str, Json]) -> str:
    """How a cell that was made by an older version of the code was found to be what today's would make."""
    adopted = provenance.get("adopted")
    return f"from {str(adopted['from'])[:12]}: {adopted['evidence']}" if isinstance(adopted, Mapping) else ""


def title(name: str) -> str:
    """``psnr`` is PSNR, ``test_loss`` test loss."""
    return " ".join(word.upper() if word in ACRONYMS else word for word in name.replace("_", " ").split())


def number(value: float, unit: str = "") -> str:
    """As many digits as say something: decibels with one decimal, else three or four significant ones."""
    if value == int(value) and unit != "dB":
        return f"{value:,.0f}".replace(",", "\u202f") if abs(value) >= 10_000 else f"{value:.0f}"
    if unit == "dB":
        return f"{value:.1f}"
    if abs(value) < 1e-3:
        mantissa, exponent = f"{value:.2e}".split("e")
        superscript = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{mantissa}\u2009×\u200910{superscript}"
    if abs(value) < 0.1:
        return f"{value:.3g}"
    decimals = next((n for n, bound in ((3, 1), (2, 10), (1, 1000)) if abs(value) < bound), 0)
    return f"{value:,.{decimals}f}".replace(",", "\u202f" if abs(value) >= 10_000 else "")


def words(value: Json) -> str:
    """A parameter's value for a person."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, float | int):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(words, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {words(item)}" for name, item in value.items())
    return str(value)
