"""What is wrong with an installation, and how to mend it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from noisebook.cells.folders import user_cache, write_atomically
from noisebook.cells.provenance import version
from noisebook.models import catalogue
from noisebook.project import Project, is_url
from noisebook.render.formats import counted
from noisebook.render.onepage import NoBrowser, browser
from noisebook.report.model import BadInput

PYTHON = (3, 11)
DISK_BYTES, MEMORY_BYTES = 2e9, 2e9
"""Less than this, and a build may not come to its end."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*([^;]*)(?:;(.*))?")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. ``wrong`` stands in the way of a build; ``note`` of something else."""

    level: Literal["ok", "note", "wrong"]
    about: str
    found: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.level:5} {self.about}: {self.found}" + (f"\n      {self.mend}" if self.mend else "")


def examine(book: Project) -> Iterator[Finding]:
    """Look at everything. Never shows a token, only whether one is there."""
    looks = _python, _packages, _torch, _memory, _store, _shared, _report, _models, _disk, _tokens, _browser
    for look in looks:
        yield from look(book)


def _python(book: Project) -> Iterator[Finding]:
    here = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON:
        yield Finding("wrong", "Python", here, f"install {'.'.join(map(str, PYTHON))} or newer")
    else:
        yield Finding("ok", "Python", here)


def _packages(book: Project) -> Iterator[Finding]:
    required: dict[str, str] = {}
    for line in metadata.requires("noisebook") or ():
        found = _REQUIREMENT.match(line)
        if found and "extra" not in (found[3] or ""):
            required[found[1]] = found[2].strip()
    missing = [f"{name}{bound}" for name, bound in required.items() if version(name) is None]
    if missing:
        yield Finding("wrong", "packages", "missing: " + ", ".join(missing), "pip install noisebook")
    pinned = book.root / "constraints.txt"
    if not pinned.is_file():
        if not missing:
            yield Finding("ok", "packages", f"{len(required)} required ones are here; none is pinned")
        return
    pins = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", pinned.read_text(), re.MULTILINE))
    others = [
        f"{name} {here} (pinned: {wanted})"
        for name, wanted in pins.items()
        if (here := version(name)) not in (None, wanted)
    ]
    if others:
        found_text = f"{len(others)} differ from constraints.txt: " + ", ".join(others[:5])
        mend = "make site installs what it has, where there is a Makefile"
        yield Finding("note", "packages", found_text + (", …" if len(others) > 5 else ""), mend)
    elif not missing:
        yield Finding("ok", "packages", "as constraints.txt has them")


def _torch(book: Project) -> Iterator[Finding]:
    if version("torch") is None:
        mend = "to compute: pip install 'PLACE[compute]', with PLACE where Noisebook is from (docs/start.md)"
        yield Finding("note", "device", "torch is not installed: this machine can only publish", mend)
        return
    try:
        import torch
    except (ImportError, OSError) as error:
        mend = "install torch again: pip install --force-reinstall torch"
        yield Finding("wrong", "device", f"torch cannot be imported: {error}", mend)
        return
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        yield Finding("ok", "device", f"{name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free")
    elif torch.version.cuda and Path("/proc/driver/nvidia").exists():
        mend = "compare nvidia-smi's version with torch's, and install a matching pair"
        yield Finding("note", "device", f"a GPU that torch (CUDA {torch.version.cuda}) cannot use", mend)
    else:
        yield Finding(
            "ok", "device", f"{os.cpu_count()} processors, {torch.get_num_threads()} threads, no GPU"
        )


def _memory(book: Project) -> Iterator[Finding]:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return
    if free < MEMORY_BYTES:
        mend = "end other programs, or build less at a time with --only"
        yield Finding("note", "memory", f"{free / 1e9:.1f} GB free", mend)
    else:
        yield Finding("ok", "memory", f"{free / 1e9:.1f} GB free")


def _report(book: Project) -> Iterator[Finding]:
    try:
        cells = [cell for cells in book.planned.values() for cell in cells]
        todo = sum(not cell.cached for cell in cells)
    except BadInput as error:
        first = str(error.problems[0]).splitlines()[0]
        mend = "noisebook status tells them all"
        yield Finding("wrong", "report", f"{len(error.problems)} problems, first: {first}", mend)
        return
    except Exception as error:  # whatever it is, the rest of the examination is still wanted
        yield Finding("wrong", "report", f"{type(error).__name__}: {error}", "noisebook status tells more")
        return
    yield Finding("ok", "report", f"{counted(len(cells), 'cell')}, {todo} not computed")


def _models(book: Project) -> Iterator[Finding]:
    with contextlib.suppress(Exception):  # told of the report already
        names = {
            name for cell in book.everything.values() if not cell.cached for name in cell.models.values()
        }
        lacking = list(catalogue.lacking(names, book.lock, book.root))
        for line in lacking:
            yield Finding("note", "models", *line.split(": ", 1))
        if names and not lacking:
            yield Finding("ok", "models", ", ".join(sorted(names)))


def _store(book: Project) -> Iterator[Finding]:
    try:
        store = book.store
    except BadInput as error:
        for problem in error.problems:
            if "store" in problem.message:
                yield Finding("wrong", "store", problem.message, "make it a folder that is writable")
        return
    probe = store.place / ".doctor"
    try:
        write_atomically(probe, b"")
        probe.unlink()
    except OSError as error:
        mend = f"make {store.place} writable"
        yield Finding("wrong", "store", f"{store.place}: {error.strerror}", mend)
        return
    with warnings.catch_warnings(record=True) as damaged:
        warnings.simplefilter("always")
        store.scan()
    halves = sum(not store.has(key) for key in store.entries)
    aside = len(list((store.place / "aside").glob("*")))
    if damaged or halves:
        text = f"{counted(len(damaged), 'damaged file')} set aside, {counted(halves, 'cell')} without objects"
        yield Finding("note", "store", text, "noisebook build computes them again, or noisebook pull")
    elif aside:
        text = f"{len(store.entries)} cells; {aside} damaged files lie aside"
        yield Finding("note", "store", text, "noisebook gc --yes removes them")
    else:
        yield Finding("ok", "store", f"{len(store.entries)} whole cells in {store.place}")


def _shared(book: Project) -> Iterator[Finding]:
    try:
        if not is_url(book.place or book.report.store):
            return
    except BadInput:  # told of the report
        return
    try:
        remote = book.shared
    except BadInput as error:
        mend = "see docs/cluster.md, A shared store"
        yield Finding("wrong", "shared store", "; ".join(p.message for p in error.problems), mend)
        return
    if reason := remote.reachable():
        from noisebook.shared.connection import scrub

        mend = "check the address, the network and the credentials (docs/cluster.md)"
        yield Finding("wrong", "shared store", scrub(reason), mend)
    else:
        yield Finding("ok", "shared store", f"{remote} answers")


def _disk(book: Project) -> Iterator[Finding]:
    for about, folder, mend in (
        ("disk of the report", book.root, "make room; noisebook gc says what the store could do without"),
        ("disk of the cache", user_cache(), "make room, or set NOISEBOOK_CACHE_DIR to a larger disk"),
    ):
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        text = f"{free / 1e9:.1f} GB free at {folder}"
        yield Finding("ok", about, text) if free >= DISK_BYTES else Finding("wrong", about, text, mend)


def _tokens(book: Project) -> Iterator[Finding]:
    file = Path(os.environ.get("HF_HOME", "~/.cache/huggingface"), "token")
    mend = "only DeepFloyd's weights need one: set HF_TOKEN, or hf auth login"
    yield _token("Hugging Face", ["HF_TOKEN"], file, mend)
    place = str(book.place or "")
    with contextlib.suppress(BadInput):
        place = place or book.report.store
    if place.startswith(("s3://", "s3a://")):
        file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"))
        mend = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, unless the machine has a role"
        yield _token("S3", ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"], file, mend)


def _token(name: str, variables: Sequence[str], file: Path, mend: str) -> Finding:
    """Whether one of the variables is set, or the file is there."""
    if any(map(os.environ.get, variables)) or file.expanduser().is_file():
        return Finding("ok", f"token of {name}", "present")
    return Finding("note", f"token of {name}", "none", mend)


def _browser(book: Project) -> Iterator[Finding]:
    try:
        yield Finding("ok", "browser", browser())
    except NoBrowser:
        yield Finding("note", "browser", "none", "noisebook pdf and tests need one: install chromium")
