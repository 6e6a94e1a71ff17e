"""What helps a reader along on a page: contents, previews of figures, copies, phones; in a real Chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from noisebook.render.figures import _name_rows
from noisebook.render.links import source_address
from noisebook.render.views import CellView, FigureView, Tile
from tests.browser import Watched, served
from tests.sample_report import compute, render, write_report


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(folder)
    with (folder / "report.yaml").open("a", encoding="utf-8") as file:
        file.write("repository: https://github.com/ada/report\n")
    with (folder / "sections" / "closing.md").open("a", encoding="utf-8") as file:
        for heading in ("Held", "Failed", "Open"):
            file.write(f"\n## {heading}\n" + "\nMore was learnt, and more.\n" * 30)
        file.write('\n{{ code("noisebook/diffusion/schedules.py", "forward") }}\n')
        file.write('\n??? note "A proof"\n    Told in full.\n')
    compute(folder)
    render(folder)
    return folder / "site"


def test_the_place_in_a_long_page_is_marked(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    page = watched.page
    page.set_viewport_size({"width": 1280, "height": 300})
    page.goto((site / "closing.html").as_uri())
    entry = page.locator('.contents a[aria-current="page"]')
    expect(entry).to_have_text("What we learnt")
    assert page.locator(".contents").evaluate("e => e.scrollTop") > 0, "the entry is in sight"
    marked = page.locator('.contents a[aria-current="location"]')
    expect(marked).to_have_count(0)
    for heading in ("Held", "Failed"):
        page.locator("h2", has_text=heading).evaluate("e => e.scrollIntoView({behavior: 'instant'})")
        expect(marked).to_have_text(heading)
    page.evaluate("scrollTo({top: document.documentElement.scrollHeight, behavior: 'instant'})")
    expect(marked).to_have_text("Open")
    assert not watched.faults


def test_a_reference_shows_its_figure(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page(reduced_motion="reduce")
    page = watched.page
    page.goto((site / "closing.html").as_uri())
    preview = page.locator(".preview")
    link = page.locator("main a.ref", has_text="Figure 1")
    expect(preview).to_be_hidden()
    assert not any("figures.js" in url for url in watched.requests), "loaded when it is asked for"
    link.focus()
    expect(preview).to_contain_text("Figure 1. The tower at four levels of noise")
    expect(preview.locator("img").first).to_have_attribute("alt", "A tower under noise of 0")
    expect(link).to_have_attribute("aria-describedby", "preview")
    below, top = preview.bounding_box(), link.bounding_box()
    assert (
        below and top and (below["y"] >= top["y"] + top["height"] or below["y"] + below["height"] <= top["y"])
    )
    page.keyboard.press("Escape")
    expect(preview).to_be_hidden()
    link.hover()
    expect(preview).to_be_visible()
    page.mouse.move(0, 0)
    expect(preview).to_be_hidden()
    assert not watched.faults
    link.blur()
    link.focus()
    expect(preview).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_a_figure_is_cited_and_code_is_copied(site: Path, open_page: Callable[..., Watched]) -> None:
    with served(site) as address:
        watched = open_page(permissions=["clipboard-read", "clipboard-write"])
        page = watched.page
        page.goto(f"{address}/a1-1-forward.html")
        figure = page.locator("#fig-forward")
        figure.get_by_text("Cite this figure").click()
        copied = "navigator.clipboard.readText()"
        figure.get_by_role("button", name="Copy the link").click()
        assert page.evaluate(copied) == f"{address}/a1-1-forward.html#fig-forward"
        figure.get_by_role("button", name="Copy the words").click()
        assert page.evaluate(copied).startswith(
            "Ada Example, Emmy Sample. Figure 1: The forward process. In: "
        )
        figure.get_by_role("button", name="Copy BibTeX").click()
        assert "author = {Ada Example and Emmy Sample}" in page.evaluate(copied)
        page.get_by_role("button", name="Copy this code").click()
        assert page.evaluate(copied).startswith("def noise(x, t):\n    return alpha_bar")
        edit = page.get_by_role("link", name="Suggest an edit")
        expect(edit).to_have_attribute(
            "href", "https://github.com/ada/report/blob/HEAD/sections/a1-1-forward.md"
        )
        assert not watched.faults


def test_what_is_folded_is_printed(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    for name in ("print.html", "closing.html"):
        watched.page.goto((site / name).as_uri())
        folded = watched.page.locator(
            "details.source pre, details.note p", has_text=re.compile("def forward|Told")
        )
        assert folded.count() == 2, name
        for media, shown in (("screen", False), ("print", True)):
            watched.page.emulate_media(media=media)  # type: ignore[arg-type]
            assert folded.evaluate_all("each => each.map(one => one.checkVisibility())") == [shown] * 2, name


def test_the_sources_of_pages_lie_where_the_host_shows_them(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    report = tmp_path / "my report"
    assert (
        source_address("https://gitlab.com/a/b.git", report)
        == "https://gitlab.com/a/b/-/blob/HEAD/my%20report/"
    )
    assert source_address("https://example.org/a/b", report) == source_address("", report) == ""


def test_code_is_read_without_scripts_and_by_the_keyboard(
    site: Path, open_page: Callable[..., Watched]
) -> None:
    page = open_page(java_script_enabled=False).page
    page.goto((site / "closing.html").as_uri())
    source = page.locator("details.source")
    source.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(source.locator("pre")).to_be_visible()
    expect(source).to_contain_text("def forward(x_0: Tensor")


@pytest.mark.parametrize("width", [1280, 360])
def test_what_turns_is_not_shown_twice(
    width: int, site: Path, tmp_path: Path, open_page: Callable[..., Watched]
) -> None:
    shutil.copytree(site, tmp_path / "site")
    path = tmp_path / "site" / "b1-mnist.html"
    before, rest = path.read_text("utf-8").split('id="fig-flipped"')
    cell, after = rest.split("</ul>", 1)
    picture = cell[cell.index('<li class="cell') : cell.index("</li>") + 5]
    film = picture.replace("<img", '<picture><source srcset="x.png" media="print"><img', 1)
    film = film.replace("</a>", "</picture></a>", 1)
    path.write_text(f'{before}id="fig-flipped"{cell}{picture}{film}</ul>{after}', "utf-8")
    for scripts in (True, False):
        page = open_page(width, java_script_enabled=scripts).page
        page.goto(path.as_uri())
        figure = page.locator("#fig-flipped")
        expect(figure.locator(".cell:visible")).to_have_count(2 if scripts else 3)
        expect(figure.get_by_role("button", name="Turn over")).to_have_count(1 if scripts else 0)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_shows_a_whole_drawing_and_that_rows_go_on(
    site: Path, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(360, reduced_motion="reduce")
    page = watched.page
    page.goto((site / "b1-mnist.html").as_uri())
    chart = page.locator("#fig-loss a.picture")
    expect(chart).to_have_class("picture more")
    chart.evaluate("e => { e.scrollLeft = 9999 }")
    expect(chart).to_have_class("picture")
    chart.click()
    shown = page.locator(".lightbox img")
    width = shown.evaluate("e => e.getBoundingClientRect().width")
    assert 250 < width <= 360
    page.get_by_role("button", name="Larger").click()
    assert shown.evaluate("e => e.getBoundingClientRect().width") > 2 * width
    page.keyboard.press("Escape")
    assert page.locator(".equation").first.evaluate("e => e.scrollWidth > e.clientWidth")
    page.goto((site / "a1-2-compare.html").as_uri())
    assert "more" in (page.locator("#fig-strip .cells").get_attribute("class") or "").split()
    assert not watched.faults


def test_fonts_stand_in_a_page_opened_as_a_file(site: Path, open_page: Callable[..., Watched]) -> None:
    page = open_page().page
    page.goto((site / "closing.html").as_uri())
    differences = page.evaluate(
        """async () => {
          await document.fonts.ready;
          const measure = (family, text) => {
            const span = document.body.appendChild(document.createElement("span"));
            Object.assign(span.style, {position: "absolute", font: `40px ${family}`, whiteSpace: "nowrap"});
            span.textContent = text;
            return span.getBoundingClientRect().width;
          };
          const own = getComputedStyle(document.body).fontFamily;
          return [..."agmwW8"].map((letter) =>
            Math.abs(measure(own, letter.repeat(9)) - measure('"Serif Stand-in", serif', letter.repeat(9))));
        }"""
    )
    assert max(differences) > 5, "the text stands in its own font, not in what stands in for it"


def test_signs_of_formulas_keep_to_their_width(site: Path, open_page: Callable[..., Watched]) -> None:
    page = open_page().page
    page.goto((site / "closing.html").as_uri())
    measured = page.evaluate(
        """async signs => {
             const context = document.createElement("canvas").getContext("2d");
             context.font = "100px 'Noisebook Math'";
             await document.fonts.load(context.font, signs);
             return [...signs].map(sign => {
               const {width, actualBoundingBoxRight, actualBoundingBoxAscent} = context.measureText(sign);
               return [width, actualBoundingBoxRight, actualBoundingBoxAscent];
             });
           }""",
        "∫∬∭∮∯∰′″‴",
    )
    for width, right, _ in measured[:6]:
        assert right < width, "a limit and a comma stand right of an integral's hook"
    assert len({round(ascent) for *_, ascent in measured[6:]}) == 1, "two primes are as high as one"


def test_a_text_runs_as_its_words_do(site: Path, open_page: Callable[..., Watched]) -> None:
    page = open_page().page
    page.goto((site / "closing.html").as_uri())
    lefts = page.evaluate(
        """() => {
             document.querySelector("main").insertAdjacentHTML("afterbegin",
               "<p class=tested><i>نص</i> مع <math><mi>x</mi></math> و <code>code</code> و <b>غامق</b>.</p>");
             return [..."i math code b".split(" ")].map(each =>
               document.querySelector(`.tested ${each}`).getBoundingClientRect().left);
           }"""
    )
    assert lefts == sorted(lefts, reverse=True), "Arabic from the right, with all that stands in it"


@pytest.mark.parametrize("sign", ["|", "‖"])
def test_stretched_bars_have_as_much_room_on_both_sides(
    sign: str, site: Path, open_page: Callable[..., Watched]
) -> None:
    page = open_page().page
    page.goto((site / "closing.html").as_uri())
    page.evaluate(
        """async sign => {
             await document.fonts.load("100px 'Noisebook Math'", sign);
             document.querySelector("main").insertAdjacentHTML("afterbegin",
               `<math><mo class="tested" stretchy="true">${sign}</mo>
                <mspace height="150px" depth="150px"/></math>`);
             document.querySelector("main > math").style.fontSize = "100px";
           }""",
        sign,
    )
    shown = Image.open(BytesIO(page.locator(".tested").first.screenshot())).convert("L")
    middle = [shown.getpixel((x, shown.height // 2)) for x in range(shown.width)]
    dark = [x for x, value in enumerate(middle) if value < 128]
    assert dark and abs(dark[0] - (shown.width - 1 - dark[-1])) < 9


@pytest.mark.parametrize("width", [600, 760, 1000])
def test_a_short_page_begins_below_its_contents(
    width: int, site: Path, open_page: Callable[..., Watched]
) -> None:
    page = open_page(width).page
    page.set_viewport_size({"width": width, "height": 12000})
    page.goto((site / "closing.html").as_uri())
    between = """document.querySelector("main").getBoundingClientRect().top
                 - document.querySelector(".drawer").getBoundingClientRect().bottom"""
    assert 0 <= page.evaluate(between) < 3


def test_what_follows_in_a_task_stands_below_its_words(site: Path, open_page: Callable[..., Watched]) -> None:
    page = open_page().page
    page.goto((site / "closing.html").as_uri())
    lefts = page.evaluate(
        """() => {
             document.querySelector("main .prose, main.prose, main").insertAdjacentHTML("beforeend",
               "<ul class=tasks><li><input type=checkbox disabled> <p>one</p><p>two</p></li></ul>");
             return [...document.querySelectorAll(".tasks p")].map(each => {
               const range = document.createRange();
               range.selectNodeContents(each);
               return range.getBoundingClientRect().left;
             });
           }"""
    )
    assert abs(lefts[0] - lefts[1]) < 6


def test_a_row_says_its_picture_and_its_prompt() -> None:
    def cell(picture: str, **params: Any) -> Any:
        return SimpleNamespace(
            inputs={"picture": Path(f"images/{picture}.png")}, cell=SimpleNamespace(params=params)
        )

    planned = [cell("red-house", i=1, prompt="a house"), cell("red-house", i=None)]
    planned += [cell("cat", i=1, prompt="a cat"), cell("dog", i=None, prompt="a cat")]
    tiles = [Tile(str(i), "") for i in range(4)]
    cells = [CellView(tile.id, "", "", "cached", {}, [tile]) for tile in tiles]
    _name_rows(FigureView("x", 1, "sdedit", "filmstrip", 2, cells), planned)
    assert [tile.row for tile in tiles] == ["red house, asked for “a house”", "", "", ""]
