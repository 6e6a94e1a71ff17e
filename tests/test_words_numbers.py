"""Pictures from words: what a browser computes is what Python computes."""

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
from torch.nn import functional

from noisebook.models import bank, local_posterior
from noisebook.models.exact import posterior
from noisebook.models.local_posterior import noise_of
from noisebook.models.pictures import to_bytes
from noisebook.models.styles import TREATMENTS, backdrop
from tests.browser import served
from tests.words_report import VARIANTS

torch.set_num_threads(1)

OPEN = """async ([module, local, runtime, wasm, words]) => {
  const at = (path) => new URL(path, location).href;
  const { model } = await import(at(module));
  Object.assign(window, await import(at(local)));
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
PLACED = """([size, source, row, scene, ground, lit, side]) => {
  const planes = [0, 1, 2, 3].map((k) => floats(source.slice(k * size ** 2, (k + 1) * size ** 2)));
  return packed(placed({ size, planes }, row, scene, { planes: floats(ground), lit }, side));
}"""
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
def drawing(words_site: Path, browser: Browser) -> Iterator[Page]:
    """A page of the site with the model at hand, as ``window.model``."""
    page = browser.new_page()
    page.set_default_timeout(120_000)
    (words,) = {
        file["path"]
        for figure in json.loads((words_site / "manifest.json").read_bytes())["figures"]
        for cell in figure["cells"]
        for file in cell["files"]
        if file["name"] == "words"
    }
    names = ["words-model.*.js", "local-posterior.*.js", "onnxruntime-*.js", "onnxruntime-*.wasm.bin"]
    files = [next((words_site / "assets").glob(name)).relative_to(words_site).as_posix() for name in names]
    with served(words_site) as address:
        page.goto(f"{address}/a-words.html")
        page.evaluate(OPEN, [*files, words])
        yield page
    page.close()


def browsers(page: Page, model: _words.Asked, name: str, style: str) -> Tensor:
    """A bank as the browser makes it, which torch has from here on as well."""
    pictures = unpacked(page.evaluate(BANK, [name, style]), VARIANTS, 3, 64, 64)
    own = model.bank((name, style))
    own._drawn[64] = pictures
    for made in ("norms", "coarse"):
        own.__dict__.pop(made, None)
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
    drawing: Page, words_model: _words.Asked, name: str, style: str, largest: float | None
) -> None:
    """Backdrops have eight bits there. Strokes run along edges, and where there is next to none, anywhere:
    there single pixels differ."""
    known = words_model.words.bank(name, style).pictures(64)
    difference = (browsers(drawing, words_model, name, style) - known).abs()
    assert difference.mean() < 2e-3
    assert difference.flatten().kthvalue(int(0.995 * difference.numel())).values < 8e-3
    assert largest is None or difference.max() < largest


def test_a_browser_estimates_what_torch_estimates(drawing: Page, words_model: _words.Asked) -> None:
    """x̂_0 over one bank, within 1e-3 of a range of 2, at every kind of window."""
    prompt = ("castle", "plain")
    pictures = browsers(drawing, words_model, *prompt)
    generator = torch.Generator().manual_seed(0)
    kinds = set()
    for t in (990, 750, 600, 390, 210, 60, 0):
        sigma = noise_of(float(words_model.alphas_cumprod[t]))
        window = _words.window(words_model.settings.windows, sigma)
        kinds.add(tuple(window[:1]))
        y = pictures[3] + sigma * torch.randn(3, 64, 64, generator=generator)
        own = words_model.bank(prompt)
        found = drawing.evaluate(MEAN, [*prompt, y.flatten().tolist(), sigma, window])
        assert (unpacked(found, 3, 64, 64) - posterior(y, sigma, own, own)).abs().max() < 1e-3, t
    assert kinds == {(), (4,), (2,)}


@pytest.mark.parametrize("ground", ["soft", "dark"])
def test_a_browser_places_a_picture_as_python_does(drawing: Page, ground: str) -> None:
    """Its place, its backdrop and the shadow that it throws, before any treatment."""
    generator = torch.Generator().manual_seed(1)
    alpha = (torch.rand(1, 8, 8, generator=generator) > 0.4).float()
    colours = torch.rand(3, 8, 8, generator=generator)
    source = functional.interpolate(
        torch.cat([colours * alpha, alpha])[None], size=(128, 128), mode="bilinear"
    )[0]
    side, left, top, gains = 50, 9, 3, (0.9, 1.0, 0.8)
    behind = backdrop(ground, 64, 5)
    for mirror in (False, True):
        variant = bank.Variant(0, side / 64, left - 7, top - 7, mirror, ground, 5, "plain", gains)
        known = bank._placed(variant, source, "piece", 64)
        row = [side, left, top, int(mirror), 5, *gains]
        asked = [128, source.flatten().tolist(), row, False, behind.flatten().tolist(), True, 64]
        assert (unpacked(drawing.evaluate(PLACED, asked), 3, 64, 64) - known).abs().max() < 1e-5


def test_the_windows_of_a_page_are_those_of_the_model(
    words_model: _words.Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every noise: cells of so many pixels, so many to each side, or the whole picture."""
    summed: list[list[int]] = []
    box_sum = local_posterior.box_sum

    def watched(x: Tensor, width: int) -> Tensor:
        summed.append([64 // x.shape[-1], width // 2])
        return box_sum(x, width)

    monkeypatch.setattr(local_posterior, "box_sum", watched)
    known, y = words_model.bank(("tulip", "plain")), torch.zeros(3, 64, 64)
    kinds = set()
    for alpha in {float(words_model.alphas_cumprod[t]) for t in range(0, 991, 5)}:
        summed.clear()
        sigma = noise_of(alpha)
        posterior(y, sigma, known, known)
        assert _words.window(words_model.settings.windows, sigma) == (summed[-1] if summed else []), sigma
        kinds.add(tuple(summed[-1][:1]) if summed else ())
    assert len(kinds) >= 3


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
    drawing: Page, words_model: _words.Asked, asked: _words.Settings, more: dict[str, Any]
) -> None:
    """Whole pictures from one noise over one bank: at most 2 of 255 apart."""
    for prompt in asked.prompts:
        browsers(drawing, words_model, *prompt)
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
    known = to_bytes(_words.draw(words_model, asked)).astype(int)
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
