"""Score pictures of many subjects: are they recognised, are they like real ones, are they copies?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Context, Need, Output, Result, Stored
from noisebook.cells.outputs import number, table

from ._sampling import Guidance, Modelled
from ._subjects import MOST, STYLES, in_style, placed, subjects, unsheet
from .subject_judge import need as judge
from .subject_samples import BLOCK

if TYPE_CHECKING:
    from torch import Tensor

COPY = 30.0
"""dB from which a picture counts as a plain copy of one in the bank: a thousandth of the range, squared."""

MISSES = 12
"""Subjects that were not recognised, in the table: the first of them."""


class Score(contract.Params):
    """One set of pictures."""

    gamma: Guidance = 7.0
    count: int = Field(default=MOST, ge=BLOCK, le=MOST, multiple_of=BLOCK, description="how many subjects")
    taught: bool = Field(
        default=False, description="of them, only those that the embedded network was taught"
    )


class Params(Modelled):
    """Sets of pictures by one model."""

    scores: Annotated[list[Score], Field(min_length=1, description="the sets")] = Field(
        [Score(), Score(gamma=3.0, count=110), Score(gamma=1.0, count=110), Score(gamma=0.0, count=110)],
        examples=[[{"gamma": gamma, "count": BLOCK} for gamma in (7.0, 1.0)]],
    )
    side: int = Field(112, ge=64, le=224, description="pixels to which pictures are scaled for the features")


def cells(params: Params) -> list[Cell]:
    """One for each set."""
    return [
        Cell(
            f"gamma={score.gamma:g}-n={score.count}{'-taught' * score.taught}",
            f"γ = {score.gamma:g}, {'taught of ' * score.taught}{score.count} subjects",
            f"Measures of pictures of {score.count} subjects at γ = {score.gamma:g}.",
            {"count": score.count, "side": params.side},
            models={
                "pictures": "library",
                "features": "efficientnet-lite0",
                **({"taught": "net/stage1"} if score.taught else {}),
            },
            needs={
                "judge": judge(),
                **{
                    f"from={start}": Need(
                        "subject_samples",
                        {"model": params.model, "gamma": float(score.gamma)},
                        f"from={start}",
                    )
                    for start in range(0, score.count, BLOCK)
                },
            },
            minutes=0.2,
        )
        for score in params.scores
    ]


def judged(features: Tensor, trained: Stored) -> Tensor:
    """What the judge says of pictures with these features (N, 1280): a score for each subject, (N, 440)."""
    import torch

    weights = {name: torch.from_numpy(value).float() for name, value in trained.arrays("weights").items()}
    return (features - weights["mean"]) / weights["deviation"] @ weights["weight"].T + weights["bias"]


def recognised(answers: Tensor, truth: Tensor) -> list[Output]:
    """Of answers (N, subjects), the share whose best, and whose best five, hold the truth, (N, 1)."""
    return [
        number(f"top-{best}", 100 * float((answers.topk(best).indices == truth).any(1).double().mean()), "%")
        for best in (1, 5)
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Fréchet distances are between as many pictures on both sides: they depend on the number."""
    import numpy as np
    import torch

    from noisebook.networks.mnist.classifier import frechet_distance

    for cell in cells:
        library, network = context.model(cell, "pictures"), context.model(cell, "features")
        side, count = int(cell.params["side"]), int(cell.params["count"])
        every = subjects(library)
        starts = range(0, count, BLOCK)
        needed = [context.needed(cell, f"from={start}") for start in starts]
        nearest = [n.arrays("nearest")["decibels"] for n in needed]
        # A draft's block holds the first of its subjects alone.
        names = [
            name
            for start, block in zip(starts, nearest, strict=True)
            for name in every[start : start + len(block)]
        ]
        drawn = torch.cat([unsheet(n.data("picture"), len(b)) for n, b in zip(needed, nearest, strict=True)])
        near = np.concatenate(nearest)
        if "taught" in cell.models:
            taught = context.model(cell, "taught").names
            kept = [k for k, name in enumerate(names) if name in taught]
            names, drawn, near = [names[k] for k in kept], drawn[kept], near[kept]
        features = network.features(drawn, side)
        answers = judged(features, context.needed(cell, "judge"))
        truth = torch.tensor([every.index(name) for name in names])[:, None]
        # Real pictures, one of each subject, and others: how far apart is what should be alike?
        real = []
        for turn in (0, 1):
            styles = [STYLES[(label + turn) % len(STYLES)] for label in truth[:, 0].tolist()]
            chosen = [in_style(library, name, style) for name, style in zip(names, styles, strict=True)]
            shown = placed(library, chosen, ["plain"] * len(names), context.seed(cell, "real", turn))
            real.append(network.features(shown, side).double())
        wrong = [
            [name, *(every[i] for i in answers[k].topk(2).indices.tolist())]
            for k, name in enumerate(names)
            if truth[k] not in answers[k].topk(5).indices
        ]
        missed = "not among the first five"
        if len(wrong) > MISSES:
            missed += f", {MISSES} of {len(wrong)}"
        yield (
            cell,
            [
                number("subjects", len(names)),
                *recognised(answers, truth),
                number("Fréchet distance", frechet_distance(features.double(), real[0])),
                number("noise floor", frechet_distance(real[1], real[0])),
                number("copies", 100 * float((near >= COPY).mean()), "%"),
                number("nearest", float(np.median(near)), "dB"),
                table(missed, ["asked for", "seen as", "or as"], wrong[:MISSES]),
            ],
        )
