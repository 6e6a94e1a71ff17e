"""Telling a person how a build goes: a progress bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from noisebook.cells.plan import Planned, Work
from noisebook.cells.record import Record
from noisebook.cells.run import Watcher, remaining
from noisebook.render.formats import duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_EVERY = 30.0
"""Seconds between two plain lines of one cell."""


def forecast(cells: Iterable[Planned], rates: Mapping[str, float]) -> float:
    """The seconds that ``cells`` should take: what one that was begun has left, or cost before, else a guess.

    ``rates`` are seconds for each second that a generator guesses, see :mod:`noisebook.cells.rates`.
    """
    cells = list(cells)
    left, seconds = remaining(cell.key for cell in cells), 0.0
    for cell in cells:
        if cell.key in left:
            seconds += left[cell.key]
        elif previous := cell.store.same_identity(cell.components):
            seconds += cell.store.entries[previous[-1]].seconds
        else:
            seconds += 60 * cell.cell.minutes * rates.get(cell.generator.name, 1.0)
    return seconds


def estimate(cells: Sequence[Planned], rates: Mapping[str, float]) -> str:
    """The forecast in words, and what it rests on if not on what was measured here."""
    said = duration(forecast(cells, rates))
    if any(cell.components.get("draft") for cell in cells):
        return f"at most {said}"
    left = remaining(cell.key for cell in cells)
    unknown = not all(
        cell.generator.name in rates or cell.key in left or cell.store.same_identity(cell.components)
        for cell in cells
    )
    return f"about {said}" + " (a first guess)" * unknown


def reasons(group: Sequence[Planned], rates: Mapping[str, float]) -> str:
    """What will be computed and why."""
    first = group[0]
    reasons = "; ".join(sorted({d.component for d in first.because()})[:4])
    begun = len(remaining(cell.key for cell in group))
    what = f"{len(group)} × {first.generator.name}" + (f" ({begun} begun)" if begun else "")
    return f"{first.figure}: {what}, {estimate(group, rates)} ({first.state}: {reasons})"


def lacking(todo: Work) -> str:
    """What a frozen build lacks, by name."""
    lines = [f"  {c.figure}/{c.cell.id} ({c.state}, {c.key[:12]})" for c in todo.cells]
    return (
        f"frozen, and {len(lines)} cells are missing:\n"
        + "\n".join(lines)
        + "\nnoisebook build computes them "
        "(noisebook explain ID says why they are missing); commit cache/ afterwards"
    )


class Batch:
    """Cells that are computed together, and how far they are."""

    def __init__(self, group: Sequence[Planned]) -> None:
        self.figure, self.size = group[0].figure, len(group)
        self.name = f"{self.figure}/{group[0].cell.id}" if self.size == 1 else self.figure
        self.left = {planned.key: 0.0 for planned in group}
        """The parts of the cells that are not finished yet."""
        self.seconds = 0.0
        self.reported = time.monotonic()
        self._first: tuple[float, float] | None = None

    def progress(self, key: str, part: float) -> tuple[float, float | None]:
        """A cell is at ``part``: the part of all that is done, and the seconds that are left.

        They are told from the second time on: a run may begin in the middle, where one was broken off.
        """
        if key in self.left:
            self.left[key] = part
        now, done = time.monotonic(), 1 - sum(1 - each for each in self.left.values()) / self.size
        if self._first is None:
            self._first = now, done
        began, first = self._first
        return done, (now - began) * (1 - done) / (done - first) if done > first else None

    def finished(self, key: str, seconds: float) -> bool:
        """A cell is finished; whether it was the last one."""
        self.left.pop(key, None)
        self.seconds += seconds
        return not self.left

    def __str__(self) -> str:
        """What it came to."""
        count = f"{self.size} cells, " if self.size > 1 else ""
        return f"{self.name}: {count}{duration(self.seconds)}"


class _Batches(Watcher):
    """Of each cell that is being computed its batch."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self._of: dict[str, Batch] = {}

    def begin(self, group: Sequence[Planned]) -> None:
        batch = Batch(group)
        self._of |= {planned.key: batch for planned in group}

    def of(self, planned: Planned) -> Batch:
        if planned.key not in self._of:
            _Batches.begin(self, [planned])
        return self._of[planned.key]


