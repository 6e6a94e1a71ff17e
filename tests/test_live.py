"""A network that the reader's browser runs: its export, its noise, its runtime, and the page in Chromium."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import textwrap
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from noisebook.generators import mnist_live
from PIL import Image
from playwright.sync_api import Page, expect

from noisebook.networks.mnist.portable import normal
from noisebook.networks.mnist.unet import UNet
from noisebook.render import runtime
from noisebook.render.theme import PACKAGED
from tests.browser import Watched, served
from tests.sample_report import compute, render
from tools.vendored import MEMBERS

torch.set_num_threads(1)
STEPS = 5
SMALL = """
from collections.abc import Iterator, Sequence

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Context, Output, Result, canonical
from noisebook.cells.outputs import picture
from noisebook.generators import mnist_live


class Params(contract.Params):
    pass


def cells(params: Params) -> list[Cell]:
    return [Cell("network", "drawn by torch", "Ten digits", seed=None)]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    import numpy as np

    from tests.test_live import PARAMS, small_network

    network = small_network()
    for cell in cells:
        digits = mnist_live.draw(network, PARAMS).clamp(0, 1).reshape(-1, 28).numpy()
        yield cell, [
            Output("network", mnist_live.ONNX, mnist_live.export(network)),
            Output("sampler", "application/json", canonical(mnist_live.sampler(PARAMS))),
            picture("picture", (digits * 255).round().astype(np.uint8)),
        ]
"""
PARAMS: dict[str, Any] = {
    "timesteps": 300,
    "beta_first": 1e-4,
    "beta_last": 0.02,
    "steps": STEPS,
    "guidance": 2.0,
    "noise": 42,
}


def small_network() -> UNet:
    """Not trained, but as trained ones: weights are halves, BatchNorm has seen something, ε is about as large
    as noise, and class and time matter."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = UNet(8, timed=True, classes=10)
        for _ in range(30):
            network(torch.randn(16, 1, 28, 28), torch.rand(16), torch.eye(10)[torch.randint(10, (16,))])
    network.eval().requires_grad_(False)
    answer = network(torch.randn(2, 1, 28, 28), torch.rand(2), torch.eye(10)[:2])
    network.last.weight /= answer.std()
    network.last.bias.zero_()
    return network.half().float()


def test_the_exported_network_answers_as_the_original_does() -> None:
    network = small_network()
    packed = mnist_live.export(network)
    assert mnist_live.difference(network, packed) < 1e-5
    other = small_network()
    other.class2[0].weight += 0.01
    assert mnist_live.difference(other, packed) > 1e-4
    assert packed == mnist_live.export(network)


def test_the_export_holds_nothing_of_this_machine() -> None:
    packed = mnist_live.export(small_network())
    for word in (str(Path(__file__).parents[1]), "site-packages", "forward"):
        assert word.encode() not in packed
    model = onnx.load_from_string(packed)
    assert {weight.data_type for weight in model.graph.initializer} == {onnx.TensorProto.FLOAT16}


@pytest.mark.parametrize(
    ("seed", "first"),
    [
        (0, [0.7871846556663513, 0.001630933489650488, 0.431439608335495]),
        (42, [-1.2848381996154785, 0.43278026580810547, -0.9453527927398682]),
        (2**32 - 1, [0.7904166579246521, 1.977400779724121, 1.4889551401138306]),
    ],
)
def test_noise_is_what_a_browser_draws(seed: int, first: list[float]) -> None:
    """The numbers are those of mulberry32 as published, and Math.log, run by V8."""
    assert normal(seed, 3).tolist() == pytest.approx(first, abs=1e-7)


def test_noise_is_normal() -> None:
    rows = torch.stack([normal(seed, 784) for seed in range(40)])
    assert rows.mean().abs() < 0.02 and abs(rows.std() - 1) < 0.02
    assert (torch.corrcoef(rows) - torch.eye(40)).abs().max() < 0.15


def test_timesteps_stride_from_the_last_to_the_clean_digit() -> None:
    known = mnist_live.sampler({**PARAMS, "steps": 40})
    strides = -np.diff([*known["timesteps"], 0])
    assert known["timesteps"][0] == 300 and set(strides) <= {7, 8}
    assert known["time"][0] == 1 and known["alphas_cumprod"][-1] == 1
    assert len(known["alphas_cumprod"]) == 41 == len(known["timesteps"]) + 1


