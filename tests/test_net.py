"""The embedded network: its shape, its pictures, a training run that may be killed, and published weights."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from noisebook.generators import _net_sheet, net_training
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from noisebook.cells.contract import Disagreement, derive_seed
from noisebook.cells.store import Store
from noisebook.diffusion.denoiser import Denoiser, Enlarge
from noisebook.diffusion.schedules import clean, forward, squared_cosine
from noisebook.models import captions as teaching
from noisebook.models import net, tokens
from noisebook.models.library import Library, Picture, write
from noisebook.models.lock import MissingModel, read_lock
from noisebook.models.lock import load as load_model
from noisebook.models.text import WEIGHTS
from noisebook.networks.text import training as net_training_module
from noisebook.networks.text.denoiser import NetDenoiser
from noisebook.networks.text.muon import orthogonal
from noisebook.networks.text.network import TEXT_WIDTH, Network, Shape, halved, shape_of
from noisebook.networks.text.training import BANDS, Recipe, Training, draw_batch, log_noise, weight
from tests.fake_context import FakeContext, FakeStored, run
from tools import checkpoints

TINY = Shape(channels=(16, 16, 32), blocks=(1, 1, 1), looks=2)
LARGE = Shape(
    size=256, patch=8, channels=(16, 16), blocks=(1, 1), reads=1, looks=2, coarse=False, enlarges=True
)
RECIPE = Recipe(shape=TINY, batch=8, average=0.9)
COLOURS = {"apple": (200, 40, 40), "sea": (30, 90, 200), "leaf": (40, 160, 60), "sun": (240, 200, 40)}


pytestmark = pytest.mark.usefixtures("one_thread")


def seed(*purpose: Any) -> int:
    return derive_seed(42, *purpose)


def generator(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def said(texts: Sequence[str]) -> np.ndarray:
    """Tokens of a text without an encoder: as many as it has words, and two."""
    out = np.zeros((len(texts), tokens.LENGTH, TEXT_WIDTH), np.float16)
    for row, text in zip(out, texts, strict=True):
        count = min(tokens.LENGTH, 2 + len(text.split()))
        row[:count] = np.random.default_rng(derive_seed(0, text)).standard_normal((count, TEXT_WIDTH))
    return out


def plainly(names: Sequence[str]) -> list[tuple[int, ...]]:
    return [(len(name.split()), len(name)) for name in names]


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path / "user"))
    monkeypatch.setattr(tokens, "encode", said)
    monkeypatch.setattr(tokens, "commonness", plainly)
    monkeypatch.setattr(net_training, "TESTED", {1: 16, 2: 4})
    for cached in (_net_sheet.tokens, _net_sheet.captioned):
        cached.cache_clear()


def small_library(folder: Path) -> Path:
    """Discs and rings of a few colours in five drawing styles, and a scene of this project's own."""
    pictures = []
    axis = np.arange(64) - 31.5
    distance = np.hypot(axis[:, None], axis[None])
    for name, colour in COLOURS.items():
        for k, style in enumerate(("3d", "flat", "cartoon", "icon", "drawing")):
            pixels = np.zeros((64, 64, 4), np.uint8)
            pixels[..., :3] = colour
            pixels[..., 3] = 255 * ((distance < 28 - k) & (distance > 2 * k))
            pictures.append((Picture(name, style, "piece", f"{style}/{name}.png"), _png(pixels)))
    scene = np.full((64, 64, 4), 255, np.uint8)
    scene[40:, :, :3] = (40, 160, 60)
    pictures.append((Picture("meadow", "drawn", "scene", "drawn/meadow.png"), _png(scene)))
    path = folder / "library.zip"
    write(path, pictures)
    return path


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return teaching_library(small_library(tmp_path))


def teaching_library(path: Path) -> Library:
    from noisebook.models.library import shipped

    return shipped(path)


class Colours:
    """Captioned pictures without files: a flat colour and its name."""

    def __init__(self, size: int = 64) -> None:
        self.size = size

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        which = torch.randint(0, 3, (count,), generator=generator)
        return torch.eye(3)[which].mul(1.6).sub(0.8)[..., None, None].expand(
            -1, -1, self.size, self.size
        ).clone(), which + 1


TOKENS = torch.from_numpy(said(["", "red", "green", "blue"]))


