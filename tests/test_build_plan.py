"""What must run and why; what a change reruns."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from noisebook.cells.plan import Planned, work
from noisebook.cells.planner import PlanError
from noisebook.cells.run import execute
from noisebook.project import Project

from .conftest import Book


class Silent:
    """A watcher that says nothing."""

    def begin(self, group: object) -> None: ...
    def progress(self, planned: object, done: float, total: float, note: str) -> None: ...
    def finished(self, planned: object, record: object) -> None: ...
    def failed(self, group: object, message: str) -> None: ...
    def waiting(self, cells: object) -> None: ...


@pytest.fixture(autouse=True)
def own_user_cache(monkeypatch: pytest.MonkeyPatch, book: Book) -> None:
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(book.cache))


def planned(book: Book, figure: str = "tiles") -> list[Planned]:
    return Project(book.root).planned[figure]


def build(book: Book) -> int:
    """Compute what is missing; how many cells that was."""
    project = Project(book.root)
    todo = work([cell for cells in project.planned.values() for cell in cells])
    outcome = execute(todo, project.models, Silent(), errors=project.notes / "errors")
    assert not outcome.failures
    return len(outcome.computed)


def test_a_seventh_value_computes_one_cell(book: Book) -> None:
    book.tiles([1, 2, 3, 4, 5, 6])
    assert build(book) == 6
    assert build(book) == 0
    book.tiles([1, 2, 3, 7, 4, 5, 6])
    assert [cell.cell.id for cell in planned(book) if not cell.cached] == ["v=7"]
    assert build(book) == 1


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("sections/tiles.md", "Tiles of grey.", "Grey tiles."),
        ("sections/tiles.md", "Some grey.", "Much grey."),
        ("sections/tiles.md", "title: Tiles", "title: Squares"),
        ("report.yaml", "title: Grey", "title: Greys"),
        ("generators/tile.py", 'label=f"grey {value}"', 'label=f"a grey of {value}"'),
        ("generators/tile.py", 'description="grey values"', 'description="values of grey"'),
        ("generators/tile.py", '"""Flat tiles', '# a comment\n"""Flat'),
        ("generators/_paint.py", '"""A tile."""', '"""One tile."""'),
        ("generators/_paint.py", "return 1", "return 2"),
    ],
)
def test_what_reruns_nothing(book: Book, file: str, old: str, new: str) -> None:
    build(book)
    book.edit(file, old, new)
    assert all(cell.cached for cell in planned(book))


@pytest.mark.parametrize(
    ("file", "old", "new", "component"),
    [
        ("report.yaml", "model: exact", "seed: 7", "seed"),
        ("generators/tile.py", "context.progress(cell, 1, 1)", "context.progress(cell, 1, 2)", "code"),
        ("generators/_paint.py", "value % 256", "(value + 1) % 256", "code"),
    ],
)
def test_what_reruns_everything(book: Book, file: str, old: str, new: str, component: str) -> None:
    build(book)
    before = [cell.components[component] for cell in planned(book)]
    book.edit(file, old, new)
    cells = planned(book)
    assert not any(cell.cached for cell in cells)
    for cell, value in zip(cells, before, strict=True):
        [difference] = [d for d in cell.because() if d.component == component]
        assert (difference.old, difference.new) == (value, cell.components[component])


def test_explain_names_the_function_that_changed(book: Book) -> None:
    build(book)
    book.edit("generators/_paint.py", "value % 256", "value % 255")
    reasons = [difference.component for difference in planned(book)[0].because()]
    assert len(reasons) == 2 and reasons[0].endswith("_paint.paint") and reasons[1] == "code"
    assert [cell.state for cell in planned(book)] == ["stale"] * 3


