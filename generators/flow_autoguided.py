"""Digits that a flow without classes draws away from a worse version of itself: sheets and scores over γ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Complaint, Context, Files, Result

from ._mnist import after, run_complaints
from ._mnist_flow import FLOW, flow_params
from ._mnist_judge import COMPARED, Samples
from ._mnist_sampling import Gamma
from .mnist_classifier import need as classifier
from .mnist_training import SHORT
from .mnist_training import Params as Training

ROWS, COLUMNS = 4, 10
"""Of the samples that a sheet shows."""


class Params(contract.Params):
    """A set of samples for each γ."""

    training: Training = Field(
        Training.model_validate({**FLOW, "objective": "flow_time"}),
        examples=[{**FLOW, **SHORT, "objective": "flow_time"}],
        description="the run that draws, with objective `flow_time`",
    )
    gammas: Annotated[
        list[Gamma],
        Field(
            min_length=1, description="γ, of which 1 is the network alone, and more is away from the other"
        ),
    ] = Field([2.0, 3.0])
    epoch: int = Field(1, ge=1, description="the checkpoint that is the worse version")
    steps: int = Field(50, ge=1, le=1000, description="Euler steps, each with a call of both networks")
    samples: Samples = 1000
    precision: Literal["fp32", "bf16"] = Field("bf16", description="what the networks compute in")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run has no classes, and keeps the worse version."""
    yield from run_complaints(params.training, "flow_time", epochs=[params.epoch], asked="epoch")


def cells(params: Params) -> list[Cell]:
    """One for each γ."""
    return [
        Cell(
            f"gamma={gamma:g}",
            f"γ = {gamma:g}",
            f"Forty of {params.samples} digits drawn away from epoch {params.epoch} with γ = {gamma:g}.",
            {
                **flow_params(params.training),
                **params.model_dump(include={"epoch", "steps", "samples", "precision"}),
                **{"kind": "autoguidance", "gamma": float(gamma)},
            },
            models={"data": "mnist"},
            needs={
                "trained": after(params.training, params.training.epochs),
                "worse": after(params.training, params.epoch),
                "classifier": classifier(),
            },
            minutes=1.2e-4 * params.samples * params.steps,
        )
        for gamma in params.gammas
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """A sample starts from the same noise with every γ, and as in the other sets of scores."""
    from noisebook.cells.outputs import number, picture
    from noisebook.networks.mnist.classifier import frechet_distance

    from ._mnist import sheet
    from ._mnist_judge import Judge
    from .mnist_calls import _confident
    from .mnist_guidance import _samples

    for cell in cells:
        judge = Judge(cell, context)
        digits, _ = _samples(cell, context)
        features, _ = judge(digits)
        yield (
            cell,
            [
                picture("picture", sheet(digits[: ROWS * COLUMNS].unflatten(0, (ROWS, COLUMNS)))),  # type: ignore[no-untyped-call]
                number("confident", 100 * _confident(judge.classifier, digits), "%"),
                *judge.distances(features, [COMPARED]),
                number("Fréchet distance", frechet_distance(features, judge.features)),
            ],
        )
