"""Score samples of each class: are they recognised, do they differ, are they like real ones?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Context, Result

from ._mnist import after
from ._mnist_judge import COMPARED
from ._mnist_sampling import RUN, Drawn, Gamma, Weights
from .mnist_classifier import need as classifier
from .mnist_training import SHORT
from .mnist_training import Params as Training

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 100


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
        Training.model_validate({**RUN, "objective": "class"}),
        examples=[{**RUN, **SHORT, "objective": "class"}],
        description="the training run",
    )
    scores: list[Score] = Field(
        [Score.model_validate(score) for score in SCORES],
        min_length=1,
        examples=[[{"epoch": epoch, "gamma": 5.0} for epoch in (1, 2)]],
        description="the sets to draw",
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
            minutes=0.02 * score.samples * (params.training.width / 64) ** 2,
        )
        for score in params.scores
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """The seed of a sample is that of the sample cell of the same class and number."""
    import torch

    from ._mnist_judge import Judge, samples

    for cell in cells:
        judge = Judge(cell, context)
        if "counts" in cell.params:
            digits = torch.tensor(context.model(cell, "data").train_digits)[:, None].float() / 255
            features, _ = judge(digits)
            noise = torch.Generator().manual_seed(context.seed(cell, "mnist floor"))
            order = torch.randperm(len(digits), generator=noise)
            [of_all] = judge.distances(features, [len(digits)])
            yield (
                cell,
                [
                    *judge.recognition(judge.features, judge.recognised, judge.labels),
                    *judge.distances(features[order], cell.params["counts"]),
                    replace(of_all, name="Fréchet distance of all"),
                ],
            )
            continue
        digits, asked = _samples(cell, context)
        digits = digits.clamp(0, 1)  # what a reader sees
        features, recognised = judge(digits)
        yield (
            cell,
            [
                *judge.recognition(features, recognised, asked),
                *judge.distances(features, sorted({COMPARED, len(digits)})),
                samples(digits, asked),
            ],
        )


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
