"""Train a network on MNIST; every checkpoint is a cell that goes on from the one before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Context, Json, Need, Output, Result, Stored
from noisebook.cells.outputs import arrays, number, table

from ._training import SAFETENSORS, STEPS_REPLAYED, repeat

if TYPE_CHECKING:
    from torch import Tensor

    from noisebook.networks.mnist.training import Training

SECONDS_BETWEEN_CHECKPOINTS = 180
DRAFT_DIGITS = 1_000
STATE, NEAR_END = "state.safetensors", "near_end.safetensors"
REPLAY_TOLERANCE = {"fp32": 1e-4, "bf16": 1e-2}
"""Largest relative difference of a loss, for another processor's or number of threads' rounding, which in
bfloat16 moves the first losses by some 1e-3; in the same setting there is none."""


SHORT: dict[str, Json] = {
    "width": 32,
    "batch": 32,
    "epochs": 2,
    "checkpoints": [1, 2],
    "learning_rate": 1e-3,
    "digits": 10_000,
}
"""What a first run may be: a minute or so on one core. The defaults take hours there."""


class Params(contract.Params):
    """What is learnt, and how; the defaults are the denoiser's."""

    objective: Literal["denoise", "pure_noise", "time", "class", "flow_time", "flow_class"] = Field(
        "denoise",
        description="learn the clean digit from a noisy one, or from noise alone; the noise, given the time, "
        "or time and class (DDPM); the velocity, given the time, or time and class (flow matching)",
    )
    width: int = Field(
        128,
        ge=4,
        le=512,
        multiple_of=4,
        examples=[SHORT["width"]],
        description="channels at full resolution, D",
    )
    batch: int = Field(256, ge=2, le=4096, examples=[SHORT["batch"]], description="digits in a step")
    epochs: int = Field(
        5, ge=1, le=1000, examples=[SHORT["epochs"]], description="passes over the training digits"
    )
    checkpoints: list[int] = Field(
        [1, 5],
        min_length=1,
        examples=[SHORT["checkpoints"]],
        description="epochs whose weights are kept, ascending; the last is `epochs`",
    )
    learning_rate: float = Field(
        1e-4, gt=0, le=1, examples=[SHORT["learning_rate"]], description="Adam's, in the first epoch"
    )
    decay: float = Field(
        1.0, gt=0, le=1, description="what the learning rate falls to over all epochs, a factor"
    )
    sigma: float = Field(0.5, ge=0, le=10, description="noise for `denoise`, a standard deviation")
    timesteps: int = Field(300, ge=1, le=10_000, description="T, for `time` and `class`")
    beta_first: float = Field(1e-4, gt=0, lt=1, description="β_1")
    beta_last: float = Field(0.02, gt=0, lt=1, description="β_T")
    drop: float = Field(0.1, ge=0, le=1, description="probability of dropping the class")
    average: float = Field(0.0, ge=0, lt=1, description="decay of the weights' moving average; 0 for none")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="what the network computes in while training; weights and Adam stay fp32"
    )
    digits: int = Field(
        60_000,
        ge=2,
        le=60_000,
        examples=[SHORT["digits"]],
        description="training digits used, from the first",
    )
    test_digits: int = Field(2_000, ge=1, le=10_000, description="test digits on which each epoch is judged")

    @model_validator(mode="after")
    def _checkpoints_end_the_run(self) -> Self:
        ascending = self.checkpoints == sorted(set(self.checkpoints))
        if not ascending or self.checkpoints[0] < 1 or self.checkpoints[-1] != self.epochs:
            raise ValueError(f"checkpoints must ascend from 1 or more and end with epochs, {self.epochs}")
        return self


def cells(params: Params) -> list[Cell]:
    """One cell for each checkpoint."""
    recipe = params.model_dump(exclude={"checkpoints"})
    schedule = {"timesteps", "beta_first", "beta_last"}
    unused = {
        "denoise": {*schedule, "drop"},
        "pure_noise": {*schedule, "drop", "sigma"},
        "time": {"sigma", "drop"},
        "class": {"sigma"},
        "flow_time": {*schedule, "drop", "sigma"},
        "flow_class": {*schedule, "sigma"},
    }[params.objective]
    if params.precision == "fp32":  # the default is older than the parameter, and its runs are finished
        unused = unused | {"precision"}
    recipe = {name: value for name, value in recipe.items() if name not in unused}
    speed = {"fp32": 18e6, "bf16": 36e6}[params.precision]
    result = []
    for before, epoch in zip([0, *params.checkpoints], params.checkpoints, strict=False):
        result.append(
            Cell(
                id=f"epoch={epoch}",
                label=f"epoch {epoch}",
                alt=f"Weights after {epoch} of {params.epochs} epochs.",
                params={**recipe, "epoch": epoch},
                models={"data": "mnist"},
                needs={"previous": Need("mnist_training", params.model_dump(), f"epoch={before}", local=True)}
                if before
                else {},
                minutes=(epoch - before) * params.digits * params.width**2 / speed,
            )
        )
    return result


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Train up to each cell's epoch; a checkpoint in the scratch folder is taken up."""
    for cell in sorted(cells, key=lambda cell: int(cell.params["epoch"])):
        folder = context.scratch(cell)
        if cell.needs and not (folder / STATE).exists():
            contract.write_atomically(folder / STATE, context.needed(cell, "previous").data("state"))
        context.launch(_train, cell)
        yield cell, _outputs(cell, folder)


