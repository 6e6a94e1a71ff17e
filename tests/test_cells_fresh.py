"""The fast answer of a build with nothing to do is the full answer; a generator's files are named."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from noisebook.cells import folders, fresh, reads

from .conftest import Book


def hidden(book: Book) -> Book:
    """Store, picture and text's picture in folders that no walk sees."""
    book.write("report.yaml", "title: Grey\nmodel: exact\nstore: .cells\n")
    (book.root / ".pics").mkdir()
    Image.new("RGB", (8, 8), (1, 2, 3)).save(book.root / ".pics" / "a.png")
    section = (book.root / "sections" / "tiles.md").read_text()
    (book.root / "sections" / "tiles.md").write_text(section + "\n![A square.](.pics/a.png)\n")
    return book


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Book:
    folder = tmp_path_factory.mktemp("fresh")
    book = hidden(Book(folder / "book", folder / "user-cache"))
    for _ in range(2):
        book.build()
    return book


def remembered(book: Book) -> bool:
    """Whether the next build would be answered at once."""
    before = dict(os.environ)
    os.environ.update(book.environment())
    try:
        return fresh.Now(book.root).summary is not None
    finally:
        os.environ.clear()
        os.environ.update(before)


def opened(book: Book) -> list[Path]:
    """What a build of it opens, in its own folder."""
    top = book.root
    names = ["report.yaml", "sections", "generators", ".pics", ".cells/cells", ".cells/objects", "site"]
    return sorted(
        path
        for name in names
        for path in ([top / name] if (top / name).is_file() else (top / name).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    )


CHANGES: dict[str, Callable[[Path, random.Random], object]] = {
    "flip": lambda path, chance: path.write_bytes(_flipped(path.read_bytes(), chance)),
    "delete": lambda path, chance: path.unlink(),
    "rename": lambda path, chance: path.rename(path.with_name(f"moved-{path.name}")),
    "replace": lambda path, chance: (path.unlink(), path.write_bytes(b"x")),
}


def _flipped(data: bytes, chance: random.Random) -> bytes:
    where = chance.randrange(max(len(data), 1))
    return data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :] if data else b"x"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), change=st.sampled_from(sorted(CHANGES)))
def test_whatever_a_build_opens_is_watched(settled: Book, seed: int, change: str) -> None:
    chance = random.Random(seed)
    assert remembered(settled)
    path = chance.choice(opened(settled))
    aside = settled.root.parent / "aside"
    shutil.copytree(settled.root, aside)
    CHANGES[change](path, chance)
    told = remembered(settled)
    shutil.rmtree(settled.root)
    aside.rename(settled.root)
    for _ in range(2):  # files of other times: the full answer, and what it leaves
        settled.build()
    assert not told, f"{change} of {path.relative_to(settled.root)} was not seen"


def test_notes_that_hold_anything_stop_nothing_and_move_no_key(book: Book) -> None:
    book.build()
    keys = book.stored()
    for text in (b"", b"[]", b"{}", b"\xff\x00", b"[" * 100_000, b"null", b'{"format": 5}'):
        for note in (book.root / ".noisebook").glob("*"):
            if note.is_file():
                note.write_bytes(text)
        assert "computed 0, cached 3" in book.build()
    assert book.stored() == keys


@pytest.mark.parametrize("seed", range(8))
def test_one_flipped_bit_of_a_note_moves_no_key(book: Book, seed: int) -> None:
    book.build()
    chance = random.Random(seed)
    for note in sorted((book.root / ".noisebook").glob("*")):
        if note.is_file():
            note.write_bytes(_flipped(note.read_bytes(), chance))
    assert "computed 0, cached 3" in book.build()


def test_a_file_that_no_cell_names_is_told_at_once(book: Book) -> None:
    book.write("data.csv", "7")
    book.edit(
        "generators/tile.py", "        value = cell", "        open('data.csv').read()\n        value = cell"
    )
    done = book.run("build")
    assert done.returncode == 1
    assert "tile.py:" in done.stderr and "it opens data.csv, which its cells do not name" in done.stderr
    assert "context.input" in done.stderr and not book.stored()


