"""What the MNIST figures share: which digits they show, how, and how a trained network reaches them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Json, Need, Output, Stored
from noisebook.cells.outputs import vector

from .mnist_training import Params as Training

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor

    from noisebook.networks.mnist.unet import UNet

FIRST_OF_EACH_CLASS = [3, 2, 1, 18, 4, 8, 11, 0, 61, 7]
SIGMAS = [0, 0.2, 0.4, 0.6, 0.8, 1]
GAP = 2
"""Pixels between digits, before enlarging."""

Digits = Annotated[
    list[Annotated[int, Field(ge=0, lt=10_000)]],
    Field(min_length=1, max_length=24, description="test digits to show, by index; the first of each class"),
]
Sigma = Annotated[float, Field(ge=0, le=10, description="standard deviation of the noise")]


def after(training: Training, epoch: int) -> Need:
    """The training cell of an epoch. Only the last epoch's weights are published."""
    return Need("mnist_training", training.model_dump(), f"epoch={epoch}", local=epoch != training.epochs)


def run_complaints(
    training: Training,
    *objectives: str,
    epochs: Sequence[int] = (),
    weights: str = "weights",
    place: Sequence[str | int] = (),
    asked: str = "epochs",
) -> Iterator[Complaint]:
    """What a figure asks for that its training run has not.

    Args:
        objectives: that the figure is made for.
        epochs: whose checkpoints are shown; ``asked`` is the parameter that names them.
        place: of the parameters ``asked`` and ``weights``, if they are not the figure's own.
    """
    if objectives and training.objective not in objectives:
        wanted = " or ".join(f"`{each}`" for each in objectives)
        yield Complaint(("training", "objective"), f"this generator needs a run with objective {wanted}")
    if missing := [str(epoch) for epoch in epochs if epoch not in training.checkpoints]:
        kept = ", ".join(map(str, training.checkpoints))
        message = f"the run keeps no checkpoint of epoch {', '.join(missing)}; it keeps {kept}"
        yield Complaint((*place, asked), message)
    if weights == "average" and not training.average:
        yield Complaint((*place, "weights"), "the run keeps no moving average: give training.average")


def test_digits(cell: Cell, context: Context) -> Tensor:
    """The cell's test digits, (N, 1, 28, 28), in [0, 1]."""
    import torch

    chosen = context.model(cell, "data").test_digits[list(cell.params["digits"])]
    return torch.tensor(chosen)[:, None].float() / 255


def noise_for(cell: Cell, context: Context) -> Tensor:
    """(N, 1, 28, 28): each digit's own noise, the same at every level and in every figure."""
    from noisebook.diffusion.sampling import draw_noise, generators

    seeds = [context.seed(cell, "mnist test noise", index) for index in cell.params["digits"]]
    return draw_noise(generators(seeds), (1, 28, 28))


def network(trained: Stored, params: dict[str, Json], weights: str = "weights") -> UNet:
    """The network of a training cell; ``params`` are the training's."""
    import torch

    from noisebook.networks.mnist.denoiser import load_unet

    tensors = {name: torch.tensor(value) for name, value in trained.arrays(weights).items()}
    return load_unet(tensors, params["width"], params["objective"])


def greys(digits: Tensor) -> NDArray[np.uint8]:
    """Pixels clipped to [0, 1] for the eye, as bytes of the same shape."""
    result: NDArray[np.uint8] = (digits.clamp(0, 1) * 255).round().byte().numpy()
    return result


def strip(*rows: Tensor) -> NDArray[np.uint8]:
    """Rows of digits, each (N, 1, 28, 28), as one picture."""
    import torch

    return sheet(torch.stack(rows))


def sheet(digits: Tensor, scale: int = 3) -> NDArray[np.uint8]:
    """(rows, columns, 1, 28, 28) as one grey picture, ``scale`` times as large, grey between digits."""
    import numpy as np

    rows, columns = digits.shape[:2]
    side, step = 28, 28 + GAP
    small = np.full((rows * step - GAP, columns * step - GAP), 128, np.uint8)
    for i, row in enumerate(greys(digits[:, :, 0])):
        for j, digit in enumerate(row):
            small[i * step : i * step + side, j * step : j * step + side] = digit
    result: NDArray[np.uint8] = small.repeat(scale, 0).repeat(scale, 1)
    return result


def chart(name: str, draw: Any, width: int = 720, height: int = 320, panels: int = 1) -> Output:
    """An SVG by matplotlib on a white card: the same bytes for the same numbers.

    Args:
        draw: called with the axes, one or ``panels`` of them.
        width, height: CSS pixels.
    """
    import matplotlib
    from matplotlib.figure import Figure

    style = {
        "svg.hashsalt": "noisebook",
        "font.size": 9,
        "axes.grid": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.4,
    }
    with matplotlib.rc_context(style):
        figure: Figure = Figure((width / 96, height / 96), layout="constrained")
        draw(*figure.subplots(1, panels, squeeze=False)[0])
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", dpi=96, metadata={"Date": None, "Creator": None})
    return vector(name, buffer.getvalue(), width, height)


def loss_curve(name: str, recorded: dict[str, NDArray[Any]]) -> Output:
    """Training loss of every step, its running mean, and the test loss of every epoch, on a log scale."""
    import numpy as np

    train, test = recorded["train"], recorded["test"]
    per_epoch = len(train) / len(test)
    window = max(1, len(train) // 100)
    mean = np.convolve(train, np.ones(window) / window, "valid")

    def draw(axes: Any) -> None:
        steps = np.arange(1, len(train) + 1) / per_epoch
        axes.semilogy(steps, train, color="#9db7d5", linewidth=0.5, label="training, each step")
        axes.semilogy(steps[window - 1 :], mean, color="#1f5fa8", label=f"training, mean of {window} steps")
        axes.semilogy(np.arange(1, len(test) + 1), test, "o", color="#c4451c", markersize=4, label="test")
        axes.set(xlabel="epoch", ylabel="mean square error")
        axes.legend(frameon=False)

    return chart(name, draw)
