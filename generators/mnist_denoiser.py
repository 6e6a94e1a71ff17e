"""What the one-step denoiser of digits has learnt: its loss, its answers, and noise that it never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, Json, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import number, picture

from ._mnist import FIRST_OF_EACH_CLASS, SIGMAS, Digits, Sigma, after, run_complaints
from ._mnist_sampling import loss_cell
from .mnist_training import SHORT
from .mnist_training import Params as Training


class Params(Base):
    """One of three views of a training run."""

    show: Literal["loss", "epochs", "sigmas"] = Field(
        examples=["epochs"],
        description="the loss curve; digits denoised after some epochs; digits denoised over noise levels",
    )
    training: Training = Field(
        Training.model_validate({}),
        examples=[SHORT],
        description="the training run; its objective must be `denoise`",
    )
    epochs: list[int] = Field(
        [1, 5], min_length=1, examples=[[1, 2]], description="checkpoints that `epochs` shows"
    )
    sigmas: Annotated[list[Sigma], Field(min_length=1, description="noise levels that `sigmas` shows")] = (
        SIGMAS
    )
    digits: Digits = FIRST_OF_EACH_CLASS
    measured_on: int = Field(
        1_000, ge=1, le=10_000, description="test digits that the numbers are means over"
    )


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run must be a denoiser's and keep the epochs that are shown."""
    shown = params.epochs if params.show == "epochs" else []
    yield from run_complaints(params.training, "denoise", epochs=shown)


def cells(params: Params) -> list[Cell]:
    """The curve; or clean, noisy and denoised rows; or noisy over denoised for each level."""
    last = params.training.epochs
    if params.show == "loss":
        return [loss_cell(params.training)]
    n, sigma = len(params.digits), params.training.sigma
    shared: dict[str, Json] = {"digits": params.digits, "width": params.training.width}
    if params.show == "sigmas":
        return [
            Cell(
                f"sigma={level:g}",
                f"σ = {level:g}",
                f"{n} test digits with noise of {level:g}, and below each its denoised version.",
                {**shared, "show": "sigmas", "sigma": float(level), "measured_on": params.measured_on},
                models={"data": "mnist"},
                needs={"trained": after(params.training, last)},
            )
            for level in params.sigmas
        ]
    found = [
        Cell(
            show,
            label,
            alt,
            {"show": show, "digits": params.digits, "sigma": level},
            models={"data": "mnist"},
        )
        for show, label, alt, level in (
            ("clean", "clean", f"{n} test digits.", 0.0),
            ("noisy", f"noisy, σ = {sigma:g}", f"The same digits with noise of {sigma:g}.", sigma),
        )
    ]
    return found + [
        Cell(
            f"epoch={epoch}",
            f"denoised, epoch {epoch}",
            f"The same noisy digits, denoised after {epoch} epochs of training.",
            {**shared, "show": "denoised", "sigma": sigma, "measured_on": params.measured_on},
            models={"data": "mnist"},
            needs={"trained": after(params.training, epoch)},
        )
        for epoch in params.epochs
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Every row has the same digits under the same noise."""
    from ._mnist import loss_curve, network, noise_for, strip, test_digits

    for cell in cells:
        show = cell.params["show"]
        if show == "loss":
            recorded = context.needed(cell, "trained").arrays("loss")
            yield (
                cell,
                [
                    loss_curve("picture", recorded),
                    number("test loss", float(recorded["test"][-1])),
                    number(
                        "training loss, mean of the last 100 steps", float(recorded["train"][-100:].mean())
                    ),
                ],
            )
            continue
        noisy = test_digits(cell, context) + cell.params["sigma"] * noise_for(cell, context)
        if not cell.needs:
            yield cell, [picture("picture", strip(noisy))]
            continue
        net = network(context.needed(cell, "trained"), {**cell.params, "objective": "denoise"})
        rows = [noisy, net(noisy)] if show == "sigmas" else [net(noisy)]
        yield (
            cell,
            [
                picture("picture", strip(*rows)),
                number("mean square error", _error(cell, context, net)),
            ],
        )


def _error(cell: Cell, context: Context, net: object) -> float:
    """The network's mean square error over test digits under the cell's noise."""
    import torch

    assert callable(net)
    count = 100 if context.draft else int(cell.params["measured_on"])
    digits = torch.tensor(context.model(cell, "data").test_digits[:count])[:, None].float() / 255
    generator = torch.Generator().manual_seed(context.seed(cell, "mnist test error"))
    noisy = digits + cell.params["sigma"] * torch.randn(digits.shape, generator=generator)
    batches = zip(torch.split(noisy, 250), torch.split(digits, 250), strict=True)
    return sum(float(((net(z) - x) ** 2).sum()) for z, x in batches) / digits.numel()