def test_what_a_schema_cannot_say() -> None:
    params = mnist_live.Params(
        training=mnist_live.Training(objective="time", epochs=5, checkpoints=[5], timesteps=20),
        epoch=4,
        weights="average",
    )
    found = {complaint.loc: complaint.message for complaint in mnist_live.check(params, None)}  # type: ignore[arg-type]
    assert set(found) == {("training", "objective"), ("epoch",), ("weights",), ("steps",)}
    assert "epoch 4" in found["epoch",]
    assert not list(mnist_live.check(mnist_live.Params(), None))  # type: ignore[arg-type]


def test_the_runtime_is_the_one_that_is_pinned() -> None:
    pinned = {name: m.sha256 for name, m in MEMBERS.items() if name.startswith("onnxruntime/")}
    assert pinned.keys() == {f"onnxruntime/{name}" for name in (runtime.SCRIPT, runtime.WASM)}
    for name, digest in pinned.items():
        data = (PACKAGED / name).read_bytes()
        data = gzip.decompress(data) if name.endswith(".gz") else data
        assert hashlib.sha256(data).hexdigest() == digest, name
    assert f"v{runtime.VERSION}".encode() in (PACKAGED / "onnxruntime" / runtime.SCRIPT).read_bytes()[:200]


# The page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sub") / "path"
    for name, text in {
        "report.yaml": "title: Digits\nparts: {B: Digits}",
        "generators/small.py": SMALL,
        "sections/b4-live.md": "---\ntitle: In your browser\ngenerator: small\ncaption: A digit.\n---\n",
        "sections/b5-prose.md": "---\ntitle: Prose\n---\nNothing runs here.",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), "utf-8")
    compute(root)
    render(root)
    return root / "site"


def draw(page: Page) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Wait for the digit, and take it from the page."""
    expect(page.locator(".status", has_text="steps in")).to_be_visible(timeout=60_000)
    address = page.locator("canvas").first.evaluate("c => c.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(b64decode(address.partition(",")[2]))).convert("L"))


def expected(site: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The ten digits as torch drew them."""
    (figure,) = json.loads((site / "manifest.json").read_bytes())["figures"]
    (file,) = [file for file in figure["cells"][0]["files"] if file["name"] == "picture"]
    return np.asarray(Image.open(site / file["path"])).reshape(10, 28, 28)


