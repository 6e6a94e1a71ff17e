"""A mistake in a text of the front matter is told at its own line and column, however YAML has the text."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from noisebook.cells.registry import Registry
from noisebook.project import Project
from noisebook.render.site import proofread
from noisebook.report.load import load_report
from noisebook.report.model import BadInput, Problem
from noisebook.report.parse import parse_yaml
from noisebook.report.reader import Source

CAPTIONS = [
    "caption: A picture, with @.",
    "caption: A picture,\n  with\n  @.",
    "caption: 'It''s, with @.'",
    "caption: 'It''s,\n\n  with @.'",
    'caption: "A \\"picture\\"\\n \\x20\\u00e4, with @."',
    'caption: "A pic\\\n  ture with\n  @."',
    "caption: |\n  A picture\n\n    with @.",
    "caption: >-\n  A picture\n\n  with @.",
    "caption: >2\n   A picture\n  with ä @.",
    "caption: &name\n  A @",
]
"""@ stands for a formula with a mistake in it."""


def section(root: Path, front: str, body: str = "Text.") -> list[Problem]:
    """What is told of a report with this section."""
    (root / "sections").mkdir(exist_ok=True)
    (root / "report.yaml").write_text("title: T\n", "utf-8")
    (root / "sections" / "x.md").write_text(f"---\ntitle: x\n{front}\ngenerator: g\n---\n{body}\n", "utf-8")
    with pytest.raises(BadInput) as caught:
        load_report(root, Registry(root))
    return caught.value.problems


@pytest.mark.parametrize("front", CAPTIONS)
@pytest.mark.parametrize("key", ["caption", "alt", "summary"])
def test_a_mistake_is_told_where_it_stands_in_the_value(tmp_path: Path, front: str, key: str) -> None:
    front = front.replace("caption", key)
    before = front.partition("@")[0].split("\n")
    formula = "$\\\\foo$" if '"' in front else "$\\foo$"
    told = section(tmp_path, front.replace("@", formula))
    where = [str(each.position) for each in told if "foo" in each.message]
    assert where == [f"sections/x.md:{2 + len(before)}:{len(before[-1]) + 2}"], told


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text, "utf-8")
    (root / "images").mkdir(exist_ok=True)
    Image.new("RGB", (64, 64)).save(root / "images" / "a.png")
    return root


def told(root: Path) -> list[str]:
    """The places of all that a build tells before it computes anything."""
    with pytest.raises(BadInput) as caught:
        proofread(Project(root).report)
    return [str(each.position) for each in caught.value.problems]


FIGURE = "title: x\ngenerator: forward\nparams: {picture: images/a.png}\n"


def test_what_only_the_page_can_tell_is_told_there_too(tmp_path: Path) -> None:
    front = f"---\n{FIGURE}summary: |\n  See\n  [this](ftp://x)\ncaption: >-\n  As {{{{ ref('x') }}}} and\n"
    front += '  [@nobody] say\nalt: "$x$\n  [a](b:c)"\n---\nText.\n'
    config = "title: >-\n  A\n  [b](ftp://c)\nparts:\n  A: a [b](c:d)\n"
    written(tmp_path, {"report.yaml": config, "sections/x.md": front})
    assert told(tmp_path) == [
        "report.yaml:3:7",
        "report.yaml:5:12",
        "sections/x.md:7:10",
        "sections/x.md:10:3",
        "sections/x.md:12:7",
    ]


def test_mistakes_of_all_kinds_are_told_in_one_run(tmp_path: Path) -> None:
    one = f"---\n{FIGURE}capton: a\ncaption: '[@nobody] and [b](two.md#absent)'\n---\n"
    one += (
        "$\\foo$ [c](absent.md)\n\n- [@ho]\n- [d](#here)\n\n![a](images/b.png) {{ ref('tow') }} {{ x }}\n\n"
    )
    one += "## There\n"
    two = "---\ntitle: two\n---\n# B\n\n[f](x.md#there) [g](x.md#ther)\n\n<div>\n"
    written(
        tmp_path,
        {
            "report.yaml": "title: A [b](ftp://c)\nsed: 1\nsubtitle: [x]\n",
            "references.bib": "@article{ho, title={A}, year={2000}}\n@artcle{b, title={C}}\n",
            "sections/x.md": one,
            "sections/two.md": two,
        },
    )
    assert told(tmp_path) == [
        "references.bib:2:1",
        *("report.yaml:1:14", "report.yaml:2:1", "report.yaml:3:11"),
        *("sections/two.md:6:21", "sections/two.md:8:1"),
        *("sections/x.md:5:1", "sections/x.md:6:11", "sections/x.md:6:29"),
        *("sections/x.md:8:2", "sections/x.md:8:12", "sections/x.md:11:7", "sections/x.md:13:6"),
        *("sections/x.md:13:28", "sections/x.md:13:40"),
    ]


def test_links_and_places_of_credits_count_too(tmp_path: Path) -> None:
    credits = "# Pictures\n\n[a](images/lost.md) and\n[b](x.md), [@nobody]\n"
    files = {
        "report.yaml": "title: T\n",
        "sections/x.md": "---\ntitle: x\n---\na\n",
        "images/CREDITS.md": credits,
    }
    assert told(written(tmp_path, files)) == ["images/CREDITS.md:3:5", "images/CREDITS.md:4:12"]


def test_what_cannot_be_known_is_not_told(tmp_path: Path) -> None:
    """No citation is unknown where the bibliography cannot be read, no command where the macros cannot."""
    body = "---\ntitle: x\n---\n$\\own$ [@work] [@other] {{ ref('y') }} [a](y.md#b)\n"
    for config, said in {
        "title: a: b\nbibliography: own.bib\nmacros: {own: x}": ["report.yaml:1:9"],
        "title: T\nbibliography: [own.bib]\nmacros: [own]": ["report.yaml:2:15", "report.yaml:3:9"],
        "title: T\nbibliography: lost.bib\nmacros: {own: x}": ["report.yaml:2:15"],
    }.items():
        place = tmp_path / str(len(config))
        place.mkdir()
        y = "---\ntitle: y\n---\n$$ is never closed\n\n## b\n"
        files = {"report.yaml": f"{config}\n", "sections/x.md": body, "sections/y.md": y, "own.bib": "@a{b"}
        assert told(written(place, files)) == [*said, "sections/y.md:4:1"]


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.sampled_from("ab ä\"'\\\n:#|>&{}[]-\N{NO-BREAK SPACE}\U0001f600"), min_size=1, max_size=120),
    st.sampled_from(["'", '"', "|", ">", ""]),
    st.integers(20, 80),
)
def test_every_sign_is_found_in_every_kind_of_text(text: str, style: str, width: int) -> None:
    written = yaml.safe_dump({"a": {"b": text}}, default_style=style, width=width, allow_unicode=True)
    source = Source("x.md", written.replace("!!null", ""))
    problems: list[Problem] = []
    document = parse_yaml(source, 0, len(source.text), problems)
    assert document and not problems
    if (value := document.data["a"]["b"]) != text:
        return
    lines = source.text.split("\n")
    place = document.place(("a", "b"))
    for offset, sign in enumerate(value):
        if not sign.isspace():
            where = place.of(value, offset)
            found = lines[where.line - 1][where.column - 1 :]
            assert found[0] in (sign, "\\"), (written, offset)
            assert place.of(" ".join(value.split()), len(" ".join(value[: offset + 1].split())) - 1) == where


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        (r'caption: "Of $\theta$"', 15, r"write \\theta"),
        (r'caption: "Of \n $\alpha$, $\nabla$"', 18, r"write \\alpha"),
        ("caption: Of a #1 thing", 15, "a comment in YAML"),
        ("alt: Of a,\n  #1 thing", 1, ""),
        ("caption: [a](b.md) says", 13, "begins with ["),
        ("caption: *Well*, so", 15, "begins with *"),
        ("caption: - so", 10, "begins with -"),
        ('caption: "Well", so', 16, 'begins with "'),
    ],
)
def test_what_yaml_would_make_of_a_text_is_told(tmp_path: Path, line: str, column: int, said: str) -> None:
    (problem, *_) = section(tmp_path, line)
    if said:
        where = f"sections/x.md:3:{column}"
        assert str(problem.position) == where and said in f"{problem.message} {problem.hint}"


def test_macros_in_double_quotes_lose_no_backslash(tmp_path: Path) -> None:
    files = {
        "report.yaml": 'title: "T\\tx"\nmacros: {kl: "\\text{KL}"}\n',
        "sections/x.md": "---\ntitle: x\n---\na\n",
    }
    assert told(written(tmp_path, files)) == ["report.yaml:2:15"]


@pytest.mark.parametrize(
    ("caption", "place"),
    [
        ("|\n  One.\n\n  Two.", "6:3"),
        (">\n  One.\n\n  - Two.", "6:3"),
        ("|\n  One:\n  - two\n  - three", "5:3"),
        ("|\n  One:\n  | a |\n  |---|", "5:3"),
    ],
)
def test_a_caption_is_one_paragraph(tmp_path: Path, caption: str, place: str) -> None:
    (problem, *_) = section(tmp_path, f"caption: {caption}")
    assert str(problem.position) == f"sections/x.md:{place}" and "one paragraph" in problem.message
