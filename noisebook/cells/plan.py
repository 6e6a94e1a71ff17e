"""What must run, and why: the same answer serves build, status and explain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from noisebook.cells.contract import Cell, Json
from noisebook.cells.record import Record
from noisebook.cells.registry import Generator
from noisebook.cells.store import Store

State = Literal["cached", "missing", "stale"]

CANDIDATES = 20
"""Records that a missing cell is compared with, to say what changed."""


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
        return self.store.recall(self.key) if self.cached else None

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
                old = self.store.reached(previous)
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
    local: set[str] = field(default_factory=set)
    """Keys of the cells whose local outputs others of them need."""

    @property
    def cells(self) -> list[Planned]:
        return [planned for group in self.groups for planned in group]


def work(planned: Sequence[Planned]) -> Work:
    """What is missing, in an order in which it can be computed; short groups before long ones."""
    todo: dict[str, Planned] = {}
    depth: dict[str, int] = {}
    asked: set[str] = set()

    def visit(item: Planned, *, local: bool) -> int:
        if item.store.has(item.key, local=local):
            return -1
        if local:
            asked.add(item.key)
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
    return Work(groups, asked)


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
