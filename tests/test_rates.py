"""Forecasts are from what this machine has measured."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from noisebook.cells import rates
from noisebook.cells.folders import RATES, read_memo
from noisebook.cells.run import SECONDS
from noisebook.project import Project

from .conftest import SECTION, Book


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


SLOW = '''
"""Forty steps, each kept."""

import time

from noisebook.cells.contract import Cell, Params as Base
from noisebook.cells.outputs import number


class Params(Base):
    """No parameters."""


def cells(params):
    return [Cell("run", "a run", "a number", {}, minutes=60)]


def run(cells, context):
    for cell in cells:
        file = context.scratch(cell) / "step"
        step = int(file.read_text()) if file.exists() else 0
        while step < 40:
            time.sleep(0.05)
            step += 1
            file.write_text(str(step))
            context.progress(cell, step, 40)
        yield cell, [number("steps", step)]
'''


def test_a_run_that_was_broken_off_has_less_left_and_takes_the_sum_of_its_parts(book: Book) -> None:
    book.write("generators/slow.py", SLOW)
    book.write("sections/tiles.md", "---\ntitle: Slow\ngenerator: slow\n---\nWords.\n")
    often = "import noisebook.cells.run as run\nrun.NOTE_EVERY = 0.0"
    process = book.start("build", "--yes", prelude=often)

    def step() -> int:
        return max([int(path.read_text() or 0) for path in book.cache.glob("scratch/*/step")], default=0)

    while process.poll() is None and step() < 20:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    (scratch,) = book.cache.glob("scratch/*")
    spent = read_memo(scratch / SECONDS, float)
    done = step()
    assert forecast(book) == pytest.approx(spent * (40 - done) / (done - 1), rel=0.15, abs=0.2)
    said = book.run("build", prelude=often)
    assert "1 × slow (1 begun), about" in said.stdout and said.returncode == 0, said.stdout + said.stderr
    (cells,) = Project(book.root).planned.values()
    assert cells[0].record is not None
    assert cells[0].record.provenance["seconds"] >= spent + 0.05 * (40 - done)
    assert not scratch.exists()


def test_what_takes_longest_is_named_where_a_build_would_take_too_long(book: Book) -> None:
    book.edit("generators/tile.py", 'params={"value": value})', 'params={"value": value}, minutes=value)')
    book.write("report.yaml", "title: Grey\nmodel: exact\nminutes_limit: 1\n")
    book.write("sections/more.md", SECTION.format(values=[70]))
    done = book.run("build")
    assert done.returncode == 1 and not book.computed()
    assert "the longest: more about 1 h 10 min (a first guess), tiles about 6 min" in done.stderr
