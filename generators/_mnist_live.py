"""What a reader's browser runs, and the same by PyTorch.

Heavy: imported by ``run`` alone.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor

from noisebook.cells.contract import Json
from noisebook.diffusion.estimates import guided
from noisebook.diffusion.flow import FlowStep, Velocity, euler, integrate, path, times
from noisebook.diffusion.guidance import ClassifierFreeGuidance
from noisebook.diffusion.posterior import Transition, ancestral, ddim
from noisebook.diffusion.sampling import After, Draw, finish, generators, paste, reverse  # type: ignore[attr-defined]
from noisebook.diffusion.schedules import forward
from noisebook.diffusion.thresholding import thresholding
from noisebook.networks.mnist.denoiser import MnistDenoiser
from noisebook.networks.mnist.portable import normal
from noisebook.networks.mnist.unet import UNet
from noisebook.networks.mnist.velocity import velocity_field

OPSET = 20
"""The first with Gelu as one operator."""
INPUTS = ("x", "time", "one_hot")
WEIGHTS = "weights"
"""By this name the operations ask for the file of their weights."""
LEVELS = 15
"""White, in the levels of grey that a drawing has."""
STARTS = (0.3, 0.45, 0.6, 0.75, 0.9)
"""i_start of the stills, as a part of all steps."""

Method = Literal["ddpm", "ddim", "flow"]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a reader can ask for, of B digits at once.

    Attributes:
        method: posterior sampling (variance β̃) or DDIM with the network that estimates noise, or Euler's
            steps with the network that estimates a velocity.
        classes: 0 … 9 of each digit, or None.
        guidance: γ.
        steps: from noise alone to a clean digit.
        seed: of :func:`normal`; all digits have the same noise.
        picture: (1, 1, 28, 28) in [0, 1]: what is brought back (SDEdit), or has a hole.
        start: the step that ``picture`` is given the noise of, counted from 0: i_start.
        hole: (1, 1, 28, 28), 1 where the picture is to be filled, from noise alone; None for no hole.
    """

    method: Method
    classes: Sequence[int | None]
    guidance: float
    steps: int
    seed: int
    picture: Tensor | None = None
    start: int = 0
    hole: Tensor | None = None


def timesteps(last: int, steps: int) -> list[int]:
    """From ``last`` down in equal strides; one more stride would reach 0, the clean digit."""
    return [round(last * (steps - step) / steps) for step in range(steps)]


def draws(asked: Asked) -> Draw:
    """Each call gives the next (1, 1, 28, 28) of the seed's noise."""
    # For the start, and for every step that of its rule and that of the known pixels.
    rows = iter(normal(asked.seed, (1 + 2 * asked.steps) * 28 * 28).reshape(-1, 1, 1, 28, 28))
    return lambda: next(rows)


def diffused(denoiser: MnistDenoiser, asked: Asked) -> Tensor:
    """The digits (B, 1, 28, 28) of a network that estimates noise."""
    chosen = timesteps(denoiser.timesteps, asked.steps)[asked.start :]
    draw = draws(asked)
    rule = ddim() if asked.method == "ddim" else ancestral("small")
    x, after = draw(), None
    if asked.hole is not None:
        assert asked.picture is not None
        after = _drawing(paste(asked.picture, asked.hole), draw)
    elif asked.picture is not None:
        x = forward(asked.picture, float(denoiser.alphas_cumprod[chosen[0]]), x)

    def step(now: Transition) -> Tensor:
        return rule(replace(now, draw=draw))

    return finish(
        reverse(
            x.expand(len(asked.classes), -1, -1, -1),
            chosen,
            denoiser.alphas_cumprod,
            guided(denoiser, asked.classes, asked.guidance),
            generators([0] * len(asked.classes)),
            threshold=thresholding("none"),
            step=step,
            after=after,
        )
    )


def _drawing(after: After, draw: Draw) -> After:
    """The same with noise of the seed's, in place of the loop's own."""
    return lambda x, alpha, _: after(x, alpha, draw)


def flowed(network: UNet, asked: Asked) -> Tensor:
    """The digits (B, 1, 28, 28) of a network that estimates a velocity.

    What is known around a hole travels along the straight line from its own noise: none is drawn on the way.
    """
    chosen = times(asked.steps)[asked.start :]
    noise = draws(asked)()
    step: FlowStep = euler
    x = noise
    if asked.hole is not None:
        assert asked.picture is not None
        step = _kept(asked.picture, asked.hole, noise)
    elif asked.picture is not None:
        x = path(asked.picture, noise, chosen[0])
    guidance = ClassifierFreeGuidance(asked.guidance)
    velocity = velocity_field(network, asked.classes, guidance, "fp32")
    for state in integrate(x.expand(len(asked.classes), -1, -1, -1), chosen, velocity, step):
        x = state.x
    return x


def _kept(picture: Tensor, hole: Tensor, noise: Tensor) -> FlowStep:
    def step(x: Tensor, t: float, s: float, velocity: Velocity, slope: Tensor) -> Tensor:
        return torch.where(hole > 0.5, euler(x, t, s, velocity, slope), path(picture, noise, s))

    return step


Sampler = Callable[[Asked], Tensor]


def sampler(diffusion: MnistDenoiser, flow: UNet) -> Sampler:
    """By either network, as the method needs."""
    return lambda asked: flowed(flow, asked) if asked.method == "flow" else diffused(diffusion, asked)


