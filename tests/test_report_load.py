"""Loading a report: what is right, and what every mistake is told as."""

import io
import textwrap
import zlib
from pathlib import Path

import pytest
from PIL import Image

from noisebook.cells.registry import Registry
from noisebook.report.files import InputFiles
from noisebook.report.load import load_report
from noisebook.report.model import BadInput, Report

DOTS = '''
"""Dots over a picture."""
from typing import Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, ImagePath
from noisebook.cells.contract import Params as Base


class Region(Base):
    """A rectangle."""

    left: int = Field(0, ge=0, description="pixels from the left")
    mask: ImagePath | None = Field(None, description="where, white on black")


class Params(Base):
    """What to draw."""

    picture: ImagePath | Literal["noise"] = Field("images/tower.png", description="under the dots")
    masks: list[ImagePath] = Field([], description="where the dots go")
    region: Region = Field(Region(), description="which part")
    sigma: float = Field(1.0, ge=0, le=5, description="width of a dot in pixels, 0 to 5")
    counts: tuple[int, ...] = Field((1, 2), min_length=1, description="dots in each picture")
    shape: Literal["round", "square"] = Field("round", description="of each dot")
    filled: bool = Field(True, description="whether dots are filled")
    note: str = Field("", description="a text")


def check(params, files):
    for index, mask in enumerate(params.masks):
        if files.image_size(mask) != files.image_size(params.picture):
            yield Complaint(("masks", index), "the mask has another size than the picture")


def cells(params):
    if params.note == "crash":
        raise RuntimeError("as asked")
    ids = ["same"] * 2 if params.note == "same" else [f"n={n}" for n in params.counts]
    return [Cell(name, name, "dots", {"sigma": params.sigma}) for name in ids]


def run(cells, context):
    yield from ()
'''

NEEDY = '''
from pydantic import Field

from noisebook.cells.contract import Cell
from noisebook.cells.contract import Params as Base


class Params(Base):
    """One that must be given."""

    level: int = Field(description="how much, 0 to 9", ge=0, le=9)


def cells(params):
    return [Cell("only", "only", "nothing")]


def run(cells, context):
    yield from ()
'''


def png(size: tuple[int, int] = (8, 8)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "red").save(buffer, "PNG")
    return buffer.getvalue()


def make_report(root: Path, **sections: str | bytes) -> Path:
    """A report with two generators, two pictures and the given sections (``_`` in their names is ``-``)."""
    root.mkdir(exist_ok=True)
    for folder in ("sections", "generators", "images"):
        (root / folder).mkdir(exist_ok=True)
    (root / "report.yaml").write_text("title: A report\nparts: {A: First, B: Second}\n")
    (root / "generators/dots.py").write_text(DOTS)
    (root / "generators/needy.py").write_text(NEEDY)
    (root / "images/tower.png").write_bytes(png())
    (root / "images/small.png").write_bytes(png((4, 8)))
    for name, text in sections.items():
        data = text if isinstance(text, bytes) else textwrap.dedent(text).lstrip("\n").encode()
        (root / "sections" / f"{name.replace('_', '-')}.md").write_bytes(data)
    return root


def load(root: Path) -> Report:
    return load_report(root, Registry(root))


def complaints(root: Path) -> list[str]:
    with pytest.raises(BadInput) as caught:
        load(root)
    told = [str(problem) for problem in caught.value.problems]
    assert "Traceback" not in "".join(told)
    return told


GOOD = """
    ---
    title: Dots
    part: A
    number: "A1"
    summary: About dots.
    figures:
      - id: first
        generator: dots
        params: {sigma: 2, counts: [1, 2, 3]}
        caption: Dots with $\\sigma = 2$, see {{ ref("second") }}.
        alt: Many dots.
        layout: {columns: 3}
      - id: second
        generator: dots
    ---
    See {{ ref("first") }}, {{ ref('other') }} and `{{ nothing }}`.

    {{ figure("first") }}

    $$
    x_t = \\sqrt{\\bar\\alpha_t} x_0
    $$
"""
SHORT = "---\ntitle: Other\ngenerator: needy\nparams:\n  level: 3\n---\nA price of $5.\n"


