"""What must run, and why: the same answer serves build, status and explain."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from noisebook.cells.code import CodeReader
from noisebook.cells.contract import CONTRACT_VERSION, REPORT_SEED, Cell, Json, Need, canonical
from noisebook.cells.folders import find, write_note
from noisebook.cells.record import Record
from noisebook.cells.registry import SHIPPED, Generator, Registry, suggest
from noisebook.cells.store import Store, signature
from noisebook.models.library import with_folder
from noisebook.models.lock import AUTO, DEEPFLOYD, Entry, automatic, known

State = Literal["cached", "missing", "stale"]

CANDIDATES = 20
"""Records that a missing cell is compared with, to say what changed."""


class PlanError(Exception):
    """A cell cannot be planned: an unknown model, a need that does not exist. ``figure`` says where."""

    def __init__(self, figure: str, message: str) -> None:
        super().__init__(message)
        self.figure = figure


@dataclass(frozen=True, slots=True)
class Difference:
    """One component of a key that differs; ``old`` is None where there was nothing before."""

    component: str
    old: Json
    new: Json


@dataclass(slots=True)
class Planned:
    """A cell with everything resolved.

    ``state`` is ``cached`` (a record stands under its key), ``stale`` (none, but one with the same parameters
    and seed, made by other code or models, is in the store) or ``missing``.
    """

    figure: str
    generator: Generator
    cell: Cell
    key: str
    components: Mapping[str, Json]
    store: Store
    reached: Mapping[str, str]
    models: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, Path] = field(default_factory=dict)
    needs: Mapping[str, Planned] = field(default_factory=dict)
    shown: Planned | Record | None = None
    """A stale record that stands in for this cell, when its author asked for that."""

    @property
    def cached(self) -> bool:
        return self.store.has(self.key)

    @property
    def state(self) -> State:
        if self.cached:
            return "cached"
        return "stale" if set(self.store.same_identity(self.components)) - {self.key} else "missing"

    @property
    def record(self) -> Record | None:
        """The finished cell, or None."""
        return self.store.get(self.key) if self.cached else None

    def previous(self) -> Record | None:
        """The record that differs least from what is asked: same parameters first, else same generator.

        Two cells may differ in what they need alone (a picture after one epoch and after five): among
        records of the same parameters, one that was made for a cell of this name goes first.
        """
        keys = self.store.same_identity(self.components) or self.store.same_generator(self.generator.name)
        records = [
            each for each in map(self.store.recall, keys[-CANDIDATES:]) if each and each.key != self.key
        ]
        return min(
            records,
            key=lambda record: (
                record.provenance.get("cell") != self.cell.id,
                len(differences(record.components, self.components)),
                _newest_first(str(record.provenance.get("finished", ""))),
            ),
            default=None,
        )

    def because(self) -> list[Difference]:
        """Why this cell is not cached, as differences to the nearest cell that is; [] if it is."""
        if self.cached:
            return []
        previous = self.previous()
        if previous is None:
            return [
                Difference("cell", None, f"never computed: no {self.generator.name} cell is in the store")
            ]
        changed = differences(previous.components, self.components)
        if not changed:
            return [Difference("outputs", "recorded", "not on this machine")]
        result: list[Difference] = []
        for difference in changed:
            if difference.component == "code":
                old = dict(previous.provenance.get("reached", {}))
                result.extend(
                    Difference(f"code {name}", _short(old.get(name)), _short(self.reached.get(name)))
                    for name in sorted(old.keys() | self.reached.keys())
                    if old.get(name) != self.reached.get(name)
                )
            result.append(difference)
        return result


def _newest_first(finished: str) -> list[int]:
    return [-ord(character) for character in finished]


def _short(digest: str | None) -> str | None:
    return None if digest is None else digest[:12]


def differences(old: Mapping[str, Json], new: Mapping[str, Json], path: str = "") -> list[Difference]:
    """The leaves in which two component trees differ, by dotted path."""
    result: list[Difference] = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after and (name in old) == (name in new):
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            result.extend(differences(before, after, f"{path}{name}."))
        else:
            result.append(Difference(f"{path}{name}", before, after))
    return result


def key_of(components: Mapping[str, Json]) -> str:
    """The key: sha256 over the components, each framed by the lengths of its name and canonical JSON."""
    digest = hashlib.sha256(b"noisebook cell\n")
    for name in sorted(components):
        text = canonical(components[name])
        digest.update(b"%d:%s%d:" % (len(name), name.encode(), len(text)))
        digest.update(text)
    return digest.hexdigest()


@dataclass(slots=True)
class Digests:
    """Digests of input files, remembered by signature in ``notes`` between builds."""

    notes: Path
    _kept: dict[str, Any] = field(default_factory=dict)
    _loaded: bool = False
    _dirty: bool = False

    def of(self, path: Path) -> str:
        """The sha256 of a file's content."""
        if not self._loaded:
            self._loaded = True
            try:
                self._kept = json.loads(self.notes.read_bytes())
            except (FileNotFoundError, ValueError):
                self._kept = {}
        sign = signature(path.stat())
        known = self._kept.get(str(path))
        if known is None or known[0] != sign:
            with path.open("rb") as file:
                known = [sign, hashlib.file_digest(file, "sha256").hexdigest()]
            self._kept[str(path)] = known
            self._dirty = True
        return str(known[1])

    def save(self) -> None:
        """Keep what was learnt."""
        if self._dirty:
            write_note(self.notes, json.dumps(self._kept).encode())