def stills(
    draw: Sampler, asked: Asked, digit: Tensor, classes: Sequence[int | None]
) -> tuple[Tensor, Tensor]:
    """What DDPM and flow make of a digit (1, 1, 28, 28), a row each: brought back from several levels of
    noise, and with its lower half filled for ``classes``. (2, 6, 1, 28, 28) both; they begin with the digit.
    """
    hole = torch.zeros_like(digit)
    hole[..., 14:, :] = 1
    edits, fills = [], []
    methods: tuple[Method, Method] = ("ddpm", "flow")
    for method in methods:
        given = replace(asked, method=method, picture=digit)
        starts = [round(part * asked.steps) for part in STARTS]
        edits.append(torch.cat([digit, *(draw(replace(given, start=start)) for start in starts)]))
        filled = draw(replace(given, classes=classes, hole=hole))
        fills.append(torch.cat([torch.where(hole > 0, 0.5, digit), filled]))
    return torch.stack(edits), torch.stack(fills)


def sampling(
    denoiser: MnistDenoiser, choices: Sequence[int], first: dict[str, Json], digits: NDArray[np.uint8]
) -> dict[str, Json]:
    """All that a program beside this one must know to sample as here does, for templates/live.js.

    Args:
        choices: how many steps a reader can choose.
        first: what the page begins with.
        digits: (N, 28, 28) of :func:`quantized`: pictures to begin with.
    """
    return {
        "shape": [1, 28, 28],
        "classes": [str(digit) for digit in range(10)],
        "alphas_cumprod": denoiser.alphas_cumprod.tolist(),
        "timesteps": {str(steps): timesteps(denoiser.timesteps, steps) for steps in choices},
        "times": {str(steps): times(steps) for steps in choices},
        "methods": {
            "ddpm": {"label": "DDPM", "network": "diffusion", "rule": ["ancestral", "small"]},
            "ddim": {"label": "DDIM", "network": "diffusion", "rule": ["ddim", 0]},
            "flow": {"label": "flow", "network": "flow"},
        },
        "weights": WEIGHTS,
        "first": first,
        "digits": ["".join(f"{level:x}" for level in digit.flat) for digit in digits],
    }


def quantized(digits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bytes as the levels of a drawing, 0 … ``LEVELS``."""
    levels: NDArray[np.uint8] = (digits.astype(np.uint32) * LEVELS + 127).astype(np.uint32) // 255  # type: ignore[assignment]
    return levels.astype(np.uint8)


def export(network: UNet, weights: bytes) -> bytes:
    """The network's operations as an ONNX model of any number N of rows: x (N, 1, 28, 28), time (N,), one_hot
    (N, classes). Its weights stay in the safetensors file ``weights``, where the model says they lie: ONNX's
    external data. Networks of one shape share the operations.

    They are in half precision, as the training cell publishes them, and cast back where they enter: nothing
    is lost, and a runtime does it once. BatchNorm stays a layer of its own, because the weights that it would
    be folded into were halves no longer.
    """
    # The exporter shares tensors that are equal; these are not, whatever the network's are.
    shape = UNet(network.conv[0][0].out_channels, timed=True, classes=network.classes)  # type: ignore[index]
    generator = torch.Generator().manual_seed(0)
    for value in shape.eval().requires_grad_(False).state_dict().values():
        if value.is_floating_point():
            value.uniform_(1, 2, generator=generator)
    rows = (torch.zeros(2, 1, 28, 28), torch.zeros(2), torch.zeros(2, network.classes))
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The newer exporter needs two more packages, to the same end.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            shape,
            rows,
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=["answer"],
            dynamic_axes={name: {0: "rows"} for name in (*INPUTS, "answer")},
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
        )
    model = onnx.load_from_string(buffer.getvalue())
    begin = 8 + int.from_bytes(weights[:8], "little")
    places = json.loads(weights[8:begin])
    casts = [_move(w, places[w.name], begin) for w in model.graph.initializer if w.name in places]
    if len(casts) != sum(place["dtype"] == "F16" for name, place in places.items() if name != "__metadata__"):
        raise ValueError("the export leaves out some of the weights")
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString(deterministic=True))


def _move(weight: TensorProto, place: dict[str, Json], begin: int) -> onnx.NodeProto:
    """Let a weight lie in the safetensors file, whose data begin at ``begin``; gives its cast to fp32."""
    name, half = weight.name, f"{weight.name}.half"
    if place["dtype"] != "F16" or place["shape"] != list(weight.dims):
        raise ValueError(f"{name} is {place['dtype']} {place['shape']}, not F16 {list(weight.dims)}")
    weight.Clear()
    weight.name, weight.data_type = half, TensorProto.FLOAT16
    weight.dims.extend(place["shape"])
    weight.data_location = TensorProto.EXTERNAL
    first, end = place["data_offsets"]
    for key, value in (("location", WEIGHTS), ("offset", begin + first), ("length", end - first)):
        weight.external_data.add(key=key, value=str(value))
    return helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT)


def difference(network: UNet, packed: bytes, weights: bytes) -> float:
    """The largest difference between an answer of the network and of its export, which ONNX's own reference
    implementation computes: over the schedule's start, middle and end, with a class and without."""
    from onnx.reference import ReferenceEvaluator

    with tempfile.TemporaryDirectory() as folder:
        Path(folder, WEIGHTS).write_bytes(weights)
        (whole := Path(folder, "network.onnx")).write_bytes(packed)
        onnx.checker.check_model(str(whole), full_check=True)
        reference = ReferenceEvaluator(onnx.load(whole))
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
