"""A build with nothing to do, beside doit, Snakemake and DVC on the same graph, and how planning grows.

The graph: N cells that need nothing of each other, each drawing one file from one number. Every time is that
of a whole process, the median of several taken in turn with the other tools', so that ratios mean something
on a machine that is busy. Everything lies in memory where that is possible: disks differ too much.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from noisebook.cells.folders import user_cache

SMALL, LARGE = 40, 10_000
CURVE = (1_000, 10_000, 100_000)
SECTION = 500
"""Cells of one section."""
PINS = ("doit==0.37.0", "snakemake==9.27.1", "dvc==3.67.1")
ROOT = Path(__file__).parents[1]
NOISEBOOK = str(Path(sys.executable).with_name("noisebook"))

GENERATOR = '''
"""Flat tiles: next to no work of their own."""

from noisebook.cells.contract import Cell, Params as Base
from noisebook.cells.outputs import picture
from pydantic import Field


class Params(Base):
    values: list[int] = Field(description="grey values", min_length=1)


def cells(params):
    return [
        Cell(id=f"v={value}", label=f"grey {value}", alt=f"a grey tile of {value}", params={"value": value})
        for value in params.values
    ]


def run(cells, context):
    import numpy as np

    for cell in cells:
        yield cell, [picture("picture", np.full((8, 8), cell.params["value"] % 256, np.uint8))]
'''

DODO = """
from pathlib import Path
from doit.tools import config_changed

DOIT_CONFIG = {{"verbosity": 0, "reporter": "zero"}}


def write(value):
    Path(f"out/{{value}}.txt").write_text(f"{{value}}\\n")


def task_cell():
    Path("out").mkdir(exist_ok=True)
    for value in range({count}):
        yield {{
            "name": value,
            "actions": [(write, [value])],
            "targets": [f"out/{{value}}.txt"],
            "uptodate": [config_changed({{"value": value}})],
        }}
"""

SNAKEFILE = """
rule all:
    input: expand("out/{{value}}.txt", value=range({count}))

rule cell:
    output: "out/{{value}}.txt"
    params: value="{{value}}"
    shell: "echo {{params.value}} > {{output}}"
"""

DVC = """
stages:
  cell:
    foreach: [{values}]
    do:
      cmd: echo ${{item}} > out/${{item}}.txt
      outs:
        - out/${{item}}.txt
"""

PLAN = """
import pathlib
from noisebook.cells.plan import work
from noisebook.project import Project

project = Project(pathlib.Path.cwd())
print(len(work([cell for cells in project.planned.values() for cell in cells]).cells))
"""


@dataclass(frozen=True)
class Cost:
    """Of one process: wall-clock seconds, processor seconds, and the most memory (MB) that it held."""

    seconds: float
    busy: float
    megabytes: float


def run(command: list[str], folder: Path, environment: Mapping[str, str]) -> Cost:
    """Run a command that must succeed."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environment}, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{output.read().decode(errors='replace')[-3000:]}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def median(times: int, *measures: Callable[[], Cost]) -> list[Cost]:
    """The medians of several measures, taken in turn."""
    taken = [[measure() for measure in measures] for _ in range(times)]
    return [
        Cost(
            statistics.median(cost.seconds for cost in costs),
            statistics.median(cost.busy for cost in costs),
            max(cost.megabytes for cost in costs),
        )
        for costs in zip(*taken, strict=True)
    ]


def row(what: str, cost: Cost, note: str = "") -> None:
    print(
        f"  {what:<34}{cost.seconds:>8.2f} s {cost.busy:>8.2f} s {cost.megabytes:>6.0f} MB  {note}".rstrip(),
        flush=True,
    )


class Report:
    """A report whose builds are measured."""

    def __init__(self, root: Path) -> None:
        self.root, self.environment = (
            root,
            {
                "NOISEBOOK_CACHE_DIR": str(root.parent / "user-cache"),
                # An installed package has its bytecode.
                "PYTHONDONTWRITEBYTECODE": "",
                "PYTHONPYCACHEPREFIX": str(root.parent / "bytecode"),
            },
        )

    def call(self, *arguments: str) -> Cost:
        return run([NOISEBOOK, *arguments], self.root, self.environment)

    def build(self) -> Cost:
        return self.call("build")

    def plan_again(self) -> Cost:
        (self.root / ".noisebook" / "fresh").unlink(missing_ok=True)
        return self.build()

    def words(self) -> Cost:
        """Build after a sentence was added to the last section."""
        path = sorted((self.root / "sections").glob("*.md"))[-1]
        path.write_text(f"{path.read_text()}\nSentence {path.stat().st_size}.\n")
        return self.build()


class OurReport(Report):
    """A copy of Noisebook's own."""

    def __init__(self, place: Path) -> None:
        super().__init__(place / "own")
        for name in ("sections", "generators", "images", "models", "cache"):
            shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("report.yaml", "references.bib"):
            shutil.copy(ROOT / name, self.root)


