"""The files of a store that fsspec reaches by URL: read and written whole, with a few attempts at each.

A file is written to a name beginning with a dot and renamed, or, where a put is atomic by itself (object
stores), at once.

Credentials come from the environment (docs/cluster.md), never from the URL.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

ATOMIC_PUT = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "memory"})
"""Protocols whose put is atomic, and whose rename is a copy."""
LOCAL = frozenset({"file", "local"})
READ_ONLY = frozenset({"http", "https"})
EMPTY = 416
"""What HTTP answers for the first bytes of a file that has none."""
PAUSES = (0.2, 1.0)
"""Seconds before each further attempt at a server that does not answer."""
CONNECT_SECONDS, READ_SECONDS = 10, 60


class BadPlace(ValueError):
    """A URL that cannot be a store's. The message says why; it never repeats a password."""


class Unreachable(Exception):
    """The server does not answer, or refuses. What is on this machine is untouched."""


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


class Connection:
    """The files of a shared store at ``url``. Raises :class:`BadPlace` for a URL that cannot be one.

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

    def names(self, folder: str) -> set[str]:
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

    def having(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys whose cells are there, asked one by one."""

        def question(fs: Any, root: str) -> set[str]:
            fs.invalidate_cache()
            return {key for key in keys if fs.exists(f"{root}/cells/{key}.json")}

        return self._ask(question)

    def many(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """The files of these names that are there; of one that is larger than said, a byte more than that."""
        if not sizes:
            return {}

        def question(fs: Any, root: str) -> dict[str, bytes]:
            paths = {f"{root}/{name}": name for name in sizes}
            if self.scheme in LOCAL:  # a FIFO is waited for
                paths = {path: name for path, name in paths.items() if fs.isfile(path)}
            ends = [sizes[name] + 1 for name in paths.values()]
            answers = fs.cat_ranges(list(paths), [0] * len(ends), ends, on_error="return")
            found: dict[str, bytes] = {}
            for name, answer in zip(paths.values(), answers, strict=True):
                if isinstance(answer, bytes):
                    found[name] = answer
                elif not isinstance(answer, FileNotFoundError) and getattr(answer, "status", 0) != EMPTY:
                    raise answer
            return found

        try:
            return self._ask(question)
        except FileNotFoundError:
            return {}

    def put(self, name: str, data: bytes) -> None:
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

    def create(self, name: str, data: bytes) -> bool:
        """Write a small file unless one of its name is there; whether it was written.

        Of several builders that do so at once one alone did, where the server can say which (folders, SFTP,
        S3); elsewhere two may be told that they did.
        """

        def question(fs: Any, root: str) -> bool:
            target = f"{root}/{name}"
            if self.scheme not in ATOMIC_PUT:
                fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            try:
                _exclusive(fs, self.scheme, target, data)
            except FileExistsError:
                return False
            except OSError:
                fs.invalidate_cache()
                if not fs.exists(target):  # a server of SFTP says no more than that it failed
                    raise
                return False
            return True

        return self._ask(question)

    def remove(self, name: str) -> None:
        """Remove one file, if it is there."""
        with suppress(FileNotFoundError):
            self._ask(lambda fs, root: fs.rm_file(f"{root}/{name}"))


def _exclusive(fs: Any, scheme: str, target: str, data: bytes) -> None:
    """Write a file that must not be there. Raises FileExistsError, or another OSError, if it is."""
    if scheme in LOCAL or scheme in ("sftp", "ssh"):
        with fs.ftp.open(target, "wx") if scheme not in LOCAL else Path(target).open("xb") as file:
            file.write(data)
    else:
        fs.pipe_file(target, data, mode="create")
