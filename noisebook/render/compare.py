"""Which figures differ between two builds of a site, before and after side by side.

``python -m noisebook.render.compare BEFORE AFTER OUT`` prints a summary in Markdown and writes the pictures
to ``OUT/index.html``.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

Cells = dict[tuple[str, str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """A cell that was added, removed, or whose published files differ."""

    figure: str
    cell: str
    kind: str
    before: str
    after: str
    """Paths of its pictures within each site; empty where it has none."""


def changes(before: Path, after: Path) -> Iterator[Change]:
    """What differs between the manifests of two sites."""
    old, new = _cells(before), _cells(after)
    for figure, cell in dict.fromkeys([*new, *old]):
        was, now = old.get((figure, cell)), new.get((figure, cell))
        if was and now and _digests(was) == _digests(now):
            continue
        kind = "changed" if was and now else "added" if now else "removed"
        yield Change(figure, cell, kind, _picture(was), _picture(now))


def _cells(site: Path) -> Cells:
    try:
        figures = json.loads((site / "manifest.json").read_bytes())["figures"]
    except FileNotFoundError:
        return {}
    return {(figure["id"], cell["id"]): cell for figure in figures for cell in figure["cells"]}


def _digests(cell: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((file["name"], file["sha256"]) for file in cell["files"])


def _picture(cell: dict[str, Any] | None) -> str:
    files = cell["files"] if cell else []
    named = [file["path"] for file in files if file["name"] == "picture"]
    pictures = [file["path"] for file in files if file["mime"].startswith("image/") and file["path"]]
    return next((path for path in named if path in pictures), next(iter(pictures), ""))


def summary(found: list[Change]) -> str:
    """The changes in Markdown, a line a figure."""
    if not found:
        return "No figure changes.\n"
    lines = ["| figure | cells |", "|:--|:--|"]
    for figure in dict.fromkeys(change.figure for change in found):
        cells = [f"{change.cell} ({change.kind})" for change in found if change.figure == figure]
        more = f" and {len(cells) - 12} more" if len(cells) > 12 else ""
        lines.append(f"| `{figure}` | {', '.join(cells[:12])}{more} |")
    return "\n".join(lines) + "\n"


def write(found: list[Change], before: Path, after: Path, out: Path) -> None:
    """A page with the pictures of every change, and copies of them."""
    rows = []
    for change in found:
        cells = []
        for site, name, path in ((before, "before", change.before), (after, "after", change.after)):
            if path:
                copy = out / name / Path(path).name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(site / path, copy)
                cells.append(f'<td><img src="{name}/{escape(copy.name)}" alt="{name}"></td>')
            else:
                cells.append("<td>–</td>")
        title = f"{escape(change.figure)} / {escape(change.cell)}<br>{change.kind}"
        rows.append(f"<tr><th>{title}</th>{''.join(cells)}</tr>")
    out.mkdir(parents=True, exist_ok=True)
    (out / "index.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Changed figures</title>'
        "<style>body{font:16px system-ui;margin:2rem}th{text-align:left;padding-right:2rem}"
        "img{min-width:192px;max-width:40vw;image-rendering:pixelated}</style>"
        "<h1>Changed figures</h1><table><tr><td></td><th>before</th><th>after</th></tr>"
        f"{''.join(rows)}</table>",
        "utf-8",
    )


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    if len(arguments) != 3:
        print("usage: python -m noisebook.render.compare BEFORE AFTER OUT", file=sys.stderr)
        return 2
    before, after, out = map(Path, arguments)
    if not (after / "manifest.json").is_file():
        print(f"{after} holds no site: build it first", file=sys.stderr)
        return 2
    found = list(changes(before, after))
    write(found, before, after, out)
    print(summary(found), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
