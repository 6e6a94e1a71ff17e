"""Stable Diffusion's real classes, small and random: our pictures against diffusers' pipelines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from noisebook.commands import cli
from noisebook.diffusion import schedules, thresholding
from noisebook.diffusion.estimates import guided
from noisebook.diffusion.posterior import ddim
from noisebook.diffusion.sampling import draw_noise, finish, generators, reverse
from noisebook.models import latents
from noisebook.models.encoders import CLIP, TextEncoder
from noisebook.models.lock import MissingModel, read_lock
from noisebook.models.settings import Settings
from noisebook.models.stable_diffusion import StableDiffusion
from tests.known_answers import GaussianDenoiser

from .conftest import Book

torch.set_num_threads(1)
SIDE, FACTOR, WIDTH = 8, 2, 16
SIZE = SIDE * FACTOR
STEPS = 10
TIMESTEPS = [t + 1 for t in schedules.leading(STEPS)]
"""Those of its pipelines."""


def parts(prediction: str) -> dict[str, Any]:
    torch.manual_seed(2)
    unet = UNet2DConditionModel(
        sample_size=SIDE,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIZE,
    )
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        steps_offset=1,
        prediction_type=prediction,
    )
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=8,
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            eos_token_id=1,
            pad_token_id=1,
            bos_token_id=0,
        )
    )
    words = {"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3, "cat": 4, "dog": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="</s>", eos_token="</s>", unk_token="<unk>", model_max_length=77
    )
    return {"unet": unet, "vae": vae, "scheduler": scheduler, "text_encoder": encoder, "tokenizer": fast}


def folder_for(place: Path, prediction: str = "epsilon") -> Path:
    StableDiffusionPipeline(
        **parts(prediction), safety_checker=None, feature_extractor=None, requires_safety_checker=False
    ).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_for(tmp_path_factory.mktemp("sd"))


def opened(folder: Path, cache: Path) -> StableDiffusion:
    return StableDiffusion(folder, TextEncoder(folder, "one", cache, Settings(), CLIP))


@pytest.fixture
def model(folder: Path, tmp_path: Path) -> StableDiffusion:
    return opened(folder, tmp_path)


def pipeline(folder: Path, kind: Any) -> Any:
    found = kind.from_pretrained(folder, safety_checker=None, requires_safety_checker=False)
    found.set_progress_bar_config(disable=True)
    return found


def ours(model: StableDiffusion, x: torch.Tensor, timesteps: list[int], scale: float) -> torch.Tensor:
    estimate = guided(model, ["a cat"], scale)
    states = reverse(
        x,
        timesteps,
        model.alphas_cumprod,
        estimate,
        generators([5]),
        threshold=thresholding.none,
        step=ddim(),
    )
    return model.decode(finish(states))


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (8, 24)])
def test_a_schedule_that_ends_in_pure_noise_is_diffusers(tmp_path: Path, shape: tuple[int, int]) -> None:
    """Latents in fp64 from there on; and pictures that are not square."""
    place = folder_for(tmp_path / "sd", "v_prediction")
    path = place / "scheduler" / "scheduler_config.json"
    more = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
    model = opened(place, tmp_path).resized(*shape)
    x = draw_noise(generators([5]), model.latent_shape)
    got = ours(model, x, schedules.trailing(STEPS), 7.0)
    expected = pipeline(place, StableDiffusionPipeline)(
        "a cat",
        latents=x,
        num_inference_steps=STEPS,
        guidance_scale=7.0,
        height=shape[0],
        width=shape[1],
        output_type="np",
    ).images
    expected = torch.from_numpy(expected).permute(0, 3, 1, 2) * 2 - 1
    torch.testing.assert_close(got.clamp(-1, 1), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_text_to_image_is_diffusers(tmp_path: Path, prediction: str, scale: float) -> None:
    place = folder_for(tmp_path / "sd", prediction)
    model = opened(place, tmp_path)
    assert isinstance(model, latents.Encoding)
    assert (model.image_size, model.latent_shape) == (SIZE, (4, SIDE, SIDE))
    x = draw_noise(generators([5]), model.latent_shape)
    got = ours(model, x, TIMESTEPS, scale)
    expected = pipeline(place, StableDiffusionPipeline)(
        "a cat", latents=x, num_inference_steps=STEPS, guidance_scale=scale, output_type="np"
    ).images
    expected = torch.from_numpy(expected).permute(0, 3, 1, 2) * 2 - 1
    assert got.std() > 0.05
    torch.testing.assert_close(got.clamp(-1, 1), expected, atol=1e-4, rtol=0)


def test_image_to_image_is_diffusers(
    model: StableDiffusion, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    theirs = pipeline(folder, StableDiffusionImg2ImgPipeline)
    # Its encoder draws a sample; ours takes the mean, which a seed does not move.
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    expected = theirs(
        "a cat",
        image=original,
        strength=0.7,
        num_inference_steps=STEPS,
        guidance_scale=7.0,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    ).images
    timesteps = TIMESTEPS[3:]
    noise = draw_noise(generators([5]), model.latent_shape)
    x = schedules.forward(model.encode(original), float(model.alphas_cumprod[timesteps[0]]), noise)
    got = ours(model, x, timesteps, 7.0).clamp(-1, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(got, torch.from_numpy(expected) * 2 - 1, atol=1e-4, rtol=0)


def test_embeddings_are_those_of_the_pipeline(model: StableDiffusion, folder: Path) -> None:
    expected, _ = pipeline(folder, StableDiffusionPipeline).encode_prompt("a cat", "cpu", 1, False)
    torch.testing.assert_close(model.embed(["a cat"]), expected, atol=1e-5, rtol=1e-5)


def test_networks_leave_before_the_encoder_comes(
    model: StableDiffusion, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.network.loaded(), model.autoencoder.loaded()
    load = TextEncoder._load

    def alone(self: TextEncoder) -> Any:
        assert model.network._loaded is None and model.autoencoder._loaded is None
        return load(self)

    monkeypatch.setattr(TextEncoder, "_load", alone)
    model.embed(["a dog"])


def test_a_hole_is_pooled_to_latents(model: StableDiffusion) -> None:
    hole = torch.zeros(1, 1, SIZE, SIZE)
    hole[..., 3, 6] = 1
    pooled = latents.pooled(model, hole)
    assert pooled.shape == (1, 1, SIDE, SIDE) and pooled.sum() == 1 and pooled[0, 0, 1, 3] == 1
    plain = GaussianDenoiser({})
    assert latents.pooled(plain, hole) is hole and latents.decoded(plain, hole) is hole
    assert latents.shape_of(plain) == (3, plain.image_size, plain.image_size)


def test_what_is_refused(model: StableDiffusion, folder: Path, tmp_path: Path) -> None:
    for number, (message, file, values) in enumerate(
        [
            ("4 latent channels, found one of 9", "unet/config.json", {"in_channels": 9}),
            ("with addition_embed_type", "unet/config.json", {"addition_embed_type": "text_time"}),
            ("AutoencoderKL, found AutoencoderDC", "vae/config.json", {"_class_name": "AutoencoderDC"}),
            ("is not known", "scheduler/scheduler_config.json", {"_class_name": "EDMEulerScheduler"}),
        ]
    ):
        place = tmp_path / str(number)
        shutil.copytree(folder, place)
        path = place / file
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
        with pytest.raises(MissingModel, match=message):
            StableDiffusion(place, model.text)


REPORT = "title: T\nmodel: {folder: sd}\n"
SECTION = """
---
title: Latents
figures:
  - {id: drawn, generator: text_to_image, params: {prompts: [a cat], num_inference_steps: [4], sampler: ddim}}
  - {id: once, generator: one_step, params: {picture: images/a.png, timesteps: [300], prompt: a}}
  - id: way
    generator: iterative
    params: {picture: images/a.png, i_start: 1, prompt: a, first_timestep: 800, stride: 400, every: 1}
  - id: edit
    generator: sdedit
    params: {edits: [{picture: images/a.png, prompt: a}], i_start: [1], first_timestep: 800, stride: 400}
  - id: fill
    generator: inpaint
    params:
      fills: [{picture: images/a.png, prompt: a, hole: {left: 0.2, top: 0.2, right: 0.7, bottom: 0.7}}]
      first_timestep: 800
      stride: 400
