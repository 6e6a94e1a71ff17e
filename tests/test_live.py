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
from noisebook.generators import _mnist_live, mnist_live
from noisebook.generators._mnist_live import Method
from PIL import Image
from playwright.sync_api import Page, expect
from safetensors.torch import save
from torch import Tensor

from noisebook.networks.mnist.denoiser import MnistDenoiser
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

    from tests import test_live
    from noisebook.generators import _mnist_live

    diffusion, flow = test_live.denoiser(), test_live.small_network(2)
    weights = {"diffusion": test_live.packed(diffusion.network), "flow": test_live.packed(flow)}
    told = _mnist_live.sampling(diffusion, [3, test_live.STEPS], test_live.FIRST, test_live.DRAWINGS)
    for cell in cells:
        digits = test_live.draw_ten().clamp(0, 1).reshape(-1, 28).numpy()
        yield cell, [
            Output("network", mnist_live.ONNX, _mnist_live.export(flow, weights["flow"])),
            *(Output(name, mnist_live.SAFETENSORS, data) for name, data in weights.items()),
            Output("sampler", "application/json", canonical(told)),
            picture("picture", (digits * 255).round().astype(np.uint8)),
        ]
"""
FIRST = {"guidance": 2.0, "largest": 10.0, "noise": 42, "steps": STEPS, "digit": 4}
DRAWINGS = (np.arange(10 * 784).reshape(10, 28, 28) * 7 // 50 % 16).astype(np.uint8)
"""What the page offers to begin with, in levels of grey: no digits, but each another picture."""
TOLERANCE = 2
"""Of 255, between a pixel of the page and of torch."""


def denoiser() -> MnistDenoiser:
    return MnistDenoiser(small_network(), 300, 1e-4, 0.02)


def packed(network: UNet) -> bytes:
    """The weights as a training cell publishes them."""
    tensors = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    return save(tensors)


def draw_ten() -> Tensor:
    asked = _mnist_live.Asked("ddpm", list(range(10)), FIRST["guidance"], STEPS, 42)
    return _mnist_live.diffused(denoiser(), asked)


def small_network(seed: int = 1) -> UNet:
    """Not trained, but as trained ones: weights are halves, BatchNorm has seen something, class and time
    matter. ε is smaller than noise: without training, a larger one makes of a rounding error another
    picture."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = UNet(8, timed=True, classes=10)
        for _ in range(30):
            network(torch.randn(16, 1, 28, 28), torch.rand(16), torch.eye(10)[torch.randint(10, (16,))])
        answer = network.eval()(torch.randn(2, 1, 28, 28), torch.rand(2), torch.eye(10)[:2]).detach()
    network.requires_grad_(False)
    network.last.weight /= 2 * answer.std()
    network.last.bias.zero_()
    return network.half().float()


def test_the_exported_network_answers_as_the_original_does() -> None:
    network = small_network()
    weights = packed(network)
    exported = _mnist_live.export(network, weights)
    assert _mnist_live.difference(network, exported, weights) < 1e-5
    other = small_network()
    other.class2[0].weight += 0.01
    assert _mnist_live.difference(other, exported, weights) > 1e-4


def test_networks_of_one_shape_share_the_operations() -> None:
    """Also where one has equal tensors, as before it has learnt: the exporter would merge them."""
    new = UNet(8, timed=True, classes=10).eval().requires_grad_(False)
    trained = small_network()
    exported = _mnist_live.export(new, packed(new))
    assert exported == _mnist_live.export(trained, packed(trained))
    assert _mnist_live.difference(trained, exported, packed(trained)) < 1e-5


def test_weights_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="not F16"):
        _mnist_live.export(UNet(4, timed=True, classes=10), packed(small_network()))


def test_the_export_holds_nothing_of_this_machine() -> None:
    exported = _mnist_live.export(small_network(), packed(small_network()))
    for word in (str(Path(__file__).parents[1]), "site-packages", "forward"):
        assert word.encode() not in exported
    model = onnx.load_from_string(exported)
    halves = [w for w in model.graph.initializer if w.data_type == onnx.TensorProto.FLOAT16]
    assert len(halves) > 100 and all(w.data_location == onnx.TensorProto.EXTERNAL for w in halves)


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
    chosen = _mnist_live.timesteps(300, 40)
    assert len(chosen) == 40 and chosen[0] == 300 and set(-np.diff([*chosen, 0])) <= {7, 8}
    known = _mnist_live.sampling(denoiser(), [40], FIRST, DRAWINGS)
    assert known["timesteps"]["40"] == chosen
    assert len(known["alphas_cumprod"]) == 301 and known["alphas_cumprod"][0] == 1
    assert known["times"]["40"][::40] == [0, 1]