def test_a_good_report(tmp_path):
    report = load(make_report(tmp_path, one=GOOD, other=SHORT))
    assert (report.title, report.seed, report.model, report.store) == ("A report", 42, "exact", "cache")
    one, other = report.sections
    assert (one.slug, one.title, one.part, one.number, one.summary) == (
        "one",
        "Dots",
        "A",
        "A1",
        "About dots.",
    )
    first, second = one.figures
    assert first.params.sigma == 2 and [cell.id for cell in first.cells] == ["n=1", "n=2", "n=3"]
    assert (first.caption[:4], first.alt, dict(first.layout)) == ("Dots", "Many dots.", {"columns": 3})
    assert str(first.position) == "sections/one.md:7:9" and second.params.counts == (1, 2)
    assert one.body.startswith("See ") and one.body_line == 16
    assert other.figures[0].id == "other" and other.figures[0].params.level == 3


def test_a_section_may_be_prose(tmp_path):
    report = load(make_report(tmp_path, prose="---\ntitle: Words\n---\nOnly words.\n"))
    assert report.sections[0].figures == ()


def test_byte_order_mark_and_line_ends_do_not_matter(tmp_path):
    text = textwrap.dedent(GOOD).lstrip("\n")
    plain = repr(load(make_report(tmp_path, one=text, other=SHORT)).sections)
    for ending in ("\r\n", "\r"):
        data = b"\xef\xbb\xbf" + text.replace("\n", ending).encode()
        assert repr(load(make_report(tmp_path, one=data)).sections) == plain


def test_listed_sections_come_first(tmp_path):
    root = make_report(tmp_path, **{name: f"---\ntitle: {name}\n---\ntext\n" for name in "cab"})
    (root / "sections/_left-out.md").write_text("not a section")
    (root / "report.yaml").write_text("title: T\nsections: [c]\n")
    assert [section.slug for section in load(root).sections] == ["c", "a", "b"]


def test_numbers_and_text_are_read_as_yaml_1_2_does(tmp_path):
    section = "---\ntitle: no\nnumber: 2024-01-01\ngenerator: dots\nparams: {sigma: 1e-1, note: on}\n---\n"
    loaded = load(make_report(tmp_path, one=section)).sections[0]
    assert (loaded.title, loaded.number) == ("no", "2024-01-01")
    assert loaded.figures[0].params.sigma == 0.1 and loaded.figures[0].params.note == "on"


def figure(params: str, **more: str) -> str:
    """A section of one figure by ``dots``; its parameters begin on line 5, column 3."""
    keys = "".join(f"{key}: {value}\n" for key, value in more.items())
    return f"---\ntitle: One\ngenerator: dots\nparams:\n  {params}\n{keys}---\ntext\n"


BODY = "---\ntitle: One\nfigures:\n  - {id: dotty, generator: dots}\n---\n"  # the body begins on line 6

