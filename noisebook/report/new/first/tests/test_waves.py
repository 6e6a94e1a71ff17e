"""The generator waves."""

from pathlib import Path
from typing import Any

from noisebook.cells.registry import Registry


def draw(context: Any = None) -> list[tuple[str, list[bytes]]]:
    generator = Registry(Path(__file__).parents[1]).get("waves")
    cells = generator.cells(generator.Params())
    return [(cell.id, [output.data for output in outputs]) for cell, outputs in generator.run(cells, context)]


def test_every_cell_is_drawn() -> None:
    assert [name for name, _ in draw()] == ["f=1", "f=2", "f=4"]


def test_a_second_run_gives_the_same_bytes() -> None:
    assert draw() == draw()
