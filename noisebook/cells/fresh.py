"""The fast answer: has anything changed since the last build that left a finished site?

A digest over the signature (size, times, inode) of every file that a build reads or writes: all that is
visible in the report's folder, and whatever else the last build opened. It imports next to nothing. Any
difference, and the full answer of ``plan`` is asked for; it can only err on that side. A second digest leaves
out the files of sections: where it still holds, what the last build knew of all else does too.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = 5
TICK = 50_000_000
"""A file that changed in the last 50 ms before the look may change again without a new time stamp (ns)."""

OUTPUTS = ("cache", "site")
SECTIONS = "sections"
TEXTS = "sections/*.md"
"""The files that sections may stand in, seen apart from the rest of their folder."""
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OURS = (
    [PACKAGE]
    if os.path.isdir(os.path.join(PACKAGE, "generators"))
    else [os.path.join(os.path.dirname(PACKAGE), name) for name in ("noisebook", "generators", "templates")]
)
"""Noisebook itself: as installed, or as its repository holds it."""


def look(root: Path, places: Iterable[str]) -> tuple[str, int]:
    """The digest of all signatures under ``places``, and the newest change (ns) among them."""
    seen = _Seen(root, places)
    return seen.digest(), seen.newest_of(seen.lines)


Lines = dict[str, str]
"""The signature of each file of a place, by its path."""


class _Seen:
    """What lies under some places. ``known`` has the lines of some already."""

    def __init__(self, root: Path, places: Iterable[str], known: Mapping[str, Lines] | None = None) -> None:
        self.start = f"{FORMAT} {root} {_surroundings()}"
        self.lines: dict[str, Lines] = {}
        self._newest: dict[str, int] = {}
        self._digests: dict[str, str] = {}
        for place in places:
            if known and place in known:
                self.lines[place] = known[place]
                continue
            lines, newest = self.lines.setdefault(place, {}), 0
            sections = os.path.join(root, place) if place == SECTIONS else None
            for path, stat in _walk(os.path.join(root, place)):
                newest = max(newest, stat.st_ctime_ns)
                text = sections and path.endswith(".md") and os.path.dirname(path) == sections
                (self.lines.setdefault(TEXTS, {}) if text else lines)[path] = _line(stat)
            self._newest[place] = newest

    def newest_of(self, places: Iterable[str]) -> int:
        """The newest change (ns) that was seen under some of them."""
        return max((self._newest.get(place, 0) for place in places), default=0)

    def digest(self, places: Iterable[str] | None = None, without: str = "") -> str:
        """Of ``places``, or of all."""
        wanted = {*(self.lines if places is None else places), TEXTS} - {without}
        found = (self._of(name) for name in self.lines if name in wanted)
        return _sum("\n".join((self.start, *found)).encode(errors="surrogateescape"))

    def _of(self, name: str) -> str:
        if name not in self._digests:
            lines = "".join(f"{path}\0{line}\n" for path, line in sorted(self.lines[name].items()))
            self._digests[name] = _sum(lines.encode(errors="surrogateescape"))
        return self._digests[name]


def _line(stat: os.stat_result) -> str:
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def _surroundings() -> list[Any]:
    """What matters beside files: Python, the installed packages (their folder changes), our variables."""
    return [
        sys.version,
        [(path, os.stat(path).st_mtime_ns) for path in sys.path if path.endswith("-packages")],
        sorted((name, value) for name, value in os.environ.items() if name.startswith("NOISEBOOK_")),
    ]


def inputs(root: Path) -> list[str]:
    """What a build may read: all of the report's folder but what builds write, and noisebook itself."""
    return [*sorted(name for name in os.listdir(root) if _seen(name) and name not in OUTPUTS), *OURS]


def _seen(name: str) -> bool:
    """Hidden files are left out: an editor's, version control's, and locks."""
    return not name.startswith(".") and name != "__pycache__"


def _walk(path: str, linked: set[str] | None = None) -> Iterator[tuple[str, os.stat_result]]:
    """Every readable file at or under ``path``. Of links to one folder one is followed: there are loops."""
    linked = set() if linked is None else linked
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except NotADirectoryError:
        with suppress(OSError):  # a file, or nothing: what should be its folder is a file
            yield path, os.stat(path)
        return
    except OSError:
        return
    for entry in entries:
        if not _seen(entry.name):
            continue
        folder = False
        with suppress(OSError):  # a link to itself
            folder = entry.is_dir()
        if folder:
            if entry.is_symlink():
                real = os.path.realpath(entry.path)
                if real in linked:
                    continue
                linked.add(real)
            yield from _walk(entry.path, linked)
        else:
            with suppress(OSError):
                yield entry.path, entry.stat()


class Memory(NamedTuple):
    """What is kept of a build that left a finished site."""

    all: str
    """The digest of everything."""
    rest: str
    """That of everything but the files of sections."""
    kept: str
    """The sha256 of what else is kept."""
    places: str
    """What it opened that the walk over the report does not see."""
    summary: str

    @property
    def more(self) -> list[str]:
        return list(filter(None, self.places.split("\0")))


