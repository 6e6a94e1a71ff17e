"""A figure in one file is a report that builds, and that repeats the figure."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from .conftest import Book


def exported(book: Book, name: str = "one.zip") -> zipfile.ZipFile:
    done = book.run("export", "tiles", "--output", name)
    assert done.returncode == 0, done.stderr
    return zipfile.ZipFile(book.root / name)


def test_the_bytes_depend_on_the_content_alone(book: Book) -> None:
    book.build()
    exported(book)
    (book.root / "sections" / "tiles.md").touch()
    exported(book, "two.zip")
    assert (book.root / "one.zip").read_bytes() == (book.root / "two.zip").read_bytes()


def test_it_holds_code_records_pictures_and_verdicts(book: Book) -> None:
    book.build()
    book.run("verify")
    archive = exported(book)
    names = set(archive.namelist())
    assert {"README.md", "report.yaml", "generators/tile.py", "generators/_paint.py"} <= names
    assert "code/noisebook/cells/outputs.py" in names and "cache/checks.json" in names
    assert {f"pictures/v={value}-picture.png" for value in (1, 2, 3)} <= names
    records = [json.loads(archive.read(name)) for name in names if name.startswith("cache/cells/")]
    assert {record["key"] for record in records} == book.stored()
    for name in names:
        if name.startswith("cache/objects/"):
            assert hashlib.sha256(archive.read(name)).hexdigest() == name.rpartition("/")[2]
    readme = archive.read("README.md").decode()
    assert readme.count("agrees: the same bytes") == 3 and "noisebook verify" in readme


def test_its_drawings_are_clean_and_its_pictures_proven(book: Book) -> None:
    """Who opens them from an archive has no policy of a site's around them."""
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><path d="M0 0"/></svg>'
    book.edit(
        "generators/tile.py",
        'number("value", value)]',
        f'Output("drawn", "image/svg+xml", {drawing!r}), Output("film", "video/mp4", b"\\0\\0\\0\\0ftyp")]',
    )
    book.build()
    archive = exported(book)
    clean = archive.read("pictures/v=1-drawn.svg")
    assert b"<path" in clean and b"script" not in clean


def test_it_says_where_this_very_noisebook_is_to_be_had(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not under a bare name, which may be another's at an index."""
    from noisebook.report import starter

    line = "pip install '{}'"
    for source, said in (
        (
            {"url": "file:///home/me"},
            "pip install 'noisebook[compute] @ git+https://HOST/OWNER/REPOSITORY@COMMIT'",
        ),
        (
            {"url": "https://host/noisebook.git", "vcs_info": {"vcs": "git", "commit_id": "1a2b"}},
            "pip install 'noisebook[compute] @ git+https://host/noisebook.git@1a2b'",
        ),
    ):
        package = SimpleNamespace(version="0.1.0", read_text=lambda name, source=source: json.dumps(source))
        monkeypatch.setattr(starter.metadata, "distribution", lambda name, package=package: package)
        assert starter.requirement("[compute]", line).splitlines()[-1] == said
    monkeypatch.undo()
    book.build()
    readme = exported(book).read("README.md").decode()
    assert starter.requirement("[compute]", line) in readme


def test_it_builds_and_repeats_what_it_shows(book: Book, tmp_path: Path) -> None:
    book.edit("sections/tiles.md", "caption: Tiles of grey.", 'caption: "[@nobody]"')
    book.write("references.bib", "@misc{nobody, title={None}}")
    book.build()
    exported(book).extractall(tmp_path / "there")
    there = Book.__new__(Book)
    there.root, there.cache = tmp_path / "there", tmp_path / "cache-of-another-machine"
    assert "computed 0, cached 3" in there.build("--frozen")
    done = there.run("verify")
    assert done.returncode == 0 and "3 of 3 cells agree" in done.stdout
    there.edit("generators/_paint.py", "def paint(value):", "def paint(value):\n    value = value + 0")
    assert "3 stale" in there.run("status").stdout


def test_what_cannot_be_exported_is_told(book: Book) -> None:
    done = book.run("export", "tiles")
    assert done.returncode == 1 and "3 cells are missing" in done.stderr
    done = book.run("export", "tilse")
    assert done.returncode == 2 and "did you mean 'tiles'?" in done.stderr
