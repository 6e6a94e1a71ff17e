"""Figures of flow networks and of the denoiser of pure noise, with networks that are not trained."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from noisebook.generators import (
    flow_autoguided,
    flow_vs_ddpm,
    guidance_rules,
    mnist_calls,
    mnist_flow,
    mnist_guidance,
    mnist_pure_noise,
)
from noisebook.generators._mnist import greys
from noisebook.generators._mnist_flow import FLOW
from noisebook.generators._mnist_judge import DISTANCE

from noisebook.cells.outputs import arrays
from noisebook.diffusion.flow import integrate, times
from noisebook.diffusion.guidance import ClassifierFreeGuidance
from noisebook.diffusion.sampling import draw_noise, generators
from noisebook.networks.mnist.classifier import Classifier
from noisebook.networks.mnist.unet import Objective, UNet, unet_for
from noisebook.networks.mnist.velocity import velocity_field
from tests.fake_context import FakeContext, FakeStored, pixels, run

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = {"width": 16, "epochs": 1, "checkpoints": [1], "precision": "fp32"}


def network(objective: Objective) -> UNet:
    torch.manual_seed(0)
    return unet_for(objective, 16).eval().requires_grad_(False)


def context(scratch: Path, objective: Objective) -> FakeContext:
    generator = np.random.default_rng(0)
    digits = generator.integers(0, 256, (300, 28, 28), dtype=np.uint8)
    labels = (np.arange(300) % 10).astype(np.uint8)
    data = SimpleNamespace(train_digits=digits, train_labels=labels, test_digits=digits, test_labels=labels)
    stored = {
        "trained": network(objective).state_dict(),
        "classifier": Classifier().state_dict(),
    }
    needed = {
        name: FakeStored([arrays("weights", {key: value.numpy() for key, value in weights.items()})])
        for name, weights in stored.items()
    }
    return FakeContext({"data": data}, needed=needed, scratch=scratch)


def test_guidance_moves_the_velocity_from_that_without_a_class_through_that_with_it() -> None:
    net, x = network("flow_class"), torch.randn(3, 1, 28, 28)
    at = {
        gamma: velocity_field(net, [1, 5, 9], ClassifierFreeGuidance(gamma), "fp32")(x, 0.3)
        for gamma in (0.0, 1.0, 5.0)
    }
    assert torch.allclose(at[5.0], at[0.0] + 5 * (at[1.0] - at[0.0]), atol=1e-5)
    assert torch.allclose(at[1.0], net(x, torch.full((3,), 0.3), torch.eye(10)[[1, 5, 9]]), atol=1e-6)
    without = velocity_field(net, [None] * 3, ClassifierFreeGuidance(5.0), "fp32")(x, 0.3)
    assert torch.allclose(without, at[0.0], atol=1e-6)


@pytest.mark.parametrize("objective", ["flow_time", "flow_class"])
def test_a_sheet_is_the_last_frame_of_its_animation(tmp_path: Path, objective: Objective) -> None:
    here, shown = context(tmp_path, objective), {}
    for show in ("samples", "animation"):
        params = mnist_flow.Params.model_validate(
            {
                "show": show,
                "training": {**FLOW, **TINY, "objective": objective},
                **{"epochs": [1], "samples": 2, "steps": 4, "precision": "fp32"},
            }
        )
        assert not list(mnist_flow.check(params, None))  # type: ignore[arg-type]
        [cell] = mnist_flow.cells(params)
        shown[show] = run(mnist_flow, [cell], here)[cell.id]
    still, last = (pixels(shown[show]["picture"]) for show in ("samples", "animation"))
    assert still.shape == (3 * 58, 3 * 298) and last.shape == (2 * 58, 2 * 298)
    assert (still[::3, ::3] == last[::2, ::2]).all()
    columns = still[:84].reshape(84, -1)
    assert not (columns[:, :84] == columns[:, 90:174]).all()  # every sample has noise of its own


def test_a_flow_figure_refuses_a_run_that_is_none() -> None:
    params = mnist_flow.Params.model_validate(
        {"show": "samples", "training": {"objective": "time"}, "epochs": [3], "weights": "average"}
    )
    complaints = [str(each) for each in mnist_flow.check(params, None)]  # type: ignore[arg-type]
    assert len(complaints) == 3


def test_pure_noise_shows_the_mean_and_how_far_the_outputs_are(tmp_path: Path) -> None:
    params = mnist_pure_noise.Params.model_validate(
        {
            "show": "samples",
            "training": {"objective": "pure_noise", **TINY, "digits": 250},
            **{"epochs": [1], "samples": 3, "measured_on": 5},
        }
    )
    here = context(tmp_path, "pure_noise")
    outputs = run(mnist_pure_noise, mnist_pure_noise.cells(params), here)
    mean = here.models["data"].train_digits[:250].mean(0) / 255
    assert np.abs(pixels(outputs["mean"]["picture"])[::3, ::3] / 255 - mean).max() < 0.003
    assert pixels(outputs["epoch=1"]["picture"]).shape == (84, 3 * 88)
    found = {name: json.loads(o.data)["value"] for name, o in outputs["epoch=1"].items() if name != "picture"}
    assert len(found) == 3 and all(value > 0 for value in found.values())
    centre, each = found["RMS distance of the outputs' mean from it"], max(found.values())
    assert centre <= each + 1e-6


@pytest.mark.parametrize(
    ("objective", "sampler", "calls", "made"),
    [
        ("class", "ancestral", 4, 4),
        ("class", "ddim", 7, 7),
        ("time", "ddim", 3, 3),
        ("flow_class", "euler", 4, 4),
        ("flow_class", "heun", 8, 7),
        ("flow_time", "heun", 1, 1),
    ],
)
def test_a_set_takes_as_many_model_calls_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, objective: Any, sampler: str, calls: int, made: int
) -> None:
    seen: list[int] = []
    forward = UNet.forward

    def counted(self: UNet, x: torch.Tensor, *others: Any) -> torch.Tensor:
        seen.append(len(x))
        return forward(self, x, *others)

    monkeypatch.setattr(UNet, "forward", counted)
    params = mnist_calls.Params.model_validate(
        {
            "methods": [
                {
                    "training": {**TINY, "objective": objective},
                    **{"sampler": sampler, "calls": [calls]},
                }
            ],
            **{"gamma": 1, "samples": 200, "precision": "fp32"},
        }
    )
    assert not list(mnist_calls.check(params, None))  # type: ignore[arg-type]
    [cell] = mnist_calls.cells(params)
    here = context(tmp_path, objective)
    outputs = run(mnist_calls, [cell], here)[cell.id]
    assert sum(seen) == 200 * made
    assert ("recognised" in outputs) == ("class" in objective) and "confident" in outputs
    digits = FakeStored(list(outputs.values())).arrays("samples")["digits"]
    assert digits.shape == (200, 1, 28, 28)
    points = flow_vs_ddpm.cells(flow_vs_ddpm.Params.model_validate(params.model_dump()))
    drawn = run(
        flow_vs_ddpm,
        points,
        FakeContext(needed=dict.fromkeys(points[0].needs, FakeStored(list(outputs.values())))),
    )
    [row] = json.loads(drawn["scores"]["scores"].data)["rows"]
    assert row[:2] == [sampler, calls]
    panels = 3 if "class" in objective else 2  # no spread without a class
    assert drawn["scores"]["picture"].width == 300 * panels


def test_a_sampler_must_fit_its_network() -> None:
    params = mnist_calls.Params.model_validate(
        {"methods": [{"training": {"objective": "flow_class"}, "sampler": "ddim"}]}
    )
    [complaint] = mnist_calls.check(params, None)  # type: ignore[arg-type]
    assert "euler or heun" in str(complaint)


def test_methods_have_names_of_their_own() -> None:
    same = {"training": {"objective": "flow_class"}, "sampler": "euler", "calls": [50]}
    twice = mnist_calls.Params.model_validate({"methods": [same, same]})
    [complaint] = mnist_calls.check(twice, None)  # type: ignore[arg-type]
    assert "give a label" in str(complaint)
    named = mnist_calls.Params.model_validate({"methods": [same, {**same, "label": "Euler, average"}]})
    assert not list(mnist_calls.check(named, None))  # type: ignore[arg-type]
    assert [cell.id for cell in mnist_calls.cells(named)] == ["euler-calls=50", "Euler-average-calls=50"]


RULES: list[dict[str, Any]] = [
    {"kind": "plain", "gammas": [1, 3]},
    {"kind": "interval", "gammas": [3], "low": 0.4, "high": 0.6},
    {"kind": "autoguidance", "gammas": [1, 3]},
]


def rules(**others: Any) -> mnist_guidance.Params:
    return mnist_guidance.Params.model_validate(
        {
            "training": {**FLOW, **TINY, "objective": "flow_class"},
            **{"rules": RULES, "steps": 4, "samples": 200, "precision": "fp32", **others},
        }
    )


def test_each_rule_of_guidance_is_what_it_says(tmp_path: Path) -> None:
    here = context(tmp_path, "flow_class")
    torch.manual_seed(1)
    worse = unet_for("flow_class", 16).eval().requires_grad_(False)
    weights = {key: value.numpy() for key, value in worse.state_dict().items()}
    here._needed["worse"] = FakeStored([arrays("weights", weights)])
    cells = {cell.id: cell for cell in mnist_guidance.cells(rules())}
    x, classes = torch.randn(3, 1, 28, 28), [1, 5, 9]

    def velocity(name: str, t: float) -> torch.Tensor:
        with torch.inference_mode():
            return mnist_guidance._guided_field(cells[name], here)(classes)(x, t)

    def alone(net: UNet, t: float, conditioning: torch.Tensor) -> torch.Tensor:
        return net(x, torch.full((3,), t), conditioning)

    good, shown = network("flow_class"), torch.eye(10)[classes]
    without = alone(good, 0.5, torch.zeros(3, 10))
    conditional, reference = alone(good, 0.5, shown), alone(worse, 0.5, shown)
    assert torch.allclose(velocity("plain-gamma=1", 0.5), conditional, atol=1e-6)
    plain = without + 3 * (conditional - without)
    assert torch.allclose(velocity("plain-gamma=3", 0.5), plain, atol=1e-5)
    assert torch.allclose(velocity("interval-gamma=3", 0.5), plain, atol=1e-5)
    assert torch.allclose(velocity("interval-gamma=3", 0.7), alone(good, 0.7, shown), atol=1e-6)
    assert torch.allclose(velocity("autoguidance-gamma=1", 0.5), conditional, atol=1e-6)
    better = reference + 3 * (conditional - reference)
    assert torch.allclose(velocity("autoguidance-gamma=3", 0.5), better, atol=1e-5)


def test_rules_of_guidance_are_charted_from_sets_of_the_same_noise(tmp_path: Path) -> None:
    here = context(tmp_path, "flow_class")
    here._needed["worse"] = here._needed["trained"]
    params = rules(rules=[RULES[0], {**RULES[2], "gammas": [3]}])
    outputs = run(mnist_guidance, mnist_guidance.cells(params), here)
    # The worse version is the network itself here, so that its guidance changes nothing.
    alone, unchanged = outputs["plain-gamma=1"], outputs["autoguidance-gamma=3"]
    distances = [each[DISTANCE].data for each in (alone, unchanged, outputs["plain-gamma=3"])]
    assert distances[0] == distances[1] != distances[2]
    points = guidance_rules.cells(guidance_rules.Params.model_validate(params.model_dump()))
    needed = {name: FakeStored(list(outputs[name].values())) for name in points[0].needs}
    drawn = run(guidance_rules, points, FakeContext(needed=needed))["rules"]
    rows = json.loads(drawn["scores"].data)["rows"]
    assert [row[:2] for row in rows] == [["plain", 1], ["plain", 3], ["autoguidance", 3]]
    assert b"<svg" in drawn["picture"].data


def test_a_flow_without_classes_is_guided_by_a_worse_version(tmp_path: Path) -> None:
    here = context(tmp_path, "flow_time")
    torch.manual_seed(1)
    worse = unet_for("flow_time", 16).eval()
    weights = {key: value.numpy() for key, value in worse.state_dict().items()}
    here._needed["worse"] = FakeStored([arrays("weights", weights)])
    training = {**FLOW, **TINY, "objective": "flow_time"}
    options = {"training": training, "gammas": [1, 3], "steps": 2, "samples": 200, "precision": "fp32"}
    params = flow_autoguided.Params.model_validate(options)
    assert not list(flow_autoguided.check(params, None))  # type: ignore[arg-type]
    alone, away = run(flow_autoguided, flow_autoguided.cells(params), here).values()
    assert 0 <= json.loads(alone["confident"].data)["value"] <= 100
    assert pixels(alone["picture"]).shape == (4 * 90 - 6, 10 * 90 - 6)
    assert alone[DISTANCE].data != away[DISTANCE].data
    [cell] = flow_autoguided.cells(params)[:1]
    start = draw_noise(generators([here.seed(cell, "mnist sample", 0, 0)]), (1, 28, 28))
    field = velocity_field(network("flow_time"), [None], ClassifierFreeGuidance(1), "fp32")
    for state in integrate(start, times(2), field):
        last = state.x
    found = pixels(alone["picture"])[:84:3, :84:3]
    assert np.abs(found.astype(int) - greys(last[0, 0]).astype(int)).max() <= 1
    wrong = params.model_copy(update={"epoch": 7, "training": rules().training})
    told = [str(each) for each in flow_autoguided.check(wrong, None)]  # type: ignore[arg-type]
    assert len(told) == 2 and "flow_time" in told[0] and "no checkpoint of epoch 7" in told[1]


def test_a_rule_of_guidance_that_cannot_be_is_told() -> None:
    wrong = rules(
        rules=[
            {"kind": "interval", "gammas": [2], "low": 0.7, "high": 0.3},
            {"kind": "autoguidance", "gammas": [2], "epoch": 7},
            {"kind": "interval", "gammas": [3]},
        ],
        training={"objective": "flow_time", **TINY},
    )
    told = [str(each) for each in mnist_guidance.check(wrong, None)]  # type: ignore[arg-type]
    assert len(told) == 4 and all(
        any(word in each for each in told)
        for word in ("flow_class", "stands twice", "end after", "no checkpoint of epoch 7")
    )
