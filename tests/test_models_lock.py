"""The lock file: what is pinned, what is refused, and that planning with it needs no torch."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from noisebook.models.lock import MissingModel, load, pin, read_lock, verify

FIELDS = {"kind": "data", "loader": "noisebook.models.nowhere", "revision": "1", "licence": "MIT"}


def test_pin_writes_digests_and_keeps_other_entries(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"a")
    pin(tmp_path, "one", ["a.bin"], **FIELDS)
    pin(tmp_path, "two", {"b": tmp_path / "a.bin"}, **FIELDS)
    lock = read_lock(tmp_path)
    assert list(lock) == ["one", "two"]
    assert lock["one"]["files"] == {"a.bin": hashlib.sha256(b"a").hexdigest()}
    assert verify("one", lock["one"], tmp_path) == {"a.bin": tmp_path / "a.bin"}


@pytest.mark.parametrize("content", [None, b"b"])
def test_missing_and_altered_files_are_named(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "a.bin").write_bytes(b"a")
    entry = pin(tmp_path, "one", ["a.bin"], **FIELDS, get="Ask the librarian.")
    (tmp_path / "a.bin").unlink()
    if content:
        (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(
        MissingModel, match=r"one cannot.*\n.*a\.bin: (missing|not the pinned).*\nAsk the librarian"
    ):
        verify("one", entry, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2, "entries": {}}',
        '{"format": 1, "entries": {"x": {"kind": "model"}}}',
        '{"format": 1}',
    ],
)
def test_a_broken_lock_file_is_an_error_for_people(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.lock.json").write_text(text)
    with pytest.raises(MissingModel, match=r"models\.lock\.json"):
        read_lock(tmp_path)


def test_no_lock_file_means_no_entries(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == {}


def test_load_refuses_what_is_not_a_module_name(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match="module name"):
        load("x", {**FIELDS, "loader": "os; rm", "files": {}}, tmp_path)


def test_planning_needs_no_torch() -> None:
    code = "import sys, noisebook.models.lock; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.strip().lower()) is False
