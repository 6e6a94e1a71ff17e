"""What would go wrong between a report that builds here and its page at a host."""

from __future__ import annotations

import re
from collections.abc import Iterator

from noisebook.doctor import Finding
from noisebook.git import git, untracked
from noisebook.project import Project
from noisebook.render.formats import counted, size

SITE_BYTES, FILE_BYTES = 1e9, 100e6
"""GitHub's limits: of a site, and of a file in a repository."""


def examine(book: Project) -> Iterator[Finding]:
    """Each condition of a page that stands as it does here."""
    yield from _cells(book)
    yield from _site(book)
    yield from _repository(book)
    yield from _requirements(book)
    if book.report.base_url:
        yield Finding("ok", "base_url", book.report.base_url)
    else:
        mend = "base_url: in report.yaml brings a site map, a feed, social cards"
        yield Finding("note", "base_url", "none", mend)


def _cells(book: Project) -> Iterator[Finding]:
    if book.automatic:
        yield Finding("wrong", "model", "auto depends on the machine", "name a family in report.yaml")
    cells = [cell for cells in book.planned.values() for cell in cells]
    left = [f"{cell.figure}/{cell.cell.id}" for cell in cells if not cell.cached]
    if left:
        some = ", ".join(left[:5]) + (", …" if len(left) > 5 else "")
        text = f"{len(left)} {'are' if len(left) > 1 else 'is'} not computed: {some}"
        yield Finding("wrong", "cells", text, "noisebook build")
    else:
        yield Finding("ok", "cells", f"all {len(cells)} are computed")


def _site(book: Project) -> Iterator[Finding]:
    files = [path for path in book.site.rglob("*") if path.is_file()]
    if not (book.site / "index.html").is_file():
        yield Finding("wrong", "site", "not built", "noisebook build")
        return
    sizes = {path: path.stat().st_size for path in files}
    whole, largest = sum(sizes.values()), max(sizes, key=lambda path: sizes[path])
    if whole > SITE_BYTES or sizes[largest] > FILE_BYTES:
        text = f"{size(whole)}, its largest file {largest.name} {size(sizes[largest])}"
        mend = f"a host takes {size(SITE_BYTES)}, and {size(FILE_BYTES)} a file: fewer or smaller pictures"
        yield Finding("wrong", "site", text, mend)
    else:
        yield Finding("ok", "site", f"{size(whole)} in {len(files)} files")


def _repository(book: Project) -> Iterator[Finding]:
    tracked = git(book.root, "ls-files", "-z")
    if tracked is None:
        yield Finding("wrong", "git", "the report is in no repository", "git init, git add ., git commit")
        return
    names = set(tracked)
    store = book.store.place
    if store.is_relative_to(book.root):
        place = store.relative_to(book.root)
        records = {f"{place}/cells/{key}.json" for key in book.everything if book.store.has(key)}
        if records - names or git(book.root, "status", "--porcelain", "-z", "--", str(place)):
            text = f"{size(untracked(store))} under {place}/ are not committed"
            yield Finding("wrong", "git", text, f"git add {place} && git commit")
            return
    files = {name: path for name in names if (path := book.root / name).is_file()}
    large = [name for name, path in files.items() if path.stat().st_size > FILE_BYTES]
    if large:
        yield Finding("wrong", "git", f"above {size(FILE_BYTES)}: " + ", ".join(large), "make them smaller")
    elif changed := git(book.root, "status", "--porcelain", "-z"):
        text = f"{counted(len(changed), 'change')} not committed"
        yield Finding("note", "git", text, "git add . && git commit")
    else:
        yield Finding("ok", "git", "everything is committed")


def _requirements(book: Project) -> Iterator[Finding]:
    path = book.root / "requirements.txt"
    if not path.is_file():
        return
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    line = next((line for line in lines if line.startswith("noisebook")), "")
    if "HOST/OWNER" in line or "file:" in line or not line:
        mend = "noisebook @ git+https://… with the address of its repository"
        yield Finding("wrong", "requirements.txt", "does not say where others get Noisebook", mend)
    elif re.fullmatch(r"noisebook\s*", line):
        yield Finding("note", "requirements.txt", "takes any version of Noisebook", "name one: noisebook==…")
    else:
        yield Finding("ok", "requirements.txt", line)
