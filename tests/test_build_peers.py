"""Two builders of one shared store: no cell twice, no cell lost, and the dead are not waited for."""

from __future__ import annotations

import json
import os
import signal
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from noisebook.cells.store import Store
from noisebook.project import Project
from noisebook.report.model import BadInput
from noisebook.shared.peers import StorePeers
from noisebook.shared.remote import Remote

from .conftest import HANGS, SECTION, Book
from .servers import Sftp
from .test_build_remote import new_store, remote, s3, sftp
from .test_build_store import put
from .test_cells_border import sealed

__all__ = ["remote", "s3", "sftp"]  # fixtures

SOON = """
import noisebook.shared.peers as peers
peers.LEASE, peers.BEAT, peers.LOOK = 3.0, 0.3, 0.1
"""
"""For a builder whose dead peers are known as such after three seconds."""


def member(folder: Path, url: str, figures: int = 4) -> Book:
    """A report with ``figures`` of two cells each, on a machine of its own."""
    book = Book(folder / "book", folder / "user")
    book.write("report.yaml", f"title: Grey\nmodel: exact\nstore: {url}\npush: auto\n")
    (book.root / "sections" / "tiles.md").unlink()
    for figure in range(figures):
        text = SECTION.format(values=[2 * figure, 2 * figure + 1])
        book.write(f"sections/tiles-{figure}.md", text)
    return book


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def finish(process: Any) -> str:
    out, err = process.communicate(timeout=HANGS)
    assert process.returncode == 0, out + err
    return str(out + err)


@pytest.mark.parametrize("place", ["file", "sftp"])
def test_two_builders_at_once_share_the_work(
    place: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = request.getfixturevalue("sftp") if place == "sftp" else None
    url = f"{server.url}-race" if server else f"file://{tmp_path}/shared"
    environment = {"TILE_PAUSE": "0.3", **(server.environment if server else {})}
    ann, ben = member(tmp_path / "ann", url), member(tmp_path / "ben", url)
    builders = [book.start("build", prelude=SOON, **environment) for book in (ann, ben)]
    for process in builders:
        finish(process)
    assert sorted(ann.computed() + ben.computed()) == sorted(f"v={value}" for value in range(8))
    shared = Path(f"{server.files}/shared-race") if server else tmp_path / "shared"
    assert ann.stored() == ben.stored() == {path.stem for path in shared.glob("cells/[!.]*.json")}
    assert not list(shared.glob("claims/*")) and not list(shared.glob("builders/*"))
    for book in (ann, ben):
        assert book.run("build", "--frozen").returncode == 0


def test_a_killed_builder_is_not_waited_for_and_costs_its_cell_alone(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/shared"
    ann, ben = member(tmp_path / "ann", url), member(tmp_path / "ben", url)
    dying = ann.start("build", prelude=SOON, TILE_PAUSE="60")
    until(ann.log.exists)
    assert len(list(tmp_path.glob("shared/claims/*"))) == 2
    dying.send_signal(signal.SIGKILL)
    dying.communicate()
    started = time.monotonic()
    finish(ben.start("build", prelude=SOON))
    assert time.monotonic() - started < 60
    assert sorted(ben.computed()) == sorted(f"v={value}" for value in range(8))
    assert not list(tmp_path.glob("shared/claims/*"))
    out = finish(ann.start("build", prelude=SOON))
    assert "fetched 8 cells" in out and ann.computed() == ["v=0"], "the one that was lost"


def test_a_cell_waits_for_those_who_live_and_for_nobody_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """However wrong the clocks: a file's time is never looked at."""
    monkeypatch.setattr("noisebook.shared.peers.LEASE", 1.0)
    monkeypatch.setattr("noisebook.shared.peers.BEAT", 0.1)
    monkeypatch.setattr("noisebook.shared.peers.LOOK", 0.0)
    url, place = f"file://{tmp_path}/shared", tmp_path / "shared"
    store = new_store(tmp_path / "one")
    cells: Any = [SimpleNamespace(key=f"{value:064x}", store=store) for value in range(3)]
    with StorePeers(url) as ann, StorePeers(url) as ben:
        with ann.claim(cells[:2]) as hers:
            assert hers == cells[:2]
            for path in place.rglob("*"):
                os.utime(path, (0, 0))
            end = time.monotonic() + 2.0
            while time.monotonic() < end:
                with ben.claim(cells) as his:
                    assert his == cells[2:]
                time.sleep(0.05)
        with ben.claim(cells) as his:
            assert his == cells
        (place / "claims").mkdir(exist_ok=True)
        (place / "claims" / cells[0].key).write_bytes(b"")  # killed before it wrote its name
        (place / "claims" / cells[1].key).write_bytes(b"0123456789abcdef")  # ended, and left this
        with ben.claim(cells) as his:
            assert his == cells[1:]
        time.sleep(1.1)
        with ben.claim(cells) as his:
            assert his == cells


def test_one_alone_creates_a_file(remote: Remote) -> None:
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda i: Remote(remote.url).create("claims/one", b"%d" % i), range(6)))
    assert sum(made) == 1
    assert remote.many({"claims/one": 9})["claims/one"] == b"%d" % made.index(True)
    remote.remove("claims/one")
    remote.remove("claims/one")
    assert remote.create("claims/one", b"again") and not remote.create("claims/one", b"and again")