class Planner:
    """Resolves cells into keys. One planner serves one build.

    ``model`` is the report's model family, ``seed`` its seed, ``library`` the folder that exact draws from
    (empty: its own); ``draft`` gives cells keys of their own.
    """

    def __init__(
        self,
        root: Path,
        store: Store,
        registry: Registry,
        *,
        model: str = "exact",
        seed: int = 42,
        draft: bool = False,
        policy: Mapping[str, Json] | None = None,
        library: str = "",
    ) -> None:
        self.library = library
        self.root, self.store, self.registry = root, store, registry
        self.model, self.seed, self.draft, self.policy = model, seed, draft, dict(policy or {})
        notes = root / ".noisebook"
        self.code = CodeReader(self._find, notes / "code.json")
        self.digests = Digests(notes / "inputs.json")
        self._needed: dict[bytes, dict[str, Planned]] = {}
        self._model_components: dict[str, Json] = {}

    @cached_property
    def lock(self) -> dict[str, Entry]:
        """The lock file's entries; with a library of the author's own, exact draws from that."""
        entries = known(self.root)
        if self.library:
            for name, entry in entries.items():
                if entry["loader"] == "noisebook.models.exact":
                    entries[name] = with_folder(entry, self.root, self.library, self.digests.of)
        return entries

    @cached_property
    def automatic(self) -> str:
        """The model family that ``auto`` means on this machine."""
        return automatic(self.lock, self.root)

    def _find(self, module: str) -> Path | None:
        """The source of a first-party module."""
        package, _, rest = module.partition(".")
        if package == "noisebook":
            if rest.startswith("generators."):
                return _module_file(self._shipped, rest.removeprefix("generators."))
            return _module_file(Path(__file__).parents[1], rest)
        if package.startswith("noisebook_report_"):
            return _module_file(self.root / "generators", rest)
        return None

    @cached_property
    def _shipped(self) -> Path:
        return Path(next(iter(importlib.import_module(SHIPPED).__path__)))

    def plan(self, figure: str, generator: Generator, cells: Iterable[Cell]) -> list[Planned]:
        """Resolve the cells of one figure."""
        return [self._resolve(figure, generator, cell) for cell in cells]

    def save(self) -> None:
        """Keep what was learnt of code and inputs for the next build."""
        self.code.save()
        self.digests.save()

    def _resolve(self, figure: str, generator: Generator, cell: Cell) -> Planned:
        reach = self.code.reach(generator.module, "run")
        models = {role: self._model_name(figure, role, name) for role, name in cell.models.items()}
        inputs = {name: find(self.root, path) for name, path in cell.inputs.items()}
        needs = {name: self._need(figure, need) for name, need in cell.needs.items()}
        components: dict[str, Json] = {
            "format": CONTRACT_VERSION,
            "generator": generator.name,
            "params": dict(cell.params),
            "seed": self.seed if cell.seed == REPORT_SEED else cell.seed,
            "code": reach.digest,
        }
        if inputs:
            components["inputs"] = {name: self.digests.of(path) for name, path in inputs.items()}
        if models:
            components["models"] = {
                role: self._model_component(figure, name) for role, name in models.items()
            }
        if needs:
            components["needs"] = {name: planned.key for name, planned in needs.items()}
        if self.draft:
            components["draft"] = True
        if self.policy:
            components["policy"] = self.policy
        return Planned(
            figure,
            generator,
            cell,
            key_of(components),
            components,
            self.store,
            reach.statements,
            models,
            inputs,
            needs,
        )

    def _model_name(self, figure: str, role: str, name: str) -> str:
        family = name or self.model
        if family == AUTO:
            family = self.automatic
        wanted = family if family in self.lock or "/" in family else f"{family}/{role}"
        if wanted not in self.lock:
            models = {e.partition("/")[0] for e, entry in self.lock.items() if entry["kind"] == "model"}
            size = family.removeprefix("deepfloyd-")
            raise PlanError(
                figure,
                f"model {wanted!r} is not in models.lock.json; "
                + (
                    f"`python -m noisebook.models.deepfloyd {size}` pins it, from the hub or a folder"
                    if family in DEEPFLOYD
                    else suggest(family, tuple(sorted(models.union(DEEPFLOYD, [AUTO]))), "models")
                ),
            )
        return wanted

    def _model_component(self, figure: str, name: str) -> Json:
        if name not in self._model_components:
            entry = self.lock[name]
            component: dict[str, Json] = {
                "revision": entry.get("revision", ""),
                "files": dict(entry["files"]),
            }
            if entry["kind"] == "model":
                try:
                    component["code"] = self.code.reach(entry["loader"], "load").digest
                except KeyError as error:
                    raise PlanError(
                        figure, f"model {name!r}: loader {entry['loader']!r} has no load()"
                    ) from error
            self._model_components[name] = component
        return self._model_components[name]

    def _need(self, figure: str, need: Need) -> Planned:
        identity = canonical([need.generator, need.params])
        if identity not in self._needed:
            generator = self.registry.get(need.generator)
            try:
                params = generator.Params.model_validate(need.params)
            except ValidationError as error:
                raise PlanError(
                    figure, f"needs a cell of {need.generator!r} with wrong parameters: {error}"
                ) from error
            self._needed[identity] = {}
            for cell in generator.cells(params):
                self._needed[identity][cell.id] = self._resolve(figure, generator, cell)
        found = self._needed[identity].get(need.cell)
        if found is None:
            known = (
                ", ".join(self._needed[identity])
                or "none yet: cells of one figure may only need earlier ones"
            )
            raise PlanError(figure, f"needs cell {need.cell!r} of {need.generator!r}, which has: {known}")
        return found


