"""Large figures: open files, two builders of one figure, memory, and the fast answer."""

from __future__ import annotations

import json
import os
import re
import time
import tracemalloc
from contextlib import ExitStack
from pathlib import Path

import pytest

from noisebook.cells import fresh
from noisebook.cells.run import CLAIM
from noisebook.project import Project
from noisebook.render.views import PART

from .conftest import HANGS, SECTION, Book

FEW_FILES = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))"


def tiles(book: Book, count: int, section: str = "tiles") -> None:
    book.write(f"sections/{section}.md", SECTION.format(values=list(range(count))))


def test_a_large_figure_needs_few_open_files(book: Book) -> None:
    tiles(book, 400)
    done = book.run("build", "--yes", prelude=FEW_FILES)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    assert "computed 400" in done.stdout
    assert len(book.stored()) == 400


def test_a_large_grid_goes_on_on_pages_of_its_own(book: Book) -> None:
    """Each cell stands on one page, in order; every page leads to the next without a script."""
    tiles(book, 130)
    book.build()
    seen: list[int] = []
    place, parts = "tiles.html", 0
    while place:
        html = (book.root / "site" / place).read_text()
        seen += map(int, re.findall(r'<span class="name">grey (\d+)</span>', html))
        assert html.count('loading="lazy"') == html.count('<li class="cell') <= PART
        assert html.count('<th scope="row">v=') == html.count('<li class="cell'), "the table of data too"
        after = re.search(r'<a rel="next" href="([^"#]+)#fig-tiles">', html)
        place, parts = after[1] if after else "", parts + 1
    assert seen == list(range(130)) and parts == 3
    [figure] = json.loads((book.root / "site" / "manifest.json").read_text())["figures"]
    assert len(figure["cells"]) == 130
    tiles(book, 50)
    book.build()
    assert not list((book.root / "site").glob("*--*"))
    assert 'class="parts"' not in (book.root / "site" / "tiles.html").read_text()


def test_two_builders_share_a_large_figure(book: Book) -> None:
    """This process plays the other builder, which has the figure's first cells."""
    count, held = 2 * CLAIM + 50, 50
    tiles(book, count)
    cells = Project(book.root).planned["tiles"]
    store = cells[0].store
    with ExitStack() as claims:
        for cell in cells[:held]:
            assert claims.enter_context(store.claim(cell.key))
        builder = book.start("build", "--yes", TILE_PAUSE="0.01")
        while not book.log.exists() and builder.poll() is None:
            time.sleep(0.01)
        with store.claim(cells[held + 1].key) as mine:
            assert not mine, "the builder computes this one"
        with store.claim(cells[-1].key) as mine:
            assert mine, "the builder must leave cells to others"
        while len(book.stored()) < count - held and builder.poll() is None:
            time.sleep(0.05)
        assert builder.poll() is None, "it waits for the held cells alone"
        assert not book.stored() & {cell.key for cell in cells[:held]}
    out, err = builder.communicate(timeout=HANGS)
    assert builder.returncode == 0 and f"computed {count}" in out, out[-500:] + err
    assert sorted(book.computed()) == sorted(f"v={value}" for value in range(count)), "each cell once"


def test_memory_of_a_plan_grows_with_its_cells_alone(book: Book) -> None:
    def planned(count: int) -> float:
        tiles(book, count)
        tracemalloc.start()
        project = Project(book.root)
        assert len(project.planned["tiles"]) == count
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken

    planned(10)  # imports
    few, many = planned(500), planned(1500)
    assert (many - few) / 1000 < 8_000, "bytes a cell"
    assert many < 4 * few


def test_status_of_many_missing_cells_reads_few_records(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from noisebook.cells.store import Store
    from noisebook.commands import cli

    book.build()
    tiles(book, 300)
    reads = 0
    real = Store.get

    def counted(self: Store, key: str) -> object:
        nonlocal reads
        reads += 1
        return real(self, key)

    monkeypatch.setattr(Store, "get", counted)
    monkeypatch.chdir(book.root)
    done = CliRunner().invoke(cli, ["status", "--json"])
    assert done.exit_code == 0 and done.output.count('"missing"') == 297
    assert reads < 50


def digest(book: Book) -> str:
    return fresh.look(book.root, [*fresh.inputs(book.root), *fresh.OUTPUTS])[0]


@pytest.fixture
def same_variables(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(book.cache))


@pytest.mark.usefixtures("same_variables")
def test_the_fast_answer_sees_every_change(book: Book) -> None:
    book.write("elsewhere/picture.txt", "a picture in a folder of its own")
    book.build()
    assert fresh.Now(book.root).summary is not None
    places = {
        "a section": book.root / "sections" / "tiles.md",
        "a generator": book.root / "generators" / "tile.py",
        "the report": book.root / "report.yaml",
        "a file elsewhere": book.root / "elsewhere" / "picture.txt",
        "a page": book.root / "site" / "index.html",
        "an object": next((book.root / "cache" / "objects").glob("[!.]*")),
    }
    for what, path in places.items():
        before, data = digest(book), path.read_bytes()
        times = path.stat()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert digest(book) != before, what
        path.write_bytes(data)
    path = book.write("sections/more.md", "---\ntitle: More\n---\nSome text.\n")
    assert fresh.Now(book.root).summary is None
    path.unlink()


@pytest.mark.usefixtures("same_variables")
def test_the_fast_answer_survives_what_lies_around(book: Book, tmp_path: Path) -> None:
    (book.root / "dangling").symlink_to(tmp_path / "nowhere")
    (book.root / "images").mkdir()
    (book.root / "images" / "loop").symlink_to(book.root)
    future = book.write("images/later.txt", "set by a tool")
    os.utime(future, (4e9, 4e9))
    book.build()
    book.build()  # the loop makes the first build's outputs look like inputs
    summary = fresh.Now(book.root).summary
    assert summary is not None and summary.startswith("computed 0, cached 3")
    assert book.build().strip() == summary


@pytest.mark.usefixtures("same_variables")
def test_a_build_from_another_store_is_no_fast_answer(book: Book) -> None:
    book.build("--store", "other")
    assert fresh.Now(book.root).summary is None
