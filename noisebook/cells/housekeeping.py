"""What the store could do without."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from noisebook.cells.record import DIGEST
from noisebook.cells.store import Store

_ASIDE = re.compile(rf"{DIGEST.pattern}(\.json)?")
_BEGUN = re.compile(rf"\.{_ASIDE.pattern}\.\d+\.[0-9a-f]{{8}}\.tmp")
"""How files are called while they are written: folders.write_atomically."""
LEFTOVER_AGE = 3600.0
"""Seconds after which a file that no record names belongs to no living build, which writes records last."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Records that nothing uses, and files that no kept record names."""

    store: Store
    cells: list[str]
    files: list[Path]
    bytes: int

    def describe(self) -> Iterator[str]:
        """A line for each."""
        for key in self.cells:
            record = self.store.get(key)
            if record is not None:
                yield (
                    f"cell {key[:12]} of {record.components.get('generator')} "
                    f"({record.provenance.get('cell')}, {record.provenance.get('finished')})"
                )
        for path in self.files:
            yield f"file {path}"

    def drop(self) -> None:
        """Remove them, records first: a record always stands for a whole cell."""
        for key in self.cells:
            self.store.drop(key)
        for path in self.files:
            path.unlink(missing_ok=True)


def collect(
    store: Store, kept: Collection[str], *, older_than: float = 0.0, max_size: float | None = None
) -> Garbage:
    """What in ``store`` the cells in ``kept`` do not need. Touches nothing.

    Of those only what was finished more than ``older_than`` seconds ago; and with ``max_size`` (bytes) only
    the oldest, until the store is no larger.
    """
    kept = with_needs(store, kept)
    age = {key: _age(store, key) for key in store.entries if key not in kept}
    cells = [key for key in sorted(age, key=lambda key: -age[key]) if age[key] >= older_than]
    if max_size is not None:
        cells = _until_small(store, cells, max_size)
    gone = set(cells)
    named = {sha for key, entry in store.entries.items() if key not in gone for sha, _ in entry.objects}
    dropped = {sha for key in cells for sha, _ in store.entries[key].objects}
    files = [
        path
        for path in _named(store.place / "objects", DIGEST)
        if path.name not in named and (path.name in dropped or (not store.newer and _leftover(path)))
    ]
    files += [store.local / sha for sha in sorted(dropped - named) if (store.local / sha).is_file()]
    files += _named(store.place / "aside", _ASIDE)
    files += [
        path
        for folder in ("objects", "cells")
        for path in _named(store.place / folder, _BEGUN)
        if _leftover(path)
    ]
    size = sum(path.stat().st_size for path in files)
    size += sum((store.place / "cells" / f"{key}.json").stat().st_size for key in cells)
    return Garbage(store, cells, files, size)


def _named(folder: Path, name: re.Pattern[str]) -> list[Path]:
    """The files of a folder that are called as ours: whatever else lies there, or behind a link, is not."""
    return [path for path in folder.glob("*") if name.fullmatch(path.name) and path.is_file()]


def _leftover(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > LEFTOVER_AGE


def with_needs(store: Store, keys: Iterable[str]) -> set[str]:
    """The keys, and those of all cells that the records under them were computed from."""
    found: set[str] = set()
    pending = list(keys)
    while pending:
        key = pending.pop()
        if key not in found:
            found.add(key)
            record = store.get(key) if key in store.entries else None
            pending.extend(record.components.get("needs", {}).values() if record else ())
    return found


def _age(store: Store, key: str) -> float:
    """Seconds since a cell was finished, as its record says; endless if it does not."""
    record = store.get(key)
    try:
        finished = datetime.fromisoformat(str(record.provenance["finished"])) if record else datetime.min
        return time.time() - finished.timestamp()
    except (KeyError, ValueError, OverflowError):  # years beyond the system's
        return math.inf


def _until_small(store: Store, cells: Sequence[str], max_size: float) -> list[str]:
    """As many of ``cells``, from the first, as must go until the store has ``max_size`` bytes."""
    objects = {path.name: path.stat().st_size for path in _named(store.place / "objects", DIGEST)}
    records = {path.stem: path.stat().st_size for path in _named(store.place / "cells", _ASIDE)}
    users = Counter(sha for entry in store.entries.values() for sha in {sha for sha, _ in entry.objects})
    size = sum(objects.values()) + sum(records.values())
    chosen: list[str] = []
    for key in cells:
        if size <= max_size:
            break
        chosen.append(key)
        size -= records.get(key, 0)
        for sha in {sha for sha, _ in store.entries[key].objects}:
            users[sha] -= 1
            size -= 0 if users[sha] else objects.get(sha, 0)
    return chosen


class CannotPlan(Exception):
    """A branch whose report cannot be planned: nobody knows what it uses."""


def keys_of_branches(root: Path) -> dict[str, set[str]]:
    """The keys of the report's figures on every branch, local and remote, each planned by its own code.

    Each different state is unpacked into a temporary folder and asked in a process of its own. Raises
    CannotPlan, also outside a git repository.
    """
    listed = _git(root, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/remotes")
    states: dict[str, set[str]] = {}
    result: dict[str, set[str]] = {}
    for branch in listed.decode().split():
        tree = _git(root, "rev-parse", f"{branch}^{{tree}}").decode().strip()
        if tree not in states:
            try:
                states[tree] = _keys_of(root, branch)
            except CannotPlan as error:
                raise CannotPlan(f"branch {branch}: {error}") from error
        result[branch] = states[tree]
    return result


def _keys_of(root: Path, branch: str) -> set[str]:
    archive = _git(root, "archive", "--format=tar", branch, "--", ".", ":(exclude)cache")
    with tempfile.TemporaryDirectory(prefix="noisebook-") as name:
        folder = Path(name)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
        if not (folder / "report.yaml").is_file():
            return set()
        environment = dict(os.environ)
        if (folder / "noisebook" / "__init__.py").is_file():  # noisebook's own repository: that branch's code
            environment["PYTHONPATH"] = str(folder)
            for shipped in ("generators", "templates"):
                if not (folder / "noisebook" / shipped).exists():
                    (folder / "noisebook" / shipped).symlink_to(folder / shipped)
        done = subprocess.run(
            [sys.executable, "-m", "noisebook.cli", "status", "--json"],
            cwd=folder, env=environment, capture_output=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise CannotPlan(done.stderr.decode(errors="replace").strip()[-500:])
        return {row["key"] for row in json.loads(done.stdout)}


def _git(root: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        message = getattr(error, "stderr", b"") or str(error).encode()
        raise CannotPlan(message.decode(errors="replace").strip()) from error