def _memory(root: Path) -> Memory | None:
    try:
        with open(os.path.join(root, ".noisebook", "fresh"), encoding="utf-8", opener=_at_once) as file:
            checked, *lines = file.read(1_000_000).split("\n", 5)
        return Memory(*lines) if _sum("\n".join(lines).encode(errors="surrogateescape")) == checked else None
    except (OSError, ValueError, TypeError):
        return None


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Now:
    """What has changed since the last build that left a finished site."""

    def __init__(self, root: Path) -> None:
        self.loaded: Any = None  # what kept was read as, by who knows how
        self.begun = time.time_ns()
        self.memory = _memory(root)
        self.more = self.memory.more if self.memory else []
        self._root, self._inputs = root, inputs(root)
        self._seen = _Seen(root, [*self._inputs, *OUTPUTS, *self.more])

    @property
    def summary(self) -> str | None:
        """Its summary, if nothing has changed."""
        known = self.memory
        return known.summary if known and known.all == self._seen.digest() else None

    @property
    def inputs(self) -> str:
        """The digest of all inputs."""
        return self._seen.digest(self._inputs)

    def outputs(self, written: Collection[str] | None) -> tuple[Mapping[str, Lines], int]:
        """The lines of what builds write, once ``written`` was (absolute paths), and its newest change (ns).

        What another process writes there meanwhile is a change to the next build. Nothing if ``written`` is
        None, or if what was there had just changed: then a change after the look may have left no trace.
        """
        if written is None or self._seen.newest_of(OUTPUTS) > self.begun - TICK:
            return {}, 0
        newest, found = 0, {}
        for name in OUTPUTS:
            place = os.path.join(self._root, name)
            lines = found[name] = dict(self._seen.lines[name])
            for path in written:
                inner = path.removeprefix(place + os.sep)
                if inner == path or not all(map(_seen, inner.split(os.sep))):
                    continue
                lines.pop(path, None)
                with suppress(OSError):
                    stat = os.stat(path)
                    newest, lines[path] = max(newest, stat.st_ctime_ns), _line(stat)
        return found, newest

    @property
    def kept(self) -> bytes:
        """What it kept, if all but files of sections is as it was; else nothing."""
        known = self.memory
        if known is None or known.rest != self._seen.digest(without=TEXTS):
            return b""
        from noisebook.cells.folders import LARGEST_NOTE, read_regular

        try:
            data = read_regular(self._root / ".noisebook" / "kept", LARGEST_NOTE)
        except OSError:
            return b""
        return data if _sum(data) == known.kept else b""


def section_files(root: Path) -> list[str]:
    """The files that sections may stand in."""
    with suppress(OSError):
        return sorted(name for name in os.listdir(os.path.join(root, SECTIONS)) if name.endswith(".md"))
    return []


def _at_once(path: str, flags: int) -> int:
    """Open a file that may be a FIFO, which is waited for otherwise."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def besides(root: Path, opened: Iterable[str]) -> list[str]:
    """Of the files and folders that a build opened, those that the walk over the report does not see."""
    from noisebook.cells.folders import RATES, TEMPLATES, user_cache

    top = os.path.abspath(root)
    installed = [place for place in sys.path if place.endswith("-packages")]  # see _surroundings
    python = (sys.prefix, sys.base_prefix, *installed)
    made = [os.path.join(user_cache(), name) for name in (TEMPLATES, RATES)]
    walked = (*python, *made, os.path.join(top, ".noisebook"), "/proc", "/sys", "/dev", *OURS)
    result = set()
    for path in opened:
        inside = path == top or path.startswith(top + os.sep)
        seen = inside and all(_seen(name) for name in path[len(top) + 1 :].split(os.sep) if name)
        bytecode = f"{os.sep}__pycache__" in path
        if not (seen or bytecode) and not f"{path}{os.sep}".startswith(
            tuple(place + os.sep for place in walked)
        ):
            result.add(path)
    return sorted(result - {top, *map(os.path.abspath, sys.path)})


def remember(
    root: Path,
    before: Now,
    summary: str,
    opened: Iterable[str],
    started: int,
    kept: bytes = b"",
    written: Collection[str] | None = None,
) -> None:
    """The site is finished: keep what everything looks like, and ``kept`` for :attr:`Now.kept`.

    ``before`` is from before the inputs were read, at ``started`` (ns): had one changed meanwhile, the site
    would not show it. Of what builds write, ``written`` is looked at again, or all if that is None.
    """
    from noisebook.cells.folders import replace

    path = root / ".noisebook" / "fresh"
    with suppress(OSError):
        path.unlink()
    more = besides(root, opened)
    outputs = tuple(os.path.join(os.path.abspath(root), name) + os.sep for name in OUTPUTS)
    read = [place for place in more if not place.startswith(outputs)]
    if any("\n" in place for place in more) or look(root, read)[1] > started - TICK:
        return
    for _ in range(20):
        names = inputs(root)
        known, newest = before.outputs(written)
        seen = _Seen(root, [*names, *OUTPUTS, *more], known)
        if max(seen.newest_of(seen.lines), newest) < time.time_ns() - TICK:
            break
        time.sleep(TICK / 1e9)
    else:
        return  # somebody is writing
    if seen.digest(names) == before.inputs:
        places = "\0".join(more)
        text = "\n".join(Memory(seen.digest(), seen.digest(without=TEXTS), _sum(kept), places, summary))
        text = f"{_sum(text.encode(errors='surrogateescape'))}\n{text}"
        with suppress(OSError):
            replace(path.with_name("kept"), kept)
            replace(path, text.encode(errors="surrogateescape"))
