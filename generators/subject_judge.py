"""Train the classifier that tells what a picture of a pictogram shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Need, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import arrays, number

from ._subjects import STYLES, in_style, placed, subjects

TREATMENTS = ("plain", "plain", "photo", "oil", "lithograph")


class Params(Base):
    """Linear discriminants on the features of EfficientNet-Lite0, which has never seen a pictogram."""

    side: int = Field(112, ge=64, le=224, description="pixels to which pictures are scaled for the features")
    ridge: float = Field(0.1, gt=0, le=100, description="added to the variance of each feature, which is 1")


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

    for cell in cells:
        library, network = context.model(cell, "pictures"), context.model(cell, "features")
        names = subjects(library)[: 20 if context.draft else None]
        pictures, treatments, labels, held = [], [], [], []
        for label, name in enumerate(names):
            for place, style in enumerate(STYLES):
                away = place == label % len(STYLES)
                for treatment in ("plain",) if away else TREATMENTS:
                    pictures.append(in_style(library, name, style))
                    treatments.append(treatment)
                    labels.append(label)
                    held.append(away)
        found = []
        for start in range(0, len(pictures), 128):
            part = slice(start, start + 128)
            shown = placed(library, pictures[part], treatments[part], context.seed(cell, "judge", start))
            found.append(network.features(shown, cell.params["side"]))
            context.progress(cell, start, len(pictures), "features")
        features, truth, unseen = torch.cat(found).clone(), torch.tensor(labels), torch.tensor(held)
        # Linear discriminant analysis: subjects differ in their means and share one covariance.
        mean, deviation = features[~unseen].mean(0), features[~unseen].std(0) + 1e-3
        features = (features - mean) / deviation
        known, of = features[~unseen], truth[~unseen]
        means = torch.zeros(len(names), features.shape[1]).index_add_(0, of, known)
        means /= torch.bincount(of)[:, None]
        rest = known - means[of]
        covariance = rest.T @ rest / len(rest) + cell.params["ridge"] * torch.eye(features.shape[1])
        weight = torch.linalg.solve(covariance, means.T).T
        # Half precision is what is published, and what is measured.
        weights = {
            "weight": weight.half(),
            "bias": -(means * weight).sum(1) / 2,
            "mean": mean,
            "deviation": deviation,
        }
        outputs = [arrays("weights", {name: value.numpy() for name, value in weights.items()})]
        answers = features[unseen] @ weights["weight"].float().T + weights["bias"]
        for best in (1, 5):
            right = (answers.topk(best).indices == truth[unseen][:, None]).any(1).double().mean()
            outputs.append(number(f"held-out top-{best}", 100 * float(right), "%"))
        yield cell, [*outputs, number("subjects", len(names))]