class PlainWatcher(_Batches):
    """One line when a batch begins, at times while it runs, and when it is done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def begin(self, group: Sequence[Planned]) -> None:
        super().begin(group)
        print(f"{group[0].figure}: computing {len(group)} with {group[0].generator.name}", flush=True)

    def progress(self, planned: Planned, done: float, total: float, note: str) -> None:
        batch = self.of(planned)
        part, left = batch.progress(planned.key, done / total)
        self._tell(batch, part, left, note)

    def _tell(self, batch: Batch, part: float, left: float | None, note: str = "") -> None:
        if (now := time.monotonic()) - batch.reported < PLAIN_EVERY:
            return
        batch.reported = now
        time_left = "" if left is None else f", {duration(left)} left"
        print(f"  {batch.name}: {100 * part:.0f}%{time_left} {note}".rstrip(), flush=True)

    def finished(self, planned: Planned, record: Record) -> None:
        self.done += 1
        batch = self.of(planned)
        part, left = batch.progress(planned.key, 1.0)
        if batch.finished(planned.key, float(record.provenance["seconds"])):
            print(f"  [{self.done}/{self.total}] {batch}", flush=True)
        else:
            self._tell(batch, part, left)

    def failed(self, group: Sequence[Planned], message: str) -> None:
        print(f"  failed: {message}", file=sys.stderr, flush=True)

    def waiting(self, cells: Sequence[Planned]) -> None:
        print(elsewhere(cells), flush=True)


class BarWatcher(_Batches):
    """A bar for the build and one for the batch at hand, each with a time estimate."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self._bars: Progress
        self._build: TaskID
        self._batch: TaskID
        self._at: Batch | None = None

    def __enter__(self) -> Self:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[count]:>5}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bars.start()
        self._build = self._bars.add_task("cells", total=self.total, note="", count=f"0/{self.total}")
        self._batch = self._bars.add_task("", total=None, visible=False, note="", count="")
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def begin(self, group: Sequence[Planned]) -> None:
        super().begin(group)
        self._bars.update(self._build, note=f"{group[0].figure} ({group[0].generator.name})")

    def progress(self, planned: Planned, done: float, total: float, note: str) -> None:
        batch = self.of(planned)
        part, _ = batch.progress(planned.key, done / total)
        at, count = round(1000 * part), f"{100 * part:.0f}%"
        if batch is not self._at:  # what a broken-off run had done is no part of its speed
            self._at = batch
            self._bars.reset(
                self._batch,
                total=1000,
                completed=at,
                visible=True,
                description=batch.name,
                note=note,
                count=count,
            )
        self._bars.update(self._batch, completed=at, note=note, count=count)

    def finished(self, planned: Planned, record: Record) -> None:
        self.done += 1
        batch = self.of(planned)
        self._bars.update(self._build, advance=1, count=f"{self.done}/{self.total}")
        if batch.finished(planned.key, float(record.provenance["seconds"])):
            self._bars.console.print(str(batch), highlight=False, markup=False)

    def failed(self, group: Sequence[Planned], message: str) -> None:
        self._bars.console.print(f"failed: {message}", style="red", highlight=False, markup=False)

    def waiting(self, cells: Sequence[Planned]) -> None:
        self._bars.console.print(elsewhere(cells), highlight=False, markup=False)


def elsewhere(cells: Sequence[Planned]) -> str:
    """That other builders are at what is left."""
    figures = ", ".join(dict.fromkeys(cell.figure for cell in cells))
    cells_left = f"{len(cells)} cell{'s'[: len(cells) > 1]}"
    return f"{figures}: another build, or a preview, is computing {cells_left}: waiting for it"


def watcher(total: int) -> PlainWatcher | BarWatcher:
    """The one that suits where the output goes."""
    return BarWatcher(total) if sys.stdout.isatty() else PlainWatcher(total)
