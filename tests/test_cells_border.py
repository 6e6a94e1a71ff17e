"""What comes from outside: records of any shape, files that are none, stores where none can be."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.candidates import readings
from noisebook.cells.contract import Cell, Output, canonical
from noisebook.cells.folders import read_memo, write_memo
from noisebook.cells.housekeeping import collect
from noisebook.cells.outputs import picture
from noisebook.cells.record import FORMAT, Newer, NotARecord, Record, parse
from noisebook.cells.store import Store, StoreFull
from noisebook.cells.verify import compare

from .conftest import Book
from .test_build_store import COMPONENTS, new_store, outputs, put

ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def sealed(value: dict[str, Any]) -> bytes:
    """A record of any content, with the digest that it should have."""
    value = {name: each for name, each in value.items() if name != "digest"}
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return json.dumps({"digest": hashlib.sha256(text.encode(errors="replace")).hexdigest(), **value}).encode()


@contextmanager
def told() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a tree."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in items:
        yield from places(each, (*path, name))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_forged_record_stops_no_command(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("forged")
    key = put(new_store(folder))
    path = folder / "cache" / "cells" / f"{key}.json"
    value = json.loads(path.read_bytes())
    where = data.draw(st.sampled_from([each for each in places(value) if each and each != ("digest",)]))
    holder = value
    for name in where[:-1]:
        holder = holder[name]
    holder[where[-1]] = data.draw(ANY)
    path.write_bytes(sealed(value))
    outside = folder / "outside"
    outside.write_text("mine")
    with told():
        store = Store(folder / "cache", None, folder / "local")
        store.scan()
        for known in store.entries:
            record = store.get(known)
            assert record is not None
            store.same_identity(record.components)
            assert all(len(output.sha256) == 64 for output in record.outputs)
        garbage = collect(store, [])
        list(garbage.describe())
        garbage.drop()
    assert outside.read_text() == "mine"


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": [{"name": "a", "mime": "image/png", "sha256": "/etc/passwd", "bytes": 1}]},
        {"outputs": [{"name": "../a", "mime": "image/png", "sha256": "a" * 64, "bytes": 1}]},
        {"outputs": [{"name": "a", "mime": "text/html", "sha256": "a" * 64, "bytes": 1}]},
        {"outputs": [{"name": "a", "mime": "image/png", "sha256": "a" * 64, "bytes": 1, "width": "8"}]},
        {"outputs": []},
        {"provenance": {"seconds": "long"}},
        {"provenance": {"versions": []}},
        {"provenance": {"adopted": 3}},
        {"components": {"needs": {"x": "../y"}}},
        {"components": [], "provenance": []},
        {"components": {"generator": "tile"}},
        {"outputs": [{"name": "C:a", "mime": "image/png", "sha256": "a" * 64, "bytes": 1}]},
        {"outputs": [{"name": "a\u202eb", "mime": "image/png", "sha256": "a" * 64, "bytes": 1}]},
        {"reached": "x"},
        {"format": "2"},
    ],
)
def test_what_does_not_fit_is_set_aside_with_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    key = put(new_store(tmp_path))
    path = tmp_path / "cache" / "cells" / f"{key}.json"
    path.write_bytes(sealed({**json.loads(path.read_bytes()), **change}))
    with told() as caught:
        assert not new_store(tmp_path).entries
    [line] = [str(each.message) for each in caught]
    assert "set aside" in line and (tmp_path / "cache" / "aside" / path.name).exists()


def test_numbers_are_numbers_and_short(tmp_path: Path) -> None:
    key = put(new_store(tmp_path))
    data = (tmp_path / "cache" / "cells" / f"{key}.json").read_bytes()
    for wrong in (b"NaN", b"Infinity", b"1e999", b"9" * 5000, b"9" * 50, b"[" * 100_000):
        with pytest.raises(NotARecord):
            parse(key, data.replace(b'"seconds":1.0', b'"seconds":' + wrong))


def test_a_later_versions_record_is_left_alone_and_said_so(tmp_path: Path) -> None:
    key = put(new_store(tmp_path))
    path = tmp_path / "cache" / "cells" / f"{key}.json"
    path.write_bytes(sealed({**json.loads(path.read_bytes()), "format": FORMAT + 1, "more": {"x": [1]}}))
    with pytest.raises(Newer):
        parse(key, path.read_bytes())
    kept = path.read_bytes()
    with told() as caught:
        store = new_store(tmp_path)
        assert not store.has(key)
        collect(store, []).drop()
        with pytest.raises(StoreFull, match="later version"):
            store.put(key, COMPONENTS, outputs(), {"seconds": 1.0})
    assert any("left alone" in str(each.message) for each in caught)
    assert path.read_bytes() == kept and list((tmp_path / "cache" / "objects").iterdir())


def test_a_record_of_the_first_format_is_read(tmp_path: Path) -> None:
    """Every output in a file of its own, the code's digests within."""
    store = new_store(tmp_path)
    key = put(store)
    record = store.get(key)
    assert record is not None
    stored = [
        {**{name: getattr(output, name) for name in output.__slots__ if name != "data"}}
        for output in record.outputs
    ]
    for output in record.outputs:
        if output.data is not None:
            (tmp_path / "cache" / "objects" / output.sha256).write_bytes(output.data)
    made = {"seconds": 1.0, "reached": {"generators.tile.run": "ab" * 32}}
    value = {"key": key, "components": dict(record.components), "outputs": stored, "provenance": made}
    path = tmp_path / "cache" / "cells" / f"{key}.json"
    path.write_bytes(sealed(value))
    again = new_store(tmp_path)
    first = again.get(key)
    assert again.has(key) and first is not None
    assert [again.open(output) for output in first.outputs] == [
        store.open(output) for output in record.outputs
    ]
    assert again.reached(first) == made["reached"]


