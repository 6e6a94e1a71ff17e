"""The store: finished cells, addressed by content.

``cells/<key>.json`` is a record, ``objects/<sha256>`` the bytes of an output. Putting a cell writes its
objects first and its record last, each by temporary file, fsync and rename: a record stands for a whole cell.
Published objects lie in the report's own store, local ones in the user's cache folder, shared by all reports.
Getting checks digests; what does not match is set aside and counts as absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from noisebook.cells.contract import Json, Output, canonical
from noisebook.cells.digests import Signature, signature
from noisebook.cells.folders import user_cache, write_atomically, write_note
from noisebook.cells.record import Record, Stored

FORMAT = 4


class Absent(KeyError):
    """An output whose bytes are not on this machine (or were damaged and set aside)."""

    def __str__(self) -> str:
        return str(self.args[0])


class StoreFull(Exception):
    """The disk refused to take more. Nothing in the store is damaged."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of a record without reading it."""

    generator: str
    identity: str
    objects: tuple[tuple[str, str], ...]
    """sha256 and keep of each output."""
    seconds: float
    """What the cell cost."""

    @classmethod
    def of(cls, record: Record) -> Entry:
        """What to keep of a record."""
        return cls(
            str(record.components.get("generator", "")),
            identity(record.components),
            tuple((output.sha256, output.keep) for output in record.outputs),
            float(record.provenance.get("seconds", 0.0)),
        )


def identity(components: Mapping[str, Json]) -> str:
    """What stays of a cell when code or models change: generator, parameters, seed, input files."""
    text = canonical([components.get(name) for name in ("generator", "params", "seed", "draft", "inputs")])
    return hashlib.sha256(text).hexdigest()[:16]


def parse_record(key: str, data: bytes) -> Record:
    """The record that ``data`` is; raises ValueError unless its digest and its key are right."""
    try:
        value = json.loads(data)
        digest = value.pop("digest")
        if hashlib.sha256(canonical(value)).hexdigest() != digest or value["key"] != key:
            raise ValueError("digest")
        return Record.from_json(value)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a record") from error


