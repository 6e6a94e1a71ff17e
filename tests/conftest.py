"""Small reports that need no torch, for the tests of the build."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import browser, open_page  # noqa: F401 (fixtures)
from tests.words_report import words_model, words_site  # noqa: F401 (fixtures)

if TYPE_CHECKING:
    from noisebook.models.library import Library

# What is started here hears Ctrl-C, even where the tests themselves run in the background and do not.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums of torch in one order, on every machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def library() -> Library:
    """The pictures that ship with the report."""
    from noisebook.models.library import shipped

    return shipped(Path(__file__).parent.parent / "models/library.zip")


TILE = '''
"""Flat tiles: the smallest generator that leaves pictures."""

import os
import time
from collections.abc import Iterator, Sequence

from noisebook.cells.contract import Cell, Context, Output, Params as Base, Result
from noisebook.cells.outputs import number, picture
from pydantic import Field

from . import _paint


class Params(Base):
    values: list[int] = Field(description="grey values", min_length=1)
    pause: float = Field(0.0, ge=0, description="seconds a cell takes")


def cells(params: Params) -> list[Cell]:
    return [
        Cell(id=f"v={value}", label=f"grey {value}", alt=f"a grey tile of {value}", params={"value": value})
        for value in params.values
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    for cell in cells:
        log = os.environ.get("TILE_LOG")
        if log:
            with open(log, "a") as file:
                file.write(cell.id + "\\n")
        time.sleep(float(os.environ.get("TILE_PAUSE", "0")))
        context.progress(cell, 1, 1)
        value = cell.params["value"]
        yield cell, [picture("picture", _paint.paint(value)), number("value", value)]
'''

PAINT = '''
"""What tiles look like."""


def paint(value):
    """A tile."""
    import numpy as np

    # noisy enough for a file of its own
    return np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8) ^ np.uint8(value % 256)


def unused():
    return 1
'''

SECTION = """
---
title: Tiles
generator: tile
params:
  values: {values}
caption: Tiles of grey.
alt: A row of grey tiles.
---
Some grey.
"""


HANGS = 600.0
"""Seconds after which a process is taken to hang. No test is about speed: others may hold the processors."""


class Book:
    """A report in a folder of its own, and the command line on it."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root, self.cache = root, cache
        self.write("report.yaml", "title: Grey\nmodel: exact\n")
        self.write("generators/tile.py", TILE)
        self.write("generators/_paint.py", PAINT)
        self.tiles([1, 2, 3])

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        return path

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def tiles(self, values: list[int]) -> None:
        self.write("sections/tiles.md", SECTION.format(values=values))

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "NOISEBOOK_CACHE_DIR": str(self.cache), "TILE_LOG": str(self.log), **more}

    @property
    def log(self) -> Path:
        return self.root.parent / "tile.log"

    def computed(self) -> list[str]:
        """The cells that were computed since the last question."""
        lines = self.log.read_text().split() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def start(self, *arguments: str, prelude: str = "", **environment: str) -> subprocess.Popen[str]:
        """The command line in a process of its own; ``prelude`` runs in it before.

        It does not wait for the disk, which others may hold for seconds: no test cuts the power.
        """
        quick_disk = "import os, sys; os.fsync = lambda descriptor: None"
        code = f"{quick_disk}\n{textwrap.dedent(prelude)}\nfrom noisebook.cli import main\nmain()"
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=self.root,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, prelude: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, prelude=prelude, **environment)
        out, err = process.communicate(timeout=HANGS)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def build(self, *arguments: str) -> str:
        """A build that must succeed; what it printed."""
        done = self.run("build", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def stored(self) -> set[str]:
        return {path.stem for path in (self.root / "cache" / "cells").glob("[!.]*.json")}


@pytest.fixture
def make_book(tmp_path: Path) -> Callable[[], Book]:
    return lambda: Book(tmp_path / "book", tmp_path / "user-cache")


@pytest.fixture
def book(make_book: Callable[[], Book]) -> Book:
    return make_book()
