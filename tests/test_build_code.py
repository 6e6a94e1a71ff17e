"""The digest of the code that a cell depends on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from noisebook.cells import code, syntax
from noisebook.cells.code import CodeReader, summarise

GENERATOR = """
from noisebook_report_x.helper import double, unused
from noisebook_report_x import shapes
import numpy as np
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from noisebook_report_x.types_only import Thing

SCALE = 3
OTHER = 4

def cells(params):
    return []

def run(cells, context):
    from noisebook_report_x.late import late
    for cell in cells:
        yield cell, double(SCALE) + shapes.square(2) + late() + np.pi
"""

FILES = {
    "gen": GENERATOR,
    "helper": "from .deep import base\ndef double(x):\n    return base(x) * 2\ndef unused():\n    return 0\n",
    "deep": "FACTOR = 1\ndef base(x):\n    '''Doc.'''\n    return x * FACTOR\n",
    "shapes": "def square(x):\n    return x * x\ndef circle(x):\n    return x\n",
    "late": "def late():\n    return 1\n",
    "types_only": "class Thing: pass\n",
}


def digest(folder: Path, **changed: str) -> str:
    for name, text in {**FILES, **changed}.items():
        (folder / f"{name}.py").write_text(text)

    def find(module: str) -> Path | None:
        package, _, rest = module.partition(".")
        path = folder / f"{rest}.py"
        return path if package == "noisebook_report_x" and path.exists() else None

    return CodeReader(find).reach("noisebook_report_x.gen", "run").digest


def test_golden(tmp_path: Path) -> None:
    """Keys must not move with the Python version or by accident: a change here reruns every cell there is."""
    assert digest(tmp_path) == "838c54ae7de88c538e98c47af4b5cc726b4322fab77eca1c211885f8da790db9"


@pytest.mark.parametrize(
    "changed",
    [
        {"deep": "FACTOR = 1\ndef base(x):\n    # why\n    '''Another.'''\n\n    return (x * FACTOR)\n"},
        {"helper": FILES["helper"].replace("return 0", "return 99")},
        {"shapes": FILES["shapes"].replace("return x\n", "return 3 * x\n")},
        {"gen": GENERATOR.replace("OTHER = 4", "OTHER = 5")},
        {"gen": GENERATOR.replace("return []", "return [1]")},
        {"types_only": "class Thing:\n    size = 1\n"},
        {"gen": '"""A docstring."""\n' + GENERATOR},
    ],
)
def test_what_cannot_matter_does_not(tmp_path: Path, changed: dict[str, str]) -> None:
    assert digest(tmp_path, **changed) == digest(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"deep": FILES["deep"].replace("x * FACTOR", "x + FACTOR")},
        {"deep": FILES["deep"].replace("FACTOR = 1", "FACTOR = 2")},
        {"shapes": FILES["shapes"].replace("x * x", "x * x * x")},
        {"late": FILES["late"].replace("return 1", "return 2")},
        {"gen": GENERATOR.replace("SCALE = 3", "SCALE = 4")},
        {"gen": GENERATOR.replace("np.pi", "np.e")},
        {"gen": GENERATOR.replace("import numpy as np", "import math as np")},
        {"gen": GENERATOR.replace("import double, unused", "import unused as double")},
        {"deep": FILES["deep"] + "print('on import')\n"},
        {"deep": FILES["deep"] + "def base(x):\n    return x\n"},
    ],
)
def test_what_run_reaches_matters(tmp_path: Path, changed: dict[str, str]) -> None:
    assert digest(tmp_path, **changed) != digest(tmp_path)


def test_swapped_helpers_matter(tmp_path: Path) -> None:
    """The same functions under each other's names are another program."""
    both = "def a(x):\n    return x\ndef b(x):\n    return -x\n"
    one = "from .both import a, b\ndef run(c, x):\n    yield a(1) - b(2)\n"
    other = one.replace("import a, b", "import a as b, b as a")
    assert digest(tmp_path, both=both, gen=one) != digest(tmp_path, both=both, gen=other)


def test_a_helper_may_move(tmp_path: Path) -> None:
    """Content decides, not the path: the same helper in another file gives the same digest."""
    moved = GENERATOR.replace("noisebook_report_x.late", "noisebook_report_x.later")
    assert digest(tmp_path, gen=moved, later=FILES["late"]) == digest(tmp_path)


