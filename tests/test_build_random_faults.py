"""Faults at random, by a printed seed: what was stored whole is never computed again."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from noisebook.cells.record import Record, parse

from .conftest import HANGS, Book
from .test_build_faults import KILL_INSIDE_PUT

VALUES = list(range(8))
FAULTS = ("kill", "kill push", "spoil here", "spoil there", "race", "refuse", "full")


def records(folder: Path) -> dict[str, Record | None]:
    """Every finished record by key; None for one that is damaged."""
    found: dict[str, Record | None] = {}
    for path in folder.glob("cells/[!.]*.json"):
        try:
            found[path.stem] = parse(path.stem, path.read_bytes())
        except ValueError:
            found[path.stem] = None
    return found


def whole(folder: Path) -> set[str]:
    """The keys of the cells that are there with every byte."""

    def good(sha: str) -> bool:
        path = folder / "objects" / sha
        return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha

    return {
        key
        for key, record in records(folder).items()
        if record and all(o.data is not None or good(o.sha256) for o in record.outputs)
    }


def spoil(folder: Path, chance: random.Random) -> None:
    """Flip one bit of one file."""
    path = chance.choice(sorted(folder.glob("[co]*/[!.]*")))
    data = bytearray(path.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def lose(folder: Path, chance: random.Random) -> None:
    """Some records, without which their objects are nothing."""
    some = sorted(folder.glob("cells/[!.]*.json"))
    for path in chance.sample(some, min(len(some), chance.randrange(1, 4))):
        path.unlink()


def strike(book: Book, shared: Path, fault: str, chance: random.Random) -> None:
    """One fault, in a build or a push."""
    if fault == "kill":
        inside = chance.random() < 0.5
        prelude = KILL_INSIDE_PUT.format(seed=chance.random()) if inside else ""
        process = book.start("build", prelude=prelude, TILE_PAUSE="0.02")
        if not inside:
            time.sleep(chance.uniform(0.3, 2.0))
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=HANGS)
    elif fault == "kill push":
        book.build()
        process = book.start("push", prelude=KILL_INSIDE_PUT.format(seed=chance.random()))
        process.communicate(timeout=HANGS)
    elif fault == "race":
        builds = [book.start("build", TILE_PAUSE="0.02") for _ in range(2)]
        for process in builds:
            out, err = process.communicate(timeout=HANGS)
            assert process.returncode == 0, out + err
    elif fault == "refuse":
        away = shared.rename(shared.with_name("away"))
        shared.write_text("no store at all")
        done = book.run("build")
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        done = book.run("push")
        assert done.returncode == 1 and "are left" in done.stderr and "Traceback" not in done.stderr
        shared.unlink()
        away.rename(shared)
    elif fault == "full":
        limit = chance.randrange(40, 400)
        prelude = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
        done = book.run("build", prelude=prelude)
        assert "Traceback" not in done.stderr, done.stderr
    else:
        done = book.run("build")
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


def rounds(book: Book, count: int, seed: int) -> None:
    print(f"FAULT_SEED={seed}")
    chance = random.Random(seed)
    here, shared = book.root / "cache", book.root.parent / "shared"
    book.write("report.yaml", f"title: Grey\nmodel: exact\nstore: file://{shared}\n")
    book.tiles(VALUES)
    book.build()
    book.run("push")
    assert whole(shared) == whole(here) and len(whole(here)) == len(VALUES)
    names = {key: str(record.provenance["cell"]) for key, record in records(here).items() if record}
    deck: list[str] = []
    for number in range(count):
        deck = deck or chance.sample(FAULTS, len(FAULTS))
        fault = deck.pop()
        for folder in (here, shared):
            lose(folder, chance)
        if fault == "spoil here" and list(here.glob("cells/[!.]*")):
            spoil(here, chance)
        if fault == "spoil there" and list(shared.glob("cells/[!.]*")):
            spoil(shared, chance)
        reached = set() if fault == "refuse" else whole(shared)
        stored, told = whole(here) | reached, f"round {number}: {fault} (FAULT_SEED={seed})"
        book.computed()
        strike(book, shared, fault, chance)
        done = Counter(book.computed())
        again = {names[key] for key in stored} & done.keys()
        assert not again, f"{told}: computed again though stored: {again}"
        if fault != "kill":
            assert max(done.values(), default=1) == 1, f"{told}: {done}"
        assert whole(here) == records(here).keys(), f"{told}: what stands in the store is not whole"
        assert whole(here) >= stored or fault in ("kill", "full", "refuse"), told
        if fault != "spoil there":
            assert set(records(shared)) - whole(shared) == set(), f"{told}: half a cell is visible"
        elif broken := set(records(shared)) - whole(shared):
            keys = [f"tiles/{names[key]}" for key in broken]
            assert book.run("push", "--again", *keys).returncode == 0, told
            assert set(records(shared)) == whole(shared), (
                f"{told}: a damaged cell is mended by pushing it again"
            )
    book.build()
    assert book.run("push").returncode == 0
    assert names.keys() == whole(here) == whole(shared)


def test_random_faults(book: Book) -> None:
    rounds(book, 10, int(os.environ.get("FAULT_SEED") or random.randrange(2**32)))


@pytest.mark.soak
def test_random_faults_for_long(book: Book) -> None:
    rounds(book, 200, int(os.environ.get("FAULT_SEED") or random.randrange(2**32)))
