"""Score samples of each class: are they recognised, do they differ, are they like real ones?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Context, Output, Result
from noisebook.cells.outputs import arrays, number, table

from ._mnist import after
from ._mnist_sampling import RUN, Drawn, Gamma, Weights
from .mnist_classifier import need as classifier
from .mnist_training import Params as Training

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 100
COMPARED = 200
"""Samples in every Fréchet distance of a chart: it depends on their number."""
DISTANCE = f"Fréchet distance of {COMPARED}"


class Score(contract.Params):
    """One set of samples."""

    epoch: int = Field(ge=1, description="the checkpoint that draws")
    gamma: Gamma = Field(description="γ")
    samples: int = Field(
        COMPARED, ge=COMPARED, le=10_000, multiple_of=10, description="how many, a tenth for each class"
    )
    weights: Weights = "weights"
    start: Literal["noise", "digits"] = Field(
        "noise", description="what x_T is: noise, or a training digit of the class with the noise of time T"
    )


SCORES = [
    {"epoch": 1, "gamma": 5.0},
    {"epoch": 5, "gamma": 5.0},
    {"epoch": 10, "gamma": 5.0},
    {"epoch": 15, "gamma": 5.0},
    {"epoch": 20, "gamma": 5.0, "samples": 1000},
    {"epoch": 20, "gamma": 0.0},
    {"epoch": 20, "gamma": 10.0},
]


class Params(Drawn):
    """Sets of samples by one training run."""

    training: Training = Field(
        Training.model_validate({**RUN, "objective": "class"}), description="the training run"
    )
    scores: list[Score] = Field(
        [Score.model_validate(score) for score in SCORES], min_length=1, description="the sets to draw"
    )


def name(score: Score) -> str:
    """The id of a set's cell."""
    how = (
        f"-{score.weights}-from-{score.start}" if score.weights != "weights" or score.start != "noise" else ""
    )
    return f"epoch={score.epoch}-gamma={score.gamma:g}-n={score.samples}{how}"


def cells(params: Params) -> list[Cell]:
    """Real digits to compare with, then one cell for each set of samples."""
    counts = sorted({COMPARED, *(score.samples for score in params.scores)})
    real = Cell(
        "real",
        "real digits",
        "What the measures say of real digits.",
        {"counts": counts},
        models={"data": "mnist"},
        needs={"classifier": classifier()},
        minutes=1,
    )
    return [real] + [
        Cell(
            name(score),
            f"epoch {score.epoch}, γ = {score.gamma:g}",
            f"Measures of {score.samples} samples after epoch {score.epoch} with γ = {score.gamma:g}, "
            f"drawn by the {score.weights} from {score.start}.",
            {
                **params.shared(params.training, score.weights),
                **{"gamma": float(score.gamma), "samples": score.samples, "start": score.start},
            },
            models={"data": "mnist"},
            needs={"trained": after(params.training, score.epoch), "classifier": classifier()},
            minutes=0.02 * score.samples,
        )
        for score in params.scores
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """The seed of a sample is that of the sample cell of the same class and number."""
    import torch

    from noisebook.networks.mnist.classifier import frechet_distance, judge, load_classifier

    for cell in cells:
        trained = context.needed(cell, "classifier").arrays("weights")
        judged = load_classifier({key: torch.tensor(value) for key, value in trained.items()})
        data = context.model(cell, "data")
        tests, labels = torch.tensor(data.test_digits)[:, None].float() / 255, torch.tensor(data.test_labels)
        features, recognised = judge(judged, tests)
        if "counts" in cell.params:
            trains = torch.tensor(data.train_digits)[:, None].float() / 255
            train_features, _ = judge(judged, trains)
            order = torch.randperm(
                len(trains), generator=torch.Generator().manual_seed(context.seed(cell, "mnist floor"))
            )
            floors = [
                number(f"Fréchet distance of {n}", frechet_distance(train_features[order[:n]], features))
                for n in cell.params["counts"]
            ]
            floors.append(number("Fréchet distance of all", frechet_distance(train_features, features)))
            yield cell, [*_recognition(features, recognised, labels, features, labels), *floors]
            continue
        digits, asked = _samples(cell, context)
        digits = digits.clamp(0, 1)  # what a reader sees
        sampled, seen = judge(judged, digits)
        yield (
            cell,
            [
                *_recognition(sampled, seen, asked, features, labels),
                *(
                    number(f"Fréchet distance of {n}", frechet_distance(sampled[:n], features))
                    for n in sorted({COMPARED, len(sampled)})
                ),
                arrays(
                    "samples",
                    {"digits": (digits * 255).round().byte().numpy(), "classes": asked.numpy()},
                    keep="local",
                ),
            ],
        )


def _recognition(
    features: Tensor, recognised: Tensor, asked: Tensor, real: Tensor, real_labels: Tensor
) -> list[Output]:
    """Accuracy, and the spread within each class as a share of real digits'."""
    from noisebook.networks.mnist.classifier import spread

    rows: list[list[Any]] = []
    for digit in range(10):
        mine = asked == digit
        right = float((recognised[mine] == digit).double().mean())
        share = spread(features[mine]) / spread(real[real_labels == digit])
        rows.append([digit, int(mine.sum()), round(100 * right, 2), round(share, 4)])
    shares = [row[3] for row in rows]
    return [
        number("recognised", 100 * float((recognised == asked).double().mean()), "%"),
        number("spread, share of real digits'", sum(shares) / 10),
        number("least spread of a class", min(shares)),
        table("classes", ["class", "digits", "recognised, %", "spread"], rows),
    ]


def _samples(cell: Cell, context: Context) -> tuple[Tensor, Tensor]:
    """Digits (N, 1, 28, 28) and their classes; finished batches are kept in the scratch folder."""
    import torch
    from safetensors.torch import load_file, save

    from ._mnist_sampling import denoiser_of, draw, sample_seed

    count = COMPARED if context.draft else int(cell.params["samples"])
    asked = [(digit, sample) for sample in range(count // 10) for digit in range(10)]
    denoiser = denoiser_of(cell, context)
    originals = None
    if cell.params["start"] == "digits":
        data = context.model(cell, "data")
        places = [(data.train_labels == digit).nonzero()[0][sample] for digit, sample in asked]
        originals = torch.tensor(data.train_digits[places])[:, None].float() / 255
    done: list[Tensor] = []
    for start in range(0, count, BATCH):
        batch = asked[start : start + BATCH]
        file = context.scratch(cell) / f"samples-{start}.safetensors"
        if not file.exists():
            seeds = [sample_seed(cell, context, digit, sample) for digit, sample in batch]
            classes = [digit for digit, _ in batch]
            gamma = float(cell.params["gamma"])
            stride = 10 if context.draft else 1
            begin = None if originals is None else originals[start : start + BATCH]
            states = draw(denoiser, seeds, classes, gamma, cell.params["variance"], stride, begin)
            for step, x in enumerate(states):
                context.progress(cell, start + len(batch) * step / denoiser.timesteps, count, "samples")
                last = x
            contract.write_atomically(file, save({"digits": last.contiguous()}))
        done.append(load_file(file)["digits"])
    return torch.cat(done), torch.tensor([digit for digit, _ in asked])
