"""Score what the embedded network draws at a checkpoint: are the things that it was taught recognised?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.build import contract
from noisebook.build.contract import Cell, Complaint, Context, Files, Need, Result, number, picture

from ._sampling import BATCH, Guidance
from ._subjects import draw, sheet, subjects
from .net_training import Params as Training
from .net_training import cells as checkpoints
from .subject_judge import need as judge
from .subject_scores import judged, recognised

COLUMNS = 11


class Score(contract.Params):
    """One set of pictures."""

    seen: int = Field(ge=1, description="the checkpoint that draws, by the pictures that it has seen")
    gamma: Guidance = 7.0


class Params(contract.Params):
    """Sets of pictures, one of each subject that was taught and that the judge knows."""

    training: Training = Field(description="the training run, of stage I")
    scores: list[Score] = Field(min_length=1, description="the sets")
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
    from torch.nn import functional

    from noisebook.models.net import Reader, open_network
    from noisebook.models.tokens import Tokens

    reader = Reader(Tokens())
    for cell in cells:
        file = context.scratch(cell) / "weights.safetensors"
        contract.write_atomically(file, context.needed(cell, "trained").data("weights"))
        model = open_network(file, reader)
        model.image_size = cell.params["size"]
        every = subjects(context.model(cell, "pictures"))
        names = [subject for subject in every if subject in model.names][: BATCH if context.draft else None]
        drawn: list[torch.Tensor] = []
        for first in range(0, len(names), BATCH):
            part = names[first : first + BATCH]
            seeds = [context.seed(cell, "subject", subject) for subject in part]
            drawn += list(draw(model, part, seeds, cell.params["gamma"], 120 if context.draft else 30))
            context.progress(cell, len(drawn), len(names), "pictures")
        small = torch.stack(drawn)
        pictures = functional.interpolate(small, scale_factor=64 / small.shape[-1])
        features = context.model(cell, "features").features(pictures, cell.params["side"])
        truth = torch.tensor([every.index(subject) for subject in names])[:, None]
        answers = judged(features, context.needed(cell, "judge"))
        yield (
            cell,
            [
                picture("picture", sheet(pictures, COLUMNS)),
                number("subjects", len(names)),
                *recognised(answers, truth),
            ],
        )
