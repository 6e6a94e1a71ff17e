"""The live preview as its author starts it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from noisebook.render.serve import CLIENTS, Preview, start
from noisebook.report.model import BadInput
from tests.conftest import Book


@pytest.fixture
def preview(book: Book) -> Iterator[tuple[Book, str]]:
    process = book.start("serve", "--port", "0", PYTHONUNBUFFERED="1")
    try:
        assert process.stdout
        line = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert address, line + (process.stderr.read() if process.stderr and process.poll() else "")
        yield book, address[0]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def eventually(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_edits_reach_the_page_and_mistakes_are_told(preview: tuple[Book, str]) -> None:
    book, address = preview
    eventually(lambda: "Some grey." in get(address + "tiles.html")[1])
    assert "/.noisebook/reload.js" in get(address + "tiles.html")[1]
    assert "reload.js" not in (book.root / "site" / "tiles.html").read_text()
    book.edit("sections/tiles.md", "Some grey.", "More grey.")
    eventually(lambda: "More grey." in get(address + "tiles.html")[1])
    with urllib.request.urlopen(address + ".noisebook/events", timeout=30) as events:

        def problems() -> list[str]:
            while not (line := events.readline()).startswith(b"data: "):
                pass
            return list(json.loads(line[6:])["problems"])

        assert problems() == []
        book.edit("sections/tiles.md", "generator: tile", "generator: tille")
        eventually(lambda: any("tille" in problem for problem in problems()))
        book.edit("sections/tiles.md", "generator: tille", "generator: tile")
        eventually(lambda: problems() == [])
    assert "More grey." in get(address + "tiles.html")[1]


def test_only_the_site_is_served(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "secret.html").write_text("secret")
    (site / ".noisebook.json").write_text("secret")
    (site / "index.html").write_text("<body>page</body>")
    (site / "leak.html").symlink_to(tmp_path / "secret.html")
    (site / "leak").symlink_to(tmp_path)
    os.mkfifo(site / "pipe.html")
    os.mkfifo(site / "pipe.css")
    preview = Preview()
    server = start(site, preview, "127.0.0.1", 0)
    port = server.server_address[1]
    address = f"http://127.0.0.1:{port}/"
    try:
        assert "page<script" in get(address)[1]
        for path in (
            "../secret.html",
            "%2e%2e/secret.html",
            ".noisebook.json",
            "%2enoisebook.json",
            "%2Enoisebook.json?x",
            "assets/..%2f%2enoisebook.json",
            "%2fx/%2e%2e/.noisebook.json",
            "..%2fsecret.html",
            "none.html",
            "leak.html",
            "leak/secret.html",
            "pipe.html",
            "pipe.css",
            "%00",
            "secret%00.html",
            "%252e%252e/secret.html",
            "%252enoisebook.json",
            "n" * 3000,
        ):
            status, text = get(address + path)
            assert status == 404 and "secret" not in text, path
        with pytest.raises(BadInput, match=f"127.0.0.1:{port}"):
            start(site, preview, "127.0.0.1", port)
    finally:
        preview.close()
        server.shutdown()
        server.server_close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "index.html").write_text("<body>page</body>")
    preview = Preview()
    server = start(tmp_path, preview, "127.0.0.1", 0)
    yield int(server.server_address[1])
    preview.close()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:PORT", 200),
        ("localhost", 200),
        ("LOCALHOST:PORT", 200),
        ("[::1]:PORT", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example:PORT", 403),
        ("localhost@evil.example", 403),
        ("evil.example:80@localhost.evil", 403),
        ("evil.example@localhost", 403),
        ("localhost#@evil.example", 403),
        ("", 403),
        ("[", 403),
    ],
)
def test_only_a_name_of_this_machine_is_answered(served: int, host: str, status: int) -> None:
    for path in ("/", "/.noisebook/reload.js"):
        connection = http.client.HTTPConnection("127.0.0.1", served, timeout=20)
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", host.replace("PORT", str(served)))
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


def test_the_host_that_was_asked_for_is_answered(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<body>page</body>")
    server = start(tmp_path, Preview(), "127.0.0.2", 0)
    try:
        assert get(f"http://127.0.0.2:{server.server_address[1]}/")[0] == 200
    finally:
        server.shutdown()
        server.server_close()


def test_clients_are_few_and_the_idle_ones_are_let_go(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisebook.render.serve._Handler.timeout", 0.5)
    idle = [socket.create_connection(("127.0.0.1", served)) for _ in range(CLIENTS + 40)]
    eventually(lambda: get_or_nothing(served) == 200)
    for each in idle:
        each.settimeout(20)
        assert each.recv(1) == b"", "it was let go"
        each.close()


def test_who_speaks_slowly_is_let_go_too(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisebook.render.serve._Handler.timeout", 1.0)
    slow = [socket.create_connection(("127.0.0.1", served)) for _ in range(CLIENTS)]

    def spoken() -> bool:
        for each in slow:
            with contextlib.suppress(OSError):  # it was let go
                each.sendall(b"G")
        return get_or_nothing(served) == 200

    eventually(spoken)
    for each in slow:
        each.close()


def get_or_nothing(port: int) -> int:
    try:
        return get(f"http://127.0.0.1:{port}/")[0]
    except OSError:
        return 0


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", 99999), ("no such host", 0), ("x" * 400, 0), ("8.8.8.8", 0)]
)
def test_a_bad_place_is_told(tmp_path: Path, host: str, port: int) -> None:
    with pytest.raises(BadInput, match="cannot listen on"):
        start(tmp_path, Preview(), host, port)
