"""What `noisebook new` writes, and that the documentation shows what works."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from noisebook.cells.registry import Registry
from noisebook.project import Project
from noisebook.report.files import InputFiles
from noisebook.report.load import load_report
from noisebook.report.model import BadInput
from noisebook.report.scaffold import FIRST_RUN, GENERATOR, new_generator, new_section, write_new
from noisebook.report.schema import FigureEntry, Layout, ReportFile, SectionFile
from noisebook.report.starter import new_report
from tests.test_report_load import SHORT, load, make_report

DOCS = Path(__file__).parents[1] / "docs"


def test_the_documented_example_is_the_one_that_is_written_and_works(tmp_path):
    page = (DOCS / "generators.md").read_text()
    example = page.partition("```python\n")[2].partition("```")[0]
    assert example == GENERATOR
    code = [line for line in example.splitlines() if re.match(r"\s*[^\s#\"]", line)]
    assert len(code) <= 16, "a newcomer copies a dozen lines, and imports"

    section = page.partition("```yaml\n")[2].partition("```")[0]
    root = make_report(tmp_path, waves=f"---\n{section}---\n")
    (root / "generators/waves.py").write_text(example)
    figure = load(root).sections[0].figures[0]
    generator = Registry(root).get("waves")
    drawn = list(generator.run(figure.cells, context=None))
    assert [cell.id for cell, _ in drawn] == ["f=1", "f=2", "f=3", "f=4"]
    assert len({outputs[0].data for _, outputs in drawn}) == 4
    assert all((outputs[0].width, outputs[0].height) == (64, 64) for _, outputs in drawn)


def test_the_documented_plot_is_drawn_and_its_test_passes(tmp_path):
    page = (DOCS / "generators.md").read_text()
    blocks = [block.partition("```")[0] for block in page.split("```python\n")[1:]]
    [generator] = [block for block in blocks if "matplotlib.figure" in block]
    [test] = [block for block in blocks if "def test_the_curve_falls" in block]
    root = make_report(tmp_path, decay="---\ntitle: Decay\ngenerator: decay\n---\nIt falls.\n")
    (root / "generators/decay.py").write_text(generator)
    (root / "tests").mkdir()
    names = {"Registry": Registry, "Path": Path, "__file__": str(root / "tests" / "test_decay.py")}
    exec(test, names)
    names["test_the_curve_falls"]()
    [figure] = load(root).sections[0].figures
    for _, outputs in Registry(root).get("decay").run(figure.cells, context=None):
        assert [output.name for output in outputs] == ["picture", "strip", "curve", "levels", "half-life"]
        plot, strip, *_ = outputs
        assert (plot.width, plot.height) == (600, 375)
        assert (strip.width, strip.height) == (1000, 16)


def test_links_of_the_documentation_lead_somewhere():
    for page in DOCS.glob("*.md"):
        text = re.sub(r"```.*?```|`[^`\n]+`", "", page.read_text(), flags=re.DOTALL)
        for name, heading in re.findall(r"\]\(([\w.-]+\.md)(?:#([\w-]+))?\)", text):
            target = DOCS / name
            assert target.is_file(), f"{page.name}: {name}"
            headings = re.findall(r"^#+ (.+)$", target.read_text(), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
            assert not heading or heading in anchors, f"{page.name}: {name}#{heading}"


def test_the_documented_section_is_right(tmp_path):
    page = (DOCS / "sections.md").read_text()
    text = page.partition("```markdown\n")[2].partition("\n```")[0] + "\n"
    root = make_report(tmp_path, forward=text)
    (root / "images/tower.jpg").write_bytes((root / "images/tower.png").read_bytes())
    if "forward" not in Registry(root).names():
        pytest.skip("noisebook is installed without its generators")
    assert load(root).sections[0].figures[0].id == "forward"


@pytest.mark.parametrize("model", [ReportFile, SectionFile, FigureEntry, Layout])
def test_every_key_is_documented_and_described(model):
    page = (DOCS / "sections.md").read_text()
    for name, field in model.model_fields.items():
        assert f"`{name}`" in page and field.description


@pytest.mark.parametrize("generator", ["dots", "needy"])
def test_a_new_section_builds_at_once_and_explains_every_parameter(tmp_path, generator):
    root = make_report(tmp_path)
    path = new_section(root, "my-section", generator, Registry(root))
    text = path.read_text()
    figure = load(root).sections[0].figures[0]
    assert figure.generator == generator and "My section" in text
    for name, field in Registry(root).get(generator).Params.model_fields.items():
        assert field.description in text and f"{name}: " in text


def test_its_defaults_are_the_generators_own(tmp_path):
    root = make_report(tmp_path)
    path = new_section(root, "one", "dots", Registry(root))
    before = load(root).sections[0].figures[0].params
    path.write_text(re.sub(r"^  # (\w+: )", r"  \1", path.read_text(), flags=re.MULTILINE))
    assert yaml.safe_load(path.read_text().split("---")[1])["params"]["counts"] == [1, 2]
    assert load(root).sections[0].figures[0].params.model_dump() == before.model_dump()


def test_every_shipped_generator_can_be_started_with(tmp_path):
    root = make_report(tmp_path)
    registry = Registry(Path(__file__).parents[1])
    for name in registry.names():
        text = new_section(root, name.replace("_", "-"), name, registry).read_text()
        assert yaml.safe_load(text.split("---")[1])["generator"] == name


SHIPPED = Registry(Path(__file__).parents[1]).names()


def started(root, generator):
    """A report as ``init`` leaves it, with a section as ``new`` leaves it for that generator."""
    new_report(root, "Mine")
    return new_section(root, "my-figure", generator, Registry(root))


@pytest.mark.parametrize("generator", SHIPPED)
def test_what_new_writes_for_a_shipped_generator_loads_as_it_is(tmp_path, generator):
    path = started(tmp_path, generator)
    assert load(tmp_path).sections[0].figures[0].generator == generator
    for name, field in Registry(tmp_path).get(generator).Params.model_fields.items():
        assert f"{name}: " in path.read_text() and (field.description or "index of") in path.read_text()


@pytest.mark.parametrize("generator", SHIPPED)
def test_what_new_writes_is_computed_unasked_with_all_that_it_needs(tmp_path, generator):
    started(tmp_path, generator)
    book = Project(tmp_path)
    minutes = sum(planned.cell.minutes for planned in book.chosen(("my-figure",)).values())
    assert minutes <= book.report.minutes_limit


def test_a_first_run_is_written_out_beside_what_the_whole_one_would_be(tmp_path):
    path = started(tmp_path, "mnist_training")
    text, short = path.read_text(), load(tmp_path).sections[0].figures[0].params
    assert short.width == 32 and "  # else 128\n  width: 32\n" in text and FIRST_RUN in text
    path.write_text(re.sub(r"(  # else .*\n).*\n", r"\1", text).replace("params:", "params:\n  sigma: 0.5"))
    whole = load(tmp_path).sections[0].figures[0].params
    assert whole == Registry(tmp_path).get("mnist_training").Params()


@pytest.mark.parametrize("generator", SHIPPED)
def test_every_value_that_new_writes_is_the_one_that_counts(tmp_path, generator):
    path = started(tmp_path, generator)
    before = load(tmp_path).sections[0].figures[0]
    path.write_text(re.sub(r"^  # (\w+: )(?=[\[{\"\d.tfn-])", r"  \1", path.read_text(), flags=re.MULTILINE))
    after = load(tmp_path).sections[0].figures[0]
    assert after.params.model_dump() == before.params.model_dump() and after.cells == before.cells


def test_a_picture_is_the_reports_first_or_one_that_is_drawn(tmp_path):
    root = make_report(tmp_path)
    assert 'picture: "images/small.png"' in new_section(root, "a", "forward", Registry(root)).read_text()
    for picture in (root / "images").iterdir():
        picture.unlink()
    assert 'picture: "images/hills.png"' in new_section(root, "b", "forward", Registry(root)).read_text()
    (root / "sections/a.md").unlink()
    assert InputFiles(root).image_size("images/hills.png") == (256, 256) and load(root)


def test_a_second_thing_of_a_list_is_written_as_the_comment_says(tmp_path):
    path = started(tmp_path, "sdedit")
    text = path.read_text()
    assert "# a second one stands after a comma: edits: [{…}, {…}]" in text
    one = re.search(r"^  edits: \[(.*)\]$", text, re.MULTILINE)[1]
    path.write_text(text.replace(one, f"{one}, {one.replace('high', 'low')}"))
    assert len(load(tmp_path).sections[0].figures[0].params.edits) == 2


DEMANDING = """
from typing import Annotated, Literal
from pydantic import BaseModel, Field
from noisebook.cells.contract import Cell, ImagePath, Params as Base

