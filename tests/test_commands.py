"""The command line itself: what goes wrong is told to a person, with an exit status and no traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from noisebook import commands
from noisebook.cells.store import StoreFull
from noisebook.report.model import BadInput, Position, Problem

from .conftest import Book


def shell(book: Book, script: str) -> subprocess.CompletedProcess[str]:
    """A line of sh in the report's folder, where $N is the command line."""
    command = f'N() {{ "{sys.executable}" -m noisebook.cli "$@"; }}; {script}'
    return subprocess.run(
        ["bash", "-c", command], cwd=book.root, env=book.environment(), capture_output=True, text=True
    )


@pytest.mark.parametrize("script", ["N build | head -1", "N build | true", "N build >&-", "N build 2>&- >&-"])
def test_a_build_whose_words_nobody_reads_is_finished(book: Book, script: str) -> None:
    done = shell(book, f"set -o pipefail; {script}")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(book.stored()) == 3 and (book.root / "site/index.html").is_file()


def test_what_is_registered_for_the_end_is_done_at_it(book: Book) -> None:
    registered = "import atexit; atexit.register(print, 'the end')"
    code = f"{registered}; from noisebook.cli import script; script(); print('after')"
    done = shell(book, f'"{sys.executable}" -c "{code}" --version')
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "the end"


def test_an_output_that_is_full_is_told(book: Book) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    for command in ("build", "build", "status --json"):
        done = shell(book, f"N {command} > /dev/full")
        assert done.returncode == 1
        assert done.stderr == f"Error: the output could not be written: {os.strerror(errno.ENOSPC)}\n"
    assert len(book.stored()) == 3


def test_few_open_files_are_enough_or_said(book: Book) -> None:
    book.tiles(list(range(60)))
    done = shell(book, "ulimit -n 40; N build")
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or "ulimit -n" in done.stderr, done.stderr


def test_a_working_folder_that_is_gone(book: Book) -> None:
    done = shell(book, "mkdir gone; cd gone; rmdir ../gone; N build; N status; N init")
    assert done.stderr.count("the working folder is gone") == 3 and "Traceback" not in done.stderr


@pytest.mark.parametrize("port", ["99999", "-1", "eighty"])
def test_a_port_that_cannot_be(book: Book, port: str) -> None:
    done = book.run("serve", "--port", port)
    assert done.returncode == 2 and "--port" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("place", ["site", "cache", ".noisebook", "sections", "report.yaml"])
@pytest.mark.parametrize("other", ["file", "folder", "dangling"])
def test_something_else_where_a_folder_or_file_belongs(book: Book, place: str, other: str) -> None:
    path = book.root / place
    if path.exists():
        path.rename(book.root.parent / "moved")
    if other == "file":
        path.write_text("x")
    elif other == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere/at/all")
    done = book.run("build")
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or (done.returncode in (1, 2) and done.stderr), done


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """``noisebook status`` on a report that raises an error: its exit status and what it said."""

    def run(error: BaseException, *arguments: str) -> tuple[int, str]:
        def raises() -> None:
            raise error

        monkeypatch.setattr(commands, "opened", raises)
        done = CliRunner().invoke(commands.cli, ["status", *arguments])
        return done.exit_code, done.stderr

    return run


def test_whatever_goes_wrong_has_a_message_and_a_status(failing: Callable[..., tuple[int, str]]) -> None:
    bad = BadInput([Problem(Position("report.yaml"), "no title", "write one")])
    status, said = failing(bad)
    assert status == 2 and "no title" in said and "nothing was computed" in said
    assert failing(StoreFull("make room")) == (1, "Error: make room\n")
    status, said = failing(OSError(errno.ENOSPC, "No space left", "cache/objects/ab"))
    assert status == 1 and "cache/objects/ab" in said and "make room" in said
    status, said = failing(PermissionError(errno.EACCES, "Permission denied", "cache"))
    assert status == 1 and "cache: Permission denied" in said
    status, said = failing(KeyboardInterrupt())
    assert status == 1 and said == "stopped; everything that was finished is kept\n"
    for error in (ValueError("what?"), RecursionError("deep"), KeyError("x")):
        status, said = failing(error)
        assert status == 1 and type(error).__name__ in said and "--debug" in said
        assert "Traceback" not in said
        assert "Traceback" in failing(error, "--debug")[1]
    assert failing(MemoryError())[0] == 1 and "out of memory. Fewer cells" in failing(MemoryError())[1]


@pytest.mark.parametrize(
    "place",
    ["http://[x", "s3://", "sftp://host:99999/x", "://x", "file://", "", "report.yaml", "sections", "."],
)
def test_a_store_that_cannot_be_one_is_told(book: Book, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(book.root)
    for command in ("build", "push", "pull"):
        done = CliRunner().invoke(commands.cli, [command, "--store", place])
        assert done.exit_code == 2 and "Invalid value for '--store'" in done.output
