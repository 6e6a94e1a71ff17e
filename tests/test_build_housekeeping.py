"""What gc drops, and what it keeps."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from noisebook.cells.housekeeping import collect
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
    assert "dropped 1 cells" in told.stdout, told.stderr
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
