"""Pictures from words in a browser: banks and pictures against Python's, and the page in Chromium."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from noisebook.generators import _treatments, _words
from onnx.reference import ReferenceEvaluator
from playwright.sync_api import Browser, Page
from torch import Tensor

from noisebook.models.exact import posterior
from noisebook.models.library import shipped
from noisebook.models.local_posterior import noise_of
from noisebook.models.pictures import to_bytes
from noisebook.models.styles import TREATMENTS
from tests.browser import served
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
