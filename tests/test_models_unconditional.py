"""diffusers' UNet2DModel, small and random: our pictures against diffusers', and what is refused."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, DDPMScheduler, UNet2DModel
from PIL import Image

from noisebook.cells.failures import explain_failure
from noisebook.commands import cli
from noisebook.diffusion import schedules, thresholding
from noisebook.diffusion.denoiser import Denoiser, NotANumber
from noisebook.diffusion.estimates import guided
from noisebook.diffusion.posterior import ancestral, ddim
from noisebook.diffusion.sampling import draw_noise, finish, generators, reverse
from noisebook.models import catalogue, settings
from noisebook.models.lock import MissingModel, family_of, hint_for, load, read_lock
from noisebook.models.pinning import pin_model
from noisebook.models.settings import Settings
from noisebook.models.unconditional import NoWords, Unconditional

from .conftest import Book
from .small_unet import SIZE, folder_for

torch.set_num_threads(1)
SCHEDULES = {
    "linear": {"beta_schedule": "linear"},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_for(tmp_path_factory.mktemp("faces"))


def changed(folder: Path, place: Path, file: str, **values: Any) -> Path:
    """A copy of a model whose configuration says something else."""
    shutil.copytree(folder, place)
    path = place / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return place


def ours(model: Unconditional, step: Any, steps: int = 10) -> torch.Tensor:
    each = generators([5])
    shape = (3, model.image_size, model.image_size)
    states = reverse(
        draw_noise(each, shape),
        schedules.leading(steps),
        model.alphas_cumprod,
        guided(model, [""]),
        each,
        threshold=thresholding.static,
        step=step,
    )
    return finish(states)


def theirs(folder: Path, kind: Any, **more: Any) -> torch.Tensor:
    pipeline = kind.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(5)
    pictures = pipeline(num_inference_steps=10, generator=generator, output_type="np", **more).images
    return torch.from_numpy(pictures).permute(0, 3, 1, 2) * 2 - 1


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_ddpm_is_diffusers(tmp_path: Path, schedule: str, prediction: str) -> None:
    scheduler = DDPMScheduler(prediction_type=prediction, **SCHEDULES[schedule])
    model = Unconditional(folder_for(tmp_path, scheduler))
    assert isinstance(model, Denoiser) and model.image_size == SIZE
    got = ours(model, ancestral())
    assert got.std() > 0.1
    torch.testing.assert_close(got, theirs(tmp_path, DDPMPipeline), atol=1e-4, rtol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_ddim_is_diffusers(tmp_path: Path, prediction: str) -> None:
    scheduler = DDIMScheduler(prediction_type=prediction)
    model = Unconditional(folder_for(tmp_path, scheduler))
    expected = theirs(tmp_path, DDIMPipeline, use_clipped_model_output=True)
    torch.testing.assert_close(ours(model, ddim()), expected, atol=1e-4, rtol=0)


def test_a_learned_variance_is_diffusers(tmp_path: Path) -> None:
    place = folder_for(tmp_path, DDPMScheduler(variance_type="learned_range"), outputs=6)
    expected = theirs(place, DDPMPipeline)
    torch.testing.assert_close(ours(Unconditional(place), ancestral()), expected, atol=1e-4, rtol=0)


def test_a_folder_without_parts_and_pictures_that_are_not_square(folder: Path, tmp_path: Path) -> None:
    """The older layout, with all files side by side; the network itself takes any shape."""
    for path in (*(folder / "unet").iterdir(), *(folder / "scheduler").iterdir()):
        shutil.copy(path, tmp_path)
    flat, model = Unconditional(tmp_path), Unconditional(folder)
    x = draw_noise(generators([1]), (3, SIZE, 2 * SIZE))
    expected, _ = model.predict(x, 400, model.embed([""]))
    found, _ = flat.predict(x, 400, None)
    assert found.shape == x.shape and torch.equal(found, expected)


@pytest.mark.parametrize("outputs", [3, 6])
def test_guidance_without_words_asks_once(tmp_path: Path, outputs: int) -> None:
    """Both of its estimates are the same: γ changes neither the picture nor the time."""
    kind = "learned_range" if outputs == 6 else "fixed_small"
    model = Unconditional(folder_for(tmp_path, DDPMScheduler(variance_type=kind), outputs=outputs))
    x = draw_noise(generators([1, 2]), (3, SIZE, SIZE))
    asked, whole = list[int](), model.network.rows
    model.network.rows = lambda ask, x, *more: asked.append(len(x)) or whole(ask, x, *more)  # type: ignore
    plain = guided(model, ["", ""])(x, 400)
    torch.testing.assert_close(guided(model, ["", ""], 7.0)(x, 400), plain, atol=1e-5, rtol=0)
    assert asked == [2, 2]


# Settings


def test_rows_go_through_the_network_as_many_as_fit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = draw_noise(generators([1, 2, 3, 4, 5]), (3, SIZE, SIZE))
    whole, _ = Unconditional(folder).predict(x, 400, None)
    rows, _ = Unconditional(folder, Settings(batch_size=2)).predict(x, 400, None)
    torch.testing.assert_close(rows, whole, atol=1e-5, rtol=1e-5)
    # A GPU: its first row tells that a row takes 100 bytes, and 250 of 312 free ones may be used.
    gpu = SimpleNamespace(
        reset_peak_memory_stats=lambda: None,
        memory_allocated=lambda: 50,
        max_memory_allocated=lambda: 150,
        memory_reserved=lambda: 62,
        mem_get_info=lambda: (300, 1000),
    )
    monkeypatch.setattr(torch, "cuda", gpu)
    monkeypatch.setattr(torch.Tensor, "to", lambda self, *_: self)
    model = Unconditional(folder)
    model.network.loaded()
    model.network.settings = Settings("cuda")
    asked = list[int]()

    def ask(_: Any, rows: torch.Tensor) -> torch.Tensor:
        asked.append(len(rows))
        return rows

    assert torch.equal(model.network.rows(ask, x), x) and asked == [1, 2, 2]


def test_attention_in_slices_is_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warned = "diffusers.models.attention_processor.logger.warning"
    monkeypatch.setattr(warned, lambda *_: pytest.fail("a warning in every layer and step"))
    x = draw_noise(generators([1, 2]), (3, SIZE, SIZE))
    model = Unconditional(folder, Settings(slicing=True))
    found, _ = model.predict(x, 400, None)
    assert any("Sliced" in type(layer.processor).__name__ for layer in attention(model))
    expected, _ = Unconditional(folder).predict(x, 400, None)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def attention(model: Unconditional) -> list[Any]:
    return [layer for layer in model.network.loaded().modules() if hasattr(layer, "processor")]


def test_offload_is_accelerates(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device that is not here: what would be called."""
    asked = list[Any]()
    monkeypatch.setattr("accelerate.cpu_offload", lambda net, device: asked.append(("sequential", device)))
    hook = lambda net, device: asked.append(("model", device)) or (net, None)  # noqa: E731
    monkeypatch.setattr("accelerate.cpu_offload_with_hook", hook)
    for offload in ("model", "sequential"):
        network = Unconditional(folder, Settings("cuda", offload=offload)).network
        assert isinstance(network.loaded(), UNet2DModel)
    assert asked == [("model", torch.device("cuda")), ("sequential", torch.device("cuda"))]


