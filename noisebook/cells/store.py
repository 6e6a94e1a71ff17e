"""The store: finished cells, addressed by content.

``cells/<key>.json`` is a record, ``objects/<sha256>`` the bytes of an output; small ones stand in the record,
and what the lock pins by the same digest is taken from there. Putting a cell writes its objects first and its
record last, each by temporary file, fsync and rename: a record stands for a whole cell. Published objects lie
in the report's own store, local ones in the user's cache folder, shared by all reports. Getting checks
digests; what does not match is set aside and counts as absent. What is no regular file is never opened.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic_core import to_json

from noisebook.cells.contract import Json, Output, canonical
from noisebook.cells.digests import Signature, signature
from noisebook.cells.entries import EXPLAINS, FORMAT, Entry, Noted, Notes, identity
from noisebook.cells.folders import (
    finished_files,
    parse_json,
    read_memo,
    read_regular,
    user_cache,
    write_atomically,
    write_memo,
)
from noisebook.cells.record import (
    DIGEST,
    INLINE,
    INLINE_ALL,
    LARGEST,
    LARGEST_REACHED,
    Newer,
    NotARecord,
    Record,
    Stored,
    parse,
)


class Absent(KeyError):
    """An output whose bytes are not on this machine (or were damaged and set aside)."""

    def __str__(self) -> str:
        return str(self.args[0])


class StoreFull(Exception):
    """The store cannot take a cell: no room, or a record of a later version there. Nothing is damaged."""


@dataclass(slots=True)
class Store:
    """A store in the folder ``place``; ``notes`` keeps what was learnt of its files between builds.

    A file is hashed once and again when its signature changes: a no-op build hashes nothing, and a flipped
    byte is noticed by the next build.
    """

    place: Path
    notes: Path | None = None
    local: Path = field(default_factory=lambda: user_cache() / "objects")
    pinned: Mapping[str, Path] = field(default_factory=dict)
    """Files of the lock by sha256: an output of the same bytes is not kept twice."""
    newer: set[str] = field(default_factory=set)
    """Keys whose records a later version of Noisebook wrote."""
    _entries: dict[str, Entry] = field(default_factory=dict)
    _records: dict[str, Signature] = field(default_factory=dict)
    """The signatures of records, and below those of objects."""
    _signatures: dict[str, Signature] = field(default_factory=dict)
    _by_identity: dict[str, list[str]] = field(default_factory=dict)
    _by_generator: dict[str, list[str]] = field(default_factory=dict)
    _recalled: dict[str, Record | None] = field(default_factory=dict)
    _whole: set[str] = field(default_factory=set)
    """Keys of which :meth:`has` said so."""
    _scanned: bool = False
    _dirty: bool = False

    # What is there

    def scan(self) -> None:
        """Look at every record and object; verify those whose signature is new."""
        kept = self._kept()
        self._entries, self._records = {}, {}
        self._scan_cells(kept.cells)
        named = {sha for entry in self._entries.values() for sha, keep in entry.objects}
        files = {file.name: Path(file.path) for file in finished_files(self.place / "objects", DIGEST)}
        files |= {sha: path for sha, path in self.pinned.items() if sha in named and path.is_file()}
        self._signatures = {}
        for sha, path in files.items():
            sign = signature(path.stat())
            if kept.objects.get(sha) != sign:
                self._dirty = True
                if not self._matches(path, sha):
                    continue
            self._signatures[sha] = sign
        self._scanned = True
        self._forget_groups()
        self._dirty = self._dirty or self._records.keys() != kept.cells.keys()
        self.save()

    def unchanged(self) -> None:
        """Nothing here has changed since :meth:`save`: the notes are believed, and no file is looked at."""
        kept = self._kept()
        self._entries = {key: entry for key, (_, entry) in kept.cells.items()}
        self._records = {key: sign for key, (sign, _) in kept.cells.items()}
        self._signatures, self._scanned = dict(kept.objects), bool(kept.cells)
        self._forget_groups()

    def save(self) -> None:
        """Keep what was learnt of the files for the next build."""
        if self.notes is not None and self._dirty:
            cells = {key: (sign, self._entries[key]) for key, sign in self._records.items()}
            write_memo(self.notes, to_json(Notes(FORMAT, cells, self._signatures)))
        self._dirty = False

    def _kept(self) -> Notes:
        kept: Notes | None = read_memo(self.notes, Notes)
        return kept if kept and kept.format == FORMAT else Notes(FORMAT, {}, {})

    def _scan_cells(self, kept: Mapping[str, Noted]) -> None:
        """Fill the entries."""
        for file in finished_files(self.place / "cells", _RECORD):
            key, sign = file.name.removesuffix(".json"), signature(file.stat())
            known = kept.get(key)
            if known is None or known[0] != sign:
                self._dirty = True
                record = self.get(key)
                if record is None:
                    continue
                known = sign, Entry.of(record)
            self._records[key], self._entries[key] = known

    def look(self, key: str) -> None:
        """Take in a record that another builder has put since the scan."""
        if record := self.get(key):
            self._see(key, Entry.of(record))

    def _see(self, key: str, entry: Entry) -> None:
        self._enter(key, entry)
        for sha, _ in entry.objects:
            for path in (self.place / "objects" / sha, self.pinned.get(sha)):
                if path and sha not in self._signatures and path.is_file() and self._matches(path, sha):
                    self._signatures[sha] = signature(path.stat())

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
        self._whole.clear()

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Every record of the store by key."""
        if not self._scanned:
            self.scan()
        return self._entries

    def has(self, key: str, *, local: bool = False) -> bool:
        """Whether the cell is finished and its published objects (``local``: all objects) are here."""
        if not local and key in self._whole:
            return True
        entry = self.entries.get(key)
        found = entry is not None and all(
            sha in self._signatures
            if keep == "published"
            else not local or keep == EXPLAINS or sha in self._signatures or (self.local / sha).is_file()
            for sha, keep in entry.objects
        )
        if found:
            self._whole.add(key)
        return found

    # Getting

    def get(self, key: str) -> Record | None:
        """The record, or None. A damaged one is set aside with a warning."""
        path = self.place / "cells" / f"{key}.json"
        if not DIGEST.fullmatch(key):  # it would be a path of another's choice
            return None
        try:
            return parse(key, read_regular(path, LARGEST))
        except FileNotFoundError:
            return None
        except Newer as error:
            self.newer.add(key)
            warnings.warn(f"{path} {error}: it is left alone", stacklevel=2)
        except NotARecord as error:
            self._set_aside(path, f"damaged ({error})")
        except OSError as error:
            warnings.warn(f"{path} cannot be read ({error.strerror}): it is left alone", stacklevel=2)
        return None

    def recall(self, key: str) -> Record | None:
        """:meth:`get`, kept in memory: for what many cells are compared with."""
        if key not in self._recalled:
            self._recalled[key] = self.get(key)
        return self._recalled[key]

    def reached(self, record: Record) -> dict[str, str]:
        """The digest of each statement that the code of a cell reached, by name; {} if that is not here."""
        if not record.reached:
            return dict(record.provenance.get("reached", {}))
        try:
            data = read_regular(self.place / "objects" / record.reached, LARGEST_REACHED)
            whole = hashlib.sha256(data).hexdigest() == record.reached
            return dict(parse_json(data, dict[str, str])) if whole else {}
        except (OSError, ValueError):
            return {}

    def open(self, stored: Stored) -> bytes:
        """The bytes of an output, checked. Raises :class:`Absent`."""
        if stored.data is not None:
            return stored.data
        for path in (
            self.place / "objects" / stored.sha256,
            self.local / stored.sha256,
            self.pinned.get(stored.sha256),
        ):
            try:
                data = read_regular(path, stored.bytes) if path else b""
            except OSError:
                if not (path and path.is_file()):
                    continue
                data = b""
            if hashlib.sha256(data).hexdigest() == stored.sha256:
                if path and stored.keep == "local":
                    with suppress(OSError):
                        os.utime(path)  # when it was last used: see cells.local
                return data
            if path and path != self.pinned.get(stored.sha256):
                self._set_aside(path, "damaged")
        raise Absent(f"{stored.name} ({stored.sha256[:12]}) is not on this machine")

    def _matches(self, path: Path, sha: str) -> bool:
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha:
                    return True
        except OSError as error:
            warnings.warn(f"{path} cannot be read ({error.strerror}): it is left alone", stacklevel=2)
            return False
        if path.name == sha:
            self._set_aside(path, "damaged")
        return False

    def _set_aside(self, path: Path, why: str) -> None:
        aside = self.place / "aside" / path.name
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            path.replace(aside)
        except OSError:
            with suppress(OSError):  # of somebody else's: it counts as absent where it is
                path.unlink(missing_ok=True)
        self._signatures.pop(path.name, None)
        self._forget(path.name.removesuffix(".json"))
        self._whole.clear()
        warnings.warn(f"{path} is {why}: set aside in {aside.parent}, computed again", stacklevel=2)

    # Putting

    def put(
        self, key: str, components: Mapping[str, Json], outputs: list[Output], provenance: Mapping[str, Json]
    ) -> Record:
        """Store a finished cell: objects first, the record last. Raises :class:`StoreFull`."""
        try:
            small = sum(len(each.data) for each in outputs if len(each.data) < INLINE)
            most = INLINE if small <= INLINE_ALL else 0
            return self.refile(key, components, tuple(self._put(each, most) for each in outputs), provenance)
        except OSError as error:
            raise StoreFull(
                f"cannot write to the store: {error.strerror or error} ({error.filename or self.place}). "
                "Nothing that was finished is lost: make room and build again"
            ) from error

    def _put(self, output: Output, most: int) -> Stored:
        """Write one output, unless it has fewer bytes than ``most``, is here already, or pinned."""
        digest, size = hashlib.sha256(output.data).hexdigest(), len(output.data)
        inline = output.data if output.keep == "published" and size < most else None
        if inline is None:
            path = (self.place / "objects" if output.keep == "published" else self.local) / digest
            pinned = self.pinned.get(digest)
            if pinned and pinned.is_file() and self._matches(pinned, digest):
                path = pinned
            elif not (path.is_file() and path.stat().st_size == size and self._matches(path, digest)):
                write_atomically(path, output.data)
            if output.keep == "published":
                self._signatures[digest] = signature(path.stat())
        return Stored(
            output.name, output.mime, digest, size, output.width, output.height, output.keep,
            output.measured, inline,
        )  # fmt: skip

    def refile(
        self,
        key: str,
        components: Mapping[str, Json],
        outputs: tuple[Stored, ...],
        provenance: Mapping[str, Json],
    ) -> Record:
        """Write the record of a cell whose objects are in the store.

        Raises NotARecord for what no record can hold, StoreFull where a later version's record stands.
        """
        made = dict(provenance)
        reached = canonical(made.pop("reached", {}))
        digest = hashlib.sha256(reached).hexdigest()
        record, data = Record(key, components, outputs, made, digest).as_read()
        path = self.place / "cells" / f"{key}.json"
        if key in self.newer:
            raise StoreFull(f"{path} was written by a later version of Noisebook: update, or move it away")
        if not (self.place / "objects" / digest).is_file():
            write_atomically(self.place / "objects" / digest, reached)
        write_atomically(path, data)
        self._enter(key, Entry.of(record))
        self._recalled[key] = record
        return record

    def _enter(self, key: str, entry: Entry) -> None:
        self._forget(key)
        self._entries[key] = entry
        with suppress(OSError):  # another builder may have dropped it
            self._records[key] = signature((self.place / "cells" / f"{key}.json").stat())

    def take(self, key: str, entry: Entry, record: bytes, objects: Mapping[str, bytes]) -> None:
        """Put a cell that came from elsewhere, all of it checked. ``objects``: by sha256."""
        keeps = dict(entry.objects)
        for sha, data in objects.items():
            folder = self.local if keeps[sha] == "local" else self.place / "objects"
            write_atomically(folder / sha, data)
        write_atomically(self.place / "cells" / f"{key}.json", record)
        self._see(key, entry)

    # Who computes what

    @contextmanager
    def claim(self, key: str) -> Iterator[bool]:
        """Hold the right to compute a cell; False if another builder has it."""
        from filelock import FileLock, Timeout

        locks = self.place / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{key}.lock", thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    # Dropping

    def drop(self, key: str) -> None:
        """Remove a record; its objects are left."""
        (self.place / "cells" / f"{key}.json").unlink(missing_ok=True)
        self._forget(key)

    def _forget(self, key: str) -> None:
        for known in (self._entries, self._records, self._recalled):
            known.pop(key, None)
        self._whole.discard(key)
        self._by_identity.clear()
        self._by_generator.clear()
        self._dirty = True


_RECORD = re.compile(DIGEST.pattern + r"\.json")
