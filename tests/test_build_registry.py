"""Finding generators."""

import sys
from pathlib import Path

import pytest

from noisebook.cells.contract import Params
from noisebook.cells.registry import GeneratorError, Registry, UnknownGenerator

GOOD = '''
"""Draw nothing."""
from noisebook.cells.contract import Cell, Params as Base


class Params(Base):
    """No parameters."""


def cells(params):
    return [Cell("only", "only", "nothing")]


def run(cells, context):
    yield from ()
'''


def own(root: Path, name: str, text: str) -> Path:
    path = root / "generators" / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_own_generator_is_found_and_used(tmp_path):
    path = own(tmp_path, "dots", GOOD)
    registry = Registry(tmp_path)
    assert "dots" in registry.names()
    found = registry.get("dots")
    assert found.path == path and found.check is None and issubclass(found.Params, Params)
    assert [cell.id for cell in found.cells(found.Params())] == ["only"]
    assert registry.get("dots") is found


def test_names_import_nothing(tmp_path):
    own(tmp_path, "boom", "raise RuntimeError('imported')")
    own(tmp_path, "_helper", "raise RuntimeError('imported')")
    names = Registry(tmp_path).names()
    assert "boom" in names and "_helper" not in names and "__init__" not in names
    assert list(names) == sorted(names)


def test_unknown_name_is_told_the_nearest(tmp_path):
    own(tmp_path, "spirals", GOOD)
    with pytest.raises(UnknownGenerator, match="did you mean 'spirals'"):
        Registry(tmp_path).get("spiral")


def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    import noisebook.generators

    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "twice.py").write_text(text)
    monkeypatch.setattr(noisebook.generators, "__path__", [str(folder)])
    return folder


def test_two_files_of_one_name_are_an_error(tmp_path, monkeypatch):
    shipped(tmp_path, monkeypatch, GOOD)
    path = own(tmp_path, "twice", GOOD + "# another\n")
    with pytest.raises(GeneratorError, match="exists twice") as caught:
        Registry(tmp_path).get("twice")
    assert caught.value.path == path


def test_the_same_file_in_two_places_is_one_generator(tmp_path, monkeypatch):
    shipped(tmp_path, monkeypatch, GOOD)
    path = own(tmp_path, "twice", GOOD)
    assert Registry(tmp_path).get("twice").path == path


def test_the_shipped_folder_is_not_its_own_rival(tmp_path, monkeypatch):
    folder = shipped(tmp_path, monkeypatch, GOOD)
    (tmp_path / "generators").symlink_to(folder)
    assert Registry(tmp_path).get("twice").module == "noisebook.generators.twice"
    sys.modules.pop("noisebook.generators.twice")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("x = 1\n1 / 0\n", 2, "ZeroDivisionError"),
        ("x = 1\n\ndef broken(:\n", 3, "SyntaxError"),
        ("import no_such_module_anywhere\n", 1, "ModuleNotFoundError"),
        ("from . import _broken\n", 2, "_broken"),
        ("raise SystemExit(3)\n", 1, "SystemExit"),
        ("x = 1\n", 1, "no Params"),
        ("from noisebook.cells.contract import Params\n", 1, "no Params"),
        (GOOD.replace("def cells", "def sells"), 1, "no function cells()"),
        (GOOD.replace("def run", "def walk"), 1, "no function run()"),
    ],
)
def test_unusable_modules_say_where(tmp_path, text, line, says):
    path = own(tmp_path, "faulty", text)
    helper = own(tmp_path, "_broken", "\n_broken = undefined\n")
    with pytest.raises(GeneratorError) as caught:
        Registry(tmp_path).get("faulty")
    assert says in str(caught.value)
    assert (caught.value.path, caught.value.line) == (helper if says == "_broken" else path, line)


def test_an_edited_generator_and_its_helper_are_read_again(tmp_path):
    text = GOOD.replace('"only", "only"', '"only", LABEL').replace(
        "class", "from ._words import LABEL\n\n\nclass"
    )
    own(tmp_path, "dots", text)
    for label in ("one", "two", "three"):
        own(tmp_path, "_words", f"LABEL = {label!r}\n")
        found = Registry(tmp_path).get("dots")
        assert found.cells(found.Params())[0].label == label


def test_two_reports_do_not_meet(tmp_path):
    labels = []
    for name in ("one", "two"):
        root = tmp_path / name
        root.mkdir()
        own(root, "dots", GOOD.replace('"only", "only"', f'"only", "{name}"'))
        found = Registry(root).get("dots")
        labels.append(found.cells(found.Params())[0].label)
    assert labels == ["one", "two"]


def test_a_module_that_is_missing_when_a_generator_is_read_is_wanted_by_run_alone(tmp_path: Path) -> None:
    (tmp_path / "generators").mkdir()
    (tmp_path / "generators" / "mine.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(GeneratorError, match=r"mine.py:1: .*nothing_of_that_name") as caught:
        Registry(tmp_path).get("mine")
    assert "inside run()" in caught.value.hint
