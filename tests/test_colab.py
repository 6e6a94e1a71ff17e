"""The notebook for lent machines: its cells in order, with a stub for the drive, pip and git."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from noisebook.commands import cli

from .conftest import Book

NOTEBOOK = Path(__file__).resolve().parent.parent / "docs" / "colab.ipynb"


def code() -> list[str]:
    """The code cells, in order."""
    book = json.loads(NOTEBOOK.read_text())
    return ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]


def test_is_a_notebook() -> None:
    book = json.loads(NOTEBOOK.read_text())
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5) and len(book["cells"]) == 12
    assert len({cell["id"] for cell in book["cells"]}) == 12
    for cell in book["cells"]:
        assert cell["cell_type"] in ("markdown", "code") and all(isinstance(x, str) for x in cell["source"])
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
    for source in code():
        ast.parse(source)


class Machine:
    """A lent machine: the same drive each time, and a disk that is empty at first."""

    def __init__(self, folder: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.repository, self.monkeypatch = folder, repository, monkeypatch
        self.commands: list[list[str]] = []
        self.late = ""
        """A figure whose build takes longer than the notebook waits."""
        self.gone = ""
        """A figure at whose build the machine is taken away."""
        self.signals: list[int] = []
        monkeypatch.setattr(subprocess, "run", self.run)
        monkeypatch.setattr(subprocess, "Popen", self.popen)
        drive = ModuleType("google.colab.drive")
        drive.mount = lambda place: None  # type: ignore[attr-defined]
        colab = ModuleType("google.colab")
        colab.drive = drive  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
        monkeypatch.setitem(sys.modules, "google.colab", colab)
        monkeypatch.setitem(os.environ, "NOISEBOOK_CACHE_DIR", "")

    def run(self, command: Any, cwd: Any, **options: Any) -> Any:
        self.commands.append(list(command))
        if command[0] == "git":
            shutil.copytree(self.repository, command[-1])
        if command[0] != "noisebook":
            return SimpleNamespace(stdout="")
        self.monkeypatch.chdir(cwd)
        done = CliRunner().invoke(cli, list(command[1:]))
        assert done.exit_code == 0 or command[1] == "doctor", done.output
        return SimpleNamespace(stdout=done.stdout)

    def popen(self, command: Any, cwd: Any) -> Any:
        """A build, which is given its signal once the machine is late."""

        def wait(timeout: float | None = None) -> None:
            if self.gone in command:
                raise ConnectionAbortedError
            if self.late not in command:
                self.run(command, cwd)
            elif timeout is not None:
                raise subprocess.TimeoutExpired(command, timeout)

        return SimpleNamespace(wait=wait, send_signal=self.signals.append)

    def open(self, **settings: Any) -> None:
        """Run all cells, with the drive and the disk in this machine's folder."""
        names: dict[str, Any] = {}
        for number, source in enumerate(code()):
            exec(source.replace("/content", str(self.folder / "content")), names)
            if number == 0:
                names |= settings


def report(book: Book) -> None:
    figures = "".join(f"- {{id: {n}, generator: tile, params: {{values: [{ord(n)}]}}}}\n" for n in "ab")
    book.write("sections/tiles.md", f"---\ntitle: A\nfigures:\n{figures}---\n")


def built(machine: Machine) -> list[str]:
    """The figures that were computed since this was last asked."""
    found = [each[each.index("--only") + 1] for each in machine.commands if each[1] == "build"]
    machine.commands.clear()
    return found


def test_a_lost_machine_loses_the_figure_at_hand_and_no_other(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report(book)
    machine = Machine(tmp_path / "lent", book.root, monkeypatch)
    drive = tmp_path / "lent" / "content" / "drive" / "MyDrive" / "noisebook"
    machine.gone = "b"
    with pytest.raises(ConnectionAbortedError):
        machine.open()
    pip = next(each for each in machine.commands if "pip" in each)
    assert pip[-1].startswith("noisebook[compute] @ git+https://")
    assert built(machine) == ["a"] and len(list(drive.glob("store/cells/*"))) == 1
    # A new machine has the drive, and nothing else.
    shutil.rmtree(tmp_path / "lent" / "content" / "report")
    machine.gone, machine.late = "", "b"
    machine.open()
    assert built(machine) == [] and machine.signals == [2], "a build that takes too long is interrupted"
    machine.late = ""
    machine.open()
    assert built(machine) == ["b"]
    machine.open()
    assert built(machine) == []
    kept = {path.name for path in drive.glob("store/cells/*")}
    with zipfile.ZipFile(drive / "cache.zip") as archive:
        assert kept == {Path(name).name for name in archive.namelist() if name.endswith(".json")} - NOTES
    assert len(kept) == 2


NOTES = {"checks.json"}


def test_a_machine_after_another_means_the_same_models(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pins of a lost machine are on the drive; where the report has its own, those are meant."""
    report(book)
    machine = Machine(tmp_path / "lent", book.root, monkeypatch)
    content = tmp_path / "lent" / "content"

    def lock(**revisions: str) -> str:
        entries = {
            name: {"kind": "data", "loader": "noisebook.models.mnist", "revision": revision, "files": {}}
            for name, revision in revisions.items()
        }
        return json.dumps({"format": 1, "entries": entries})

    drive = content / "drive" / "MyDrive" / "noisebook"
    drive.mkdir(parents=True)
    (drive / "models.lock.json").write_text(lock(faces="1", cats="1"))
    book.write("models.lock.json", lock(cats="2"))
    machine.open(MINUTES=0)
    for folder in (content / "report", drive):
        entries = json.loads((folder / "models.lock.json").read_text())["entries"]
        assert {name: entry["revision"] for name, entry in entries.items()} == {"faces": "1", "cats": "2"}


def test_nothing_begins_once_the_minutes_are_over(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report(book)
    machine = Machine(tmp_path / "lent", book.root, monkeypatch)
    machine.open(MINUTES=0, ONLY=["a"], MODELS=["library"])
    assert "the minutes are over" in capsys.readouterr().out
    assert ["noisebook", "models", "add", "library"] in machine.commands and built(machine) == []
