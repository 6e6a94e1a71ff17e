"""A report with one of everything that a page can show, drawn without torch: tests/data/sample."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from pathlib import Path

from noisebook.cells.plan import work
from noisebook.cells.run import execute
from noisebook.progress import watcher
from noisebook.project import Project
from noisebook.render.site import RenderSummary, render_site

HERE = Path(__file__).parent


def write_report(root: Path) -> Path:
    """The report's folder, with noisebook's own bibliography."""
    shutil.copytree(HERE / "data" / "sample", root, dirs_exist_ok=True)
    shutil.copy(HERE.parent / "references.bib", root)
    return root


def compute(root: Path) -> None:
    """Every cell of the report that is missing."""
    os.environ.setdefault("NOISEBOOK_CACHE_DIR", str(root / "user-cache"))
    book = Project(root)
    todo = work([cell for cells in book.planned.values() for cell in cells])
    with contextlib.redirect_stdout(io.StringIO()), watcher(len(todo.cells)) as watching:
        outcome = execute(todo, book.models, watching, errors=root / ".noisebook" / "errors")
    assert not outcome.failures, outcome.failures


def render(root: Path, *, keep_stale: bool = False) -> RenderSummary:
    """The site of the report as it stands."""
    book = Project(root)
    return render_site(book.report, book.planned, book.site, keep_stale=keep_stale)[1]
