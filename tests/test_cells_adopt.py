"""A whole report carried over an edit: replayed, drawn again, or vouched for by what was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Book

TRAIN = '''
"""A training whose early weights stay on the machine that made them."""

from noisebook.cells.contract import Cell, Disagreement, Need, Params as Base
from noisebook.cells.outputs import arrays, number
from pydantic import Field
import numpy as np


class Params(Base):
    epochs: int = Field(2, description="how many")


def cells(params):
    return [Cell(f"epoch={n}", "", "", {"epoch": n}) for n in range(1, params.epochs + 1)]


def run(cells, context):
    for cell in cells:
        epoch = cell.params["epoch"]
        keep = "published" if epoch == 2 else "local"
        yield cell, [number("loss", loss(epoch)), arrays("weights", {"w": np.full(9, epoch)}, keep)]


def loss(epoch):
    return 1 / epoch


def replay(cell, old, context):
    import json
    if json.loads(old.data("loss"))["value"] != loss(cell.params["epoch"]):
        raise Disagreement("another loss")
    return {"steps": 1}
'''

DRAW = '''
"""Draws with a network."""

import os

from noisebook.cells.contract import Cell, Need, Params as Base
from noisebook.cells.outputs import picture
from pydantic import Field
import numpy as np


class Params(Base):
    epoch: int = Field(description="of the network")
    count: int = Field(3, description="how many")


def cells(params):
    need = Need("train", {"epochs": 2}, f"epoch={params.epoch}")
    return [Cell(f"n={n}", f"{n}", f"{n}", {"n": n}, needs={"net": need}) for n in range(params.count)]


def run(cells, context):
    with open(os.environ["TILE_LOG"], "a") as log:
        log.write(f"run={len(cells)}\\n")
    for cell in cells:
        weights = context.needed(cell, "net").arrays("weights")["w"]
        yield cell, [picture("picture", np.full((8, 8), drawn(weights, cell.params["n"]), np.uint8))]


def drawn(weights, n):
    return int(weights.sum()) + n
'''

SECTION = """
---
title: Drawn after epoch {epoch}
generator: draw
params: {{epoch: {epoch}}}
caption: Drawn.
alt: Drawn.
---
Text.
"""


@pytest.fixture
def trained(make_book: Callable[[], Book]) -> Book:
    """A report with pictures of two checkpoints, the weights of the first gone."""
    book = make_book()
    (book.root / "sections" / "tiles.md").unlink()
    book.write("generators/train.py", TRAIN)
    book.write("generators/draw.py", DRAW)
    for epoch in (1, 2):
        book.write(f"sections/after-{epoch}.md", SECTION.format(epoch=epoch))
    book.build()
    for path in (book.cache / "objects").iterdir():
        path.unlink()
    book.computed()
    return book


def evidence(book: Book) -> dict[str, str]:
    records = [json.loads(path.read_text()) for path in (book.root / "cache" / "cells").glob("[!.]*.json")]
    made = [record["provenance"] for record in records]
    return {f"{p['figure']}/{p['cell']}": p["adopted"]["evidence"] for p in made if "adopted" in p}


def test_a_whole_report_is_carried_over_once(trained: Book) -> None:
    trained.edit("generators/train.py", "return 1 / epoch", "return (+1) / epoch")
    trained.edit("generators/draw.py", "int(weights.sum()) + n", "n + int(weights.sum())")
    done = trained.run("adopt")
    assert done.returncode == 0, done.stdout + done.stderr
    assert trained.computed() == ["run=3", "run=3"], "a batch each, the first in vain"
    found = evidence(trained)
    assert len(found) == 8
    assert found["after-2/n=0"] == "the same bytes" and found["after-1/epoch=2"] == "replayed: steps 1"
    told = found["after-1/n=1"]
    assert told.startswith("not repeated itself: weights (") and "3 of 3 cells of the same code agree" in told
    assert "computed 0, cached 6" in trained.build()


def test_what_disagrees_speaks_against_the_rest(trained: Book) -> None:
    trained.edit("generators/draw.py", "int(weights.sum()) + n", "int(weights.sum()) + n + 40 * (n == 2)")
    done = trained.run("adopt")
    assert done.returncode == 1
    assert "2 of 3 cells of the same code agree" in done.stdout
    assert not any(name.startswith("after-1/") for name in evidence(trained))


def test_an_interrupted_carry_goes_on_with_what_the_first_found(trained: Book) -> None:
    trained.edit("generators/draw.py", "int(weights.sum()) + n", "n + int(weights.sum())")
    assert trained.run("adopt", "after-2").returncode == 0
    assert trained.run("adopt", "after-1").returncode == 1, "asked alone, nothing speaks for it"
    trained.computed()
    assert trained.run("adopt").returncode == 0
    assert trained.computed() == ["run=3"]
    assert evidence(trained)["after-1/n=0"].startswith("not repeated itself")


def test_other_weights_are_not_vouched_for(trained: Book) -> None:
    trained.edit("generators/train.py", "return 1 / epoch", "return 2 / epoch")
    done = trained.run("adopt")
    assert done.returncode == 1 and "another loss" in done.stdout
    assert "needs after-1/epoch=1, which was not adopted" in done.stdout
    assert not evidence(trained)


def test_new_parameters_are_no_obstacle_to_what_comes_out_the_same(trained: Book) -> None:
    trained.edit("generators/draw.py", '{"n": n}', '{"n": n, "style": "plain"}')
    assert trained.run("adopt").returncode == 0
    assert len(evidence(trained)) == 6
    assert Path(trained.root / "cache").exists()
