"""Telling a person how a build goes: a progress bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from noisebook.cells.plan import Planned, Work
from noisebook.cells.record import Record
from noisebook.cells.run import remaining
from noisebook.render.formats import duration

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PLAIN_EVERY = 30.0
"""Seconds between two plain lines of one cell."""


def forecast(cells: Iterable[Planned], rates: Mapping[str, float]) -> float:
    """The seconds that ``cells`` should take: what one that was begun has left, or cost before, else a guess.

    ``rates`` are seconds for each second that a generator guesses, see :mod:`noisebook.cells.rates`.
    """
    seconds = 0.0
    for cell in cells:
        if (left := remaining(cell.key)) is not None:
            seconds += left
        elif previous := cell.store.same_identity(cell.components):
            seconds += cell.store.entries[previous[-1]].seconds
        else:
            seconds += 60 * cell.cell.minutes * rates.get(cell.generator.name, 1.0)
    return seconds


def reasons(group: Sequence[Planned], rates: Mapping[str, float]) -> str:
    """What will be computed and why."""
    first = group[0]
    reasons = "; ".join(sorted({d.component for d in first.because()})[:4])
    estimate = duration(forecast(group, rates))
    begun = sum(remaining(cell.key) is not None for cell in group)
    what = f"{len(group)} × {first.generator.name}" + (f" ({begun} begun)" if begun else "")
    return f"{first.figure}: {what}, about {estimate} ({first.state}: {reasons})"


def lacking(todo: Work) -> str:
    """What a frozen build lacks, by name."""
    lines = [f"  {c.figure}/{c.cell.id} ({c.state}, {c.key[:12]})" for c in todo.cells]
    return (
        f"frozen, and {len(lines)} cells are missing:\n"
        + "\n".join(lines)
        + "\nnoisebook build computes them "
        "(noisebook explain ID says why they are missing); commit cache/ afterwards"
    )


class PlainWatcher:
    """One line when a cell begins, at times while it runs, and when it is done."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0
        self._told: dict[str, float] = {}
        self._started: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def begin(self, group: Sequence[Planned]) -> None:
        now = time.monotonic()
        print(f"{group[0].figure}: computing {len(group)} with {group[0].generator.name}", flush=True)
        for planned in group:
            self._started[planned.key] = self._told[planned.key] = now

    def progress(self, planned: Planned, done: float, total: float, note: str) -> None:
        now = time.monotonic()
        if now - self._told.get(planned.key, 0.0) < PLAIN_EVERY or not done:
            return
        self._told[planned.key] = now
        left = (now - self._started[planned.key]) * (total - done) / done
        print(
            f"  {planned.cell.id}: {100 * done / total:.0f}%, {duration(left)} left {note}".rstrip(),
            flush=True,
        )

    def finished(self, planned: Planned, record: Record) -> None:
        self.done += 1
        seconds = float(record.provenance["seconds"])
        print(
            f"  [{self.done}/{self.total}] {planned.figure}/{planned.cell.id}: {duration(seconds)}",
            flush=True,
        )

    def failed(self, group: Sequence[Planned], message: str) -> None:
        print(f"  failed: {message}", file=sys.stderr, flush=True)


class BarWatcher:
    """A bar for the build and one for the cell at hand, each with a time estimate."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._bars: Progress
        self._build: TaskID
        self._cell: TaskID
        self._at: str = ""

    def __enter__(self) -> Self:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        self._bars.start()
        self._build = self._bars.add_task("cells", total=self._total, note="")
        self._cell = self._bars.add_task("", total=None, visible=False, note="")
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def begin(self, group: Sequence[Planned]) -> None:
        self._bars.update(self._build, note=f"{group[0].figure} ({group[0].generator.name})")

    def progress(self, planned: Planned, done: float, total: float, note: str) -> None:
        if planned.key != self._at:
            self._at = planned.key
            self._bars.reset(self._cell, total=total, description=planned.cell.id, visible=True, note=note)
        self._bars.update(self._cell, completed=done, total=total, note=note)

    def finished(self, planned: Planned, record: Record) -> None:
        self._bars.advance(self._build)
        self._bars.console.print(
            f"{planned.figure}/{planned.cell.id} {duration(float(record.provenance['seconds']))}",
            highlight=False,
            markup=False,
        )

    def failed(self, group: Sequence[Planned], message: str) -> None:
        self._bars.console.print(f"failed: {message}", style="red", highlight=False, markup=False)


def watcher(total: int) -> PlainWatcher | BarWatcher:
    """The one that suits where the output goes."""
    return BarWatcher(total) if sys.stdout.isatty() else PlainWatcher(total)