def test_files_that_cells_name_and_files_elsewhere_are_free(book: Book, tmp_path: Path) -> None:
    book.write("data.csv", "7")
    (tmp_path / "elsewhere.txt").write_text("1")
    book.edit(
        "generators/tile.py", 'params={"value": value})', 'params={"value": value}, inputs={"d": "data.csv"})'
    )
    book.edit(
        "generators/tile.py",
        "        value = cell",
        "        context.input(cell, 'd').read_text()\n"
        f"        open({str(tmp_path / 'elsewhere.txt')!r}).read()\n"
        "        value = cell",
    )
    assert "computed 3" in book.build()


def test_a_file_where_a_watched_folder_was_is_a_change_and_no_error(tmp_path: Path) -> None:
    place = tmp_path / "shared" / "cells" / "record.json"
    place.parent.mkdir(parents=True)
    place.write_text("{}")
    there = fresh.look(tmp_path, [str(place)])
    (tmp_path / "shared").rename(tmp_path / "away")
    (tmp_path / "shared").write_text("no store at all")
    assert fresh.look(tmp_path, [str(place)])[0] != there[0]
    (tmp_path / "shared").unlink()
    (tmp_path / "away").rename(tmp_path / "shared")
    assert fresh.look(tmp_path, [str(place)]) == there


def test_of_what_builds_write_that_is_looked_at_which_this_one_wrote(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    kept, gone, own, others = (tmp_path / "cache" / name for name in ("kept", "gone", "own", "others"))
    kept.write_text("1")
    gone.write_text("1")
    time.sleep(2 * fresh.TICK / 1e9)
    before, recorded = fresh.Now(tmp_path), reads.record()
    started = time.time_ns()
    folders.write_atomically(own, b"2")
    gone.unlink()
    written = set(recorded.written)
    others.write_text("3")
    fresh.remember(tmp_path, before, "done", [], started, written=written)
    assert (
        fresh.Now(tmp_path).summary is None
    )  # it came while the build ran, which may have read what was there
    others.unlink()
    assert fresh.Now(tmp_path).summary == "done"
    kept.write_text("2")
    assert fresh.Now(tmp_path).summary is None


NOTES: dict[str, Callable[[Path, Path], object]] = {
    "a link": lambda note, mine: note.symlink_to(mine),
    "a pipe": lambda note, mine: os.mkfifo(note),
    "a device": lambda note, mine: note.symlink_to("/dev/zero"),
    "a folder": lambda note, mine: note.mkdir(),
}


@pytest.mark.parametrize("kind", NOTES)
@pytest.mark.parametrize("name", ["fresh", "kept"])
def test_what_stands_in_place_of_a_note_is_neither_waited_for_nor_written_through(
    tmp_path: Path, name: str, kind: str
) -> None:
    root, mine = tmp_path / "report", tmp_path / "mine"
    mine.write_text("mine")
    for folder in (".noisebook", "sections"):
        (root / folder).mkdir(parents=True)
    section = root / "sections" / "a.md"
    section.write_text("x")
    note = root / ".noisebook" / name

    def remember() -> fresh.Now:
        time.sleep(2 * fresh.TICK / 1e9)
        before = fresh.Now(root)
        time.sleep(2 * fresh.TICK / 1e9)
        fresh.remember(root, before, "done", [], time.time_ns(), b"words")
        return fresh.Now(root)

    assert remember().summary == "done"
    note.unlink()
    NOTES[kind](note, mine)
    section.write_text("other")
    assert fresh.Now(root).kept == b""
    now = remember()
    assert mine.read_text() == "mine"
    if kind != "a folder":
        assert now.summary == "done" and now.kept == b"words" and note.read_bytes()