def test_a_drawing_has_levels_of_grey() -> None:
    levels = _mnist_live.quantized(np.array([0, 8, 9, 127, 128, 246, 247, 255], np.uint8))
    assert levels.tolist() == [0, 0, 1, 7, 8, 14, 15, 15]


def test_what_a_schema_cannot_say() -> None:
    params = mnist_live.Params(
        training=mnist_live.Training(objective="time", epochs=5, checkpoints=[5], timesteps=20),
        flow=mnist_live.Training(objective="class", epochs=5, checkpoints=[5], width=32),
        weights="average",
        choices=[10, 30],
        steps=20,
    )
    found = {complaint.loc: complaint.message for complaint in mnist_live.check(params, None)}  # type: ignore[arg-type]
    assert set(found) == {
        ("training", "objective"),
        ("flow", "objective"),
        ("flow", "width"),
        ("weights",),
        ("choices", 1),
        ("steps",),
    }
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
    return shown(page)


def shown(page: Page) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The noisy picture as it stands."""
    address = page.locator(".pair canvas").first.evaluate("c => c.toDataURL()")
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
        assert not [
            url for url in watched.requests if "onnx" in url or "worker" in url or "safetensors" in url
        ]
        noise = page.locator(".pair canvas").first.evaluate("c => c.toDataURL()")
        page.get_by_role("button", name="Load").click()
        known = expected(site)
        zero = draw(page)
        assert page.locator(".pair canvas").first.evaluate("c => c.toDataURL()") != noise
        assert np.abs(zero.astype(int) - known[0]).max() <= 2
        assert 20 < zero.mean() < 235 and np.abs(zero.astype(int) - known[7]).max() > 20

        page.get_by_role("radio", name="0", exact=True).focus()
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
        expect(page.locator(".status", has_text="γ = 2.5 by DDPM from")).to_be_visible(timeout=60_000)

        states = page.get_by_label("Step of the reverse process")
        expect(states).to_have_value(str(STEPS))
        states.focus()
        page.keyboard.press("Home")
        expect(page.locator(".pair figcaption").first).to_have_text("Noise of t = 300")
        assert not watched.faults, watched.faults
        assert all(url.startswith(f"{address}/path/site/") for url in watched.requests)
        assert sum("wasm.bin" in url for url in watched.requests) == 1
        assert sum("safetensors" in url for url in watched.requests) == 1, (
            "the other network was not asked for"
        )


HOLE = torch.zeros(1, 1, 28, 28)
HOLE[..., 14:, :] = 1
DRAWING = torch.from_numpy(DRAWINGS[4]).float()[None, None] / _mnist_live.LEVELS


@pytest.mark.parametrize("method", ["ddpm", "ddim", "flow"])
@pytest.mark.parametrize(
    ("task", "asked"),
    [
        ("noise&class=3&gamma=1.5", {"classes": [3], "guidance": 1.5}),
        ("edit&class=7&gamma=3&start=2", {"classes": [7], "guidance": 3.0, "picture": DRAWING, "start": 2}),
        ("edit&class=any&start=0", {"classes": [None], "picture": DRAWING}),
        ("fill&class=2&gamma=1", {"classes": [2], "guidance": 1.0, "picture": DRAWING, "hole": HOLE}),
        ("fill&class=8&gamma=0", {"classes": [8], "guidance": 0.0, "picture": DRAWING, "hole": HOLE}),
    ],
)
def test_every_task_gives_the_picture_that_python_gives(
    site: Path, open_page: Callable[..., Watched], method: Method, task: str, asked: dict[str, Any]
) -> None:
    """From the same noise, asked for by the address; Python's is drawn with noisebook.diffusion."""
    page = open_page(reduced_motion="reduce").page
    with served(site) as address:
        page.goto(f"{address}/b4-live.html#fig-b4-live?task={task}&method={method}&seed=99")
        page.get_by_role("button", name="Load").click()
        found = draw(page)
    given = {"guidance": 2.0, "steps": STEPS, "seed": 99, **asked}
    digit = _mnist_live.sampler(denoiser(), small_network(2))(_mnist_live.Asked(method, **given))
    expected = (digit.clamp(0, 1) * 255).round().reshape(28, 28).numpy().astype(int)
    assert 5 < expected.mean() < 250
    assert np.abs(found.astype(int) - expected).max() <= TOLERANCE


def pads(page: Page) -> str:
    """What is drawn, and its hole, as the page shows them."""
    return str(page.locator(".sheet canvas").evaluate("c => c.toDataURL()"))


