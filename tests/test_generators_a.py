"""Part A's generators: which cells they name, and what they draw with a model whose answers are known."""

from __future__ import annotations

import importlib
import io
import json
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from noisebook.generators._failing_views import FAILING
from PIL import Image
from pydantic import ValidationError

from noisebook.cells.contract import Labelled, canonical
from noisebook.cells.outputs import picture
from noisebook.diffusion.denoiser import Denoiser, Enlarge
from noisebook.diffusion.views import VIEWS
from noisebook.models.pictures import UnreadablePicture, from_bytes, open_rgb, read_picture, to_bytes
from tests.fake_context import FakeContext, FakeStored, pixels, run
from tests.known_answers import GaussianDenoiser

torch.set_num_threads(1)
NAMES = [
    "forward",
    "gaussian_blur",
    "one_step",
    "iterative",
    "sample",
    "sdedit",
    "inpaint",
    "anagram",
    "hybrid",
    "failing_view",
    "text_to_image",
    "super_resolve",
    "sdedit_enlarged",
]
PHOTO = "a high quality photo"


def module(name: str) -> Any:
    return importlib.import_module(f"noisebook.generators.{name}")


def model(size: int = 32, **means: float) -> GaussianDenoiser:
    known = {name: torch.tensor(value) for name, value in means.items()}
    return GaussianDenoiser({PHOTO: torch.tensor(0.3), **known}, spread=0.4, image_size=size)


class Upscaler(Denoiser):
    """Stage II: believes that the picture is the small one, enlarged."""

    image_size = 64
    alphas_cumprod = model().alphas_cumprod

    def embed(self, prompts: list[Enlarge]) -> torch.Tensor:
        assert all(
            isinstance(p, Enlarge) and p.noise.shape == (3, 64, 64) and p.level == 250 for p in prompts
        )
        small = torch.stack([p.picture for p in prompts])
        return torch.nn.functional.interpolate(small, (64, 64), mode="nearest")

    def predict(self, x_t: torch.Tensor, t: int, conditioning: torch.Tensor) -> tuple[torch.Tensor, None]:
        alpha = float(self.alphas_cumprod[t])
        return (x_t - alpha**0.5 * conditioning) / (1 - alpha) ** 0.5, None


def context(**options: Any) -> FakeContext:
    small = np.full((16, 16, 3), 60, np.uint8)
    return FakeContext(
        {"stage1": model(), "stage2": Upscaler()},
        needed={"small": FakeStored([picture("picture", small)])},
        **options,
    )


# What every generator promises


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_is_drawn(name: str) -> None:
    generator = module(name)
    cells = generator.cells(generator.Params())
    assert len({cell.id for cell in cells}) == len(cells)
    outputs = run(generator, cells, context(draft=True))
    assert list(outputs) and set(outputs) == {cell.id for cell in cells}
    for cell in cells:
        assert cell.label and cell.alt
        json.loads(canonical(dict(cell.params)))
        for shown in cell.pictures or [Labelled("picture", cell.label, cell.alt)]:
            assert shown.label and shown.alt
            seen = pixels(outputs[cell.id][shown.output])
            assert seen.shape[0] == seen.shape[1] and (np.ptp(seen) > 0 or "stage2" in cell.models)


