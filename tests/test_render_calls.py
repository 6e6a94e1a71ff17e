"""What a text quotes: numbers of records, and pieces of code."""

from __future__ import annotations

import ast
import inspect
import json
import re
from html import unescape
from importlib import metadata
from pathlib import Path

import pytest

from noisebook.diffusion import schedules
from noisebook.project import Project
from noisebook.render.assets import Site
from noisebook.render.context import WAITING, Context
from noisebook.render.prose import Writer, plain
from noisebook.render.site import _Sections
from noisebook.render.styles import Styles
from noisebook.render.theme import Theme
from noisebook.render.values import Values
from noisebook.report.model import BadInput
from tests.conftest import Book
from tests.sample_report import compute, write_report


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = write_report(tmp_path_factory.mktemp("report"))
    compute(root)
    return Project(root)


def writer(root: Path, values: Values | None = None) -> Writer:
    context = Context({}, {}, Styles(), lambda path: None, root=root)
    if values:
        context.value = values
    return Writer(context)


def refused(root: Path, text: str, values: Values | None = None) -> str:
    with pytest.raises(BadInput) as caught:
        writer(root, values).body(text, "x.md", 1, str)
    return str(caught.value)


def test_a_number_is_that_of_the_record(sample: Project) -> None:
    values = Values(sample.planned, keep_stale=False)
    planned = next(each for each in sample.planned["forward"] if each.cell.id == "n=0.3")
    record = planned.record
    stored = record and record.output("psnr")
    assert stored
    found = json.loads(planned.store.open(stored))["value"]
    written = writer(sample.root, values).body('It has {{ value("forward/n=0.3", "psnr") }}.', "x.md", 1, str)
    assert plain(str(written.html)) == f"It has {found:.1f} dB ."


def test_a_number_that_no_cell_has_is_told_with_the_nearest(sample: Project) -> None:
    values = Values(sample.planned, keep_stale=False)
    assert "no cell 'n=0.33'" in (
        told := refused(sample.root, '{{ value("forward/n=0.33", "psnr") }}', values)
    )
    assert "did you mean 'n=0.3'?" in told
    told = refused(sample.root, 'x {{ value("forward/n=0.3", "psn") }}', values)
    assert "no cell of 'forward/n=0.3' has a number 'psn'" in told and "did you mean 'psnr'?" in told
    assert "x.md:1:3" in told
    assert "name one: figure/cell" in refused(sample.root, '{{ value("forward", "psnr") }}', values)


def test_a_number_that_is_not_computed_says_so(tmp_path: Path) -> None:
    sample = Project(write_report(tmp_path))
    values = Values(sample.planned, keep_stale=False)
    assert values("forward/n=0.3", "psnr") == WAITING
    written = writer(sample.root, values).body('{{ value("forward/n=0.3", "psnr") }}', "x.md", 1, str)
    assert 'title="not computed yet"' in str(written.html)
    assert Values({}, keep_stale=False)("forward", "psnr") == WAITING, "when only the text is read"


def test_code_is_what_stands_in_the_file() -> None:
    call = '{{ code("noisebook/diffusion/schedules.py", "forward") }}'
    page = str(writer(Path()).body(call, "x.md", 1, str).html)
    shown = page[page.index("<pre") : page.index("</pre>")]
    assert (
        " ".join(inspect.getsource(schedules.forward).split())
        == re.sub(r"\s+", " ", unescape(re.sub("<[^>]*>", "", shown))).strip()
    )
    assert '<details class="source">' in page and '<span class="k">def</span>' in page
    assert "noisebook/diffusion/schedules.py" in page and f"Noisebook {metadata.version('noisebook')}" in page
    first = inspect.getsourcelines(schedules.forward)[1]
    assert f"Lines {first} to " in page


def test_a_method_and_a_reports_own_generator(tmp_path: Path) -> None:
    (tmp_path / "generators").mkdir()
    (tmp_path / "generators" / "mine.py").write_text(
        "class Own:\n    @property\n    def twice(self):\n        return 2\n\n\nx = 1\n", "utf-8"
    )
    page = str(writer(tmp_path).body('{{ code("generators/mine.py", "Own.twice") }}', "x.md", 1, str).html)
    code = unescape(re.sub("<[^>]*>", "", page[page.index("<pre") : page.index("</pre>")]))
    assert code == "@property\ndef twice(self):\n    return 2\n" and ast.parse(code)
    assert "Lines 2 to 4" in page


