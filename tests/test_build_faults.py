"""Killing, racing, corrupting and filling: nothing that was finished is lost, damaged or computed twice."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from noisebook.cells.store import Store

from .conftest import HANGS, Book

VALUES = list(range(12))

KILL_INSIDE_PUT = """
import os, random, signal
chance = random.Random({seed})
left = chance.randrange(1, 60)
def wrap(name):
    real = getattr(os, name)
    def wrapped(*arguments, **keywords):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **keywords)
    setattr(os, name, wrapped)
for name in ("fsync", "replace", "open"):
    wrap(name)
"""
"""SIGKILL at a random system call of a put: before or after a write, an fsync, a rename."""


def check_store(book: Book) -> set[str]:
    """Every entry is whole: no record or object is damaged, every record's objects are there."""
    store = Store(book.root / "cache", None, book.cache / "objects")
    store.scan()
    assert not (book.root / "cache" / "aside").exists(), "a kill must not damage an entry"
    assert all(store.has(key) for key in store.entries)
    return set(store.entries)


def ids(book: Book, keys: set[str]) -> set[str]:
    return {
        json.loads((book.root / "cache" / "cells" / f"{key}.json").read_text())["provenance"]["cell"]
        for key in keys
    }


def kill_rounds(book: Book, rounds: int, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    book.tiles(VALUES)
    killed = 0
    for number in range(rounds):
        finished = ids(book, check_store(book)) if (book.root / "cache").exists() else set()
        book.computed()
        inside = number % 3 == 0
        prelude = KILL_INSIDE_PUT.format(seed=chance.random()) if inside else ""
        process = book.start("build", prelude=prelude, TILE_PAUSE="0.02")
        if not inside:
            deadline = time.monotonic() + chance.uniform(0.3, 1.6)
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=HANGS)
        killed += process.returncode == -signal.SIGKILL
        again = finished.intersection(book.computed())
        assert not again, f"computed twice: {again}"
        if check_store(book) and len(check_store(book)) == len(VALUES):
            for path in chance.sample(sorted((book.root / "cache" / "cells").glob("[!.]*")), 8):
                path.unlink()
    assert killed >= rounds // 3, "the rounds must really kill"
    book.computed()
    left = len(VALUES) - len(check_store(book))
    book.build()
    assert len(book.computed()) == left
    assert len(check_store(book)) == len(VALUES)
    assert (book.root / "site" / "index.html").exists()


def test_kill_at_random_moments(book: Book) -> None:
    kill_rounds(book, 9, seed=int(os.environ.get("FAULT_SEED", "42")))


@pytest.mark.soak
def test_kill_at_random_moments_for_long(book: Book) -> None:
    kill_rounds(book, 200, seed=random.randrange(2**32))


def test_two_builds_at_once(book: Book) -> None:
    book.tiles(VALUES)
    builds = [book.start("build", TILE_PAUSE="0.05") for _ in range(2)]
    for process in builds:
        out, err = process.communicate(timeout=HANGS)
        assert process.returncode == 0, out + err
    assert sorted(book.computed()) == sorted(f"v={value}" for value in VALUES)
    assert len(check_store(book)) == len(VALUES)


def test_what_another_build_is_computing_is_said_to_be_waited_for(book: Book) -> None:
    first = book.start("build", TILE_PAUSE=str(HANGS))
    while not book.computed():
        time.sleep(0.05)
    second = book.start("build")
    assert second.stdout is not None
    said = "tiles: another build, or a preview, is computing 3 cells: waiting for it\n"
    assert any(line == said for line in second.stdout)
    first.kill()
    first.communicate()
    out, err = second.communicate(timeout=HANGS)
    assert second.returncode == 0 and "computed 3" in out and said not in out, out + err


def test_a_flipped_byte_is_computed_again(book: Book) -> None:
    book.build()
    book.computed()
    for folder in ("cells", "objects"):
        path = next(iter(sorted((book.root / "cache" / folder).glob("[!.]*"))))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        done = book.run("build")
        assert done.returncode == 0, done.stderr
        assert "damaged" in done.stderr
        assert len(book.computed()) >= 1
    assert "computed 0" in book.build()


def test_two_runs_give_the_same_bytes(book: Book, tmp_path: Path) -> None:
    def state() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((book.root / "cache" / "objects").iterdir())}

    book.build()
    first = state()
    for path in (book.root / "cache").rglob("*"):
        if path.is_file():
            path.unlink()
    book.tiles([3, 2, 1])
    book.build()
    assert state() == first


def test_ctrl_c_ends_cleanly(book: Book) -> None:
    book.tiles(VALUES)
    process = book.start("build", TILE_PAUSE="0.3")
    cells = book.root / "cache" / "cells"
    while process.poll() is None and (not cells.exists() or len(list(cells.glob("[!.]*"))) < 2):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=HANGS)
    assert process.returncode == 1
    assert "Traceback" not in err and "everything that was finished is kept" in err
    finished = check_store(book)
    assert 2 <= len(finished) < len(VALUES)
    book.computed()
    book.build()
    assert len(book.computed()) == len(VALUES) - len(finished)