class Part(Base):
    side: int = Field(multiple_of=8, ge=10, le=30, description="of the part")
    under: ImagePath

class Params(Base):
    low: float = Field(gt=0, lt=0.1, description="small")
    high: int = Field(lt=-5, description="below")
    name: str = Field(min_length=9, description="long")
    kind: Literal["a", 3] = Field(description="of two: with a colon")
    parts: list[Part] = Field(min_length=2, description="parts\\nover lines")
    pair: tuple[int, str] = Field((1, "a"), description="both")
    maybe: int | None = Field(description="or nothing")
    given: dict[str, int] = Field(description="by name")
    many: list[Annotated[int, Field(ge=4)]] = Field(description="numbers")

def cells(params):
    return [Cell("one", "", "", params.model_dump())]

def run(cells, context):
    yield from ()
"""


def test_values_that_fit_their_bounds_are_found(tmp_path):
    root = make_report(tmp_path)
    (root / "generators/demanding.py").write_text(DEMANDING)
    text = new_section(root, "one", "demanding", Registry(root)).read_text()
    params = load(root).sections[0].figures[0].params
    assert 0 < params.low < 0.1 and params.high < -5 and params.parts[0].side in (16, 24)
    assert "(each at least 4)" in text and "side: of the part (at least 10, at most 30" in text


def test_a_section_of_words(tmp_path):
    root = make_report(tmp_path)
    new_section(root, "words", None, Registry(root))
    assert load(root).sections[0].figures == ()


def test_a_new_generator_comes_with_a_test_that_passes(tmp_path):
    root = make_report(tmp_path)
    module, test = new_generator(root, "swirls")
    new_section(root, "swirls", "swirls", Registry(root))
    assert [cell.id for cell in load(root).sections[0].figures[0].cells] == ["f=1", "f=2", "f=4"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 0 and "2 passed" in result.stdout, result.stdout + result.stderr
    assert importlib.util.find_spec("swirls") is None and module.name == "swirls.py"


@pytest.mark.parametrize("name", ["../out", "A", "a b", "index", "", "a/b", ".hidden"])
def test_names_that_no_section_can_have(tmp_path, name):
    root = make_report(tmp_path)
    with pytest.raises(BadInput, match="cannot name a section"):
        new_section(root, name, None, Registry(root))
    assert not list((root / "sections").iterdir()) and not (tmp_path.parent / "out.md").exists()


@pytest.mark.parametrize("name", ["../out", "a-b", "Upper", "_x", "1a", ""])
def test_names_that_no_generator_can_have(tmp_path, name):
    with pytest.raises(BadInput, match="cannot name a generator"):
        new_generator(make_report(tmp_path), name)


def test_nothing_is_overwritten(tmp_path):
    root = make_report(tmp_path)
    path = new_section(root, "one", None, Registry(root))
    path.write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        new_section(root, "one", None, Registry(root))
    with pytest.raises(BadInput, match="already"):
        new_generator(root, "dots")
    (root / "tests").mkdir()
    (root / "tests/test_waves.py").write_text("mine")
    with pytest.raises(BadInput, match="exists already"):
        new_generator(root, "waves")
    assert path.read_text() == "mine" and not (root / "generators/waves.py").exists()


def test_what_stands_in_the_way_is_told(tmp_path):
    root = make_report(tmp_path)
    (root / "sections/one.md").symlink_to("nowhere.md")
    with pytest.raises(BadInput, match="exists already"):
        new_section(root, "one", None, Registry(root))
    (root / "tests").write_text("no folder")
    with pytest.raises(BadInput, match="tests is not a folder"):
        new_generator(root, "rings")
    assert not (root / "generators/rings.py").exists()
    with pytest.raises(BadInput, match="/dev/null is not a folder"):
        write_new(Path("/dev/null/report"), {Path("/dev/null/report/report.yaml"): ""})


def test_generators_that_are_no_files_are_not_opened(tmp_path):
    root = make_report(tmp_path, one=SHORT)
    os.mkfifo(root / "generators/pipe.py")  # opening it would wait for ever
    (root / "generators/lost.py").symlink_to("nowhere.py")
    (root / "generators/folder.py").mkdir()
    assert not {"pipe", "lost", "folder"} & set(Registry(root).names()) and load(root)


def test_an_unknown_generator_is_told(tmp_path):
    root = make_report(tmp_path)
    with pytest.raises(BadInput, match="did you mean 'dots'"):
        new_section(root, "one", "dotz", Registry(root))


def run(root, *arguments):
    """The command line, in a folder of the reader's own."""
    command = [sys.executable, "-c", "from noisebook.cli import main; main()", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_the_tutorial_works_as_it_is_written(tmp_path):
    """From an empty folder: its commands, its Python and its YAML."""
    page = (DOCS / "start.md").read_text()
    commands = [
        shlex.split(line.removeprefix("noisebook "), comments=True)
        for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
        for line in block.splitlines()
        if line.startswith("noisebook ")
    ]
    init, build, new, serve, *more = commands
    assert (init[0], build, new[0], serve) == ("init", ["build"], "new", ["serve"])
    assert run(tmp_path, *init)[0] == 0
    root = tmp_path / init[1]
    assert "computed 3, cached 0" in run(root, *build)[1]
    assert {"index.html", "waves.html"} <= {path.name for path in (root / "site").iterdir()}
    assert run(root, *new)[0] == 0

    generator = root / "generators" / f"{new[1]}.py"
    lines = generator.read_text().splitlines()[:-2]
    rings = page.partition("```python\n")[2].partition("```")[0]
    generator.write_text("\n".join(lines) + "\n" + rings)
    section = root / "sections" / f"{new[1]}.md"
    front = page.partition("```yaml\n")[2].partition("```")[0]
    text = section.read_text()
    section.write_text(
        re.sub(r"^generator:.*?(?=^---)", lambda _: front, text, flags=re.DOTALL | re.MULTILINE)
    )
    status, said = run(root, "build")
    assert status == 0 and "computed 4, cached 3" in said
    assert 'alt="8 grey waves."' in (root / "site" / "rings.html").read_text()
    for command in more:
        if "--draft" not in command:  # it draws with a model
            assert run(root, *command)[0] == 0, command
    assert (root / "rings.zip").is_file()


def test_a_new_report_is_whole_and_never_written_over_another(tmp_path):
    paths = new_report(tmp_path, 'A "title": with a colon')
    report = load_report(tmp_path, Registry(tmp_path))
    assert report.title == 'A "title": with a colon' and len(report.sections[0].figures[0].cells) == 3
    workflow = yaml.safe_load((tmp_path / ".github/workflows/pages.yml").read_text())
    steps = [step.get("run") for step in workflow["jobs"]["publish"]["steps"]]
    assert "pip install -r requirements.txt" in steps and "noisebook build --frozen" in steps
    assert "noisebook" in (tmp_path / "requirements.txt").read_text()
    for path in paths:
        path.write_text("mine")
    (tmp_path / "report.yaml").unlink()
    with pytest.raises(BadInput, match="exists already"):
        new_report(tmp_path, "Another")
    assert not (tmp_path / "report.yaml").exists() and {p.read_text() for p in paths if p.exists()} == {
        "mine"
    }
