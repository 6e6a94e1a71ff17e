"""noisebook doctor: each fault is found and told with how to mend it; no secret is shown."""

from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path

import pytest

from noisebook import doctor
from noisebook.doctor import Finding, examine
from noisebook.project import Project

from .conftest import Book


@pytest.fixture
def found(book: Book, monkeypatch: pytest.MonkeyPatch) -> object:
    """What the doctor says of a part of the book's installation."""
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(book.cache))

    def ask(about: str, **keywords: str) -> list[Finding]:
        return [finding for finding in examine(Project(book.root, **keywords)) if finding.about == about]  # type: ignore[arg-type]

    return ask


def test_a_sound_installation(book: Book) -> None:
    book.build()
    done = book.run("doctor", HF_TOKEN="hf_verysecret")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    store: 3 whole cells" in done.stdout and "ok    report: 3 cells, 0 not" in done.stdout
    assert "ok    token of Hugging Face: present" in done.stdout
    assert "verysecret" not in done.stdout + done.stderr


def test_every_fault_says_how_to_mend_it(book: Book, found, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    book.build()

    def told(about: str, level: str, text: str, **keywords: str) -> None:
        [finding] = found(about, **keywords)
        assert finding.level == level and text in finding.found and finding.mend, finding

    book.write("constraints.txt", f"pillow==1.0\nnumpy=={metadata.version('numpy')}\nnot-installed==3\n")
    told("packages", "note", "1 differ from constraints.txt: pillow")
    monkeypatch.setattr(doctor, "version", lambda name: None)
    told("device", "note", "only publish")
    assert any(f.level == "wrong" and "pillow" in f.found for f in found("packages"))
    monkeypatch.undo()
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(book.cache))

    [path] = sorted((book.root / "cache" / "objects").glob("[!.]*"))[:1]
    path.write_bytes(b"spoilt")
    told("store", "note", "1 damaged file set aside")
    told("store", "note", "1 cell without objects")
    monkeypatch.setattr(doctor, "DISK_BYTES", 1e30)
    told("disk of the report", "wrong", "GB free")
    told("disk of the cache", "wrong", "GB free")
    monkeypatch.setattr(doctor, "MEMORY_BYTES", 1e30)
    told("memory", "note", "GB free")
    monkeypatch.setattr(doctor, "PYTHON", (9, 9))
    told("Python", "wrong", "3.")
    monkeypatch.setenv("PATH", str(book.root))
    told("browser", "note", "none")
    for name in ("HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(book.root))
    told("token of Hugging Face", "note", "none")
    book.edit("sections/tiles.md", "values", "valeus")
    told("report", "wrong", "sections/tiles.md:5:3")


def test_a_store_that_cannot_be_written(book: Book, found) -> None:  # type: ignore[no-untyped-def]
    book.build()
    cache = book.root / "cache"
    cache.rename(book.root / "moved")
    Path(cache).write_text("a file, not a folder")
    [finding] = found("store")
    assert finding.level == "wrong" and "writable" in finding.mend
    done = book.run("doctor")
    assert done.returncode == 1 and os.linesep in done.stdout
    assert re.search(r"\d+ things? stands? in the way", done.stderr)