def test_a_full_disk_is_told_and_harms_nothing(book: Book) -> None:
    book.tiles([1])
    book.build()
    book.tiles([1, 2])
    prelude = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60, 60))"
    done = book.run("build", prelude=prelude)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "make room" in done.stderr
    assert len(check_store(book)) == 1
    book.build()
    assert len(check_store(book)) == 2


def test_nothing_to_do_computes_and_writes_nothing(book: Book) -> None:
    book.build()
    before = {path: path.stat().st_mtime_ns for path in (book.root / "site").rglob("*")}
    book.computed()
    assert "computed 0" in book.build()
    assert book.computed() == []
    assert {path: path.stat().st_mtime_ns for path in (book.root / "site").rglob("*")} == before


@pytest.mark.parametrize(
    "victim", ["site/index.html", "sections/tiles.md", "report.yaml", "cache", "generators/_paint.py"]
)
def test_the_fast_answer_sees_every_change(book: Book, victim: str) -> None:
    book.build()
    book.build()
    path = book.root / victim
    if path.is_dir():
        next((path / "objects").iterdir()).unlink()
    elif victim == "site/index.html":
        path.write_text("spoilt")
    else:
        path.write_text(
            path.read_text().replace("Grey", "Gray").replace("grey", "gray").replace("256", "255")
        )
    book.build()
    if victim == "site/index.html":
        assert "spoilt" not in path.read_text()
    if victim == "cache":
        assert book.computed()
    if victim == "sections/tiles.md":
        assert "Tiles of gray" in (book.root / "site" / "tiles.html").read_text()


def test_frozen_names_what_is_missing_and_needs_no_torch(book: Book) -> None:
    book.build()
    prelude = "sys.modules['torch'] = None"
    book.edit("report.yaml", "Grey", "Greyer")
    assert book.run("build", "--frozen", prelude=prelude).returncode == 0
    book.tiles([1, 9])
    done = book.run("build", "--frozen", prelude=prelude)
    assert done.returncode == 1
    assert "tiles/v=9" in done.stderr and "tiles/v=1 " not in done.stderr
    assert "9" not in ids(book, check_store(book))


def test_a_generators_mistake_stops_only_its_own_figures(book: Book) -> None:
    broken = (
        (book.root / "generators" / "tile.py")
        .read_text()
        .replace("for cell in cells:", "for cell in cells[:1]:", 1)
    )
    book.write(
        "generators/broken.py",
        broken.replace("yield cell, [", "raise ValueError('no such grey')\n        yield cell, ["),
    )
    book.write("sections/broken.md", "---\ntitle: B\ngenerator: broken\nparams: {values: [5]}\n---\n")
    done = book.run("build")
    assert done.returncode == 1
    assert re.search(r"broken\.py:\d+: broken: ValueError: no such grey", done.stderr)
    assert "Traceback" not in done.stderr
    assert len(check_store(book)) == 3


def test_exit_status_of_bad_input(book: Book) -> None:
    book.edit("sections/tiles.md", "values:", "valeus:")
    done = book.run("build")
    assert done.returncode == 2
    assert "sections/tiles.md:5:3" in done.stderr and "values" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_and_explain_for_programs(book: Book) -> None:
    book.build()
    book.tiles([1, 2, 4])
    rows = json.loads(book.run("status", "--json").stdout)
    assert [(row["figure"], row["cell"], row["state"]) for row in rows] == [
        ("tiles", "v=1", "cached"),
        ("tiles", "v=2", "cached"),
        ("tiles", "v=4", "missing"),
    ]
    assert rows[0]["because"] == [] and rows[2]["because"]
    told = book.run("explain", "tiles").stdout
    assert "params.value: " in told and "-> 4" in told


def test_keep_stale_shows_the_old_picture_marked(book: Book) -> None:
    book.build()
    book.edit("generators/_paint.py", "value % 256", "(value + 100) % 256")
    book.build("--keep-stale")
    page = (book.root / "site" / "tiles.html").read_text()
    assert "stale" in page and ".png" in page
    assert len(book.computed()) == 3, "only the first build computed"


def test_gc_says_and_then_does(book: Book) -> None:
    book.build()
    book.tiles([1, 2])
    told = book.run("gc").stdout
    assert "would drop 1 cell and" in told and len(check_store(book)) == 3
    book.run("gc", "--yes")
    assert len(check_store(book)) == 2
    assert "computed 0" in book.build()


