"""The template of a course's report, and what of a report's deliverables is there."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from noisebook.commands import cli
from noisebook.models.lock import FORMAT, LOCK_NAME
from noisebook.project import Project
from noisebook.render.deliverables import PLACE, delivered
from noisebook.report.model import BadInput
from noisebook.report.starter import COURSE, new_course

from .conftest import Book

ROOT = Path(__file__).parents[1]
OWN = ("texts", "edits-own", "edits-web", "edits-drawn", "inpainted-own", "text-guided-own", "logo")
OWN += ("anagram", "hybrids", "unet", "flow-vs-ddpm")
"""How figures are called that a student fills, or that are another size than the report's."""


@pytest.fixture
def course(tmp_path: Path) -> Path:
    new_course(tmp_path / "mine", "Mine")
    return tmp_path / "mine"


@cache
def keys() -> set[str]:
    """Those of this repository's report."""
    return set(Project(ROOT).everything)


def test_the_course_is_ready_to_compute_and_status_lists_every_figure(
    course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(course)
    done = CliRunner().invoke(cli, ["status"])
    assert done.exit_code == 0, done.output
    figures = [
        id for path in (course / "sections").glob("*.md") for id in re.findall("- id: (.+)", path.read_text())
    ]
    assert len(figures) == 38 and all(f"\n{name}: " in f"\n{done.output}" for name in figures)
    assert " cached" not in done.output and " stale" not in done.output


def test_its_experiments_are_those_of_this_report(course: Path) -> None:
    book = Project(course)
    for figure, cells in book.planned.items():
        if not figure.startswith(OWN):
            assert {cell.key for cell in cells} <= keys(), figure


def test_one_line_draws_part_a_with_deepfloyd(course: Path) -> None:
    stage = {"kind": "model", "loader": "noisebook.models.deepfloyd", "revision": "1", "files": {}}
    entries = {f"deepfloyd-m/stage{number}": stage for number in (1, 2)}
    (course / LOCK_NAME).write_text(json.dumps({"format": FORMAT, "entries": entries}))
    config = (course / "report.yaml").read_text()
    assert config.count("\nmodel: exact\n") == 1
    (course / "report.yaml").write_text(config.replace("\nmodel: exact\n", "\nmodel: deepfloyd-m\n"))
    book = Project(course)
    used = {name for cells in book.planned.values() for cell in cells for name in cell.models.values()}
    assert used == {"deepfloyd-m/stage1", "deepfloyd-m/stage2", "mnist"}


def test_every_place_to_fill_belongs_to_something_that_is_handed_in(course: Path) -> None:
    book = Project(course)
    told = {
        (place.file, place.line) for each in delivered(book.report, book.planned) for place in each.places
    }
    there = {
        (path.relative_to(course).as_posix(), number)
        for path in [course / "report.yaml", *(course / "sections").glob("*.md")]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if PLACE.search(line)
    }
    assert told == there and len(there) > 20


def test_every_figure_is_handed_in(course: Path) -> None:
    report = Project(course).report
    named = {name for each in report.deliverables for name in each.figures}
    within = {name for each in report.deliverables for name in each.sections}
    for section in report.sections:
        assert section.slug in within or {figure.id for figure in section.figures} <= named, section.slug


def test_pictures_come_with_their_credits(course: Path) -> None:
    credits = (course / "images/CREDITS.md").read_text()
    pictures = [path.name for path in (course / "images").glob("*.*g")]
    assert len(pictures) == 7 and all(name in credits for name in pictures)
    assert "pictogram" not in credits


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "images/tower.jpg"])
def test_a_folder_that_is_not_empty_is_left_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    done = CliRunner().invoke(cli, ["init", str(tmp_path), "--template", "course"])
    assert done.exit_code == 2 and "the folder is not empty" in done.output
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]


