"""The lock file: which models and data sets a report means, byte for byte.

``models.lock.json`` stands beside report.yaml and adds to Noisebook's own, ``models/lock.json``. An entry
names its kind (``model`` or ``data``), the module that loads it, its revision and licence, and the sha256 of
each of its files (paths relative to the report's folder, unless the loader keeps them elsewhere). Keys are
computed from entries, never from what happens to be on disk; a loader checks the digests before it uses a
file. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from noisebook.cells.folders import EMBEDDED as OWN
from noisebook.cells.folders import find, parse_json, read_regular, write_atomically

Entry = Mapping[str, Any]

LOCK_NAME = "models.lock.json"
FORMAT = 1
LARGEST = 10_000_000
"""Bytes of a lock file."""
AUTO = "auto"
EMBEDDED = "exact"
DEEPFLOYD = ("deepfloyd-xl", "deepfloyd-l", "deepfloyd-m")
"""Model families: ``auto`` is the first of DeepFloyd's that is here, or else the embedded one."""
HINTS = {family: f"`noisebook models add {family}` pins it, from the hub or a folder" for family in DEEPFLOYD}
"""How to have a family that no lock file of a new report pins."""


HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""A repository on the hub: owner/name."""


def family_of(value: Any) -> Any:
    """What report.yaml or a figure calls a model, as the name of its family.

    ``{hub: owner/name}`` is the family ``owner--name``, ``{folder: models/faces}`` is ``models--faces``; all
    else stays as it is. Raises ValueError for other keys.
    """
    if not isinstance(value, Mapping):
        return value
    [(kind, where)] = value.items() if len(value) == 1 else [("", "")]
    path = str(where).strip("/").removeprefix("./")
    if (kind == "hub" and HUB.fullmatch(path)) or (kind == "folder" and _FOLDER.fullmatch(path)):
        return path.replace("/", "--")
    raise ValueError("expected the name of a model, {hub: owner/name}, or {folder: a folder in this report}")


_FOLDER = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*")


def hint_for(family: str) -> str:
    """How to have a family that no lock file pins; "" for a name that says nothing."""
    if family in HINTS:
        return HINTS[family]
    if "--" not in family:
        return ""
    return f"`noisebook models add {family.replace('--', '/')}` pins it, from the hub or from that folder"


class _Entry(BaseModel):
    """What is read of an entry; whatever else its loader wants stands beside it."""

    model_config = ConfigDict(extra="allow")
    kind: Literal["model", "data"]
    loader: str
    files: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]]
    revision: str = ""
    licence: str = ""
    folder: str = ""
    text_folder: str = ""
    repository: str = ""
    get: str = ""


class _Lock(BaseModel):
    format: int
    entries: dict[str, _Entry]


class MissingModel(Exception):
    """A pinned file is absent or not what was pinned. The message says what to do."""


def digest(path: Path) -> str:
    """The sha256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known(root: Path) -> dict[str, Entry]:
    """The entries by name that the report in ``root`` can use: Noisebook's own, and its lock file's."""
    return _read(OWN / "lock.json") | read_lock(root)


def read_lock(root: Path) -> dict[str, Entry]:
    """The entries of the report's own lock file by name; none without one.

    Raises MissingModel if the file is not a lock file of this format.
    """
    return _read(_place(root))


def _place(root: Path) -> Path:
    """The report's lock file; in Noisebook's repository its own one."""
    return OWN / "lock.json" if (root / "models").resolve() == OWN else root / LOCK_NAME


def _read(path: Path) -> dict[str, Entry]:
    if not os.path.lexists(path):
        return {}
    try:
        lock: _Lock = parse_json(read_regular(path, LARGEST), _Lock)
    except (OSError, ValueError) as error:
        raise MissingModel(f"{path} is not a lock file: {error}") from error
    if lock.format != FORMAT:
        raise MissingModel(f"{path}: format {lock.format}, this version reads {FORMAT}")
    return {name: entry.model_dump(exclude_unset=True) for name, entry in lock.entries.items()}


def verify(name: str, entry: Entry, folder: Path, only: Iterable[str] | None = None) -> dict[str, Path]:
    """The files of an entry (or those in ``only``) under ``folder``, each checked against its digest.

    Raises MissingModel, with every file that is absent or altered.
    """
    paths = {file: find(folder, file) for file in (entry["files"] if only is None else only)}
    wrong = [
        f"  {path}: {'missing' if not path.is_file() else 'not the pinned file'}"
        for file, path in paths.items()
        if not path.is_file() or digest(path) != entry["files"][file]
    ]
    if wrong:
        raise MissingModel(f"{name} cannot be used:\n" + "\n".join(wrong) + "\n" + str(entry.get("get", "")))
    return paths


def place_of(entry: Entry, root: Path) -> Path:
    """Where the files of an entry lie, if they are here: in its folder, or downloaded from the hub."""
    if entry.get("folder"):
        return Path(root / entry["folder"])
    if entry.get("repository"):
        home = os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface")
        hub = Path(os.environ.get("HF_HUB_CACHE", Path(home, "hub")))
        return Path(
            hub / f"models--{entry['repository'].replace('/', '--')}" / "snapshots" / entry["revision"]
        )
    return root


def at_hand(entry: Entry, root: Path) -> bool:
    """Whether the files of an entry are on this machine."""
    folder = place_of(entry, root)
    return all(find(folder, file).is_file() for file in entry["files"])


def automatic(lock: Mapping[str, Entry], root: Path) -> str:
    """The family that ``model: auto`` means on this machine."""
    for family in DEEPFLOYD:
        entry = lock.get(f"{family}/stage1")
        if entry and at_hand(entry, root):
            return family
    return EMBEDDED


def load(name: str, entry: Entry, root: Path) -> Any:
    """The model or data set itself: ``load(name, entry, root)`` of the entry's loader module."""
    if not all(part.isidentifier() for part in entry["loader"].split(".")):
        raise MissingModel(f"{name}: {entry['loader']!r} is not a module name")
    return importlib.import_module(entry["loader"]).load(name, entry, root)


class Models:
    """Models and data sets by their names in the lock, loaded once and kept."""

    failure = MissingModel
    """What a model raises that a person can mend."""

    def __init__(self, root: Path, lock: Mapping[str, Entry]) -> None:
        self.root, self.lock = root, lock
        self.loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.loaded:
            self.loaded[name] = load(name, self.lock[name], self.root)
        return self.loaded[name]


def pin(root: Path, name: str, files: Mapping[str, Path] | Iterable[str], **fields: Any) -> Entry:
    """Write the entry ``name`` with the digests of its files as they are now, and give it back.

    ``files`` are paths relative to ``root``, or a mapping from the name in the entry to where the file is.
    ``fields`` are kind, loader, revision, licence and whatever else the loader reads.
    """
    where = files if isinstance(files, Mapping) else {file: root / file for file in files}
    entry = {**fields, "files": {file: digest(path) for file, path in sorted(where.items())}}
    write_lock(root, {**read_lock(root), name: entry})
    return entry


def write_lock(root: Path, entries: Mapping[str, Entry]) -> None:
    """Let the report's own lock file have these entries and no others."""
    lock = {"format": FORMAT, "entries": dict(sorted(entries.items()))}
    write_atomically(_place(root), (json.dumps(lock, indent=1, ensure_ascii=False) + "\n").encode())
