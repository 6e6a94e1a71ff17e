"""Score digits that a flow draws under rules of guidance: plain, for an interval, by a worse version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Complaint, Context, Files, Json, Result

from ._mnist import after, run_complaints
from ._mnist_flow import FLOW, flow_params
from ._mnist_judge import COMPARED
from ._mnist_sampling import BATCH, Gamma
from .mnist_classifier import need as classifier
from .mnist_training import SHORT
from .mnist_training import Params as Training

if TYPE_CHECKING:
    from torch import Tensor

    from noisebook.diffusion.flow import Velocity

Time = Annotated[float, Field(ge=0, le=1)]


class Rule(contract.Params):
    """A rule of guidance, with every γ that it is tried with."""

    kind: Literal["plain", "interval", "autoguidance"] = Field(
        description="away from the estimate without a class, always or for a while; or from a worse version's"
    )
    gammas: list[Gamma] = Field(min_length=1, description="γ: 1 is no guidance")
    low: Time = Field(0.2, description="of an interval: the t from which guidance is on; 0 is noise")
    high: Time = Field(0.8, description="of an interval: the t up to which it is on; 1 is digits")
    epoch: int = Field(1, ge=1, description="of autoguidance: the checkpoint that is the worse version")

    def settings(self) -> dict[str, Json]:
        """What a cell must say of the rule; values that it has no use for are left out."""
        used = {"plain": set[str](), "interval": {"low", "high"}, "autoguidance": {"epoch"}}
        return self.model_dump(include={"kind", *used[self.kind]})


RULES = [
    {"kind": "plain", "gammas": [1.0, 2.0, 5.0, 10.0]},
    {"kind": "interval", "gammas": [2.0, 5.0, 10.0]},
    {"kind": "autoguidance", "gammas": [1.5, 2.0, 3.0]},
]


class Params(contract.Params):
    """Sets of samples, one for each rule and γ."""

    training: Training = Field(
        Training.model_validate({**FLOW, "objective": "flow_class"}),
        examples=[{**FLOW, **SHORT, "objective": "flow_class"}],
        description="the run that draws, with objective `flow_class`",
    )
    rules: list[Rule] = Field(
        [Rule.model_validate(rule) for rule in RULES], min_length=1, description="the rules"
    )
    steps: int = Field(50, ge=1, le=1000, description="Euler steps from noise to digit")
    samples: int = Field(COMPARED, ge=COMPARED, le=10_000, multiple_of=10, description="how many in each set")
    precision: Literal["fp32", "bf16"] = Field("bf16", description="what the networks compute in")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run has classes, and keeps the worse version; a rule stands there once."""
    yield from run_complaints(params.training, "flow_class")
    for index, rule in enumerate(params.rules):
        if rule.kind in [other.kind for other in params.rules[:index]]:
            yield Complaint(("rules", index), f"{rule.kind} stands twice: give it all its gammas at once")
        if rule.low >= rule.high:
            yield Complaint(("rules", index, "high"), "the interval must end after it begins")
        if rule.kind == "autoguidance":
            place = ("rules", index)
            yield from run_complaints(params.training, epochs=[rule.epoch], place=place, asked="epoch")


def name(rule: Rule, gamma: float) -> str:
    """The id of a set's cell."""
    return f"{rule.kind}-gamma={gamma:g}"


def cells(params: Params) -> list[Cell]:
    """One cell for each set of samples."""
    found = []
    for rule in params.rules:
        for gamma in rule.gammas:
            needs = {"trained": after(params.training, params.training.epochs), "classifier": classifier()}
            if rule.kind == "autoguidance":
                needs["worse"] = after(params.training, rule.epoch)
            found.append(
                Cell(
                    name(rule, gamma),
                    f"{rule.kind}, γ = {gamma:g}",
                    f"Measures of {params.samples} samples under {rule.kind} guidance with γ = {gamma:g}.",
                    {
                        **flow_params(params.training),
                        **params.model_dump(include={"steps", "samples", "precision"}),
                        **rule.settings(),
                        "gamma": float(gamma),
                    },
                    models={"data": "mnist"},
                    needs=needs,
                    minutes=6e-5 * params.samples * params.steps,
                )
            )
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """A sample starts from the same noise under every rule and γ."""
    from ._mnist_judge import Judge

    for cell in cells:
        judge = Judge(cell, context)
        digits, asked = _samples(cell, context)
        features, recognised = judge(digits)
        yield (
            cell,
            [
                *judge.recognition(features, recognised, asked),
                *judge.distances(features, [COMPARED]),
            ],
        )


def _samples(cell: Cell, context: Context) -> tuple[Tensor, Tensor]:
    """Digits (N, 1, 28, 28), clipped as a reader sees them, and the classes that were asked for (N,)."""
    import torch

    from noisebook.diffusion.flow import integrate, times
    from noisebook.diffusion.sampling import draw_noise, generators

    from ._mnist_sampling import sample_seed

    count = COMPARED if context.draft else int(cell.params["samples"])
    steps = min(5, cell.params["steps"]) if context.draft else int(cell.params["steps"])
    wanted = [(digit, sample) for sample in range(count // 10) for digit in range(10)]
    field, done = _guided_field(cell, context), []
    for start in range(0, count, BATCH):
        batch = wanted[start : start + BATCH]
        x = draw_noise(generators([sample_seed(cell, context, *each) for each in batch]), (1, 28, 28))
        for state in integrate(x, times(steps), field([digit for digit, _ in batch])):
            context.progress(cell, start + len(batch) * state.t, count, "samples")
        done.append(state.x.clamp(0, 1))
    return torch.cat(done), torch.tensor([digit for digit, _ in wanted])


def _guided_field(cell: Cell, context: Context) -> Callable[[Sequence[int]], Velocity]:
    """From the classes of a batch to the velocity that the cell's rule gives."""
    from noisebook.diffusion.flow import guided
    from noisebook.diffusion.guidance import ClassifierFreeGuidance, IntervalGuidance
    from noisebook.networks.mnist.velocity import velocity_field

    from ._mnist import network

    params = dict(cell.params)
    precision, plain = params["precision"], ClassifierFreeGuidance(params["gamma"])
    net = network(context.needed(cell, "trained"), params)
    if params["kind"] == "autoguidance":
        worse, alone = network(context.needed(cell, "worse"), params), ClassifierFreeGuidance(1.0)
        return lambda classes: guided(
            velocity_field(net, classes, alone, precision),
            velocity_field(worse, classes, alone, precision),
            plain,
        )
    rule = plain
    if params["kind"] == "interval":
        rule = IntervalGuidance(params["gamma"], low=params["low"], high=params["high"])
    return lambda classes: velocity_field(net, classes, rule, precision)