def test_a_helper_of_one_generator_leaves_another_alone(book: Book) -> None:
    other = (book.root / "generators" / "tile.py").read_text().replace("_paint.paint", "_draw.paint")
    book.write("generators/stone.py", other.replace("import _paint", "import _draw"))
    book.write("generators/_draw.py", (book.root / "generators" / "_paint.py").read_text())
    book.write("sections/stones.md", "---\ntitle: Stones\ngenerator: stone\nparams: {values: [1]}\n---\n")
    build(book)
    book.edit("generators/_draw.py", "value % 256", "value % 9")
    assert [cell.cached for cell in planned(book)] == [True] * 3
    assert [cell.cached for cell in planned(book, "stones")] == [False]


CHAIN = """
from noisebook.cells.contract import Cell, Need, Params as Base
from noisebook.cells.outputs import arrays, number
from pydantic import Field


class Params(Base):
    steps: int = Field(description="how many")


def before(params, n):
    return Need("chain", {"steps": params.steps}, f"step={n}", local=True)


def cells(params):
    return [
        Cell(
            id=f"step={n}",
            label="",
            alt="",
            params={"n": n},
            needs={"before": before(params, n - 1)} if n else {},
        )
        for n in range(params.steps)
    ]


def run(cells, context):
    import numpy as np

    for cell in cells:
        x = context.needed(cell, "before").arrays("state")["x"] if cell.needs else np.zeros(1)
        after = x + cell.params["n"]
        yield cell, [arrays("state", {"x": after}, keep="local"), number("sum", float(x[0]))]
"""

USER = """
from noisebook.cells.contract import Cell, Need, Params as Base
from noisebook.cells.outputs import number
from pydantic import Field


class Params(Base):
    step: int = Field(description="which")


def cells(params):
    need = Need("chain", {"steps": 4}, f"step={params.step}")
    return [Cell(id="sum", label="", alt="", params={}, needs={"it": need})]


def run(cells, context):
    import json

    for cell in cells:
        yield cell, [number("sum", json.loads(context.needed(cell, "it").data("sum"))["value"])]
"""


@pytest.fixture
def chain(book: Book) -> Book:
    book.write("generators/chain.py", CHAIN)
    book.write("generators/user.py", USER)
    book.write("sections/tiles.md", "---\ntitle: T\ngenerator: user\nparams: {step: 3}\n---\n")
    return book


def test_needs_come_first_and_are_part_of_the_key(chain: Book) -> None:
    before = planned(chain)[0].key
    assert build(chain) == 5
    cell = planned(chain)[0]
    assert cell.record is not None
    assert json.loads(cell.store.open(cell.record.outputs[0]))["value"] == 3.0
    chain.edit("generators/chain.py", "x + cell", "x + 2 * cell")
    assert planned(chain)[0].key != before
    assert any(d.component.startswith("needs") for d in planned(chain)[0].because())


def test_cells_that_differ_in_needs_alone_are_not_taken_for_each_other(chain: Book) -> None:
    chain.edit("generators/user.py", 'need = Need("chain", {"steps": 4}, f"step={params.step}")\n', "")
    chain.edit(
        "generators/user.py",
        '[Cell(id="sum", label="", alt="", params={}, needs={"it": need})]',
        '[Cell(f"sum={n}", "", "", {}, needs={"it": Need("chain", {"steps": 4}, f"step={n}")})'
        " for n in (1, 3)]",
    )
    build(chain)
    chain.edit("generators/chain.py", "x + cell.params", "+x + cell.params")
    chain.edit("generators/user.py", "json.loads(", "+json.loads(")
    told = chain.run("adopt", "tiles")
    assert told.returncode == 0, "the adopted `sum=1` differs less from today's `sum=3` than the old `sum=3`"


def test_what_needed_another_cell_is_not_replayed_but_what_needed_the_same_is(chain: Book) -> None:
    user = (chain.root / "generators" / "user.py").read_text()
    chain.write(
        "generators/user.py", user + "\n\ndef replay(cell, old, context):\n    return {'looked': 1}\n"
    )
    build(chain)
    chain.edit("sections/tiles.md", "step: 3", "step: 2")
    told = chain.run("adopt", "tiles")
    assert told.returncode == 1 and "needed other cells" in told.stdout, "its replay would have agreed"
    chain.edit("sections/tiles.md", "step: 2", "step: 3")
    chain.edit("generators/chain.py", "x + cell.params", "+x + cell.params")
    told = chain.run("adopt", "tiles")
    assert told.returncode == 0 and "replayed: looked 1" in told.stdout, "other keys, the same outputs"