def test_what_is_no_regular_file_is_never_opened(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    key = put(store)
    record = store.get(key)
    assert record is not None
    shown = next(output for output in record.outputs if output.data is None)
    path = tmp_path / "cache" / "objects" / shown.sha256
    path.unlink()
    (tmp_path / "cache" / "cells" / f"{'0' * 64}.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "cache" / "cells" / f"{'1' * 64}.json")
    os.mkfifo(tmp_path / "cache" / "objects" / ("2" * 64))
    path.symlink_to("/dev/zero")
    with told() as caught:
        again = new_store(tmp_path)
        assert not again.has(key) and set(again.entries) == {key}
        collect(again, []).drop()
    assert sum("no regular file" in str(each.message) for each in caught) >= 4
    assert path.is_symlink()


def test_a_name_that_no_record_takes_is_told_by_its_generator(book: Book) -> None:
    book.edit("generators/tile.py", 'number("value", value)', 'number("a/b", value)')
    done = book.run("build")
    assert done.returncode == 1 and "'a/b' is no name for an output" in done.stderr


def test_a_record_says_again_what_it_said(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    key = put(store)
    record = store.get(key)
    assert isinstance(record, Record)
    made, data = record.as_read()
    assert made == record == parse(key, data)
    assert canonical(record.components) == canonical(COMPONENTS | {"params": {"value": 1}})


def test_a_note_of_another_kind_is_none(tmp_path: Path) -> None:
    note = tmp_path / "note"
    for value, kind in (([[1]], dict), ("x", dict), ({}, float), (None, str)):
        write_memo(note, value)
        assert read_memo(note, kind) is None
    write_memo(note, {"a": 1})
    assert read_memo(note) == {"a": 1}


def test_a_cell_of_many_small_outputs_is_kept_whole(tmp_path: Path) -> None:
    """Its record would have more bytes than a record may have, were they all in it."""
    many = [Output(f"n{k}", "text/plain", f"{k}".encode().ljust(1900)) for k in range(1500)]
    new_store(tmp_path).put("ab" * 32, COMPONENTS, many, {"seconds": 1.0})
    again = new_store(tmp_path)
    record = again.get("ab" * 32)
    assert record and again.has("ab" * 32)
    assert [again.open(output) for output in record.outputs] == [output.data for output in many]


def test_a_record_of_too_many_bytes_is_refused_before_it_is_written(tmp_path: Path) -> None:
    with pytest.raises(NotARecord, match="more than 2,000,000 bytes"):
        new_store(tmp_path).put("ab" * 32, {**COMPONENTS, "params": {"a": "x" * 2**21}}, outputs(), {})
    assert not new_store(tmp_path).entries


def test_a_record_of_too_many_values_is_none(tmp_path: Path) -> None:
    key = put(new_store(tmp_path))
    value = json.loads((tmp_path / "cache" / "cells" / f"{key}.json").read_bytes())
    parse(key, sealed({**value, "provenance": {"seconds": 1.0, "more": [[]] * 90_000}}))
    with pytest.raises(NotARecord, match="more than 100,000 values"):
        parse(key, sealed({**value, "provenance": {"seconds": 1.0, "more": [[]] * 110_000}}))


def test_a_picture_is_read_as_what_it_may_be_alone(tmp_path: Path) -> None:
    """Pillow knows many formats, one of which runs a program: who forges a record shall not choose."""
    portable = b"P6 8 8 255 " + bytes(192)
    store = new_store(tmp_path)
    store.put("ab" * 32, COMPONENTS, [Output("picture", "image/png", portable, 8, 8)], {})
    record = store.get("ab" * 32)
    assert record is not None
    cell = Cell(id="a", label="a", alt="a")
    planned: Any = SimpleNamespace(store=store, key=record.key, cell=cell)
    with pytest.raises(ValueError, match="not a whole picture"):
        readings([planned])
    whole = picture("picture", np.zeros((8, 8, 3), np.uint8))
    verdict = compare(planned, record, [whole])
    assert not verdict.agrees and "cannot be compared" in verdict.how
