"""The shared store, against real servers: whole cells or none, every byte checked, no secret anywhere."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from noisebook.cells.record import FORMAT, parse
from noisebook.cells.store import Store
from noisebook.doctor import examine
from noisebook.project import Project
from noisebook.shared.connection import BadPlace, Unreachable, check_url, scrub
from noisebook.shared.remote import Remote

from . import ensure_sshd
from .conftest import Book
from .servers import S3, Http, Sftp, free_port
from .test_build_store import put
from .test_cells_border import sealed, told


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisebook.shared.connection.PAUSES", (0.05,))


def apply(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """Let this process in, too: fsspec reads its variables once, when it is imported."""
    from fsspec.config import conf, set_conf_env

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    fresh: dict[str, Any] = {}
    set_conf_env(fresh)
    for protocol, values in fresh.items():
        monkeypatch.setitem(conf, protocol, values)


@pytest.fixture(scope="module")
def sftp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sftp]:
    if ensure_sshd.main():
        pytest.fail("no sshd")
    if not ensure_sshd.find():
        pytest.skip("no sshd on this machine")
    server = Sftp(tmp_path_factory.mktemp("sftp") / "server")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    server = S3()
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["sftp", "s3", "file"])
def remote(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Remote]:
    """An empty shared store."""
    if request.param == "file":
        yield Remote(f"file://{tmp_path}/shared")
        return
    server = request.getfixturevalue(request.param)
    apply(monkeypatch, server.environment)
    yield Remote(f"{server.url}-{random.randrange(2**40)}")


def new_store(folder: Path) -> Store:
    return Store(folder / "cache", folder / "notes.json", folder / "local")


def damage(remote: Remote, name: str, data: bytes) -> None:
    def spoil(fs: Any, root: str) -> None:
        fs.makedirs(f"{root}/{name.partition('/')[0]}", exist_ok=True)
        fs.pipe_file(f"{root}/{name}", data)

    remote._ask(spoil)


def test_what_was_pushed_is_pulled(remote: Remote, tmp_path: Path) -> None:
    here, there = new_store(tmp_path / "here"), new_store(tmp_path / "there")
    keys = [put(here, value) for value in range(3)]
    assert remote.keys() == set()
    done = remote.push(here, keys[:2])
    assert (done.cells, done.left) == (2, []) and done.bytes > 0
    assert remote.keys() == set(keys[:2])
    again = remote.push(here, keys)
    assert again.cells == 1, "what is there is not sent again"
    assert remote.fetch([*keys, "0" * 64], there) == set(keys)
    for key in keys:
        record = there.get(key)
        assert record is not None and there.has(key)
        assert [there.open(o) for o in record.outputs if o.keep == "published"] == [
            here.open(o) for o in record.outputs if o.keep == "published"
        ]
        assert not there.has(key, local=True), "local outputs stay where they were made"
    remote.push(here, keys, local=True, again=True)
    assert remote.fetch(keys, there, local=True) == set(keys)
    assert all(there.has(key, local=True) for key in keys)


def test_damaged_bytes_never_arrive(remote: Remote, tmp_path: Path) -> None:
    here, there = new_store(tmp_path / "here"), new_store(tmp_path / "there")
    keys = [put(here, value) for value in range(3)]
    remote.push(here, keys)
    record = here.get(keys[0])
    assert record is not None
    damage(remote, f"objects/{record.outputs[0].sha256}", b"spoilt")
    whole = (here.place / "cells" / f"{keys[1]}.json").read_bytes()
    damage(remote, f"cells/{keys[1]}.json", whole.replace(b"42", b"43", 1))
    damage(remote, f"cells/{keys[2]}.json", whole)
    with pytest.warns(UserWarning, match="damaged: not taken"):
        assert remote.fetch(keys, there) == set()
    assert not list(there.place.rglob("*.json"))
    assert remote.push(here, keys).cells == 0, "by name they are there"
    assert remote.push(here, keys, again=True).cells == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert remote.fetch(keys, there) == set(keys)


def test_a_push_trusts_no_object_that_no_record_vouches_for(remote: Remote, tmp_path: Path) -> None:
    """What a broken-off push or a lost record left behind may have been damaged since."""
    here, there = new_store(tmp_path / "here"), new_store(tmp_path / "there")
    keys = [put(here, value) for value in range(2)]
    for key in keys:
        record = here.get(key)
        assert record is not None
        for output in record.outputs:
            damage(remote, f"objects/{output.sha256}", bytes(output.bytes))
    remote.push(here, keys)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert remote.fetch(keys, there) == set(keys)
    sha = hashlib.sha256(b"a report").hexdigest()
    damage(remote, f"objects/{sha}", b"spoilt")
    assert remote.keep(b"a report") == sha and remote.kept(sha) == b"a report"


def test_local_outputs_can_follow_later(remote: Remote, tmp_path: Path) -> None:
    here, there = new_store(tmp_path / "here"), new_store(tmp_path / "there")
    keys = [put(here, value) for value in range(2)]
    remote.push(here, keys)
    assert remote.push(here, keys, local=True).cells == 2
    assert remote.push(here, keys, local=True).cells == 0
    assert remote.fetch(keys, there, local=True) == set(keys)
    assert all(there.has(key, local=True) for key in keys)


def test_a_record_without_its_objects_is_not_a_cell(remote: Remote, tmp_path: Path) -> None:
    here, there = new_store(tmp_path / "here"), new_store(tmp_path / "there")
    key = put(here)
    damage(remote, f"cells/{key}.json", (here.place / "cells" / f"{key}.json").read_bytes())
    assert remote.fetch([key], there) == set()
    assert not there.has(key)


def test_an_upload_that_broke_off_is_never_visible(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = new_store(tmp_path / "here"), new_store(tmp_path / "there")
    keys = [put(here, value) for value in range(4)]
    puts = 0
    real = Remote.put

    def breaking(self: Remote, name: str, data: bytes) -> None:
        nonlocal puts
        puts += 1
        if puts == 5:
            if self.scheme not in ("s3",):
                folder, _, last = name.rpartition("/")
                damage(self, f"{folder}/.{last}.0.tmp", data[:3])
            raise Unreachable("the line is cut")
        real(self, name, data)

    monkeypatch.setattr(Remote, "put", breaking)
    done = remote.push(here, keys)
    assert done.cells + len(done.left) == 4 and done.left and "cut" in done.reason
    assert remote.keys() == set(keys) - set(done.left)
    assert remote.fetch(keys, there) == remote.keys()
    puts = 100
    assert remote.push(here, keys).cells == len(done.left), "a later push goes on"
    assert remote.fetch(keys, there) == set(keys)


def test_an_ssh_server_that_is_not_known_is_refused(
    sftp: Sftp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    apply(monkeypatch, sftp.environment)
    (tmp_path / "nobody").write_text("")
    monkeypatch.setenv("NOISEBOOK_KNOWN_HOSTS", str(tmp_path / "nobody"))
    with pytest.raises(Unreachable, match=r"not in .*nobody"):
        Remote(sftp.url).keys()


def test_a_line_that_is_cut_silently_is_not_waited_for(
    sftp: Sftp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The server's processes stand still: its connections stay open, and nothing comes."""
    apply(monkeypatch, sftp.environment)
    monkeypatch.setattr("noisebook.shared.connection.READ_SECONDS", 3)
    here = new_store(tmp_path / "here")
    keys = [put(here, value) for value in range(2)]
    remote = Remote(f"{sftp.url}-cut")
    assert remote.push(here, keys[:1]).cells == 1
    sftp.freeze()
    try:
        done = remote.push(here, keys)
        assert done.left == keys and "cannot be reached" in done.reason
    finally:
        sftp.freeze(thaw=True)
    assert remote.push(here, keys).cells == 1 and remote.keys() == set(keys)