def test_a_browser_draws_what_torch_draws(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    page = watched.page
    with served(site.parents[1]) as address:
        page.goto(f"{address}/path/site/b4-live.html")
        page.wait_for_load_state("networkidle")
        assert not [url for url in watched.requests if "onnx" in url or "worker" in url]
        noise = page.locator("canvas").first.evaluate("c => c.toDataURL()")
        page.get_by_role("button", name="Load").click()
        known = expected(site)
        zero = draw(page)
        assert page.locator("canvas").first.evaluate("c => c.toDataURL()") != noise
        assert np.abs(zero.astype(int) - known[0]).max() <= 2
        assert 20 < zero.mean() < 235 and np.abs(zero.astype(int) - known[7]).max() > 20

        page.get_by_role("radio", name="0").focus()
        for _ in range(7):
            page.keyboard.press("ArrowRight")
        expect(page.locator(".status", has_text="Drew 7 with γ = 2")).to_be_visible(timeout=60_000)
        seven = draw(page)
        assert np.abs(seven.astype(int) - known[7]).max() <= 2
        page.get_by_role("button", name="Draw again").click()
        assert (draw(page) == seven).all()

        page.get_by_label("Seed of the noise").fill("43")
        page.keyboard.press("Tab")
        expect(page.locator(".status", has_text="from seed 43:")).to_be_visible(timeout=60_000)
        assert np.abs(draw(page).astype(int) - seven).max() > 20
        page.get_by_label("Guidance γ").focus()
        page.keyboard.press("ArrowRight")
        expect(page.locator(".status", has_text="γ = 2.5 from")).to_be_visible(timeout=60_000)

        states = page.get_by_label("Step of the reverse process")
        expect(states).to_have_value(str(STEPS))
        states.focus()
        page.keyboard.press("Home")
        expect(page.locator(".pair figcaption").first).to_have_text("Noise of t = 300")
        assert not watched.faults, watched.faults
        assert all(url.startswith(f"{address}/path/site/") for url in watched.requests)
        assert sum("wasm.bin" in url for url in watched.requests) == 1


def test_what_cannot_be_loaded_is_said_and_may_be_tried_again(
    site: Path, open_page: Callable[..., Watched]
) -> None:
    page = open_page().page
    with served(site) as address:
        page.goto(f"{address}/b4-live.html")
        (network,) = (site / "assets").glob("*.onnx")
        hidden = network.rename(network.with_suffix(".gone"))
        page.get_by_role("button", name="Load").click()
        status = page.locator(".status")
        expect(status).to_contain_text("That did not work: ")
        expect(status).to_contain_text("404")
        hidden.rename(network)
        page.get_by_role("button", name="Try again").click()
        assert np.abs(draw(page).astype(int) - expected(site)[0]).max() <= 2


def test_a_page_opened_as_a_file_says_why_it_cannot(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    watched.page.goto((site / "b4-live.html").as_uri())
    box = watched.page.locator(".live")
    expect(box).to_contain_text("This page was opened as a file")
    expect(box).to_contain_text("http://localhost:8000/b4-live.html")
    expect(box.get_by_role("button")).to_have_count(0)
    assert not watched.faults


def test_without_scripts_the_figure_still_makes_sense(site: Path, open_page: Callable[..., Watched]) -> None:
    with served(site) as address:
        page = open_page(360, java_script_enabled=False).page
        page.goto(f"{address}/b4-live.html")
        expect(page.locator(".live")).to_contain_text("With JavaScript")
        expect(page.locator(".cell img")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_reduced_motion_shows_the_digit_alone(site: Path, open_page: Callable[..., Watched]) -> None:
    page = open_page(reduced_motion="reduce").page
    with served(site) as address:
        page.goto(f"{address}/b4-live.html")
        page.evaluate(
            "new MutationObserver(() => { (window.seen ??= new Set()).add("
            "document.querySelector('.pair figcaption').textContent) })"
            ".observe(document.querySelector('.pair'), {subtree: true, childList: true})"
        )
        page.get_by_role("button", name="Load").click()
        draw(page)
        assert page.evaluate("[...window.seen]") == ["Noise of t = 300", "No noise left"]


def test_axe_finds_nothing_before_and_after(site: Path, open_page: Callable[..., Watched]) -> None:
    axe = Axe()
    with served(site) as address:
        for theme, width in (("light", 1280), ("dark", 360)):
            page = open_page(width, color_scheme=theme).page
            page.goto(f"{address}/b4-live.html")
            for name in ("Load", "Draw again"):
                results = axe.run(page)
                assert results.violations_count == 0, (theme, name, results.generate_report())
                page.get_by_role("button", name=name).click()
                draw(page)
                assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_nothing_moves_while_the_page_loads(site: Path, open_page: Callable[..., Watched]) -> None:
    with served(site) as address:
        for width in (360, 600, 1280):
            page = open_page(width).page
            page.add_init_script(
                "window.shift = 0; new PerformanceObserver(list => list.getEntries()"
                ".forEach(entry => { window.shift += entry.value }))"
                ".observe({type: 'layout-shift', buffered: true})"
            )
            page.goto(f"{address}/b4-live.html")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(200)
            assert page.evaluate("window.shift") < 0.05, width


def test_only_this_page_may_run_web_assembly(site: Path) -> None:
    allowed = {path.name for path in site.glob("*.html") if "wasm-unsafe-eval" in path.read_text("utf-8")}
    assert allowed == {"b4-live.html"}
    assert "unsafe-eval" not in (site / "b4-live.html").read_text("utf-8").replace("wasm-unsafe-eval", "")
    asked = {path.name for path in site.glob("*.html") if "assets/live." in path.read_text("utf-8")}
    assert asked == {"b4-live.html"}


def test_the_runtime_comes_with_a_live_figure_and_is_written_once(site: Path) -> None:
    root = site.parent
    found = sorted((site / "assets").glob("onnxruntime-web-*"))
    assert len(found) == 3
    before = [path.stat().st_mtime_ns for path in found]
    assert render(root).written == 0
    assert [path.stat().st_mtime_ns for path in found] == before
    section = root / "sections" / "b4-live.md"
    text = section.read_text("utf-8")
    try:
        section.write_text("---\ntitle: Nothing\n---\nNone.", "utf-8")
        render(root)
        assert not list((site / "assets").glob("onnxruntime-web-*")) + list((site / "assets").glob("live*"))
    finally:
        section.write_text(text, "utf-8")
        render(root)
