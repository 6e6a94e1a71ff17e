"""What a denoiser learns from noise that has nothing of the digit: the mean digit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Complaint, Context, Files, Result
from noisebook.cells.outputs import number, picture

from ._mnist import after, run_complaints
from ._mnist_sampling import loss_cell
from .mnist_training import SHORT
from .mnist_training import Params as Training


class Params(contract.Params):
    """The loss of a run; or what it draws, beside the true mean."""

    show: Literal["loss", "samples"] = Field(
        examples=["samples"],
        description="the loss curve; outputs after some epochs, beside the mean of the training digits",
    )
    training: Training = Field(
        Training.model_validate({"objective": "pure_noise", "precision": "bf16"}),
        examples=[{**SHORT, "objective": "pure_noise"}],
        description="the training run, with objective `pure_noise`",
    )
    epochs: list[int] = Field(
        [1, 5], min_length=1, examples=[[1, 2]], description="checkpoints that `samples` shows"
    )
    samples: int = Field(10, ge=2, le=24, description="outputs in a row")
    measured_on: int = Field(200, ge=2, le=10_000, description="outputs that the numbers are means over")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run must be one of pure noise and keep the epochs that are shown."""
    yield from run_complaints(params.training, "pure_noise", epochs=params.epochs)


def cells(params: Params) -> list[Cell]:
    """The curve; or the mean digit, then a row for each epoch."""
    if params.show == "loss":
        return [loss_cell(params.training)]
    shared = {"samples": params.samples, "measured_on": params.measured_on, "width": params.training.width}
    rows = [
        Cell(
            f"epoch={epoch}",
            f"epoch {epoch}",
            f"Outputs for {params.samples} different noises after {epoch} epochs: all the same grey blur.",
            {**shared, "show": "samples", "objective": "pure_noise", "digits": params.training.digits},
            models={"data": "mnist"},
            needs={"trained": after(params.training, epoch)},
        )
        for epoch in params.epochs
    ]
    alt = "The mean of the training digits: a grey blur, brightest in the middle."
    shown: dict[str, contract.Json] = {"show": "mean", "digits": params.training.digits}
    return [Cell("mean", "mean of the training digits", alt, shown, models={"data": "mnist"}), *rows]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Distances are root mean squares over pixels, in the range 0 … 1 of a digit."""
    import torch

    from noisebook.diffusion.sampling import draw_noise, generators

    from ._mnist import network, strip
    from ._mnist_sampling import loss_result

    for cell in cells:
        params = cell.params
        if params["show"] == "loss":
            yield loss_result(cell, context)
            continue
        mean = (
            torch.tensor(context.model(cell, "data").train_digits[: params["digits"]]).double().mean(0) / 255
        )
        if params["show"] == "mean":
            yield cell, [picture("picture", strip(mean.float()[None, None]))]
            continue
        net = network(context.needed(cell, "trained"), dict(params))
        count = max(params["samples"], 20 if context.draft else params["measured_on"])
        noise = draw_noise(
            generators([context.seed(cell, "mnist sample", None, k) for k in range(count)]), (1, 28, 28)
        )
        drawn = torch.cat([net(part) for part in torch.split(noise, 100)])
        distances = (drawn[:, 0] - mean).square().mean((1, 2)).sqrt()
        centre = (drawn[:, 0].double().mean(0) - mean).square().mean().sqrt()
        yield (
            cell,
            [
                picture("picture", strip(drawn[: params["samples"]])),
                number("RMS distance of an output from the mean digit", float(distances.mean())),
                number("RMS distance of the outputs' mean from it", float(centre)),
                number("RMS spread of the outputs", float(drawn[:, 0].std(0).square().mean().sqrt())),
            ],
        )
