"""What a person is told while a build computes: each batch once, with times that are its own."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from noisebook import progress
from noisebook.progress import BarWatcher, Batch, PlainWatcher

from .conftest import Book


def cells(count: int, figure: str = "rings") -> list[Any]:
    generator = SimpleNamespace(name="ring")
    return [
        SimpleNamespace(
            key=f"{figure}{n}", figure=figure, generator=generator, cell=SimpleNamespace(id=f"f={n}")
        )
        for n in range(count)
    ]


def record(seconds: float) -> Any:
    return SimpleNamespace(provenance={"seconds": seconds})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the time is."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_batch_is_told_once_with_its_figures_name(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    batch = cells(3)
    with PlainWatcher(4) as watcher:
        watcher.begin(batch)
        for step in range(1, 81):  # all of them in step
            clock[0] += 1
            for cell in batch:
                watcher.progress(cell, step, 80, "")
        for cell, seconds in zip(batch, (80.0, 0.1, 0.1), strict=True):
            watcher.finished(cell, record(seconds))
        watcher.begin(alone := cells(1, "last"))
        watcher.finished(alone[0], record(2.0))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "rings: computing 3 with ring"
    assert lines[-3:] == [
        "  [3/4] rings: 3 cells, 80 s",
        "last: computing 1 with ring",
        "  [4/4] last/f=0: 2.0 s",
    ]
    shares = [re.fullmatch(r"  rings: (\d+)%, (\d+) s left", line) for line in lines[1:-3]]
    assert len(shares) == 2 and all(shares)
    for found in filter(None, shares):
        assert abs(0.8 * int(found[1]) + int(found[2]) - 80) <= 2


def test_a_run_that_goes_on_in_the_middle_takes_as_long_as_its_own_speed_says(clock: list[float]) -> None:
    batch = Batch(cells(1))
    assert batch.progress("rings0", 0.5) == (0.5, None)
    clock[0] += 10
    part, left = batch.progress("rings0", 0.6)
    assert part == 0.6 and left == pytest.approx(40)


def test_cells_one_after_another_are_one_batch_too(clock: list[float]) -> None:
    batch = Batch(cells(4))
    batch.progress("rings0", 0.0)
    clock[0] += 10
    assert not batch.finished("rings0", 10)
    part, left = batch.progress("rings1", 0.0)
    assert part == 0.25 and left == pytest.approx(30)


def test_a_terminal_shows_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    batch = cells(3)
    with BarWatcher(3) as watcher:
        watcher.begin(batch)
        for cell in batch:
            watcher.progress(cell, 1, 2, "loss 0.1")
            watcher.finished(cell, record(1.5))
    said = capsys.readouterr().out
    assert "rings: 3 cells, 4.5 s" in said and "f=1" not in said and "3/3" in said


def test_a_first_guess_is_called_one(book: Book) -> None:
    assert re.search(r"3 cells, about [\d.]+ s \(a first guess\)\n", book.run("status").stdout)
    assert "at most 9.0 s (missing" in book.build("--draft")
    assert "(a first guess)" in book.build()
    book.tiles([7, 8])
    assert "guess" not in book.run("status").stdout


def test_cells_that_were_drawn_together_have_equal_parts(tmp_path: Path) -> None:
    """In the records too, whichever came first."""
    from noisebook.cells.provenance import Times

    times = Times()
    times.waits = [(each, wait, 0.0) for each, wait in zip(cells(3), (0.3, 0.0, 0.0), strict=True)]
    assert [len(batch) for batch in times.batches()] == [3]
