"""Digits out of noise, by a flow network conditioned on time, or on time and class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Complaint, Context, Files, Result
from noisebook.cells.outputs import picture

from ._mnist import after, run_complaints
from ._mnist_flow import FLOW, flow_params
from ._mnist_sampling import Gamma, Weights, loss_cell
from .mnist_training import SHORT
from .mnist_training import Params as Training


class Solved(contract.Params):
    """How the flow is integrated from noise to digits."""

    steps: int = Field(50, ge=1, le=1000, description="steps from noise to digit")
    solver: Literal["euler", "heun"] = Field(
        "euler", description="first order, one model call a step; or second order, two calls"
    )
    weights: Weights = "weights"
    precision: Literal["fp32", "bf16"] = Field("bf16", description="what the network computes in")


class Params(Solved):
    """The loss of a run; digits after some of its epochs; or how they come about."""

    show: Literal["loss", "samples", "animation"] = Field(
        examples=["samples"],
        description="the loss curve; samples after some epochs; how the samples come about",
    )
    training: Training = Field(
        Training.model_validate({**FLOW, "objective": "flow_class"}),
        examples=[{**FLOW, **SHORT, "objective": "flow_class"}],
        description="the training run, with objective `flow_time` or `flow_class`",
    )
    epochs: list[int] = Field([10], min_length=1, examples=[[1, 2]], description="checkpoints to sample with")
    classes: list[Annotated[int, Field(ge=0, le=9)]] = Field(
        list(range(10)), min_length=1, description="a column for each; without classes just so many columns"
    )
    gamma: Gamma = 5.0
    samples: int = Field(4, ge=1, le=100, description="rows")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run fits."""
    training, epochs = params.training, params.epochs
    yield from run_complaints(training, "flow_time", "flow_class", epochs=epochs, weights=params.weights)


def cells(params: Params) -> list[Cell]:
    """The curve; or a sheet, or an animation, for each epoch."""
    if params.show == "loss":
        return [loss_cell(params.training)]
    conditional = params.training.objective == "flow_class"
    columns = len(params.classes)
    classes = params.classes if conditional else [None] * columns
    found = []
    for epoch in params.epochs:
        label = f"epoch {epoch}" + (f", γ = {params.gamma:g}" if conditional else "")
        grid = [(row, column) for row in range(params.samples) for column in range(columns)]
        found.append(
            Cell(
                f"epoch={epoch}",
                label,
                f"{len(grid)} digits" + (", a column for each class" if conditional else "") + f": {label}.",
                {
                    **flow_params(params.training),
                    **params.model_dump(include={"steps", "solver", "weights", "precision", "show"}),
                    "classes": [classes[column] for _, column in grid],
                    # Without classes every sample needs a number of its own, or all columns were alike.
                    "samples": [row if conditional else row * columns + column for row, column in grid],
                    "columns": columns,
                    "gamma": float(params.gamma) if conditional else 1.0,
                },
                needs={"trained": after(params.training, epoch)},
                minutes=0.0001 * params.steps * len(grid),
            )
        )
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """A sample's noise is the same after every epoch, and that of the DDPM figures."""
    from ._mnist import sheet
    from ._mnist_flow import flow
    from ._mnist_sampling import animated, loss_result, sample_seed

    for cell in cells:
        params = cell.params
        if params["show"] == "loss":
            yield loss_result(cell, context)
        elif params["show"] == "animation":
            yield animated(cell, context, flow)
        else:
            numbered = zip(params["classes"], params["samples"], strict=True)
            seeds = [sample_seed(cell, context, label, sample) for label, sample in numbered]
            for step, x in enumerate(flow(cell, context)(seeds, params["classes"])):
                context.progress(cell, step, params["steps"])
                last = x
            yield cell, [picture("picture", sheet(last.reshape(-1, params["columns"], 1, 28, 28)))]
