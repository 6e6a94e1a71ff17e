"""A store that several machines share, behind each one's own: a folder that fsspec reaches by URL.

It is laid out as the local store is: ``cells/<key>.json``, ``objects/<sha256>``. Objects go up first and the
record last. What comes down is checked against its digest before it is stored.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from noisebook.cells.contract import canonical
from noisebook.cells.entries import Entry
from noisebook.cells.plan import Planned, work
from noisebook.cells.record import LARGEST, LARGEST_OUTPUT, LARGEST_REACHED, Newer, NotARecord, Record, parse
from noisebook.cells.store import Absent, Store
from noisebook.shared.connection import READ_ONLY, Connection, Unreachable

FEW = 8
"""Up to so many cells, a push asks for each; of more, it asks for the list."""
BATCH = 64
"""Records asked for at a time."""
BATCH_BYTES = 64_000_000
"""Bytes of objects held in memory at a time, unless one alone has more."""


@dataclass(slots=True)
class Pushed:
    """What a push did: cells sent, their bytes, and the keys that are left, with the reason."""

    cells: int = 0
    bytes: int = 0
    left: list[str] = field(default_factory=list)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A cell whose record is checked; of the record itself, which may be large in memory, the text alone."""

    key: str
    entry: Entry
    sizes: Mapping[str, int]
    """Bytes of its outputs by sha256."""
    text: bytes

    @classmethod
    def of(cls, record: Record, text: bytes) -> _Found:
        sizes = {output.sha256: output.bytes for output in record.outputs}
        return cls(record.key, Entry.of(record), sizes, text)


