"""Finished cells keep their work over an edit that changes nothing, each with the evidence for it.

Three kinds of evidence, the first that can be had: a generator's ``replay`` of a part of the old run; the
whole cell computed again and compared; and, for a cell that lacks here what it was computed from (weights of
an earlier checkpoint), that others of the same generator, made by the same old code and held against the same
new code, agree one and all.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noisebook.cells.contract import Json, canonical
from noisebook.cells.entries import identity
from noisebook.cells.folders import read_regular, user_cache
from noisebook.cells.plan import Planned, grouped
from noisebook.cells.provenance import provenance
from noisebook.cells.record import LARGEST, Record
from noisebook.cells.record import components as read_components
from noisebook.cells.registry import said
from noisebook.cells.run import COMPONENTS, Models, RunContext, Watcher, scratch_folder
from noisebook.cells.store import Absent, Store
from noisebook.cells.verify import Verdict, repeat, replay_function, replayed

NOTHING_EARLIER = "no earlier version of this cell is in the store"
NOT_REPEATED = "not repeated itself"
SIBLINGS = 3
"""So many cells of the same code must have been repeated before they speak for another."""


@dataclass(slots=True)
class _Agreement:
    """Of the cells that met one change of code: how many were repeated, and how many came out as before."""

    agree: int = 0
    repeated: int = 0

    def __str__(self) -> str:
        return f"{self.agree} of {self.repeated} cells of the same code agree"


@dataclass(slots=True)
class _Adoption:
    """One pass over the cells of a report."""

    models: Models
    watcher: Watcher | None
    changes: dict[bytes, _Agreement] = field(default_factory=dict)
    waiting: list[tuple[Planned, Record, str]] = field(default_factory=list)
    """Cells that cannot be repeated here, what they were, and why not."""

    def count(self, planned: Planned, previous: Record, agrees: bool) -> None:
        found = self.changes.setdefault(_change(planned, previous), _Agreement())
        found.repeated += 1
        found.agree += agrees

    def remember(self, planned: Planned) -> None:
        """A cell that an earlier pass adopted speaks for others, too."""
        record = planned.record
        adopted = record.provenance.get("adopted") if record else None
        previous = planned.store.recall(str(adopted["from"])) if adopted else None
        if adopted and previous and not str(adopted["evidence"]).startswith(NOT_REPEATED):
            self.count(planned, previous, agrees=True)

    def group(self, group: Sequence[tuple[Planned, Record]]) -> Iterator[Verdict]:
        """Cells of one generator, one set of needs and one number of threads: one call of its ``run``."""
        left = {planned.key: (planned, previous) for planned, previous in group}
        try:
            for verdict in repeat(group, self.models, self.watcher):
                planned, previous = left.pop(verdict.planned.key)
                if verdict.lacking:
                    self.waiting.append((planned, previous, verdict.lacking))
                else:
                    yield self.decide(verdict, previous)
        except (Absent, FileNotFoundError, self.models.failure) as error:
            self.waiting.extend(
                (*each, (said(error).splitlines() or [type(error).__name__])[0]) for each in left.values()
            )
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            for planned, _ in left.values():
                yield Verdict(planned, False, f"today's code fails: {type(error).__name__}: {said(error)}")

    def decide(self, verdict: Verdict, previous: Record) -> Verdict:
        self.count(verdict.planned, previous, verdict.agrees)
        if verdict.agrees:
            _refile(verdict, previous)
        return verdict

    def by_siblings(self) -> Iterator[Verdict]:
        """Those that could not be repeated, if all that met the same change of code agree."""
        for planned, previous, why in self.waiting:
            found = self.changes.get(_change(planned, previous), _Agreement())
            if found.repeated < SIBLINGS or found.agree < found.repeated:
                yield Verdict(planned, False, f"cannot be repeated here: {why}; {found}")
                continue
            verdict = Verdict(planned, True, f"{NOT_REPEATED}: {why}; {found}")
            _refile(verdict, previous)
            yield verdict
        self.waiting.clear()


def adopt(cells: Sequence[Planned], models: Models, watcher: Watcher | None = None) -> Iterator[Verdict]:
    """Give finished (or begun) cells their new keys, where today's code repeats them.

    ``cells`` are with what they need. A verdict for each that was not cached; the evidence goes into its
    provenance. Models are loaded once, and cells that one call of a ``run`` can compute are computed by one.
    """
    adoption = _Adoption(models, watcher)
    for planned in cells:
        if planned.cached:
            adoption.remember(planned)
    left = {planned.key: planned for planned in cells if not planned.cached}
    while ready := [p for p in left.values() if all(need.cached for need in p.needs.values())]:
        found: dict[str, tuple[Planned, Record]] = {}
        for planned in ready:
            del left[planned.key]
            previous = _earlier(planned)
            if previous is None:
                yield _begun(planned, models, watcher)
            elif not same_needs(planned, previous.components):
                yield Verdict(planned, False, f"{NOTHING_EARLIER}: {previous.key[:12]} needed other cells")
            else:
                found[planned.key] = planned, previous
        for alike in _batches(found):
            yield from adoption.group(alike)
        yield from adoption.by_siblings()
    for planned in left.values():
        lacking = next(need for need in planned.needs.values() if not need.cached)
        yield Verdict(planned, False, f"needs {lacking.figure}/{lacking.cell.id}, which was not adopted")


def _batches(found: Mapping[str, tuple[Planned, Record]]) -> Iterator[list[tuple[Planned, Record]]]:
    """What one call of a ``run`` can repeat: cells that lack the same here, if anything."""

    def alike(planned: Planned) -> Hashable:
        needs = tuple(need.key for need in planned.needs.values())
        threads = found[planned.key][1].provenance.get("threads")
        return planned.generator.name, planned.figure, needs, threads

    for group in grouped((planned for planned, _ in found.values()), alike):
        yield [found[planned.key] for planned in group]


def _earlier(planned: Planned) -> Record | None:
    """The record of this cell under another key: one that needed the same, if there is any.

    It has the same parameters, but for such as the generator did not have then.
    """
    store = planned.store
    keys = store.same_identity(planned.components) or store.same_generator(planned.generator.name)
    found = [
        each
        for each in map(store.recall, keys)
        if each and each.key != planned.key and _same_but_for_new(each.components, planned.components)
    ]
    mine = [each for each in found if each.provenance.get("cell") == planned.cell.id] or found
    mine.sort(key=lambda each: (same_needs(planned, each.components), str(each.provenance.get("finished"))))
    return mine[-1] if mine else None


def _same_but_for_new(then: Mapping[str, Json], now: Mapping[str, Json]) -> bool:
    params = {name: value for name, value in now["params"].items() if name in then["params"]}
    return identity({**now, "params": params}) == identity(then)


def _change(planned: Planned, previous: Record) -> bytes:
    """What became of the code: the generator's and its models', then and now."""

    def code(components: Mapping[str, Json]) -> Json:
        models = components.get("models", {})
        return [components.get("code"), {role: model.get("code") for role, model in models.items()}]

    return canonical([planned.generator.name, code(previous.components), code(planned.components)])


def _refile(verdict: Verdict, previous: Record) -> None:
    planned = verdict.planned
    today = provenance(planned, float(previous.provenance.get("seconds", 0)))
    made = {
        **previous.provenance,
        **{name: today[name] for name in ("reached", "command")},
        "adopted": {
            "from": previous.key,
            "evidence": verdict.how,
            "made": previous.provenance.get("adopted"),
        },
    }
    planned.store.refile(planned.key, planned.components, previous.outputs, made)


def _begun(planned: Planned, models: Models, watcher: Watcher | None) -> Verdict:
    """Adopt the scratch folder of an unfinished run of this cell."""
    begun, replay = begun_before(planned), replay_function(planned)
    if begun is None or replay is None:
        return Verdict(planned, False, NOTHING_EARLIER)
    verdict = replayed(planned, begun, replay, RunContext([planned], models, watcher))
    if verdict.agrees:
        target = scratch_folder(planned.key)
        begun.replace(target)
        (target / COMPONENTS).unlink()
    return verdict


def begun_before(planned: Planned) -> Path | None:
    """The scratch folder of an unfinished run of this cell under another key."""
    wanted = identity(planned.components)
    folder = user_cache() / "scratch"
    for path in sorted(folder.glob(f"*/{COMPONENTS}")):
        try:
            components = read_components(read_regular(path, LARGEST))
        except (OSError, ValueError):
            continue
        if (
            path.parent.name != planned.key
            and identity(components) == wanted
            and same_needs(planned, components)
        ):
            return path.parent
    return None


def same_needs(planned: Planned, components: Mapping[str, Json]) -> bool:
    """Did a cell of these components need what this one needs, whatever the keys were then?

    A replay looks at a part alone (a few steps, the recorded pictures) and cannot see that what it started
    from was another network, so this must be known before.
    """
    before: Any = components.get("needs", {})
    then = {name: _left(planned.store, key) for name, key in before.items()}
    return then == {name: _left(planned.store, need.key) for name, need in planned.needs.items()}


def _left(store: Store, key: str) -> dict[str, str] | str:
    """The digests of what a cell left; its key, if it is not in the store."""
    record = store.recall(key)
    if record is None:
        return key
    return {output.name: output.sha256 for output in record.outputs if not output.measured}