def test_an_overflow_is_named(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / "large")
    weights = tmp_path / "large" / "unet" / "diffusion_pytorch_model.safetensors"
    arrays = load_file(weights)
    arrays["conv_out.weight"] *= 1e7
    save_file(arrays, weights, {"format": "pt"})
    model = Unconditional(tmp_path / "large", Settings(dtype=torch.float16))
    estimate = guided(model, [""])
    with pytest.raises(NotANumber, match=r"timestep 400, computed in float16.*NOISEBOOK_DTYPE=bfloat16"):
        estimate(draw_noise(generators([1]), (3, SIZE, SIZE)), 400)
    widest = Settings(dtype=torch.float32).if_it_overflows
    assert widest == "no NOISEBOOK_DTYPE has a wider range than float32: look at the weights"


def test_a_number_lost_in_a_step_is_told_with_the_place_and_the_setting(folder: Path, tmp_path: Path) -> None:
    """A step knows no model: what helps is told where its error is caught."""
    generator = SimpleNamespace(path=Path(__file__), name="sample")
    planned: Any = SimpleNamespace(generator=generator, figure="tiles", models={"stage1": "faces/stage1"})
    model = Unconditional(folder, Settings(dtype=torch.float16))
    about: Any = (planned, tmp_path, MissingModel, {"faces/stage1": model})
    lost = torch.full((1, 3, 2, 2), torch.nan)
    with pytest.raises(NotANumber) as raised:
        next(reverse(lost, [400], model.alphas_cumprod, lambda x, t: (x, None), generators([1])))
    told = explain_failure(raised.value, *about)
    assert told.startswith(f"{__file__}:") and "the pictures after the step from timestep 400" in told
    assert "faces/stage1 computes in float16: set NOISEBOOK_DTYPE=bfloat16" in told
    told = explain_failure(NotANumber(f"x; {model.if_it_overflows}"), *about)
    assert told.count("NOISEBOOK_DTYPE=bfloat16") == 1
    full = explain_failure(MemoryError("out of memory. NOISEBOOK_SLICING=1 helps"), *about)
    assert full.startswith("out of memory: NOISEBOOK_SLICING=1 helps. Fewer cells at a time")


