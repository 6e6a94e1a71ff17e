"""Pictures of other shapes than a square in three colours, schedules that end in pure noise, and classes:
small random networks against diffusers' own loops, and figures of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from noisebook.generators._failing_views import FAILING
from PIL import Image

from noisebook.commands import cli
from noisebook.diffusion import schedules, thresholding
from noisebook.diffusion.denoiser import Denoiser
from noisebook.diffusion.estimates import guided
from noisebook.diffusion.filters import scaled_blur
from noisebook.diffusion.posterior import Step, ancestral, ddim
from noisebook.diffusion.sampling import draw_noise, finish, generators, reverse
from noisebook.diffusion.views import VIEWS, turned
from noisebook.models import latents
from noisebook.models.hub import schedule
from noisebook.models.tasks import refusal
from noisebook.models.unconditional import NoWords, Unconditional
from tests.known_answers import GaussianDenoiser

from .conftest import Book
from .small_unet import SIZE, folder_for

torch.set_num_threads(1)
ENDS_IN_NOISE = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def ours(
    model: Denoiser, timesteps: list[int], step: Step, prompt: str = "", guidance: float = 1.0
) -> torch.Tensor:
    each = generators([5])
    states = reverse(
        draw_noise(each, latents.shape_of(model)),
        timesteps,
        model.alphas_cumprod,
        guided(model, [prompt], guidance),
        each,
        threshold=thresholding.static,
        step=step,
    )
    return latents.decoded(model, finish(states).float())


def theirs(folder: Path, kind: Any, **more: Any) -> torch.Tensor:
    pipeline = kind.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    pictures = pipeline(num_inference_steps=10, generator=generator, output_type="np", **more).images
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) * 2 - 1


@torch.no_grad()
def their_loop(folder: Path, shape: tuple[int, ...], labels: torch.Tensor | None = None) -> torch.Tensor:
    """What each of diffusers' pipelines does, for what none of them has a parameter for."""
    network = UNet2DModel.from_pretrained(folder, subfolder="unet").eval()
    scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(shape, generator=generator)
    scheduler.set_timesteps(10)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t, class_labels=labels).sample, t, x, generator=generator).prev_sample
    return x


# Schedules that end in pure noise


@pytest.mark.parametrize("prediction", ["sample", "v_prediction"])
@pytest.mark.parametrize("kind", ["ddim", "ddpm"])
def test_a_schedule_that_ends_in_pure_noise_is_diffusers(tmp_path: Path, kind: str, prediction: str) -> None:
    scheduler = DDIMScheduler if kind == "ddim" else DDPMScheduler
    step = ddim() if kind == "ddim" else ancestral()
    folder_for(tmp_path, scheduler(prediction_type=prediction, **ENDS_IN_NOISE))
    model = Unconditional(tmp_path)
    assert float(model.alphas_cumprod[-1]) < 1e-13
    expected = (
        theirs(tmp_path, DDIMPipeline, use_clipped_model_output=True)
        if kind == "ddim"
        else theirs(tmp_path, DDPMPipeline)
    )
    got = ours(model, schedules.trailing(10), step)
    assert got.std() > 0.1
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)


def test_timesteps_of_trailing_spacing_are_diffusers() -> None:
    scheduler = DDIMScheduler(timestep_spacing="trailing")
    for count in (1, 7, 20, 30, 1000):
        scheduler.set_timesteps(count)
        assert schedules.trailing(count) == scheduler.timesteps.tolist()
    with pytest.raises(ValueError, match="between 1 and 1000"):
        schedules.trailing(0)


def test_betas_of_its_own(tmp_path: Path) -> None:
    betas = [0.1, 0.2, 0.5]
    scheduler = DDPMScheduler(num_train_timesteps=3, trained_betas=betas)
    scheduler.save_pretrained(tmp_path)
    found = schedule(tmp_path / "scheduler_config.json")
    torch.testing.assert_close(found.float(), scheduler.alphas_cumprod)


# Classes, grey, and other shapes


def test_classes_are_diffusers(tmp_path: Path) -> None:
    folder_for(tmp_path, num_class_embeds=4)
    model = Unconditional(tmp_path)
    got = ours(model, schedules.leading(10), ancestral(), "2")
    expected = their_loop(tmp_path, (1, 3, SIZE, SIZE), torch.tensor([2]))
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
    assert (ours(model, schedules.leading(10), ancestral(), "1") - got).abs().max() > 0.01
    for wrong in ("", "a cat", "4", "-1", "²"):
        with pytest.raises(NoWords, match="classes 0 to 3"):
            model.embed([wrong])


