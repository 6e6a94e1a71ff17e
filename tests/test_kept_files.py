"""What Noisebook keeps for itself and what others give it: of any content and kind, behind any link."""

from __future__ import annotations

import json
import os
import pickle
import random
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.cells import checks, fresh
from noisebook.cells.folders import read_memo, read_regular, write_memo
from noisebook.cells.housekeeping import collect
from noisebook.cells.record import NotARecord, components, parse
from noisebook.cells.store import Store
from noisebook.guard import explained
from noisebook.models.lock import LOCK_NAME, MissingModel, known, read_lock
from noisebook.project import Project
from noisebook.render.assets import NOTES, NotOwn, Site

from .conftest import Book
from .test_build_store import new_store, put
from .test_cells_border import ANY, places, sealed

DEEP = b"[" * 100_000
LONG = b'{"format": ' + b"9" * 5000 + b"}"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report that was planned: its notes are there."""
    root = tmp_path_factory.mktemp("planned")
    book = Book(root, root / "user-cache")
    book.write("images/tile.png", "")
    assert Project(root).planned
    store = Project(root).store
    put(store)
    store.scan()
    write_memo(root / ".noisebook" / "inputs.json", {str(root / "report.yaml"): [[1, 2, 3, 4], "ab" * 32]})
    return root


def keys(root: Path) -> list[str]:
    book = Project(root)
    book.digests.of(root / "report.yaml")
    return [cell.key for cells in book.planned.values() for cell in cells] + sorted(book.store.entries)


def forged(root: Path, data: st.DataObject) -> None:
    """Whatever stands in a note, and be its digest right: keys are as ever."""
    before = keys(root)
    name = data.draw(st.sampled_from(["code.json", "store.json", "inputs.json"]))
    path = root / ".noisebook" / name
    whole = path.read_bytes()
    value = read_memo(path)
    holder, way = value, data.draw(st.sampled_from([way for way in places(value) if way]))
    for step in way[:-1]:
        holder = holder[step]
    holder[way[-1]] = data.draw(ANY)
    write_memo(path, json.loads(json.dumps(value)))
    if name != "code.json":  # what is of its kind there is believed
        assert keys(root) == before
    else:
        keys(root)
    path.write_bytes(whole)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_note_that_holds_anything_stops_nothing(planned: Path, data: st.DataObject) -> None:
    forged(planned, data)


@pytest.mark.soak
@settings(max_examples=2000, deadline=None)
@given(data=st.data())
def test_a_note_that_holds_anything_stops_nothing_for_long(planned: Path, data: st.DataObject) -> None:
    forged(planned, data)


def test_one_note_cannot_stand_for_another(tmp_path: Path) -> None:
    write_memo(tmp_path / "one.json", {"a": 1})
    (tmp_path / "two.json").write_bytes((tmp_path / "one.json").read_bytes())
    assert read_memo(tmp_path / "one.json") == {"a": 1} and read_memo(tmp_path / "two.json") is None


def fifo(path: Path) -> None:
    os.mkfifo(path)


KINDS: dict[str, Callable[[Path], object]] = {
    "deep": lambda path: path.write_bytes(DEEP),
    "long": lambda path: path.write_bytes(LONG),
    "a list": lambda path: path.write_bytes(b"[]"),
    "bytes": lambda path: path.write_bytes(b"\xff\xfe\0"),
    "a pipe": fifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": lambda path: path.mkdir(),
    "a loop": lambda path: path.symlink_to(path),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    "a log": lambda path: path.symlink_to("/proc/kmsg"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_any_kind_is_absent_or_told(tmp_path: Path, kind: str) -> None:
    make = KINDS[kind]
    began = time.perf_counter()
    make(tmp_path / checks.NAME)
    assert checks.read(tmp_path) == {}
    make(tmp_path / NOTES)
    assert not Site(tmp_path).keep("assets/x.png")
    (tmp_path / ".noisebook").mkdir()
    make(tmp_path / ".noisebook" / "fresh")
    assert fresh.Now(tmp_path).summary is None
    make(tmp_path / LOCK_NAME)
    with pytest.raises(MissingModel, match="is not a lock file"):
        read_lock(tmp_path)
    assert time.perf_counter() - began < 60


@settings(max_examples=60, deadline=None)
@given(value=ANY, field=st.sampled_from(["kind", "loader", "files", "folder", "repository", "revision"]))
def test_a_lock_file_of_any_content_is_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, value: Any, field: str
) -> None:
    folder = tmp_path_factory.mktemp("lock")
    entry = {"kind": "data", "loader": "a.b", "files": {"a": "ab" * 32}, field: value}
    (folder / LOCK_NAME).write_text(json.dumps({"format": 1, "entries": {"one": entry}}))
    try:
        [found] = read_lock(folder).values()
    except MissingModel:
        return
    assert found["kind"] in ("model", "data") and all(len(sha) == 64 for sha in found["files"].values())
    assert known(folder)


@settings(max_examples=60, deadline=None)
@given(value=st.dictionaries(st.sampled_from(["agrees", "how", "threads", "date"]), ANY))
def test_checks_of_any_content_are_read_or_none(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("checks")
    check = {"agrees": True, "how": "", "date": "", "processor": "", "threads": 1, "as_recorded": True}
    whole = {"format": 1, "cells": {"a": {**check, **value}}}
    (folder / checks.NAME).write_text(json.dumps(whole))
    for found in checks.read(folder).values():
        assert isinstance(found.how, str) and isinstance(found.agrees, bool)


# Links that lead away


def test_gc_drops_nothing_that_is_not_called_as_ours(tmp_path: Path) -> None:
    mine = tmp_path / "documents"
    mine.mkdir()
    for name in ("letter.txt", ".hidden.tmp", "a.json"):
        (mine / name).write_text("mine")
        os.utime(mine / name, (0, 0))
    store = new_store(tmp_path)
    put(store)
    for name in ("aside", "objects", "cells"):
        place = tmp_path / "cache" / name
        if place.exists():
            place.rename(tmp_path / f"real-{name}")
        place.symlink_to(mine)
    garbage = collect(new_store(tmp_path), [], max_size=0.0)
    assert not garbage.files
    garbage.drop()
    assert sorted(path.name for path in mine.iterdir()) == [".hidden.tmp", "a.json", "letter.txt"]


def test_a_site_writes_and_removes_nothing_behind_a_link(tmp_path: Path) -> None:
    mine, out = tmp_path / "documents", tmp_path / "site"
    mine.mkdir()
    out.mkdir()
    (mine / "letter.txt").write_text("mine")
    (out / "assets").symlink_to(mine)
    (out / NOTES).write_text(json.dumps({"files": {"assets/letter.txt": "", "a/../b": ""}, "rules": 2}))
    site = Site(out)
    site.add("index.html", b"x")
    site.write()
    site = Site(out)
    site.add("assets/a.js", b"x")
    with pytest.raises(NotOwn, match="remove the link"):
        site.write()
    assert [path.name for path in mine.iterdir()] == ["letter.txt"]


def test_a_small_file_takes_little_memory_whatever_it_might_hold(tmp_path: Path) -> None:
    (tmp_path / "note").write_bytes(b"x" * 100)
    tracemalloc.start()
    try:
        assert read_regular(tmp_path / "note", 1_000_000_000) == b"x" * 100
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_too_little_memory_is_told() -> None:
    assert explained(MemoryError()) == (
        1,
        "Error: out of memory. Fewer cells at a time: noisebook build --only ID",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"words": {"x": {"nearest": 5, "far": False, "similarity": 1.0}}},
        {"words": {"x": {"far": False}}},
        {"device": "\x1b]0;gone\x07"},
        {"processor": "\u202eevil"},
    ],
)
def test_what_a_page_reads_of_a_record_is_of_its_kind(tmp_path: Path, change: dict[str, Any]) -> None:
    key = put(new_store(tmp_path))
    value = json.loads((tmp_path / "cache" / "cells" / f"{key}.json").read_bytes())
    value["provenance"] |= change
    with pytest.raises(NotARecord):
        parse(key, sealed(value))


def test_a_record_of_more_bytes_than_fit_into_memory_is_none(tmp_path: Path) -> None:
    key = put(new_store(tmp_path))
    value = json.loads((tmp_path / "cache" / "cells" / f"{key}.json").read_bytes())
    value["outputs"][0]["bytes"] = 2**40
    with pytest.raises(NotARecord):
        parse(key, sealed(value))


def test_a_name_from_a_record_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("{}")
    store = Store(tmp_path / "cache", None, tmp_path / "local")
    assert store.get("../../mine") is None and (tmp_path / "mine.json").exists()
    with pytest.raises(ValueError, match="needs"):
        components(b'{"generator": "a", "params": {}, "needs": {"x": "../../mine"}}')


# What a generator yields


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("None", "must yield a list of outputs"),
        ('["x"]', "must yield a list of outputs"),
        ('[Output("picture", "image/png", "text")]', "its data must be"),
        ('[Output("picture", "image/png", b"x", -3, 3)]', "its width cannot be -3"),
        ('[Output("picture", "image/png", b"x", keep="here")]', "its keep cannot be 'here'"),
        ('[Output("n", "application/json", b\'{"value": NaN}\')]', "NaN is not a number"),
        ('[Output("n", "application/json", b"{")]', "it is not JSON"),
        ('[arrays("a", {"x": numpy.array([1, numpy.nan])})]', "values of 'x' are not numbers"),
        ('[number("a", float("nan"))]', "not a number"),
        ('[Output("picture", "image/png", b"no picture", 8, 8)]', "picture: it is not a whole picture"),
        ('[Output("picture", "image/webp", picture("a", _paint.paint(1)).data, 8, 8)]', "and is image/png"),
        ('[Output("picture", "image/svg+xml", b"<p/>", 8, 8)]', "picture: not an SVG"),
        ('[Output("film", "video/mp4", b"<script>", 8, 8)]', "it says video/mp4 and is none"),
        ('[Output("a", "application/x-safetensors", b"{}")]', "it holds no arrays"),
        ('[picture("a", numpy.full((8, 8), numpy.inf))]', "not numbers"),
    ],
)
def test_what_no_record_can_hold_is_the_generators_mistake(book: Book, result: str, message: str) -> None:
    old = '[picture("picture", _paint.paint(value)), number("value", value)]'
    book.edit("generators/tile.py", old, result)
    book.edit("generators/tile.py", "import number, picture", "import arrays, number, picture")
    book.edit("generators/tile.py", "from pydantic", "import numpy\nfrom pydantic")
    done = execute_in_place(book)
    assert message in done and "tile.py:" in done and not book.stored()


def execute_in_place(book: Book) -> str:
    """What a build says that fails, without a process of its own."""
    from click.testing import CliRunner

    from noisebook.commands import cli

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(book.root)
        patch.setenv("NOISEBOOK_CACHE_DIR", str(book.cache))
        done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 1, done.output
    return done.output


def test_a_terminal_obeys_no_name_of_a_file(book: Book) -> None:
    from noisebook.report.model import Position

    assert "\x1b" not in str(Position("sections/a\x1b]0;x\x07.md")) and str(Position("a.md", 2)) == "a.md:2:1"


# What leads nowhere


LOOPS = ["templates", "generators", "models", "images/a.png", "site", "cache", "own", "sections/b.md"]


@pytest.mark.parametrize("name", LOOPS)
def test_a_link_to_itself_is_told_or_nothing(tmp_path: Path, name: str) -> None:
    from click.testing import CliRunner

    from noisebook.commands import cli

    for folder in ("sections", "images"):
        (tmp_path / folder).mkdir()
    (tmp_path / "report.yaml").write_text("title: T\n")
    (tmp_path / "sections" / "a.md").write_text("---\ntitle: A\n---\ntext\n")
    (tmp_path / name).symlink_to(Path(name).name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path / "user-cache"))
        done = CliRunner().invoke(cli, ["build"])
        assert done.exit_code == (0 if name in ("images/a.png", "own") else done.exit_code or 1), done.output
        assert "--debug" not in done.output and (done.exit_code == 0 or Path(name).name in done.output)
        assert fresh.Now(tmp_path).inputs


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_bit_in_a_compiled_template_ends_no_process(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from noisebook.render.theme import _Compiled

    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path))
    loader = jinja2.DictLoader({"a": "{{ 1 + 1 }}"})
    environment = jinja2.Environment(bytecode_cache=_Compiled(), loader=loader)
    assert environment.get_template("a").render() == "2"
    [path] = (tmp_path / "templates").iterdir()
    data = bytearray(path.read_bytes())
    data[random.Random(seed).randrange(len(data))] ^= 1
    for wrong in (bytes(data), b"", b"x", bytes(data)[:-1]):
        path.write_bytes(wrong)
        environment.cache = None
        assert environment.get_template("a").render() == "2" and path.read_bytes() != wrong


def test_the_users_cache_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from noisebook.render.theme import _Compiled

    (tmp_path / "templates").write_text("mine")
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path))
    environment = jinja2.Environment(bytecode_cache=_Compiled(), loader=jinja2.DictLoader({"a": "b"}))
    assert environment.get_template("a").render() == "b"


def test_an_object_that_cannot_be_read_is_absent_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = put(new_store(tmp_path))

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("noisebook.cells.store.hashlib.file_digest", refused)
    with pytest.warns(UserWarning, match="cannot be read .Permission denied.: it is left alone"):
        assert not new_store(tmp_path).has(key)
    monkeypatch.undo()
    assert new_store(tmp_path).has(key)


def test_a_damaged_object_that_cannot_be_moved_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = put(new_store(tmp_path))
    for path in (tmp_path / "cache" / "objects").iterdir():
        path.write_bytes(b"damaged")

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refused)
    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.warns(UserWarning, match="is damaged"):
        assert not new_store(tmp_path).has(key)


@pytest.mark.parametrize("inside", [(None, None, None, None), (1, {"sections/a.md": "x"}, "2", 3)])
def test_a_kept_build_of_another_kind_is_none(
    tmp_path: Path, inside: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from noisebook.render import again

    (tmp_path / "sections").mkdir()
    (tmp_path / "sections" / "a.md").write_text("---\ntitle: A\n---\ntext\n")
    kept = pickle.dumps(again.Last(*inside))
    monkeypatch.setattr(fresh.Now, "kept", property(lambda now: kept if now.memory else b""))
    now = fresh.Now(tmp_path)
    now.memory = fresh.Memory("", "", "", "", "")
    assert again.last_build(tmp_path, now) is None
    assert again.rewrite(tmp_path, now) is None