def test_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DEVICE": "gpu",
        "DTYPE": "half",
        "OFFLOAD": "yes",
        "SLICING": "2",
        "BATCH_SIZE": "0",
    }.items():
        monkeypatch.setenv(f"NOISEBOOK_{name}", value)
        with pytest.raises(MissingModel, match=f"NOISEBOOK_{name}={value}: "):
            settings.from_environment()
        monkeypatch.delenv(f"NOISEBOOK_{name}")
    monkeypatch.setenv("NOISEBOOK_DEVICE", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingModel, match="NOISEBOOK_DEVICE=cuda: torch finds none here; left out, it is"):
        settings.from_environment()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("NOISEBOOK_BATCH_SIZE", "3")
    monkeypatch.setenv("NOISEBOOK_SLICING", "1")
    assert settings.from_environment() == Settings("cuda", torch.float16, 3, True)


# What is refused


def test_a_prompt_is_refused(folder: Path) -> None:
    with pytest.raises(NoWords, match="'a cat' is a prompt"):
        Unconditional(folder).embed(["", "a cat"])


def test_folders_that_hold_no_such_model(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"config\.json: missing"):
        Unconditional(tmp_path)
    wrong = {
        "expected .*UNet2DModel, found AutoencoderKL": ("unet/config.json", {"_class_name": "AutoencoderKL"}),
        "2 channels; figures need 1 or 3": ("unet/config.json", {"in_channels": 2}),
        "class_embed_type is timestep; only numbers": ("unet/config.json", {"class_embed_type": "timestep"}),
        "expected a number, or .height, width.": ("unet/config.json", {"sample_size": None}),
        "3 channels come out; expected 1": ("unet/config.json", {"in_channels": 1}),
        "6 with learned_range": ("unet/config.json", {"out_channels": 6}),
        "ScoreSdeVeScheduler is not known": (SCHEDULER, {"_class_name": "ScoreSdeVeScheduler"}),
        "'sigmoid' is not known": (SCHEDULER, {"beta_schedule": "sigmoid"}),
        "predicts velocity": (SCHEDULER, {"prediction_type": "velocity"}),
        "ends in pure noise, .* v_prediction or sample": (SCHEDULER, {"rescale_betas_zero_snr": True}),
    }
    for number, (message, (file, values)) in enumerate(wrong.items()):
        with pytest.raises(MissingModel, match=message):
            Unconditional(changed(folder, tmp_path / str(number), file, **values))


SCHEDULER = "scheduler/scheduler_config.json"


