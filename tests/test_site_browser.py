"""The built site in a real Chromium: from a file, from a sub-path of a server, and as a live preview."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from noisebook.render.serve import Preview, start
from tests.browser import Watched, served
from tests.sample_report import compute, render, write_report


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sub") / "path"
    write_report(folder)
    compute(folder)
    render(folder)
    return folder


@pytest.fixture(scope="module")
def site(root: Path) -> Path:
    return root / "site"


def pages(site: Path) -> list[str]:
    return sorted(path.name for path in site.glob("*.html"))


def test_every_page_is_whole_from_a_file(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    for name in pages(site):
        watched.page.goto((site / name).as_uri())
        watched.page.evaluate("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")
        watched.page.wait_for_function("[...document.images].every(image => image.complete)")
        broken = watched.page.evaluate(
            "[...document.images].filter(image => !image.naturalWidth && !image.closest('dialog'))"
            ".map(image => image.src)"
        )
        assert not broken, name
        unsized = watched.page.evaluate(
            "[...document.querySelectorAll('img, video')]"
            ".filter(image => !image.closest('dialog'))"
            ".filter(image => !image.getAttribute('width') || !image.getAttribute('height'))"
            ".map(image => image.outerHTML)"
        )
        assert not unsized, name
    assert not watched.faults
    assert all(url.startswith(site.as_uri()) for url in watched.requests)


def test_every_link_leads_somewhere(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    anchors: dict[str, set[str]] = {}
    links: list[tuple[str, str]] = []
    for name in pages(site):
        watched.page.goto((site / name).as_uri())
        ids = watched.page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        assert len(ids) == len(set(ids)), name
        anchors[name] = set(ids)
        links += [
            (name, href)
            for href in watched.page.evaluate(
                "[...document.querySelectorAll('a[href], link[href], script[src], img[src], source[srcset]')]"
                ".map(e => e.getAttribute('href') ?? e.getAttribute('src') ?? e.getAttribute('srcset'))"
            )
        ]
    assert len(links) > 100
    for name, href in links:
        if href.startswith(("https://", "http://", "mailto:")):
            continue
        assert not href.startswith("/"), (name, href)
        path, _, fragment = href.partition("#")
        assert (site / (path or name)).is_file(), (name, href)
        if fragment:
            assert fragment in anchors[path or name], (name, href)


def test_a_sub_path_of_a_server_and_no_other_host(root: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    with served(root.parent) as address:
        for name in ("index.html", "a1-1-forward.html", "b1-mnist.html"):
            watched.page.goto(f"{address}/path/site/{name}")
            watched.page.wait_for_load_state("networkidle")
        watched.page.get_by_role("link", name="What we learnt").first.click()
        expect(watched.page.locator("h1")).to_have_text("What we learnt")
        assert not watched.faults
        assert all(url.startswith(f"{address}/path/site/") for url in watched.requests)
        fonts = [url for url in watched.requests if url.endswith(".woff2")]
        assert any("assets/math." in url for url in fonts), fonts


def test_axe_finds_nothing_in_both_themes(site: Path, open_page: Callable[..., Watched]) -> None:
    axe = Axe()
    for theme, width in (("light", 1280), ("dark", 360)):
        watched = open_page(width, color_scheme=theme, reduced_motion="reduce")
        for name in pages(site):
            watched.page.goto((site / name).as_uri())
            watched.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            results = axe.run(watched.page)
            assert results.violations_count == 0, (theme, name, results.generate_report())


@pytest.mark.parametrize("scripts", [True, False])
def test_a_phone_scrolls_in_one_direction_only(
    scripts: bool, site: Path, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(360, java_script_enabled=scripts)
    for name in pages(site):
        watched.page.goto((site / name).as_uri())
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= 360, name
    if not scripts:
        watched.page.goto((site / "a1-2-compare.html").as_uri())
        shown = watched.page.locator("#fig-path .cell img")
        assert shown.count() == 5
        expect(shown.first).to_be_visible()
        expect(watched.page.get_by_role("button", name="Search")).to_have_count(0)


def test_small_pictures_are_enlarged_by_whole_factors(site: Path, open_page: Callable[..., Watched]) -> None:
    for width in (360, 700, 1000, 1280, 1600):
        watched = open_page(width)
        for name, natural in (("a1-1-forward.html", 64), ("b1-mnist.html", 28)):
            watched.page.goto((site / name).as_uri())
            sizes = watched.page.evaluate(
                "[...document.querySelectorAll('.cell img.pixelated')].map(image =>"
                " [image.naturalWidth, image.clientWidth, image.clientHeight,"
                "  getComputedStyle(image).imageRendering])"
            )
            assert sizes
            for wide, shown, high, rendering in sizes:
                assert wide in (natural, 0) and shown % natural == 0 and shown == high, (width, name, sizes)
                assert shown >= natural and rendering == "pixelated"


def test_the_keyboard_reaches_the_lightbox_and_leaves_it(
    site: Path, open_page: Callable[..., Watched]
) -> None:
    watched = open_page()
    page = watched.page
    page.goto((site / "a1-1-forward.html").as_uri())
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("#fig-forward a.picture").first.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("dialog.lightbox")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("status")).to_contain_text("1 of 4")
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("status")).to_contain_text("2 of 4")
    width, natural = page.locator(".lightbox img").evaluate("i => [i.clientWidth, i.naturalWidth]")
    assert width % natural == 0
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(dialog.get_by_role("status")).to_contain_text("4 of 4")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.locator("#fig-forward a.picture").first).to_be_focused()
    assert not watched.faults


def test_search_works_from_a_file(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    page = watched.page
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("/")
    page.keyboard.type("reverse process")
    found = page.locator(".search li a")
    expect(found.first).to_contain_text("Figure 4 · A1.2")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url((site / "a1-2-compare.html").as_uri() + "#fig-path")
    page.wait_for_load_state()  # the key is heard from then on
    page.keyboard.press("/")
    page.keyboard.type("script alert")
    expect(page.locator(".search li a").first).to_contain_text("<script>alert(“text”)</script>")
    assert not watched.faults


def test_search_forgives_and_marks_what_it_found(
    site: Path, tmp_path: Path, open_page: Callable[..., Watched]
) -> None:
    shutil.copytree(site, tmp_path / "site")
    index = tmp_path / "site" / "assets" / "search.js"
    text = "Is x…y ﬁne… a naïve… Gaussian blurred picture 结果很好 0.25" + " and so on" * 60
    entries = [["First", "index.html", text], ["Second", "closing.html", "nothing of that"]]
    index.write_text(f"window.searchIndex={json.dumps(entries)};", "utf-8")
    watched = open_page()
    page = watched.page
    page.goto((tmp_path / "site" / "index.html").as_uri())
    page.keyboard.press("/")
    for typed, marked in (
        ("gausian", ["Gaussian"]),
        ("naive pict", ["naïve", "picture"]),
        ("结", ["结"]),
        ("0.25", ["0.25"]),
        ("fine", ["ﬁne"]),
    ):
        page.locator(".search input").fill(typed)
        expect(page.locator(".search li a")).to_have_count(1)
        assert page.locator(".search mark").all_text_contents() == marked, typed
    expect(page.locator(".search li span")).to_contain_text("…")
    page.locator(".search input").fill("zebra")
    expect(page.locator(".search p")).to_have_text("Nothing found.")
    assert not watched.faults


def test_the_chosen_theme_is_kept(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page(color_scheme="light")
    page = watched.page
    page.goto((site / "index.html").as_uri())
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark != light
    page.goto((site / "closing.html").as_uri())
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == dark


def test_figures_that_a_reader_can_move(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    page = watched.page
    page.goto((site / "a1-2-compare.html").as_uri())
    over = page.locator("#fig-compare .over")
    before = over.evaluate("e => e.style.clipPath")
    page.locator("#fig-compare input").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert over.evaluate("e => e.style.clipPath") != before
    output = page.locator("#fig-path output")
    expect(output).to_have_text("clean")
    page.locator("#fig-path input").focus()
    page.keyboard.press("ArrowLeft")
    expect(output).to_have_text("σ = 0.3")
    page.get_by_role("button", name="Turn over").click()
    expect(page.locator("#fig-turned img")).to_have_css("rotate", "180deg")
    width = page.locator("#fig-far img").evaluate("e => e.clientWidth")
    page.locator("#fig-far input").focus()
    page.keyboard.press("End")
    assert page.locator("#fig-far img").evaluate("e => e.clientWidth") < width / 5
    assert not watched.faults


def test_a_film_is_gone_through_and_two_pictures_are_chosen(
    site: Path, open_page: Callable[..., Watched]
) -> None:
    watched = open_page()
    page = watched.page
    page.goto((site / "b1-mnist.html").as_uri())
    strip = page.locator("#fig-film .film img")
    strip.scroll_into_view_if_needed()
    expect(strip).to_have_js_property("naturalWidth", 9 * 28)
    expect(page.locator("#fig-film output")).to_have_text("9 of 9")
    page.locator("#fig-film input").focus()
    page.keyboard.press("Home")
    expect(page.locator("#fig-film output")).to_have_text("1 of 9")
    assert strip.evaluate("e => [e.clientWidth, e.parentElement.clientWidth]") == [9 * 252, 252]
    assert strip.evaluate("e => e.style.translate") in ("0px", "0px 0px")

    choices = page.locator("#fig-choice select")
    over = page.locator("#fig-choice .over img")
    before = over.get_attribute("src")
    choices.first.select_option(label="σ = 0.7")
    assert over.get_attribute("src") != before
    expect(
        page.get_by_role("slider", name="Compare: σ = 0.7 on the left, σ = 0.5 on the right")
    ).to_have_count(1)
    assert page.locator("#fig-choice .cells .cell").count() == 3

    page.locator("#fig-flipped").get_by_role("button", name="Turn over").click()
    expect(page.locator("#fig-flipped img")).to_have_css("rotate", "x 180deg")
    assert not watched.faults


def test_a_low_film_is_played_by_a_button_of_its_own(
    site: Path, tmp_path: Path, open_page: Callable[..., Watched]
) -> None:
    from noisebook.generators._mnist_sampling import film

    shutil.copytree(site, tmp_path / "site")
    page = tmp_path / "site" / "a1-1-forward.html"
    frames = np.random.default_rng(0).integers(0, 256, (20, 60, 320), dtype=np.uint8)
    (page.parent / "film.mp4").write_bytes(film("animation", frames, fps=10).data)
    before, after = page.read_text("utf-8").split('<p class="label">', 1)
    video = '<video src="film.mp4" width="320" height="60" controls loop muted preload="none"></video>'
    video += '<div class="control film"></div>'
    page.write_text(f'{before}{video}<p class="label">{after}', "utf-8")

    watched = open_page(reduced_motion="reduce")
    watched.page.goto(page.as_uri())
    shown = watched.page.locator("video")
    assert not shown.evaluate("video => video.controls")
    button = watched.page.get_by_role("button", name="Play")
    button.focus()
    watched.page.keyboard.press("Enter")
    expect(watched.page.get_by_role("button", name="Pause")).to_be_focused()
    watched.page.wait_for_timeout(500)
    assert shown.evaluate("video => video.currentTime") > 0.1
    shown.click()
    expect(button).to_be_visible()
    watched.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.evaluate("video => video.currentTime") == 0, "its still is printed"
    assert shown.evaluate("video => video.paused")
    assert not watched.faults
    found = Axe().run(watched.page)
    assert found.violations_count == 0, found.generate_report()


def test_reduced_motion_and_print_show_stills(site: Path, open_page: Callable[..., Watched]) -> None:
    for motion, still in (("reduce", True), ("no-preference", False)):
        page = open_page(reduced_motion=motion).page
        page.goto((site / "b1-mnist.html").as_uri())
        image = page.locator("#fig-moving img").first
        image.scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('#fig-moving img').currentSrc")
        assert image.evaluate("e => e.currentSrc").endswith("-still.png") is still


def test_what_an_author_wrote_stays_text(site: Path, open_page: Callable[..., Watched]) -> None:
    page = open_page().page
    page.goto((site / "a1-1-forward.html").as_uri())
    expect(page.locator(".prose")).to_contain_text("<script>alert(“text”)</script> stays text")
    inline = page.evaluate(
        "[...document.scripts].filter(s => !s.src).length + document.querySelectorAll('style').length"
        " + [...document.querySelectorAll('*')]"
        ".filter(e => [...e.attributes].some(a => /^on/.test(a.name))).length"
    )
    assert inline == 0


def test_live_preview_shows_an_error_and_recovers(root: Path, open_page: Callable[..., Watched]) -> None:
    preview = Preview()
    server = start(root / "site", preview, "127.0.0.1", 0)
    section = root / "sections" / "closing.md"
    good = section.read_text("utf-8")
    try:
        page = open_page().page
        preview.build(lambda: render(root))
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/closing.html")
        problems = page.locator("#problems")
        expect(problems).to_have_count(0)
        section.write_text(good.replace("summary:", "sumary:").replace('"loss"', '"<b>lost</b>"'), "utf-8")
        preview.build(lambda: render(root))
        expect(problems.get_by_role("listitem")).to_have_count(2)
        expect(problems).to_contain_text("sections/closing.md:3:1")
        expect(problems).to_contain_text("<b>lost</b>")
        section.write_text(good.replace("What held", "What stood"), "utf-8")
        preview.build(lambda: render(root))
        expect(problems).to_have_count(0)
        expect(page.locator(".summary")).to_have_text("What stood, and what did not.")
        assert b".noisebook/" not in (root / "site" / "closing.html").read_bytes()
    finally:
        section.write_text(good, "utf-8")
        preview.close()
        server.shutdown()
        server.server_close()


def test_nothing_moves_while_a_page_loads(root: Path, open_page: Callable[..., Watched]) -> None:
    page = open_page(412).page
    page.add_init_script(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries()"
        ".forEach(entry => { window.shift += entry.value })).observe({type: 'layout-shift', buffered: true})"
    )
    with served(root.parent) as address:
        for name in ("index.html", "a1-1-forward.html", "a1-2-compare.html", "b1-mnist.html"):
            page.goto(f"{address}/path/site/{name}")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(200)
            assert page.evaluate("window.shift") < 0.05, name