def test_http_is_for_reading(tmp_path: Path) -> None:
    here, there = new_store(tmp_path / "here"), new_store(tmp_path / "there")
    keys = [put(here, value) for value in range(3)]
    server = Http(here.place)
    server.start()
    try:
        remote = Remote(server.url)
        assert remote.fetch([*keys, "f" * 64], there) == set(keys)
        assert all(there.has(key) for key in keys)
        refused = remote.push(here, keys)
        assert refused.left == keys and "only be read" in refused.reason
    finally:
        server.stop()
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        remote.fetch(keys, there)


@pytest.mark.parametrize(
    "url",
    [
        "sftp://ann:hunter2@host/place",
        "s3://AKIA:hunter2@bucket/x",
        "https://host/x?sig=hunter2",
        "s3://bucket/x#hunter2",
    ],
)
def test_a_url_with_a_secret_is_refused_and_the_secret_not_repeated(url: str, book: Book) -> None:
    with pytest.raises(BadPlace) as caught:
        check_url(url)
    assert "hunter2" not in str(caught.value)
    book.write("report.yaml", f"title: Grey\nmodel: exact\nstore: {url!r}\n")
    done = book.run("build")
    assert done.returncode == 2 and "environment" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stdout + done.stderr


def test_scrubbing() -> None:
    assert scrub("at s3://a:b@c/d?k=v now") == "at s3://***@c/d?*** now"
    assert scrub("sftp://host/x") == "sftp://host/x"


@pytest.mark.parametrize("url", ["gopher://x/y", "s3://bucket/*", "simplecache::s3://bucket/x"])
def test_what_cannot_be_a_store(url: str) -> None:
    with pytest.raises(BadPlace):
        check_url(url)


def shared_book(make: Callable[[], Book], url: str) -> Book:
    book = make()
    book.write("report.yaml", f"title: Grey\nmodel: exact\nstore: {url}\n")
    return book


