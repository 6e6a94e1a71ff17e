"""noisebook publish --check and noisebook models: what is told, and what it follows from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from noisebook import publish
from noisebook.models import catalogue
from noisebook.models.lock import MissingModel, known, pin, read_lock
from noisebook.project import Project

from .conftest import Book


def git(book: Book, *arguments: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *arguments], cwd=book.root, check=True, capture_output=True)


def test_a_report_is_ready_once_it_is_built_and_committed(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(status: int, *said: str) -> None:
        done = book.run("publish", "--check")
        assert done.returncode == status, done.stdout + done.stderr
        assert all(each in done.stdout for each in said), done.stdout

    check(
        1, "wrong cells: 3 are not computed", "wrong site: not built", "wrong git: the report is in no repo"
    )
    book.build()
    check(1, "ok    cells", "ok    site", "wrong git")
    git(book, "init")
    book.write(".gitignore", "/site/\n/.noisebook/\n__pycache__/\n")
    check(1, "under cache/ are not committed")
    git(book, "add", ".")
    git(book, "commit", "-m", "all")
    check(0, "ok    git: everything is committed", "note  base_url: none")
    book.write("requirements.txt", "noisebook @ git+https://HOST/OWNER/REPOSITORY@COMMIT\n")
    check(1, "wrong requirements.txt", "note  git: 1 change not committed")
    book.write("requirements.txt", "noisebook==0.1.0\n")
    book.write("report.yaml", "title: Grey\nmodel: exact\nbase_url: https://a.example.org/b\n")
    check(0, "ok    requirements.txt", "ok    base_url")
    book.write("report.yaml", "title: Grey\nmodel: auto\n")
    check(1, "wrong model: auto")
    monkeypatch.setattr(publish, "FILE_BYTES", 10.0)
    found = {finding.about: finding for finding in publish.examine(Project(book.root))}
    assert found["site"].level == "wrong" and found["git"].level == "wrong"


def test_models_are_listed_with_what_each_can_do(book: Book) -> None:
    done = book.run("models", "list")
    assert done.returncode == 0, done.stderr
    for name in (*{each.partition("/")[0] for each in known(book.root)}, "deepfloyd-m"):
        assert f"{name}: " in done.stdout
    assert "not pinned: noisebook models add deepfloyd-xl" in done.stdout
    listed = {each.name: each for each in catalogue.listed(book.root)}
    assert (
        listed["exact"].state == "here" and listed["exact"].bytes > 1e6 and "MIT" in listed["exact"].licence
    )


def test_a_model_is_added_and_removed(book: Book, tmp_path: Path) -> None:
    assert book.run("models", "add", "library").stdout == "library: here\n"
    done = book.run("models", "add", "deepfloyd-xl", "--folder", str(tmp_path))
    assert done.returncode == 1 and "one stage" in done.stderr and "Traceback" not in done.stderr
    done = book.run("models", "add", "nonsense")
    assert done.returncode == 1 and "models list" in done.stderr
    file = book.write("models/own.bin", "own")
    fields = {"kind": "model", "loader": "noisebook.models.net", "revision": "1", "licence": "MIT"}
    pin(book.root, "own/stage1", [file.relative_to(book.root).as_posix()], **fields)
    assert "own: pinned by this report" in book.run("models", "list").stdout
    assert book.run("models", "remove", "own").stdout == "unpinned own/stage1\n"
    assert (
        read_lock(book.root) == {}
        and json.loads((book.root / "models.lock.json").read_text())["entries"] == {}
    )
    with pytest.raises(MissingModel, match="comes with Noisebook"):
        catalogue.remove(book.root, "exact")


def test_what_a_machine_lacks_is_told_before_it_computes(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = known(book.root)
    names = ["exact/stage1", "net/stage1", "library"]
    assert not list(catalogue.lacking(names, lock, book.root))
    monkeypatch.setattr(catalogue, "find_spec", lambda name: None)
    said = "\n".join(catalogue.lacking(names, lock, book.root))
    assert "torch" in said and "prompts" in said and "[compute]" in said
    lock["exact/stage1"] = {**lock["exact/stage1"], "files": {"models/none.zip": "0" * 64}}
    lock["deep/stage1"] = {
        **lock["exact/stage1"],
        "repository": "a/b",
        "loader": "noisebook.models.deepfloyd",
    }
    told = list(catalogue.lacking(["exact/stage1", "deep/stage1"], lock, book.root))
    assert "exact/stage1 is not on this machine: noisebook[compute] brings this file" in "\n".join(told)
    assert "deep/stage1 is not on this machine: it will be downloaded" in told
