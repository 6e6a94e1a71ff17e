"""What the rest of a site says of a figure: its manifest, its search, references, the page on validation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from noisebook.cells.checks import Check
from noisebook.render.prose import plain

if TYPE_CHECKING:
    from noisebook.cells.contract import Json
    from noisebook.render.views import CellView, FigureView, File, Page, Picture

ROWS = 60
"""Cells of one figure whose numbers the page on validation lists."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A figure as the rest of the site lists it, made once, when the figure is drawn.

    Attributes:
        data: its entry in the manifest, as JSON.
        search: its entry in what searches look through, as JSON.
        preview: what stands for it where it is referred to, as JSON: caption and pictures.
        states: a digest of its cells' keys and states.
        cells, missing, stale, drafts: how many.
        seconds: what its cells took to compute.
        checked: what came of computing them again, in words.
        checks: the cells that were computed again, by their labels.
        adopted: the evidence on which cells were carried over.
        numbers: the first cells that have numbers, by their labels: names and values as they are read.
        live: whether the reader's browser computes something here.
    """

    id: str
    number: int
    generator: str
    data: str
    search: str
    preview: str
    states: str
    cells: int
    missing: int
    stale: int
    drafts: int
    seconds: float
    checked: str
    checks: Sequence[tuple[str, Check]]
    adopted: Sequence[str]
    numbers: Sequence[tuple[str, Sequence[tuple[str, str]]]]
    live: bool


def listed(shown: FigureView, page: Page) -> Listed:
    """What is said of a figure of ``page`` elsewhere."""
    cells = shown.cells
    return Listed(
        id=shown.id,
        number=shown.number,
        generator=shown.generator,
        data=_data(shown, page),
        search=_search(shown, page),
        preview=_preview(shown),
        states=states((cell.key, cell.state) for cell in cells),
        cells=len(cells),
        missing=shown.missing,
        stale=shown.stale,
        drafts=sum(cell.state == "draft" for cell in cells),
        seconds=sum(float(cell.provenance.get("seconds") or 0) for cell in cells),
        checked=shown.checked,
        checks=[(cell.label, cell.check) for cell in cells if cell.check],
        adopted=[cell.provenance["adopted"]["evidence"] for cell in cells if cell.provenance.get("adopted")],
        numbers=[(cell.label, found) for cell in cells[:ROWS] if (found := cell.numbers)],
        live=shown.live,
    )


def states(cells: Iterable[tuple[str, str]]) -> str:
    """A digest of the keys and states of a figure's cells."""
    return hashlib.sha256("\n".join(f"{key} {state}" for key, state in cells).encode()).hexdigest()


def _data(shown: FigureView, page: Page) -> str:
    value = {
        "id": shown.id,
        "section": page.section.slug,
        "page": page.href,
        "number": shown.number,
        "generator": shown.generator,
        "cells": list(map(_cell, shown.cells)),
    }
    return json.dumps(value, ensure_ascii=False)  # indenting takes ten times as long


def _cell(cell: CellView) -> dict[str, Json]:
    return {
        "id": cell.id,
        "key": cell.key,
        "state": cell.state,
        "params": dict(cell.params),
        "numbers": cell.values,
        "files": list(map(_file, cell.files)),
        "provenance": dict(cell.provenance),
    }


def _file(file: File) -> dict[str, Json]:
    names = ("name", "path", "sha256", "mime", "width", "height")
    return {name: getattr(file, name) for name in names}


def _search(shown: FigureView, page: Page) -> str:
    labels = " · ".join(dict.fromkeys(tile.label for tile in shown.tiles))
    return compact(
        [
            f"Figure {shown.number} · {page.section.number or page.section.title}",
            f"{page.href}#fig-{shown.id}",
            f"{plain(str(shown.caption))} {labels}"[:2000],
        ]
    )


def _preview(shown: FigureView) -> str:
    caption = f"Figure {shown.number}. {plain(str(shown.caption))}"[:400]
    return compact(
        [caption, [[each.src, each.width, each.height, each.alt, _look(each)] for each in shown.cards]]
    )


def _look(picture: Picture) -> str:
    return "pixelated" if picture.pixelated else "vector" if picture.vector else ""


def compact(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
