"""Forecasts are from what this machine has measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from noisebook.cells import rates
from noisebook.cells.folders import RATES

from .conftest import Book


def forecast(book: Book) -> float:
    """The seconds that status says a build would take."""
    said = book.run("status").stdout
    found = re.search(r"about ([\d.]+) s", said)
    assert found, said
    return float(found[1])


def test_the_next_cells_take_what_the_last_ones_did_here(book: Book, tmp_path: Path) -> None:
    guessed = forecast(book) / 3
    book.run("build", TILE_PAUSE="0.5")
    book.tiles([7, 8])
    assert 0.8 < forecast(book) < 2 < 2 * guessed
    other = Book(tmp_path / "another-report", book.cache)
    assert 1.2 < forecast(other) < 3


def test_of_what_was_never_computed_here_the_records_tell(book: Book, tmp_path: Path) -> None:
    book.run("build", TILE_PAUSE="0.5")
    book.cache = tmp_path / "another-machine"
    book.tiles([1, 2, 3, 7, 8])
    assert 0.8 < forecast(book) < 2


def test_a_draft_says_nothing_of_whole_cells(book: Book) -> None:
    before = forecast(book)
    book.build("--draft")
    assert forecast(book) == before


def test_what_is_kept_may_be_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path))
    for text in ("", "[]", '{"tile": "fast"}'):
        (tmp_path / RATES).write_text(text)
        assert rates.rates([]) == {}
    rates.note("tile", 10, 5)
    assert rates.rates([]) == {"tile": 2.0}
    for _ in range(30):
        rates.note("tile", 5, 5)
    assert rates.rates([])["tile"] == pytest.approx(1, abs=0.01)
