"""The page that draws pictures from words, in Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from noisebook.generators import _words
from playwright.sync_api import Page, expect

from noisebook.models.library import shipped
from noisebook.render import bundles
from tests.browser import Watched, served
from tests.sample_report import render
from tests.words_report import ROOT, SUBJECTS, VARIANTS

# What travels


def test_a_subject_is_light_and_what_is_cut_out_is_what_was_pinned(words_site: Path) -> None:
    words = shipped(ROOT / "models" / "library.zip", ROOT / "models" / "scenes.zip")
    largest = _words.Words(words, VARIANTS, ["waterfalls", "autumn mountains", "skull"])
    for name in largest.names:
        assert sum(len(largest.data(index)) for index in largest.pictures(name)) < 300_000
        assert {words.pictures[i].style for i in largest.pictures(name)} == {
            words.pictures[i].style for i in words.by_name[name]
        }
    assert len(list((words_site / "assets").glob("*.bin"))) == len(SUBJECTS) + 1  # and the runtime


def test_bundles_are_cut_once(words_site: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (words_site / "assets").glob("*.bin")}
    assert render(words_site.parent).written == 0
    assert before == {path: path.stat().st_mtime_ns for path in (words_site / "assets").glob("*.bin")}


def test_without_the_library_the_page_says_so(
    words_site: Path, monkeypatch: pytest.MonkeyPatch, open_page: Callable[..., Watched]
) -> None:
    hidden = [path.rename(path.with_suffix(".gone")) for path in (words_site / "assets").glob("*.bin")]
    monkeypatch.setattr(bundles, "find", lambda root, name: root / "nowhere" / name)
    try:
        with pytest.warns(UserWarning, match=r"words: models/library.zip, models/scenes.zip are not at hand"):
            render(words_site.parent)
        watched = open_page()
        with served(words_site) as address:
            watched.page.goto(f"{address}/a-words.html")
            expect(watched.page.locator(".words")).to_contain_text("were not at hand")
            expect(watched.page.locator(".words button")).to_have_count(0)
            expect(watched.page.locator(".cell img").first).to_be_visible()
    finally:
        monkeypatch.undo()
        for path in hidden:
            path.rename(path.with_suffix(".bin"))
        render(words_site.parent)


# The page


def finished(page: Page) -> str:
    status = page.locator(".status")
    expect(status).to_contain_text(re.compile("on your machine|That did not work"), timeout=120_000)
    return status.text_content() or ""


def test_a_reader_draws_with_the_keyboard_alone(words_site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    page = watched.page
    with served(words_site.parents[1]) as address:
        page.goto(f"{address}/path/site/a-words.html")
        page.wait_for_load_state("networkidle")
        heavy = ("words-worker", ".bin", "onnx", ".json")
        assert not [url for url in watched.requests if any(word in url for word in heavy)]

        page.get_by_role("radio", name="a picture").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_label("Upright")).to_be_visible()
        page.get_by_label("Upright").fill("tulp")
        page.keyboard.press("Enter")
        assert "No subject" in page.get_by_label("Upright").evaluate("input => input.validationMessage")
        page.get_by_label("Upright").fill("Tulip")
        page.get_by_label("Turned", exact=True).fill("dress")
        page.get_by_label("Seed of the noise").fill("3")
        page.keyboard.press("Enter")
        assert "Drew a tulip; turned, a dress, from seed 3" in finished(page)
        chosen = page.url.partition("#fig-words?")[2]
        assert "subject1=tulip" in chosen and "seed=3" in chosen and "mode=anagram" in chosen
        over = page.get_by_role("button", name="Turn over")
        over.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Turn back")).to_be_visible()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as PNG").click()
        assert saved.value.suggested_filename == "tulip-dress-3.png"
        assert not [url for url in watched.requests if "onnx" in url], "nothing here is treated"
        assert sum(url.endswith(".bin") for url in watched.requests) == 2
        assert not watched.faults, watched.faults
        assert all(url.startswith((f"{address}/path/site/", "blob:")) for url in watched.requests)

        first = page.locator(".drawn canvas").evaluate("c => c.toDataURL()")
        page.reload()
        expect(page.get_by_label("Upright")).to_have_value("tulip")
        page.get_by_role("button", name="Draw", exact=True).click()
        finished(page)
        assert page.locator(".drawn canvas").evaluate("c => c.toDataURL()") == first


def test_a_reader_stops_and_paints(words_site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    page = watched.page
    with served(words_site) as address:
        page.goto(
            f"{address}/a-words.html#fig-words?mode=sketch&subject1=tulip&style1=plain&steps=100&start=60&seed=1"
        )
        expect(page.locator("[name=start]")).to_have_value("60")
        pad = page.get_by_role("application")
        blank = pad.evaluate("c => c.toDataURL()")
        pad.focus()
        for stroke in ("Space", "Shift+ArrowRight"):
            pad.press(stroke)
            page.keyboard.press("Tab")
            assert pad.evaluate("c => c.toDataURL()") != blank
            page.get_by_role("button", name="Undo").click()
            assert pad.evaluate("c => c.toDataURL()") == blank, "one stroke, one undo"
        page.get_by_role("radio", name="red").check(force=True)
        pad.hover(position={"x": 80, "y": 60})
        page.mouse.down()
        pad.hover(position={"x": 180, "y": 160})
        page.mouse.up()
        assert pad.evaluate("c => c.toDataURL()") != blank
        page.get_by_role("button", name="Draw", exact=True).click()
        expect(page.locator(".status")).to_contain_text("Step", timeout=60_000)
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".status")).to_have_text("Stopped.")
        page.get_by_label("Steps").select_option("17")
        page.get_by_role("button", name="Draw", exact=True).click()
        assert "a tulip, from a sketch" in finished(page)
        assert len(page.url) < 1000
        other = open_page()
        other.page.goto(page.url)
        same = other.page.get_by_role("application").evaluate("c => c.toDataURL()")
        assert same == pad.evaluate("c => c.toDataURL()"), "a link holds the sketch"
        assert not other.faults
        page.get_by_role("button", name="castle").click()
        expect(page.get_by_label("Steps")).to_have_value("34")
        assert not watched.faults, watched.faults


def test_without_scripts_and_as_a_file_the_page_makes_sense(
    words_site: Path, open_page: Callable[..., Watched]
) -> None:
    page = open_page(360, java_script_enabled=False).page
    with served(words_site) as address:
        page.goto(f"{address}/a-words.html")
        expect(page.locator(".words")).to_contain_text("With JavaScript")
        expect(page.locator(".cell img")).to_have_count(3)
        expect(page.locator(".words form")).to_be_hidden()
    watched = open_page()
    watched.page.goto((words_site / "a-words.html").as_uri())
    expect(watched.page.locator(".words")).to_contain_text("This page was opened as a file")
    expect(watched.page.locator(".words form")).to_be_hidden()
    expect(watched.page.locator(".words")).not_to_contain_text("Loaded from this site")
    assert not watched.faults


BEYOND = """[...document.querySelectorAll('.words *')]
  .filter((each) => each.offsetWidth && each.getBoundingClientRect().right > innerWidth).length"""
"""How much of the tool stands beyond the window."""


def test_axe_finds_nothing_and_nothing_overflows(words_site: Path, open_page: Callable[..., Watched]) -> None:
    axe = Axe()
    with served(words_site) as address:
        for theme, width in (("light", 1280), ("dark", 360)):
            page = open_page(width, color_scheme=theme).page
            for mode in ("picture", "anagram", "hybrid", "sketch"):
                page.goto(
                    f"{address}/a-words.html#fig-words?mode={mode}&subject1=tulip&subject2=dress&steps=17&seed=1"
                )
                if mode in ("anagram", "hybrid"):
                    page.get_by_role("button", name="Draw", exact=True).click()
                    finished(page)
                results = axe.run(page)
                assert results.violations_count == 0, (theme, mode, results.generate_report())
                assert page.evaluate("document.documentElement.scrollWidth") <= width
                assert page.evaluate(BEYOND) == 0


@pytest.mark.parametrize(
    "query",
    [
        "mode=constructor&seed=-1&steps=7&start=99&style1=__proto__&view=%FF",
        "mode=__proto__&sketch=" + "_" * 9000 + "&seed=1e99&steps=&subject1=&subject2=&start=NaN",
        "mode=%3Cscript%3E&sketch=%25%25&seed=1.5&style1=" + "A" * 3000 + "&steps=34;",
    ],
)
def test_an_address_that_is_wrong_does_no_harm(
    words_site: Path, open_page: Callable[..., Watched], query: str
) -> None:
    """What it asks for that there is not is left as the page has it."""
    watched = open_page()
    page = watched.page
    with served(words_site) as address:
        page.goto(f"{address}/a-words.html#fig-words?{query}#%E0%A4%A")
        expect(page.get_by_role("radio", name="a picture")).to_be_checked()
        names = ("subject1", "style1", "seed", "steps", "start", "view")
        values = [page.locator(f"[name={name}]").input_value() for name in names]
        assert values == ["castle", "plain", "7", "34", "12", "flip"]
    assert not watched.faults