def test_a_drawing_by_hand_and_by_keys_is_in_the_address(
    site: Path, open_page: Callable[..., Watched]
) -> None:
    watched = open_page(360, reduced_motion="reduce")
    page = watched.page
    with served(site) as address:
        page.goto(f"{address}/b4-live.html")
        page.get_by_role("radio", name="Fill a hole").check(force=True)
        page.get_by_label("Begin with").select_option("an empty page")
        page.get_by_role("radio", name="Pen").check(force=True)
        sheet = page.locator(".sheet canvas")
        blank = pads(page)
        sheet.scroll_into_view_if_needed()
        box = sheet.bounding_box()
        assert box and box["width"] > 250
        page.mouse.move(box["x"] + 40, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, box["y"] + 60, steps=4)
        page.mouse.up()
        by_hand = pads(page)
        assert by_hand != blank
        sheet.focus()
        page.keyboard.press("Space")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Shift+ArrowLeft")
        drawn = pads(page)
        expect(page.locator(".hint")).to_contain_text("Row 14, column 14")
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("button", name="Undo").click()
        assert pads(page) == by_hand
        sheet.focus()
        page.keyboard.press("Space")
        page.get_by_role("radio", name="Mend").check(force=True)
        sheet.focus()
        page.keyboard.press("Shift+ArrowDown")
        assert pads(page) not in (drawn, by_hand)
        page.get_by_label("Steps").select_option("3")
        expected, link = pads(page), page.url
        assert len(link) < 700 and "steps=3" in link
        assert not [url for url in watched.requests if "worker" in url]

        again = open_page()
        again.page.goto(link)
        assert pads(again.page) == expected
        expect(again.page.get_by_role("radio", name="Hole", exact=True)).to_be_checked()
        expect(again.page.get_by_label("Steps")).to_have_value("3")
        again.page.get_by_role("button", name="Load").click()
        draw(again.page)
        with again.page.expect_download() as saved:
            again.page.get_by_role("button", name="Save picture").click()
        with Image.open(saved.value.path()) as large:
            small = large.convert("L").resize((28, 28), Image.Resampling.NEAREST)
        assert (np.asarray(small) == shown(again.page)).all()
        assert not watched.faults + again.faults


@pytest.mark.parametrize(
    "fragment",
    [
        "task=%FF&class=11&gamma=1e99&steps=7&seed=-1&start=99&method=constructor",
        "task=fill&drawing=%25%25%25&hole=A&seed=1.5",
        "task=edit&drawing=" + "_" * 9000 + "&hole=" + "A" * 9000,
        "task=__proto__&class=toString&gamma=&seed=99999999999&start=NaN",
        "=&&&?#%",
    ],
)
def test_an_address_that_is_wrong_does_no_harm(
    site: Path, open_page: Callable[..., Watched], fragment: str
) -> None:
    watched = open_page(reduced_motion="reduce")
    page = watched.page
    with served(site) as address:
        page.goto(f"{address}/b4-live.html#fig-b4-live?{fragment}")
        expect(page.get_by_label("Seed of the noise")).to_have_value("42")
        expect(page.get_by_label("Guidance γ")).to_have_value("2")
        page.get_by_role("button", name="Load").click()
        draw(page)
    assert not watched.faults


def test_a_run_can_be_stopped_and_gone_on_with(site: Path, open_page: Callable[..., Watched]) -> None:
    page = open_page().page
    with served(site) as address:
        page.goto(f"{address}/b4-live.html")
        page.route("**/*.safetensors", lambda route: None)
        page.get_by_role("button", name="Load").click()
        page.get_by_role("button", name="Stop").click()
        expect(page.locator(".status")).to_have_text("Stopped loading.")
        page.unroute("**/*.safetensors")
        page.get_by_role("button", name="Load").click()
        draw(page)
        # Held between two steps, so that there is something to stop.
        page.evaluate(
            "document.querySelector('.begin').click(); document.querySelector('.begin + button').click()"
        )
        expect(page.locator(".status")).to_have_text("Stopped after 0 of 5 steps.")
        page.get_by_role("button", name="Draw again").click()
        expect(page.locator(".status", has_text="Drew 0 with")).to_be_visible(timeout=60_000)


def test_flow_is_loaded_when_it_is_asked_for(site: Path, open_page: Callable[..., Watched]) -> None:
    watched = open_page()
    page = watched.page
    with served(site) as address:
        page.goto(f"{address}/b4-live.html")
        page.get_by_role("button", name="Load").click()
        draw(page)
        page.get_by_role("radio", name="flow").check(force=True)
        expect(page.locator(".pair figcaption").first).to_have_text("t = 0.00 of the flow")
        assert sum("safetensors" in url for url in watched.requests) == 1
        page.get_by_role("button", name="Load").click()
        draw(page)
        expect(page.locator(".status")).to_contain_text("by flow from seed 42")
        assert sum("safetensors" in url for url in watched.requests) == 2
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
    expect(box).not_to_contain_text("Loaded from this site")
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
        page.wait_for_selector(".pair")
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
        for theme, width, task in (("light", 1280, "edit"), ("dark", 360, "fill"), ("light", 360, "noise")):
            page = open_page(width, color_scheme=theme).page
            page.goto(f"{address}/b4-live.html#fig-b4-live?task={task}")
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
