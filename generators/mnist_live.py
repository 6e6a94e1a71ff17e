"""The class-conditioned networks, packed to be run by a reader's browser, and what they should draw there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Complaint, Context, Files, Labelled, Output, Result
from noisebook.cells.outputs import number, picture

from ._mnist import FIRST_OF_EACH_CLASS, after, run_complaints
from ._mnist_flow import FLOW
from ._mnist_sampling import RUN, network_params
from .mnist_training import SHORT
from .mnist_training import Params as Training

ONNX = "application/onnx"
SAFETENSORS = "application/x-safetensors"
LARGEST_GAMMA = 10.0
DIGIT, INTO, FILLED = 4, 9, (4, 9, 6, 1, None)
"""The stored digit that the stills begin with, what they make of it, and what they fill its lower half as."""


class Params(contract.Params):
    """Which networks, and how they sample."""

    training: Training = Field(
        Training.model_validate({**RUN, "objective": "class"}),
        examples=[{**RUN, **SHORT, "objective": "class"}],
        description="the training run, with objective `class`",
    )
    flow: Training = Field(
        Training.model_validate({**FLOW, "objective": "flow_class"}),
        examples=[{**FLOW, **SHORT, "objective": "flow_class"}],
        description="the flow's training run, with objective `flow_class`",
    )
    weights: Literal["weights", "average"] = Field(
        "weights", description="as trained, or their moving average (if the runs keep one)"
    )
    choices: list[Annotated[int, Field(ge=2, le=1000)]] = Field(
        [10, 20, 40, 100], min_length=1, description="how many steps a reader can choose"
    )
    steps: int = Field(40, description="steps to begin with: one of the choices")
    guidance: float = Field(5.0, ge=0, le=LARGEST_GAMMA, description="γ to begin with")
    noise: int = Field(42, ge=0, lt=2**32, description="seed of the noise to begin with")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The runs fit each other, and the first has as many timesteps as are asked for."""
    yield from run_complaints(params.training, "class", weights=params.weights)
    if params.flow.objective != "flow_class":
        yield Complaint(("flow", "objective"), "this generator needs a run with objective `flow_class`")
    if params.weights == "average" and not params.flow.average:
        yield Complaint(("weights",), "the flow's run keeps no moving average: give flow.average")
    if params.flow.width != params.training.width:
        message = f"both networks need one width: training.width is {params.training.width}"
        yield Complaint(("flow", "width"), message)
    for place, steps in enumerate(params.choices):
        if steps > params.training.timesteps:
            yield Complaint(("choices", place), f"the run has {params.training.timesteps} timesteps")
    if params.steps not in params.choices:
        yield Complaint(("steps",), f"it must be one of the choices {params.choices}")


def cells(params: Params) -> list[Cell]:
    """One: the networks, what a sampler must know, and digits to compare with."""
    filled = ", ".join("any digit" if label is None else str(label) for label in FILLED)
    return [
        Cell(
            "network",
            "",
            "The digits 0 to 9, drawn from the same noise.",
            {**network_params(params.training), **params.model_dump(exclude={"training", "flow"})},
            models={"data": "mnist"},
            needs={
                "trained": after(params.training, params.training.epochs),
                "flow": after(params.flow, params.flow.epochs),
            },
            seed=None,
            minutes=0.5,
            pictures=[
                Labelled("picture", "from noise, by DDPM", "The digits 0 to 9, drawn from the same noise."),
                Labelled(
                    "edit",
                    f"a {DIGIT} brought back as {INTO}, by DDPM and by flow",
                    f"A handwritten {DIGIT}, and what becomes of it as a {INTO} from five levels of noise, "
                    "falling from left to right. Above DDPM, below flow.",
                ),
                Labelled(
                    "fill",
                    "its lower half filled, by DDPM and by flow",
                    f"The {DIGIT} without its lower half, and the half filled for the classes {filled}. "
                    "Above DDPM, below flow.",
                ),
            ],
        )
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Export, ask the exported networks and the originals the same, and draw."""
    from dataclasses import replace

    import torch
    from safetensors.torch import load

    from noisebook.networks.mnist.denoiser import MnistDenoiser
    from noisebook.networks.mnist.unet import UNet

    from ._mnist import sheet
    from ._mnist_live import LEVELS, Asked, difference, export, quantized, sampler, sampling, stills

    for cell in cells:
        params = dict(cell.params)
        networks, weights = {}, {}
        for name, need in (("diffusion", "trained"), ("flow", "flow")):
            weights[name] = context.needed(cell, need).data(params["weights"])
            # Plain layers, no kernels of this machine: those could not be exported.
            networks[name] = UNet(params["width"], timed=True, classes=10).eval().requires_grad_(False)
            networks[name].load_state_dict(load(weights[name]))
        packed = export(networks["diffusion"], weights["diffusion"])
        if export(networks["flow"], weights["flow"]) != packed:
            raise ValueError("the files of the two networks differ in more than their weights")
        schedule = (params["timesteps"], params["beta_first"], params["beta_last"])
        denoiser = MnistDenoiser(networks["diffusion"], *schedule)
        digits = quantized(context.model(cell, "data").test_digits[FIRST_OF_EACH_CLASS])
        asked = Asked("ddpm", list(range(10)), params["guidance"], params["steps"], params["noise"])
        first = {name: params[name] for name in ("guidance", "noise", "steps")}
        first |= {"largest": LARGEST_GAMMA, "digit": DIGIT}
        draw = sampler(denoiser, networks["flow"])
        begun = torch.from_numpy(digits[DIGIT]).float()[None, None] / LEVELS
        edit, fill = stills(draw, replace(asked, classes=[INTO]), begun, FILLED)
        yield (
            cell,
            [
                Output("network", ONNX, packed),
                *(Output(name, SAFETENSORS, data) for name, data in weights.items()),
                Output(
                    "sampler",
                    "application/json",
                    contract.canonical(sampling(denoiser, params["choices"], first, digits)),
                ),
                picture("picture", sheet(draw(asked).reshape(2, 5, 1, 28, 28))),
                picture("edit", sheet(edit)),
                picture("fill", sheet(fill)),
                *(
                    number(f"largest difference, {name}", difference(networks[name], packed, weights[name]))
                    for name in networks
                ),
            ],
        )