class Remote(Connection):
    """A shared store at ``url``. Raises :class:`BadPlace` for a URL that cannot be one.

    Every method may raise :class:`Unreachable`, after a few attempts.
    """

    def keys(self) -> set[str]:
        """The keys of all cells there."""
        return {name.removesuffix(".json") for name in self.names("cells") if name.endswith(".json")}

    # Down

    def fetch(self, keys: Iterable[str], store: Store, *, local: bool = False) -> set[str]:
        """Bring cells into ``store``, each checked and whole; the keys of those that came.

        ``local``: with the outputs that otherwise stay on the machine that made them.
        """
        wanted, came = list(dict.fromkeys(keys)), set()
        for start in range(0, len(wanted), BATCH):
            names = {f"cells/{key}.json": key for key in wanted[start : start + BATCH]}
            found: list[_Found] = []
            for name, data in self.many(dict.fromkeys(names, LARGEST)).items():
                try:
                    found.append(_Found.of(parse(names[name], data), data))
                except NotARecord as error:
                    warnings.warn(f"{name} in the store at {self}: {error}; not taken", stacklevel=2)
            for some in _portions(found):
                came |= self._take(some, store, local=local)
        return came

    def _take(self, cells: Sequence[_Found], store: Store, *, local: bool) -> set[str]:
        shas = {
            cell.key: [sha for sha, keep in cell.entry.objects if local or keep != "local"] for cell in cells
        }
        sizes = {sha: size for cell in cells for sha, size in cell.sizes.items()}
        asked = sorted({sha for some in shas.values() for sha in some})
        objects: dict[str, bytes] = {}
        most = {f"objects/{sha}": sizes.get(sha, LARGEST_REACHED) for sha in asked}
        for name, data in self.many(most).items():
            sha = name.removeprefix("objects/")
            if hashlib.sha256(data).hexdigest() == sha:
                objects[sha] = data
            else:
                warnings.warn(f"{name} in the store at {self} is damaged: not taken", stacklevel=2)
        came = set()
        for cell in cells:
            if all(sha in objects for sha, keep in cell.entry.objects if keep == "published"):
                here = {sha: objects[sha] for sha in shas[cell.key] if sha in objects}
                store.take(cell.key, cell.entry, cell.text, here)
                came.add(cell.key)
        return came

    def read_through(self, cells: Sequence[Planned]) -> int:
        """Fetch what a build of ``cells`` would compute: first the cells, then what the others need."""
        count = 0
        asked: set[str] = set()
        wanted = [planned for planned in cells if not planned.cached]
        while wanted:
            keys = {planned.key for planned in wanted}
            count += len(self.fetch(keys, wanted[0].store, local=bool(asked)))
            asked |= keys
            wanted = [planned for planned in work(cells).cells if planned.key not in asked]
        return count

    # Up

    def push(
        self,
        store: Store,
        keys: Sequence[str],
        *,
        local: bool = False,
        again: bool = False,
    ) -> Pushed:
        """Send finished cells that are not there; ``again`` sends them whether or not they are.

        An object is sent even if one of its name is there: no record has vouched for that one, and it may be
        damaged. A failure leaves every cell there whole, and a later push goes on from it. ``local`` sends
        local outputs too. A cell whose objects are not on this machine is left.
        """
        done = Pushed()
        if self.scheme in READ_ONLY:
            return Pushed(left=list(keys), reason=f"the store at {self} can only be read")
        todo = list(keys)
        sent: set[str] = set()
        try:
            if not again:
                there = self.having(todo) if len(todo) <= FEW else self.keys()
                if local:
                    there -= self._lacking_local(store, there.intersection(todo))
                todo = [key for key in todo if key not in there]
            else:
                todo = [key for key in todo if not self._is_newer(key)]
            for key in todo:
                try:
                    files = list(_files(store, key, local=local))
                except Absent as error:
                    done.left.append(key)
                    done.reason = str(error)
                    continue
                for name, data in files:
                    if name not in sent:
                        self.put(name, data)
                        done.bytes += len(data)
                        sent.add(name)
                done.cells += 1
        except Unreachable as error:
            done.left.extend(todo[done.cells + len(done.left) :])
            done.reason = str(error)
        return done

    def send_record(self, store: Store, key: str) -> None:
        """Send the record of a cell again, whose objects are there."""
        self.put(*_record(store, key))

    def _is_newer(self, key: str) -> bool:
        """Whether a later version's record of the cell is there, which nobody overwrites."""
        name = f"cells/{key}.json"
        try:
            parse(key, self.many({name: LARGEST}).get(name, b""))
        except Newer as error:
            warnings.warn(f"{name} in the store at {self} {error}: it is left alone", stacklevel=2)
            return True
        except NotARecord:  # damaged, or not there
            return False
        return False

    def _lacking_local(self, store: Store, keys: Iterable[str]) -> set[str]:
        """Those of the cells that have a local output here and not there."""
        here = {
            key: {sha for sha, keep in store.entries[key].objects if keep == "local"}
            for key in keys
            if store.has(key, local=True)
        }
        there = self.names("objects") if any(here.values()) else set()
        return {key for key, local in here.items() if local - there}

    # Bytes that belong to no cell

    def keep(self, data: bytes) -> str:
        """Put an object there, if it is not whole there already; gives its sha256."""
        sha = hashlib.sha256(data).hexdigest()
        name = f"objects/{sha}"
        if self.many({name: len(data)}).get(name) != data:
            self.put(name, data)
        return sha

    def kept(self, sha: str) -> bytes:
        """The object of that digest, checked. Raises Absent."""
        data = self.many({f"objects/{sha}": LARGEST_OUTPUT}).get(f"objects/{sha}", b"")
        if hashlib.sha256(data).hexdigest() != sha:
            raise Absent(f"{sha[:12]} is not in the store at {self}, or damaged")
        return data

    def reachable(self) -> str:
        """'' if the server answers, else why not."""
        try:
            self.many({f"cells/{'0' * 64}.json": 0})
        except Unreachable as error:
            return str(error)
        return ""


def _portions(cells: Sequence[_Found]) -> Iterator[list[_Found]]:
    """The cells in runs that fit into memory."""
    run: list[_Found] = []
    size = 0
    for cell in cells:
        weight = sum(cell.sizes.values())
        if run and size + weight > BATCH_BYTES:
            yield run
            run, size = [], 0
        run.append(cell)
        size += weight
    if run:
        yield run


def _files(store: Store, key: str, *, local: bool) -> Iterator[tuple[str, bytes]]:
    """A cell's files, objects first, each checked. Raises Absent."""
    record = store.get(key)
    if record is None:
        raise Absent(f"cell {key[:12]} is not on this machine")
    for output in record.outputs:
        if output.data is None and (
            output.keep == "published" or (local and (store.local / output.sha256).is_file())
        ):
            yield f"objects/{output.sha256}", store.open(output)
    if record.reached and (reached := store.reached(record)):
        yield f"objects/{record.reached}", canonical(reached)
    yield _record(store, key)


def _record(store: Store, key: str) -> tuple[str, bytes]:
    return f"cells/{key}.json", (store.place / "cells" / f"{key}.json").read_bytes()
