"""Digits out of noise, by the network conditioned on time alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, Result

from ._mnist import after, run_complaints
from ._mnist_sampling import RUN, Sampled, loss_cell
from .mnist_training import SHORT
from .mnist_training import Params as Training


class Params(Sampled):
    """The loss of a run; samples after some of its epochs; or how they come about."""

    training: Training = Field(
        Training.model_validate({**RUN, "objective": "time"}),
        examples=[{**RUN, **SHORT, "objective": "time"}],
        description="the training run, with objective `time`",
    )
    samples: int = Field(20, ge=1, le=1000, description="samples after each epoch")
    columns: int = Field(10, ge=1, le=24, description="samples in a row of the animation")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run fits, and the animation's rows are full."""
    yield from run_complaints(params.training, "time", epochs=params.epochs, weights=params.weights)
    if params.show == "animation" and params.samples % params.columns:
        yield Complaint(("samples",), f"samples must be a multiple of columns, {params.columns}")


def cells(params: Params) -> list[Cell]:
    """One cell for each epoch and sample; or one animation for each epoch."""
    if params.show == "loss":
        return [loss_cell(params.training)]
    shared = params.shared(params.training, params.weights)
    found = []
    for epoch in params.epochs:
        needs = {"trained": after(params.training, epoch)}
        if params.show == "animation":
            found.append(
                Cell(
                    f"epoch={epoch}",
                    f"epoch {epoch}",
                    f"{params.samples} digits coming out of noise, by the network after epoch {epoch}.",
                    {
                        **shared,
                        "classes": [None] * params.samples,
                        "samples": list(range(params.samples)),
                        "columns": params.columns,
                        "gamma": 0.0,
                    },
                    needs=needs,
                    minutes=0.01 * params.samples,
                )
            )
            continue
        for sample in range(params.samples):
            found.append(
                Cell(
                    f"epoch={epoch}-sample={sample}",
                    f"epoch {epoch}" if sample == 0 else "",
                    f"Sample {sample} after epoch {epoch}.",
                    {**shared, "class": None, "gamma": 0.0, "sample": sample},
                    needs=needs,
                    minutes=0.01,
                )
            )
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Samples are drawn in batches; each has its own generator."""
    from ._mnist_sampling import animated, loss_result, sampled

    yield from (loss_result(cell, context) for cell in cells if cell.params.get("show") == "loss")
    yield from (animated(cell, context) for cell in cells if "classes" in cell.params)
    yield from sampled([cell for cell in cells if "sample" in cell.params], context)
