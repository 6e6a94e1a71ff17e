"""Train the classifier that judges samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Need, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import arrays, number


class Params(Base):
    """A small convolutional network."""

    epochs: int = Field(5, ge=1, le=100, description="passes over the training digits")
    digits: int = Field(60_000, ge=10, le=60_000, description="training digits used, from the first")


def need() -> Need:
    """The classifier by which all samples are judged."""
    return Need("mnist_classifier", {}, "classifier")


def cells(params: Params) -> list[Cell]:
    """The trained classifier."""
    alt = "Weights of a classifier of digits."
    return [Cell("classifier", "classifier", alt, params.model_dump(), models={"data": "mnist"}, minutes=6)]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """The accuracy that is stated is that of the published half-precision weights."""
    import torch

    from noisebook.networks.mnist.classifier import judge, load_classifier, train_classifier

    for cell in cells:
        data = context.model(cell, "data")
        count = 2_000 if context.draft else int(cell.params["digits"])
        training = train_classifier(
            torch.tensor(data.train_digits[:count]),
            torch.tensor(data.train_labels[:count]),
            lambda *purpose, cell=cell: context.seed(cell, "mnist classifier", *purpose),
            int(cell.params["epochs"]),
        )
        for done, total, trained in training:
            classifier = trained
            context.progress(cell, done, total)
        weights = {
            name: value.half() if value.ndim else value for name, value in classifier.state_dict().items()
        }
        judged = load_classifier(weights)
        _, recognised = judge(judged, torch.tensor(data.test_digits)[:, None].float() / 255)
        accuracy = float((recognised == torch.tensor(data.test_labels)).double().mean())
        yield (
            cell,
            [
                arrays("weights", {name: value.numpy() for name, value in weights.items()}),
                number("test accuracy", 100 * accuracy, "%"),
            ],
        )
