"""Drawing digits with a flow network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from noisebook.cells.contract import Cell, Context, Json

from ._mnist_sampling import Process
from .mnist_training import Params as Training

if TYPE_CHECKING:
    from torch import Tensor

FLOW: dict[str, Json] = {
    "width": 64,
    "batch": 64,
    "epochs": 10,
    "checkpoints": [1, 5, 10],
    "learning_rate": 1e-2,
    "decay": 0.1,
    "average": 0.999,
    "precision": "bf16",
}
"""How both flow networks are trained."""


def flow_params(training: Training) -> dict[str, Json]:
    """What a cell must say of the run to rebuild its network."""
    return training.model_dump(include={"objective", "width"})


def flow(cell: Cell, context: Context) -> Process:
    """How a cell draws from a network that has learnt a velocity: by ``steps`` steps of its ``solver``."""
    from noisebook.diffusion.flow import euler, heun, integrate, times
    from noisebook.diffusion.guidance import ClassifierFreeGuidance
    from noisebook.diffusion.sampling import draw_noise, generators
    from noisebook.networks.mnist.velocity import velocity_field

    from ._mnist import network

    params = dict(cell.params)
    net = network(context.needed(cell, "trained"), params, params["weights"])
    solver = {"euler": euler, "heun": heun}[params["solver"]]
    steps = min(params["steps"], 5) if context.draft else params["steps"]

    def process(seeds: Sequence[int], classes: Sequence[int | None]) -> Iterator[Tensor]:
        x = draw_noise(generators(seeds), (1, 28, 28))
        yield x
        guidance = ClassifierFreeGuidance(params["gamma"])
        velocity = velocity_field(net, classes, guidance, params["precision"])
        for state in integrate(x, times(steps), velocity, solver):
            yield state.x

    return process