def test_grey_is_diffusers(tmp_path: Path) -> None:
    model = Unconditional(folder_for(tmp_path, channels=1))
    got = ours(model, schedules.leading(10), ancestral())
    assert got.shape == (1, 3, SIZE, SIZE) and torch.equal(got[:, 0], got[:, 2])
    torch.testing.assert_close(got[:, :1], theirs(tmp_path, DDPMPipeline), atol=1e-4, rtol=0)
    picture = torch.rand(1, 3, SIZE, SIZE)
    torch.testing.assert_close(model.encode(picture)[:, 0], picture.mean(1))


def test_another_shape_is_diffusers(tmp_path: Path) -> None:
    square = Unconditional(folder_for(tmp_path))
    model = square.resized(height=12, width=24)
    got = ours(model, schedules.leading(10), ancestral())
    torch.testing.assert_close(got, their_loop(tmp_path, (1, 3, 12, 24)), atol=1e-4, rtol=0)
    assert (square.height, square.width) == (SIZE, SIZE) and model.network is square.network
    with pytest.raises(ValueError, match="multiples of 2, not 25×12"):
        square.resized(12, 25)


def test_a_model_of_another_shape(tmp_path: Path) -> None:
    model = Unconditional(folder_for(tmp_path, size=[8, 16]))
    assert latents.picture_shape(model) == (8, 16) and model.describe()["image_size"] == [16, 8]
    assert latents.picture_shape(GaussianDenoiser({}, image_size=20)) == (20, 20)


# What moves pixels, on pictures that are not square


@pytest.mark.parametrize("name", [name for name in VIEWS if "quarter" not in name])
def test_views_of_other_shapes(name: str) -> None:
    view, x = VIEWS[name], draw_noise(generators([1, 2]), (3, 16, 40))
    assert view.apply(x).shape == x.shape
    torch.testing.assert_close(view.invert(view.apply(x)), x)
    torch.testing.assert_close(view.apply(x).norm(), x.norm())
    torch.testing.assert_close(view.frame(x[0], 1.0), view.apply(x[0]), atol=1e-4, rtol=0)


def test_a_blur_of_other_shapes_has_an_inverse() -> None:
    x = draw_noise(generators([1]), (3, 16, 40))
    torch.testing.assert_close(FAILING["blur"].invert(FAILING["blur"].apply(x)), x, atol=1e-3, rtol=0)


def test_what_turns_stays_a_circle() -> None:
    """A dark disc on white, in the middle of a wide picture, looks the same in each of its frames."""
    down, across = torch.arange(32) - 15.5, torch.arange(64) - 31.5
    disc = 1 - 2 * (down[:, None] ** 2 + across[None] ** 2 < 100).float()[None]
    for degrees in (30, 90, 137):
        assert (turned(disc, degrees) - disc).abs().mean() < 0.03
    assert scaled_blur(128, 33, 2.0) == (65, 4.0)


# Figures

REPORT = "title: T\nmodel: {folder: faces}\n"
SECTION = """
---
title: Wide
figures:
  - {id: noisy, generator: forward, params: {picture: images/a.png, timesteps: [250], size: [24, 16]}}
  - id: blurred
    generator: gaussian_blur
    params: {picture: images/a.png, timesteps: [250], size: [24, 16]}
  - {id: tiles, generator: sample, params: {prompts: [""], samples: [0, 1, 2], size: [24, 16], SHORT}}
  - id: text
    generator: text_to_image
    params: {prompts: [""], guidance: 1, num_inference_steps: [2], spacing: trailing, size: [24, 16]}
  - id: once
    generator: one_step
    params: {picture: images/a.png, timesteps: [300], prompt: "", size: [24, 16]}
  - id: way
    generator: iterative
    params: {picture: images/a.png, i_start: 1, prompt: "", every: 1, size: [24, 16], SHORT}
  - id: edit
    generator: sdedit
    params: {edits: [{picture: images/a.png, prompt: ""}], i_start: [1], guidance: 1, size: [24, 16], SHORT}
  - id: fill
    generator: inpaint
    params:
      fills: [{picture: images/a.png, prompt: "", hole: {left: 0.2, top: 0.2, right: 0.7, bottom: 0.7}}]
      guidance: 1
      size: [24, 16]
      first_timestep: 400
      stride: 200
  - id: turn
    generator: anagram
    params: {pairs: [{upright: "", turned: ""}], guidance: 1, view: half turn, size: [24, 16], SHORT}
  - id: near
    generator: hybrid
    params: {pairs: [{near: "", far: ""}], guidance: 1, size: [24, 16], SHORT}
  - id: real
    generator: hybrid
    params: {pairs: [{near: "", picture: images/a.png}], filter: motion, guidance: 1, size: [24, 16], SHORT}
---
""".replace("SHORT", "first_timestep: 400, stride: 200")