@dataclass(slots=True)
class Store:
    """A store in the folder ``place``; ``notes`` keeps what was learnt of its files between builds.

    A file is hashed once and again when its signature changes: a no-op build hashes nothing, and a flipped
    byte is noticed by the next build.
    """

    place: Path
    notes: Path | None = None
    local: Path = field(default_factory=lambda: user_cache() / "objects")
    _entries: dict[str, Entry] = field(default_factory=dict)
    _signatures: dict[str, Signature] = field(default_factory=dict)
    _by_identity: dict[str, list[str]] = field(default_factory=dict)
    _by_generator: dict[str, list[str]] = field(default_factory=dict)
    _recalled: dict[str, Record | None] = field(default_factory=dict)
    _scanned: bool = False
    _dirty: bool = False

    # What is there

    def scan(self) -> None:
        """Look at every record and object; verify those whose signature is new."""
        kept: dict[str, Any] = {"cells": {}, "objects": {}}
        if self.notes is not None and self.notes.exists():
            try:
                found = json.loads(self.notes.read_bytes())
                if found["format"] == FORMAT:
                    kept = found
            except (ValueError, KeyError):
                pass
        objects: dict[str, Signature] = {}
        for file in _files(self.place / "objects"):
            sign = signature(file.stat())
            if kept["objects"].get(file.name) != sign:
                self._dirty = True
                if not self._matches(Path(file.path)):
                    continue
            objects[file.name] = sign
        self._signatures = objects
        self._entries = {}
        cells: dict[str, Any] = {}
        for file in _files(self.place / "cells"):
            key, sign = file.name.removesuffix(".json"), signature(file.stat())
            known = kept["cells"].get(key)
            if known is None or known[0] != sign:
                self._dirty = True
                record = self._read_record(key)
                if record is None:
                    continue
                known = [sign, *astuple(Entry.of(record))]
            cells[key] = known
            _, generator, identified, outputs, seconds = known
            self._entries[key] = Entry(
                generator, identified, tuple((sha, keep) for sha, keep in outputs), seconds
            )
        self._scanned = True
        self._forget_groups()
        if self.notes is not None and (self._dirty or cells.keys() != kept["cells"].keys()):
            write_note(
                self.notes, json.dumps({"format": FORMAT, "cells": cells, "objects": objects}).encode()
            )
        self._dirty = False

    def look(self, key: str) -> None:
        """Take in a record that another builder has put since the scan."""
        record = self._read_record(key)
        if record is None:
            return
        for output in record.outputs:
            path = self.place / "objects" / output.sha256
            if output.sha256 not in self._signatures and path.exists() and self._matches(path):
                self._signatures[output.sha256] = signature(path.stat())
        self._entries[key] = Entry.of(record)
        self._forget_groups()

    def same_identity(self, components: Mapping[str, Json]) -> list[str]:
        """Keys of the records with this generator, parameters and seed, whatever made them."""
        if not self._by_identity:
            for key, entry in self.entries.items():
                self._by_identity.setdefault(entry.identity, []).append(key)
        return self._by_identity.get(identity(components), [])

    def same_generator(self, name: str) -> list[str]:
        """Keys of the records that a generator made."""
        if not self._by_generator:
            for key, entry in self.entries.items():
                self._by_generator.setdefault(entry.generator, []).append(key)
        return self._by_generator.get(name, [])

    def _forget_groups(self) -> None:
        self._by_identity.clear()
        self._by_generator.clear()
        self._recalled.clear()

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every record of the store by key."""
        if not self._scanned:
            self.scan()
        return self._entries

    def has(self, key: str, *, local: bool = False) -> bool:
        """Whether the cell is finished and its published objects (``local``: all objects) are here."""
        entry = self.entries.get(key)
        return entry is not None and all(
            sha in self._signatures if keep == "published" else (not local or (self.local / sha).exists())
            for sha, keep in entry.objects
        )

    # Getting

    def get(self, key: str) -> Record | None:
        """The record, or None. A damaged one is set aside with a warning."""
        return self._read_record(key)

    def recall(self, key: str) -> Record | None:
        """:meth:`get`, kept in memory: for what many cells are compared with."""
        if key not in self._recalled:
            self._recalled[key] = self.get(key)
        return self._recalled[key]

    def _read_record(self, key: str) -> Record | None:
        path = self.place / "cells" / f"{key}.json"
        try:
            return parse_record(key, path.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            self._set_aside(path)
            return None

    def open(self, stored: Stored) -> bytes:
        """The bytes of an output, checked. Raises :class:`Absent`."""
        for place in (self.place / "objects", self.local):
            path = place / stored.sha256
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            if hashlib.sha256(data).hexdigest() == stored.sha256:
                return data
            self._set_aside(path)
        raise Absent(f"{stored.name} ({stored.sha256[:12]}) is not on this machine")

    def _matches(self, path: Path) -> bool:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == path.name:
                return True
        self._set_aside(path)
        return False

    def _set_aside(self, path: Path) -> None:
        aside = self.place / "aside" / path.name
        aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.replace(aside)
        except OSError:
            path.unlink(missing_ok=True)
        self._signatures.pop(path.name, None)
        self._entries.pop(path.name.removesuffix(".json"), None)
        warnings.warn(f"{path} is damaged: set aside in {aside.parent}, computed again", stacklevel=2)

    # Putting

    def put(
        self, key: str, components: Mapping[str, Json], outputs: list[Output], provenance: Mapping[str, Json]
    ) -> Record:
        """Store a finished cell: objects first, the record last. Raises :class:`StoreFull`."""
        stored = []
        try:
            for output in outputs:
                digest = hashlib.sha256(output.data).hexdigest()
                folder = self.place / "objects" if output.keep == "published" else self.local
                path = folder / digest
                if not (path.exists() and path.stat().st_size == len(output.data) and self._matches(path)):
                    write_atomically(path, output.data)
                if output.keep == "published":
                    self._signatures[digest] = signature(path.stat())
                stored.append(
                    Stored(
                        output.name, output.mime, digest, len(output.data), output.width, output.height,
                        output.keep, output.measured,
                    )
                )  # fmt: skip
            return self.refile(key, components, tuple(stored), provenance)
        except OSError as error:
            raise StoreFull(
                f"cannot write to the store: {error.strerror or error} ({error.filename or self.place}). "
                "Nothing that was finished is lost: make room and build again"
            ) from error

    def refile(
        self,
        key: str,
        components: Mapping[str, Json],
        outputs: tuple[Stored, ...],
        provenance: Mapping[str, Json],
    ) -> Record:
        """Write the record of a cell whose objects are in the store."""
        record = Record(key, components, outputs, provenance)
        text = canonical(json.loads(canonical(record.as_json())))  # as it will be read
        path = self.place / "cells" / f"{key}.json"
        write_atomically(path, b'{"digest":"%s",%s' % (hashlib.sha256(text).hexdigest().encode(), text[1:]))
        self._entries[key] = Entry.of(record)
        self._forget_groups()
        return record

    def take(self, key: str, record: bytes, objects: Mapping[str, bytes]) -> None:
        """Put a cell that came from elsewhere, whose bytes were checked. ``objects``: by sha256."""
        keeps = {output.sha256: output.keep for output in parse_record(key, record).outputs}
        for sha, data in objects.items():
            folder = self.place / "objects" if keeps[sha] == "published" else self.local
            write_atomically(folder / sha, data)
        write_atomically(self.place / "cells" / f"{key}.json", record)
        self.look(key)

    # Who computes what

    @contextmanager
    def claim(self, key: str, timeout: float = -1) -> Iterator[bool]:
        """Hold the right to compute a cell; False if another builder has it (after ``timeout`` seconds)."""
        from filelock import FileLock, Timeout

        lock = FileLock(self._lock_path(key))
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _lock_path(self, key: str) -> Path:
        path = self.place / ".locks" / f"{key}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    # Dropping

    def drop(self, key: str) -> None:
        """Remove a record; its objects go with :meth:`unreferenced`."""
        (self.place / "cells" / f"{key}.json").unlink(missing_ok=True)
        self._entries.pop(key, None)

    def unreferenced(self) -> list[Path]:
        """Published objects that no record names."""
        named = {sha for entry in self.entries.values() for sha, _ in entry.objects}
        return [Path(file.path) for file in _files(self.place / "objects") if file.name not in named]


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The finished files of a folder; what a killed put left behind begins with a dot."""
    try:
        with os.scandir(folder) as entries:
            yield from (entry for entry in entries if not entry.name.startswith("."))
    except FileNotFoundError:
        return
