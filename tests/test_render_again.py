"""Edited words are on their page at once, and the site is what a whole build would make of them."""

from __future__ import annotations

import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from noisebook.building import Request, build
from noisebook.cells.plan import Planned
from noisebook.cells.planner import Planner
from noisebook.project import Project
from noisebook.render.again import rewrite
from noisebook.render.site import render_site
from noisebook.render.theme import PACKAGED, has_own_pages
from noisebook.render.views import FigureView
from noisebook.report.model import BadInput, Figure

from .sample_report import compute, write_report

WORDS = (
    '{{ source("noisebook/cells/names.py", "suggest") }}',
    "More words.",
    "A formula, $x_t = \\sqrt{2}$, and `code`.",
    "$$a = b \\label{LABEL}$$\n\nAs $\\eqref{LABEL}$ says.",
    "Somebody found it [@ho2020ddpm].",
    "## A heading\n\nBelow it.",
    "A note.[^LABEL]\n\n[^LABEL]: Its text.",
    "| a | b |\n|:--|--:|\n| 1 | 2 |",
    "![A square.](images/square.png)",
    "A link to [a page](index.html).",
    "```python\nprint(1)\n```",
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("again")
    before = os.environ.get("NOISEBOOK_CACHE_DIR")
    os.environ["NOISEBOOK_CACHE_DIR"] = str(folder / "user-cache")
    root = write_report(folder / "report")
    Image.new("RGB", (8, 8), (1, 2, 3)).save(root / "images" / "square.png")
    compute(root)
    whole(root)
    whole(root)
    yield root
    if before is None:
        del os.environ["NOISEBOOK_CACHE_DIR"]
    else:
        os.environ["NOISEBOOK_CACHE_DIR"] = before


def whole(root: Path) -> None:
    build(Project(root), Request(), lambda line: None).check()


def files(site: Path) -> dict[str, bytes]:
    return {str(p.relative_to(site)): p.read_bytes() for p in sorted(site.rglob("*")) if p.is_file()}


def from_nothing(root: Path, out: Path) -> dict[str, bytes]:
    book = Project(root)
    render_site(book.report, book.planned, out)
    return files(out)


def sections(root: Path) -> list[Path]:
    return sorted((root / "sections").glob("[!_]*.md"))


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + f"\n{text}\n")