def lively(shape: Shape, number: int = 1) -> Network:
    """A network whose last layers do not begin at zero."""
    torch.manual_seed(number)
    network = Network(shape).to(memory_format=torch.channels_last)
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    return network.eval().requires_grad_(False)


def read(texts: Sequence[str]) -> Tensor:
    return torch.from_numpy(said(texts)).float()


# The network


def test_a_picture_of_half_the_size_enters_where_the_grid_is_the_same() -> None:
    network, grids = lively(TINY), []
    for level in network.levels:
        level.falling[0].register_forward_pre_hook(lambda _, inputs: grids.append(inputs[0].shape[-1]))
    words, noise = read(["a cat"]), torch.zeros(1)
    assert network(torch.zeros(1, 3, 64, 64), noise, words).shape == (1, 3, 64, 64)
    assert network(torch.zeros(1, 3, 32, 32), noise, words).shape == (1, 3, 32, 32)
    assert grids == [32, 16, 8, 16, 8]
    with pytest.raises(ValueError, match="coarse"):
        Shape(channels=(16,), blocks=(1,))
    with pytest.raises(ValueError, match="divides"):
        Shape(size=60)
    assert shape_of(json.loads(json.dumps(net_training.Params().shape()))).size == 64


def test_a_halved_noisy_picture_is_one_with_half_the_noise() -> None:
    alpha = squared_cosine()[600]
    x = forward(torch.zeros(64, 3, 64, 64), float(alpha), torch.randn(64, 3, 64, 64, generator=generator()))
    small, noise = halved(x, log_noise(alpha).expand(64))
    ratio = math.exp(2 * float(noise[0]))  # σ²/α²
    assert ratio == pytest.approx(float((1 - alpha) / alpha) / 4, rel=1e-4)
    assert float(small.var()) == pytest.approx(ratio / (1 + ratio), rel=0.02)


def test_words_and_noise_both_matter_and_padding_does_not() -> None:
    network, x = lively(TINY), torch.randn(1, 3, 64, 64, generator=generator())
    words, noise = read(["a red cat"]), torch.zeros(1)
    answer = network(x, noise, words)
    assert not torch.allclose(answer, network(x, noise, read(["a blue cat"])), atol=1e-3)
    assert not torch.allclose(answer, network(x, noise + 1, words), atol=1e-3)
    # The mean is that of the tokens that are there.
    network.levels[1].falling[0].attention = network.levels[1].rising[0].attention = None
    for block in (network.levels[2].falling[0], network.levels[2].middle, network.levels[2].rising[0]):
        block.attention = None
    assert torch.allclose(network(x, noise, words), network(x, noise, words[:, :5]), atol=1e-5)


def test_muon_makes_steps_orthogonal() -> None:
    for shape in ((12, 40), (40, 12)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape, generator=generator())))
        assert float(values.min()) > 0.5 and float(values.max()) < 1.3


# The denoiser


@pytest.mark.parametrize("shape", [TINY, LARGE], ids=["stage I", "stage II"])
def test_the_contract(shape: Shape) -> None:
    """ε of the right type, rows that do not depend on each other, and "" for the unconditional estimate."""
    texts: list[str] = []

    def noted(asked: Sequence[str]) -> Tensor:
        texts.extend(asked)
        return read(asked)

    denoiser: Denoiser = NetDenoiser(lively(shape), noted)
    assert isinstance(denoiser, Denoiser) and denoiser.alphas_cumprod.dtype == torch.float64
    prompts: list[Any] = ["a cat", "a house", "an oil painting of a dog"]
    if shape.enlarges:
        small = torch.rand(3, 3, 64, 64, generator=generator()) * 2 - 1
        noise = torch.randn(3, 3, 256, 256, generator=generator(1))
        prompts = [Enlarge(text, small[k], noise[k], 100 * k) for k, text in enumerate(prompts)]
    x = torch.randn(3, 3, shape.size, shape.size, generator=generator(2))
    epsilon, variance = denoiser.predict(x, 690, denoiser.embed(prompts))
    assert epsilon.shape == x.shape and epsilon.dtype == torch.float32 and variance is None
    for k, prompt in enumerate(prompts):
        alone, _ = denoiser.predict(x[k : k + 1], 690, denoiser.embed([prompt]))
        assert torch.allclose(alone[0], epsilon[k], atol=0.05)  # three digits of bfloat16
    texts.clear()
    free, _ = denoiser.predict(x, 690, denoiser.embed(denoiser.unconditional(prompts)))
    assert texts == ["", "", ""] and all(type(text) is str for text in texts)
    assert (free - epsilon).abs().max() > 0.05
    if shape.enlarges:
        with pytest.raises(ValueError, match="beside"):
            denoiser.embed(["a cat"])


