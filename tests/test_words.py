"""Pictures from words in a browser: banks and pictures against Python's, and the page in Chromium."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from noisebook.generators import _treatments, _words
from onnx.reference import ReferenceEvaluator
from playwright.sync_api import Browser, Page, expect
from torch import Tensor

from noisebook.models.exact import posterior
from noisebook.models.library import shipped
from noisebook.models.local_posterior import noise_of
from noisebook.models.pictures import to_bytes
from noisebook.models.styles import TREATMENTS
from noisebook.render import bundles
from tests.browser import Watched, served
from tests.sample_report import compute, render

torch.set_num_threads(1)
ROOT = Path(__file__).parents[1]
VARIANTS = 24
SUBJECTS = ["castle", "dress", "skull", "tulip", "waterfalls"]
SECTION = """---
title: Words
figures:
  - id: words
    generator: words
    params:
      variants: 24
      subjects: [castle, dress, skull, tulip, waterfalls]
      examples:
        - {subjects: [{name: castle, style: plain}], seed: 7}
        - {mode: anagram, subjects: [{name: tulip}, {name: dress}], seed: 3}
    caption: Pictures from words.
---
Words.
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sub") / "path"
    for name, text in {"report.yaml": "title: Words\nmodel: exact", "sections/a-words.md": SECTION}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    compute(root)
    render(root)
    return root / "site"


@pytest.fixture(scope="module")
def model() -> _words.Asked:
    library = shipped(ROOT / "models" / "library.zip", ROOT / "models" / "scenes.zip")
    return _words.Asked(_words.Words(library, VARIANTS, SUBJECTS))


# The same mathematics

OPEN = """async ([module, local, runtime, wasm, words]) => {
  const at = (path) => new URL(path, location).href;
  const { model } = await import(at(module));
  window.posteriorMean = (await import(at(local))).posteriorMean;
  window.model = await model({ words: at(words), runtime: at(runtime), wasm: at(wasm) });
  window.packed = (values) => {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    let text = "";
    const part = 2 ** 15;
    for (let i = 0; i < bytes.length; i += part) text += String.fromCharCode(...bytes.subarray(i, i + part));
    return btoa(text);
  };
  window.floats = (values) => Float32Array.from(values);
}"""
BANK = "async ([name, style]) => packed((await model.bank(name, style)).pictures)"
MEAN = """async ([name, style, y, sigma, window]) =>
  packed(posteriorMean(floats(y), sigma, window, await model.bank(name, style)))"""
DRAW = """async (asked) => {
  let last;
  if (asked.sketch) asked.sketch = floats(asked.sketch);
  for await (const state of model.draw(asked)) last = state.x;
  return packed(last);
}"""


def unpacked(text: str, *shape: int) -> Tensor:
    return torch.from_numpy(np.frombuffer(b64decode(text), np.float32).copy()).view(*shape)


