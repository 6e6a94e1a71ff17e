"""What a site says for programs: its manifest, and the texts that its search looks through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from noisebook.cells.checks import Check
from noisebook.render.prose import plain
from noisebook.render.views import FigureView, File, Page, Picture

if TYPE_CHECKING:
    from noisebook.cells.contract import Json
    from noisebook.cells.plan import Planned

MANIFEST_FORMAT = 1


def manifest(title: str, pages: Sequence[Page]) -> bytes:
    """Every figure with its cells, their keys, parameters, numbers, files and provenance."""
    figures = [
        {
            "id": shown.id,
            "section": page.section.slug,
            "page": page.href,
            "number": shown.number,
            "generator": shown.generator,
            "cells": _cells(shown),
        }
        for page in pages
        for shown in page.figures
    ]
    value = {"format": MANIFEST_FORMAT, "title": title, "figures": figures}
    return json.dumps(value, ensure_ascii=False).encode()  # indenting takes ten times as long


def _cells(shown: FigureView) -> list[dict[str, Any]]:
    return [
        {
            "id": cell.id,
            "key": cell.key,
            "state": cell.state,
            "params": dict(cell.params),
            "numbers": cell.values,
            "files": list(map(_file, cell.files)),
            "provenance": dict(cell.provenance),
        }
        for cell in shown.cells
    ]


def _file(file: File) -> dict[str, Any]:
    names = ("name", "path", "sha256", "mime", "width", "height")
    return {name: getattr(file, name) for name in names}


def search_index(pages: Iterable[Page]) -> bytes:
    """[title, address, text] of every section, and of every figure's caption, as a script."""
    entries = []
    for page in pages:
        text = re.sub(r"<figure\b.*?</figure>", " ", str(page.prose.html), flags=re.DOTALL)
        entries.append([page.name, page.href, f"{page.section.summary} {plain(text)}".strip()])
        for shown in page.figures:
            labels = " · ".join(dict.fromkeys(tile.label for tile in shown.tiles))
            entries.append(
                [
                    f"Figure {shown.number} · {page.section.number or page.section.title}",
                    f"{page.href}#fig-{shown.id}",
                    f"{plain(str(shown.caption))} {labels}"[:2000],
                ]
            )
    value = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    return f"window.searchIndex={value};\n".encode()


def figure_index(pages: Iterable[Page]) -> bytes:
    """What stands for each figure where it is referred to, as a script: id → [caption, pictures]."""
    figures = {
        shown.id: [
            f"Figure {shown.number}. {plain(str(shown.caption))}"[:400],
            [[each.src, each.width, each.height, each.alt, _look(each)] for each in shown.cards],
        ]
        for page in pages
        for shown in page.figures
    }
    value = json.dumps(figures, ensure_ascii=False, separators=(",", ":"))
    return f"window.figureIndex={value};\n".encode()


def _look(picture: Picture) -> str:
    return "pixelated" if picture.pixelated else "vector" if picture.vector else ""


def behind(
    figures: Mapping[str, Sequence[Planned]], checks: Mapping[str, Check]
) -> list[tuple[str, Mapping[str, Json], Check | None]]:
    """The cells that no figure shows and others were computed from: names, provenance and checks."""
    found: dict[str, tuple[str, Mapping[str, Json], Check | None]] = {}

    met: set[str] = set()

    def visit(planned: Planned) -> None:
        for need in planned.needs.values():
            if need.key in met:
                continue
            met.add(need.key)
            visit(need)
            if record := need.record:
                name = f"{need.generator.name}/{need.cell.id}"
                found[need.key] = (name, record.provenance, checks.get(need.key))

    for cells in figures.values():
        for planned in cells:
            visit(planned)
    shown = {planned.key for cells in figures.values() for planned in cells}
    return [each for key, each in found.items() if key not in shown]
