"""Score digits drawn with few or many model calls, by DDPM or by a flow, from the same noise."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Complaint, Context, Files, Output, Result
from noisebook.cells.outputs import number

from ._mnist import after
from ._mnist_flow import FLOW, flow_params
from ._mnist_judge import COMPARED, Samples
from ._mnist_sampling import RUN, Gamma, Weights, network_params
from .mnist_classifier import need as classifier
from .mnist_scores import BATCH
from .mnist_training import SHORT
from .mnist_training import Params as Training

if TYPE_CHECKING:
    from torch import Tensor

    from noisebook.networks.mnist.classifier import Classifier

CONFIDENT = 0.9
"""Probability of its best class from which a digit counts as one that can be named."""


class Method(contract.Params):
    """A trained network and a way to draw with it."""

    training: Training = Field(description="the run that draws: its objective says whether DDPM or flow")
    sampler: Literal["ancestral", "ddim", "euler", "heun"] = Field(
        description="the step rule: the first two for DDPM, the others for a flow"
    )
    calls: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        [1, 2, 4, 8, 16, 50, 300], min_length=1, description="model calls; heun's are odd, and rounded down"
    )
    weights: Weights = "weights"
    label: str = Field("", max_length=40, description="what charts call it; the sampler's name if left out")

    @property
    def name(self) -> str:
        """What it is called."""
        return self.label or self.sampler


DDPM, FLOWS = {**RUN, "objective": "class"}, {**FLOW, "objective": "flow_class"}
METHODS = [
    {"training": DDPM, "sampler": "ancestral"},
    {"training": DDPM, "sampler": "ddim"},
    {"training": FLOWS, "sampler": "euler"},
    {"training": FLOWS, "sampler": "heun"},
]
FIRST = [
    {"training": {**DDPM, **SHORT}, "sampler": "ddim", "calls": [4, 16]},
    {"training": {**FLOWS, **SHORT}, "sampler": "euler", "calls": [4, 16]},
]


class Params(contract.Params):
    """Sets of samples, one for each method and number of calls."""

    methods: list[Method] = Field(
        [Method.model_validate(method) for method in METHODS],
        min_length=1,
        examples=[FIRST],
        description="the methods",
    )
    gamma: Gamma = 5.0
    samples: Samples = 1000
    precision: Literal["fp32", "bf16"] = Field("bf16", description="what the networks compute in")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """A sampler must fit what its network has learnt, and methods must have names of their own."""
    for index, method in enumerate(params.methods):
        known = {"time": "ancestral ddim", "class": "ancestral ddim"}
        known |= {"flow_time": "euler heun", "flow_class": "euler heun"}
        fitting = known.get(method.training.objective, "")
        if method.sampler not in fitting.split():
            message = (
                f"a run with objective `{method.training.objective}` is drawn with {fitting or 'nothing'}"
            )
            yield Complaint(("methods", index, "sampler"), message.replace(" heun", " or heun"))
        if method.name in [other.name for other in params.methods[:index]]:
            yield Complaint(
                ("methods", index), f"another method is called {method.name!r}, too: give a label"
            )


def name(method: Method, calls: int) -> str:
    """The id of a set's cell."""
    return f"{re.sub('[^0-9A-Za-z.]+', '-', method.name)}-calls={calls}"


def cells(params: Params) -> list[Cell]:
    """One cell for each set of samples."""
    return [
        Cell(
            name(method, calls),
            f"{method.sampler}, {calls} calls",
            f"Measures of {params.samples} samples by {calls} model calls of {method.sampler}.",
            {
                **(flow_params if "flow" in method.training.objective else network_params)(method.training),
                **params.model_dump(include={"samples", "precision"}),
                **{"gamma": float(params.gamma), "sampler": method.sampler, "calls": calls},
                "weights": method.weights,
            },
            models={"data": "mnist"},
            needs={"trained": after(method.training, method.training.epochs), "classifier": classifier()},
            minutes=6e-5 * params.samples * calls,
        )
        for method in params.methods
        for calls in method.calls
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """A sample starts from the same noise with every method and number of calls."""
    from noisebook.networks.mnist.classifier import frechet_distance

    from ._mnist_judge import Judge, samples

    for cell in cells:
        judge = Judge(cell, context)
        digits, asked = _samples(cell, context)
        features, recognised = judge(digits)
        outputs: list[Output] = [number("confident", 100 * _confident(judge.classifier, digits), "%")]
        if "class" in cell.params["objective"]:
            outputs += judge.recognition(features, recognised, asked)
        yield (
            cell,
            [
                *outputs,
                *judge.distances(features, [COMPARED]),
                number("Fréchet distance", frechet_distance(features, judge.features)),
                samples(digits, asked),
            ],
        )


def _confident(judge: Classifier, digits: Tensor) -> float:
    """The share of digits (N, 1, 28, 28) of which the judge is sure."""
    return float((judge(digits).softmax(1).amax(1) >= CONFIDENT).double().mean())


def _samples(cell: Cell, context: Context) -> tuple[Tensor, Tensor]:
    """Digits (N, 1, 28, 28), clipped as a reader sees them, and the classes that were asked for (N,)."""
    import torch

    from ._mnist_sampling import sample_seed

    count = COMPARED if context.draft else int(cell.params["samples"])
    conditional = "class" in cell.params["objective"]
    wanted = [(digit, sample) for sample in range(count // 10) for digit in range(10)]
    process = _process(cell, context)
    done = []
    for start in range(0, count, BATCH):
        batch = wanted[start : start + BATCH]
        classes = [digit if conditional else None for digit, _ in batch]
        seeds = [sample_seed(cell, context, digit, sample) for digit, sample in batch]
        done.append(process(seeds, classes).clamp(0, 1))
        context.progress(cell, start + len(batch), count, "samples")
    return torch.cat(done), torch.tensor([digit for digit, _ in wanted])


def _process(cell: Cell, context: Context) -> Callable[[Sequence[int], Sequence[int | None]], Tensor]:
    """From seeds and classes to digits, in as many model calls as the cell says."""
    from collections import deque

    from noisebook.diffusion.estimates import guided
    from noisebook.diffusion.posterior import ancestral, ddim
    from noisebook.diffusion.sampling import draw_noise, finish, generators, reverse
    from noisebook.diffusion.thresholding import thresholding

    from ._mnist_flow import flow
    from ._mnist_sampling import denoiser_of

    params = dict(cell.params)
    calls, sampler = params["calls"], params["sampler"]
    if sampler in ("euler", "heun"):
        # Heun's last step is Euler's: 2 n - 1 calls for n steps.
        steps = (calls + 1) // 2 if sampler == "heun" else calls
        integrated = flow(replace(cell, params={**params, "steps": steps, "solver": sampler}), context)
        return lambda seeds, classes: deque(integrated(seeds, classes), maxlen=1)[0]
    denoiser = denoiser_of(cell, context)
    timesteps = [denoiser.timesteps - k * denoiser.timesteps // calls for k in range(calls)]
    step = ddim() if sampler == "ddim" else ancestral("large")

    def process(seeds: Sequence[int], classes: Sequence[int | None]) -> Tensor:
        each = generators(seeds)
        scale = params["gamma"] if any(label is not None for label in classes) else 0.0
        estimate = guided(denoiser, classes, scale)
        return finish(
            reverse(
                draw_noise(each, (1, 28, 28)),
                timesteps,
                denoiser.alphas_cumprod,
                estimate,
                each,
                threshold=thresholding("none"),
                step=step,
            )
        )

    return process
