"""A store that several machines share, behind each one's own: a folder that fsspec reaches by URL.

It is laid out as the local store is: ``cells/<key>.json``, ``objects/<sha256>``. Objects go up first and the
record last, each whole or not at all: to a name beginning with a dot and renamed, or, where a put is atomic
by itself (object stores), at once. What comes down is checked against its digest before it is stored.

Credentials come from the environment (docs/cluster.md), never from the URL.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from noisebook.cells.contract import canonical
from noisebook.cells.plan import Planned, work
from noisebook.cells.record import NotARecord, Record, parse
from noisebook.cells.store import Absent, Entry, Store

T = TypeVar("T")

ATOMIC_PUT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "memory"})
"""Protocols whose put is atomic, and whose rename is a copy."""
READ_ONLY = frozenset({"http", "https"})
PAUSES = (0.2, 1.0)
"""Seconds before each further attempt at a server that does not answer."""
CONNECT_SECONDS, READ_SECONDS = 10, 60
FEW = 8
"""Up to so many cells, a push asks for each; of more, it asks for the list."""
BATCH = 64
"""Records asked for at a time."""
BATCH_BYTES = 64_000_000
"""Bytes of objects held in memory at a time, unless one alone has more."""


class BadPlace(ValueError):
    """A URL that cannot be a store's. The message says why; it never repeats a password."""


class Unreachable(Exception):
    """The server does not answer, or refuses. What is on this machine is untouched."""


def is_url(place: str) -> bool:
    """Whether ``place`` is a URL rather than a folder."""
    return "://" in place


def scrub(text: str) -> str:
    """``text`` without what may stand before the @ of a URL or in its query."""
    text = re.sub(r"(://)[^/@\s]*@", r"\1***@", text)
    return re.sub(r"(://[^\s?#]*)[?#]\S*", r"\1?***", text)


def check_url(url: str) -> str:
    """The URL itself, if it can be a store's; raises :class:`BadPlace`."""
    parts = urlsplit(url)
    if parts.password is not None or parts.query or parts.fragment:
        raise BadPlace(
            f"{scrub(url)}: a store's URL holds no password, key or query: "
            "they come from the environment (docs/cluster.md)"
        )
    if "::" in url or any(character in parts.path for character in "*?["):
        raise BadPlace(f"{url}: chained URLs and patterns cannot be a store")
    from fsspec.registry import get_filesystem_class

    try:
        get_filesystem_class(parts.scheme)
    except ValueError as error:
        raise BadPlace(f"{url}: fsspec knows no protocol {parts.scheme!r}") from error
    except ImportError as error:
        raise BadPlace(f"{url}: {error}; pip install 'noisebook[cluster]'") from error
    return url