def _module_file(folder: Path, dotted: str) -> Path | None:
    path = folder.joinpath(*dotted.split(".")) if dotted else folder
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def everything(cells: Iterable[Planned]) -> dict[str, Planned]:
    """The cells and all that they need by key, needs first."""
    found: dict[str, Planned] = {}

    def visit(planned: Planned) -> None:
        if planned.key not in found:
            for need in planned.needs.values():
                visit(need)
            found[planned.key] = planned

    for planned in cells:
        visit(planned)
    return found


@dataclass(slots=True)
class Work:
    """What one build has to compute, needs before what needs them."""

    groups: list[list[Planned]]
    """Each of one generator and one depth, with different ids; computed by one call of its ``run``."""

    @property
    def cells(self) -> list[Planned]:
        return [planned for group in self.groups for planned in group]


def work(planned: Sequence[Planned]) -> Work:
    """What is missing, in an order in which it can be computed; short groups before long ones."""
    todo: dict[str, Planned] = {}
    depth: dict[str, int] = {}

    def visit(item: Planned, *, local: bool) -> int:
        if item.store.has(item.key, local=local):
            return -1
        if item.key not in depth:
            depth[item.key] = 0
            todo[item.key] = item
            depth[item.key] = 1 + max(
                (visit(need, local=item.cell.needs[name].local) for name, need in item.needs.items()),
                default=-1,
            )
        return depth[item.key]

    for item in planned:
        visit(item, local=False)
    groups = grouped(todo.values(), lambda item: (depth[item.key], item.generator.name, item.figure))
    groups.sort(key=lambda group: (depth[group[0].key], sum(item.cell.minutes for item in group)))
    return Work(groups)


def grouped(cells: Iterable[Planned], alike: Callable[[Planned], Hashable]) -> list[list[Planned]]:
    """Cells that one call of a ``run`` may compute: ``alike``, and no two of one id.

    ``run`` and the builder tell cells apart by their ids. A figure may need two runs of one generator,
    whose cells have the same ids and other parameters.
    """
    groups: dict[Hashable, list[Planned]] = {}
    met: Counter[Hashable] = Counter()
    for planned in cells:
        group = alike(planned)
        again = met[group, planned.cell.id]
        met[group, planned.cell.id] += 1
        groups.setdefault((group, again), []).append(planned)
    return list(groups.values())