MISTAKES = [
    # what, section, where it must be told, words of the message, words of the hint
    ("unknown key", "---\ntitle: T\nsumary: x\n---\ntext\n", "3:1", "unknown key 'sumary'", "'summary'"),
    ("unknown parameter", figure("sigmar: 1"), "5:3", "unknown key 'sigmar'", "'sigma'"),
    ("nested key", figure("region: {lift: 1}"), "5:12", "unknown key 'lift'", "'left'"),
    ("layout key", figure("note: x", layout="{colums: 2}"), "6:10", "unknown key 'colums'", "'columns'"),
    ("no title", "---\npart: A\n---\ntext\n", "2:1", "'title' is missing", "the section's title"),
    (
        "no required",
        "---\ntitle: T\ngenerator: needy\nparams: {}\n---\n",
        "4:9",
        "'level' is missing",
        "0 to 9",
    ),
    ("number as title", "---\ntitle: 5\n---\ntext\n", "2:8", "expected a text, found the number 5", "quotes"),
    ("number unquoted", "---\ntitle: T\nnumber: 1.2\n---\ntext\n", "3:9", "expected a text", "quotes"),
    ("wrong type", figure("sigma: wide"), "5:10", "expected a number, found the text 'wide'", "0 to 5"),
    ("text for whole", figure("counts: [1, two]"), "5:15", "expected a whole number", "dots in each"),
    ("part of whole", figure("counts: [1.5]"), "5:12", "expected a whole number", ""),
    ("not a list", figure("counts: 3"), "5:11", "expected a list, found the number 3", ""),
    ("not a truth", figure("filled: 1"), "5:11", "expected true or false", ""),
    ("not a mapping", figure("region: 3"), "5:11", "expected keys with values", ""),
    ("out of bounds", figure("sigma: -1"), "5:10", "at least 0.0, found the number -1", "0 to 5"),
    ("nested bounds", figure("region: {left: -1}"), "5:18", "at least 0", "from the left"),
    ("empty list", figure("counts: []"), "5:11", "must not be empty", ""),
    ("one of two", figure("shape: squar"), "5:10", "expected 'round' or 'square'", "'square'"),
    ("params a list", "---\ntitle: T\ngenerator: dots\nparams: [1]\n---\n", "4:9", "expected keys", ""),
    (
        "unknown generator",
        "---\ntitle: T\ngenerator: dot\n---\n",
        "3:12",
        "unknown generator 'dot'",
        "'dots'",
    ),
    (
        "no generator",
        "---\ntitle: T\nparams: {}\n---\ntext\n",
        "3:1",
        "this section names none",
        "generator:",
    ),
    (
        "no generator in list",
        "---\ntitle: T\nfigures:\n  - id: x\n---\n",
        "4:5",
        "'generator' is missing",
        "",
    ),
    ("nothing at all", "---\ntitle: T\n---\n\n", "1:1", "neither text nor a figure", "generator:"),
    ("both forms", "---\ntitle: T\ngenerator: dots\nfigures: []\n---\n", "3:1", "list of figures", "move it"),
    ("unknown part", "---\ntitle: T\npart: C\n---\nx\n", "3:7", "unknown part 'C'", "A, B"),
    (
        "bad id",
        "---\ntitle: T\nfigures:\n- {id: A b, generator: dots}\n---\n",
        "4:8",
        "'A b'",
        "small letters",
    ),
    (
        "duplicate id",
        "---\ntitle: T\nfigures:\n- {id: a, generator: dots}\n- {id: a, generator: dots}\n---\n",
        "5:8",
        "two figures are called 'a'",
        "line 4",
    ),
    (
        "duplicate key",
        "---\ntitle: T\npart: A\ntitle: U\n---\nx\n",
        "4:1",
        "'title' is written twice",
        "line 2",
    ),
    ("missing image", figure("picture: images/towr.png"), "5:12", "no file 'images/towr.png'", "'tower.png'"),
    ("missing in list", figure("masks: [images/a.png]"), "5:11", "no file 'images/a.png'", ""),
    ("missing nested", figure("region: {mask: x.png}"), "5:18", "no file 'x.png'", "relative to"),
    ("not a picture", figure("picture: report.yaml"), "5:12", "not a whole picture", "PNG"),
    ("a folder", figure("picture: images"), "5:12", "is a folder", ""),
    ("truncated", figure("picture: images/torn.png"), "5:12", "not a whole picture", ""),
    ("bomb", figure("picture: images/bomb.png"), "5:12", "more than 50,000,000 pixels", ""),
    ("another size", figure("masks: [images/small.png]"), "5:11", "another size than the picture", ""),
    ("upwards", figure("picture: ../secret.png"), "5:12", "leads out of the report's folder", "copy"),
    ("upwards inside", figure("picture: images/../../secret.png"), "5:12", "leads out", ""),
    ("absolute", figure("picture: /etc/passwd"), "5:12", "leads out", ""),
    ("link out", figure("picture: images/link.png"), "5:12", "a link out", ""),
    ("backslashes", figure("picture: images\\tower.png"), "5:12", "forward slashes", ""),
    ("no name", figure("picture: ''"), "5:12", "expected the name of a file", ""),
    ("zero byte", figure('picture: "a\\0b"'), "5:12", "control character", ""),
    ("crash in cells", figure("note: crash"), "generators/dots.py:39", "RuntimeError: as asked", "one.md"),
    ("cells of one id", figure("note: same"), "generators/dots.py:", "two cells have the id", ""),
    ("bad yaml", "---\ntitle: T\nparams: [1\n---\ntext\n", "4:1", "not YAML", "bracket"),
    ("colon in text", "---\ntitle: T: U\n---\ntext\n", "2:9", "not YAML", "quotes"),
    ("open quote", "---\ntitle: 'T\n---\ntext\n", "3:1", "not YAML", "closed"),
    ("tab", "---\ntitle: T\nparams:\n\tsigma: 1\n---\ntext\n", "4:1", "a tab cannot indent YAML", "spaces"),
    ("a list", "---\n- title\n---\ntext\n", "2:1", "expected lines of `key: value`, found a list", ""),
    ("alias", "---\ntitle: &a T\nsummary: *a\n---\ntext\n", "3:10", "the alias *a is not allowed", "write"),
    ("tag", "---\ntitle: !!python/name:os.system\n---\nx\n", "2:8", "python/name:os.system is not", ""),
    ("infinite", figure("sigma: .inf"), "5:10", "finite number", ""),
    ("huge", figure("counts: [99999999999999999999]"), "5:12", "64 bits", ""),
    ("deep", figure("note: " + "[" * 30), "5:", "nested more than 20 deep", ""),
    ("two documents", "---\ntitle: T\n...\n--- 2\n---\ntext\n", "4:1", "second YAML document", ""),
    ("no front matter", "Just text.\n", "1:1", "front matter is missing", "---"),
    ("open front matter", "---\ntitle: T\n\ntext\n", "1:1", "front matter is never closed", "---"),
    ("empty file", "", "1:1", "the file is empty", ""),
    ("blank file", " \n\n", "1:1", "the file is empty", ""),
    ("latin-1", "---\ntitle: é\n---\n".encode("latin-1"), "2:8", "0xe9 is not UTF-8", "save"),
    ("utf-16", "---\ntitle: T\n---\n".encode("utf-16"), "1:1", "UTF-16", "UTF-8"),
    ("zero in text", "---\ntitle: T\n---\na\0b\n", "4:2", "control character U+0000", ""),
    ("too large", b"---\ntitle: T\n---\n" + b"x" * 1_000_001, "1:1", "larger than", ""),
    ("bad math", BODY + "so $x^{2$ it is\n", "6:9", "reached end of input", ""),
    ("unknown command", BODY + "a\n\n$$\n\\foo\n$$\n", "9:1", 'Unknown command "\\foo"', ""),
    ("open math", BODY + "let $x be\n", "6:5", "never closed", "\\$"),
    ("open display", BODY + "$$ x\n", "6:1", "never closed", ""),
    ("blank in math", BODY + "$$ x\n\n y $$\n", "6:1", "blank line", ""),
    ("empty math", BODY + "$$ $$\n", "6:1", "empty", ""),
    ("lost equation", BODY + "see $\\eqref{a}$\n", "6:13", "has the label 'a'", ""),
    ("math in caption", figure("note: x", caption='"$\\\\foo$"'), "6:12", "Unknown command", ""),
    ("reference to no figure", BODY + 'see {{ ref("doty") }}\n', "6:13", "is called 'doty'", "'dotty'"),
    ("lost in caption", figure("note: x", caption="'{{ ref(\"no\") }}'"), "6:19", "is called 'no'", ""),
    ("no such figure", BODY + '{{ figure("doty") }}\n', "6:12", "no figure 'doty'", "'dotty'"),
    (
        "placed twice",
        BODY + '{{ figure("dotty") }}\n\n{{ figure("dotty") }}\n',
        "8:1",
        "placed twice",
        "line 6",
    ),
    ("in a sentence", BODY + 'see {{ figure("dotty") }}\n', "6:5", "line of its own", "ref"),
    ("another call", BODY + '{{ figur("dotty") }}\n', "6:4", "unknown call 'figur'", "'figure'"),
    ("code in braces", BODY + "{{ 1 + 1 }}\n", "6:1", "no call", "figure("),
    ("attack", BODY + "{{ ''.__class__ }}\n", "6:1", "no call", ""),
    ("open braces", BODY + '{{ ref("dotty")\n', "6:1", "never closed", "}}"),
    ("open code", BODY + "```python\nx = 1\n", "6:1", "never closed", ""),
]