@pytest.fixture(scope="module")
def drawing(site: Path, browser: Browser) -> Iterator[Page]:
    """A page of the site with the model at hand, as ``window.model``."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    (words,) = {
        file["path"]
        for figure in json.loads((site / "manifest.json").read_bytes())["figures"]
        for cell in figure["cells"]
        for file in cell["files"]
        if file["name"] == "words"
    }
    names = ["words-model.*.js", "local-posterior.*.js", "onnxruntime-*.js", "onnxruntime-*.wasm.bin"]
    files = [next((site / "assets").glob(name)).relative_to(site).as_posix() for name in names]
    with served(site) as address:
        page.goto(f"{address}/a-words.html")
        page.evaluate(OPEN, [*files, words])
        yield page
    page.close()


def browsers(page: Page, model: _words.Asked, name: str, style: str) -> Tensor:
    """A bank as the browser makes it, which torch has from here on as well."""
    pictures = unpacked(page.evaluate(BANK, [name, style]), VARIANTS, 3, 64, 64)
    bank = model.bank((name, style))
    bank._drawn[64] = pictures
    for made in ("norms", "coarse"):
        bank.__dict__.pop(made, None)
    return pictures


@pytest.mark.parametrize(
    ("name", "style", "largest"),
    [
        ("castle", "plain", 2e-3),
        ("waterfalls", "lithograph", 1e-4),
        ("tulip", "photo", 6e-3),
        ("skull", "pencil", 1e-2),
        ("castle", "lithograph", None),
        ("tulip", "oil", None),
    ],
)
def test_a_browser_makes_the_banks_that_python_makes(
    drawing: Page, model: _words.Asked, name: str, style: str, largest: float | None
) -> None:
    """Backdrops have eight bits there. Strokes run along edges, and where there is next to none, anywhere:
    there single pixels differ."""
    known = model.words.bank(name, style).pictures(64)
    difference = (browsers(drawing, model, name, style) - known).abs()
    assert difference.mean() < 2e-3
    assert difference.flatten().kthvalue(int(0.995 * difference.numel())).values < 8e-3
    assert largest is None or difference.max() < largest


def test_a_browser_estimates_what_torch_estimates(drawing: Page, model: _words.Asked) -> None:
    """x̂_0 over one bank, within 1e-3 of a range of 2, at every kind of window."""
    prompt = ("castle", "plain")
    pictures = browsers(drawing, model, *prompt)
    generator = torch.Generator().manual_seed(0)
    kinds = set()
    for t in (990, 750, 600, 390, 210, 60, 0):
        sigma = noise_of(float(model.alphas_cumprod[t]))
        window = _words.window(model.settings.windows, sigma)
        kinds.add(tuple(window[:1]))
        y = pictures[3] + sigma * torch.randn(3, 64, 64, generator=generator)
        bank = model.bank(prompt)
        found = drawing.evaluate(MEAN, [*prompt, y.flatten().tolist(), sigma, window])
        assert (unpacked(found, 3, 64, 64) - posterior(y, sigma, bank, bank)).abs().max() < 1e-3, t
    assert kinds == {(), (4,), (2,)}


SKETCH = torch.ones(3, 64, 64)
SKETCH[1:, 20:50, 20:44] = -0.6


@pytest.mark.parametrize(
    ("asked", "more"),
    [
        (_words.Settings("picture", [("castle", "plain")], 7), {}),
        (_words.Settings("anagram", [("tulip", "plain"), ("dress", "plain")], 3, view="flip"), {}),
        (_words.Settings("anagram", [("castle", "plain"), ("skull", "plain")], 4, view="quarter turn"), {}),
        (_words.Settings("hybrid", [("skull", "lithograph"), ("waterfalls", "lithograph")], 5), {}),
        (_words.Settings("sketch", [("tulip", "plain")], 6, sketch=SKETCH, start=12), {}),
        (_words.Settings("picture", [("dress", "plain")], 8, stride=60), {"steps": "17"}),
    ],
)
def test_a_browser_draws_what_torch_draws(
    drawing: Page, model: _words.Asked, asked: _words.Settings, more: dict[str, Any]
) -> None:
    """Whole pictures from one noise over one bank: at most 2 of 255 apart."""
    for prompt in asked.prompts:
        browsers(drawing, model, *prompt)
    settings = {
        "mode": asked.mode,
        "subjects": [{"name": name, "style": style} for name, style in asked.prompts],
        "seed": asked.seed,
        "steps": "34",
        "view": asked.view,
        "start": asked.start,
        "sketch": None if asked.sketch is None else asked.sketch.flatten().tolist(),
    }
    found = to_bytes(unpacked(drawing.evaluate(DRAW, settings | more), 3, 64, 64)).astype(int)
    known = to_bytes(_words.draw(model, asked)).astype(int)
    assert np.abs(found - known).max() <= 2
    assert known.std() > 20


@pytest.mark.parametrize("name", ["oil", "lithograph", "pencil", "photo"])
def test_a_treatment_is_packed_as_it_is(name: str) -> None:
    """Also where nothing changes from place to place, and edges have no direction."""
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    x[0, :, 10:40, 8:50], x[1] = 1, 0.5
    x[1, :, 30:] = 0.2
    packed = onnx.load_from_string(_treatments.treatment(name, 2, 64))
    (found,) = ReferenceEvaluator(packed).run(None, {"x": x.numpy()})
    assert np.abs(found - TREATMENTS[name](x).clamp(0, 1).numpy()).max() < 1e-4


# What travels


def test_a_subject_is_light_and_what_is_cut_out_is_what_was_pinned(site: Path) -> None:
    words = shipped(ROOT / "models" / "library.zip", ROOT / "models" / "scenes.zip")
    largest = _words.Words(words, VARIANTS, ["waterfalls", "autumn mountains", "skull"])
    for name in largest.names:
        assert sum(len(largest.data(index)) for index in largest.pictures(name)) < 300_000
        assert {words.pictures[i].style for i in largest.pictures(name)} == {
            words.pictures[i].style for i in words.by_name[name]
        }
    assert len(list((site / "assets").glob("*.bin"))) == len(SUBJECTS) + 1  # and the runtime


def test_bundles_are_cut_once(site: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (site / "assets").glob("*.bin")}
    assert render(site.parent).written == 0
    assert before == {path: path.stat().st_mtime_ns for path in (site / "assets").glob("*.bin")}


def test_without_the_library_the_page_says_so(
    site: Path, monkeypatch: pytest.MonkeyPatch, open_page: Callable[..., Watched]
) -> None:
    hidden = [path.rename(path.with_suffix(".gone")) for path in (site / "assets").glob("*.bin")]
    monkeypatch.setattr(bundles, "find", lambda root, name: root / "nowhere" / name)
    try:
        with pytest.warns(UserWarning, match=r"words: models/library.zip, models/scenes.zip are not at hand"):
            render(site.parent)
        watched = open_page()
        with served(site) as address:
            watched.page.goto(f"{address}/a-words.html")
            expect(watched.page.locator(".words")).to_contain_text("were not at hand")
            expect(watched.page.locator(".words button")).to_have_count(0)
            expect(watched.page.locator(".cell img").first).to_be_visible()
    finally:
        monkeypatch.undo()
        for path in hidden:
            path.rename(path.with_suffix(".bin"))
        render(site.parent)


# The page


def finished(page: Page) -> str:
    status = page.locator(".status")
    expect(status).to_contain_text(re.compile("on your machine|That did not work"), timeout=120_000)
    return status.text_content() or ""


def test_a_reader_draws_with_the_keyboard_alone(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    page = watched.page
    with served(site.parents[1]) as address:
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
        assert "subject1=tulip" in page.url and "seed=3" in page.url and "mode=anagram" in page.url
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
        page.goto(page.url)
        expect(page.get_by_label("Upright")).to_have_value("tulip")
        page.get_by_role("button", name="Draw", exact=True).click()
        finished(page)
        assert page.locator(".drawn canvas").evaluate("c => c.toDataURL()") == first


def test_a_reader_stops_and_paints(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    page = watched.page
    with served(site) as address:
        page.goto(f"{address}/a-words.html?mode=sketch&subject1=tulip&style1=plain&steps=100&start=60&seed=1")
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
        page.get_by_role("button", name="castle").click()
        expect(page.get_by_label("Steps")).to_have_value("34")
        assert not watched.faults, watched.faults


def test_without_scripts_and_as_a_file_the_page_makes_sense(
    site: Path, open_page: Callable[..., Watched]
) -> None:
    page = open_page(360, java_script_enabled=False).page
    with served(site) as address:
        page.goto(f"{address}/a-words.html")
        expect(page.locator(".words")).to_contain_text("With JavaScript")
        expect(page.locator(".cell img")).to_have_count(3)
        expect(page.locator(".words form")).to_be_hidden()
    watched = open_page()
    watched.page.goto((site / "a-words.html").as_uri())
    expect(watched.page.locator(".words")).to_contain_text("This page was opened as a file")
    expect(watched.page.locator(".words form")).to_be_hidden()
    assert not watched.faults


BEYOND = """[...document.querySelectorAll('.words *')]
  .filter((each) => each.offsetWidth && each.getBoundingClientRect().right > innerWidth).length"""
"""How much of the tool stands beyond the window."""


def test_axe_finds_nothing_and_nothing_overflows(site: Path, open_page: Callable[..., Watched]) -> None:
    axe = Axe()
    with served(site) as address:
        for theme, width in (("light", 1280), ("dark", 360)):
            page = open_page(width, color_scheme=theme).page
            for mode in ("picture", "anagram", "hybrid", "sketch"):
                page.goto(f"{address}/a-words.html?mode={mode}&subject1=tulip&subject2=dress&steps=17&seed=1")
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
        "mode=__proto__&seed=1e99&steps=&subject1=&subject2=&start=NaN",
        "mode=%3Cscript%3E&seed=1.5&style1=" + "A" * 3000 + "&steps=34;",
    ],
)
def test_an_address_that_is_wrong_does_no_harm(
    site: Path, open_page: Callable[..., Watched], query: str
) -> None:
    """What it asks for that there is not is left as the page has it."""
    watched = open_page()
    page = watched.page
    with served(site) as address:
        page.goto(f"{address}/a-words.html?{query}#%E0%A4%A")
        expect(page.get_by_role("radio", name="a picture")).to_be_checked()
        names = ("subject1", "style1", "seed", "steps", "start", "view")
        values = [page.locator(f"[name={name}]").input_value() for name in names]
        assert values == ["castle", "plain", "7", "34", "12", "flip"]
    assert not watched.faults
