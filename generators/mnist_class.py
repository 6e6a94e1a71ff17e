"""Digits of a class, by the network conditioned on time and class, with guidance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, Result

from ._mnist import after, run_complaints
from ._mnist_sampling import RUN, Gamma, Sampled, loss_cell
from .mnist_training import SHORT
from .mnist_training import Params as Training


class Params(Sampled):
    """The loss of a run; digits after some of its epochs and for some γ; or how they come about."""

    training: Training = Field(
        Training.model_validate({**RUN, "objective": "class"}),
        examples=[{**RUN, **SHORT, "objective": "class"}],
        description="the training run, with objective `class`",
    )
    classes: list[Annotated[int, Field(ge=0, le=9)]] = Field(
        list(range(10)), min_length=1, description="digits to ask for"
    )
    guidance: list[Gamma] = Field([5.0], min_length=1, description="γ of each grid")
    samples: int = Field(2, ge=1, le=100, description="samples of each class")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run fits."""
    yield from run_complaints(params.training, "class", epochs=params.epochs, weights=params.weights)


def cells(params: Params) -> list[Cell]:
    """One cell for each epoch, γ, sample and class; or one animation for each epoch and γ."""
    if params.show == "loss":
        return [loss_cell(params.training)]
    shared = params.shared(params.training, params.weights)
    found = []
    for epoch, gamma in ((epoch, gamma) for epoch in params.epochs for gamma in params.guidance):
        needs = {"trained": after(params.training, epoch)}
        label = f"epoch {epoch}, γ = {gamma:g}"
        name = f"epoch={epoch}-gamma={gamma:g}"
        grid = [(sample, digit) for sample in range(params.samples) for digit in params.classes]
        if params.show == "animation":
            found.append(
                Cell(
                    name,
                    label,
                    f"Digits coming out of noise, a column for each class: {label}.",
                    {
                        **shared,
                        "classes": [digit for _, digit in grid],
                        "samples": [sample for sample, _ in grid],
                        "columns": len(params.classes),
                        "gamma": float(gamma),
                    },
                    needs=needs,
                    minutes=0.02 * len(grid),
                )
            )
            continue
        for sample, digit in grid:
            found.append(
                Cell(
                    f"{name}-class={digit}-sample={sample}",
                    f"{digit}",
                    f"Asked for {digit}: sample {sample}, {label}.",
                    {**shared, "class": digit, "gamma": float(gamma), "sample": sample},
                    needs=needs,
                    minutes=0.02,
                )
            )
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Samples are drawn in batches; each has its own generator."""
    from ._mnist_sampling import animated, loss_result, sampled

    yield from (loss_result(cell, context) for cell in cells if cell.params.get("show") == "loss")
    yield from (animated(cell, context) for cell in cells if "classes" in cell.params)
    yield from sampled([cell for cell in cells if "sample" in cell.params], context)