class Synthetic(Report):
    """A report of ``count`` cells."""

    def __init__(self, place: Path, count: int) -> None:
        super().__init__(place / f"report-{count}")
        self.count = count
        for name in ("sections", "generators"):
            (self.root / name).mkdir(parents=True)
        (self.root / "report.yaml").write_text("title: Grey\n")
        (self.root / "generators" / "tile.py").write_text(GENERATOR)
        for first in range(0, count, SECTION):
            self.section(first // SECTION, list(range(first, min(first + SECTION, count))))

    def section(self, number: int, values: list[int]) -> None:
        text = f"---\ntitle: Tiles {number}\ngenerator: tile\nparams:\n  values: {values}\n---\nSome grey.\n"
        (self.root / "sections" / f"tiles-{number:04}.md").write_text(text)

    def change(self) -> Cost:
        """Build after the first value of the first section became one that was never there."""
        self.count += 1
        self.section(0, [self.count, *range(1, min(SECTION, self.count - 1))])
        return self.build()

    def plan(self) -> Cost:
        return run([sys.executable, "-c", PLAN], self.root, self.environment)


@dataclass(frozen=True)
class Tool:
    """Another builder: the command that builds the graph in ``folder``, or finds that nothing is to do."""

    name: str
    command: list[str]
    folder: Path

    def build(self) -> Cost:
        return run(self.command, self.folder, {"DVC_NO_ANALYTICS": "1"})


def tools(place: Path, binaries: Path, count: int) -> Iterator[Tool]:
    """The other builders with the graph of ``count`` cells, each built once."""

    def tool(name: str, file: str, text: str, *arguments: str) -> Tool:
        folder = place / f"{name}-{count}"
        (folder / "out").mkdir(parents=True)
        (folder / file).write_text(text)
        return Tool(name, [str(binaries / name), *arguments], folder)

    doit = tool("doit", "dodo.py", DODO.format(count=count))
    doit.build()
    yield doit
    snakemake = tool("snakemake", "Snakefile", SNAKEFILE.format(count=count), "-c1", "-q", "all")
    if count > SMALL:  # running its jobs would take hours: it finds finished files without records of them
        for value in range(count):
            (snakemake.folder / "out" / f"{value}.txt").write_text(f"{value}\n")
    else:
        snakemake.build()
    yield snakemake
    if count > SMALL:
        return
    dvc = tool("dvc", "dvc.yaml", DVC.format(values=", ".join(map(str, range(count)))), "repro", "-q")
    run([dvc.command[0], "init", "--no-scm", "-q"], dvc.folder, {"DVC_NO_ANALYTICS": "1"})
    dvc.build()
    yield dvc


def tool_binaries() -> Path | None:
    """The other builders, in an environment of their own; None where they cannot be had."""
    folder = user_cache() / "bench-tools"
    noted = folder / "pins.txt"
    binaries = folder / "bin"
    if noted.exists() and noted.read_text() == "\n".join(PINS):
        return binaries
    print(f"  installing {', '.join(PINS)} into {folder}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(binaries / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    if subprocess.run([*pip, *PINS]).returncode:
        print("  they could not be installed: Noisebook is measured alone")
        return None
    noted.write_text("\n".join(PINS))
    return binaries


@contextmanager
def workplace() -> Iterator[Path]:
    """A folder for all of this, in memory where the system has such a place."""
    shared = Path("/dev/shm")
    parent = shared if os.access(shared, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="noisebook-bench-", dir=parent) as name:
        yield Path(name)


def compare(place: Path, binaries: Path | None, count: int, times: int) -> None:
    """Everything about one number of cells."""
    print(f"{count:,} cells")
    report = Synthetic(place, count)
    first = report.call("build", "--yes")
    row("first build", first, f"{1000 * first.seconds / count:.1f} ms a cell")
    report.build()
    others = list(tools(place, binaries, count)) if binaries else []
    ours, *theirs = median(times, report.build, *(other.build for other in others))
    row("nothing to do: noisebook", ours)
    for other, cost in zip(others, theirs, strict=True):
        ratios = f"{cost.seconds / ours.seconds:.1f} × noisebook, {cost.busy / ours.busy:.1f} × its work"
        row(f"nothing to do: {other.name}", cost, ratios)
    again, words, changed, status = median(
        min(times, 3), report.plan_again, report.words, report.change, lambda: report.call("status")
    )
    row("the same without the fast answer", again, "everything planned and rendered")
    for what, cost in (("a sentence more", words), ("one value changed", changed)):
        row(what, cost, f"{cost.busy / again.busy:.2f} × the work of planning and rendering everything")
    row("status", status)


def writing(place: Path) -> None:
    """An edit of this report's own words."""
    print("Noisebook's own report")
    report = OurReport(place)
    for _ in range(2):
        report.build()
    again, words = median(3, report.plan_again, report.words)
    row("without the fast answer", again, "everything planned and rendered")
    row(
        "a sentence more",
        words,
        f"{words.busy / again.busy:.2f} × the work of planning and rendering everything",
    )


def curve(place: Path) -> None:
    """Planning alone, of reports that were never built."""
    print("planning (reading, keys, what is missing; the whole process)")
    for count in CURVE:
        cost = Synthetic(place / "curve", count).plan()
        row(f"{count:,} cells", cost, f"{1e6 * cost.busy / count:.0f} µs of work a cell")


def main() -> None:
    started = time.perf_counter()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, load {load:.1f}, Python {sys.version.split()[0]}")
    print("columns: wall clock, processor time (what counts on a busy machine), peak memory")
    binaries = tool_binaries()
    with workplace() as place:
        writing(place)
        compare(place, binaries, SMALL, times=5)
        compare(place, binaries, LARGE, times=3)
        curve(place)
    print(f"dvc is measured at {SMALL} cells alone: it needs minutes for the first build of 1,000")
    print(f"took {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
