"""Score what the embedded network draws at a checkpoint: is what it was trained on recognised?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Complaint, Context, Files, Json, Need, Output, Result, Stored
from noisebook.cells.outputs import number, picture

from ._sampling import BATCH, Guidance
from ._subjects import draw, sheet, subjects, unsheet
from .net_training import SHORT
from .net_training import Params as Training
from .net_training import cells as checkpoints
from .subject_judge import need as judge
from .subject_scores import judged, recognised

if TYPE_CHECKING:
    from torch import Tensor

    from noisebook.models.net import PublishedNet

COLUMNS = 11
MISJUDGED = 2.5
"""Pictures of a set of which rounding to bytes and another processor may change what the judge says (of five
sets of 107, one or two were judged otherwise)."""
ALIKE = 30
"""Least median PSNR, in dB, of pictures that are drawn again; another processor's rounding gives 40 to 50."""


class Score(contract.Params):
    """One set of pictures."""

    seen: int = Field(ge=1, description="the checkpoint that draws, by the pictures that it has seen")
    gamma: Guidance = 7.0


class Params(contract.Params):
    """Sets of pictures, one of each subject that was trained on and that the judge knows."""

    training: Training = Field(examples=[SHORT], description="the training run, of stage I")
    scores: list[Score] = Field(
        min_length=1,
        examples=[[{"seen": seen, "gamma": 7.0} for seen in (6_400, 12_800)]],
        description="the sets",
    )
    side: int = Field(112, ge=64, le=224, description="pixels to which pictures are scaled for the features")


def name(score: Score) -> str:
    """The id of a set's cell."""
    return f"seen={score.seen}-gamma={score.gamma:g}"


def size(training: Training, seen: int) -> int:
    """The side of the pictures that a run was learning from when it had seen that many."""
    for phase in training.phases:
        if seen <= phase.pictures:
            break
        seen -= phase.pictures
    return phase.size


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """The run must keep every checkpoint that is scored, and draw from text."""
    if params.training.stage != 1:
        yield Complaint(("training", "stage"), "stage I draws from text; stage II enlarges what it drew")
    kept = [cell.id.removeprefix("pictures=") for cell in checkpoints(params.training)]
    for index, score in enumerate(params.scores):
        if str(score.seen) not in kept:
            yield Complaint(
                ("scores", index, "seen"), f"the run keeps checkpoints after {', '.join(kept)} pictures"
            )


def cells(params: Params) -> list[Cell]:
    """One for each set."""
    return [
        Cell(
            name(score),
            f"{score.seen / 1000:g} thousand pictures, γ = {score.gamma:g}",
            f"A sheet of pictures by the network after {score.seen} pictures, at γ = {score.gamma:g}.",
            {
                "gamma": float(score.gamma),
                "size": size(params.training, score.seen),
                "side": params.side,
            },
            models={"pictures": "library", "features": "efficientnet-lite0"},
            needs={
                "judge": judge(),
                "trained": Need(
                    "net_training", params.training.model_dump(), f"pictures={score.seen}", local=True
                ),
            },
            minutes=1.5,
        )
        for score in params.scores
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """A subject's noise is the same at every checkpoint and γ."""
    import torch

    for cell in cells:
        model = _model(cell, context)
        names = _known(cell, context, model.names)[: BATCH if context.draft else None]
        drawn: list[Tensor] = []
        for first in range(0, len(names), BATCH):
            drawn += _drawn(model, names[first : first + BATCH], cell, context)
            context.progress(cell, len(drawn), len(names), "pictures")
        pictures = torch.stack(drawn)
        shown, count = picture("picture", sheet(pictures, COLUMNS), "local"), number("subjects", len(names))
        yield cell, [shown, count, *_recognised(pictures, names, cell, context)]


def _model(cell: Cell, context: Context) -> PublishedNet:
    """The network of a checkpoint, for pictures of the size that it was learning from."""
    from noisebook.models.net import Reader, open_network
    from noisebook.models.tokens import Tokens

    file = context.scratch(cell) / "weights.safetensors"
    contract.write_atomically(file, context.needed(cell, "trained").data("weights"))
    model = open_network(file, Reader(Tokens()))
    model.image_size = cell.params["size"]
    return model


def _known(cell: Cell, context: Context, trained_on: Sequence[str]) -> list[str]:
    """The subjects that the judge knows, of those that were trained on."""
    return [subject for subject in subjects(context.model(cell, "pictures")) if subject in trained_on]


def _drawn(model: PublishedNet, names: Sequence[str], cell: Cell, context: Context) -> Tensor:
    """A picture of each, (N, 3, 64, 64)."""
    from torch.nn import functional

    seeds = [context.seed(cell, "subject", name) for name in names]
    pictures = draw(model, names, seeds, cell.params["gamma"], 120 if context.draft else 30)
    return functional.interpolate(pictures, scale_factor=64 / pictures.shape[-1])


def _recognised(pictures: Tensor, names: Sequence[str], cell: Cell, context: Context) -> list[Output]:
    import torch

    every = subjects(context.model(cell, "pictures"))
    features = context.model(cell, "features").features(pictures, cell.params["side"])
    truth = torch.tensor([every.index(name) for name in names])[:, None]
    return recognised(judged(features, context.needed(cell, "judge")), truth)


def replay(cell: Cell, old: Stored, context: Context) -> dict[str, Json]:
    """Judge the recorded pictures again; where the network's weights are at hand, draw some again.

    Raises:
        Disagreement: another share is recognised, or other pictures are drawn.
    """
    import math

    from noisebook.models import captions
    from noisebook.models.library import shipped
    from noisebook.models.tokens import commonness

    training = Training.model_validate(cell.needs["trained"].params)
    wanted = training.phases[-1].subjects
    trained_on = captions.subjects(
        shipped(Path(training.library)), wanted, tuple(training.always), commonness
    )
    names = _known(cell, context, trained_on)
    try:
        pictures = unsheet(old.data("picture"), len(names))
    except KeyError as absent:
        raise contract.Disagreement(
            f"the recorded pictures are not on this machine ({absent.args[0]}): build the cell again"
        ) from absent
    evidence: dict[str, Json] = {}
    for output in _recognised(pictures, names, cell, context):
        now, then = (json.loads(data)["value"] for data in (output.data, old.data(output.name)))
        if abs(now - then) > 100 * MISJUDGED / len(names):
            raise contract.Disagreement(
                f"{output.name} of the recorded pictures was {then:.4g} and is {now:.4g}"
            )
        evidence[f"{output.name} of the recorded pictures"] = f"{now:.4g}"
    with suppress(KeyError):
        model = _model(cell, context)
        again = _drawn(model, names[:BATCH], cell, context)
        error = float((again - pictures[: len(again)]).square().mean((1, 2, 3)).median())
        decibels = 10 * math.log10(4 / max(error, 1e-12))
        if decibels < ALIKE:
            raise contract.Disagreement(f"pictures drawn again are {decibels:.0f} dB from the recorded ones")
        evidence["of pictures drawn again, median PSNR in dB"] = round(decibels)
    return evidence
