"""From a finished cell's outputs to files of the site and to what its tiles show."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from noisebook.cells.contract import Json
from noisebook.cells.folders import parse_json
from noisebook.cells.media import published
from noisebook.cells.plan import Planned
from noisebook.cells.record import Record, Stored
from noisebook.cells.store import Absent, Store
from noisebook.render import bundles, media
from noisebook.render.assets import Site
from noisebook.render.formats import SUFFIXES, duration, field, is_number, title
from noisebook.render.styles import Styles
from noisebook.render.views import (
    ENLARGED,
    PIXELATED,
    CellView,
    Download,
    File,
    Live,
    Picture,
    Table,
    Tile,
    Words,
)
from noisebook.report.model import Figure

LARGEST_NUMBER = 200
"""Bytes of an output that may be a number."""
LARGEST_TABLE = 2_000_000
"""Bytes of an output that may be a table."""
MOST_FIELDS = 100_000
"""Of a table in a page; a longer one is a file to download."""
LARGEST_CURVES = 2_000_000
"""Bytes; larger arrays are weights and states, not curves."""
LONGEST_STRIP = 16_383
"""Pixels; the largest side that WebP has."""
LARGEST_DOWNLOAD = 25_000_000
"""Bytes; larger outputs stay in the store."""
NETWORK, ARRAYS = "application/onnx", "application/x-safetensors"
"""A cell that leaves a network of this type, and JSON called ``sampler``, is run by the reader's browser."""
WORDS = "words"
"""A cell that leaves JSON of this name, and JSON called ``bundles``, is what a page draws pictures from."""
FILMS = ("video/mp4", "image/webp", "image/gif")
"""The lightest first."""


def cell_view(figure: Figure, planned: Planned, site: Site, styles: Styles, *, keep_stale: bool) -> CellView:
    """What the page shows of a cell; with ``keep_stale`` its newest older version where it has none."""
    record, state = planned.record, "draft" if planned.components.get("draft") else "cached"
    if record is None and keep_stale and (record := older(planned)):
        state = "stale"
    if record is not None:
        try:
            return _Finished(figure, planned, record, state, site, styles).view()
        except Absent:  # its bytes are not on this machine
            pass
    return _empty(planned, "missing")


def _empty(planned: Planned, state: str) -> CellView:
    cell = planned.cell
    tiles = [Tile(f"{cell.id}-{each.output}", each.label) for each in cell.pictures]
    return CellView(
        cell.id,
        cell.label,
        planned.key,
        state,
        dict(cell.params),
        tiles or [Tile(cell.id, cell.label)],
        seed=planned.components.get("seed"),
    )


def decoded(store: Store, output: Stored, most: int) -> Json:
    """What a JSON output of at most ``most`` bytes says; None if it is longer, or nothing that can be shown.

    Raises Absent.
    """
    if output.bytes > most:
        return None
    try:
        return parse_json(store.open(output), Any)  # nested 200 deep at most
    except ValueError:
        return None


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


