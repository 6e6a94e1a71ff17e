"""Computing what is missing: one group of cells at a time, each cell stored as it is yielded."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from noisebook.cells import rates
from noisebook.cells.contract import Cell, Context, Json, canonical, derive_seed
from noisebook.cells.failures import explain_failure
from noisebook.cells.fit import check_outputs
from noisebook.cells.folders import read_memo, user_cache, write_atomically, write_memo
from noisebook.cells.launch import launch, processes
from noisebook.cells.plan import Planned, Work
from noisebook.cells.provenance import Times, prompt_notes, provenance
from noisebook.cells.reads import guarded, undeclared
from noisebook.cells.record import Record, Stored
from noisebook.cells.store import Store, StoreFull


class Watcher:
    """Follows a build. This one says nothing."""

    def begin(self, group: Sequence[Planned]) -> None: ...
    def progress(self, planned: Planned, done: float, total: float, note: str) -> None: ...
    def finished(self, planned: Planned, record: Record) -> None: ...
    def failed(self, group: Sequence[Planned], message: str) -> None: ...
    def waiting(self, cells: Sequence[Planned]) -> None:
        """Other builders are computing these, and nothing else is left to do."""


class Models(Protocol):
    """The models and data sets that are pinned, by name: :class:`noisebook.models.lock.Models`."""

    @property
    def root(self) -> Path:
        """The report's folder."""

    @property
    def loaded(self) -> Mapping[str, Any]:
        """Those that were asked for until now."""

    @property
    def files(self) -> Collection[Path]:
        """Their files, as far as they lie in the report's folder."""

    @property
    def failure(self) -> type[Exception]:
        """What they raise where a person must do something; its message says what."""

    def __getitem__(self, name: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class NeededCell:
    """A finished cell as ``run`` reads it."""

    store: Store
    record: Record

    def _output(self, name: str) -> Stored:
        output = self.record.output(name)
        if output is None:
            known = ", ".join(sorted(output.name for output in self.record.outputs))
            raise KeyError(f"cell {self.record.key[:12]} has no output {name!r}; it has {known}")
        return output

    def data(self, name: str) -> bytes:
        return self.store.open(self._output(name))

    def arrays(self, name: str) -> dict[str, Any]:
        from safetensors.numpy import load as load_arrays

        return dict(load_arrays(self.data(name)))


COMPONENTS = "cell.json"
"""Beside a cell's checkpoints: what its key was computed from, so that an unfinished run can be adopted."""


SECONDS, PROGRESS, NOTE_EVERY = "seconds.json", "progress.json", 5.0
"""Beside them, every five seconds: what it took so far, and how far it went."""
Went = tuple[float, float, float, float]
"""Where its progress began, where its newest checkpoint is, where it is, and where it ends."""


def scratch_folder(key: str) -> Path:
    """Where a cell keeps its checkpoints while it runs."""
    return user_cache() / "scratch" / key


def remaining(keys: Iterable[str]) -> dict[str, float]:
    """The seconds that cells which were begun and not finished still take here, by key."""
    scratch = user_cache() / "scratch"
    begun = {folder.name: folder for folder in scratch.iterdir()} if scratch.is_dir() else {}
    found = {key: _remaining(begun[key]) for key in begun.keys() & keys}
    return {key: seconds for key, seconds in found.items() if seconds is not None}


def _remaining(folder: Path) -> float | None:
    seconds, went = read_memo(folder / SECONDS, float), read_memo(folder / PROGRESS, Went)
    if seconds is None or went is None or not went[0] < went[2]:
        return None
    first, kept, done, total = went
    return float(seconds * max(0.0, total - kept) / (done - first))


def newest(folder: Path) -> int:
    """When the newest checkpoint in a scratch folder was written (ns); 0 if there is none."""
    files = (path for path in folder.iterdir() if path.suffix not in (".json", ".tmp"))
    return max((path.stat().st_mtime_ns for path in files), default=0)


class RunContext:
    """What a generator's ``run`` may ask for: the implementation of ``contract.Context``."""

    def __init__(
        self, group: Sequence[Planned], models: Models, watcher: Watcher | None, *, draft: bool = False
    ):
        self.draft = draft
        self._planned = {planned.cell.id: planned for planned in group}
        self._models, self._watcher = models, watcher
        self._began: dict[str, tuple[float, float]] = {}
        """When a cell with a scratch folder began here, and the seconds that it took before."""
        self.processes: dict[str, int] = {}
        """Cells that several processes computed, and how many."""
        self._noted = 0.0
        self._went: dict[str, tuple[float, int, float]] = {}
        """Of a cell with a scratch folder: where it began, when its checkpoint was written, where that is."""

    def seed(self, cell: Cell, *identity: Json) -> int:
        seed = self._planned[cell.id].components["seed"]
        if seed is None:
            raise ValueError(f"cell {cell.id!r} says that it has no seed")
        return derive_seed(seed, *identity)

    def input(self, cell: Cell, name: str) -> Path:
        return self._planned[cell.id].inputs[name]

    def model(self, cell: Cell, role: str) -> Any:
        return self._models[self._planned[cell.id].models[role]]

    def needed(self, cell: Cell, name: str) -> NeededCell:
        planned = self._planned[cell.id].needs[name]
        record = planned.record
        if record is None:
            raise KeyError(f"cell {planned.cell.id!r} of {planned.generator.name} is not in the store")
        return NeededCell(planned.store, record)

    def scratch(self, cell: Cell) -> Path:
        planned = self._planned[cell.id]
        folder = scratch_folder(planned.key)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / COMPONENTS, canonical(planned.components))
        if cell.id not in self._began:
            before = read_memo(folder / SECONDS, float)
            self._began[cell.id] = time.perf_counter(), before or 0.0
            if went := read_memo(folder / PROGRESS, Went):
                self._went[cell.id] = went[0], newest(folder), went[1]
        return folder

    def earlier(self, cell: Cell) -> float:
        """Seconds that this cell took in processes that did not finish it."""
        return self._began.get(cell.id, (0.0, 0.0))[1]

    def progress(self, cell: Cell, done: float, total: float, note: str = "") -> None:
        if cell.id in self._began:
            began, before = self._began[cell.id]
            now, (first, written, kept) = time.perf_counter(), self._went.setdefault(cell.id, (done, 0, done))
            if now - self._noted > NOTE_EVERY:
                self._noted = now
                folder = scratch_folder(self._planned[cell.id].key)
                if (last := newest(folder)) > written:
                    self._went[cell.id], kept = (first, last, done), done
                write_memo(folder / SECONDS, before + now - began)
                write_memo(folder / PROGRESS, [first, kept, done, total])
        if self._watcher is not None:
            self._watcher.progress(self._planned[cell.id], done, total, note)

    def launch(self, function: Callable[[Cell, Context], None], cell: Cell) -> None:
        count = 1 if self.draft else processes()
        if count == 1:
            function(cell, self)
            return
        self.processes[cell.id] = count
        launch(function, self._planned[cell.id], self._models.root, count, partial(self.progress, cell))