def test_in_memory_too() -> None:
    place = Remote(f"memory://{os.urandom(4).hex()}")
    assert place.create("claims/one", b"1") and not place.create("claims/one", b"2")


def test_a_store_that_is_away_is_told_at_once_and_filled_by_the_next_build(
    sftp: Sftp, tmp_path: Path
) -> None:
    url = f"{sftp.url}-away"
    ann = member(tmp_path / "ann", url, figures=2)
    sftp.stop()
    try:
        done = ann.run("build", prelude=SOON, **sftp.environment)
    finally:
        sftp.start()
    assert done.returncode == 0 and len(ann.computed()) == 4
    assert "cannot be reached" in done.stderr and "the next build sends them" in done.stderr
    assert "Traceback" not in done.stderr
    assert "pushed 4 cells" in finish(ann.start("build", prelude=SOON, **sftp.environment))
    ben = member(tmp_path / "ben", url, figures=2)
    finish(ben.start("build", prelude=SOON, **sftp.environment))
    assert ben.computed() == []


def test_what_reaches_the_store_is_told_if_it_is_missing(tmp_path: Path) -> None:
    book = member(tmp_path, "s3://bucket/report")
    done = book.run("build", prelude="sys.modules['s3fs'] = None")
    assert done.returncode == 2 and "noisebook[cluster]" in done.stderr and book.computed() == []


@pytest.mark.parametrize("store", ["cache", "https://host/report"])
def test_a_store_that_takes_nothing_cannot_be_pushed_to(store: str, book: Book) -> None:
    book.write("report.yaml", f"title: Grey\nmodel: exact\nstore: {store}\npush: auto\n")
    with pytest.raises(BadInput, match=r"report.yaml:4:7: push: auto wants a shared store") as caught:
        _ = Project(book.root).report
    assert "s3://" in str(caught.value)


def test_little_is_held_of_the_records_that_a_shared_store_delivers(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", None, tmp_path / "local")
    keys = [put(store, value) for value in range(30)]
    for key in keys:
        path = tmp_path / "cache" / "cells" / f"{key}.json"
        value = json.loads(path.read_bytes())
        path.write_bytes(sealed({**value, "provenance": {"seconds": 1.0, "more": [[]] * 90_000}}))
    mine = Store(tmp_path / "mine", None, tmp_path / "my-local")
    tracemalloc.start()
    try:
        assert Remote(f"file://{tmp_path / 'cache'}").fetch(keys, mine) == set(keys)
        assert tracemalloc.get_traced_memory()[1] < 80_000_000
    finally:
        tracemalloc.stop()