class _Finished:
    """A cell on its way from its record to the page. Raises Absent where bytes that it shows are not here."""

    def __init__(
        self, figure: Figure, planned: Planned, record: Record, state: str, site: Site, styles: Styles
    ) -> None:
        self.figure, self.planned, self.record = figure, planned, record
        self.site, self.styles = site, styles
        self.outputs = [output for output in record.outputs if output.keep == "published"]
        self.labelled = {each.output: index for index, each in enumerate(planned.cell.pictures)}
        self.result = _empty(planned, state)

    def view(self) -> CellView:
        result, provenance = self.result, self.record.provenance
        result.key, result.seed = self.record.key, self.record.components.get("seed")
        result.needs = list(map(_needed, self.planned.needs.values()))
        result.provenance = {name: value for name, value in provenance.items() if name != "reached"}
        main = self._main()
        for output in self.outputs:
            if output.mime == "application/json" and self._number(output):
                continue
            file = self._file(output)
            result.files.append(file)
            if output in main:
                self._picture(output, file)
            elif output.name == WORDS and output.mime == "application/json":
                result.words = self._words(output, file)
            elif output.mime == "application/json":
                self._table(output)
            elif output.mime == NETWORK and file.path and (sampler := self._sampler()):
                result.live = Live(file, sampler, self._weights())
            self._take_away(self.planned, output, self.outputs)
        for need in self.planned.needs.values():
            for output in need.record.outputs if need.record else ():
                if output.keep == "published":
                    self._take_away(need, output, ())
        return result

    def _open(self, output: Stored) -> bytes:
        return self.planned.store.open(output)

    def _main(self) -> list[Stored]:
        """The pictures that the figure shows: those with labels, a film, the one called picture, or all."""
        if self.labelled:
            return [output for output in self.outputs if output.name in self.labelled]
        if self.record.output(WORDS):
            return []  # its pictures are what banks are made of
        moving = [output for output in self.outputs if output.name.startswith("animation")]
        if moving:
            return [min(moving, key=lambda output: [*FILMS, output.mime].index(output.mime))]
        return [output for output in self.outputs if output.name == "picture"] or [
            output for output in self.outputs if output.mime.startswith(("image/", "video/"))
        ]

    def _file(self, output: Stored) -> File:
        suffix = SUFFIXES.get(output.mime, ".bin")
        path = f"assets/{output.sha256[:16]}{suffix}"
        if output.bytes > LARGEST_DOWNLOAD:
            path = ""
        elif not self.site.keep(path):
            self.site.add(path, self._published(output))
        name = f"{self.figure.id}-{self.result.id}" + ("" if output.name == "picture" else f"-{output.name}")
        return File(
            output.name,
            output.mime,
            path,
            self.site.digest(path) if path else output.sha256,
            output.bytes,
            output.width,
            output.height,
            name + suffix,
        )

    def _picture(self, output: Stored, file: File) -> None:
        """Put a picture onto its tile."""
        width, height = output.width or 0, output.height or 0
        if not (width and height):
            return
        cell, index = self.planned.cell, self.labelled.get(output.name, 0)
        alt = (self.labelled and cell.pictures[index].alt) or cell.alt or self.figure.alt or cell.label
        result = Picture(file.path, file.path, width, height, alt, natural=width)
        self.result.tiles[index].pictures.append(result)
        if output.mime == "image/svg+xml":
            result.vector = True
            return
        if output.mime == "video/mp4":
            result.animated, result.video = True, file.path
            poster = self.record.output("picture") or self.record.output("poster")
            result.poster = (
                f"assets/{poster.sha256[:16]}{SUFFIXES.get(poster.mime, '.png')}" if poster else ""
            )
        elif output.mime in ("image/webp", "image/gif"):
            self._film(output, result)
        factor = max(1, ENLARGED // max(width, height)) if max(width, height) <= PIXELATED else 1
        result.pixelated = max(width, height) <= PIXELATED
        result.css = self.styles.name(
            f"--w:{width}px;--max:{width * factor}px" if result.pixelated else f"--max:{width}px"
        )
        result.width, result.height = width * factor, height * factor

    def _film(self, output: Stored, result: Picture) -> None:
        """The still of a film, and its frames side by side if the reader goes through them by hand."""
        name = f"assets/{output.sha256[:16]}"
        still, strip = f"{name}-still.png", f"{name}-frames.webp"
        by_hand = self.figure.layout.get("kind") == "scrubber"
        if not by_hand and self.site.keep(still):
            result.animated, result.poster = True, still
            return
        data = self._open(output)
        _, _, count = media.shape(data)
        if count == 1:
            return
        result.animated, result.poster = True, still
        if not self.site.keep(still):
            self.site.add(still, media.still(data))
        if by_hand and count * result.natural <= LONGEST_STRIP:
            result.frames, result.durations = strip, [milliseconds for _, milliseconds in media.film(data)]
            if not self.site.keep(strip):
                self.site.add(strip, media.strip(data))

    def _published(self, output: Stored) -> bytes:
        try:
            return published(self._open(output), output.mime)
        except ValueError as error:
            at = f"{self.figure.id}/{self.result.id}: the output {output.name!r}"
            warnings.warn(f"{at} is not published: {error}", stacklevel=2)
            raise Absent from error

    def _number(self, output: Stored) -> bool:
        """Whether the output is a number: it goes beside the picture."""
        value = self._json(output, LARGEST_NUMBER)
        if not (isinstance(value, Mapping) and is_number(value.get("value"))):
            return False
        self.result.values[output.name] = dict(value)
        name, _, of = output.name.rpartition(" of ")
        tile = self.labelled.get(of)
        self.result.tiles[tile or 0].values[output.name if tile is None else name] = dict(value)
        return True

    def _table(self, output: Stored) -> None:
        """A table goes under the figure, and is offered as CSV. Rows that are too short are filled."""
        value = self._json(output)
        match value:
            case {"columns": list(names), "rows": list(rows)} if all(isinstance(row, list) for row in rows):
                width = max(map(len, [names, *rows]))
            case _:
                return
        if width * len(rows) > MOST_FIELDS:
            return
        columns = [str(name) for name in names] + [""] * (width - len(names))
        rows = [row + [None] * (width - len(row)) for row in rows]
        path = self.site.add(f"assets/{output.sha256[:16]}.csv", _csv([columns, *rows]))
        numeric = [all(is_number(row[i]) for row in rows) for i in range(width)]
        shown = [list(map(field, row)) for row in rows]
        self.result.tables.append(Table(title(output.name), columns, shown, path, numeric, output.measured))

    def _json(self, output: Stored, most: int = LARGEST_TABLE) -> Json:
        return decoded(self.planned.store, output, most)

    def _words(self, output: Stored, file: File) -> Words | None:
        """Subjects that are drawn in the page; their pictures are cut out of the library."""
        pieces = self.record.output("bundles")
        if pieces is None or max(output.bytes, pieces.bytes) > LARGEST_TABLE:
            return None
        try:
            found = parse_json(self._open(output), bundles.Offered)
            parts = parse_json(self._open(pieces), bundles.Bundles)
        except ValueError as error:
            warnings.warn(f"{self.figure.id}: the page cannot draw: {error}", stacklevel=2)
            return None
        complete = bundles.cut(parts, self.site, self.planned.store.pinned.values())
        if not complete:
            missing = ", ".join(parts.files)
            warnings.warn(
                f"{self.figure.id}: {missing} are not at hand, so the page cannot draw; "
                "pip install noisebook[compute] brings them",
                stacklevel=2,
            )
        return Words(
            file,
            {subject.name: subject.phrase for subject in found.subjects},
            found.styles,
            {steps: process.timesteps for steps, process in found.processes.items()},
            list(found.views),
            complete,
        )

    def _sampler(self) -> str:
        """How the network is run, as JSON; '' if nothing says so."""
        sampler = self.record.output("sampler")
        return "" if sampler is None or self._json(sampler) is None else self._open(sampler).decode()

    def _weights(self) -> dict[str, dict[str, str | int]]:
        """What the network may be run with: the cell's arrays."""
        files = [self._file(output) for output in self.outputs if output.mime == ARRAYS]
        return {file.name: {"path": file.path, "bytes": file.bytes} for file in files}

    def _take_away(self, planned: Planned, output: Stored, others: Sequence[Stored]) -> None:
        """A film as a GIF, where the cell has none; curves as CSV."""
        if output.mime == "image/webp" and output.name.startswith("animation"):
            if any(other.mime == "image/gif" for other in others):
                return
            suffix = ".gif"
        elif output.mime == ARRAYS and output.bytes <= LARGEST_CURVES:
            suffix = ".csv"
        else:
            return
        path = f"assets/{output.sha256[:16]}{suffix}"
        if not self.site.keep(path):
            try:
                data = planned.store.open(output)
            except Absent:
                return
            try:
                made = media.gif(data, PIXELATED, ENLARGED) if suffix == ".gif" else media.curves(data)
            except (OSError, ValueError):  # not what it says it is
                return
            if made is None:
                return
            self.site.add(path, made)
        name = f"{output.name.replace(' ', '-')}{suffix}"
        self.result.downloads.append(Download(name, path, f"{self.figure.id}-{self.result.id}-{name}"))


def _needed(planned: Planned) -> str:
    """A cell that another one was computed from, a trained network most often, and what it cost."""
    name = f"{planned.generator.name}/{planned.cell.id}"
    if (record := planned.record) is None:
        return name
    return f"{name} ({duration(float(record.provenance.get('seconds', 0)))})"


def numbers_as_csv(name: str, cells: Sequence[CellView], site: Site) -> str:
    """Every number of a figure, a line a picture; nothing if it has none."""
    tiles = [tile for cell in cells for tile in cell.tiles if tile.values]
    units = {key: value.get("unit", "") for tile in tiles for key, value in tile.values.items()}
    if not units:
        return ""
    rows = [["cell", "label", *(f"{key} ({unit})" if unit else key for key, unit in units.items())]]
    for tile in tiles:
        rows.append([tile.id, tile.label, *(tile.values.get(key, {}).get("value", "") for key in units)])
    return site.add_hashed(f"{name}-numbers", ".csv", _csv(rows))


def _csv(rows: Sequence[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