def test_weights_that_do_not_fit_are_refused_before_they_are_loaded(folder: Path, tmp_path: Path) -> None:
    other = changed(folder, tmp_path / "other", "unet/config.json", block_out_channels=[16, 64])
    model = Unconditional(other)
    with pytest.raises(MissingModel, match=r"another architecture .* missing or of another size, such as"):
        model.check()
    with pytest.raises(MissingModel, match="cannot be loaded"):
        model.network.loaded()
    half = tmp_path / "half"
    shutil.copytree(folder, half)
    weights = half / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(MissingModel, match="half-downloaded"):
        Unconditional(half).check()
    weights.unlink()
    (half / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(MissingModel, match=r"no weights .* can run code"):
        Unconditional(half).check()
    part = {"weight_map": {"a": "one.safetensors"}}
    (half / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(part))
    with pytest.raises(MissingModel, match=r"one\.safetensors: missing; is the download at its end"):
        Unconditional(half).check()


def test_weights_under_their_older_names(folder: Path, tmp_path: Path) -> None:
    """The layout of 2022: no parts, and other names in attention."""
    from safetensors.torch import load_file, save_file

    for path in (
        *(folder / "unet").iterdir(),
        *(folder / "scheduler").iterdir(),
        folder / "model_index.json",
    ):
        shutil.copy(path, tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    arrays = {}
    for name, value in load_file(weights).items():
        for new, was in old.items():
            name = name.replace(f".{new}.", f".{was}.")
        arrays[name] = value
    assert any(".proj_attn." in name for name in arrays)
    save_file(arrays, weights, {"format": "pt"})
    entry = pin_model(tmp_path, "old", folder=Path())
    model = load("old/stage1", entry, tmp_path)
    x = draw_noise(generators([1]), (3, SIZE, SIZE))
    expected, _ = Unconditional(folder, model.network.settings).predict(x, 400, None)
    assert torch.equal(model.predict(x, 400, None)[0], expected)
    model.network.kind = "UNetOfTomorrow"
    with pytest.raises(MissingModel, match=r"has no UNetOfTomorrow: pip install -U"):
        model.check()


def test_arrays_that_are_missing_are_not_drawn_at_random(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, tmp_path / "less")
    weights = tmp_path / "less" / "unet" / "diffusion_pytorch_model.safetensors"
    arrays = load_file(weights)
    arrays.pop("conv_in.weight")
    save_file(arrays, weights, {"format": "pt"})
    with pytest.raises(
        MissingModel, match=r"cannot be loaded .*1 arrays are missing, such as conv_in\.weight"
    ):
        Unconditional(tmp_path / "less").network.loaded()


# From the hub


@pytest.fixture
def shelf(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A hub with one model, of so many bytes, at a revision."""
    import huggingface_hub

    place = folder.parent / "3f1a"
    if not place.exists():
        shutil.copytree(folder, place)
    state: dict[str, Any] = {"bytes": 1000, "error": None, "patterns": [], "place": place}

    def snapshot(repository: str, *, dry_run: bool = False, allow_patterns: Any, **_: Any) -> Any:
        if dry_run:
            return [SimpleNamespace(file_size=state["bytes"], will_download=True)]
        state["patterns"].append(allow_patterns)
        if state["error"]:
            raise state["error"]
        return str(place)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    card = SimpleNamespace(card_data={"license": "apache-2.0"})
    monkeypatch.setattr(huggingface_hub, "model_info", lambda *_: card)
    return state


def test_a_model_of_the_hub_is_pinned_by_its_files(
    shelf: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = catalogue.add(tmp_path, "someone/faces")
    assert line == "someone--faces/stage1: 4 files at 3f1a, apache-2.0"
    entry = read_lock(tmp_path)["someone--faces/stage1"]
    assert set(entry["files"]) == {
        "model_index.json",
        SCHEDULER,
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    }
    assert entry["repository"] == "someone/faces" and entry["description"]["conditioning"] == "none"
    assert load("someone--faces/stage1", entry, tmp_path).image_size == SIZE
    (listed,) = (each for each in catalogue.listed(tmp_path) if each.name == "someone--faces")
    assert listed.about == "draws without words, 16 pixels a side, in pixels"
    # What is pinned stays as it is pinned, whatever main is by now.
    entries = (tmp_path / "models.lock.json").read_bytes()
    assert list(catalogue.add(tmp_path, "someone/faces")) == ["someone--faces/stage1: here"]
    assert (tmp_path / "models.lock.json").read_bytes() == entries
    place = tmp_path / "hub" / "models--someone--faces" / "snapshots" / "3f1a"
    shutil.copytree(shelf["place"], place)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    shelf["error"] = OSError("no connection")
    assert load("someone--faces/stage1", entry, tmp_path).image_size == SIZE, "what is here needs none"
    (place / "model_index.json").write_text("{}")
    with pytest.raises(MissingModel, match=r"delete .*models--someone--faces, and .*add someone/faces"):
        load("someone--faces/stage1", entry, tmp_path)
    with pytest.raises(MissingModel, match="is pinned from someone/faces"):
        pin_model(tmp_path, "someone--faces", "another/faces")
    catalogue.remove(tmp_path, "someone--faces")
    assert not read_lock(tmp_path)


def test_no_room_on_the_disk(shelf: dict[str, Any], tmp_path: Path) -> None:
    shelf["bytes"] = 10**18
    with pytest.raises(MissingModel, match=r"needs 1000000000\.0 GB more .* make room, or set HF_HOME"):
        catalogue.add(tmp_path, "someone/faces").__next__()
    assert shelf["patterns"] == []
    shelf["bytes"], shelf["error"] = 0, OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(MissingModel, match="the disk is full"):
        catalogue.add(tmp_path, "someone/faces").__next__()


def test_another_pipeline_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(MissingModel, match="a FluxPipeline is not known here; known are UNet2DModel"):
        catalogue.add(tmp_path, "other").__next__()
    for file, values in (
        ("unet/config.json", {"block_out_channels": "wide"}),
        (SCHEDULER, {"beta_end": "much"}),
    ):
        shutil.rmtree(tmp_path / "other")
        changed(folder, tmp_path / "other", file, **values)
        with pytest.raises(MissingModel, match="other: its configuration is none that is known here"):
            catalogue.add(tmp_path, "other").__next__()
    with pytest.raises(MissingModel, match="owner/name is on the hub"):
        catalogue.add(tmp_path, "nothing").__next__()


def test_names_of_models() -> None:
    assert family_of({"hub": "google/ddpm-cat-256"}) == "google--ddpm-cat-256"
    assert family_of({"folder": "./weights/faces/"}) == "weights--faces"
    assert family_of("exact") == "exact"
    for wrong in ({"hub": "cats"}, {"folder": "../x"}, {"url": "a/b"}, {}, {"hub": "a/b", "folder": "c"}):
        with pytest.raises(ValueError, match="expected the name of a model"):
            family_of(wrong)
    assert "noisebook models add google/ddpm-cat-256" in hint_for("google--ddpm-cat-256")
    assert hint_for("nonsense") == ""


# In a report

SECTION = """
---
title: Faces
figures:
  - {id: tiles, generator: sample, params: {prompts: [%s], samples: [0], %s}}
  - {id: edit, generator: sdedit, params: {edits: [{picture: images/a.png, prompt: ""}], i_start: [1], %s}}
  - {id: turn, generator: anagram, params: {pairs: [{upright: "", turned: ""}], guidance: 1, %s}}
---
"""
SHORT = "first_timestep: 400, stride: 200, model: %s"


def picture(book: Book) -> None:
    (book.root / "images").mkdir(exist_ok=True)
    Image.new("RGB", (32, 32), "teal").save(book.root / "images" / "a.png")


def test_figures_without_words(folder: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(book.cache))
    monkeypatch.chdir(book.root)
    shutil.copytree(folder, book.root / "weights" / "faces")
    picture(book)
    short = SHORT % "{folder: weights/faces}"
    book.write("sections/tiles.md", SECTION % ('""', short, short, short))
    done = CliRunner().invoke(cli, ["status"])
    assert done.exit_code == 2 and "`noisebook models add weights/faces` pins it" in done.output
    assert CliRunner().invoke(cli, ["models", "add", "weights/faces"]).exit_code == 0
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 0, done.output
    figures = json.loads((book.root / "site" / "manifest.json").read_text())["figures"]
    assert [each["cells"][0]["files"][0]["width"] for each in figures] == [SIZE] * 3
    assert figures[0]["cells"][0]["provenance"]["models"] == {"stage1": "weights--faces/stage1"}


def test_words_and_second_stages_are_refused_before_anything_runs(
    folder: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(book.root)
    shutil.copytree(folder, book.root / "faces")
    picture(book)
    assert CliRunner().invoke(cli, ["models", "add", "faces"]).exit_code == 0
    short = SHORT % "faces"
    book.write("sections/tiles.md", SECTION % ("a cat", short, short, short))
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 2 and "sections/tiles.md:4" in done.output
    assert "faces/stage1 knows no words: write \"\" in place of the prompt 'a cat'" in done.output
    pairs = "generator: anagram\nparams: {pairs: [{upright: '', turned: dog}], model: faces}"
    book.write("sections/tiles.md", f"---\ntitle: Turned\n{pairs}\n---\n")
    assert "in place of the prompt 'dog'" in CliRunner().invoke(cli, ["build"]).output
    large = "---\ntitle: Large\ngenerator: super_resolve\nparams: {model: faces}\n---\n"
    book.write("sections/tiles.md", large)
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 2 and "model 'faces' has no stage2, only faces/stage1" in done.output
    assert "; use one that has: exact, net" in done.output
    book.write("sections/tiles.md", large.replace("faces}", "{url: x}}"))
    done = CliRunner().invoke(cli, ["build"])
    assert done.exit_code == 2 and "expected the name of a model, {hub: owner/name}" in done.output