def test_epsilon_is_what_v_says() -> None:
    """With the true v the estimate of the clean picture is the picture."""
    picture, noise = torch.rand(1, 3, 64, 64) * 2 - 1, torch.randn(1, 3, 64, 64)
    denoiser = NetDenoiser(lively(TINY), read)
    for t in (0, 500, 990):
        alpha = float(denoiser.alphas_cumprod[t])
        v = math.sqrt(alpha) * noise - math.sqrt(1 - alpha) * picture
        denoiser.network.forward = lambda *_, v=v: v  # type: ignore[method-assign]
        x_t = forward(picture, alpha, noise)
        epsilon, _ = denoiser.predict(x_t, t, denoiser.embed(["a cat"]))
        assert torch.allclose(epsilon, noise, atol=1e-4)
        assert torch.allclose(clean(x_t, epsilon, alpha), picture, atol=0.02)


# What it is asked in training


def test_a_batch_has_every_noise_level_and_v_for_its_target() -> None:
    batch = draw_batch(replace(RECIPE, drop=0.5), Colours(), 100, generator())
    assert batch.t.sort().values.diff().unique().tolist() == [10]
    alphas = squared_cosine()[batch.t].view(-1, 1, 1, 1).float()
    picture = alphas.sqrt() * batch.x - (1 - alphas).sqrt() * batch.target
    assert torch.allclose(picture.amax((1, 2, 3)), torch.tensor(0.8), atol=1e-4)
    assert 0.35 < float((batch.captions == 0).double().mean()) < 0.65
    told = batch.captions > 0
    assert (picture[told, :, 0, 0].argmax(1) == batch.captions[told] - 1).all()


def test_stage_two_is_shown_the_small_picture_with_noise_of_the_level_that_it_is_told() -> None:
    batch = draw_batch(Recipe(shape=LARGE, batch=8), Colours(256), 40, generator())
    assert batch.low_res is not None and batch.level is not None
    assert batch.level.unique().numel() > 20 and int(batch.level.max()) <= 500
    noise = 1 - squared_cosine()[batch.level]
    assert torch.allclose(batch.low_res.var((2, 3)).mean(1).double(), noise, rtol=0.05, atol=1e-4)


def test_weights_of_noise_levels() -> None:
    alphas = squared_cosine()
    snr = alphas / (1 - alphas)
    error = 1 / (1 + snr)  # of x̂_0, where v's is 1
    assert (weight("velocity", 5, alphas) == 1).all()
    assert torch.allclose(weight("min-snr", 5, alphas), snr.clamp(max=5) * error)
    assert torch.allclose(weight("truncated", 5, alphas), (1 + snr).clamp(max=5) * error)
    assert torch.allclose(weight("sigmoid", 5, alphas), snr * error * torch.sigmoid(math.log(5) - snr.log()))


