"""What the classifier says of digits: measures beside the test digits, and the charts' way to read them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Output
from noisebook.cells.outputs import arrays, number, table

if TYPE_CHECKING:
    from torch import Tensor

COMPARED = 200
"""Samples in every Fréchet distance of a chart: it depends on their number."""
Samples = Annotated[
    int,
    Field(ge=COMPARED, le=10_000, multiple_of=10, examples=[COMPARED], description="how many in each set"),
]
DISTANCE = f"Fréchet distance of {COMPARED}"
SPREAD = "spread, share of real digits'"


class Judge:
    """A cell's needed ``classifier``, and what it sees in the test digits of the cell's model ``data``."""

    def __init__(self, cell: Cell, context: Context):
        import torch

        from noisebook.networks.mnist.classifier import load_classifier

        trained = context.needed(cell, "classifier").arrays("weights")
        self.classifier = load_classifier({key: torch.tensor(value) for key, value in trained.items()})
        data = context.model(cell, "data")
        self.labels = torch.tensor(data.test_labels)
        self.features, self.recognised = self(torch.tensor(data.test_digits)[:, None].float() / 255)

    def __call__(self, digits: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, 128) and recognised classes (N,) of digits (N, 1, 28, 28) in [0, 1]."""
        from noisebook.networks.mnist.classifier import judge

        return judge(self.classifier, digits)

    def recognition(self, features: Tensor, recognised: Tensor, asked: Tensor) -> list[Output]:
        """Accuracy, and the spread within each class as a share of real digits'."""
        from noisebook.networks.mnist.classifier import spread

        rows: list[list[Any]] = []
        for digit in range(10):
            mine = asked == digit
            right = float((recognised[mine] == digit).double().mean())
            share = spread(features[mine]) / spread(self.features[self.labels == digit])
            rows.append([digit, int(mine.sum()), round(100 * right, 2), round(share, 4)])
        shares = [row[3] for row in rows]
        return [
            number("recognised", 100 * float((recognised == asked).double().mean()), "%"),
            number(SPREAD, sum(shares) / 10),
            number("least spread of a class", min(shares)),
            table("classes", ["class", "digits", "recognised, %", "spread"], rows),
        ]

    def distances(self, features: Tensor, counts: Iterable[int]) -> list[Output]:
        """The Fréchet distance to the test digits of the first n samples, for each n of ``counts``."""
        from noisebook.networks.mnist.classifier import frechet_distance

        return [
            number(f"Fréchet distance of {n}", frechet_distance(features[:n], self.features)) for n in counts
        ]


def samples(digits: Tensor, classes: Tensor) -> Output:
    """Digits in [0, 1] and the classes that were asked for, as a cell keeps them."""
    stored = {"digits": (digits * 255).round().byte().numpy(), "classes": classes.numpy()}
    return arrays("samples", stored, keep="local")


def measured(context: Context, cell: Cell, need: str, name: str) -> float:
    """A measure of samples that a chart's cell needs."""
    return float(json.loads(context.needed(cell, need).data(name))["value"])
