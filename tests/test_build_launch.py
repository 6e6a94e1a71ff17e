"""One computation in several processes, by accelerate's launcher; they end with the builder."""

from __future__ import annotations

import base64
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from .conftest import HANGS, SECTION, Book

SHARED = '''
"""Adds up the ranks of the processes that take part."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from noisebook.cells.contract import Cell, Context, Params as Base, Result
from noisebook.cells.outputs import number
from pydantic import Field


class Params(Base):
    values: list[int] = Field(description="what is added", min_length=1)


def cells(params: Params) -> list[Cell]:
    return [Cell(f"v={value}", f"{value}", f"{value}", {"value": value}) for value in params.values]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    for cell in cells:
        context.launch(add, cell)
        yield cell, [number("sum", float((context.scratch(cell) / "sum").read_text()))]


def add(cell: Cell, context: Context) -> None:
    import torch
    from accelerate import Accelerator

    accelerator = Accelerator()
    context.progress(cell, 1, 2, f"{accelerator.num_processes} at work")
    value = cell.params["value"]
    if value < 0:
        raise ValueError("no number below 0")
    if os.environ.get("TILE_LOG"):
        with open(os.environ["TILE_LOG"], "a") as file:
            file.write(f"{os.getpid()}\\n")
    time.sleep(float(os.environ.get("TILE_PAUSE", "0")))
    total = accelerator.reduce(torch.tensor(float(value + accelerator.process_index)), "sum")
    if accelerator.is_main_process:
        (context.scratch(cell) / "sum").write_text(str(float(total)))
'''


@pytest.fixture
def shared(make_book: Callable[[], Book]) -> Book:
    book = make_book()
    book.write("generators/shared.py", SHARED)
    (book.root / "sections" / "tiles.md").unlink()
    add(book, 10)
    return book


def add(book: Book, *values: int) -> None:
    book.write("sections/shared.md", SECTION.format(values=list(values)).replace("tile\n", "shared\n"))


def record(book: Book) -> dict[str, object]:
    [key] = book.stored()
    made = json.loads((book.root / "cache" / "cells" / f"{key}.json").read_text())
    [output] = made["outputs"]
    made["sum"] = json.loads(base64.b64decode(output["data"]))["value"]
    return dict(made)


def test_several_processes_share_a_cell(shared: Book) -> None:
    often = "import noisebook.progress; noisebook.progress.PLAIN_EVERY = 0"
    done = shared.run("build", prelude=often, NOISEBOOK_PROCESSES="2")
    assert done.returncode == 0, done.stderr
    assert "v=10: 50%" in done.stdout and "2 at work" in done.stdout, "the first process tells how far it is"
    made = record(shared)
    assert made["sum"] == 10 + 11 and made["provenance"]["processes"] == 2  # type: ignore[index]
    assert len(set(shared.computed())) == 2
    assert "computed 0" in shared.build(), "how many processes computed it is not in the key"


def test_one_process_is_this_one(shared: Book) -> None:
    assert shared.run("build", NOISEBOOK_PROCESSES="1").returncode == 0
    made = record(shared)
    assert made["sum"] == 10 and "processes" not in made["provenance"]  # type: ignore[operator]


def test_a_mistake_in_one_of_them_is_told_as_at_home(shared: Book) -> None:
    add(shared, -1)
    done = shared.run("build", NOISEBOOK_PROCESSES="2")
    assert done.returncode == 1 and "in one of 2 processes: ValueError: no number below 0" in done.stderr
    assert "Traceback" not in done.stderr
    [told] = (shared.root / ".noisebook" / "errors").iterdir()
    assert "in add" in told.read_text(), "the whole traceback of the process that failed"
    done = shared.run("build", NOISEBOOK_PROCESSES="two")
    assert done.returncode == 1 and "NOISEBOOK_PROCESSES is a number of processes" in done.stderr


def test_one_of_them_that_exits_has_not_computed_its_part(shared: Book) -> None:
    shared.edit("generators/shared.py", 'raise ValueError("no number below 0")', "raise SystemExit(0)")
    add(shared, -1)
    done = shared.run("build", NOISEBOOK_PROCESSES="2")
    assert done.returncode == 1 and "in one of 2 processes: SystemExit: 0" in done.stderr, done.stderr


def test_they_end_with_the_builder(shared: Book) -> None:
    builder = shared.start("build", NOISEBOOK_PROCESSES="2", TILE_PAUSE="100")
    while not (shared.log.exists() and len(shared.log.read_text().split()) == 2):
        assert builder.poll() is None, builder.communicate()
        time.sleep(0.02)
    ranks = [psutil.Process(int(line)) for line in shared.computed()]
    builder.send_signal(signal.SIGKILL)
    builder.communicate()
    _, alive = psutil.wait_procs(ranks, timeout=HANGS)
    assert not alive
    assert not Path(shared.root / "cache" / "cells").exists()
