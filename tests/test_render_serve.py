"""The live preview as its author starts it."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from noisebook.render.serve import Preview, start
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
            "..%2fsecret.html",
            "none.html",
        ):
            status, text = get(address + path)
            assert status == 404 and "secret" not in text, path
        with pytest.raises(BadInput, match=f"127.0.0.1:{port}"):
            start(site, preview, "127.0.0.1", port)
    finally:
        preview.close()
        server.shutdown()
        server.server_close()