def test_two_runs_whose_cells_have_the_same_ids_are_kept_apart(chain: Book) -> None:
    chain.edit("generators/chain.py", '{"n": n}', '{"n": n, "steps": params.steps}')
    chain.edit("generators/chain.py", 'x + cell.params["n"]', 'x + cell.params["steps"]')
    chain.edit("generators/user.py", 'need = Need("chain", {"steps": 4}, f"step={params.step}")\n', "")
    chain.edit(
        "generators/user.py",
        '[Cell(id="sum", label="", alt="", params={}, needs={"it": need})]',
        '[Cell(f"of={n}", "", "", {}, needs={"it": Need("chain", {"steps": n}, "step=1")}) for n in (2, 3)]',
    )
    assert build(chain) == 6
    records = [cell.record for cell in planned(chain)]
    sums = [
        json.loads(planned(chain)[0].store.open(record.outputs[0]))["value"] for record in records if record
    ]
    assert sums == [2, 3]
    assert chain.run("verify").returncode == 0


def test_a_clone_without_local_outputs_draws_from_published_ones(chain: Book) -> None:
    build(chain)
    for path in (chain.cache / "objects").iterdir():
        path.unlink()
    assert build(chain) == 0, "everything that is shown is published"
    chain.edit("generators/user.py", 'number("sum"', 'number("total"')
    assert build(chain) == 1, "what it reads is published too"
    chain.edit("generators/user.py", 'step={params.step}")', 'step={params.step}", True)')
    chain.edit("generators/user.py", 'number("total"', 'number("sum"')
    chain.edit("generators/user.py", "json.loads(", "1 + json.loads(")
    assert build(chain) == 5, "now it reads local outputs too, and the chain must run again"


def test_lost_local_outputs_that_cannot_be_had_again_are_a_message(
    chain: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = (
        'import os\n        if "GONE" in os.environ:\n            raise OSError("gone")\n        x = context'
    )
    chain.edit("generators/chain.py", "x = context", fails)
    build(chain)
    chain.edit("generators/user.py", 'step={params.step}")', 'step={params.step}", True)')
    chain.edit("generators/user.py", "json.loads(", "1 + json.loads(")
    for path in (chain.cache / "objects").iterdir():
        path.unlink()
    monkeypatch.setenv("GONE", "1")
    failed = chain.run("build", "--yes")
    assert failed.returncode == 1 and "1 not computed" in failed.stderr, failed.stderr
    assert "OSError: gone" in failed.stderr and "IndexError" not in failed.stderr


def test_a_need_that_does_not_exist_is_told_with_its_figure(chain: Book) -> None:
    from noisebook.report.model import BadInput

    chain.edit("sections/tiles.md", "step: 3", "step: 9")
    with pytest.raises(BadInput, match=r"sections/tiles\.md.*step=9.*step=0"):
        planned(chain)


def test_unknown_models_are_told(book: Book) -> None:
    book.edit(
        "generators/tile.py", 'params={"value": value}', 'params={"value": value}, models={"stage1": ""}'
    )
    from noisebook.report.model import BadInput

    assert {cell.models["stage1"] for cell in planned(book)} == {"exact/stage1"}, "every report knows it"
    book.edit("generators/tile.py", '"stage1": ""', '"stage3": ""')
    with pytest.raises(BadInput, match="'exact' has no stage3, only exact/stage1, exact/stage2"):
        planned(book)
    assert issubclass(PlanError, Exception)


def test_initial_noise_depends_on_seed_and_identity_alone(make_book: Callable[[], Book]) -> None:
    from noisebook.cells.contract import derive_seed

    assert derive_seed(42, "sample", 0) == derive_seed(42, "sample", 0)
    seeds = {derive_seed(seed, "sample", index) for seed in range(50) for index in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)
