"""From a figure's cells to their keys."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from noisebook.cells.code import CodeReader
from noisebook.cells.contract import CONTRACT_VERSION, REPORT_SEED, Cell, Json, Need, canonical
from noisebook.cells.digests import Digests
from noisebook.cells.folders import find
from noisebook.cells.names import SHIPPED, suggest
from noisebook.cells.plan import Planned
from noisebook.cells.registry import Generator, Registry
from noisebook.cells.store import Store
from noisebook.cells.syntax import REPORT_PACKAGE


class PlanError(Exception):
    """A cell cannot be planned: an unknown model, a need that does not exist. ``figure`` says where."""

    def __init__(self, figure: str, message: str) -> None:
        super().__init__(message)
        self.figure = figure


def key_of(components: Mapping[str, Json]) -> str:
    """The key: sha256 over the components, each framed by the lengths of its name and canonical JSON."""
    framed = (
        _framed(name, value) if type(value := components[name]) in (str, int) else _frame(name, value)
        for name in sorted(components)
    )
    return hashlib.sha256(b"noisebook cell\n" + b"".join(framed)).hexdigest()


def _frame(name: str, value: Json) -> bytes:
    text = canonical(value)
    return b"%d:%s%d:%s" % (len(name), name.encode(), len(text), text)


_framed = lru_cache(1000, typed=True)(_frame)
"""Of what many cells have in common: the generator's name, the digest of the code, the seed."""


class Planner:
    """Resolves cells into keys. One planner serves one build.

    Args:
        lock: the pinned models and data sets by name, such as ``exact/stage1``.
        aliases: model families by other names: what ``auto`` is on this machine.
        hints: families that are not pinned, each with what pins it.
        model: the report's model family.
        seed: its seed.
        draft: give cells keys of their own.
        finished: another store, where cells are left that stand there already.
        policy: what the report adds to every key.
    """

    def __init__(
        self,
        root: Path,
        store: Store,
        registry: Registry,
        lock: Mapping[str, Mapping[str, Any]],
        *,
        aliases: Mapping[str, str] = MappingProxyType({}),
        hints: Mapping[str, str] = MappingProxyType({}),
        model: str = "exact",
        seed: int = 42,
        draft: bool = False,
        finished: Store | None = None,
        policy: Mapping[str, Json] = MappingProxyType({}),
        digests: Digests | None = None,
    ) -> None:
        self.root, self.store, self.registry, self.lock = root, store, registry, lock
        self.aliases, self.hints = aliases, hints
        self.model, self.seed, self.draft, self.policy = model, seed, draft, dict(policy)
        self.finished = finished
        self.code = CodeReader(self.find, root / ".noisebook" / "code.json")
        self.digests = digests or Digests(root / ".noisebook" / "inputs.json")
        self._needed: dict[bytes, dict[str, Planned]] = {}
        self._model_components: dict[str, Json] = {}

    def find(self, module: str) -> Path | None:
        """The source of a first-party module."""
        package, _, rest = module.partition(".")
        if package == "noisebook":
            if rest.startswith("generators."):
                return module_file(self._shipped, rest.removeprefix("generators."))
            return module_file(Path(__file__).parents[1], rest)
        if package.startswith(REPORT_PACKAGE):
            return module_file(self.root / "generators", rest)
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
        key = key_of(components)
        return Planned(
            figure,
            generator,
            cell,
            key,
            components,
            self.finished if self.finished and self.finished.has(key) else self.store,
            reach.statements,
            models,
            inputs,
            needs,
        )

    def _model_name(self, figure: str, role: str, name: str) -> str:
        family = name or self.model
        family = self.aliases.get(family, family)
        wanted = family if family in self.lock or "/" in family else f"{family}/{role}"
        if wanted not in self.lock:
            if others := sorted(each for each in self.lock if each.startswith(f"{family}/")):
                having = sorted(
                    each.removesuffix(f"/{role}") for each in self.lock if each.endswith(f"/{role}")
                )
                use = f"; use one that has: {', '.join(having)}" if having else ""
                raise PlanError(figure, f"model {family!r} has no {role}, only {', '.join(others)}{use}")
            models = {e.partition("/")[0] for e, entry in self.lock.items() if entry["kind"] == "model"}
            known = tuple(sorted(models.union(self.hints, self.aliases)))
            hint = self.hints.get(family) or suggest(family, known, "models")
            raise PlanError(figure, f"model {wanted!r} is not in models.lock.json; {hint}")
        return wanted

    def _model_component(self, figure: str, name: str) -> Json:
        if name not in self._model_components:
            entry = self.lock[name]
            component: dict[str, Json] = {
                "revision": entry.get("revision", ""),
                "files": dict(entry["files"]),
            }
            if embeddings := entry.get("embeddings"):
                component["embeddings"] = embeddings["sha256"]
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


def module_file(folder: Path, dotted: str) -> Path | None:
    """The file of a module, or of a package, below a folder."""
    path = folder.joinpath(*dotted.split(".")) if dotted else folder
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
