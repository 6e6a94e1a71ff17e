"""What gc drops, and what it keeps."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from noisebook.cells.contract import Output
from noisebook.cells.housekeeping import collect
from noisebook.cells.local import surplus
from noisebook.cells.outputs import picture
from noisebook.cells.planner import key_of
from noisebook.cells.store import Store

from .conftest import Book


def aged(tmp_path: Path) -> tuple[Store, list[str]]:
    """Cells finished 0, 10, … 40 days ago, each with some 10 kB of its own and one object for all."""
    store = Store(tmp_path / "cache", None, tmp_path / "local")
    keys = []
    for number in range(5):
        components = {"generator": "tile", "params": {"n": number}, "seed": 1, "code": "c"}
        noise = np.random.default_rng(number).integers(0, 256, (100, 100), np.uint8)
        outputs = [
            picture("picture", noise),
            picture("same", np.random.default_rng(99).integers(0, 256, (100, 100), np.uint8)),
        ]
        finished = datetime.now(UTC) - timedelta(days=10 * number)
        key = key_of(components)
        store.put(key, components, outputs, {"seconds": 1.0, "finished": finished.isoformat()})
        keys.append(key)
    return store, keys


def test_by_age(tmp_path: Path) -> None:
    store, keys = aged(tmp_path)
    day = 86400.0
    assert set(collect(store, keys[:1]).cells) == set(keys[1:])
    assert set(collect(store, keys[:1], older_than=15 * day).cells) == set(keys[2:])
    assert set(collect(store, [keys[4]], older_than=15 * day).cells) == set(keys[2:4])
    garbage = collect(store, keys[:1], older_than=15 * day)
    garbage.drop()
    store.scan()
    assert all(store.has(key) for key in keys[:2]), "an object that another cell has too stays"


def test_by_size_the_oldest_first(tmp_path: Path) -> None:
    store, keys = aged(tmp_path)

    def size() -> int:
        return sum(path.stat().st_size for path in store.place.rglob("*") if path.is_file())

    assert collect(store, [], max_size=size()).cells == []
    garbage = collect(store, [keys[4]], max_size=size() - 12_000)
    assert garbage.cells == [keys[3], keys[2]]
    before = size()
    garbage.drop()
    assert before - garbage.bytes == size() <= before - 12_000


def test_needs_of_what_is_kept_are_kept(tmp_path: Path) -> None:
    store, keys = aged(tmp_path)
    components = {"generator": "tile", "params": {}, "seed": 1, "code": "c", "needs": {"x": keys[3]}}
    store.put(key_of(components), components, [picture("p", np.ones((2, 2), np.uint8))], {"seconds": 1})
    assert keys[3] not in collect(store, [key_of(components)]).cells


def test_what_a_running_build_has_just_written_stays(tmp_path: Path) -> None:
    """A build writes objects first: until their record is there, nothing names them."""
    store, keys = aged(tmp_path)
    young, old = (store.place / "objects" / hashlib.sha256(data).hexdigest() for data in (b"new", b"old"))
    young.write_bytes(b"new")
    old.write_bytes(b"old")
    os.utime(old, (0, 0))
    assert collect(store, keys).files == [old]


def git(book: Book, *arguments: str) -> None:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@b.c", *arguments]
    subprocess.run(command, cwd=book.root, check=True, capture_output=True)


def test_what_another_branch_uses_is_kept(book: Book) -> None:
    git(book, "init", "-q", "-b", "main")
    book.write(".gitignore", ".noisebook/\nsite/\n")
    book.build()
    git(book, "add", ".")
    git(book, "commit", "-qm", "one")
    git(book, "checkout", "-qb", "other")
    book.tiles([3, 4])
    book.build()
    git(book, "commit", "-qam", "other")
    git(book, "checkout", "-q", "main")
    book.tiles([3, 9])
    book.build()
    book.tiles([3])
    assert "would drop 4 cells" in book.run("gc").stdout, "1, 2, 4 and 9"
    told = book.run("gc", "--branches", "--yes")
    assert "dropped 1 cell and" in told.stdout, told.stderr
    git(book, "checkout", "-q", "--force", "other")
    book.computed()
    assert book.run("build", "--frozen").returncode == 0
    rows = json.loads(book.run("status", "--json").stdout)
    assert {row["state"] for row in rows} == {"cached"}
    book.write("sections/tiles.md", "---\ntitle: broken\ngenerator: none\n---\n")
    git(book, "commit", "-qam", "broken")
    git(book, "checkout", "-q", "main")
    refused = book.run("gc", "--branches", "--yes")
    assert (
        refused.returncode == 1
        and "branch other" in refused.stderr
        and "nothing is dropped" in refused.stderr
    )
    assert book.run("gc", "--older-than", "30 cats").returncode == 2
    assert "would drop 0 cells" in book.run("gc", "--older-than", "1h").stdout


def local_cell(store: Store, number: int, seconds: float, age: float) -> tuple[str, Path]:
    """A cell with 10 kB of local state that was used ``age`` seconds ago; its key, and where that lies."""
    components = {"generator": "tile", "params": {"local": number}, "seed": 1, "code": "c"}
    state = Output("state", "application/octet-stream", bytes([number]) * 10_000, keep="local")
    record = store.put(key_of(components), components, [state], {"seconds": seconds})
    path = store.local / record.outputs[0].sha256
    os.utime(path, (time.time() - age,) * 2)
    return record.key, path


def test_local_objects_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path / "user"))
    store = Store(tmp_path / "cache")
    hour = 3600.0
    ages = [(1.0, 9), (1.0, 8), (5000.0, 7), (1.0, 6), (1.0, 0)]
    cells = [local_cell(store, number, took, hour * age) for number, (took, age) in enumerate(ages)]
    keys, paths = zip(*cells, strict=True)

    def found(kept: list[int], limit: float) -> list[Path]:
        return surplus(store, {keys[k] for k in kept}, limit, affordable=900).paths

    assert found([], 50_000) == []
    assert found([], 25_000) == list(paths[:3]), "the longest unused first"
    assert found([0, 2], 25_000) == [paths[1], paths[3], paths[0]], "this report's last"
    assert found([0, 2], 0) == [paths[1], paths[3], paths[0]], "neither a long training's nor one in use"
    record = store.get(keys[1])
    assert record is not None and store.open(record.outputs[0])
    assert found([], 35_000) == [paths[0], paths[2]], "what is read counts as used"
    too_much = surplus(store, set(), 35_000, affordable=900)
    too_much.drop()
    assert too_much.bytes == 20_000 and [path.exists() for path in paths] == [False, True, False, True, True]


def test_scratch_that_nobody_goes_on_with_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path))
    for name, days in (("old", 31), ("young", 29), ("going-on", 31)):
        file = tmp_path / "scratch" / name / "checkpoints" / "1"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"state")
        for path in (file, file.parent, file.parent.parent):
            os.utime(path, (time.time() - 86400 * days,) * 2)
    os.utime(tmp_path / "scratch" / "going-on" / "checkpoints" / "1")
    found = surplus(Store(tmp_path / "cache"), set(), 0, 900)
    assert found.paths == [tmp_path / "scratch" / "old"] and found.bytes >= 5
    found.drop()
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == ["going-on", "young"]


def test_a_build_and_gc_keep_to_the_size(book: Book) -> None:
    book.tiles([1])
    state = book.cache / "objects" / ("0" * 64)
    state.parent.mkdir(parents=True)
    for make in (
        lambda: book.run("build", "--local-size", "1kB"),
        lambda: book.run("gc", "--yes", NOISEBOOK_LOCAL_SIZE="1kB"),
    ):
        state.write_bytes(b"0" * 10_000)
        os.utime(state, (0, 0))
        assert "would drop 1 local objects" in book.run("gc", "--local-size", "9kB").stdout and state.exists()
        assert "dropped 1 local objects" in make().stdout and not state.exists()
    assert book.run("gc", NOISEBOOK_LOCAL_SIZE="much").returncode == 2


def test_what_could_be_carried_over_is_kept_until_it_is(book: Book) -> None:
    """An edit makes cells stale: their records, and what these needed, are what `adopt` begins with."""
    book.tiles([1])
    book.build()
    book.edit("generators/tile.py", "_paint.paint(value)", "_paint.paint(1 * value)")
    assert "would drop 0 cells" in book.run("gc").stdout
    book.build()
    assert "would drop 1 cell and" in book.run("gc").stdout
