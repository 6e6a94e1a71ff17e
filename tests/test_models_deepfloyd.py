"""DeepFloyd's exact classes, small and random: our pictures against diffusers' pipelines."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers import (
    DDPMScheduler,
    IFImg2ImgPipeline,
    IFInpaintingPipeline,
    IFPipeline,
    IFSuperResolutionPipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import AttnAddedKVProcessor

from noisebook.commands import cli
from noisebook.diffusion import estimates, schedules, thresholding
from noisebook.diffusion.denoiser import Denoiser, Enlarge, NotANumber
from noisebook.diffusion.sampling import draw_noise, finish, generators, paste, reverse
from noisebook.models import deepfloyd
from noisebook.models.catalogue import lacking
from noisebook.models.deepfloyd import NEEDED, DeepFloyd
from noisebook.models.encoders import T5, PromptTooLong, TextEncoder
from noisebook.models.hub import fetch, schedule
from noisebook.models.latents import shape_of
from noisebook.models.lock import MissingModel, automatic, pin, read_lock
from noisebook.models.settings import Settings

from .conftest import Book

torch.set_num_threads(1)
WIDTH, SIZE = 24, 16
SCHEDULER = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "variance_type": "learned_range",
    "prediction_type": "epsilon",
    "thresholding": True,
    "dynamic_thresholding_ratio": 0.95,
    "sample_max_value": 1.5,
    "clip_sample": True,
}


def network(channels: int) -> UNet2DConditionModel:
    torch.manual_seed(channels)
    more: dict[str, Any] = {}
    if channels == 6:  # as DeepFloyd's stage II is converted
        more = {"class_embed_type": "timestep", "resnet_skip_time_act": True}
        more |= dict.fromkeys(("resnet_out_scale_factor", "mid_block_scale_factor"), 2**0.5)
    unet = UNet2DConditionModel(
        sample_size=SIZE * (2 if channels == 6 else 1),
        layers_per_block=1,
        block_out_channels=[32, 64],
        down_block_types=["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
        in_channels=channels,
        out_channels=6,
        cross_attention_dim=32,
        encoder_hid_dim=WIDTH,
        attention_head_dim=8,
        norm_num_groups=8,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        time_embedding_act_fn="gelu",
        act_fn="gelu",
        **more,
    )
    unet.set_attn_processor(AttnAddedKVProcessor())
    return unet.eval()


def folder_for(place: Path, channels: int) -> Path:
    network(channels).save_pretrained(place / "unet")
    limit = 1.5 if channels == 3 else 1.0
    DDPMScheduler(**{**SCHEDULER, "sample_max_value": limit}).save_pretrained(place / "scheduler")
    if channels == 6:
        noising = DDPMScheduler(beta_schedule="linear")  # its own: not that of the steps
        noising.save_pretrained(place / "image_noising_scheduler")
    return place


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    return {n: folder_for(tmp_path_factory.mktemp(f"stage{n}"), c) for n, c in ((1, 3), (2, 6))}


class Known(TextEncoder):
    """Answers that a test can give to diffusers as well."""

    def __init__(self) -> None:
        super().__init__(None, "test", Path("/nowhere"), Settings())

    def missing(self, texts: Any) -> list[str]:
        for text in texts:
            seed = sum(map(ord, text)) + 1
            generator = torch.Generator().manual_seed(seed)
            embedding = torch.randn(T5.tokens, WIDTH, generator=generator)
            self._known[T5.prepare(text)] = {"embedding": embedding}
        return []


@pytest.fixture(scope="module")
def stages(folders: dict[int, Path]) -> dict[int, DeepFloyd]:
    return {n: DeepFloyd(folder, Known()) for n, folder in folders.items()}


def embedding(stage: DeepFloyd, text: str) -> torch.Tensor:
    stage.text.missing([text])
    return stage.text[text][None]


def pipeline(kind: Any, stage: DeepFloyd, **more: Any) -> Any:
    scheduler = DDPMScheduler.from_pretrained(stage.folder / "scheduler")
    found = kind(
        tokenizer=None,
        text_encoder=None,
        unet=UNet2DConditionModel.from_pretrained(stage.folder / "unet").eval(),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
        **more,
    )
    found.set_progress_bar_config(disable=True)
    return found


def asked(stage: DeepFloyd, scale: float) -> dict[str, Any]:
    return {
        "prompt_embeds": embedding(stage, "a cat"),
        "negative_prompt_embeds": embedding(stage, ""),
        "guidance_scale": scale,
        "generator": torch.Generator().manual_seed(5),
        "output_type": "pt",
    }


def test_is_a_denoiser(stages: dict[int, DeepFloyd]) -> None:
    assert isinstance(stages[1], Denoiser) and isinstance(stages[2], Denoiser)
    assert (stages[1].image_size, stages[2].image_size) == (SIZE, 2 * SIZE)
    torch.testing.assert_close(stages[1].alphas_cumprod, schedules.squared_cosine())


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (12, 24)])
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_text_to_image_is_diffusers(
    stages: dict[int, DeepFloyd], scale: float, shape: tuple[int, int]
) -> None:
    stage = stages[1].resized(*shape)
    size = {"height": shape[0], "width": shape[1]}
    theirs = pipeline(IFPipeline, stage)(num_inference_steps=20, **size, **asked(stage, scale)).images
    each = generators([5])
    x = draw_noise(each, shape_of(stage))
    estimate = estimates.guided(stage, ["a cat"], scale)
    ours = finish(reverse(x, schedules.leading(20), stage.alphas_cumprod, estimate, each))
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_unguided_is_where_diffusers_differs(stages: dict[int, DeepFloyd]) -> None:
    """γ = 0: diffusers guides only above 1, so its γ = 0 is conditional; ours is unconditional."""
    stage = stages[1]
    theirs = pipeline(IFPipeline, stage)(num_inference_steps=5, **asked(stage, 0.0)).images

    def ours(scale: float) -> torch.Tensor:
        each = generators([5])
        x = draw_noise(each, (3, SIZE, SIZE))
        estimate = estimates.guided(stage, ["a cat"], scale)
        return finish(reverse(x, schedules.leading(5), stage.alphas_cumprod, estimate, each))

    torch.testing.assert_close(ours(1.0), theirs, atol=1e-4, rtol=0)
    assert (ours(0.0) - theirs).abs().max() > 0.01


def test_image_to_image_is_diffusers(stages: dict[int, DeepFloyd]) -> None:
    stage = stages[1]
    original = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    theirs = pipeline(IFImg2ImgPipeline, stage)(
        image=original, strength=0.7, num_inference_steps=20, **asked(stage, 7.0)
    ).images
    timesteps, start = schedules.leading(20), 6
    each = generators([5])
    noise = draw_noise(each, (3, SIZE, SIZE))
    x = schedules.forward(original, float(stage.alphas_cumprod[timesteps[start]]), noise)
    estimate = estimates.guided(stage, ["a cat"], 7.0)
    ours = finish(reverse(x, timesteps[start:], stage.alphas_cumprod, estimate, each))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("width", [SIZE, 2 * SIZE])
def test_super_resolution_is_diffusers(stages: dict[int, DeepFloyd], width: int) -> None:
    stage = stages[2].resized(2 * SIZE, 2 * width)
    noising = DDPMScheduler.from_pretrained(stage.folder / "image_noising_scheduler")
    small = torch.rand(1, 3, SIZE, width, generator=torch.Generator().manual_seed(1)) * 2 - 1
    size = {"height": 2 * SIZE, "width": 2 * width}
    theirs = pipeline(IFSuperResolutionPipeline, stage, image_noising_scheduler=noising)(
        image=small, num_inference_steps=10, noise_level=250, **size, **asked(stage, 4.0)
    ).images
    each = generators([5])
    shape = shape_of(stage)
    x = draw_noise(each, shape)
    prompt = Enlarge("a cat", small[0], draw_noise(each, shape)[0], 250)
    estimate = estimates.guided(stage, [prompt], 4.0)
    ours = finish(
        reverse(x, schedules.leading(10), stage.alphas_cumprod, estimate, each, threshold=thresholding.static)
    )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    # The picture is enlarged with aligned corners, and the level of its noise is told to the network.
    _, enlarged, levels = stage.embed([prompt])
    assert enlarged is not None and levels is not None and levels.tolist() == [250]
    quiet = stage.embed([Enlarge("a cat", small[0], torch.zeros(shape), 0)])[1]
    assert quiet is not None
    torch.testing.assert_close(quiet[0, :, 0, -1], small[0, :, 0, -1], atol=1e-3, rtol=0)
    e, _ = stage.predict(x, 500, stage.embed([prompt]))
    other, _ = stage.predict(x, 500, (["a cat"], enlarged, torch.tensor([10])))
    assert (e - other).abs().max() > 1e-4


def test_inpainting_is_where_diffusers_differs(stages: dict[int, DeepFloyd]) -> None:
    """Ours noises the known region to each timestep; diffusers' pipeline puts the clean one back."""
    stage = stages[1]
    original = torch.rand(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[..., : SIZE // 2, :] = 1
    seen = list[torch.Tensor]()
    pipeline(IFInpaintingPipeline, stage)(
        image=original,
        mask_image=mask[0],
        strength=1.0,
        num_inference_steps=5,
        callback=lambda i, t, x: seen.append(x.clone()),
        **asked(stage, 7.0),
    )
    known = (slice(None), slice(None), slice(SIZE // 2, None))
    each = generators([5])
    x = draw_noise(each, (3, SIZE, SIZE))
    estimate = estimates.guided(stage, ["a cat"], 7.0)
    states = list(
        reverse(x, schedules.leading(5), stage.alphas_cumprod, estimate, each, after=paste(original, mask))
    )
    gap = (states[1].x - original)[known].std()
    assert gap > 2 * (seen[1] - original)[known].std()
    assert torch.equal(states[-1].x[known], original[known])


def test_rows_do_not_depend_on_each_other(stages: dict[int, DeepFloyd]) -> None:
    stage = stages[1]
    x = draw_noise(generators([1, 2, 3]), (3, SIZE, SIZE))
    together, _ = stage.predict(x, 400, stage.embed(["a cat", "a dog", ""]))
    alone, _ = stage.predict(x[1:2], 400, stage.embed(["A dog "]))
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-5)


def test_half_precision_stays_inside(folders: dict[int, Path]) -> None:
    half = DeepFloyd(folders[1], Known(), Settings(dtype=torch.bfloat16))
    full = DeepFloyd(folders[1], Known())
    x = draw_noise(generators([1]), (3, SIZE, SIZE))
    e, v = half.predict(x, 690, half.embed(["a cat"]))
    assert e.dtype == torch.float32 and v is not None and v.dtype == torch.float32
    assert half.alphas_cumprod.dtype == torch.float64
    expected, _ = full.predict(x, 690, full.embed(["a cat"]))
    assert 0 < (e - expected).abs().max() < 0.2


# The text encoder


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    place = tmp_path_factory.mktemp("encoder")
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "cat": 4, "dog": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(place / "tokenizer")
    config = T5Config(vocab_size=8, d_model=WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    torch.manual_seed(0)
    T5EncoderModel(config).save_pretrained(place / "text_encoder")
    return place


def test_prompts_are_encoded_once(
    encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = TextEncoder(encoder_folder, "one", tmp_path, Settings())
    assert encoder.missing(["a cat", "A cat ", ""]) == ["a cat", ""]
    encoder.encode(["a cat", ""])
    assert encoder["A cat"].shape == (77, WIDTH) and encoder[""].abs().sum() > 0, "not zeros"
    monkeypatch.setattr(TextEncoder, "encode", lambda *_: pytest.fail("the encoder was loaded again"))
    again = TextEncoder(None, "one", tmp_path, Settings())
    assert again.missing(["a cat", ""]) == []
    assert torch.equal(again["a cat"], encoder["a cat"])
    assert TextEncoder(None, "another", tmp_path, Settings()).missing(["a cat"]) == ["a cat"]


def test_the_network_leaves_before_the_encoder_comes(folders: dict[int, Path]) -> None:
    class Late(Known):
        known = False

        def missing(self, texts: Any) -> list[str]:
            return [] if self.known else list(texts)

        def encode(self, texts: Any) -> None:
            assert stage.network._loaded is None
            super().missing(texts)

    text = Late()
    stage = DeepFloyd(folders[1], text)
    stage.network.loaded()
    stage.embed(["a cat"])
    assert stage.network._loaded is None


def test_an_embedding_that_overflows_is_an_error_and_kept_nowhere(
    encoder_folder: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(encoder_folder, tmp_path / "encoder")
    weights = tmp_path / "encoder" / "text_encoder" / "model.safetensors"
    save_file({name: value * 1e30 for name, value in load_file(weights).items()}, weights, {"format": "pt"})
    encoder = TextEncoder(tmp_path / "encoder", "one", tmp_path / "kept", Settings(dtype=torch.float16))
    with pytest.raises(NotANumber, match=r"'a cat'.*float16.*NOISEBOOK_DTYPE=bfloat16"):
        encoder.encode(["a cat"])
    assert not list((tmp_path / "kept").iterdir()) and encoder.missing(["a cat"]) == ["a cat"]


def test_a_prompt_that_is_too_long(encoder_folder: Path, tmp_path: Path) -> None:
    encoder = TextEncoder(encoder_folder, "one", tmp_path, Settings())
    with pytest.raises(PromptTooLong, match="at most 77"):
        encoder.encode(["cat " * 80])


# What can be wrong with a folder


def test_no_prompts(stages: dict[int, DeepFloyd]) -> None:
    with pytest.raises(ValueError, match="no prompts"):
        stages[1].embed([])


def test_an_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"config\.json: missing"):
        DeepFloyd(tmp_path, Known())
    with pytest.raises(MissingModel, match="no folder"):
        deepfloyd.load("deepfloyd-m/stage1", {"folder": "nowhere", "files": {}, "revision": "1"}, tmp_path)


def test_another_architecture(folders: dict[int, Path], tmp_path: Path) -> None:
    place = tmp_path / "copy"
    shutil.copytree(folders[1], place)
    config = json.loads((place / "unet" / "config.json").read_text())
    for key, value in (("_class_name", "Transformer2DModel"), ("in_channels", 4)):
        (place / "unet" / "config.json").write_text(json.dumps({**config, key: value}))
        with pytest.raises(MissingModel, match="expected DeepFloyd's"):
            DeepFloyd(place, Known())
    # Weights of other sizes than the configuration says.
    (place / "unet" / "config.json").write_text(json.dumps({**config, "block_out_channels": [32, 96]}))
    with pytest.raises(MissingModel, match="cannot be loaded"):
        DeepFloyd(place, Known()).network.loaded()


def test_half_downloaded_weights(folders: dict[int, Path], tmp_path: Path) -> None:
    place = tmp_path / "copy"
    shutil.copytree(folders[1], place)
    weights = place / "unet" / "diffusion_pytorch_model.safetensors"
    files = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
    name = "deepfloyd-m/stage1"
    pin(tmp_path, name, files, kind="model", loader="noisebook.models.deepfloyd", revision="1", folder="copy")
    entry = read_lock(tmp_path)[name]
    assert deepfloyd.load(name, entry, tmp_path).image_size == SIZE
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    with pytest.raises(MissingModel, match="not the pinned file"):
        deepfloyd.load(name, entry, tmp_path)
    with pytest.raises(MissingModel, match=r"half-downloaded|cannot be loaded"):
        DeepFloyd(place, Known()).network.loaded()
    weights.unlink()
    with pytest.raises(MissingModel, match="no weights"):
        DeepFloyd(place, Known()).network.loaded()


def test_gated_and_absent_repositories(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError

    gated = GatedRepoError.__new__(GatedRepoError)
    for error in (gated, LocalEntryNotFoundError("no connection")):

        def refuse(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
        with pytest.raises(MissingModel, match=r"(?i)accept its licence.*HF_TOKEN"):
            fetch("DeepFloyd/IF-I-M-v1.0", "main", NEEDED)


def test_what_the_hub_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is downloaded the hub is asked; its answer stands behind the error that tells of it."""
    import huggingface_hub
    from huggingface_hub import errors

    for kind, message in (
        (errors.GatedRepoError, "IF-I-M-v1.0 is gated: accept its licence on https"),
        (errors.RepositoryNotFoundError, "the hub shows no DeepFloyd/IF-I-M-v1.0: is this its name"),
        (errors.RevisionNotFoundError, "has no revision v9: https"),
        (ConnectionError, "nor can it be downloaded. Is it there, at revision v9"),
    ):

        def refuse(*_: Any, kind: Any = kind, **__: Any) -> None:
            raise errors.DryRunError("cannot be performed") from kind.__new__(kind)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
        with pytest.raises(MissingModel, match=message):
            fetch("DeepFloyd/IF-I-M-v1.0", "v9", NEEDED)


def test_an_answer_that_is_no_hubs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign-in page of the network, or another server, answers 200 with something else."""
    import huggingface_hub

    for error in (KeyError("id"), json.JSONDecodeError("Expecting value", "<html>", 0), TypeError("a list")):

        def answer(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(huggingface_hub, "snapshot_download", answer)
        with pytest.raises(MissingModel, match="does not answer as a hub does"):
            fetch("DeepFloyd/IF-I-M-v1.0", "main", NEEDED)
    monkeypatch.undo()
    with pytest.raises(MissingModel, match=r"'some/\.\.' is not the name of a repository"):
        fetch("some/..", "main", NEEDED)


def test_what_is_pinned_as_a_stage_is_that_stage_with_its_encoder(
    folders: dict[int, Path], encoder_folder: Path, tmp_path: Path
) -> None:
    place = tmp_path / "one"
    shutil.copytree(folders[1], place)
    with pytest.raises(MissingModel, match="one: no tokenizer/"):
        deepfloyd.pin_stage(tmp_path, "m", 1, place)
    shutil.copytree(encoder_folder, place, dirs_exist_ok=True)
    with pytest.raises(MissingModel, match="one holds stage 1, not stage 2"):
        deepfloyd.pin_stage(tmp_path, "m", 2, place)
    entry = deepfloyd.pin_stage(tmp_path, "m", 1, place)
    assert entry["description"]["multiple"] == 2
    assert entry["revision"] == "folder" and "repository" not in entry
    path = place / "text_encoder" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"d_model": 32}))
    with pytest.raises(MissingModel, match="its embeddings are 32 wide, and the network reads 24"):
        deepfloyd.pin_stage(tmp_path, "m", 1, place)
    weights = next((place / "text_encoder").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(MissingModel, match="half-downloaded"):
        TextEncoder(place, "cut", tmp_path, Settings()).encode(["a cat"])


def test_a_folder_is_meant_from_where_one_stands_and_kept_from_the_report(
    folders: dict[int, Path], encoder_folder: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = book.root / "sections" / "one"
    for folder in (folders[1], encoder_folder):
        shutil.copytree(folder, place, dirs_exist_ok=True)
    (place / "model_index.json").write_text('{"_class_name": "IFPipeline"}')
    monkeypatch.chdir(book.root / "sections")
    found = CliRunner().invoke(cli, ["models", "add", "sections/one"])
    assert found.exit_code == 1 and "noisebook models add deepfloyd-m/stage1 --folder" in found.output
    again = ["models", "add", "deepfloyd-m/stage1", "--folder"]
    assert CliRunner().invoke(cli, [*again, "one"]).output.endswith("files at folder\n")
    entry = read_lock(book.root)["deepfloyd-m/stage1"]
    assert entry["folder"] == "sections/one"
    # What is told where it was changed or lost is what would help.
    (place / "unet" / "config.json").write_text("{}")
    with pytest.raises(MissingModel, match=" ".join(again[1:]) + " sections/one"):
        deepfloyd.load("deepfloyd-m/stage1", entry, book.root)
    shutil.rmtree(place)
    (told,) = lacking(["deepfloyd-m/stage1"], read_lock(book.root), book.root)
    assert told.endswith("put back its folder, sections/one")


def test_out_of_memory_says_what_to_lower(
    stages: dict[int, DeepFloyd], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("no room")

    stage = stages[1]
    monkeypatch.setattr(stage.network, "_loaded", full)
    with pytest.raises(MemoryError, match=r"BATCH_SIZE=1 needs less; then NOISEBOOK_DTYPE=.*a smaller model"):
        stage.predict(torch.zeros(1, 3, SIZE, SIZE), 5, stage.embed(["a cat"]))
    gpu = Settings("cuda", torch.float16)
    assert gpu.less_memory()[-2:] == ["NOISEBOOK_OFFLOAD=model", "NOISEBOOK_OFFLOAD=sequential"]
    assert Settings("cuda", torch.float16, 1, True, "sequential").less_memory() == []


def test_a_schedule_that_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "scheduler_config.json"
    for config in ({"beta_schedule": "sigmoid"}, {"prediction_type": "v_prediction"}):
        path.write_text(json.dumps(config))
        with pytest.raises(MissingModel, match="known here"):
            schedule(path)
    for config in ({"num_train_timesteps": 0}, {"beta_end": 3}, {"beta_start": -0.1}, {"beta_end": math.nan}):
        path.write_text(json.dumps(config))
        with pytest.raises(MissingModel, match="timesteps are no schedule"):
            schedule(path)
    path.write_text("[1]")
    with pytest.raises(MissingModel, match="expected names with values"):
        schedule(path)
    path.write_text(json.dumps({"beta_schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}))
    expected = DDPMScheduler().alphas_cumprod.double()
    np.testing.assert_allclose(schedule(path), expected, rtol=2e-5, atol=1e-9)


# In a report


def pinned_book(book: Book, folders: dict[int, Path], encoder: Path, sizes: str) -> None:
    """A report with a small random stage I for each of ``sizes``, no two alike."""
    for k, size in enumerate(sizes):
        place = book.root / f"stage-{size}"
        shutil.copytree(folders[1], place)
        torch.manual_seed(k)
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(place / "unet"))
        unet.save_pretrained(place / "unet")
        files = {path.relative_to(place).as_posix(): path for path in place.rglob("*") if path.is_file()}
        pin(
            book.root,
            f"deepfloyd-{size}/stage1",
            files,
            kind="model",
            loader="noisebook.models.deepfloyd",
            revision=str(k),
            folder=f"stage-{size}",
            text_folder=str(encoder),
        )


SAMPLE = """
---
title: Two models
generator: sample
params: {{prompts: [a cat], samples: [0], first_timestep: 400, stride: 200{more}}}
{matrix}
---
"""


def build(book: Book, monkeypatch: pytest.MonkeyPatch) -> str:
    """A build in this process, where torch and diffusers are loaded already; what it printed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(book.cache))
    monkeypatch.chdir(book.root)
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 0, done.output
    return done.output


def test_one_figure_by_two_models(
    folders: dict[int, Path], encoder_folder: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned_book(book, folders, encoder_folder, "lm")
    matrix = "matrix: {model: [deepfloyd-l, deepfloyd-m]}\nlayout: {kind: compare}"
    book.write("sections/tiles.md", SAMPLE.format(more="", matrix=matrix))
    build(book, monkeypatch)
    cells = json.loads((book.root / "site" / "manifest.json").read_text())["figures"][0]["cells"]
    assert [cell["provenance"]["models"] for cell in cells] == [
        {"stage1": "deepfloyd-l/stage1"},
        {"stage1": "deepfloyd-m/stage1"},
    ]
    assert len({cell["files"][0]["sha256"] for cell in cells}) == 2
    page = (book.root / "site" / "tiles.html").read_text()
    assert "model deepfloyd-l: sample 1" in page and "model deepfloyd-m: sample 1" in page


def test_a_model_that_is_not_pinned(book: Book) -> None:
    book.write("sections/tiles.md", SAMPLE.format(more=", model: deepfloyd-xl", matrix=""))
    done = book.run("status")
    assert done.returncode == 2 and "`noisebook models add deepfloyd-xl` pins it" in done.stderr
    book.write("sections/tiles.md", SAMPLE.format(more=", model: deepflyod-m", matrix=""))
    assert "did you mean 'deepfloyd-m'?" in book.run("status").stderr


def test_auto_is_what_the_machine_has(
    folders: dict[int, Path], encoder_folder: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert automatic({}, book.root) == "exact"
    pinned_book(book, folders, encoder_folder, "lm")
    lock = read_lock(book.root)
    assert automatic(lock, book.root) == "deepfloyd-l", "the largest"
    weights = book.root / "stage-l" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".away"))
    assert automatic(lock, book.root) == "deepfloyd-m"
    book.write("report.yaml", "title: Auto\nmodel: auto\n")
    book.write("sections/tiles.md", SAMPLE.format(more="", matrix=""))
    assert "model auto: this machine has deepfloyd-m" in build(book, monkeypatch)
    assert "Drawn by deepfloyd-m" in (book.root / "site" / "tiles.html").read_text()
    frozen = book.run("build", "--frozen")
    assert frozen.returncode == 2 and "report.yaml:1:1: model: auto depends" in frozen.stderr


def test_downloads_are_looked_for_where_the_hub_puts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"repository": "DeepFloyd/IF-I-M-v1.0", "revision": "abc", "files": {"unet/config.json": "0"}}
    lock = {"deepfloyd-m/stage1": entry}
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert automatic(lock, tmp_path) == "exact"
    file = tmp_path / "hub/models--DeepFloyd--IF-I-M-v1.0/snapshots/abc/unet/config.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    assert automatic(lock, tmp_path) == "deepfloyd-m"