@pytest.fixture
def faces(book: Book, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setenv("XDG_CACHE_HOME", str(book.cache))
    monkeypatch.setenv("NOISEBOOK_DTYPE", "float32")
    monkeypatch.chdir(book.root)
    (book.root / "images").mkdir(exist_ok=True)
    Image.new("RGB", (40, 30), "teal").save(book.root / "images" / "a.png")
    book.write("report.yaml", REPORT)
    shutil.rmtree(book.root / "sections")
    return book


def pinned(book: Book, **kinds: Any) -> None:
    folder_for(book.root / "faces", **kinds)
    assert CliRunner().invoke(cli, ["models", "add", "faces"]).exit_code == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_figures_that_are_not_square(faces: Book, channels: int) -> None:
    pinned(faces, channels=channels)
    faces.write("sections/wide.md", SECTION)
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 0, done.output
    figures = json.loads((faces.root / "site" / "manifest.json").read_text())["figures"]
    assert len(figures) == 11
    for figure in figures:
        for cell in figure["cells"]:
            for file in cell["files"]:
                if file["mime"] in ("image/png", "image/webp"):
                    assert (file["width"], file["height"]) == (24, 16), figure["id"]


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        (
            'sample, params: {prompts: [""], size: [25, 16]}',
            "multiples of 2, not size: [25, 16]; [24, 16] is near",
        ),
        ('sample, params: {prompts: [""], size: [24]}', "size"),
        (
            'sample, params: {prompts: [""], size: [24, 16], model: exact}',
            "of its own size alone: leave out size",
        ),
        (
            'anagram, params: {pairs: [{upright: "", turned: ""}], size: [24, 16], view: quarter turn}',
            "a quarter turn needs a square, and 24×16 is none",
        ),
        (
            'anagram, params: {prompts: ["", ""], views: [identity, patches], size: [24, 20]}',
            "patches cuts each side into 8: use multiples of 8",
        ),
        (
            "super_resolve, params: {size: [96, 62]}",
            "stage I draws a quarter of each side: use multiples of 4",
        ),
    ],
)
def test_sizes_that_cannot_be(faces: Book, figure: str, message: str) -> None:
    pinned(faces)
    faces.write("sections/wide.md", f"---\ntitle: W\nfigures:\n  - {{id: w, generator: {figure}}}\n---\n")
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 2 and "sections/wide.md:4" in done.output
    assert message in " ".join(done.output.split()), done.output


@pytest.mark.parametrize("form", ['params: {prompts: [""], size: @}', 'matrix: {prompts: [[""]], size: @}'])
def test_a_size_that_the_model_cannot_draw_is_told_where_it_is_written(faces: Book, form: str) -> None:
    pinned(faces)
    value = "[[25, 16]]" if "matrix" in form else "[25, 16]"
    line = "generator: sample\n" + form.replace("@", value)
    faces.write("sections/wide.md", f"---\ntitle: W\n{line}\n---\n")
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 2 and f"sections/wide.md:4:{form.index('@') + 1}: " in done.output, done.output


def test_what_a_model_of_classes_is_asked() -> None:
    entry = {"description": {"conditioning": "class", "classes": 4, "channels": 3, "multiple": 8}}
    assert not refusal("digits", entry, "sample", {"prompt": "3", "negative_prompt": "", "guidance": 1.0})
    assert not refusal("digits", entry, "sample", {"prompt": "3", "negative_prompt": "0", "guidance": 7.0})
    wrong = refusal("digits", entry, "sample", {"prompt": "a cat", "negative_prompt": "", "guidance": 1.0})
    assert 'write the number of one, "0" to "3", in place of the prompt \'a cat\'' in wrong
    guided = refusal("digits", entry, "sample", {"prompt": "3", "negative_prompt": "", "guidance": 7.0})
    assert "use guidance: 1, or as negative_prompt the number of the class" in guided
    short = {"description": {"timesteps": 100, "conditioning": "text"}}
    assert "timesteps 0 to 99, not first_timestep: 990" in refusal(
        "m", short, "sample", {"first_timestep": 990}
    )
    assert "num_inference_steps is of 1000" in refusal("m", short, "t", {"num_inference_steps": 20})
    grey = {"description": {"channels": 1, "conditioning": "none"}}
    assert "draws in grey" in refusal("m", grey, "failing_view", {})


def test_what_is_compared_with_the_library_has_its_size_and_is_named() -> None:
    for generator in ("memory", "subject_samples"):
        for side, shown in ((16, "16 × 16"), ([64, 32], "64 × 32")):
            told = refusal("faces", {"description": {"image_size": side, "channels": 3}}, generator, {})
            assert f"faces draws {shown} pixels and cannot draw {generator}" in told
            assert "the library's, of 64 × 64; use a model of that size" in told
        assert not refusal("m", {"description": {"image_size": 64, "conditioning": "text"}}, generator, {})
    assert not refusal("exact", {}, "subject_samples", {})
    for kind in ("none", "class"):
        entry = {"description": {"image_size": 64, "conditioning": kind, "classes": 4}}
        assert "it asks for subjects by their names" in refusal("faces", entry, "subject_samples", {})
