"""A figure over every combination of parameters."""

from __future__ import annotations

import json
import re
import sys

import pytest

from noisebook.cells.contract import Cell
from noisebook.project import Project
from noisebook.report.matrix import combinations, combine
from noisebook.report.model import BadInput

from .conftest import Book

SWEEP = """
---
title: Sweep
generator: shade
params: {{size: 4}}
matrix:
  {matrix}
---
"""

SHADE = '''
"""A flat tile."""

from collections.abc import Iterator, Sequence

import numpy as np
from noisebook.cells.contract import Cell, Context, Params as Base, Result
from noisebook.cells.outputs import picture
from pydantic import Field


class Params(Base):
    size: int = Field(description="pixels", ge=1, le=64)
    word: str = Field("a", description="a word")
    gamma: float = Field(1.0, description="guidance", ge=0)


def cells(params: Params) -> list[Cell]:
    what = {"size": params.size, "word": params.word, "gamma": params.gamma}
    flat = Cell("flat", "", "no noise", {"size": params.size}, seed=None)
    return [Cell("tile", "tile", "a tile", what), flat]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    for cell in cells:
        grey = 0 if cell.seed is None else context.seed(cell) % 256
        yield cell, [picture("picture", np.full((cell.params["size"],) * 2, grey, np.uint8))]
'''


def sweep(book: Book, matrix: str) -> Project:
    book.write("generators/shade.py", SHADE)
    book.write("sections/tiles.md", SWEEP.format(matrix=matrix))
    return Project(book.root)


def problems(project: Project) -> list[str]:
    with pytest.raises(BadInput) as caught:
        _ = project.report
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


def test_every_combination_has_its_cells(book: Book) -> None:
    project = sweep(book, "{word: [a, b], gamma: [0, 2.5], seed: [1, 2, 3]}")
    [(_, figure)] = project.figures()
    assert len(figure.cells) == 2 * 2 * 3 * 2
    assert [cell.id for cell in figure.cells[:3]] == [
        "word=a.gamma=0.seed=1.tile",
        "word=a.gamma=0.seed=1.flat",
        "word=a.gamma=0.seed=2.tile",
    ]
    assert figure.cells[0].label == "word a, gamma 0, seed 1: tile"
    assert figure.cells[1].label == "word a, gamma 0, seed 1"
    assert {cell.seed for cell in figure.cells} == {1, 2, 3, None}
    planned = project.planned["tiles"]
    assert len({cell.key for cell in planned}) == 12 + 1, "what does not differ is one cell"


def test_a_sweep_is_built_and_one_more_value_costs_only_its_own(book: Book) -> None:
    sweep(book, "{word: [a, b], seed: [1, 2]}")
    assert "computed 5" in book.build()
    sweep(book, "{word: [a, b, c], seed: [1, 2]}")
    assert "computed 2, cached 5" in book.build()
    rows = json.loads(book.run("status", "--json").stdout)
    assert {row["state"] for row in rows} == {"cached"} and len(rows) == 12


def test_mistakes_are_told_where_they_stand(book: Book) -> None:
    told = problems(sweep(book, '{word: [a, 7], gamma: [1, -1, "x"], seed: [0, -4]}'))
    assert any(
        re.match(r"sections/tiles.md:6:42: .*seed|sections/tiles.md:6:\d+: .*-4", line) for line in told
    )
    told = problems(sweep(book, '{word: [a, 7], gamma: [1, -1, "x"]}'))
    assert [line.split(": ")[0] for line in told] == [
        "sections/tiles.md:6:14",
        "sections/tiles.md:6:29",
        "sections/tiles.md:6:33",
    ]
    assert "both in params and in matrix" in problems(sweep(book, "{size: [1, 2]}"))[0]
    assert "wrd" in problems(sweep(book, "{wrd: [1, 2]}"))[0]
    assert "must not be empty" in problems(sweep(book, "{word: []}"))[0]
    assert (
        "combinations" in problems(sweep(book, f"{{gamma: {list(range(400))}, seed: {list(range(400))}}}"))[0]
    )


def test_ids_stay_short_plain_and_different() -> None:
    matrix = {
        "prompt": ["an oil painting of a village", "a rocket"],
        "seed": list(range(3)),
        "guidance_of_the_second": [0.5, 1e-7],
        "steps_of_the_first_stage": [1, 2],
    }
    some = list(combine(matrix))
    assert len(some) == combinations(matrix) == 24
    ids = [each.mark(Cell("x" * 70, "l", "a")).id for each in some]
    assert len(set(ids)) == 24 and all(re.fullmatch(r"[A-Za-z0-9._=-]{1,80}", each) for each in ids)
    assert combine({"prompt": ["a b", "c"]}).__next__().prefix == "prompt=n1"


def test_reading_thousands_of_combinations_takes_work_linear_in_their_number(book: Book) -> None:
    def calls(count: int) -> int:
        """Calls of Python functions: the same on a busy machine."""
        made = 0

        def count_one(frame: object, event: str, argument: object) -> None:
            nonlocal made
            made += event == "call"

        sys.setprofile(count_one)
        try:
            project = sweep(book, f"{{gamma: {list(range(count // 10))}, seed: {list(range(10))}}}")
        finally:
            sys.setprofile(None)
        assert len(project.report.sections[0].figures[0].cells) == 2 * count
        return made

    calls(10)
    assert calls(800) < 4.5 * calls(200)
