"""Digits judged by a classifier: the measures, and how a set of samples is drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from noisebook.generators import _mnist_judge, _mnist_sampling, mnist_evaluation, mnist_scores

from noisebook.cells.contract import Cell, Output
from noisebook.cells.outputs import arrays, number
from noisebook.networks.mnist.classifier import Classifier, frechet_distance, judge, spread, train_classifier
from noisebook.networks.mnist.unet import UNet
from tests.fake_context import FakeContext, FakeStored, run

RUN = {"objective": "class", "width": 16, "epochs": 1, "checkpoints": [1], "timesteps": 6, "average": 0.9}


pytestmark = pytest.mark.usefixtures("one_thread")


def normal(count: int, mean: float, deviation: float) -> torch.Tensor:
    """Features whose sample mean and covariance are exactly these."""
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    x -= x.mean(0)
    x = x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T))).T
    return mean + deviation * x


def test_frechet_distance_of_normal_features_is_the_closed_form() -> None:
    assert frechet_distance(normal(50, 0, 1), normal(70, 0, 1)) == pytest.approx(0, abs=1e-9)
    # |μ-μ'|² + d (σ-σ')²
    assert frechet_distance(normal(50, 1, 1), normal(70, 3, 1)) == pytest.approx(4 * 2**2)
    assert frechet_distance(normal(50, 0, 1), normal(70, 0, 3)) == pytest.approx(4 * 2**2)


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    from scipy.linalg import sqrtm

    one = torch.randn(60, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64)
    other = torch.randn(60, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64)
    first, second = torch.cov(one.T).numpy(), torch.cov(other.T).numpy()
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum().item()
    expected += np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert frechet_distance(one, other) == pytest.approx(expected)


def test_spread_is_the_mean_distance_of_two() -> None:
    assert spread(torch.tensor([[0.0], [1.0], [3.0]])) == pytest.approx((1 + 3 + 2) / 3)
    assert spread(torch.ones(5, 3)) == 0  # copies of one
    assert spread(torch.ones(1, 3)) == 0


def test_a_classifier_learns_what_it_is_shown() -> None:
    digits = torch.zeros(200, 28, 28, dtype=torch.uint8)
    labels = torch.arange(200) % 10
    for k, label in enumerate(labels.tolist()):
        digits[k, 2 * label : 2 * label + 6] = 200  # a bar whose height is the class
    *_, (done, steps, classifier) = train_classifier(digits, labels, lambda *purpose: 1, epochs=12, batch=20)
    assert done == steps == 120
    features, recognised = judge(classifier.eval(), digits[:, None].float() / 255)
    assert features.shape == (200, 128) and features.dtype == torch.float64
    assert (recognised == labels).double().mean() > 0.95


def context(scratch: Path) -> FakeContext:
    """Weights of the network draw; those of its average are 0, so that it sees no noise at all."""
    torch.manual_seed(0)
    network, classifier = UNet(16, timed=True, classes=10), Classifier()
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    average = {k: np.zeros_like(v) if v.ndim and "running" not in k else v for k, v in weights.items()}
    judged = {name: value.numpy() for name, value in classifier.state_dict().items()}
    # Of each class as many, in an order of their own.
    labels = np.array([(7 * k) % 10 for k in range(400)], np.uint8)
    digits = np.random.default_rng(0).integers(0, 256, (400, 28, 28), dtype=np.uint8)
    digits[labels == 3] = 250 + digits[labels == 3] // 52
    data = SimpleNamespace(
        train_digits=digits, train_labels=labels, test_digits=digits[:300], test_labels=labels[:300]
    )
    trained = FakeStored([arrays("weights", weights), arrays("average", average)])
    needed = {"trained": trained, "classifier": FakeStored([arrays("weights", judged)])}
    return FakeContext({"data": data}, needed=needed, scratch=scratch)


def scored(**more: Any) -> Cell:
    params = mnist_scores.Params.model_validate(
        {"training": RUN, "scores": [{"epoch": 1, "gamma": 2, **more}], "precision": "fp32"}
    )
    return mnist_scores.cells(params)[1]


def values(outputs: Mapping[str, Output]) -> dict[str, float]:
    return {
        name: json.loads(output.data)["value"]
        for name, output in outputs.items()
        if output.mime == "application/json" and "value" in json.loads(output.data)
    }


def test_a_set_has_a_tenth_of_each_class_and_its_samples_are_those_of_the_grids(tmp_path: Path) -> None:
    from noisebook.generators import mnist_class

    cell = scored()
    here = context(tmp_path)
    outputs = run(mnist_scores, [cell], here)[cell.id]
    found = values(outputs)
    assert found.keys() == {
        "recognised",
        "spread, share of real digits'",
        "least spread of a class",
        "Fréchet distance of 200",
    }
    rows = json.loads(outputs["classes"].data)["rows"]
    assert [row[:2] for row in rows] == [[digit, 20] for digit in range(10)]
    assert found["recognised"] == pytest.approx(np.mean([row[2] for row in rows]))
    samples = FakeStored(list(outputs.values())).arrays("samples")
    assert samples["digits"].shape == (200, 1, 28, 28) and samples["digits"].dtype == np.uint8
    # A sample of a grid is that of the set: whoever looks at a grid looks at what was judged.
    grid = mnist_class.Params.model_validate(
        {"show": "samples", "training": RUN, "epochs": [1], "guidance": [2], "precision": "fp32"}
    )
    shown = next(each for each in mnist_class.cells(grid) if each.id.endswith("class=4-sample=1"))
    from tests.fake_context import pixels

    drawn = pixels(run(mnist_class, [shown], here)[shown.id]["picture"])
    assert samples["classes"][14] == 4
    assert np.abs(drawn.astype(int) - samples["digits"][14, 0]).max() <= 1


def test_finished_batches_outlive_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(mnist_scores, [scored()], context(tmp_path / "whole"))
    draw, calls = _mnist_sampling.draw, []

    def dies_in_the_second(*given: Any) -> Iterator[torch.Tensor]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        yield from draw(*given)

    monkeypatch.setattr(_mnist_sampling, "draw", dies_in_the_second)
    broken = context(tmp_path / "broken")
    with pytest.raises(KeyboardInterrupt):
        run(mnist_scores, [scored()], broken)
    again = run(mnist_scores, [scored()], broken)
    assert len(calls) == 3
    assert {k: {n: o.data for n, o in v.items()} for k, v in again.items()} == {
        k: {n: o.data for n, o in v.items()} for k, v in whole.items()
    }


def test_sampling_may_start_from_noised_digits_of_the_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: dict[str, torch.Tensor] = {}
    for start in ("noise", "digits"):
        draw = _mnist_sampling.draw

        def spied(*given: Any, start: str = start, draw: Any = draw) -> Iterator[torch.Tensor]:
            for x in draw(*given):
                first.setdefault(start, x)
                yield x

        monkeypatch.setattr(_mnist_sampling, "draw", spied)
        run(mnist_scores, [scored(start=start)], context(tmp_path / start))
        monkeypatch.undo()
    kept = float(np.prod(1 - np.linspace(1e-4, 0.02, 6)))
    digit = first["digits"] - (1 - kept) ** 0.5 * first["noise"]
    # Digits of class 3 are nearly white; the others are random.
    assert (digit[3::10] / kept**0.5 - 0.99).abs().max() < 0.02
    assert digit[4::10].std() > 0.1


def test_the_average_draws_where_it_is_asked_to(tmp_path: Path) -> None:
    usual, average = scored(), scored(weights="average")
    assert usual.id != average.id and usual.params != average.params
    one = run(mnist_scores, [usual], context(tmp_path / "a"))[usual.id]["samples"].data
    other = run(mnist_scores, [average], context(tmp_path / "b"))[average.id]["samples"].data
    assert one != other


def test_real_digits_are_measured_with_the_same_counts(tmp_path: Path) -> None:
    params = mnist_scores.Params.model_validate({"training": RUN, "scores": [{"epoch": 1, "gamma": 2}]})
    real = mnist_scores.cells(params)[0]
    found = values(run(mnist_scores, [real], context(tmp_path))["real"])
    assert found["spread, share of real digits'"] == pytest.approx(1)
    assert found["Fréchet distance of all"] < found["Fréchet distance of 200"]


SETS = [
    {"epoch": 1, "gamma": 2},
    {"epoch": 1, "gamma": 2, "weights": "average"},
    {"epoch": 1, "gamma": 2, "start": "digits"},
]


def test_a_chart_has_every_score_and_a_table() -> None:
    params = mnist_evaluation.Params.model_validate({"training": RUN, "scores": SETS, "over": "how"})
    assert not list(mnist_evaluation.check(params, None))  # type: ignore[arg-type]
    [cell] = mnist_evaluation.cells(params)

    def score(k: float) -> FakeStored:
        named = {"recognised": 90 + k, "spread, share of real digits'": k / 10, _mnist_judge.DISTANCE: k}
        return FakeStored([number(name, value) for name, value in named.items()])

    here = FakeContext(needed={name: score(k) for k, name in enumerate(cell.needs, 1)})
    outputs = run(mnist_evaluation, [cell], here)["scores"]
    table = json.loads(outputs["scores"].data)
    assert [row[0] for row in table["rows"]] == [
        "average, from noise",
        "weights, from digits",
        "weights, from noise",
    ]
    assert outputs["picture"].mime == "image/svg+xml"


def test_scores_that_a_run_cannot_give() -> None:
    params = mnist_evaluation.Params.model_validate(
        {
            "training": {**RUN, "average": 0.0},
            "scores": [{"epoch": 2, "gamma": 2}, {"epoch": 1, "gamma": 2, "weights": "average"}],
            "over": "gamma",
        }
    )
    found = {complaint.loc: complaint.message for complaint in mnist_evaluation.check(params, None)}  # type: ignore[arg-type]
    assert "no checkpoint of epoch 2; it keeps 1" in found["scores", 0, "epoch"]
    assert "no moving average" in found["scores", 1, "weights"]
    assert "the same gamma" in found["over",]
