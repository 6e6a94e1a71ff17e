"""Where things lie on this machine that are not part of a report's folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

LARGEST_NOTE = 1_000_000_000
TEMPLATES = "templates"
"""Of the user's cache folder: compiled templates."""
RATES = "rates.json"
"""Of the user's cache folder: what this machine has measured. No page shows it."""
_PACKAGE = Path(__file__).parents[1]
EMBEDDED = _PACKAGE / "embedded" if (_PACKAGE / "embedded").is_dir() else _PACKAGE.parent / "models"
"""Noisebook's own lock file's folder, and in its repository that of its models."""


def user_cache() -> Path:
    """Local objects, training state and downloads: NOISEBOOK_CACHE_DIR, else the user's cache folder."""
    override = os.environ.get("NOISEBOOK_CACHE_DIR")
    if override:
        return Path(override)
    from platformdirs import user_cache_path

    return user_cache_path("noisebook")


@cache
def embedded() -> tuple[Path, ...]:
    """The folders of Noisebook's own models: its repository's, and the package that [compute] brings."""
    found = find_spec("noisebook_models")
    return EMBEDDED, *map(Path, (found and found.submodule_search_locations) or ())


def find(root: Path, name: str) -> Path:
    """Where a file is that is named from the report's folder: there, or among Noisebook's own ``models/``."""
    path = root / name
    if not name.startswith("models/") or path.exists():
        return path
    own = (folder / name.removeprefix("models/") for folder in embedded())
    return next((each for each in own if each.is_file()), path)


def write_atomically(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` whole or not at all: temporary file beside it, fsync, rename.

    The folder is not synced: a power cut may cost the newest names, whose cells are then computed again, and
    never leaves half a file. It would double the time of small cells.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace(path: Path, data: bytes) -> None:
    """A whole file or none, in place of whatever stands there. Nothing is synced: it can be made again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_regular(path: Path, limit: int) -> bytes:
    """The bytes of a regular file. Raises OSError for anything else, and for more than ``limit`` bytes.

    Nothing is waited for: a FIFO without a writer would never end, nor would a device.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            raise OSError(errno.EINVAL, f"not a regular file of at most {limit} bytes", str(path))
        # read(limit) would take that much memory at once; nothing is what a log of the system has to say
        return (file.read(found.st_size + 1) or b"")[:limit]


def finished_files(folder: Path, name: re.Pattern[str]) -> Iterator[os.DirEntry[str]]:
    """The finished files of a folder; what a killed put left behind begins with a dot.

    Whatever else lies there is left alone, with a word if its name is one of ours.
    """
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if not name.fullmatch(entry.name):
                continue
            regular = False
            with contextlib.suppress(OSError):  # a link to itself
                regular = entry.is_file()
            if regular:
                yield entry
            else:
                warnings.warn(f"{entry.path} is no regular file: it is left alone", stacklevel=2)


def write_note(path: Path, data: bytes) -> None:
    """Keep something that may be lost: a full disk only makes the next build slower."""
    with contextlib.suppress(OSError):
        write_atomically(path, data)


def write_memo(path: Path, value: Any) -> None:
    """Keep a JSON value that may be lost, or its text, so that :func:`read_memo` knows it again."""
    keep(path, value if isinstance(value, bytes) else json.dumps(value).encode())


def read_memo(path: Path | None, kind: Any = dict) -> Any:
    """What :func:`write_memo` kept under that name, if it is a ``kind`` all through; else None."""
    data = None if path is None else kept(path)
    try:
        return None if data is None else parse_json(data, kind)
    except ValueError:
        return None


def keep(path: Path, data: bytes) -> None:
    """Keep bytes that may be lost, so that :func:`kept` knows them again."""
    with contextlib.suppress(OSError):
        replace(path, _seal(path, data) + b"\n" + data)


def kept(path: Path) -> bytes | None:
    """What :func:`keep` kept under that name; None where anything else stands."""
    try:
        seal, _, data = read_regular(path, LARGEST_NOTE).partition(b"\n")
    except (OSError, ValueError):
        return None
    return data if _seal(path, data) == seal else None


def _seal(path: Path, data: bytes) -> bytes:
    """The digest of a note and its name: one note cannot stand for another."""
    return hashlib.sha256(path.name.encode(errors="surrogateescape") + b"\n" + data).hexdigest().encode()


def parse_json(data: bytes, kind: Any) -> Any:
    """The value of a JSON text, which is a ``kind`` (a type, a data class, a model) to its last part.

    Raises ValueError with the first place that is not, however deep or long the text.
    """
    from pydantic import ValidationError

    try:
        return _schema(kind).validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:100]
        raise ValueError(f"{place}: {first['msg']}".removeprefix(": ")) from error


@cache
def _schema(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