def test_an_edit_of_words_plans_nothing(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(sections(finished)[0], "A sentence that nothing else has.")
    monkeypatch.setattr(Planner, "plan", lambda *_: pytest.fail("it plans"))
    said = rewrite(finished)
    assert said and said.startswith("computed 0, cached ")
    assert "A sentence that nothing else has." in (finished / "site" / "print.html").read_text()


def test_an_edit_of_words_imports_neither_the_planner_nor_what_checks_its_input(finished: Path) -> None:
    add(sections(finished)[0], "Some words.")
    code = (
        "import sys\nsys.argv = ['noisebook', 'build']\nfrom noisebook.cli import main\nmain()\n"
        "print({'pydantic', 'yaml', 'numpy', 'torch', 'noisebook.cells.planner'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=finished, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()", done.stdout + done.stderr


def test_our_own_templates_are_not_those_of_a_report(tmp_path: Path) -> None:
    """Nor are they where the report stands in the repository that has them."""
    assert not has_own_pages(PACKAGED.parent) and not has_own_pages(tmp_path)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "own.css").touch()
    assert not has_own_pages(tmp_path)
    (tmp_path / "templates" / "section.html").touch()
    assert has_own_pages(tmp_path)


def test_a_number_that_was_quoted_before_is_quoted_again(finished: Path) -> None:
    path = sections(finished)[0]
    cells = [cell for cells in Project(finished).planned.values() for cell in cells]
    cell = next(cell for cell in cells if cell.record and cell.record.output("psnr"))
    text = path.read_text()
    add(path, f'It is {{{{ value("{cell.figure}/{cell.cell.id}", "psnr") }}}}.')
    assert rewrite(finished) is None  # nobody has looked at it yet
    whole(finished)
    whole(finished)
    add(path, "More words.")
    assert rewrite(finished)
    assert files(finished / "site") == from_nothing(finished, finished.parent / "other")
    path.write_text(text)
    assert rewrite(finished)


def edited(finished: Path, seed: int) -> None:
    chance = random.Random(seed)
    kept = {path: path.read_text() for path in sections(finished)}
    try:
        for number in range(chance.randint(1, 3)):
            path = chance.choice(sections(finished))
            add(path, chance.choice(WORDS).replace("LABEL", f"l{seed}n{number}"))
            if chance.random() < 0.3:
                lines = path.read_text().split("\n")
                place = chance.randrange(lines.index("---", 1) + 1, len(lines) + 1)
                path.write_text("\n".join([*lines[:place], "", "Between.", "", *lines[place:]]))
        try:
            quick = rewrite(finished)
        except BadInput:
            pytest.fail("mistakes are for the whole build to tell")
        if quick is None:
            with pytest.raises(BadInput):
                from_nothing(finished, finished.parent / "other")
        else:
            shown = files(finished / "site")
            assert shown == from_nothing(finished, finished.parent / "other")
            shutil.rmtree(finished.parent / "other")
    finally:
        for path, text in kept.items():
            path.write_text(text)
        if rewrite(finished) is None:
            whole(finished)
            whole(finished)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_edits_give_the_site_of_a_whole_build(finished: Path, seed: int) -> None:
    edited(finished, seed)


@pytest.mark.soak
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_edits_give_the_site_of_a_whole_build_for_long(finished: Path, seed: int) -> None:
    edited(finished, seed)


def level(text: str, chance: random.Random) -> str:
    """One of the values that figures sweep over becomes another."""
    found = chance.choice(list(re.finditer(r"(?<=[\[ ])0\.\d+(?=[,\]])", text)) or [None])
    if found is None:
        return text
    return f"{text[: found.start()]}0.{chance.randint(1001, 9999)}{text[found.end() :]}"


def swap(text: str, chance: random.Random) -> str:
    """Two figures change places."""
    head, *figures = text.split("\n  - id: ")
    if len(figures) > 2:  # the last one has the text behind it
        figures[0], figures[1] = figures[1], figures[0]
    return "\n  - id: ".join([head, *figures])


FRONT: tuple[Callable[[str, random.Random], str], ...] = (
    level,
    level,
    lambda text, chance: text.replace("caption: ", f"caption: In {chance.randint(1, 9)} words. ", 1),
    lambda text, chance: re.sub(r"(?m)^title: .*", f"title: $x_{chance.randint(1, 9)}$ and more", text),
    lambda text, chance: re.sub(r"columns: \d+", f"columns: {chance.randint(1, 6)}", text),
    swap,
    lambda text, chance: f"{text}\nMore words, $a = {chance.randint(1, 9)}$.\n",
    lambda text, chance: f'{text}\nSee {{{{ ref("far") }}}}.\n',
)


def sections_edited(finished: Path, seed: int) -> None:
    """Whatever of the last build's pages is taken over."""
    chance = random.Random(seed)
    kept = {path: path.read_text() for path in sections(finished)}
    try:
        for _ in range(2):
            for path in chance.sample(sections(finished), chance.randint(1, 2)):
                path.write_text(chance.choice(FRONT)(path.read_text(), chance))
            whole(finished)
            assert files(finished / "site") == from_nothing(finished, finished.parent / "other")
            shutil.rmtree(finished.parent / "other")
    finally:
        for path, text in kept.items():
            path.write_text(text)
        whole(finished)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_edits_of_sections_give_the_site_of_a_build_from_nothing(finished: Path, seed: int) -> None:
    sections_edited(finished, seed)


@pytest.mark.soak
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_edits_of_sections_give_the_site_of_a_build_from_nothing_for_long(
    finished: Path, seed: int
) -> None:
    sections_edited(finished, seed)


def test_a_changed_value_draws_its_own_section_alone(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from noisebook.render import site
    from noisebook.render.theme import Theme

    drawn, rendered, view, render = [], [], site.view, Theme.render

    def viewed(
        figure: Figure, number: int, planned: Sequence[Planned], *rest: Any, **more: Any
    ) -> FigureView:
        if planned:  # else it is read for mistakes alone
            drawn.append(figure.id)
        return view(figure, number, planned, *rest, **more)

    def rendering(theme: Theme, template: str, **values: Any) -> str:
        if template == "section.html":
            rendered.append(values["href"])
        return render(theme, template, **values)

    monkeypatch.setattr(site, "view", viewed)
    monkeypatch.setattr(Theme, "render", rendering)
    path = finished / "sections" / "a1-1-forward.md"
    text = path.read_text()
    path.write_text(text.replace("{kind: tower}", "{kind: tower, levels: [0.0, 0.123]}"))
    whole(finished)
    assert drawn == ["forward"] and rendered == ["a1-1-forward.html"]
    path.write_text(text)
    whole(finished)


EDITS: dict[str, Callable[[Path], object]] = {
    "another title": lambda path: path.write_text(path.read_text().replace("title: ", "title: New ", 1)),
    "a section more": lambda path: path.with_name("zz.md").write_text("---\ntitle: New\n---\nWords.\n"),
    "a section less": lambda path: path.unlink(),
    "a figure that is not there": lambda path: add(path, '{{ figure("nothing") }}'),
    "a reference to nothing": lambda path: add(path, '{{ ref("nothing") }}'),
    "a formula that is none": lambda path: add(path, "$\\frac{1$"),
    "a link to nothing": lambda path: add(path, "[there](nowhere.md)"),
    "a picture that is not there": lambda path: add(path, "![a](images/none.png)"),
    "no text": lambda path: path.write_text(path.read_text()[: path.read_text().index("---", 4) + 4]),
    "bytes that are no text": lambda path: path.write_bytes(path.read_bytes() + b"\xff\xfe"),
    "a template of its own": lambda path: (
        (path.parents[1] / "templates").mkdir(),
        (path.parents[1] / "templates" / "own.css").write_text("a { color: red }"),
    ),
    "another page": lambda path: (path.parents[1] / "site" / "index.html").write_text(""),
    "another picture": lambda path: (path.parents[1] / "images" / "square.png").write_bytes(b""),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_more_than_words_needs_the_whole_build(finished: Path, edit: str) -> None:
    aside = finished.parent / "aside"
    shutil.copytree(finished, aside)
    try:
        EDITS[edit](sections(finished)[0])
        assert rewrite(finished) is None
    finally:
        shutil.rmtree(finished)
        aside.rename(finished)
        whole(finished)
        whole(finished)
    assert rewrite(finished)


def test_what_is_passed_on_is_not_read() -> None:
    from noisebook.render import keeping
    from noisebook.report.model import Position

    first = keeping.Kept(Position("a", 1))
    data = keeping.dump(first)
    passed = keeping.load(data)
    assert keeping.dump(passed) == data and passed._value is None
    assert passed.value == Position("a", 1)
    with pytest.raises(pickle.UnpicklingError):
        _ = keeping.Kept(None, pickle.dumps(Harmful())).value


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harm",)


def test_a_file_of_somebody_elses_runs_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from noisebook.render import again

    monkeypatch.chdir(tmp_path)
    for data in (pickle.dumps(Harmful()), pickle.dumps([1]), b"", b"\x80\x05no pickle"):
        assert again._load(data, tmp_path) is None
    assert not (tmp_path / "harm").exists()


def test_a_template_of_the_reports_own_sees_whole_sections(finished: Path) -> None:
    (finished / "templates").mkdir()
    try:
        shutil.copy(Path(__file__).parents[1] / "templates" / "section.html", finished / "templates")
        whole(finished)
        whole(finished)
        add(sections(finished)[0], "Words.")
        assert rewrite(finished) is None
    finally:
        shutil.rmtree(finished / "templates")
        whole(finished)
        whole(finished)