def test_a_new_git_repository_is_as_good_as_empty(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert tmp_path / "report.yaml" in new_course(tmp_path, "Mine")


def test_a_section_leaves_the_words_to_its_author() -> None:
    for path in (COURSE / "sections").glob("*.md"):
        assert len(path.read_text()) < 2500, path.name


DELIVERABLES = """
title: Grey
deliverables:
  - {item: Tiles, figures: [tiles]}
  - {item: Words, sections: [words]}
"""
WORDS = "---\ntitle: Words\n---\nTODO: say something.\n"


@pytest.fixture
def listed(book: Book) -> Book:
    book.write("report.yaml", DELIVERABLES)
    book.write("sections/words.md", WORDS)
    return book


def states(book: Book) -> dict[str, str]:
    done = book.run("status", "--deliverables", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return {each["item"]: each["state"] for each in json.loads(done.stdout)}


def test_deliverables_are_there_missing_stale_or_to_fill(listed: Book) -> None:
    assert states(listed) == {"Tiles": "missing", "Words": "to fill"}
    listed.build()
    listed.write("sections/words.md", WORDS.replace("TODO: say something.", "Something."))
    assert states(listed) == {"Tiles": "there", "Words": "there"}
    listed.edit("generators/_paint.py", "default_rng(0)", "default_rng(1)")
    assert states(listed) == {"Tiles": "stale", "Words": "there"}
    listed.tiles([1, 2, 3, 4])
    said = listed.run("status", "--deliverables").stdout
    assert "Tiles: 1 of 4 pictures missing; 3 of 4 pictures stale\n" in said
    assert "Words: there\n" in said and "1 of 2 are there" in said


def test_a_place_to_fill_belongs_to_its_figure(listed: Book) -> None:
    figure = "  - id: {0}\n    generator: tile\n    # {1}\n    params: {{values: [{2}]}}\n"
    listed.write(
        "sections/tiles.md",
        "---\ntitle: Tiles\nfigures:\n"
        + figure.format("first", "TODO: a value", 1)
        + figure.format("tiles-two", "fine", 2)
        + "---\nTODO: some text.\n",
    )
    listed.edit("report.yaml", "figures: [tiles]", "figures: [first]}\n  - {item: Two, figures: [tiles-two]")
    rows = json.loads(listed.run("status", "--deliverables", "--json").stdout)
    assert [[place["line"] for place in each["places"]] for each in rows] == [[6], [], [4]]


def test_the_site_has_a_page_of_them(listed: Book) -> None:
    listed.build()
    page = (listed.root / "site/deliverables.html").read_text()
    assert "1 of 2 are there" in page and "to fill: sections/words.md, line 4" in page
    assert 'href="tiles.html#fig-tiles"' in page and 'href="words.html"' in page
    listed.edit("report.yaml", "  - {item: Words", "  # - {item: Words")
    listed.edit("report.yaml", "  - {item: Tiles", "  # - {item: Tiles")
    listed.edit("report.yaml", "deliverables:", "")
    listed.build()
    assert not (listed.root / "site/deliverables.html").exists()
    assert "deliverables" not in (listed.root / "site/tiles.html").read_text()


@pytest.mark.parametrize(
    ("entry", "where", "message"),
    [
        ("{item: Tiles, figures: [tile]}", "3:29", "no figure is called 'tile'"),
        ("{item: Tiles, sections: [tils]}", "3:30", "no section is called 'tils'"),
        ("{item: Tiles}", "3:5", "names neither figures nor sections"),
        ("{item: Tiles, figure: [tiles]}", "3:19", "unknown key 'figure'"),
        ("{figures: [tiles]}", "3:5", "the key 'item' is missing"),
        ("{item: '', figures: [tiles]}", "3:12", "must not be empty"),
    ],
)
def test_deliverables_that_cannot_be_are_told(book: Book, entry: str, where: str, message: str) -> None:
    book.write("report.yaml", f"title: Grey\ndeliverables:\n  - {entry}\n")
    with pytest.raises(BadInput) as told:
        _ = Project(book.root).report
    assert f"report.yaml:{where}: " in str(told.value) and message in str(told.value)


def test_a_report_without_deliverables_says_how_to_list_them(book: Book) -> None:
    done = book.run("status", "--deliverables")
    assert done.returncode == 2 and "it lists no deliverables" in done.stderr
