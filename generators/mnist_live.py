"""The class-conditioned network, packed to be run by a reader's browser, and what it should draw there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Complaint, Context, Files, Json, Output, Result
from noisebook.cells.outputs import number, picture

from ._mnist import after, run_complaints
from ._mnist_sampling import RUN, network_params
from .mnist_training import Params as Training

if TYPE_CHECKING:
    from torch import Tensor

    from noisebook.networks.mnist.unet import UNet

ONNX = "application/onnx"
OPSET = 20
"""The first with Gelu as one operator."""
INPUTS = ("x", "time", "one_hot")
LARGEST_GAMMA = 10.0


class Params(contract.Params):
    """Which network, and how it samples."""

    training: Training = Field(
        Training.model_validate({**RUN, "objective": "class"}),
        description="the training run, with objective `class`",
    )
    epoch: int = Field(20, ge=1, description="the checkpoint")
    weights: Literal["weights", "average"] = Field(
        "weights", description="as trained, or their moving average (if the run keeps one)"
    )
    steps: int = Field(40, ge=2, le=1000, description="network calls for a digit")
    guidance: float = Field(5.0, ge=0, le=LARGEST_GAMMA, description="γ to begin with")
    noise: int = Field(42, ge=0, lt=2**32, description="seed of the noise to begin with")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run fits, and has as many timesteps as are asked for."""
    yield from run_complaints(
        params.training, "class", epochs=[params.epoch], weights=params.weights, asked="epoch"
    )
    if params.steps > params.training.timesteps:
        yield Complaint(("steps",), f"the run has {params.training.timesteps} timesteps")


def cells(params: Params) -> list[Cell]:
    """One: the network, what a sampler must know, and ten digits to compare with."""
    return [
        Cell(
            "network",
            "",
            "The digits 0 to 9, drawn from the same noise.",
            {**network_params(params.training), **params.model_dump(exclude={"training", "epoch"})},
            needs={"trained": after(params.training, params.epoch)},
            seed=None,
            minutes=0.3,
        )
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Export, ask the exported network and the original the same, and draw."""
    import torch

    from noisebook.networks.mnist.unet import UNet

    from ._mnist import sheet

    for cell in cells:
        params = dict(cell.params)
        trained = context.needed(cell, "trained").arrays(params["weights"])
        # Plain layers, no kernels of this machine: those could not be exported.
        network = UNet(params["width"], timed=True, classes=10).eval().requires_grad_(False)
        network.load_state_dict({name: torch.tensor(value) for name, value in trained.items()})
        packed = export(network)
        digits = draw(network, params)
        yield (
            cell,
            [
                Output("network", ONNX, packed),
                Output("sampler", "application/json", contract.canonical(sampler(params))),
                picture("picture", sheet(digits.reshape(2, 5, 1, 28, 28))),
                number("largest difference from torch", difference(network, packed)),
            ],
        )


def timesteps(params: dict[str, Json]) -> list[int]:
    """From T down in equal strides; one more stride would reach 0, the clean digit."""
    last, steps = int(params["timesteps"]), int(params["steps"])
    return [round(last * (steps - step) / steps) for step in range(steps)]


def sampler(params: dict[str, Json]) -> dict[str, Json]:
    """All that a program beside this one must know to sample with the network, for templates/live.js."""
    from noisebook.networks.mnist.schedule import alphas_cumprod

    alphas = alphas_cumprod(params["timesteps"], params["beta_first"], params["beta_last"])
    chosen = timesteps(params)
    return {
        "shape": [1, 28, 28],
        "classes": [str(digit) for digit in range(10)],
        "timesteps": chosen,
        "time": [t / params["timesteps"] for t in chosen],
        "alphas_cumprod": [float(alphas[t]) for t in [*chosen, 0]],
        "guidance": {"largest": LARGEST_GAMMA, "first": params["guidance"]},
        "noise": params["noise"],
    }


def draw(network: UNet, params: dict[str, Json]) -> Tensor:
    """The ten digits, (10, 1, 28, 28), all from one noise, as templates/live-worker.js draws them."""
    from dataclasses import replace

    from noisebook.diffusion.estimates import guided
    from noisebook.diffusion.posterior import Transition, ancestral
    from noisebook.diffusion.sampling import finish, generators, reverse
    from noisebook.diffusion.thresholding import thresholding
    from noisebook.networks.mnist.denoiser import MnistDenoiser
    from noisebook.networks.mnist.portable import normal

    denoiser = MnistDenoiser(network, params["timesteps"], params["beta_first"], params["beta_last"])
    chosen = timesteps(params)
    # For the start, and for every step but the last, which adds none.
    noise = iter(normal(params["noise"], len(chosen) * 28 * 28).reshape(-1, 1, 1, 28, 28))
    small = ancestral("small")

    def step(now: Transition) -> Tensor:
        return small(replace(now, draw=lambda: next(noise)))

    return finish(
        reverse(
            next(noise).expand(10, -1, -1, -1),
            chosen,
            denoiser.alphas_cumprod,
            guided(denoiser, list(range(10)), params["guidance"]),
            generators([0] * 10),
            threshold=thresholding("none"),
            step=step,
        )
    )


def export(network: UNet) -> bytes:
    """The network as an ONNX model for two rows at a time: x (2, 1, 28, 28), time (2,), one_hot (2, classes).

    Weights are kept in half precision, as the training cell publishes them, and cast back where they enter:
    nothing is lost, and a runtime does it once. BatchNorm stays a layer of its own, because the weights that
    it would be folded into were halves no longer.
    """
    import tempfile
    import warnings
    from pathlib import Path

    import numpy as np
    import onnx
    import torch
    from onnx import helper, numpy_helper

    rows = (torch.zeros(2, 1, 28, 28), torch.zeros(2), torch.zeros(2, network.classes))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # The newer exporter needs two more packages, to the same end.
        warnings.simplefilter("ignore", DeprecationWarning)
        path = Path(folder) / "network.onnx"
        torch.onnx.export(
            network,
            rows,
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=["noise"],
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
        model = onnx.load(path)
    casts = []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype == np.float32:
            half = f"{weight.name}.half"
            casts.append(helper.make_node("Cast", [half], [weight.name], to=onnx.TensorProto.FLOAT))
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def difference(network: UNet, packed: bytes) -> float:
    """The largest difference of an estimate of noise between the network and its export, which ONNX's own
    reference implementation computes: over the schedule's start, middle and end, with a class and without."""
    import onnx
    import torch
    from onnx.reference import ReferenceEvaluator

    reference = ReferenceEvaluator(onnx.load_from_string(packed))
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for digit, time in enumerate((1.0, 0.5, 0.01)):
        one_hot = torch.zeros(2, network.classes)
        one_hot[0, digit] = 1
        rows = (torch.randn(2, 1, 28, 28, generator=generator), torch.full((2,), time), one_hot)
        with torch.inference_mode():
            expected = network(*rows)
        feeds = {name: tensor.numpy() for name, tensor in zip(INPUTS, rows, strict=True)}
        (found,) = reference.run(None, feeds)
        worst = max(worst, float((torch.tensor(found) - expected).abs().max()))
    return worst