@dataclass(slots=True)
class Outcome:
    """What a build did."""

    computed: list[Record] = field(default_factory=list)
    failures: list[tuple[list[Planned], str]] = field(default_factory=list)
    seconds: float = 0.0
    bytes: int = 0
    stopped: bool = False


class Peers(Protocol):
    """Builders on other machines, with which this one shares a store."""

    def claim(self, cells: Sequence[Planned]) -> AbstractContextManager[list[Planned]]:
        """Those of ``cells`` that this builder may compute until the end of the block; no other does."""

    def finished(self, planned: Planned, *, local: bool) -> None:
        """A cell is stored, or its record amended; ``local``: others need its local outputs."""


class Alone:
    """No other machine has anything to do with this build."""

    def claim(self, cells: Sequence[Planned]) -> AbstractContextManager[list[Planned]]:
        return nullcontext(list(cells))

    def finished(self, planned: Planned, *, local: bool) -> None:
        pass


@dataclass(slots=True)
class Building:
    """What one call of :func:`execute` works with."""

    work: Work
    models: Models
    watcher: Watcher
    draft: bool
    peers: Peers
    outcome: Outcome = field(default_factory=Outcome)

    def finished(self, planned: Planned) -> None:
        self.peers.finished(planned, local=planned.key in self.work.local)


