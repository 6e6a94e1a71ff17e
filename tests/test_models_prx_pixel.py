"""PRXPixel's real classes, small and random: our pictures against diffusers' pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from diffusers import FlowMatchEulerDiscreteScheduler, PRXPixelPipeline, PRXTransformer2DModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3VLTextConfig, Qwen3VLTextModel

from noisebook.commands import cli
from noisebook.diffusion import thresholding
from noisebook.diffusion.denoiser import Denoiser
from noisebook.diffusion.estimates import guided
from noisebook.diffusion.posterior import ddim
from noisebook.diffusion.sampling import draw_noise, finish, generators, reverse
from noisebook.models.encoders import QWEN, PromptTooLong, TextEncoder
from noisebook.models.latents import shape_of
from noisebook.models.lock import MissingModel, read_lock
from noisebook.models.prx_pixel import PRXPixel
from noisebook.models.settings import Settings

from .conftest import Book

torch.set_num_threads(1)
SIZE, WIDTH = 32, 24
TIMESTEPS = [990, 890, 700, 500, 300, 120, 60, 30, 2]
"""The last three lie where the velocity is divided by a constant."""


class Steps(FlowMatchEulerDiscreteScheduler):
    """The scheduler, at our timesteps."""

    def set_timesteps(self, *_: Any, **__: Any) -> None:
        super().set_timesteps(sigmas=[(t + 0.5) / 1000 for t in TIMESTEPS])


@pytest.fixture(scope="module", params=[1.0, 3.0])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    transformer = PRXTransformer2DModel(
        in_channels=3,
        patch_size=8,
        context_in_dim=WIDTH,
        hidden_size=32,
        num_heads=2,
        depth=2,
        axes_dim=[8, 8],
        bottleneck_size=16,
        resolution_embeds=True,
    )
    for value in transformer.parameters():  # The last layer begins as zeros in some versions.
        torch.nn.init.normal_(value, std=0.15)
    encoder = Qwen3VLTextModel(
        Qwen3VLTextConfig(
            vocab_size=8,
            hidden_size=WIDTH,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=12,
            rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2]},
        )
    )
    words = {"<pad>": 0, "<unk>": 1, "a": 2, "cat": 3, "dog": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    place = tmp_path_factory.mktemp("prx")
    PRXPixelPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=request.param),
        text_encoder=encoder,
        tokenizer=PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>"),
        default_sample_size=SIZE,
    ).save_pretrained(place)
    return place


@pytest.fixture
def model(folder: Path, tmp_path: Path) -> PRXPixel:
    return PRXPixel(folder, TextEncoder(folder, "one", tmp_path, Settings(), QWEN))


@pytest.mark.parametrize(("scale", "width"), [(1.0, SIZE), (5.0, SIZE), (5.0, 2 * SIZE)])
def test_text_to_image_is_diffusers(model: PRXPixel, folder: Path, scale: float, width: int) -> None:
    assert isinstance(model, Denoiser) and model.image_size == SIZE
    model = model.resized(SIZE, width)
    each = generators([5])
    x = draw_noise(each, shape_of(model))
    step, none = ddim(), thresholding.none
    estimate = guided(model, ["a cat"], scale)
    states = reverse(x, TIMESTEPS, model.alphas_cumprod, estimate, each, threshold=none, step=step)
    ours = finish(states)
    model.embed(["a cat", ""])
    theirs = PRXPixelPipeline.from_pretrained(folder)
    theirs.scheduler = Steps.from_config(theirs.scheduler.config)
    theirs.set_progress_bar_config(disable=True)
    tau = float(model.tau[TIMESTEPS[0]])
    expected = theirs(
        latents=x * ((1 - tau) ** 2 + (2 * tau) ** 2) ** 0.5,
        prompt_embeds=model.text["a cat"][None],
        negative_prompt_embeds=model.text[""][None],
        prompt_attention_mask=model.text.mask("a cat")[None],
        negative_prompt_attention_mask=model.text.mask("")[None],
        guidance_scale=scale,
        height=SIZE,
        width=width,
        use_resolution_binning=False,
        output_type="pt",
    ).images
    assert ours.std() > 0.1
    torch.testing.assert_close(ours.float(), expected, atol=1e-4, rtol=0)


def test_embeddings_are_those_of_the_pipeline(
    model: PRXPixel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from diffusers.pipelines.prx import pipeline_prx_pixel

    monkeypatch.setattr(pipeline_prx_pixel, "_basic_clean", str.strip)
    expected, mask, *_ = PRXPixelPipeline.from_pretrained(folder).encode_prompt(
        ["a cat", "dog"], do_classifier_free_guidance=False, device="cpu"
    )
    states, ours = model.embed(["a cat", " dog"])
    torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(ours, mask) and ours.sum().item() == 3
    monkeypatch.setattr(TextEncoder, "encode", lambda *_: pytest.fail("the encoder was loaded again"))
    again = TextEncoder(None, "one", model.text.cache, Settings(), QWEN)
    assert again.missing(["a cat"]) == [] and torch.equal(again.mask("a cat"), mask[0])


def test_the_transformer_leaves_before_the_encoder_comes(
    model: PRXPixel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.network.loaded()
    load = TextEncoder._load

    def alone(self: TextEncoder) -> Any:
        assert model.network._loaded is None
        return load(self)

    monkeypatch.setattr(TextEncoder, "_load", alone)
    model.embed(["a cat"])


def test_pictures_that_are_not_square_and_rows_of_their_own(model: PRXPixel) -> None:
    x = draw_noise(generators([1, 2]), (3, SIZE, 2 * SIZE))
    together, _ = model.predict(x, 500, model.embed(["a cat", "dog"]))
    alone, _ = model.predict(x[1:], 500, model.embed(["dog"]))
    assert together.shape == x.shape
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-5)


def test_what_is_refused(model: PRXPixel, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PromptTooLong, match="at most 256"):
        model.embed(["cat " * 300])

    def changed(name: str, file: str, **values: Any) -> Path:
        place = tmp_path / name
        shutil.copytree(folder, place)
        path = place / file
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
        return place

    scheduler = "scheduler/scheduler_config.json"
    for number, (message, file, values) in enumerate(
        [
            ("3 channels, found 16", "transformer/config.json", {"in_channels": 16}),
            ("found UNet2DModel", "transformer/config.json", {"_class_name": "UNet2DModel"}),
            ("DDPMScheduler is not known", scheduler, {"_class_name": "DDPMScheduler"}),
            ("use_dynamic_shifting is not known", scheduler, {"use_dynamic_shifting": True}),
        ]
    ):
        with pytest.raises(MissingModel, match=message):
            PRXPixel(changed(str(number), file, **values), model.text)
    other = changed("encoder", "text_encoder/config.json", architectures=["BertModel"])
    with pytest.raises(MissingModel, match="a text encoder BertModel is not known"):
        TextEncoder(other, "two", tmp_path, Settings(), QWEN).encode(["a"])


def test_anagrams_hybrids_and_edits_in_a_report(
    folder: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    monkeypatch.setenv("XDG_CACHE_HOME", str(book.cache))
    monkeypatch.chdir(book.root)
    shutil.copytree(folder, book.root / "prx")
    (book.root / "images").mkdir(exist_ok=True)
    Image.new("RGB", (40, 40), "teal").save(book.root / "images" / "a.png")
    assert CliRunner().invoke(cli, ["models", "add", "prx"]).exit_code == 0
    files = read_lock(book.root)["prx/stage1"]["files"]
    assert {"text_encoder/model.safetensors", "tokenizer/tokenizer.json", "model_index.json"} <= set(files)
    short = "first_timestep: 800, stride: 400, thresholding: none"
    book.write("report.yaml", "title: T\nmodel: {folder: prx}\n")
    book.write(
        "sections/tiles.md",
        f"""
---
title: Pixels
figures:
  - {{id: turn, generator: anagram, params: {{pairs: [{{upright: a cat, turned: dog}}], {short}}}}}
  - {{id: near, generator: hybrid, params: {{pairs: [{{far: a cat, near: dog}}], {short}}}}}
  - id: edit
    generator: sdedit
    params: {{edits: [{{picture: images/a.png, prompt: a}}], i_start: [1], {short}}}
  - id: fill
    generator: inpaint
    params:
      fills: [{{picture: images/a.png, prompt: a, hole: {{left: 0.2, top: 0.2, right: 0.7, bottom: 0.7}}}}]
      first_timestep: 800
      stride: 400
---
""",
    )
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 0, done.output
    figures = json.loads((book.root / "site" / "manifest.json").read_text())["figures"]
    assert [each["cells"][0]["provenance"]["models"] for each in figures] == [{"stage1": "prx/stage1"}] * 4