@pytest.mark.parametrize(
    ("section", "where", "says", "hint"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
def test_mistake(tmp_path, section, where, says, hint):
    root = make_report(tmp_path / "report", one=section)
    (tmp_path / "secret.png").write_bytes(png())
    (root / "images/link.png").symlink_to(tmp_path / "secret.png")
    (root / "images/torn.png").write_bytes(png((64, 64))[:-20])
    bomb = bytearray(png())
    bomb[16:24] = (30000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    (root / "images/bomb.png").write_bytes(bomb)
    told = complaints(root)
    place = where if ".py" in where else f"sections/one.md:{where}"
    assert len(told) == 1, told
    matching = [each for each in told if each.startswith(place) and says in each]
    assert matching and hint in matching[0].partition("\n")[2], told


def test_all_mistakes_of_all_files_in_one_go(tmp_path):
    root = make_report(
        tmp_path,
        b="---\ntitle: [\n---\n$\\foo$\n",
        a=figure("{sigma: x, picture: q.png, sigmar: 1}", parrt="A") + '{{ ref("lost") }}\n',
    )
    (root / "report.yaml").write_text("titel: T\nseed: -1\nstore: ../elsewhere\nsections: [c]\n")
    told = [problem.splitlines()[0] for problem in complaints(root)]
    assert told == sorted(told), "by file and line"
    assert [each.partition(": ")[0] for each in told] == [
        "report.yaml:1:1",
        "report.yaml:1:1",
        "report.yaml:2:7",
        "report.yaml:3:8",
        "report.yaml:4:12",
        "sections/a.md:5:11",
        "sections/a.md:5:23",
        "sections/a.md:5:30",
        "sections/a.md:6:1",
        "sections/b.md:3:1",
        "sections/b.md:4:2",
    ]


def test_no_false_alarm_about_figures_in_a_file_that_cannot_be_read(tmp_path):
    root = make_report(tmp_path, a=BODY + '{{ ref("elsewhere") }}\n', b="---\ntitle: [\n---\n")
    assert len(complaints(root)) == 1


def test_ids_are_unique_in_the_report(tmp_path):
    root = make_report(tmp_path, a=BODY, b=BODY)
    assert "sections/b.md:4:10: two figures are called 'dotty'" in complaints(root)[0]
    root = make_report(tmp_path, b="---\ntitle: T\n---\ntext\n", dotty="---\ntitle: T\n---\ntext\n")
    assert "sections/a.md:4:10: the figure 'dotty' is called like a section" in complaints(root)[0]


def test_figures_stay_in_their_section(tmp_path):
    root = make_report(tmp_path, a=BODY, b='---\ntitle: T\n---\n{{ figure("dotty") }}\n')
    told = complaints(root)[0]
    assert "sections/b.md:4:12" in told and 'sections/a.md has: {{ ref("dotty") }}' in told


def test_numbers_are_unique(tmp_path):
    section = "---\ntitle: T\nnumber: '1'\n---\ntext\n"
    assert (
        "sections/b.md:3:9: two sections have the number '1'"
        in complaints(make_report(tmp_path, a=section, b=section))[0]
    )


@pytest.mark.parametrize(
    ("config", "where", "says", "hint"),
    [
        ("title: T\nsections: [onne]\n", "2:12", "no file sections/onne.md", "'one'"),
        ("title: T\nsections: [one, one]\n", "2:17", "listed twice", ""),
        ("title: T\nstore: ../x\n", "2:8", "leads out", "file:///"),
        ("title: T\nbibliography: x.bib\n", "2:15", "no file 'x.bib'", "relative"),
        ("title: T\nbase_url: https://a.org/?b\n", "2:11", "no ? and no #", "https"),
        ("title: T\nbase_url: javascript:alert(1)\n", "2:11", "not what is expected", "https"),
        ("title: T\nseed: 1.5\n", "2:7", "expected a whole number", "seed"),
        ("title: T\nauthors: Me\n", "2:10", "expected a list", "names"),
        ("title: T\nminutes_limt: 1\n", "2:1", "unknown key", "'minutes_limit'"),
        ("title: T\nmacros: {a1: x}\n", "2:10", "'a1' cannot name a macro", "letters"),
        ("title: T\nmacros: {a: x, \\a: y}\n", "2:16", "there twice", ""),
        ("title: T\nmacros: {a: 1}\n", "2:13", "expected a text", "quotes"),
        ("title: T\nmacros: {a: ''}\n", "2:13", "must not be empty", ""),
        ("", "1:1", "the file is empty", ""),
        ("- a\n", "1:1", "found a list", ""),
    ],
)
def test_mistakes_in_report_yaml(tmp_path, config, where, says, hint):
    root = make_report(tmp_path, one="---\ntitle: T\n---\ntext\n")
    (root / "report.yaml").write_text(config)
    told = complaints(root)
    assert len(told) == 1 and told[0].startswith(f"report.yaml:{where}: "), told
    assert says in told[0] and hint in told[0]


def test_macros_of_every_formula(tmp_path):
    root = make_report(tmp_path, one="---\ntitle: T\n---\ntext\n")
    (root / "report.yaml").write_text("title: T\nmacros:\n  \\abar: \\bar\\alpha\n  E: \\mathbb{E}[#1]\n")
    assert load(root).macros == {"abar": "\\bar\\alpha", "E": "\\mathbb{E}[#1]"}


def test_a_folder_without_a_report(tmp_path):
    told = complaints(tmp_path)
    assert told[0].startswith("report.yaml:1:1: there is no such file") and "no folder sections/" in told[1]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("A b.md", "page's address"),
        ("a.MD", "ends in .md"),
        ("a.markdown", "ends in .md"),
        ("index.md", "site itself"),
    ],
)
def test_names_that_no_page_can_have(tmp_path, name, says):
    root = make_report(tmp_path, one="---\ntitle: T\n---\ntext\n")
    (root / "sections" / name).write_text("---\ntitle: T\n---\ntext\n")
    assert f"sections/{name}:1:1" in complaints(root)[0] and says in complaints(root)[0]


def test_a_section_that_is_a_link_out_of_the_folder_is_not_read(tmp_path):
    root = make_report(tmp_path / "report")
    (tmp_path / "secret").write_text("---\ntitle: SECRET\nx: SECRET\n---\n")
    (root / "sections/one.md").symlink_to(tmp_path / "secret")
    told = complaints(root)
    assert "a link out of" in told[0] and "SECRET" not in "".join(told)


def test_a_section_that_is_a_folder(tmp_path):
    root = make_report(tmp_path)
    (root / "sections/one.md").mkdir()
    assert "sections/one.md:1:1: the file cannot be read" in complaints(root)[0]


def test_an_alias_bomb_costs_nothing(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    root = make_report(tmp_path, one="---\ntitle: T\n" + "\n".join(lines) + "\n---\ntext\n")
    told = complaints(root)
    assert sum("alias" in each for each in told) == 99 and "*a0 is not allowed" in "".join(told)


def test_brackets_without_end_do_not_overflow(tmp_path):
    root = make_report(tmp_path, one="---\ntitle: " + "[" * 200_000 + "\n---\ntext\n")
    assert "nested more than 20 deep" in complaints(root)[0]


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [exit]", "!x y", "!!binary aGk=", "!!timestamp 2024-01-01"]
)
def test_tags_are_refused(tmp_path, tag):
    root = make_report(tmp_path, one=f"---\ntitle: {tag}\n---\ntext\n")
    assert "sections/one.md:2:8: the tag" in complaints(root)[0]


def test_a_generator_that_cannot_be_imported_is_told_once(tmp_path):
    root = make_report(
        tmp_path, a="---\ntitle: T\ngenerator: faulty\n---\n", b="---\ntitle: T\ngenerator: faulty\n---\n"
    )
    (root / "generators/faulty.py").write_text("x = 1\n1 / 0\n")
    told = complaints(root)
    assert len(told) == 1 and told[0].startswith(
        "generators/faulty.py:2:1: generator 'faulty' cannot be imported"
    )


def test_a_check_that_fails_is_the_generators_mistake(tmp_path):
    root = make_report(tmp_path, one=figure("masks: [images/tower.png]"))
    (root / "generators/dots.py").write_text(DOTS.replace("for index, mask", "for index, mask, more"))
    assert complaints(root)[0].startswith("generators/dots.py:32:1: check() of generator 'dots' failed")


@pytest.mark.parametrize("where", ["validator", "cells"])
def test_whatever_a_generator_raises_is_told(tmp_path, where):
    root = make_report(tmp_path, one="---\ntitle: T\ngenerator: needy\nparams: {level: 1}\n---\n")
    validator = "    @field_validator('level')\n    def look(cls, value):\n        return value.missing\n"
    text = NEEDY.replace("import Field", "import Field, field_validator")
    if where == "validator":
        text = text.replace("ge=0, le=9)\n", "ge=0, le=9)\n\n" + validator)
    else:
        text = text.replace("    return [", "    raise SystemExit(1)\n    return [")
    (root / "generators/needy.py").write_text(text)
    told = complaints(root)
    assert len(told) == 1 and told[0].startswith("generators/needy.py:1"), told


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("def check(params, files): return [3]", "check() of generator 'needy' failed"),
        ("def check(params, files): return 3", "check() of generator 'needy' failed"),
        ("def cells(params): return [Cell('a', '', '', inputs={'x': 3})]", "not named by text"),
        ("def cells(params): return [Cell('a', '', '', inputs=3)]", "cells() of generator 'needy' failed"),
        ("def cells(params): return [Cell('a', '', '', {'x': float('nan')})]", "cells() of generator"),
        ("def cells(params): return [Cell('a' * 200, '', '')]", "is not made of"),
    ],
)
def test_what_a_generator_answers_wrongly_is_told_in_its_file(tmp_path, line, says):
    root = make_report(tmp_path, one=SHORT)
    with (root / "generators/needy.py").open("a") as file:
        file.write(f"\n\n{line}\n")
    (told,) = complaints(root)
    assert told.startswith("generators/needy.py:") and says in told and "sections/one.md" in told