def execute(
    work: Work,
    models: Models,
    watcher: Watcher,
    *,
    draft: bool = False,
    errors: Path,
    peers: Peers | None = None,
) -> Outcome:
    """Compute every group; a failure stops only what needs it. Ctrl-C ends after the cell at hand is lost.

    What other builders are computing is waited for, once nothing else is left to do.

    ``errors`` is the folder for the tracebacks of generators' own mistakes.
    """
    building = Building(work, models, watcher, draft, peers or Alone())
    outcome, started = building.outcome, time.perf_counter()
    lost: set[str] = set()
    elsewhere: set[str] = set()
    queue, announced = list(work.groups), False
    try:
        while queue:
            left: list[list[Planned]] = []
            for group in queue:
                waiting = [p for p in group if not lost.intersection(need.key for need in p.needs.values())]
                lost.update({planned.key for planned in group} - {planned.key for planned in waiting})
                if any(need.key in elsewhere for p in waiting for need in p.needs.values()):
                    left.append(waiting)
                    continue
                try:
                    others = _compute_group(waiting, building)
                except (StoreFull, KeyboardInterrupt):
                    raise
                except BaseException as error:  # a generator's sys.exit() ends its own figures alone
                    others, missing = [], [p for p in waiting if not p.cached]
                    lost.update(planned.key for planned in missing)
                    message = explain_failure(error, waiting[0], errors, models.failure, models.loaded)
                    failed = missing or waiting  # cached ones were run again for what they keep to themselves
                    outcome.failures.append((failed, message))
                    watcher.failed(failed, message)
                elsewhere = (elsewhere - {p.key for p in waiting}) | {p.key for p in others}
                left += [others] if others else []
            if sum(map(len, left)) == sum(map(len, queue)):  # others have all of it
                if not announced:
                    watcher.waiting([planned for group in left for planned in group])
                announced = True
                time.sleep(PAUSE)
            queue = left
    except KeyboardInterrupt:
        outcome.stopped = True
    outcome.seconds = time.perf_counter() - started
    return outcome


CLAIM = 100
"""Cells that one builder claims at a time: each holds a file open, and another builder takes the next."""
PAUSE = 0.1
"""Seconds between two looks at cells that other builders have."""


def claims() -> int:
    """:data:`CLAIM`, or fewer where the system allows few open files."""
    try:
        import resource
    except ImportError:  # not on Windows
        return CLAIM
    return max(1, min(CLAIM, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))


def _compute_group(group: Sequence[Planned], building: Building) -> list[Planned]:
    """Compute the cells of a group that no other builder is computing; those that one is."""
    left: list[Planned] = []
    size = claims()
    for first in range(0, len(group), size):
        some = group[first : first + size]
        with ExitStack() as stack:
            here = [p for p in some if stack.enter_context(p.store.claim(p.key))]
            mine = stack.enter_context(building.peers.claim(here)) if here else []
            keys = {planned.key for planned in mine}
            left += [planned for planned in some if planned.key not in keys]
            fresh = [p for p in mine if not arrived(p, local=p.key in building.work.local)]
            if fresh:
                building.watcher.begin(fresh)
                compute(fresh, building)
    return left


def arrived(planned: Planned, *, local: bool) -> bool:
    """Whether another builder has finished this cell since the store was scanned."""
    store = planned.store
    if not store.has(planned.key, local=local):
        store.look(planned.key)
    return store.has(planned.key, local=local)


def compute(group: Sequence[Planned], building: Building) -> None:
    """Run one generator over ``group`` and store each cell as it comes."""
    models, outcome = building.models, building.outcome
    by_id = {planned.cell.id: planned for planned in group}
    context = RunContext(group, models, building.watcher, draft=building.draft)
    times, check = Times(), undeclared(group, models.root, models.files)
    results = iter(group[0].generator.run([planned.cell for planned in group], context))
    try:
        while True:
            with guarded(check):
                if (result := next(results, None)) is None:
                    break
            cell, outputs = result
            planned = by_id.pop(cell.id, None)
            if planned is None:
                name = group[0].generator.name
                raise ValueError(f"{name} yielded cell {cell.id!r}, which was not asked for")
            check_outputs(planned, outputs)
            times.tick(planned, earlier := context.earlier(cell))
            made = provenance(planned, times.last + earlier) | prompt_notes(planned, models.loaded)
            if count := context.processes.get(cell.id):
                made["processes"] = count
            record = planned.store.put(planned.key, planned.components, outputs, made)
            outcome.computed.append(record)
            outcome.bytes += sum(output.bytes for output in record.outputs)
            shutil.rmtree(scratch_folder(planned.key), ignore_errors=True)
            building.finished(planned)
            building.watcher.finished(planned, record)
            times.go_on()
    finally:
        for planned in times.share():
            building.finished(planned)
        if not building.draft:
            took = sum(wait + earlier for _, wait, earlier in times.waits)
            guessed = sum(60 * planned.cell.minutes for planned, _, _ in times.waits)
            rates.note(group[0].generator.name, took, guessed)
    if by_id:
        raise ValueError(f"{group[0].generator.name} did not yield {', '.join(map(repr, by_id))}")