@pytest.mark.parametrize(
    ("file", "name", "told"),
    [
        ("noisebook/diffusion/schedules.py", "forwards", "defines no 'forwards'; it defines squared_cosine"),
        ("noisebook/nothing.py", "x", "there is no file 'noisebook/nothing.py'"),
        ("forward.py", "x", "did you mean 'generators/forward.py'?"),
        ("generators/foward.py", "x", "did you mean 'generators/forward.py'?"),
        ("noisebook/../tests/conftest.py", "x", "there is no file"),
        ("/etc/passwd", "x", "there is no file"),
        ("models/README.md", "x", "there is no file"),
    ],
)
def test_code_that_is_not_there(file: str, name: str, told: str, tmp_path: Path) -> None:
    assert told in refused(tmp_path, f'{{{{ code("{file}", "{name}") }}}}')


def test_names_of_figures_are_checked_before_anything_is_computed(tmp_path: Path) -> None:
    root = write_report(tmp_path)
    with (root / "sections" / "closing.md").open("a", encoding="utf-8") as file:
        file.write('\n\nIt has {{ value("forwards/n=0.3", "psnr") }}.\n')
    with pytest.raises(BadInput, match="no figure is called 'forwards'"):
        Project(root).report  # noqa: B018  read when it is asked for


@pytest.mark.parametrize("content", [b"\xff", b"x = 1\0", b"(" * 500 + b")" * 500, b"def g(): pass"])
def test_code_of_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "generators").mkdir()
    (tmp_path / "generators/x.py").write_bytes(content)
    assert "x.py" in refused(tmp_path, '{{ code("generators/x.py", "f") }}')
    assert "no file" in refused(tmp_path, f'{{{{ code("generators/{"a" * 300}.py", "f") }}}}')


def test_code_is_cut_where_python_counts_lines(tmp_path: Path) -> None:
    (tmp_path / "generators").mkdir()
    (tmp_path / "generators/x.py").write_text('a = "\u2028\x0c"\r\n\n\ndef f():\n    return 1\n')
    html = writer(tmp_path).body('{{ code("generators/x.py", "f") }}', "x.md", 1, str).html
    assert "return 1" in plain(str(html)) and "Lines 4 to 5" in html


def test_marked_lines_of_any_number_are_those_that_there_are() -> None:
    html = writer(Path()).body(f'```python hl_lines="2-{"9" * 5000} 1-2"\nx\ny\n```', "x.md", 1, str).html
    assert html.count("hll") == 2


def test_an_unknown_cell_is_told_before_anything_runs_and_an_unknown_number_says_what_was(book: Book) -> None:
    """The second is known only once the cells have run, which are kept."""
    section = (book.root / "sections/tiles.md").read_text()
    book.write("sections/tiles.md", section + '\nIt is {{ value("tiles/v=4", "value") }}.\n')
    done = book.run("build")
    assert done.returncode == 2 and not book.computed(), done
    assert "no cell 'v=4'" in done.stderr and "did you mean" in done.stderr
    assert "1 problem; nothing was computed" in done.stderr
    book.write("sections/tiles.md", section + '\nIt is {{ value("tiles/v=2", "valeu") }}.\n')
    done = book.run("build")
    assert done.returncode == 2 and "did you mean 'value'?" in done.stderr
    assert "1 problem; 3 cells computed, and kept" in done.stderr


def test_a_section_without_a_number_is_named_in_the_quotation_marks_of_the_language(tmp_path: Path) -> None:
    root = write_report(tmp_path)
    text = (root / "report.yaml").read_text("utf-8")
    (root / "report.yaml").write_text(f"{text}\nlanguage: de\n", "utf-8")
    (root / "sections" / "plain.md").write_text("---\ntitle: Wort\n---\nText.\n", "utf-8")
    site = Site(root)
    sections = _Sections(Project(root).report, {}, site, Theme(root, site), False)
    assert sections.written.targets["plain"].words == "„Wort“"