def test_a_team(sftp: Sftp, tmp_path: Path) -> None:
    """One computes and pushes; another publishes without torch and numpy; the server goes and comes back."""
    url = f"{sftp.url}-team"
    ann = shared_book(lambda: Book(tmp_path / "ann" / "book", tmp_path / "ann" / "user"), url)
    ben = shared_book(lambda: Book(tmp_path / "ben" / "book", tmp_path / "ben" / "user"), url)
    assert ann.run("build", **sftp.environment).returncode == 0
    assert len(ann.computed()) == 3
    told = ann.run("push", **sftp.environment)
    assert told.returncode == 0 and "pushed 3 cells" in told.stdout, told.stderr

    done = ben.run(
        "build", "--frozen", prelude="sys.modules['torch'] = sys.modules['numpy'] = None", **sftp.environment
    )
    assert done.returncode == 0, done.stderr
    assert "fetched 3 cells" in done.stdout and ben.computed() == []
    assert (ben.root / "site" / "tiles.html").exists()
    for path in (ben.root / "site").rglob("*"):
        if path.is_file():
            assert str(sftp.files).encode() not in path.read_bytes(), "no address in the site"

    sftp.stop()
    try:
        ben.tiles([1, 2, 3, 4])
        started = time.monotonic()
        done = ben.run("build", **sftp.environment)
        assert done.returncode == 0, done.stderr
        assert "cannot be reached" in done.stderr and "going on" in done.stderr
        assert ben.computed() == ["v=4"] and time.monotonic() - started < 150
        done = ben.run("push", **sftp.environment)
        assert done.returncode == 1 and "4 cells are left" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        sftp.start()
    done = ben.run("push", **sftp.environment)
    assert "pushed 1 cell," in done.stdout, done.stderr
    ann.tiles([1, 2, 3, 4])
    done = ann.run("pull", **sftp.environment)
    assert "fetched 1 cell from" in done.stdout and "0 are not there" in done.stdout
    ann.build("--frozen")
    assert ann.computed() == []


def test_a_push_that_is_killed_leaves_whole_cells(sftp: Sftp, tmp_path: Path) -> None:
    book = shared_book(lambda: Book(tmp_path / "book", tmp_path / "user"), f"{sftp.url}-killed")
    values = list(range(30))
    book.tiles(values)
    assert book.run("build", **sftp.environment).returncode == 0
    shared = Path(f"{sftp.files}/shared-killed")
    process = book.start("push", **sftp.environment)
    while process.poll() is None and len(list(shared.glob("cells/[!.]*"))) < 3:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = Store(shared, None, tmp_path / "none")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.scan()
    assert len(store.entries) >= 3 and all(store.has(key) for key in store.entries)
    before = len(store.entries)
    told = book.run("push", **sftp.environment)
    assert f"pushed {len(values) - before} cells" in told.stdout, told.stderr
    store.scan()
    assert len(store.entries) == len(values)


def test_the_doctor_says_what_is_wrong_with_the_shared_store(book: Book) -> None:
    for place, text in (
        (f"http://127.0.0.1:{free_port()}", "cannot be reached"),
        ("s3://a:verysecret@b/c", "environment"),
    ):
        [finding] = [
            each for each in examine(Project(book.root, place=place)) if each.about == "shared store"
        ]
        assert finding.level == "wrong" and text in finding.found and finding.mend
        assert "verysecret" not in str(finding)


def test_a_later_versions_record_there_is_overwritten_by_nobody(tmp_path: Path) -> None:
    store = new_store(tmp_path / "one")
    later, damaged = put(store, 1), put(store, 2)
    remote = Remote(f"file://{tmp_path / 'shared'}")
    assert remote.push(store, [later, damaged]).cells == 2
    place = tmp_path / "shared" / "cells"
    record = sealed({**json.loads((place / f"{later}.json").read_bytes()), "format": FORMAT + 1})
    (place / f"{later}.json").write_bytes(record)
    (place / f"{damaged}.json").write_bytes(b"x")
    with told() as caught:
        assert remote.push(store, [later, damaged], again=True).cells == 1
    assert any("later version" in str(each.message) for each in caught)
    assert (place / f"{later}.json").read_bytes() == record and parse(
        damaged, (place / f"{damaged}.json").read_bytes()
    )


def test_a_shared_store_gives_no_more_than_was_asked_for(tmp_path: Path) -> None:
    store = new_store(tmp_path / "one")
    some = [put(store, value) for value in range(4)]
    place = tmp_path / "shared"
    remote = Remote(f"file://{place}")
    assert remote.push(store, some).cells == 4
    (place / "cells" / f"{some[0]}.json").unlink()
    (place / "cells" / f"{some[0]}.json").symlink_to("/dev/zero")
    (place / "cells" / f"{some[1]}.json").unlink()
    os.mkfifo(place / "cells" / f"{some[1]}.json")
    record = store.get(some[2])
    assert record is not None
    large = next(output for output in record.outputs if output.data is None and output.keep == "published")
    with (place / "objects" / large.sha256).open("r+b") as file:
        file.truncate(10**12)  # sparse
    with told():
        assert remote.fetch(some, new_store(tmp_path / "other")) == {some[3]}