def _options(scheme: str) -> dict[str, Any]:
    """How to connect; whatever else is wanted comes from fsspec's FSSPEC_* variables."""
    if scheme in ("sftp", "ssh"):
        times = {name: READ_SECONDS for name in ("banner_timeout", "auth_timeout", "channel_timeout")}
        return {"host_key_policy": _known_hosts(), "timeout": CONNECT_SECONDS, **times}
    if scheme in ("s3", "s3a"):
        times = {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
        return {"config_kwargs": {**times, "retries": {"max_attempts": 1}}}
    if scheme in READ_ONLY:
        import aiohttp

        times_out = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        return {"client_kwargs": {"timeout": times_out, "trust_env": True}}  # proxies and ~/.netrc
    return {}


def _known_hosts() -> Any:
    """A policy for SSH: a server whose key is not in known_hosts is refused."""
    import paramiko

    class KnownHosts(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
        def missing_host_key(self, client: Any, hostname: str, key: Any) -> None:
            override = os.environ.get("NOISEBOOK_KNOWN_HOSTS")
            places = [override] if override else ["~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"]
            for place in map(Path, places):
                if place.expanduser().is_file() and paramiko.HostKeys(str(place.expanduser())).check(
                    hostname, key
                ):
                    return
            raise paramiko.SSHException(
                f"the key of {hostname} is not in {' or '.join(places)}: "
                "connect once with sftp and compare it"
            )

    return KnownHosts()


@dataclass(slots=True)
class Pushed:
    """What a push did: cells sent, their bytes, and the keys that are left, with the reason."""

    cells: int = 0
    bytes: int = 0
    left: list[str] = field(default_factory=list)
    reason: str = ""


class Remote:
    """A shared store at ``url``. Raises :class:`BadPlace` for a URL that cannot be one.

    Every method may raise :class:`Unreachable`, after a few attempts.
    """

    def __init__(self, url: str) -> None:
        self.url = check_url(url).rstrip("/")
        self.scheme = urlsplit(url).scheme
        self._opened: tuple[Any, str] | None = None

    def __str__(self) -> str:
        return scrub(self.url)

    def _ask(self, question: Callable[[Any, str], T]) -> T:
        """``question(filesystem, root)``, with a new connection after each failure."""
        for pause in (*PAUSES, None):
            try:
                if self._opened is None:
                    from fsspec.core import url_to_fs

                    self._opened = url_to_fs(self.url, **_options(self.scheme), skip_instance_cache=True)
                    if self.scheme in ("sftp", "ssh"):  # else a line that is cut silently is waited for
                        self._opened[0].ftp.get_channel().settimeout(READ_SECONDS)
                return question(*self._opened)
            except FileNotFoundError:
                raise
            except Exception as error:  # each protocol's library has its own family of them
                self._opened = None
                if pause is None or isinstance(error, PermissionError):
                    message = scrub(str(error)) or type(error).__name__
                    raise Unreachable(f"the store at {self} cannot be reached: {message}") from error
            time.sleep(pause)
        raise AssertionError

    def _names(self, folder: str) -> set[str]:
        """Names of the finished files of ``cells`` or ``objects``."""

        def question(fs: Any, root: str) -> set[str]:
            fs.invalidate_cache()
            return {
                str(path).rstrip("/").rpartition("/")[2] for path in fs.ls(f"{root}/{folder}", detail=False)
            }

        try:
            return {name for name in self._ask(question) if not name.startswith(".")}
        except FileNotFoundError:
            return set()

    def keys(self) -> set[str]:
        """The keys of all cells there."""
        return {name.removesuffix(".json") for name in self._names("cells") if name.endswith(".json")}

    def _having(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys whose cells are there, asked one by one."""

        def question(fs: Any, root: str) -> set[str]:
            fs.invalidate_cache()
            return {key for key in keys if fs.exists(f"{root}/cells/{key}.json")}

        return self._ask(question)

    # Down

    def _many(self, names: Sequence[str]) -> dict[str, bytes]:
        """The files of these names that are there."""
        if not names:
            return {}

        def question(fs: Any, root: str) -> dict[str, bytes]:
            answers = fs.cat([f"{root}/{name}" for name in names], on_error="return")
            found: dict[str, bytes] = {}
            for path, answer in answers.items():
                if isinstance(answer, bytes):
                    found["/".join(path.rsplit("/", 2)[1:])] = answer
                elif not isinstance(answer, FileNotFoundError):
                    raise answer
            return found

        try:
            return self._ask(question)
        except FileNotFoundError:
            return {}

    def fetch(self, keys: Iterable[str], store: Store, *, local: bool = False) -> set[str]:
        """Bring cells into ``store``, each checked and whole; the keys of those that came.

        ``local``: with the outputs that otherwise stay on the machine that made them.
        """
        wanted, came = list(dict.fromkeys(keys)), set()
        for start in range(0, len(wanted), BATCH):
            names = {f"cells/{key}.json": key for key in wanted[start : start + BATCH]}
            texts: dict[str, bytes] = {}
            records: list[Record] = []
            for name, data in self._many(list(names)).items():
                try:
                    records.append(parse(names[name], data))
                    texts[names[name]] = data
                except NotARecord as error:
                    warnings.warn(f"{name} in the store at {self}: {error}; not taken", stacklevel=2)
            for some in _portions(records):
                came |= self._take(some, texts, store, local=local)
        return came

    def _take(
        self, records: Sequence[Record], texts: dict[str, bytes], store: Store, *, local: bool
    ) -> set[str]:
        shas = {
            record.key: [sha for sha, keep in Entry.of(record).objects if local or keep != "local"]
            for record in records
        }
        asked = sorted({sha for some in shas.values() for sha in some})
        objects: dict[str, bytes] = {}
        for name, data in self._many([f"objects/{sha}" for sha in asked]).items():
            sha = name.removeprefix("objects/")
            if hashlib.sha256(data).hexdigest() == sha:
                objects[sha] = data
            else:
                warnings.warn(f"{name} in the store at {self} is damaged: not taken", stacklevel=2)
        came = set()
        for record in records:
            published = [sha for sha, keep in Entry.of(record).objects if keep == "published"]
            if all(sha in objects for sha in published):
                here = {sha: objects[sha] for sha in shas[record.key] if sha in objects}
                store.take(record.key, texts[record.key], here)
                came.add(record.key)
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

    def _put(self, name: str, data: bytes) -> None:
        """Write one file, whole or not at all."""

        def question(fs: Any, root: str) -> None:
            target = f"{root}/{name}"
            if self.scheme in ATOMIC_PUT:
                fs.pipe_file(target, data)
                return
            folder, _, last = target.rpartition("/")
            temporary = f"{folder}/.{last}.{os.urandom(4).hex()}.tmp"
            fs.makedirs(folder, exist_ok=True)
            fs.pipe_file(temporary, data)
            fs.mv(temporary, target)

        self._ask(question)

    def push(
        self,
        store: Store,
        keys: Sequence[str],
        *,
        local: bool = False,
        again: bool = False,
        told: Callable[[int], None] = lambda done: None,
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
                there = self._having(todo) if len(todo) <= FEW else self.keys()
                if local:
                    there -= self._lacking_local(store, there.intersection(todo))
                todo = [key for key in todo if key not in there]
            for key in todo:
                try:
                    files = list(_files(store, key, local=local))
                except Absent as error:
                    done.left.append(key)
                    done.reason = str(error)
                    continue
                for name, data in files:
                    if name not in sent:
                        self._put(name, data)
                        done.bytes += len(data)
                        sent.add(name)
                done.cells += 1
                told(done.cells)
        except Unreachable as error:
            done.left.extend(todo[done.cells + len(done.left) :])
            done.reason = str(error)
        return done

    def _lacking_local(self, store: Store, keys: Iterable[str]) -> set[str]:
        """Those of the cells that have a local output here and not there."""
        here = {
            key: {sha for sha, keep in store.entries[key].objects if keep == "local"}
            for key in keys
            if store.has(key, local=True)
        }
        there = self._names("objects") if any(here.values()) else set()
        return {key for key, local in here.items() if local - there}

    # Bytes that belong to no cell

    def keep(self, data: bytes) -> str:
        """Put an object there, if it is not whole there already; gives its sha256."""
        sha = hashlib.sha256(data).hexdigest()
        name = f"objects/{sha}"
        if self._many([name]).get(name) != data:
            self._put(name, data)
        return sha

    def kept(self, sha: str) -> bytes:
        """The object of that digest, checked. Raises Absent."""
        data = self._many([f"objects/{sha}"]).get(f"objects/{sha}", b"")
        if hashlib.sha256(data).hexdigest() != sha:
            raise Absent(f"{sha[:12]} is not in the store at {self}, or damaged")
        return data

    def reachable(self) -> str:
        """'' if the server answers, else why not."""
        try:
            self._many([f"cells/{'0' * 64}.json"])
        except Unreachable as error:
            return str(error)
        return ""


def _portions(records: Sequence[Record]) -> Iterator[list[Record]]:
    """The records in runs that fit into memory."""
    run: list[Record] = []
    size = 0
    for record in records:
        weight = sum(output.bytes for output in record.outputs)
        if run and size + weight > BATCH_BYTES:
            yield run
            run, size = [], 0
        run.append(record)
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
    yield f"cells/{key}.json", (store.place / "cells" / f"{key}.json").read_bytes()
