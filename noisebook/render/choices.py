"""Samples from which a figure's own was chosen, as one small sheet.

Sample k is the k-th, row by row, each with its readings side by side. The sheet is committed; the pictures
that were not chosen are not.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydantic import PositiveInt

from noisebook.cells.folders import parse_json
from noisebook.cells.plan import Planned
from noisebook.render.assets import Site
from noisebook.render.views import Picture, Samples
from noisebook.report.model import BadInput, Figure, Problem
from noisebook.report.reader import read_picture

SIDE, ROW, WIDEST = 64, 8, 32
"""Pixels of a thumbnail, samples in a row, and the most thumbnails in one: of many readings fewer samples."""
QUALITY = 60


@dataclass(frozen=True, slots=True)
class Sheet:
    """Attributes: ``samples`` are the thumbnails of each; ``key`` the keys of the chosen one's cells, with
    spaces between."""

    samples: Sequence[Sequence[Image.Image]]
    key: str = ""

    @property
    def row(self) -> int:
        """Samples in a row."""
        return row_of(len(self.samples[0]))

    def encoded(self) -> bytes:
        """As WebP."""
        readings, row = len(self.samples[0]), self.row
        rows = -(-len(self.samples) // row)
        paper = Image.new("RGB", (row * readings * SIDE, rows * SIDE), "white")
        for place, pictures in enumerate(self.samples):
            for reading, picture in enumerate(pictures):
                small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
                left = (place % row * readings + reading) * SIDE
                paper.paste(small, (left, place // row * SIDE))
        buffer = io.BytesIO()
        notes = json.dumps({"count": len(self.samples), "key": self.key, "readings": readings}).encode()
        paper.save(buffer, "WEBP", quality=QUALITY, method=6, xmp=notes)
        return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class _Notes:
    """What a sheet says of itself; ``readings`` of each sample, if it says so."""

    count: PositiveInt
    key: str
    readings: PositiveInt | None = None


def row_of(readings: int) -> int:
    """How many samples of so many readings stand in a row of a sheet."""
    return max(1, min(ROW, WIDEST // readings))


def decoded(data: bytes) -> Sheet:
    """The sheet that :meth:`Sheet.encoded` made. Raises ValueError for any other picture."""
    with Image.open(io.BytesIO(data)) as opened:
        notes, paper = opened.info.get("xmp", b""), opened.convert("RGB")
    try:
        found: _Notes = parse_json(notes, _Notes)
    except ValueError as error:
        raise ValueError("this picture is no sheet of samples: noisebook candidates makes them") from error
    count, readings = found.count, found.readings or max(1, paper.width // (ROW * SIDE))
    row = row_of(readings)
    if paper.size != (row * readings * SIDE, -(-count // row) * SIDE):
        raise ValueError(f"{paper.width} × {paper.height} pixels do not hold {count} samples")
    return Sheet(
        [
            [
                paper.crop((x := (k % row * readings + r) * SIDE, y := k // row * SIDE, x + SIDE, y + SIDE))
                for r in range(readings)
            ]
            for k in range(count)
        ],
        found.key,
    )


def samples(figure: Figure, planned: Sequence[Planned], root: Path, site: Site) -> Samples | None:
    """What the page shows of the samples that a figure's was chosen from; None for a figure without a sheet.

    Raises BadInput.
    """
    if not figure.sheet:
        return None
    data, _ = read_picture(root, figure.sheet, figure.position)
    try:
        sheet = decoded(data)
    except ValueError as error:
        raise BadInput([Problem(figure.position, f"{figure.sheet}: {error}")]) from error
    chosen = int(getattr(figure.params, "samples", [0])[0])
    first = []
    for number, thumbnail in enumerate(sheet.samples[0] if chosen else ()):
        buffer = io.BytesIO()
        thumbnail.save(buffer, "PNG")
        place = site.add_hashed(f"{figure.id}-first-{number}", ".png", buffer.getvalue())
        alt = f"The first draw, nothing chosen: reading {number + 1} of {len(sheet.samples[0])}."
        first.append(Picture(place, place, 2 * SIDE, 2 * SIDE, alt, pixelated=True, natural=SIDE))
    count, readings, row = len(sheet.samples), len(sheet.samples[0]), sheet.row
    alt = f"{count} samples in rows of {min(count, row)}, each with {readings} readings side by side."
    width, height = row * readings * SIDE, -(-count // row) * SIDE
    place = site.add_hashed(f"{figure.id}-samples", ".webp", data)
    whole = Picture(place, place, width, height, alt, natural=width)
    earlier = not set(sheet.key.split()) <= {each.key for each in planned}
    return Samples(first, whole, count, chosen, 1 + chosen // row, 1 + chosen % row, earlier)