def test_verify_and_adopt(book: Book) -> None:
    book.build()
    assert "3 of 3 cells agree" in book.run("verify").stdout
    kept = json.loads((book.root / "cache" / "checks.json").read_text())["cells"]
    assert kept.keys() == book.stored() and all(check["how"] == "the same bytes" for check in kept.values())
    book.edit("generators/_paint.py", "value % 256", "(value * 40) % 256")
    assert book.run("adopt", "tiles").returncode == 1
    book.edit("generators/_paint.py", "(value * 40) % 256", "int(value) % 256")
    book.computed()
    told = book.run("adopt", "tiles")
    assert told.returncode == 0 and told.stdout.count("adopted") == 3
    assert "computed 0, cached 3" in book.build()
    records = [json.loads(path.read_text()) for path in (book.root / "cache" / "cells").glob("[!.]*.json")]
    assert sum("evidence" in record["provenance"].get("adopted", {}) for record in records) == 3


def test_a_pending_figure_waits_and_says_why(book: Book) -> None:
    book.build()
    book.computed()
    book.tiles([1, 8])
    book.edit("sections/tiles.md", "generator: tile\n", "generator: tile\npending: It takes hours.\n")
    assert "1 cell is missing (1 of them pending)" in book.build()
    assert book.computed() == []
    assert book.run("build", "--frozen").returncode == 0
    book.tiles([8])
    book.edit("sections/tiles.md", "generator: tile\n", "generator: tile\npending: It takes hours.\n")
    book.build()
    assert "It takes hours." in (book.root / "site" / "tiles.html").read_text()
    book.build("--only", "tiles")
    assert book.computed() == ["v=8"]
    assert "It takes hours." not in (book.root / "site" / "tiles.html").read_text()


@pytest.mark.parametrize("base", ["SystemExit", "BaseException", "GeneratorExit"])
def test_a_generator_that_would_end_the_process_ends_its_own_figures_alone(book: Book, base: str) -> None:
    tile = (book.root / "generators" / "tile.py").read_text()
    own = f"class Own({base}):\n    pass\n\n\ndef run("
    book.write(
        "generators/broken.py",
        tile.replace("def run(", own).replace("yield cell,", "raise Own(0)\n        yield cell,"),
    )
    book.write("sections/a.md", "---\ntitle: B\ngenerator: broken\nparams: {values: [5]}\n---\n")
    done = book.run("build")
    assert done.returncode == 1 and re.search(r"broken\.py:\d+: broken: Own: 0", done.stderr), done.stderr
    assert "Traceback" not in done.stderr and len(check_store(book)) == 3


ENDS = {
    "exit": "raise SystemExit(0)",
    "base": "raise type('Odd', (BaseException,), {'__str__': lambda error: 1 / 0})()",
    "closed": "raise GeneratorExit",
}


@pytest.mark.parametrize("mistake", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("where", ["import", "cells", "check"])
def test_what_would_end_the_process_is_a_mistake_of_the_generator(
    book: Book, where: str, mistake: str
) -> None:
    path = book.root / "generators" / "tile.py"
    head = "def cells(params: Params) -> list[Cell]:"
    check = f"def check(params, files):\n    {mistake}\n    yield\n\n\n"
    new = {"import": f"{mistake}\n\n\n{head}", "cells": f"{head}\n    {mistake}", "check": check + head}
    path.write_text(path.read_text().replace(head, new[where]))
    done = book.run("build")
    assert done.returncode == 2 and re.match(r"generators/tile\.py:\d+:", done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("mistake", [*ENDS.values(), "return"], ids=[*ENDS, "return"])
def test_a_run_that_ends_early_is_no_agreement(book: Book, mistake: str) -> None:
    book.edit(
        "generators/tile.py",
        "    for cell in cells:\n        log",
        f"    if os.environ.get('END'):\n        {mistake}\n    for cell in cells:\n        log",
    )
    book.build()
    done = book.run("verify", END="1")
    assert done.returncode == 1 and "Traceback" not in done.stderr and "3 of 3" not in done.stdout, done
    book.edit("generators/tile.py", "context.progress(cell, 1, 1)", "context.progress(cell, 2, 2)")
    done = book.run("adopt", END="1")
    assert done.returncode == 1 and "Traceback" not in done.stderr and "adopted" not in done.stdout, done
    assert mistake == "raise GeneratorExit" or done.stdout.count("refused") == 3


@pytest.mark.parametrize(
    "mistake",
    [
        r"raise ValueError('\x1b[2J\x07\u202e\ud800' + 'x' * 100_000)",
        "raise type('E', (Exception,), {'__str__': lambda error: 1 / 0})()",
        r"raise MemoryError('\x1b[2J' * 10_000)",
        r"raise type('\x1b[2J' * 500, (Exception,), {})('x')",
    ],
    ids=["controls", "none", "memory", "name"],
)
def test_what_an_error_says_is_short_and_no_terminal_obeys_it(book: Book, mistake: str) -> None:
    book.edit("generators/tile.py", "        value = cell", f"        {mistake}\n        value = cell")
    done = book.run("build")
    assert done.returncode == 1 and ("tile.py:" in done.stderr or "out of memory" in done.stderr)
    assert all(each.isprintable() or each == "\n" for each in done.stderr) and len(done.stderr) < 10_000