@pytest.mark.parametrize("name", NAMES)
def test_no_label_is_left_open_without_a_prompt(name: str) -> None:
    """The empty prompt is one, too: it has a name where others are quoted."""
    generator = module(name)

    def emptied(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {each: emptied(below, each) for each, below in value.items()}
        if isinstance(value, list):
            return [emptied(below, key) for below in value]
        asks = key in ("prompt", "prompts", "upright", "turned", "near", "far", "middle")
        return "" if asks and value is not None else value

    params = generator.Params.model_validate(emptied(generator.Params().model_dump()))
    for cell in generator.cells(params):
        for shown in [cell, *cell.pictures]:
            assert shown.label == shown.label.strip() and shown.label and shown.label[-1] not in ":/,"
            assert not any(open_ in shown.alt for open_ in ("“”", "  ", " .", "show ,", " and .", "of  "))


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_described(name: str) -> None:
    schema = module(name).Params.model_json_schema()
    for field, told in schema["properties"].items():
        assert (
            told.get("description")
            or told.get("items", {}).get("description")
            or field in ("guidance", "prompt")
        )


def test_naming_cells_imports_nothing_heavy() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {NAMES!r}:\n"
        "    m = importlib.import_module('noisebook.generators.' + name)\n"
        "    m.cells(m.Params())\n"
        "heavy = {'torch', 'diffusers', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


def shown(outputs: dict[str, Any]) -> list[bytes]:
    """What the page shows of a cell."""
    return [output.data for output in outputs.values() if output.mime.startswith("image/")]


@pytest.mark.parametrize("name", ["sample", "sdedit", "inpaint", "anagram", "hybrid", "text_to_image"])
def test_a_cell_is_the_same_alone_and_in_a_batch(name: str) -> None:
    generator = module(name)
    options: dict[str, Any] = {"num_inference_steps": [8]} if name == "text_to_image" else {"stride": 90}
    if name == "sdedit":
        options["i_start"] = [1, 4, 10]
    cells = generator.cells(generator.Params.model_validate(options))
    assert len(cells) > 1 or name == "sample"
    together = run(generator, cells, context())
    for cell in (cells[0], cells[len(cells) // 2], cells[-1]):
        alone = run(generator, [cell], context())[cell.id]
        assert shown(alone) == shown(together[cell.id])
    backwards = run(generator, cells[::-1], context())
    assert all(shown(backwards[c.id]) == shown(together[c.id]) for c in cells)


# Forward, blur, one step, iterative


def test_the_same_noise_in_forward_blur_and_one_step() -> None:
    forward, blur, one = module("forward"), module("gaussian_blur"), module("one_step")
    a = run(forward, forward.cells(forward.Params(size=32)), context())["t=500"]
    b = run(blur, blur.cells(blur.Params(size=32)), context())["noisy-t=500"]
    c = run(one, one.cells(one.Params()), context())["noisy-t=500"]
    assert a["picture"].data == b["picture"].data == c["picture"].data
    assert a["PSNR"].data == b["PSNR"].data == c["PSNR"].data


def test_more_noise_is_further_away() -> None:
    forward = module("forward")
    outputs = run(forward, forward.cells(forward.Params()), context())
    values = [json.loads(outputs[f"t={t}"]["PSNR"].data)["value"] for t in (250, 500, 750)]
    assert values[0] > values[1] > values[2] > 0
    assert "PSNR" not in outputs["clean"]


def test_one_step_is_the_models_own_estimate() -> None:
    one = module("one_step")
    denoiser = model()
    outputs = run(one, one.cells(one.Params(timesteps=[750])), FakeContext({"stage1": denoiser}))
    assert denoiser.calls == [(750, 1)], "one call, one row: no guidance"
    estimate = from_bytes(pixels(outputs["estimate-t=750"]["picture"]))
    assert abs(estimate.mean() - 0.3) < 0.2


def test_iterative_pictures_are_states_of_one_process() -> None:
    iterative = module("iterative")
    denoiser = model()
    [cell] = iterative.cells(iterative.Params())
    *way, film = [each.output for each in cell.pictures]
    assert film == "animation"
    assert way == ["t=690", "t=540", "t=390", "t=240", "t=90"]
    outputs = run(iterative, [cell], FakeContext({"stage1": denoiser}))[cell.id]
    assert len(denoiser.calls) == 24 and denoiser.calls[0] == (690, 1)
    values = [json.loads(outputs[f"PSNR of {name}"].data)["value"] for name in way]
    assert values[0] < values[-1]
    [compared] = iterative.cells(iterative.Params(compare=True))
    denoiser.calls.clear()
    four = run(iterative, [compared], FakeContext({"stage1": denoiser}))[compared.id]
    assert [each.output for each in compared.pictures] == ["original", "iterative", "one-step", "blurred"]
    assert len(denoiser.calls) == 24, "the one-step estimate is the process's first"
    assert "PSNR of original" not in four and "SSIM of blurred" in four
    blur = module("gaussian_blur")
    same = run(blur, blur.cells(blur.Params(size=32, timesteps=[690])), context())["blurred-t=690"]
    assert four["blurred"].data == same["picture"].data


# Sampling and editing


def test_guidance_sweep_shares_its_noise() -> None:
    sample = module("sample")
    cells = sample.cells(sample.Params(guidance=[0.0, 1.0, 7.0], samples=[0, 1]))
    outputs = run(sample, cells, context())
    starts = {}
    for cell in cells:
        from safetensors.numpy import load

        states = load(outputs[cell.id]["states"].data)
        assert states["x"].shape == (35, 3, 32, 32) and states["timesteps"][[0, -1]].tolist() == [990, -1]
        assert outputs[cell.id]["states"].keep == "local"
        starts.setdefault(cell.params["sample"], []).append(states["x"][0])
    for same in starts.values():
        assert all(np.array_equal(same[0], x) for x in same)
    assert not np.array_equal(starts[0][0], starts[1][0])


def test_adding_a_value_changes_no_other_cell() -> None:
    sdedit = module("sdedit")
    few = {c.id: canonical(dict(c.params)) for c in sdedit.cells(sdedit.Params(i_start=[1, 10]))}
    more = {c.id: canonical(dict(c.params)) for c in sdedit.cells(sdedit.Params(i_start=[1, 5, 10]))}
    assert few.items() <= more.items() and len(more) == len(few) + 1


def test_edits_keep_more_with_a_bigger_start() -> None:
    sdedit = module("sdedit")
    cells = sdedit.cells(sdedit.Params())
    assert [c.params["i_start"] for c in cells] == [1, 3, 5, 7, 10, 20, None]
    outputs = run(sdedit, cells, context())
    shown = [pixels(outputs[c.id]["picture"]).astype(float) for c in cells]
    gaps = [np.abs(x - shown[-1]).mean() for x in shown]
    assert gaps[0] > gaps[4] > gaps[5] > gaps[6] == 0
    assert np.array_equal(shown[-1], to_bytes(read_picture(Path("images/tower.jpg").absolute(), 32)))


def test_inpainting_changes_the_hole_alone() -> None:
    inpaint = module("inpaint")
    cells = inpaint.cells(inpaint.Params())
    outputs = run(inpaint, cells, context())
    original, mask, hole, result = (pixels(outputs[c.id]["picture"]) for c in cells)
    inside = mask[..., 0] == 255
    assert 0 < inside.mean() < 0.5 and set(np.unique(mask)) == {0, 255}
    assert np.array_equal(result[~inside], original[~inside])
    assert (result[inside] != original[inside]).mean() > 0.5
    assert np.array_equal(hole[~inside], original[~inside]) and np.ptp(hole[inside]) == 0


def test_inpainting_starts_from_pure_noise() -> None:
    """Nothing of the original is in x_T, least of all inside the hole."""
    from safetensors.numpy import load

    inpaint = module("inpaint")
    *_, cell = inpaint.cells(inpaint.Params(first_timestep=600, stride=150))
    starts = []
    for picture_name in ("tower", "mountain"):
        changed = replace(cell, inputs={"picture": f"images/{picture_name}.jpg"})
        states = load(run(inpaint, [changed], context())[cell.id]["states"].data)["x"]
        starts.append(states[0])
    assert np.array_equal(starts[0], starts[1]) and starts[0].std() == pytest.approx(1, abs=0.05)


OWN = """
from noisebook.cells.contract import Cell, Params as Base
from noisebook.cells.outputs import picture
from noisebook.generators._sampling import Process


class Params(Process):
    sigma: list[float] = [0.0, 1.0]
    show: list[str] = ["a", "b"]
    kernel: list[int] = [1, 2]


def cells(params):
    asked = params.process() | {"guidance": 1.0}
    return [
        Cell(f"{s}-{w}-{k}", "x", "x", asked | {"sigma": s, "show": w, "kernel": k}, models={"stage1": ""})
        for s in params.sigma for w in params.show for k in params.kernel
    ]


def run(cells, context):
    from noisebook.generators._process import Loop, Task, drawn, noise_of
    from noisebook.models.pictures import to_bytes

    def task(cell, denoiser):
        noise, generator = noise_of(context.seed(cell, "own"), denoiser)
        x = noise + 0.1 * cell.params["sigma"] + 0.2 * cell.params["kernel"]
        return Task(Loop.of(cell, context), x, generator, (cell.params["show"],))

    for cell, process in drawn(cells, context, task):
        yield cell, [picture("picture", to_bytes(process.states[0])), picture("end", to_bytes(process.end))]
"""


def test_an_authors_own_parameters_have_no_hidden_meaning(tmp_path: Path) -> None:
    """Processes that differ in ``sigma``, ``show`` or ``kernel`` alone are not taken for one."""
    own = types.ModuleType("own")
    exec(compile(OWN, "own.py", "exec"), own.__dict__)
    cells = own.cells(own.Params(stride=90))
    denoiser = GaussianDenoiser({"a": torch.tensor(0.5), "b": torch.tensor(-0.5)}, spread=0.2, image_size=16)
    together = run(own, cells, FakeContext({"stage1": denoiser}))
    assert len({outputs["end"].data for outputs in together.values()}) == len(cells) == 8
    assert len({outputs["picture"].data for outputs in together.values()}) == 4
    for cell in cells:
        alone = run(own, [cell], FakeContext({"stage1": denoiser}))[cell.id]
        assert shown(alone) == shown(together[cell.id])
        bright = pixels(together[cell.id]["end"]).mean() > 127
        assert bright == (cell.params["show"] == "a")


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpm-solver++"])
@pytest.mark.parametrize("name", ["sample", "sdedit", "inpaint", "anagram", "hybrid", "iterative"])
def test_a_sampler_is_a_choice(name: str, sampler: str) -> None:
    """Also beside samples that start elsewhere, and with steps that remember the one before."""
    generator = module(name)
    options: dict[str, Any] = {"stride": 90, "sampler": sampler}
    if name in ("sample", "sdedit"):
        options["samples"] = [0, 1]
    if name == "sdedit":
        options["i_start"] = [1, 4, 10]
    if name == "iterative":
        options["i_start"] = 4
    cells = generator.cells(generator.Params.model_validate(options))
    together = run(generator, cells, context())
    for cell in cells:
        assert shown(run(generator, [cell], context())[cell.id]) == shown(together[cell.id])
    del options["sampler"]
    usual = run(generator, generator.cells(generator.Params.model_validate(options)), context())
    assert any(shown(usual[each]) != shown(together[each]) for each in usual)


def test_a_negative_prompt_is_moved_away_from() -> None:
    sample = module("sample")
    means = []
    for negative in ("", "bright", "dark"):
        params = sample.Params(guidance=[3.0], samples=[0], stride=90, negative_prompt=negative)
        models = {"stage1": model(16, bright=0.6, dark=-0.6)}
        [outputs] = run(sample, sample.cells(params), FakeContext(models)).values()
        means.append(pixels(outputs["picture"]).mean())
    assert means[1] < means[0] < means[2]


def test_a_mask_may_be_a_picture(tmp_path: Path) -> None:
    inpaint = module("inpaint")
    Image.new("RGB", (64, 64), (90, 120, 30)).save(tmp_path / "a.png")
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    mask.save(tmp_path / "m.png")
    params = inpaint.Params.model_validate({"fills": [{"picture": "a.png", "mask": "m.png"}], "stride": 90})
    outputs = run(inpaint, inpaint.cells(params), context(root=tmp_path))
    result = pixels(outputs["0-a-result"]["picture"])
    assert np.ptp(result[:, 16:], axis=(0, 1)).max() == 0 and np.ptp(result[:, :16]) > 0


@pytest.mark.parametrize(("value", "message"), [(0, "no hole"), (255, "keeps nothing")])
def test_a_mask_without_a_hole(tmp_path: Path, value: int, message: str) -> None:
    inpaint = module("inpaint")
    for name, colour in (("a.png", 90), ("m.png", value)):
        Image.new("L", (64, 64), colour).save(tmp_path / name)
    params = inpaint.Params.model_validate({"fills": [{"picture": "a.png", "mask": "m.png"}]})
    denoiser = model()
    with pytest.raises(ValueError, match=f"m.png.*{message}"):
        run(inpaint, inpaint.cells(params), FakeContext({"stage1": denoiser}, root=tmp_path))
    assert not denoiser.calls, "no time was spent"


# Illusions


def test_an_anagrams_second_reading_is_its_first_flipped() -> None:
    anagram = module("anagram")
    cells = anagram.cells(anagram.Params(stride=90))
    outputs = run(anagram, cells, context())
    for k in range(3):
        upright = pixels(outputs[f"{k}"]["picture"])
        assert np.array_equal(pixels(outputs[f"{k}"]["turned"]), upright[::-1])
        turning = Image.open(io.BytesIO(outputs[f"{k}"]["animation"].data))
        assert turning.n_frames > 10
        turning.seek(turning.n_frames - 1)
        last = np.asarray(turning.convert("L"), float).ravel()
        flipped = np.asarray(Image.fromarray(upright[::-1]).convert("L"), float).ravel()
        assert np.corrcoef(last, flipped)[0, 1] > 0.9


def test_an_anagram_is_drawn_from_both_prompts() -> None:
    """One believes in a bright upper half, the other, upside down, in a dark one: both are met."""
    bright = torch.full((3, 32, 32), 0.0)
    bright[:, :16] = 0.8
    dark = torch.full((3, 32, 32), 0.0)
    dark[:, :16] = -0.8
    denoiser = GaussianDenoiser({"up": bright, "down": dark}, spread=0.05, image_size=32)
    anagram = module("anagram")
    pairs = [{"upright": "up", "turned": "down"}]
    params = anagram.Params.model_validate({"pairs": pairs, "guidance": 1.0})
    outputs = run(anagram, anagram.cells(params), FakeContext({"stage1": denoiser}))
    x = from_bytes(pixels(outputs["0"]["picture"]))
    assert x[:, :16].mean() == pytest.approx(0.4, abs=0.05)
    assert x[:, 16:].mean() == pytest.approx(-0.4, abs=0.05)


def test_a_hybrids_coarse_shape_is_the_far_one() -> None:
    far = torch.full((3, 32, 32), 0.6)
    near = -torch.full((3, 32, 32), 0.6)
    near[:, ::2] += 0.8
    denoiser = GaussianDenoiser({"far": far, "near": near}, spread=0.05, image_size=32)
    hybrid = module("hybrid")
    params = hybrid.Params.model_validate({"pairs": [{"far": "far", "near": "near"}], "guidance": 1.0})
    outputs = run(hybrid, hybrid.cells(params), FakeContext({"stage1": denoiser}))
    x = from_bytes(pixels(outputs["0"]["picture"]))
    assert x.mean() == pytest.approx(0.6, abs=0.1)
    assert x[:, ::2].mean() - x[:, 1::2].mean() > 0.5, "the fine stripes are the near one's"
    distant = pixels(outputs["0"]["far"])
    assert distant[0, 0].tolist() == [255, 255, 255] and distant[16, 16].mean() < 250


# Text to image and beyond


def test_as_many_calls_as_steps() -> None:
    text = module("text_to_image")
    denoiser = model()
    params = text.Params(prompts=[PHOTO], num_inference_steps=[20, 50], guidance=1.0)
    outputs = run(text, text.cells(params), FakeContext({"stage1": denoiser}))
    assert [t for t, _ in denoiser.calls] == [*range(950, -1, -50), *range(980, -1, -20)]
    assert all(o["time"].measured for o in outputs.values())


def test_stage_two_needs_stage_one_and_enlarges_it() -> None:
    text, upscale = module("text_to_image"), module("super_resolve")
    cells = upscale.cells(upscale.Params())
    for cell in cells:
        need = cell.needs["small"]
        named = text.cells(text.Params.model_validate(need.params))
        assert need.generator == "text_to_image" and need.cell in {c.id for c in named}
        [small] = [c for c in named if c.id == need.cell]
        assert small.params["prompt"] == cell.params["prompt"]
    outputs = run(upscale, cells, context())
    shown = pixels(outputs[cells[0].id]["picture"])
    assert shown.shape == (64, 64, 3) and np.abs(shown.astype(int) - 60).max() <= 1


@pytest.mark.parametrize("view", sorted(set(VIEWS) - {"identity"}))
def test_an_anagram_is_seen_through_the_view_it_names(view: str) -> None:
    anagram = module("anagram")
    params = anagram.Params.model_validate({"view": view, "stride": 330})
    cell, *_ = anagram.cells(params)
    outputs = run(anagram, [cell], context())["0"]
    x = torch.from_numpy(pixels(outputs["picture"]).astype(np.float32)).movedim(-1, 0) - 127.5
    seen = torch.from_numpy(pixels(outputs["turned"]).astype(np.float32)).movedim(-1, 0) - 127.5
    torch.testing.assert_close(seen, VIEWS[view].apply(x), atol=1.0, rtol=0)


def test_one_picture_with_four_readings() -> None:
    """Each believes in one bright quarter, seen through its own turn: every quarter is their mean."""
    corner = torch.full((3, 32, 32), -0.4)
    corner[:, :16, :16] = 0.8
    denoiser = GaussianDenoiser({"a": corner}, spread=0.05, image_size=32)
    anagram = module("anagram")
    views = ["identity", "quarter turn", "half turn", "three-quarter turn"]
    params = anagram.Params.model_validate({"prompts": ["a"] * 4, "views": views, "guidance": 1.0})
    assert not list(anagram.check(params, Sizes()))
    (cell,) = anagram.cells(params)
    assert [shown.prompt for shown in cell.pictures] == ["a", "a", "a", "a", ""]
    outputs = run(anagram, [cell], FakeContext({"stage1": denoiser}))["0"]
    for name in ("picture", "turned", "turned 2", "turned 3"):
        quarter = from_bytes(pixels(outputs[name]))[:, :16, :16]
        assert quarter.mean() == pytest.approx((0.8 - 3 * 0.4) / 4, abs=0.05)
    assert Image.open(io.BytesIO(outputs["animation"].data)).n_frames > 30


def test_every_view_can_be_named_in_a_section() -> None:
    assert set(get_args(module("anagram").ViewName)) == set(VIEWS)


@pytest.mark.parametrize("name", ["grey", "motion"])
def test_a_hybrid_by_colour_or_motion(name: str) -> None:
    """What the filter passes is the far prompt's, the rest the near one's."""
    from noisebook.diffusion import filters

    generator = torch.Generator().manual_seed(0)
    far, near = torch.rand(2, 3, 32, 32, generator=generator) * 0.6 - 0.3
    denoiser = GaussianDenoiser({"far": far, "near": near}, spread=0.02, image_size=32)
    hybrid = module("hybrid")
    pairs = [{"far": "far", "near": "near"}]
    params = hybrid.Params.model_validate({"pairs": pairs, "filter": name, "guidance": 1.0, "motion": 14})
    assert [c.loc for c in hybrid.check(params, Sizes())] == [("motion",)]
    params = hybrid.Params.model_validate({"pairs": pairs, "filter": name, "guidance": 1.0})
    (cell,) = hybrid.cells(params)
    outputs = run(hybrid, [cell], FakeContext({"stage1": denoiser}))["0"]

    def lowpass(x: torch.Tensor) -> torch.Tensor:
        return (filters.grey(x[None]) if name == "grey" else filters.motion_blur(x[None], 7))[0]

    x = torch.from_numpy(from_bytes(pixels(outputs["picture"])))
    torch.testing.assert_close(x, lowpass(far) + near - lowpass(near), atol=0.15, rtol=0)
    torch.testing.assert_close(
        torch.from_numpy(from_bytes(pixels(outputs["far"]))), lowpass(x), atol=0.02, rtol=0
    )


def test_a_hybrid_of_three() -> None:
    """Flat from far, a broad wave half way, stripes from near."""
    from noisebook.diffusion.filters import blur

    far, middle, near = torch.full((3, 3, 64, 64), 0.0)
    far += 0.3
    middle[:] = 0.3 * torch.sin(torch.arange(64) * 2 * torch.pi / 16)
    near[:, ::2] = 0.3
    denoiser = GaussianDenoiser({"far": far, "middle": middle, "near": near}, spread=0.02, image_size=64)
    hybrid = module("hybrid")
    pairs = [{"far": "far", "middle": "middle", "near": "near"}]
    params = hybrid.Params.model_validate({"pairs": pairs, "sigma": 8.0, "guidance": 1.0})
    (cell,) = hybrid.cells(params)
    assert cell.label == "near / middle / far"
    outputs = run(hybrid, [cell], FakeContext({"stage1": denoiser}))["0"]
    assert {"picture", "middle", "far", "animation"} <= set(outputs)
    x = torch.from_numpy(from_bytes(pixels(outputs["picture"])))
    assert x.mean().item() == pytest.approx(0.3, abs=0.05)
    assert (x[:, ::2] - x[:, 1::2]).mean().item() == pytest.approx(0.3, abs=0.05)
    wave = blur(x[None], 9, 1.0)[0].mean(1) - x.mean()
    assert np.corrcoef(wave[0].numpy(), middle[0, 0].numpy())[0, 1] > 0.95


def test_an_inverse_hybrid_is_a_real_picture_from_far() -> None:
    from noisebook.diffusion.filters import blur

    near = torch.zeros(3, 64, 64)
    near[:, ::2] = 0.3
    denoiser = GaussianDenoiser({"near": near}, spread=0.02, image_size=64)
    hybrid = module("hybrid")
    pairs = [{"near": "near", "picture": "images/tower.jpg"}]
    params = hybrid.Params.model_validate({"pairs": pairs, "guidance": 1.0})
    assert not list(hybrid.check(params, Sizes()))
    (cell,) = hybrid.cells(params)
    assert cell.inputs == {"picture": "images/tower.jpg"} and cell.label == "near / tower"
    outputs = run(hybrid, [cell], FakeContext({"stage1": denoiser}))["0"]
    x = torch.from_numpy(from_bytes(pixels(outputs["picture"])))[None]
    real = torch.from_numpy(read_picture(Path("images/tower.jpg"), 64))[None]
    apart = (blur(x, 33, 2.0) - blur(real, 33, 2.0)).square().mean().sqrt()
    assert apart < 0.1 and (x[..., ::2, :] - x[..., 1::2, :]).mean() > 0.2


def test_only_an_orthogonal_view_leaves_noise_as_it_is() -> None:
    failing = module("failing_view")
    white = torch.randn(256, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert (failing.spectrum(VIEWS["skew"].apply(white)) - 1).abs().max() < 0.4
    blurred, tinted = (failing.spectrum(view.apply(white)) for view in FAILING.values())
    assert blurred[:, 16, 16].mean() > 0.8 and blurred[:, 0].max() < 0.7
    assert tinted.mean((1, 2)).tolist() == pytest.approx([1.96, 1.0, 0.36], abs=0.05)
    cells = failing.cells(failing.Params(stride=330))
    outputs = run(failing, cells, context())
    powers = [json.loads(outputs[cell.id]["power of noise"].data)["value"] for cell in cells]
    assert powers[0] == pytest.approx(1, abs=0.02) and powers[1] < 0.6 and powers[2] > 1.05


def test_an_edit_is_enlarged_from_the_picture_that_its_row_shows() -> None:
    edit, large = module("sdedit"), module("sdedit_enlarged")
    asked = {"edits": [{"picture": "images/tower.jpg", "prompt": "a castle"}], "samples": [0, 3]}
    rows = edit.cells(edit.Params.model_validate(asked | {"i_start": [5, 7, 10]}))
    shown = {cell.id: canonical([dict(cell.params), cell.inputs, cell.models]) for cell in rows}
    cells = large.cells(large.Params.model_validate(asked | {"i_start": [7]}))
    assert len(cells) == 2
    for cell in cells:
        need = cell.needs["small"]
        again = {c.id: c for c in edit.cells(edit.Params.model_validate(need.params))}[need.cell]
        assert canonical([dict(again.params), again.inputs, again.models]) == shown[need.cell]
        assert again.params["sample"] == cell.params["sample"] and again.params["i_start"] == 7
        assert cell.params["prompt"] == "a castle" and cell.params["guidance"] == 4
    outputs = run(large, cells, context())
    assert pixels(outputs[cells[0].id]["picture"]).shape == (64, 64, 3)


# Bad parameters


class Sizes:
    def image_size(self, path: str) -> tuple[int, int]:
        return {"wide.png": (40, 20)}.get(path, (64, 64))

    def image_range(self, path: str) -> tuple[int, int]:
        return {"black.png": (0, 127), "white.png": (128, 255)}.get(path, (0, 255))


@pytest.mark.parametrize(
    ("name", "params", "loc", "message"),
    [
        ("gaussian_blur", {"kernel": 4}, ("kernel",), "even"),
        ("gaussian_blur", {"kernel": 99, "size": 32}, ("kernel",), "too large"),
        ("hybrid", {"kernel": 32}, ("kernel",), "even"),
        ("hybrid", {"pairs": [{"near": "cat"}]}, ("pairs", 0), "either a prompt"),
        ("hybrid", {"pairs": [{"near": "cat", "far": "dog", "picture": "a.png"}]}, ("pairs", 0), "either"),
        (
            "hybrid",
            {"pairs": [{"near": "cat", "middle": "owl", "far": "dog"}], "filter": "grey"},
            ("pairs", 0, "middle"),
            "no half way",
        ),
        (
            "hybrid",
            {"pairs": [{"near": "cat", "middle": "owl", "far": "dog"}], "middle_sigma": 2.0},
            ("middle_sigma",),
            "less than the far one",
        ),
        ("anagram", {"prompts": ["cat"], "views": ["identity", "flip"]}, ("views",), "1 prompts and 2 views"),
        ("anagram", {"prompts": ["cat"], "views": ["identity"]}, ("prompts",), "two to four"),
        ("anagram", {"prompts": ["cat", "dog"], "views": ["flip", "skew"]}, ("views", 0), "identity"),
        (
            "anagram",
            {"prompts": ["cat", "dog"], "views": ["identity", "skew"], "view": "flip"},
            ("prompts",),
            "not both",
        ),
        ("iterative", {"kernel": 32}, ("kernel",), "even"),
        ("iterative", {"i_start": 34}, ("i_start",), "0 to 33"),
        ("sdedit", {"i_start": [1, 60]}, ("i_start",), "0 to 33"),
        ("sdedit", {"i_start": [12], "stride": 100}, ("i_start",), "0 to 9"),
        ("inpaint", {"fills": [{"picture": "a.png"}]}, ("fills", 0), "either a hole or a mask"),
        (
            "inpaint",
            {"fills": [{"picture": "a.png", "mask": "wide.png"}]},
            ("fills", 0, "mask"),
            "another shape",
        ),
        (
            "inpaint",
            {"fills": [{"picture": "a.png", "mask": "black.png"}]},
            ("fills", 0, "mask"),
            "no hole",
        ),
        (
            "inpaint",
            {"fills": [{"picture": "a.png", "mask": "white.png"}]},
            ("fills", 0, "mask"),
            "keeps nothing",
        ),
        (
            "inpaint",
            {"fills": [{"picture": "a.png", "hole": {"left": 0.5, "top": 0.1, "right": 0.5, "bottom": 0.9}}]},
            ("fills", 0, "hole"),
            "empty",
        ),
    ],
)
def test_what_a_schema_cannot_say(
    name: str, params: dict[str, Any], loc: tuple[Any, ...], message: str
) -> None:
    generator = module(name)
    complaints = list(generator.check(generator.Params.model_validate(params), Sizes()))
    assert [c.loc for c in complaints] == [loc] and message in complaints[0].message


@pytest.mark.parametrize("name", ["gaussian_blur", "anagram", "hybrid", "iterative", "sdedit", "inpaint"])
def test_defaults_are_right(name: str) -> None:
    generator = module(name)
    assert not list(generator.check(generator.Params(), Sizes()))


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("sample", {"prompts": []}),
        ("sample", {"prompts": ["cat " * 100]}),
        ("sample", {"guidance": [-1.0]}),
        ("sample", {"stride": 0}),
        ("sample", {"thresholding": "soft"}),
        ("text_to_image", {"num_inference_steps": [0]}),
        ("text_to_image", {"prompts": []}),
        ("forward", {"timesteps": [1000]}),
        ("forward", {"timesteps": []}),
        ("gaussian_blur", {"sigma": 0.0}),
        ("anagram", {"view": "blur"}),
        ("sdedit", {"i_start": [-1]}),
        (
            "inpaint",
            {"fills": [{"picture": "a.png", "hole": {"left": 2, "top": 0, "right": 1, "bottom": 1}}]},
        ),
    ],
)
def test_what_the_schema_says(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        module(name).Params.model_validate(params)


# Pictures


def test_any_picture_is_read_right(tmp_path: Path) -> None:
    """One scene, red left and blue right, in every mode that matters."""
    scene = Image.new("RGB", (80, 60), (255, 0, 0))
    scene.paste((0, 0, 255), (40, 0, 80, 60))
    clear = scene.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 80, 30))
    turned = scene.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    files = {"rgb.png": scene, "cmyk.jpg": scene.convert("CMYK"), "palette.gif": scene.quantize(8)}
    for name, image in files.items():
        image.save(tmp_path / name)
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    for name in (*files, "turned.jpg"):
        x = read_picture(tmp_path / name, 32)
        assert x.shape == (3, 32, 32) and x.dtype == np.float32, name
        assert x[0, :, 2:12].mean() > 0.9 and x[2, :, 2:12].mean() < -0.9, name
        assert x[2, :, -12:-2].mean() > 0.9 and x[0, :, -12:-2].mean() < -0.9, name
    clear.save(tmp_path / "clear.png")
    x = read_picture(tmp_path / "clear.png", 32)
    assert x[:, :14].min() > 0.95, "transparent is white"
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    x = read_picture(tmp_path / "deep.png", 64)
    assert x[:, 0, 0].tolist() == [-1, -1, -1] and x[0, -1, -1] == 1 and abs(x.mean()) < 0.02
    Image.new("LA", (9, 5), (128, 255)).save(tmp_path / "grey.png")
    assert np.abs(read_picture(tmp_path / "grey.png", 16)).max() < 0.01
    Image.new("1", (9, 5), 1).save(tmp_path / "bit.png")
    assert read_picture(tmp_path / "bit.png", 16).min() == 1


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    Image.effect_noise((64, 64), 50).save(whole)
    (tmp_path / "half.png").write_bytes(whole.read_bytes()[:2000])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    for name in ("half.png", "text.png", "empty.jpg", "absent.png", "."):
        with pytest.raises(UnreadablePicture, match=name.replace(".", r"\.") if name != "." else "picture"):
            open_rgb(tmp_path / name)


def test_bytes_and_back() -> None:
    x = np.linspace(-1, 1, 3 * 256 * 2).reshape(2, 3, 16, 16).astype(np.float32)
    assert np.abs(from_bytes(to_bytes(x)) - x).max() <= 1 / 255 + 1e-6
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert np.array_equal(to_bytes(from_bytes(levels)), levels)
    assert to_bytes(np.full((3, 2, 2), 5.0)).max() == 255 and to_bytes(np.full((3, 2, 2), -5.0)).max() == 0
