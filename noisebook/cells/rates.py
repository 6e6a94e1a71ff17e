"""What cells take on this machine, measured against what their generators guess.

A generator's guess knows how a cell's time grows with its parameters, and nothing of the machine. Seconds
that finished cells took, divided by those that were guessed, say how fast the machine is at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from noisebook.cells.folders import RATES, read_memo, user_cache, write_memo
from noisebook.cells.plan import Planned

FADES = 0.8
"""Of earlier measurements, this part stays when a new one comes: the machine's load changes."""


def note(generator: str, seconds: float, guessed: float) -> None:
    """Keep what some cells took on this machine, and what was guessed for them (s)."""
    if guessed <= 0:
        return
    kept = _kept()
    before = kept.get(generator, (0.0, 0.0))
    kept[generator] = FADES * before[0] + seconds, FADES * before[1] + guessed
    write_memo(user_cache() / RATES, kept)


def rates(finished: Iterable[Planned]) -> Mapping[str, float]:
    """Seconds for each second that was guessed, by generator.

    As this machine has measured them; of what it has not computed yet, as the records of ``finished`` cells
    have it, wherever they were made.
    """
    measured = {name: pair for name, pair in _kept().items() if pair[1] > 0}
    sums: dict[str, tuple[float, float]] = {}
    for cell in finished:
        if cell.generator.name not in measured and (entry := cell.store.entries.get(cell.key)):
            seconds, guessed = sums.get(cell.generator.name, (0.0, 0.0))
            sums[cell.generator.name] = seconds + entry.seconds, guessed + 60 * cell.cell.minutes
    sums |= measured
    return {name: seconds / guessed for name, (seconds, guessed) in sums.items() if guessed > 0}


def _kept() -> dict[str, tuple[float, float]]:
    """Seconds, and those that were guessed, by generator."""
    return read_memo(user_cache() / RATES, dict[str, tuple[float, float]]) or {}
