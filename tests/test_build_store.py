"""The store: whole cells or none, every byte checked."""

from __future__ import annotations

import random
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.cells.contract import Output
from noisebook.cells.housekeeping import collect
from noisebook.cells.outputs import arrays, number, picture
from noisebook.cells.planner import key_of
from noisebook.cells.store import Absent, Store, StoreFull

COMPONENTS = {"generator": "tile", "params": {"value": 1}, "seed": 42, "code": "c"}


def outputs(value: int = 1) -> list[Output]:
    return [
        picture("picture", np.random.default_rng(value).integers(0, 256, (64, 64), np.uint8)),
        number("value", value),
        arrays("states", {"x": np.arange(5.0)}, keep="local"),
    ]


def new_store(folder: Path) -> Store:
    return Store(folder / "cache", folder / "notes.json", folder / "local")


def put(store: Store, value: int = 1) -> str:
    components = {**COMPONENTS, "params": {"value": value}}
    key = key_of(components)
    store.put(key, components, outputs(value), {"seconds": 1.0})
    return key


def test_what_was_put_is_got(tmp_path: Path) -> None:
    key = put(new_store(tmp_path))
    again = new_store(tmp_path)
    assert again.has(key) and again.has(key, local=True)
    record = again.get(key)
    assert record is not None
    assert [again.open(output) for output in record.outputs] == [output.data for output in outputs()]
    assert record.components["params"] == {"value": 1}


def test_local_outputs_stay_out_of_the_report(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    key = put(store)
    record = store.get(key)
    assert record is not None
    local = record.output("states")
    assert local is not None
    assert not (tmp_path / "cache" / "objects" / local.sha256).exists()
    (tmp_path / "local" / local.sha256).unlink()
    clone = new_store(tmp_path)
    assert clone.has(key) and not clone.has(key, local=True)
    with pytest.raises(Absent):
        clone.open(local)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_one_flipped_byte_anywhere_is_noticed(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    folder = tmp_path_factory.mktemp("flip")
    key = put(new_store(folder))
    new_store(folder).scan()
    chance = random.Random(seed)
    files = sorted((folder / "cache").glob("[co]*/*"))
    path = chance.choice(files)
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    record = new_store(folder).get(key)
    assert record is not None
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store = new_store(folder)
        assert not store.has(key) or path.name == record.reached, "which only explains"
    assert any("damaged" in str(warning.message) for warning in caught)
    assert (folder / "cache" / "aside" / path.name).exists()
    put(store)
    assert new_store(folder).has(key)


def test_a_damaged_local_object_is_noticed_when_read(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    record = store.get(put(store))
    assert record is not None
    local = record.output("states")
    assert local is not None
    path = tmp_path / "local" / local.sha256
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(Absent):
        store.open(local)


def test_an_unchanged_store_is_known_from_its_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a scan finds it, what was put and dropped since included; no file of it is looked at."""
    store = new_store(tmp_path)
    keys = [put(store, value) for value in range(4)]
    store.drop(keys[3])
    store.save()
    scanned, again = new_store(tmp_path), new_store(tmp_path)
    scanned.scan()
    monkeypatch.setattr(Store, "scan", lambda self: pytest.fail("it looks at files"))
    again.unchanged()
    assert again.entries == scanned.entries and again.entries.keys() == set(keys[:3])
    assert all(again.has(key, local=True) for key in keys[:3])


def test_leftovers_of_a_killed_put_are_not_cells(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    key = put(store)
    (tmp_path / "cache" / "cells" / ".abc.json.1.tmp").write_text("{")
    (tmp_path / "cache" / "objects" / ".abc.1.tmp").write_text("x")
    assert set(new_store(tmp_path).entries) == {key}


FULL = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
import numpy as np
from test_build_store import new_store, put, COMPONENTS
from noisebook.cells.outputs import arrays
from noisebook.cells.store import StoreFull
store = new_store(Path({folder!r}))
put(store, 1)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    store.put("k" * 64, COMPONENTS, [arrays("big", {{"x": np.zeros(10000)}})], {{}})
except StoreFull as error:
    print("full:", error)
"""


def test_a_full_disk_is_a_clear_error_and_harms_nothing(tmp_path: Path) -> None:
    script = FULL.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "full: cannot write to the store" in done.stdout, done.stderr
    assert "make room" in done.stdout
    store = new_store(tmp_path)
    assert len(store.entries) == 1 and all(map(store.has, store.entries))
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_a_full_disk_is_not_mistaken_for_a_bug(tmp_path: Path) -> None:
    store = Store(tmp_path / "file" / "cache", None, tmp_path / "local")
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreFull):
        put(store)


def test_gc_keeps_what_is_used_and_only_that(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    kept, dropped = put(store, 1), put(store, 2)
    garbage = collect(store, {kept})
    assert garbage.cells == [dropped]
    assert store.has(dropped), "only told, not done"
    garbage.drop()
    after = new_store(tmp_path)
    assert after.has(kept, local=True)
    assert set(after.entries) == {kept}
    assert not collect(after, {kept}).files


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text() | st.none(), max_size=4))
def test_keys_tell_all_components_apart(params: dict[str, object]) -> None:
    key = key_of({**COMPONENTS, "params": params})
    assert len(key) == 64
    assert key != key_of({**COMPONENTS, "params": {**params, "more": 1}})
    assert key == key_of(dict(reversed({**COMPONENTS, "params": params}.items())))


def test_keys_are_framed() -> None:
    """Moving a character from one component's name to its neighbour's value is another key."""
    assert key_of({"ab": 1, "c": 2}) != key_of({"a": 1, "bc": 2})
    assert key_of({"a": "1"}) != key_of({"a": 1})
