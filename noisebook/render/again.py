"""Words that were edited, on their page at once: everything else is as the last build left it.

A build keeps what its pages were made of. Where only bodies of sections have changed since, those alone are
written again, and the pages put together; no cell is planned, no record read. Any doubt, and the whole build
is asked for: it tells mistakes too.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from noisebook.cells import fresh, reads
from noisebook.render.assets import Site
from noisebook.render.formats import summary
from noisebook.render.keeping import dump, load
from noisebook.render.pages import Written
from noisebook.render.theme import Theme, has_own_pages
from noisebook.render.views import Page
from noisebook.report.model import BadInput, Position, Problem
from noisebook.report.reader import Source, read_text
from noisebook.report.texts import fences, read_body


@dataclass(slots=True)
class Last:
    """The last build.

    Attributes:
        fronts: digest of each section's file up to its body, by its path.
        cached: how many cells the site shows.
        missing: what its summary said of others.
    """

    written: Written
    fronts: dict[str, str]
    cached: int
    missing: str

    def same(self, page: Page) -> bool:
        """Whether the file of a page's section is as it was."""
        path, body = page.section.path, page.section.body
        known = next((each for each in self.written.pages if each.section.path == path), None)
        if known is None or known.section.body != body:
            return False
        front = read_text(self.written.report.root, path).removesuffix(body)
        return _digest(front) == self.fronts.get(path)


def kept(written: Written, cached: int, missing: str) -> bytes:
    """What :func:`rewrite` needs.

    Nothing where more than a section's page may show its words: a report's own templates, or the list of its
    deliverables.
    """
    report = written.report
    if report.deliverables or has_own_pages(report.root):
        return b""
    fronts = {}
    for page in written.pages:
        text = read_text(report.root, page.section.path)
        fronts[page.section.path] = _digest(text.removesuffix(page.section.body))
    pages = [replace(page, section=replace(page.section, figures=(), places={})) for page in written.pages]
    bare = replace(written, report=replace(report, root=Path(), sections=(), places={}), pages=pages)
    return dump(Last(bare, fronts, cached, missing))


def rewrite(root: Path, now: fresh.Now | None = None) -> str | None:
    """Write the site again, and give the summary; None if that needs the whole build."""
    started, recorded = time.perf_counter(), reads.record()
    now = now or fresh.Now(root)
    if (last := last_build(root, now)) is None:
        return None
    try:
        if (texts := _texts(last)) is None:
            return None
        now.loaded = None  # it is changed from here on
        site = Site(root / "site")
        if not _edit(last, texts, site):
            return None
        pages = last.written.finish(site, Theme(root, site)).written
        last.written.report = replace(last.written.report, root=Path())
        index = root / "site" / "index.html"
        nothing = summary(0, last.cached, 0.0, 0, 0, index) + last.missing
        fresh.remember(root, now, nothing, now.more, now.begun, dump(last), recorded.written)
        return summary(0, last.cached, time.perf_counter() - started, 0, pages, index) + last.missing
    except (BadInput, OSError):
        return None
    except Exception:  # what was kept is not what it seemed: the whole build does without
        now.memory = now.loaded = None
        return None


def last_build(root: Path, now: fresh.Now) -> Last | None:
    """The last build, if nothing but the files of sections has changed since."""
    if now.loaded is None:
        now.loaded = _load(now.kept, root)
    last: Last | None = now.loaded
    return last


def _texts(last: Last) -> dict[str, tuple[Source, int]] | None:
    """Each section's file, and where its body begins; None if other sections or front matter are there.

    Raises BadInput.
    """
    root = last.written.report.root
    there = {f"sections/{name}" for name in fresh.section_files(root) if not name.startswith(("_", "."))}
    if there != last.fronts.keys():
        return None
    texts = {}
    for path, front in last.fronts.items():
        source = Source(path, read_text(root, path))
        found = fences(source, [])
        if not found or _digest(source.text[: found[2]]) != front:
            return None
        texts[path] = source, found[2]
    return texts


def _edit(last: Last, texts: Mapping[str, tuple[Source, int]], site: Site) -> bool:
    """Write the bodies that have changed; whether that was all. Raises BadInput."""
    written = last.written
    writer = written.writer(site)
    kept = {*written.pictures, *(name for page in written.pages for name in page.assets)}
    for page in written.pages:
        section, placed = page.section, page.prose.figures
        source, start = texts[section.path]
        body = source.text[start:]
        if body == section.body:
            kept.update(page.prose.pictures)
            continue
        problems: list[Problem] = []
        read_body(body, _places(source, start), written.report.macros, problems)
        if problems or not body.strip():
            return False
        page.section = replace(section, body=body)
        written.write_body(page, writer)
        if page.prose.figures != placed:
            return False  # figures are numbered in the order in which they stand
    written.check_links()
    return all(map(site.keep, kept))


def _places(source: Source, start: int) -> Callable[[int], Position]:
    return lambda offset: source.position(start + offset)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _load(data: bytes, root: Path) -> Last | None:
    try:
        last = load(data)
        assert isinstance(last, Last)
        last.written.report = replace(last.written.report, root=root)
    except Exception:  # whatever stands there, it is not what was kept
        return None
    return last