def test_pictures_are_decoded_once(tmp_path, monkeypatch):
    root = make_report(tmp_path, one=figure("masks: [images/tower.png]"))
    load(root)
    monkeypatch.setattr("noisebook.report.files.decode", lambda *_: pytest.fail("decoded again"))
    load(root)
    (root / ".noisebook/pictures.json").write_text("damaged")
    monkeypatch.undo()
    load(root)
    (root / "images/tower.png").write_bytes(png()[:-20])
    assert "not a whole picture" in complaints(root)[0]


def test_what_is_remembered_of_pictures_is_right_or_learnt_again(tmp_path):
    root = make_report(tmp_path, one=figure("masks: [images/tower.png]"))
    memory = root / ".noisebook/pictures.json"
    assert InputFiles(root).image_size("images/tower.png") == (8, 8) and load(root)
    kept = memory.read_bytes()
    spoilt = [b"[]", b"{}", b"[" * 100_000, b"\xff", b"", kept[:-5]]
    spoilt += [kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :] for at in range(len(kept))]
    for content in spoilt:
        memory.write_bytes(content)
        assert InputFiles(root).image_size("images/tower.png") == (8, 8)


def test_pictures_are_measured_as_they_are_looked_at(tmp_path):
    root = make_report(tmp_path, one=figure("{picture: images/turned.jpg, masks: [images/small.png]}"))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(root / "images/turned.jpg", exif=exif)
    load(root)


def test_hostile_text_is_kept_as_text(tmp_path):
    text = "<script>alert(1)</script>"
    report = load(make_report(tmp_path, one=f"---\ntitle: '{text}'\n---\n{text}\n"))
    assert report.sections[0].title == text and report.sections[0].body.strip() == text


@pytest.mark.parametrize(
    "mode, colour, grey",
    [
        ("L", 40, 40),
        ("1", 1, 255),
        ("RGB", (255, 0, 255), 170),
        ("RGBA", (0, 0, 0, 0), 255),
        ("P", 0, 0),
        ("I;16", 257 * 30, 30),
        ("LA", (10, 255), 10),
    ],
)
def test_the_greys_of_a_picture(tmp_path: Path, mode: str, colour: int | tuple[int, ...], grey: int) -> None:
    Image.new(mode, (6, 4), colour).save(tmp_path / "p.png")
    for _ in range(2):  # looked at, and then remembered
        files = InputFiles(tmp_path)
        assert files.image_size("p.png") == (6, 4)
        dark, bright = files.image_range("p.png")
        assert abs(dark - grey) <= 1 and abs(bright - grey) <= 1
        files.save()