def _train(cell: Cell, context: Context) -> None:
    """Leave the state after the cell's epoch in its scratch folder; one of possibly several processes."""
    from safetensors.torch import load_file, save

    folder = context.scratch(cell)
    training, tests = _prepared(cell, context)
    if (folder / STATE).exists():
        training.restore(load_file(folder / STATE))
    first = training.accelerator.is_main_process
    made = {"kernels": training.kernels}
    steps = int(cell.params["epoch"]) * training.steps_per_epoch
    written = monotonic()
    while training.step < steps:
        loss = training.train_step()
        if training.step % training.steps_per_epoch == 0:
            training.test(*tests)
        if not first:
            continue
        context.progress(cell, training.step, steps, f"loss {loss:.4f}")
        if training.step == steps - STEPS_REPLAYED:
            contract.write_atomically(folder / NEAR_END, save(training.state(), made))
        if training.step == steps or monotonic() - written > SECONDS_BETWEEN_CHECKPOINTS:
            contract.write_atomically(folder / STATE, save(training.state(), made))
            written = monotonic()
    training.accelerator.wait_for_everyone()


def _prepared(cell: Cell, context: Context) -> tuple[Training, tuple[Tensor, Tensor]]:
    """The run before its first step, and the digits and labels that it is judged on."""
    import torch
    from accelerate import Accelerator

    from noisebook.networks.mnist.training import Recipe, Training

    recipe = {name: value for name, value in cell.params.items() if name != "epoch"}
    digits, test_digits = recipe.pop("digits"), recipe.pop("test_digits")
    if context.draft:
        digits, test_digits = min(digits, DRAFT_DIGITS), min(test_digits, DRAFT_DIGITS)
    data = context.model(cell, "data")
    training = Training(
        Recipe(**recipe),
        torch.tensor(data.train_digits[:digits]),
        torch.tensor(data.train_labels[:digits]),
        lambda *purpose: context.seed(cell, "mnist_training", *purpose),
        Accelerator(),
    )
    return training, (
        torch.tensor(data.test_digits[:test_digits]),
        torch.tensor(data.test_labels[:test_digits]),
    )


def _outputs(cell: Cell, folder: Path) -> list[Output]:
    """The published weights are in half precision; exact resume takes the state, which stays local."""
    import numpy as np
    from safetensors import safe_open
    from safetensors.numpy import load

    data = (folder / STATE).read_bytes()
    state = load(data)
    with safe_open(folder / STATE, "numpy") as file:
        kernels = file.metadata()["kernels"]
    last = cell.params["epoch"] == cell.params["epochs"]
    keep: Literal["published", "local"] = "published" if last else "local"
    outputs = [
        arrays("loss", {name: state[f"{name}_loss"] for name in ("train", "test")}),
        number("test loss", float(state["test_loss"][-1])),
        number("training time", float(state["seconds"]), "s", measured=True),
        table("computed by", ["kernels"], [[kernels]], measured=True),
        Output("state", SAFETENSORS, data, keep="local"),
    ]
    for kind in ("weights", "average"):
        tensors = {
            name.removeprefix(f"{kind}/"): value.astype(np.float16) if value.ndim else value
            for name, value in state.items()
            if name.startswith(f"{kind}/")
        }
        if tensors:
            outputs.append(arrays(kind, tensors, keep))
    if (folder / NEAR_END).exists():
        outputs.append(Output("near end", SAFETENSORS, (folder / NEAR_END).read_bytes(), keep="local"))
    return outputs


def replay(cell: Cell, old: Stored | Path, context: Context) -> dict[str, Json]:
    """Repeat the first steps of a recorded run, and its last ones where their start is on this machine.

    Args:
        old: the finished cell, or the scratch folder of a run that was broken off.

    Raises:
        Disagreement: a loss differs by more than rounding.
    """
    from safetensors.torch import load, load_file

    near_end = None
    if isinstance(old, Path):
        recorded = load_file(old / STATE)["train_loss"].tolist()
    else:
        recorded = old.arrays("loss")["train"].tolist()
        with suppress(KeyError, OSError):
            near_end = load(old.data("near end"))
    training, _ = _prepared(cell, context)
    tolerance = REPLAY_TOLERANCE[training.recipe.precision]
    evidence = {"first steps": repeat(training.train_step, 0, recorded, tolerance)}
    if near_end is not None:
        training.restore(near_end)
        evidence["last steps"] = repeat(training.train_step, training.step, recorded, tolerance)
    return evidence