# The run


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_run_learns_logs_every_noise_level_and_resumes_bit_for_bit(
    optimizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through both sizes: what enters at the second phase has no moments before it."""
    monkeypatch.setattr(net_training_module, "STEPS_LOGGED", 6)
    monkeypatch.setattr(net_training_module, "WARM_UP", 5)
    recipe = replace(RECIPE, optimizer=optimizer, average=0.5)
    whole, first = Training(recipe, seed), Training(recipe, seed)
    for _ in range(12):
        whole.train_step(Colours(32), TOKENS, 3e-3)
    for _ in range(7):
        first.train_step(Colours(32), TOKENS, 3e-3)
    resumed = Training(recipe, seed)
    resumed.restore(first.state())
    for _ in range(5):
        resumed.train_step(Colours(32), TOKENS, 3e-3)
    for run_ in (whole, resumed):
        for _ in range(3):
            run_.train_step(Colours(64), TOKENS, 3e-3)
    again = Training(recipe, seed)
    again.restore(resumed.state())
    for run_ in (whole, again):
        run_.train_step(Colours(64), TOKENS, 3e-3)
    a, b = whole.state(), again.state()
    assert a.keys() == b.keys()
    assert [name for name in a if name != "seconds" and not torch.equal(a[name], b[name])] == []
    assert whole.step == 16 and whole.seen == 128
    assert np.isfinite(whole.bands).all() and np.shape(whole.bands) == (2, BANDS + 1)
    assert sum(whole.loss[9:12]) < 0.9 * sum(whole.loss[:3])
    judged = whole.test(Colours(64), TOKENS, 16)
    assert np.isfinite(judged).all() and judged == again.test(Colours(64), TOKENS, 16)


def test_the_average_follows_the_weights() -> None:
    run_ = Training(replace(RECIPE, average=0.75), seed)
    name = "gates.1.leave.weight"
    expected = run_.average[name].clone()
    for step in range(3):
        run_.train_step(Colours(32), TOKENS, 1e-2)
        decay = min(0.75, (2 + step) / (11 + step))
        expected = decay * expected + (1 - decay) * dict(run_.network.named_parameters())[name].detach()
    assert torch.allclose(run_.average[name], expected, atol=1e-7) and expected.abs().max() > 0
    assert torch.equal(dict(run_.averaged().named_parameters())[name], run_.average[name])
    # What a phase of larger pictures adds is young again: random weights do not linger.
    first = "gates.0.enter.weight"
    begun = run_.average[first].clone()
    run_.train_step(Colours(64), TOKENS, 1e-2)
    value = dict(run_.network.named_parameters())[first]
    assert torch.allclose(run_.average[first], 2 / 11 * begun + 9 / 11 * value, atol=1e-7)


# Captioned pictures


def test_subjects_are_the_projects_own_those_asked_for_and_the_commonest(library: Library) -> None:
    assert teaching.subjects(library, 3, ["leaf"], plainly) == ["meadow", "leaf", "sea"]
    some = teaching.subjects(library, 4, [], plainly)
    assert teaching.subjects(library, 5, [], plainly)[:4] == some
    with pytest.raises(ValueError, match="no dragon"):
        teaching.subjects(library, 3, ["dragon"], plainly)


def test_pictures_show_what_their_captions_say(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "HELD_OUT", 5)
    made = teaching.CaptionedPictures(library, ["apple", "sea", "meadow"], 32)
    pictures, captions = made.draw(300, generator())
    assert pictures.shape == (300, 3, 32, 32) and pictures.abs().max() <= 1
    texts = [made.captions[caption] for caption in captions.tolist()]
    assert made.captions[:2] == ["", teaching.NEUTRAL] and "" not in texts and teaching.NEUTRAL in texts
    for picture, text in zip(pictures, texts, strict=True):
        if text.startswith(("a pencil", "a lithograph")):
            assert picture.std(0).max() < 0.2  # no colour
        elif "apple" in text:
            assert picture[0, 16, 4:28].mean() > picture[2, 16, 4:28].mean()
        elif text == "a meadow":
            assert (picture[1, 30] > picture[0, 30]).all()  # a scene fills its frame
    again, same = made.draw(300, generator())
    assert torch.equal(again, pictures) and torch.equal(same, captions)


def test_a_part_of_the_pictures_is_kept_out(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teaching, "HELD_OUT", 5)
    names = list(COLOURS)
    seen, unseen = (teaching.CaptionedPictures(library, names, 32, unseen=side) for side in (False, True))
    files = [{piece.file for piece in each._pieces} for each in (seen, unseen)]
    assert files[1] and not files[0] & files[1] and len(files[0] | files[1]) == 20
    alone = teaching.CaptionedPictures(library, ["meadow"], 32)  # the only picture of a name is taught
    assert len(alone._pieces) == 1


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("castle", "a castle"),
        ("old man", "an old man"),
        ("amalfi coast", "the amalfi coast"),
        ("waterfalls", "waterfalls"),
        ("cross", "a cross"),
    ],
)
def test_names_as_people_say_them(name: str, phrase: str) -> None:
    assert teaching.phrase(name) == phrase


# Tokens


def test_texts_are_encoded_once_and_kept(no_encoder: None, monkeypatch: pytest.MonkeyPatch) -> None:
    known = tokens.Tokens()
    states = known.states(["a cat", "", "a cat"])
    assert states.shape == (3, tokens.LENGTH, TEXT_WIDTH) and states.dtype == np.float16
    assert (states[1] != 0).any(-1).sum() == 2  # a beginning and an end
    monkeypatch.setattr(tokens, "encode", lambda texts: pytest.fail("encoded again"))
    assert np.array_equal(tokens.Tokens().states(["a cat", ""])[0], states[0])


def test_shipped_texts_need_no_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "encode", said)
    tokens.write(tmp_path / "text.safetensors", ["a cat", ""], tokens.Tokens(folder=tmp_path))
    monkeypatch.setattr(tokens, "encode", lambda texts: pytest.fail("encoded"))
    shipped = tokens.Tokens(tmp_path / "text.safetensors", tmp_path / "elsewhere")
    assert np.array_equal(shipped.states(["", "a cat"]), said(["", "a cat"]))
    monkeypatch.setattr(tokens, "WEIGHTS", WEIGHTS[::-1])
    assert tokens._read(tmp_path / "text.safetensors") == {}


# Checkpoints


def phase(size: int = 32, pictures: int = 16, **others: Any) -> dict[str, Any]:
    return {"size": size, "subjects": 4, "pictures": pictures, **others}


def tiny(*phases: dict[str, Any], **others: Any) -> net_training.Params:
    return net_training.Params.model_validate(
        {
            "phases": list(phases) or [phase()],
            "every": 8,
            "batch": 8,
            "channels": [16, 16, 32],
            "blocks": [1, 1, 1],
            "always": ["sea"],
            "library": "library.zip",
            "prompts": ["a sea", ""],
            **others,
        }
    )


def test_a_run_is_continued_by_adding_to_it() -> None:
    short = net_training.cells(tiny(phase()))
    longer = net_training.cells(tiny(phase(pictures=24), phase(64, 12 + 4)))
    assert [cell.id for cell in longer] == [f"pictures={n}" for n in (8, 16, 24, 32, 40)]
    assert [cell.params for cell in short] == [cell.params for cell in longer[:2]]
    assert not short[0].needs and longer[2].needs["previous"].cell == "pictures=16"
    falling = [net_training.cells(tiny(phase(pictures=n, fall=0.1)))[0].params for n in (16, 24)]
    assert falling[0] != falling[1]  # a falling rate depends on the phase's length


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"phases": [phase(256)]}, "stage 1 learns from"),
        ({"phases": [phase(pictures=15)]}, "whole batches of 8"),
        ({"blocks": [1]}, "as many blocks"),
        ({"phases": []}, "at least 1"),
    ],
)
def test_bad_parameters_are_told(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        tiny(**{"phases": [phase()], **wrong})


def trained(folder: Path, params: net_training.Params) -> tuple[list[Any], list[FakeStored]]:
    """Every cell of a run, one after another."""
    cells, done = net_training.cells(params), []
    for k, cell in enumerate(cells):
        scratch = folder / f"scratch{k}"
        scratch.mkdir()
        context = FakeContext(
            root=folder, scratch=scratch, needed=dict.fromkeys(cell.needs, done[-1]) if done else {}
        )
        done.append(FakeStored(list(run(net_training, [cell], context)[cell.id].values())))
    return cells, done


def test_checkpoints_go_on_from_one_another_and_leave_what_is_promised(
    no_encoder: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_library(tmp_path)
    monkeypatch.setattr(teaching, "HELD_OUT", 5)
    cells, done = trained(tmp_path, tiny(phase(), phase(64, 8)))
    last = done[-1]
    assert set(last.outputs) == {
        *("picture", "error of v by noise level", "error of v", "loss"),
        *("training time", "speed", "computed in", "weights", "state"),
    }
    assert {name for name, o in last.outputs.items() if o.keep == "local"} == {"weights", "state"}
    assert last.outputs["picture"].width == 128  # two prompts of 64 pixels
    losses = last.arrays("loss")
    assert len(losses["loss"]) == 3 and np.isfinite(losses["unseen"]).all()
    assert all(value.dtype == np.float16 for value in last.arrays("weights").values())
    context = FakeContext(root=tmp_path, needed={"previous": done[1]})
    evidence = net_training.replay(cells[2], last, context)
    assert evidence["first steps"].startswith("3,") and evidence["later steps"].startswith("1,")
    changed = replace(cells[2], params={**cells[2].params, "gamma": 2.0})
    with pytest.raises(Disagreement, match="the loss of step"):
        net_training.replay(changed, last, context)


def test_a_run_begins_again_from_averaged_weights_alone(
    no_encoder: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_library(tmp_path)
    monkeypatch.setattr(teaching, "HELD_OUT", 5)
    still = phase(64, 16, restart=True, learning_rate=1e-30)
    params = tiny(phase(), still)
    cells, done = trained(tmp_path, params)
    assert [tuple(cell.needs) for cell in cells] == [(), ("previous",), ("averaged",), ("previous",)]
    assert [need.local for cell in cells for need in cell.needs.values()] == [True, False, True]
    plain = net_training.cells(tiny(phase()))
    assert [cell.params for cell in plain] == [cell.params for cell in cells[:2]]
    before, after = (each.arrays("weights") for each in done[1:3])
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert len(done[2].arrays("loss")["loss"]) == 3
    assert np.array_equal(done[2].arrays("loss")["loss"][:2], done[1].arrays("loss")["loss"])
    state = done[2].arrays("state")
    assert int(state["seen"]) == 24 and state["seconds"] > done[1].arrays("state")["seconds"]
    kept = [output for name, output in done[1].outputs.items() if name != "state"]
    context = FakeContext(root=tmp_path, needed={"averaged": FakeStored(kept)})
    evidence = net_training.replay(cells[2], done[2], context)
    assert evidence["first steps"].startswith("3,") and evidence["later steps"].startswith("1,")
    bare = [output for output in kept if output.name != "weights"]
    context = FakeContext(root=tmp_path, scratch=tmp_path, needed={"averaged": FakeStored(bare)})
    with pytest.raises(MissingModel, match="restore"):
        run(net_training, [cells[2]], context)


def test_stage_two_trains_and_shows_small_drawn_and_true(
    no_encoder: None, tmp_path: Path, monkeypatch: Any
) -> None:
    small_library(tmp_path)
    monkeypatch.setattr(teaching, "HELD_OUT", 5)
    params = tiny(phase(256, 8), stage=2, patch=8, channels=[16, 16], blocks=[1, 1], looks=2, batch=4)
    cells = net_training.cells(params)
    context = FakeContext(root=tmp_path, scratch=tmp_path, draft=True)
    [(_, outputs)] = net_training.run(cells, context)
    sheet = outputs[0]
    assert (sheet.width, sheet.height) == (_net_sheet.ENLARGED * 256, 3 * 256)


KILLED = """
    import sys, torch
    from pathlib import Path
    from noisebook.generators import _net_sheet, net_training
    from noisebook.models import tokens
    from tests import test_net
    from tests.fake_context import FakeContext, run

    torch.set_num_threads(1)
    tokens.encode, tokens.commonness = test_net.said, test_net.plainly
    net_training.SECONDS_BETWEEN_STATES = 0
    folder = Path(sys.argv[1])
    class Slow(FakeContext):
        def progress(self, *what):
            super().progress(*what)
            print(self.scratch(None) / "state.safetensors", flush=True)
    [cell] = net_training.cells(test_net.tiny(test_net.phase(pictures=96), every=96))
    run(net_training, [cell], Slow(root=folder, scratch=folder))
"""


def test_a_killed_run_ends_where_the_unbroken_one_does(no_encoder: None, tmp_path: Path) -> None:
    from safetensors.torch import load

    broken, whole = tmp_path / "broken", tmp_path / "whole"
    for folder in (broken, whole):
        folder.mkdir()
        small_library(folder)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NOISEBOOK_CACHE_DIR": str(tmp_path / "user")}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(broken)],
        stdout=subprocess.PIPE,
        env=environment,
        cwd=Path(__file__).parents[1],
        text=True,
    )
    assert process.stdout is not None
    for _ in range(5):
        assert process.stdout.readline(), "the run ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    params = tiny(phase(pictures=96), every=96)
    states = []
    for folder in (broken, whole):
        [cell] = net_training.cells(params)
        outputs = run(net_training, [cell], FakeContext(root=folder, scratch=folder))[cell.id]
        states.append(load(outputs["state"].data))
    assert 8 * len(states[0]["loss"]) == 96
    a, b = states
    assert [name for name in a if name != "seconds" and not torch.equal(a[name], b[name])] == []


# Publishing


def test_weights_are_published_pinned_and_read_back(no_encoder: None, tmp_path: Path) -> None:
    small_library(tmp_path)
    store = Store(tmp_path / "cache")
    with pytest.raises(MissingModel, match="no checkpoint of net"):
        checkpoints.publish(tmp_path, store)
    cells, done = trained(tmp_path, tiny())
    for key, cell, stored in zip(("1" * 64, "2" * 64), cells, done, strict=True):
        components = {"generator": "net_training", "params": cell.params, "seed": 42, "code": "x"}
        store.put(key, components, list(stored.outputs.values()), {})
    [line] = checkpoints.publish(tmp_path, store)
    assert "16 pictures seen" in line and "222222222222" in line
    entry = read_lock(tmp_path)["net/stage1"]
    assert set(entry["files"]) == {"models/net-stage1.safetensors", "models/net-text.safetensors"}
    denoiser = load_model("net/stage1", entry, tmp_path)
    assert denoiser.image_size == 64 and denoiser.network.shape == TINY
    assert denoiser.names[0] == "meadow" and set(denoiser.names) <= {*COLOURS, "meadow"}
    average = {
        name.removeprefix("average/"): value
        for name, value in done[1].arrays("state").items()
        if name.startswith("average/")
    }
    name = "levels.2.middle.conv1.weight"
    assert np.allclose(dict(denoiser.network.named_parameters())[name].numpy(), average[name], atol=1e-3)
    epsilon, _ = denoiser.predict(torch.zeros(1, 3, 64, 64), 500, denoiser.embed(["a rocket ship"]))
    assert torch.isfinite(epsilon).all()
    for _ in range(8):
        checkpoints.publish(tmp_path, store)
        assert read_lock(tmp_path)["net/stage1"] == entry, "nothing changed, so no pin breaks"
    (tmp_path / "models/net-stage1.safetensors").write_bytes(b"something else")
    with pytest.raises(MissingModel, match="not the pinned file"):
        load_model("net/stage1", entry, tmp_path)


def test_published_weights_go_back_to_where_training_looks(no_encoder: None, tmp_path: Path) -> None:
    small_library(tmp_path)
    store = Store(tmp_path / "cache")
    cells, done = trained(tmp_path, tiny(phase(pictures=8)))
    components = {"generator": "net_training", "params": cells[0].params, "seed": 42, "code": "x"}
    store.put("1" * 64, components, list(done[0].outputs.values()), {})
    checkpoints.publish(tmp_path, store)
    for path in store.local.iterdir():
        path.unlink()
    with pytest.raises(MissingModel, match="no checkpoint of net"):
        checkpoints.publish(tmp_path, store)
    published = tmp_path / "models/net-stage1.safetensors"
    assert "after 8 pictures" in checkpoints.restore(published, store)
    record = store.get("1" * 64)
    assert record is not None
    weights, state = record.output("weights"), record.output("state")
    assert weights is not None and store.open(weights) == published.read_bytes()
    assert state is not None and not (store.local / state.sha256).exists()
    assert "8 pictures seen" in checkpoints.publish(tmp_path, store)[0]
    published.write_bytes(b"something else")
    with pytest.raises(MissingModel, match="in no cell"):
        checkpoints.restore(published, store)
    with pytest.raises(MissingModel, match="cannot be read"):
        checkpoints.restore(tmp_path / "nowhere", store)


def test_a_file_without_weights_is_refused_by_name(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "net-stage1.safetensors"
    for content in (b"", b"no weights"):
        path.write_bytes(content)
        with pytest.raises(MissingModel, match="net-stage1"):
            net.open_network(path, net.Reader(tokens.Tokens(folder=tmp_path)))
    save_file({"a": np.zeros(3, np.float16)}, path, {"shape": json.dumps({"channels": [16, 32]})})
    with pytest.raises(MissingModel, match="net-stage1"):
        net.open_network(path, net.Reader(tokens.Tokens(folder=tmp_path)))
