"""Text without end, and values that nothing good can come of: told with a place, briefly, and soon."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noisebook.cells.registry import Registry
from noisebook.render import pages
from noisebook.report.load import load_report
from noisebook.report.model import SHOWN, BadInput, Problem, Problems
from noisebook.report.parse import parse_yaml
from noisebook.report.reader import Source
from noisebook.report.sections import RESERVED
from tests.test_report_load import BODY, complaints, figure, load, make_report

PROSE = "---\ntitle: T\n---\ntext\n"
MUCH = 150_000
"""Repetitions in a file of at most 1 MB."""


def front(yaml: str) -> str:
    return f"---\ntitle: T\n{yaml}\n---\ntext\n"


@pytest.mark.parametrize(
    "section",
    [
        front("x: [" + "*a," * MUCH + "]"),
        front("x: [" + "&a 1," * MUCH + "]"),
        front("x: [" + "!!a 1," * MUCH + "]"),
        front("x: [" + "1," * MUCH + "]"),
        front("x: " + "[" * MUCH),
        front("x: " + "{a: " * MUCH),
        front("x: " + "- " * MUCH),
        front("x: '" + "'" * MUCH),
        front("k: 1\n" * MUCH),
        front("".join(f"k{number}: 1\n" for number in range(60_000))),
        front("".join(" " * depth + "a:\n" for depth in range(1000))),
        figure("counts: [" + "a," * MUCH + "]"),
        figure("note: x", caption="'" + "$ a $ " * 1000 + "'"),
        BODY + "{{" * MUCH,
        BODY + "$a " * MUCH,
        BODY + "$$ " * MUCH,
        BODY + "{{ ref('x') }}" * (MUCH // 3),
        BODY + " ".join("`" * length for length in range(1, 1300)),
        BODY + "```\n" * MUCH,
        BODY + "\\" * MUCH,
        BODY + ('{{ figure("dotty") }}\n\n' * (MUCH // 4)),
    ],
    ids=lambda section: section[:60].splitlines()[-1][:20] + section[-400:-380],
)
def test_what_goes_on_and_on_takes_seconds_at_most(tmp_path: Path, section: str) -> None:
    root = make_report(tmp_path, one=section)
    try:
        load(root)
    except BadInput as bad:
        assert len(bad.problems) <= 2 * Problems.most
        assert len(bad.lines()) <= SHOWN + 1 and len(str(bad)) < 40_000


def test_the_number_of_problems_that_are_shown_is_bounded_and_the_rest_counted() -> None:
    from noisebook.report.model import Position

    bad = BadInput([Problem(Position("a", line), "x" * 5000, "y" * 5000) for line in range(1, 101)])
    assert len(bad.lines()) == SHOWN + 1 and bad.lines()[-1] == "… and 60 more" and len(bad.problems) == 100
    assert max(map(len, bad.lines())) < 1000


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0" * 44 + "7", 7),
        ("-" + "0" * 6000 + "12", -12),
        ("0x" + "0" * 90 + "ff", 255),
        ("0o17", 15),
        ("00", 0),
        ("-0", 0),
        (str(2**63 - 1), 2**63 - 1),
        ("0." + "0" * 300 + "1", 1e-301),
        ("1" + "." + "0" * 5000, 1.0),
        ("0e5", 0.0),
        ("0.0e-999", 0.0),
    ],
)
def test_numbers_are_what_they_say(written: str, value: float) -> None:
    problems: list[Problem] = []
    document = parse_yaml(Source("f", f"a: {written}"), 0, len(written) + 3, problems)
    assert not problems and document and document.data == {"a": value}
    assert type(document.data["a"]) is type(value)


@pytest.mark.parametrize(
    "written",
    [str(2**63), "-" + "9" * 5000, "0x" + "f" * 45, "0o" + "7" * 45, "1e999", "-1e999", "1e-999", "0.3e-400"],
)
def test_numbers_that_cannot_be_held_are_told(written: str) -> None:
    problems: list[Problem] = []
    parse_yaml(Source("f", f"a: {written}"), 0, len(written) + 3, problems)
    (problem,) = problems
    assert str(problem.position) == "f:1:4" and re.search("64 bits|too large|too small", problem.message)


@pytest.mark.parametrize(
    ("section", "place", "says"),
    [
        ("---\ntitle: T\ngenerator:\n---\nbody\n", "3:1", "generator: names nothing"),
        ("---\ntitle: T\ngenerator: ''\n---\nbody\n", "3:12", "unknown generator ''"),
        ("---\ntitle: '  '\n---\nbody\n", "2:8", "the text '  '"),
        (figure("counts: [1, 2, 2]"), "5:18", "the number 2 stands twice"),
        (figure("counts: [0x10, 16]"), "5:18", "the number 16 stands twice"),
        (
            "---\ntitle: T\ngenerator: dots\nmatrix:\n  note: [a, b, a]\n---\n",
            "5:16",
            "the text 'a' stands twice",
        ),
        ('---\ntitle: T\nfigures: [{id: "a\\n", generator: dots}]\n---\nx\n', "3:16", "'a\\n'"),
        (front(f"summary: {'s' * 3000}"), "3:10", "at most 2000 characters"),
        (front(f"generator: {'g' * 3000}"), "3:12", "unknown generator 'ggg"),
        (BODY + '{{ ref("' + "r" * 900 + '") }}', "6:9", "no figure or section is called 'rrr"),
    ],
)
def test_what_nothing_can_come_of(tmp_path: Path, section: str, place: str, says: str) -> None:
    told = complaints(make_report(tmp_path, one=section))
    assert len(told) == 1 and told[0].startswith(f"sections/one.md:{place}: ") and says in told[0], told
    assert len(told[0]) < 700


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("store: report.yaml", "2:8: 'report.yaml' is a file"),
        ("store: report.yaml/cells", "2:8: 'report.yaml' is a file"),
        ("store: sections", "2:8: 'sections' is a folder of the report itself"),
        ("store: Images/cells", "2:8: 'Images/cells' is a folder of the report itself"),
        ("store: .", "2:8: '.' is a folder of the report itself"),
        ("store: 'http://[::1'", "2:8: 'http://[::1' is not a URL"),
        ("store: 's3://x:99999999/y'", "2:8: 's3://x:99999999/y' is not a URL"),
        (f"store: {'s' * 300}/{'t' * 5000}", "2:8: "),
        ("base_url: 'https://[bad'", "2:11: this is not a URL"),
        ("base_url: 'https://x:99999/'", "2:11: this is not a URL: Port"),
        ("base_url: 'https:///x'", "2:11: this is not a URL: it names no host"),
        ("repository: 'http://[x'", "2:13: this is not a URL"),
        ('parts: {"a\\nb": c}', "2:17: "),
        (f"description: {'d' * 30_000}", "2:14: must have at most 20000"),
    ],
)
def test_what_report_yaml_cannot_say(tmp_path: Path, config: str, says: str) -> None:
    root = make_report(tmp_path, one=PROSE)
    (root / "report.yaml").write_text(f"title: T\n{config}\n")
    if "t" * 5000 in config:  # a folder that no disk can hold may not be known before it is made
        try:
            load(root)
        except BadInput as bad:
            assert len(str(bad)) < 700
        return
    told = complaints(root)
    assert len(told) == 1 and told[0].startswith(f"report.yaml:{says}"), told


@pytest.mark.parametrize("store", ["cache", "cells/here", ".cells", "archive-sections"])
def test_stores_that_are_folders_of_their_own(tmp_path: Path, store: str) -> None:
    root = make_report(tmp_path, one=PROSE)
    (root / "report.yaml").write_text(f"title: T\nstore: {store}\n")
    assert load(root).store == store


def test_no_page_is_written_over_another(tmp_path: Path) -> None:
    root = make_report(tmp_path, a=BODY, a__dotty_2=PROSE)
    assert complaints(root)[0].startswith("sections/a--dotty-2.md:1:1: this name is for further pictures of")
    (root / "sections/a--dotty-2.md").rename(root / "sections/a--dotty-two.md")
    assert load(root)
    long = BODY.replace("dotty", "b--c")
    root = make_report(tmp_path / "other", a=long, a__b=BODY.replace("dotty", "c"))
    assert "a--b--c-2.html would be a page of this figure, and of 'c' in a--b.md" in complaints(root)[0]


def test_every_page_of_the_site_is_reserved() -> None:
    names = re.findall(r'"([a-z0-9]+)\.html"', Path(pages.__file__).read_text())
    assert {"index", "print", "credits"} <= set(names)
    assert set(names) - {"section", "part", "samples"} <= set(RESERVED)


def test_no_section_has_a_line_break_in_its_name(tmp_path: Path) -> None:
    root = make_report(tmp_path, one=PROSE)
    (root / "sections/two\n.md").write_text(PROSE)
    assert "this name cannot be a page's address" in complaints(root)[0]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.floats()
    | st.text(max_size=30)
    | st.sampled_from(["dots", "needy", "images/tower.png", "images/tower.PNG", "square", "a" * 400, "../x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["sigma", "counts", "masks", "region", "note", "id"]), inner)
    ),
    max_leaves=12,
)
KEYS = ["title", "generator", "params", "matrix", "caption", "alt", "layout", "pending", "figures", "part"]


def check_values(root: Path, data: dict[str, Any]) -> None:
    """A front matter of any JSON values: a report, or a few words at a place of the file."""
    import json

    text = json.dumps(data, ensure_ascii=False).replace("\u2028", " ").replace("\u2029", " ")
    if not root.exists():  # generators that are written again are imported again
        make_report(root)
    (root / "sections/one.md").write_bytes(f"---\n{text}\n---\nwords\n".encode(errors="replace"))
    try:
        load_report(root, Registry(root))
    except BadInput as bad:
        for problem in bad.problems:
            assert "Traceback" not in str(problem) and len(str(problem)) < 900
            assert problem.position.file in ("sections/one.md", "generators/dots.py"), problem


ANY = st.fixed_dictionaries({}, optional={key: VALUES for key in KEYS})
SETTINGS: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=80, **SETTINGS)
@given(ANY)
def test_any_values_of_a_front_matter(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    check_values(tmp_path_factory.getbasetemp() / "values", data)


@pytest.mark.soak
@settings(max_examples=20_000, **SETTINGS)
@given(ANY)
def test_many_values(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    check_values(tmp_path_factory.getbasetemp() / "values", data)


def test_a_value_that_stands_twice_is_told_beside_a_picture_that_is_not_there(tmp_path: Path) -> None:
    told = complaints(make_report(tmp_path, one=figure("counts: [1, 2, 2]\n  picture: images/none.png")))
    assert len(told) == 2 and "stands twice" in "".join(told) and "images/none.png" in "".join(told), told
