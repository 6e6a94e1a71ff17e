"""Files and functions stay short enough to be read, and the optional rooms can be taken away."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [
    path for room in ("noisebook", "generators", "tools") for path in sorted((ROOT / room).rglob("*.py"))
]
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
REASON = re.compile(r"More than 60 lines: \w+")


def too_long(source: str) -> Iterator[str]:
    """What in a file is longer than it should be; a function's docstring may say why it is."""
    if source.count("\n") > LONGEST_FILE:
        yield f"{source.count(chr(10))} lines"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION and not REASON.search(ast.get_docstring(node) or ""):
                yield f"{node.name}: {lines} lines"


def test_files_and_functions_are_short() -> None:
    assert len(FILES) > 150
    found = {str(path.relative_to(ROOT)): list(too_long(path.read_text("utf-8"))) for path in FILES}
    assert {name: faults for name, faults in found.items() if faults} == {}


def test_what_is_too_long_is_found() -> None:
    body = "    x = 1\n" * 60
    assert list(too_long(f"def short():\n{body[10:]}")) == []
    assert list(too_long(f"class C:\n  def long():\n{body}")) == ["long: 61 lines"]
    assert list(too_long(f"async def long():\n    'A doc.'\n{body}")) == ["long: 62 lines"]
    assert list(too_long(f"def long():\n    'More than 60 lines: a table.'\n{body}")) == []
    assert list(too_long("x = 1\n" * 401)) == ["401 lines"]


WITHOUT = """
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(("noisebook.kernels", "noisebook.shared")):
            raise ModuleNotFoundError(f"{name} is taken away", name=name)

sys.meta_path.insert(0, Absent())
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def modules(*rooms: str) -> list[str]:
    """The modules of some folders by name, without those of the optional rooms."""
    found = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for room in rooms
        for path in sorted((ROOT / room).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    names = [re.sub(r"^generators\.", "noisebook.generators.", name) for name in found]
    return [name for name in names if not name.startswith(("noisebook.kernels.", "noisebook.shared."))]


def without_optional_rooms(*names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_all_else_is_imported_without_kernels_and_shared() -> None:
    done = without_optional_rooms(*modules("noisebook", "generators"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "taken away" in without_optional_rooms("noisebook.shared.remote").stderr


OPTIONAL = {
    "test_kernels.py",
    "test_kernels_deepfloyd.py",
    "test_build_remote.py",
    "test_build_peers.py",
    "test_build_dask.py",
}
"""The tests of the two rooms, which go with them; test_colab and test_build_random_faults build with a shared
store, by commands alone."""
ROOMS = all((ROOT / "noisebook" / name).is_dir() for name in ("kernels", "shared"))


def test_no_other_test_needs_them() -> None:
    """Neither by an import nor by the name of what it patches."""
    needed = re.compile(r"noisebook\.(?:kernels|shared)\b|noisebook import (?:kernels|shared)")
    others = {path.name for path in (ROOT / "tests").glob("*.py") if needed.search(path.read_text("utf-8"))}
    assert others - {"test_house.py"} == (OPTIONAL if ROOMS else set())
