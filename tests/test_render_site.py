"""The files of a site: what is written, what is left alone, what is removed, and what they say."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from noisebook.cells.checks import SAME, Check, add
from noisebook.project import Project
from noisebook.render import figures
from noisebook.render.formats import number
from noisebook.render.site import render_site
from noisebook.render.views import CellView, Download
from noisebook.report.model import BadInput
from tests.conftest import Book
from tests.sample_report import compute, render, write_report
from tools.vendored import MEMBERS


def png() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((32, 32), 99).save(buffer, "PNG")
    return buffer.getvalue()


PNG = png()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished") / "report"
    write_report(root)
    compute(root)
    render(root)
    return root


@pytest.fixture
def report(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "report")
    return tmp_path / "report"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def stamps(site: Path) -> dict[str, int]:
    return {
        str(path.relative_to(site)): path.stat().st_mtime_ns for path in site.rglob("*") if path.is_file()
    }


def test_rendering_again_touches_nothing(report: Path) -> None:
    before = stamps(report / "site")
    assert render(report).written == 0
    assert stamps(report / "site") == before


def test_one_edit_writes_one_page(report: Path) -> None:
    edit(report / "sections" / "closing.md", "See {{", "Look at {{")
    before = stamps(report / "site")
    render(report)
    changed = {name for name, stamp in stamps(report / "site").items() if before.get(name) != stamp}
    assert changed == {"closing.html", "print.html", "assets/search.js", ".noisebook.json"}


def test_only_our_own_files_are_removed(report: Path) -> None:
    site = report / "site"
    (site / "CNAME").write_text("example.org")
    (site / "assets" / "theirs.png").write_bytes(b"x")
    (report / "sections" / "b1-mnist.md").unlink()
    edit(report / "report.yaml", "b1-mnist, ", "")
    edit(report / "sections" / "closing.md", '{{ ref("loss") }} and ', "")
    before = set(stamps(site))
    render(report)
    after = set(stamps(site))
    assert "b1-mnist.html" in before - after
    assert {"CNAME", "assets/theirs.png"} <= after
    named = json.loads((site / ".noisebook.json").read_text())["files"]
    assert set(named) | {"CNAME", "assets/theirs.png", ".noisebook.json"} == after


def test_notes_cannot_remove_what_lies_outside(report: Path) -> None:
    victim = report / "victim.txt"
    victim.write_text("x")
    notes = report / "site" / ".noisebook.json"
    value = json.loads(notes.read_text())
    value["files"] |= {"../victim.txt": "0", str(victim): "0"}
    notes.write_text(json.dumps(value))
    render(report)
    assert victim.exists()


def test_a_mistake_leaves_the_old_site(report: Path) -> None:
    before = stamps(report / "site")
    edit(report / "sections" / "closing.md", "See", "As [@nobody] says, see")
    edit(report / "sections" / "a-intro.md", "A diffusion", "Like [@noone], a diffusion")
    with pytest.raises(BadInput) as caught:
        render(report)
    assert [problem.position.file for problem in caught.value.problems] == [
        "sections/a-intro.md",
        "sections/closing.md",
    ]
    assert stamps(report / "site") == before


def test_mistakes_in_front_matter_hide_none_in_texts(report: Path) -> None:
    """What could not be read is not judged: no link to its figures is dead, no reference to them is lost."""
    edit(report / "sections" / "b1-mnist.md", "generator: scenery", "generater: scenery")
    with (report / "sections" / "b1-mnist.md").open("a") as file:
        file.write("\n[gone](gone.md)\n")
    edit(report / "sections" / "closing.md", "See", "[a](b1-mnist.md#x) [b](lost.md) [c][d] See")
    edit(
        report / "sections" / "a-intro.md",
        "A diffusion",
        "[e](closing.md#f) [g](a1-1-forward.md#h) [i](b1-mnist.md#fig-x)\nA diffusion",
    )
    with pytest.raises(BadInput) as caught:
        render(report)
    told = [
        (problem.position.file, word)
        for problem in caught.value.problems
        for word in ("generater", "gone", "lost", "'d'", "'h'", "'f'", "'x'", "fig-x")
        if word in problem.message
    ]
    assert list(dict.fromkeys(told)) == [
        *(("sections/a-intro.md", word) for word in ("'f'", "'h'")),
        *(("sections/b1-mnist.md", word) for word in ("generater", "gone")),
        *(("sections/closing.md", word) for word in ("'x'", "lost", "'d'")),
    ]


def test_formulas_in_what_the_report_says_of_itself(report: Path) -> None:
    edit(report / "report.yaml", "title: How", "base_url: https://a.org\ntitle: From $x_T$ -- how")
    edit(report / "report.yaml", "description: From", "description: With $\\epsilon$, from")
    edit(report / "report.yaml", "A: Sampling", "A: Of $x_t$, sampling")
    edit(report / "sections" / "a1-1-forward.md", "alt: A tower", "alt: At $x_0$ a tower")
    render(report)
    site = report / "site"
    for name in ("index.html", "print.html"):
        page = (site / name).read_text("utf-8")
        assert "<title>" in page and "$" not in re.sub(r"<script.*?</script>", "", page)
        assert re.search(r"<h1>From <math>.*?</math> – how", page) and "Of <math>" in page
    page = (site / "a1-1-forward.html").read_text("utf-8")
    assert "· From x_T – how" in page and 'aria-label="At x₀ a tower' in page and "Part A · Of <math>" in page
    assert "With ϵ, from" in (site / "feed.xml").read_text("utf-8").replace("ε", "ϵ")
    edit(report / "report.yaml", "$x_T$", "$\\foo$")
    with pytest.raises(BadInput, match=r'report.yaml:2:14: in a formula: Unknown command "\\foo"'):
        render(report)


def test_the_manifest_names_files_that_are_there(finished: Path) -> None:
    site = finished / "site"
    manifest = json.loads((site / "manifest.json").read_text("utf-8"))
    figures = {figure["id"]: figure for figure in manifest["figures"]}
    assert figures["forward"]["section"] == "a1-1-forward" and figures["forward"]["generator"] == "scenery"
    cell = figures["forward"]["cells"][1]
    assert re.fullmatch("[0-9a-f]{64}", cell["key"]) and cell["params"]["level"] == 0.3
    assert cell["numbers"]["psnr"] == {"unit": "dB", "value": 22.0}
    assert cell["provenance"]["seconds"] >= 0 and cell["state"] == "cached"
    count = 0
    for figure in figures.values():
        for cell in figure["cells"]:
            for file in cell["files"]:
                data = (site / file["path"]).read_bytes()
                assert hashlib.sha256(data).hexdigest() == file["sha256"] and file["mime"]
                assert file["path"].startswith("assets/")
                count += 1
    assert count > 25


def test_missing_and_stale_cells_say_so(report: Path) -> None:
    edit(report / "sections" / "a1-1-forward.md", "{kind: tower}", "{kind: tower, levels: [0.0, 0.35]}")
    edit(report / "generators" / "scenery.py", "* 110", "* 111")
    render(report)
    page = (report / "site" / "a1-1-forward.html").read_text("utf-8")
    assert page.count('<div class="gap">') == 2 and "2 of 2 not computed yet" in page
    render(report, keep_stale=True)
    assert "0 of" not in (report / "site" / "a1-2-compare.html").read_text("utf-8")
    page = (report / "site" / "a1-1-forward.html").read_text("utf-8")
    assert page.count('<div class="gap">') == 1 and "1 of 2 not computed yet" in page
    assert page.count('<span class="mark">stale</span>') == 1
    states = json.loads((report / "site" / "manifest.json").read_text("utf-8"))["figures"][0]["cells"]
    assert [cell["state"] for cell in states] == ["stale", "missing"]


def test_an_older_picture_that_is_gone_is_a_gap(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisebook.cells.store.INLINE", 0)  # each picture an object of its own
    shutil.rmtree(report / "cache")
    compute(report)
    edit(report / "generators" / "scenery.py", "* 110", "* 111")
    for path in (report / "cache" / "objects").iterdir():
        path.unlink()
    shutil.rmtree(report / "site")
    render(report, keep_stale=True)
    page = (report / "site" / "a1-1-forward.html").read_text("utf-8")
    assert page.count('<div class="gap">') == 4 and '<span class="mark">stale' not in page


def test_no_other_figure_stands_in_for_a_stale_one(report: Path) -> None:
    """Two figures may have cells of the same parameters that differ in their input files alone."""
    edit(report / "sections" / "a1-1-forward.md", "id: forward", "id: another")
    edit(report / "sections" / "a1-1-forward.md", 'figure("forward")', 'figure("another")')
    for name in ("a-intro", "closing"):
        edit(report / "sections" / f"{name}.md", 'ref("forward")', 'ref("another")')
    edit(report / "generators" / "scenery.py", "* 110", "* 111")
    render(report, keep_stale=True)
    page = (report / "site" / "a1-1-forward.html").read_text("utf-8")
    assert page.count('<div class="gap">') == 4 and "stale" not in page


def test_text_from_everywhere_is_escaped(report: Path) -> None:
    bad = "<script>alert(1)</script>"
    meant = bad.replace("<", "\\<")  # in a text, a tag that is none is a mistake
    edit(report / "report.yaml", "title: How a diffusion model draws", f"title: '{meant}'")
    edit(report / "report.yaml", "Ada Example", bad)
    edit(report / "report.yaml", "A: Sampling", f"A: {meant}")
    for old in ("title: The forward process", "summary: How a picture", "alt: A tower"):
        edit(report / "sections" / "a1-1-forward.md", old, old.replace(": ", f": {meant}"))
    quoted = meant.replace("\\", "\\\\")
    edit(report / "sections" / "a1-1-forward.md", "The tower at four", f"{quoted} at four")
    edit(report / "generators" / "scenery.py", '"clean" if', f'"{bad}" if')
    edit(report / "generators" / "scenery.py", 'f"A {params.kind} under', f'f"{bad} under')
    edit(report / "references.bib", "Denoising Diffusion Probabilistic Models", bad)
    edit(report / "images" / "CREDITS.md", "tower", meant)
    render(report)
    for path in (report / "site").glob("*.html"):
        assert "<script>" not in path.read_text("utf-8"), path.name
        assert "&lt;script&gt;" in path.read_text("utf-8"), path.name


def test_numbers_run_through_the_report_and_references_find_them(finished: Path) -> None:
    site = finished / "site"
    found = []
    for page in ("a1-1-forward", "a1-2-compare", "b1-mnist"):
        text = (site / f"{page}.html").read_text("utf-8")
        found += [int(n) for n in re.findall(r'<a class="fignum"[^>]*>Figure (\d+)</a>', text)]
    assert found == list(range(1, 14))
    closing = (site / "closing.html").read_text("utf-8")
    assert 'href="b1-mnist.html#fig-loss" title="A denoiser from scratch">Figure 8</a>' in closing


def test_a_page_of_the_reports_own_theme(report: Path) -> None:
    (report / "templates").mkdir()
    theme = Path(__file__).parents[1] / "templates" / "theme.css"
    (report / "templates" / "theme.css").write_text(
        theme.read_text("utf-8").replace("#8f3a16", "#005f73"), "utf-8"
    )
    render(report)
    sheets = list((report / "site" / "assets").glob("theme.*.css"))
    assert len(sheets) == 1 and "#005f73" in sheets[0].read_text("utf-8")


def test_a_few_rules_of_the_reports_own(report: Path) -> None:
    templates = report / "templates"
    (templates / "fonts").mkdir(parents=True)
    (templates / "fonts" / "own.woff2").write_bytes(b"a font")
    own = '@font-face { font-family: Own; src: url("fonts/own.woff2"); }\n:root { --accent: #005f73; }\n'
    (templates / "own.css").write_text(own)
    render(report)
    [sheet] = (report / "site" / "assets").glob("theme.*.css")
    text = sheet.read_text("utf-8")
    assert text.index("#8f3a16") < text.index("--accent: #005f73")
    [font] = (report / "site" / "assets").glob("own.*.woff2")
    assert f'url("{font.name}")' in text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own.css", '@font-face { src: url("fonts/gone.woff2"); }', "no templates/fonts/gone.woff2"),
        ("section.html", "<p>\n{% for %}</p>", "templates/section.html:2"),
        ("section.html", "<p>\n\n{{ nobody.knows }}</p>", "templates/section.html:3"),
    ],
)
def test_a_mistake_in_a_theme_is_told(report: Path, name: str, text: str, message: str) -> None:
    (report / "templates").mkdir()
    (report / "templates" / name).write_text(text)
    with pytest.raises(BadInput) as caught:
        render(report)
    assert message in "\n".join(map(str, caught.value.problems))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("references.bib", b"@misc{a,\n title={caf\xe9}}", "references.bib:2:12: the byte 0xe9 is not UTF-8"),
        ("CITATION.cff", b"\xff", "CITATION.cff:1:1: the byte 0xff"),
        ("images/CREDITS.md", b"a\0b", "images/CREDITS.md:1:2: the control character U+0000"),
        ("templates/own.css", b"\xff", "templates/own.css:1:1: the byte 0xff"),
        ("templates/macros.html", b"\xff", "templates/macros.html:1:1: the byte 0xff"),
        (
            "images/truncated.png",
            PNG[:90],
            "sections/closing.md:7:14: 'images/truncated.png' is not a whole picture",
        ),
        ("images/Large.png", PNG, "there is no file 'images/large.png'"),
        ("templates/theme.css", None, "templates/theme.css:1:1: the file cannot be read: it is a pipe"),
        ("references.bib", None, "references.bib:1:1: the file cannot be read: it is a pipe"),
    ],
)
def test_every_file_of_the_authors_is_read_with_care(
    report: Path, name: str, data: bytes | None, message: str
) -> None:
    (report / "templates").mkdir()
    (report / name).unlink(missing_ok=True)
    if data is None:
        os.mkfifo(report / name)
    else:
        (report / name).write_bytes(data)
    if name.endswith(".png"):
        section = report / "sections" / "closing.md"
        section.write_text(section.read_text("utf-8") + f"\n![A picture]({name.lower()})\n", "utf-8")
    with pytest.raises(BadInput) as caught:
        render(report)
    assert message in str(caught.value)


def test_a_formula_in_the_title_of_a_work_is_set(report: Path) -> None:
    edit(report / "references.bib", "Denoising Diffusion Implicit Models", r"Models of $\bm{x}_t$ \& {A}")
    for _ in range(2):  # what is kept between builds keeps no old style
        render(report)
    page = (report / "site" / "references.html").read_text("utf-8")
    assert re.search(r"Models of <math>.*</math> &amp; A</a>", page)


def test_a_pictures_suffix_is_told_by_its_content(report: Path) -> None:
    gif = io.BytesIO()
    Image.new("P", (32, 32)).save(gif, "GIF")
    (report / "images" / "z.js").write_bytes(gif.getvalue())
    section = report / "sections" / "closing.md"
    section.write_text(section.read_text("utf-8") + "\n![Grey](images/z.js)\n", "utf-8")
    render(report)
    names = [path.name for path in (report / "site" / "assets").iterdir() if path.name.startswith("z.")]
    assert len(names) == 1 and names[0].endswith(".gif")


def test_an_address_brings_a_site_map_and_a_feed(report: Path) -> None:
    assert not (report / "site" / "sitemap.xml").exists()
    with (report / "report.yaml").open("a") as file:
        file.write("base_url: https://example.org/book/\n")
    render(report)
    site = report / "site"
    assert "<loc>https://example.org/book/b1-mnist.html</loc>" in (site / "sitemap.xml").read_text()
    assert "<title>B1 A denoiser from scratch</title>" in (site / "feed.xml").read_text()
    lost = (site / "404.html").read_text("utf-8")
    addresses = re.findall(r' (?:href|src|data-[a-z]+)="([^"]+)"', lost)
    assert len(addresses) > 10
    assert all(
        each.startswith(("https://example.org/book/", "#")) for each in addresses if "onnx" not in each
    )
    page = (site / "a1-1-forward.html").read_text("utf-8")
    assert '<link rel="canonical" href="https://example.org/book/a1-1-forward.html">' in page
    [card] = re.findall('property="og:image" content="https://example.org/book/(assets/[^"]+)"', page)
    with Image.open(site / card) as picture:
        assert picture.size == (1200, 630) and len(picture.convert("RGB").getcolors(10**6) or ()) > 1000


def test_what_a_figure_shows_can_be_taken_away(finished: Path) -> None:
    page = (finished / "site" / "b1-mnist.html").read_text("utf-8")
    taken = {
        name: finished / "site" / path
        for path, name in re.findall(r'<a href="(assets/[^"]+)" download="([^"]+)"', page)
    }
    with Image.open(taken["moving-n=0.1-animation.gif"]) as film:
        assert film.n_frames == 9 and film.size == (252, 252)  # type: ignore[attr-defined]
    curve = taken["loss-curve-loss.csv"].read_text().splitlines()
    assert curve[0] == "index,loss" and curve[1] == "0,1.0" and len(curve) == 111
    numbers = taken["digits-numbers.csv"].read_text().splitlines()
    assert numbers[0] == "cell,label,psnr (dB),ssim" and numbers[1].startswith("n=0.2,σ = 0.2,24.0,0.8")


def test_many_tables_are_folded_and_the_machines_own_are_files_alone(report: Path) -> None:
    edit(
        report / "generators" / "scenery.py",
        "yield cell, [shapes, number(",
        """yield cell, [
                *(table(f"shapes {k}", ["block"], [[f"row of {k}"]]) for k in range(3)),
                table("computed in", ["type"], [["row of the machine"]], measured=True),
                number(""",
    )
    compute(report)
    render(report)
    page = (report / "site" / "b1-mnist.html").read_text("utf-8")
    figure = page[page.index('id="fig-shapes"') : page.index('id="fig-moving"')]
    folded = figure[figure.index('<details class="tables">') : figure.index("</details>")]
    assert "<summary>3 tables</summary>" in folded and all(f"row of {k}" in folded for k in range(3))
    assert "row of the machine" not in page and ">computed in.csv</a>" in figure
    assert '<details class="tables">' not in page.replace(folded, "")


def test_the_curves_of_a_needed_cell_are_data_of_the_figure(report: Path, tmp_path: Path) -> None:
    book = Project(report)
    figures = dict(book.planned)
    figures["digits"][0].needs = {"trained": figures["loss"][0]}
    render_site(book.report, figures, tmp_path / "out")
    page = (tmp_path / "out" / "b1-mnist.html").read_text("utf-8")
    assert 'download="digits-n=0-loss.csv">loss.csv</a>' in page


def test_what_verify_found_stands_on_the_validation_page(report: Path) -> None:
    page = (report / "site" / "validation.html").read_text("utf-8")
    assert "No cell of this report has been computed a second time yet." in page
    cells = Project(report).planned["digits"]
    found = {
        cells[0].key: Check(True, SAME, "2026-01-02", "A processor", 2, True),
        cells[1].key: Check(True, "picture: largest difference 1", "2026-01-03", "Another", 4, False),
        cells[2].key: Check(False, "picture: largest difference 99", "2026-01-03", "Another", 4, False),
        "0" * 64: Check(False, "of a cell that is gone", "2026-01-03", "Another", 4, False),
    }
    add(report / "cache", found, {cell.key for cell in cells})
    render(report)
    page = " ".join((report / "site" / "validation.html").read_text("utf-8").split())
    assert "between 2026-01-02 and 2026-01-03, on A processor; Another" in page
    assert "1 gave the same bytes, 1 agreed within the tolerances below, 1 did not agree" in page
    assert "2 of them were computed on another processor" in page
    assert '<span class="mark">differs</span></td><td>picture: largest difference 99' in page
    assert "1 same bytes, 1 within tolerance, 1 differ, of 6" in page and "that is gone" not in page


def test_rendering_needs_no_torch(report: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "sys.modules['torch'] = sys.modules['matplotlib'] = sys.modules['diffusers'] = None\n"
        "from tests.sample_report import render\n"
        f"print(render(Path({str(report)!r})).pages)"
    )
    environment = {**os.environ, "NOISEBOOK_CACHE_DIR": str(report / "user-cache")}
    here = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "10", done.stderr


def test_pages_with_formulas_ask_for_their_font_first(finished: Path) -> None:
    fonts = {
        page.name: re.findall(r'data-fonts="([^"]*)"', page.read_text("utf-8"))[0].split()
        for page in (finished / "site").glob("*.html")
    }
    with_math = {name for name, asked in fonts.items() if any("/math." in font for font in asked)}
    formulas = {
        name
        for name in fonts
        if "<math" in (finished / "site" / name).read_text("utf-8").partition("<main")[2]
    }
    assert with_math == formulas and formulas and formulas != fonts.keys()
    assert all((finished / "site" / font).is_file() for asked in fonts.values() for font in asked)


def test_pages_are_light(finished: Path) -> None:
    site = finished / "site"
    shared = sum(path.stat().st_size for path in (site / "assets").glob("*.woff2"))
    shared += sum(path.stat().st_size for path in (site / "assets").glob("*.[cj]s*"))
    assert shared < 400_000
    assert all(path.stat().st_size < 200_000 for path in site.glob("*.html"))


def test_the_packaged_theme_is_shipped_whole() -> None:
    import tomllib

    here = Path(__file__).parents[1]
    tool = tomllib.loads((here / "pyproject.toml").read_text())["tool"]["setuptools"]
    shipped = {
        p for glob in tool["package-data"]["noisebook.templates"] for p in (here / "templates").glob(glob)
    }
    assert tool["package-dir"]["noisebook.templates"] == "templates"
    everything = {
        p for p in (here / "templates").rglob("*") if p.is_file() and p.suffix not in (".py", ".pyc")
    }
    assert shipped == everything


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((21.345, "dB"), "21.3"),
        ((8.0, "dB"), "8.0"),
        ((0.7316, ""), "0.732"),
        ((0.29, ""), "0.290"),
        ((0.00775, ""), "0.00775"),
        ((3.2e-5, ""), "3.20\u2009×\u200910⁻⁵"),
        ((1975361, ""), "1\u202f975\u202f361"),
        ((3.0, ""), "3"),
        ((12.5, "s"), "12.5"),
        ((1234.5, "s"), "1234"),
        ((54321.5, ""), "54\u202f322"),
        ((float("inf"), "dB"), "∞"),
        ((float("-inf"), ""), "−∞"),
        ((float("nan"), ""), "not a number"),
        ((10**400, ""), "1.00\u2009×\u200910⁴⁰⁰"),
    ],
)
def test_numbers_are_short(value: tuple[float, str], text: str) -> None:
    assert number(*value) == text


def test_figures_of_an_unknown_report_are_gaps(report: Path, tmp_path: Path) -> None:
    book = Project(report)
    _, summary = render_site(book.report, {}, tmp_path / "out")
    assert summary.written == summary.pages


def test_two_builds_compared(
    finished: Path, report: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from noisebook.render.compare import main

    before, after, out = str(finished / "site"), str(report / "site"), str(tmp_path / "changes")
    assert main([before, after, out]) == 0
    assert capsys.readouterr().out == "No figure changes.\n"
    edit(report / "sections" / "a1-1-forward.md", "{kind: tower}", "{kind: tower, levels: [0.0, 0.3, 0.5]}")
    compute(report)
    render(report)
    assert main([before, after, out]) == 0
    assert "| `forward` | n=0.5 (added), n=0.6 (removed), n=0.9 (removed) |" in capsys.readouterr().out
    page = (tmp_path / "changes" / "index.html").read_text("utf-8")
    pictures = re.findall(r'<img src="((?:before|after)/[^"]+)"', page)
    assert len(pictures) == 3 and all((tmp_path / "changes" / name).is_file() for name in pictures)
    assert main([before]) == 2 and main([before, str(tmp_path), out]) == 2


def test_the_panel_names_what_a_cell_was_computed_from_and_carried_over(report: Path, tmp_path: Path) -> None:
    book = Project(report)
    figures = dict(book.planned)
    network, cell = figures["loss"][0], figures["digits"][0]
    cell.needs = {"network": network}
    record = cell.record
    assert record
    adopted = {"from": "ab" * 32, "evidence": "replayed: steps 200"}
    made = {**record.provenance, "adopted": adopted}
    cell.store.refile(cell.key, record.components, record.outputs, made)
    render_site(book.report, figures, tmp_path / "out")
    page = (tmp_path / "out" / "b1-mnist.html").read_text("utf-8")
    assert re.search(r"<dt>Computed from</dt><dd>scenery/curve \(\d\.\d s\)</dd>", page)
    assert "<dt>Carried over</dt><dd>from abababababab: replayed: steps 200</dd>" in page


def test_what_cells_of_a_figure_share_is_said_once() -> None:
    """The curves of one training run, and the evidence on which its samples were carried over."""

    def cell(name: str, evidence: str) -> CellView:
        made = {"adopted": {"from": name * 32, "evidence": evidence}}
        return CellView(
            name, name, "", "cached", {}, [], provenance=made, downloads=[Download("loss.csv", "a.csv", name)]
        )

    cells = [cell("ab", "same weights"), cell("cd", "same weights"), cell("ef", "replayed")]
    figures._each_once(cells)
    assert [len(each.downloads) for each in cells] == [1, 0, 0]
    expected = f"from {'ab' * 6}, {'cd' * 6}: same weights; from {'ef' * 6}: replayed"
    assert dict(figures._made(cells))["Carried over"] == expected


def test_the_files_of_others_are_the_pinned_ones() -> None:
    here = Path(__file__).parents[1]
    pinned = [line.split("  ") for line in (here / "tools/vendored.sha256").read_text().splitlines()]
    found = {name: hashlib.sha256((here / "templates" / name).read_bytes()).hexdigest() for _, name in pinned}
    assert found == {name: digest for digest, name in pinned}
    folders = [here / "templates" / name for name in ("fonts", "minisearch", "onnxruntime")]
    there = {
        path.relative_to(here / "templates").as_posix() for folder in folders for path in folder.iterdir()
    }
    assert there == found.keys()
    packed = (here / "templates/onnxruntime/ort.wasm.gz").read_bytes()
    wasm = MEMBERS["onnxruntime/ort.wasm.gz"].sha256
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == wasm
    assert found["onnxruntime/ort.js"] == MEMBERS["onnxruntime/ort.js"].sha256
    assert found["minisearch/LICENSE.txt"] == MEMBERS["minisearch/LICENSE.txt"].sha256


def test_every_page_of_an_address_has_a_card_however_few_pictures_there_are(book: Book) -> None:
    """The front page's mosaic takes four; the address that is passed on is nearly always the front page's."""
    book.write("report.yaml", "title: Grey\nmodel: exact\nbase_url: https://a.example.org/b\n")
    book.write("sections/words.md", "---\ntitle: Words\n---\nNo picture.\n")
    book.build()
    site = book.root / "site"
    card = re.compile('property="og:image" content="https://a.example.org/b/(assets/[^"]+)"')
    shown = {page.name: card.findall(page.read_text("utf-8")) for page in site.glob("*.html")}
    assert {"index.html", "tiles.html", "words.html", "404.html"} < set(shown)
    assert all(len(found) == 1 and (site / found[0]).is_file() for found in shown.values()), shown
    assert shown["words.html"] == shown["index.html"]
