"""Train the classifier that tells what a picture of a pictogram shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.build.contract import Cell, Context, Need, Result, arrays, number
from noisebook.build.contract import Params as Base

from ._subjects import STYLES, in_style, placed, subjects

TREATMENTS = ("plain", "plain", "photo", "oil", "lithograph")


class Params(Base):
    """A linear layer on the features of EfficientNet-Lite0, which has never seen a pictogram."""

    side: int = Field(112, ge=64, le=224, description="pixels to which pictures are scaled for the features")
    steps: int = Field(600, ge=1, le=10_000, description="steps of its training, each with all pictures")


def need() -> Need:
    """The judge of all models."""
    return Need("subject_judge", {}, "judge")


def cells(params: Params) -> list[Cell]:
    """The trained classifier."""
    alt = "Weights of a classifier of subjects."
    models = {"pictures": "library", "features": "efficientnet-lite0"}
    return [Cell("judge", "judge", alt, params.model_dump(), models=models, minutes=5)]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """One style of each subject, another for each, is held out: those pictures measure the accuracy."""
    import torch
    from torch.nn import functional

    for cell in cells:
        library, network = context.model(cell, "pictures"), context.model(cell, "features")
        names = subjects(library)[: 20 if context.draft else None]
        pictures, treatments, labels, held = [], [], [], []
        for label, name in enumerate(names):
            for place, style in enumerate(STYLES):
                unseen = place == label % len(STYLES)
                for treatment in ("plain",) if unseen else TREATMENTS:
                    pictures.append(in_style(library, name, style))
                    treatments.append(treatment)
                    labels.append(label)
                    held.append(unseen)
        found = []
        for start in range(0, len(pictures), 128):
            part = slice(start, start + 128)
            shown = placed(library, pictures[part], treatments[part], context.seed(cell, "judge", start))
            found.append(network.features(shown, cell.params["side"]))
            context.progress(cell, start, len(pictures), "features")
        features, truth, unseen = torch.cat(found).clone(), torch.tensor(labels), torch.tensor(held)
        mean, deviation = features[~unseen].mean(0), features[~unseen].std(0) + 1e-3
        features = (features - mean) / deviation
        weight = torch.zeros(len(names), features.shape[1], requires_grad=True)
        optimizer = torch.optim.Adam([weight], 1e-3)
        for _ in range(20 if context.draft else cell.params["steps"]):
            loss = functional.cross_entropy(features[~unseen] @ weight.T, truth[~unseen])
            (loss + 2e-3 * weight.square().sum(1).mean()).backward()
            optimizer.step()
            optimizer.zero_grad()
        # Half precision is what is published, and what is measured.
        weights = {"weight": weight.detach().half(), "mean": mean.half(), "deviation": deviation.half()}
        outputs = [arrays("weights", {name: value.numpy() for name, value in weights.items()})]
        answers = features[unseen] @ weights["weight"].float().T
        for best in (1, 5):
            right = (answers.topk(best).indices == truth[unseen][:, None]).any(1).double().mean()
            outputs.append(number(f"held-out top-{best}", 100 * float(right), "%"))
        yield cell, [*outputs, number("subjects", len(names))]