---
"""


@pytest.fixture
def latent_book(folder: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setenv("XDG_CACHE_HOME", str(book.cache))
    monkeypatch.setenv("NOISEBOOK_DTYPE", "float32")
    monkeypatch.chdir(book.root)
    shutil.copytree(folder, book.root / "sd")
    (book.root / "images").mkdir(exist_ok=True)
    Image.new("RGB", (40, 40), "teal").save(book.root / "images" / "a.png")
    book.write("report.yaml", REPORT)
    assert CliRunner().invoke(cli, ["models", "add", "sd"]).exit_code == 0
    return book


def test_figures_of_latents(latent_book: Book, tmp_path: Path) -> None:
    entry = read_lock(latent_book.root)["sd/stage1"]
    assert "vae/diffusion_pytorch_model.safetensors" in entry["files"]
    latent_book.write("sections/tiles.md", SECTION)
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 0, done.output
    site = latent_book.root / "site"
    figures = json.loads((site / "manifest.json").read_text())["figures"]
    assert [figure["id"] for figure in figures] == ["drawn", "once", "way", "edit", "fill"]
    for figure in figures:
        for cell in figure["cells"]:
            assert cell["files"][0]["width"] == SIZE
    # The published picture is what the loop gives.
    model = opened(latent_book.root / "sd", tmp_path)
    from noisebook.cells.contract import derive_seed

    x = draw_noise(generators([derive_seed(42, "sample", 0)]), model.latent_shape)
    expected = ours(model, x, schedules.leading(4), 7.0)[0].clamp(-1, 1)
    shown = np.asarray(Image.open(site / figures[0]["cells"][0]["files"][0]["path"]).convert("RGB"))
    expected_bytes = ((expected.permute(1, 2, 0).numpy() + 1) * 127.5).round()
    assert np.abs(shown.astype(float) - expected_bytes).max() <= 2


def test_flips_and_hybrids_are_refused_with_the_reason(latent_book: Book) -> None:
    latent_book.write(
        "sections/tiles.md",
        """
---
title: Pixels
figures:
  - {id: turn, generator: anagram, params: {pairs: [{upright: a, turned: cat}]}}
  - {id: near, generator: hybrid, params: {pairs: [{far: a, near: cat}]}}
---
""",
    )
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 2
    assert "sd/stage1 works on latents and cannot draw anagram: a view moves pixels" in done.output
    assert "cannot draw hybrid: frequencies of a latent" in done.output