def test_mutual_recursion_and_star_imports_end(tmp_path: Path) -> None:
    ping = "from .pong import *\ndef ping(n):\n    return pong(n - 1) if n else 0\n"
    pong = "from .ping import ping\ndef pong(n):\n    return ping(n)\n"
    gen = "from .ping import ping\ndef run(c, x):\n    yield ping(3)\n"
    first = digest(tmp_path, ping=ping, pong=pong, gen=gen)
    assert first != digest(tmp_path, ping=ping, pong=pong.replace("ping(n)", "ping(n) + 1"), gen=gen)


def test_summaries_are_kept(tmp_path: Path) -> None:
    """A second reader with the same notes gives the same answer without parsing."""
    expected = digest(tmp_path)

    def find(module: str) -> Path | None:
        path = tmp_path / f"{module.partition('.')[2]}.py"
        return path if module.startswith("noisebook_report_x.") and path.exists() else None

    notes = tmp_path / "notes" / "code.json"
    first = CodeReader(find, notes)
    assert first.reach("noisebook_report_x.gen", "run").digest == expected
    first.save()
    parsed: list[str] = []
    original = code.summarise
    code.summarise = lambda source, module: parsed.append(module) or original(source, module)  # type: ignore[func-returns-value]
    try:
        assert CodeReader(find, notes).reach("noisebook_report_x.gen", "run").digest == expected
        assert parsed == []
    finally:
        code.summarise = original


SYNTAX = '''
@decorator(1, b"x", 2.5, 1j, ..., None, True)
async def f(a, /, b: int = 1, *c, d=2, **e) -> "str":
    """Doc."""
    x = [i async for i in a if i] + [*c] + [lambda q: q]
    y = f"{a!r:>{b}} and {x:%Y} {{}}" "tail" f"{b}"
    with open(a) as g, h: pass
    match a:
        case {"k": [1, *rest], **others} if b: return rest
        case C(x=1) | None: pass
    try: raise E from e
    except* (A, B) as err: del err
    global z; nonlocal_ = z[1:2, ::3] @ (yield_ := 3)
    return await y
class G(B, metaclass=M):
    a: int
    b: str = "é\\n"
'''


def test_every_python_serialises_alike() -> None:
    """Fields that newer versions added are empty here and dropped; other interpreters, where found, agree."""
    ours = [statement.digest for statement in summarise(SYNTAX, "m").statements]
    script = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('code_', {syntax.__file__!r})\n"
        "module = importlib.util.module_from_spec(spec); sys.modules['code_'] = module\n"
        "spec.loader.exec_module(module)\n"
        f"print([s.digest for s in module.summarise({SYNTAX!r}, 'm').statements])"
    )
    assert ours == [
        "81de5e6a5707a333e4c5263682300781707ede8b670a66389c401b6b655c218f",
        "79e7a3db893cf75979bd6a3667a352c817bf5b9f0d538375909fb57fed5f309d",
    ]
    for version in ("3.11", "3.12", "3.13", "3.14"):
        python = shutil.which(f"python{version}")
        if python is None:
            continue
        done = subprocess.run([python, "-c", script], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            assert done.stdout.strip() == str(ours), version
        else:
            assert "not found" in done.stderr, done.stderr


def test_what_stands_outside_is_named_with_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An edit in an excluded package moves no key, be it imported at the top, inside, or as a module."""
    (tmp_path / "fast").mkdir()

    def reach(text: str) -> str:
        (tmp_path / "fast" / "layers.py").write_text(text)

        def find(module: str) -> Path | None:
            path = tmp_path / f"{module.partition('.')[2].replace('.', '/')}.py"
            return path if path.exists() else None

        return CodeReader(find).reach("noisebook_report_x.uses", "run").digest

    (tmp_path / "uses.py").write_text(
        "from noisebook_report_x.fast.layers import at_top\nfrom noisebook_report_x.fast import layers\n"
        "def run():\n    from noisebook_report_x.fast.layers import inside\n"
        "    return at_top, inside, layers.whole()\n"
    )
    assert reach("at_top = 1") != reach("at_top = 2")
    monkeypatch.setitem(code.EXCLUDED, "noisebook_report_x.fast", "a test's own")
    assert reach("at_top = 1") == reach("at_top = 2") == reach("inside = 3\n")
    assert all(isinstance(reason, str) and reason for reason in code.EXCLUDED.values())
