"""What a site says for programs: its manifest, and the texts that its search looks through."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from noisebook.cells.checks import Check
from noisebook.render.listed import compact
from noisebook.render.prose import plain
from noisebook.render.views import Page

if TYPE_CHECKING:
    from noisebook.cells.contract import Json
    from noisebook.cells.plan import Planned

MANIFEST_FORMAT = 1


def manifest(title: str, pages: Sequence[Page]) -> bytes:
    """Every figure with its cells, their keys, parameters, numbers, files and provenance."""
    figures = ", ".join(each.data for page in pages for each in page.listed)
    said = json.dumps(title, ensure_ascii=False)
    return f'{{"format": {MANIFEST_FORMAT}, "title": {said}, "figures": [{figures}]}}'.encode()


def search_index(pages: Iterable[Page]) -> bytes:
    """[title, address, text] of every section, and of every figure's caption, as a script."""
    entries = (each for page in pages for each in (page.search, *(figure.search for figure in page.listed)))
    return f"window.searchIndex=[{','.join(entries)}];\n".encode()


def searched(page: Page) -> str:
    """A section's entry there, as JSON."""
    text = re.sub(r"<figure\b.*?</figure>", " ", str(page.prose.html), flags=re.DOTALL)
    return compact([page.name, page.href, f"{page.section.summary} {plain(text)}".strip()])


def figure_index(pages: Iterable[Page]) -> bytes:
    """What stands for each figure where it is referred to, as a script: id → [caption, pictures]."""
    figures = (f"{compact(each.id)}:{each.preview}" for page in pages for each in page.listed)
    return f"window.figureIndex={{{','.join(figures)}}};\n".encode()


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
