"""A classifier of digits, by which samples are judged: it shares nothing with the networks that draw them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

FEATURES = 128


class Classifier(nn.Module):
    """Two convolutions, a layer of features, ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64 * 7 * 7, FEATURES),
            nn.ReLU(),
        )
        self.classes = nn.Linear(FEATURES, 10)

    def forward(self, digits: Tensor) -> Tensor:
        """(N, 1, 28, 28) in [0, 1] to (N, 10): the logarithms of odds."""
        result: Tensor = self.classes(self.features(digits))
        return result


def load_classifier(weights: Mapping[str, Tensor]) -> Classifier:
    """A classifier with these weights, for inference."""
    classifier = Classifier()
    classifier.load_state_dict(dict(weights))
    return classifier.eval().requires_grad_(False)


def train_classifier(
    digits: Tensor, labels: Tensor, seed: Callable[..., int], epochs: int, batch: int = 128
) -> Iterator[tuple[int, int, Classifier]]:
    """Train by Adam, whose learning rate falls evenly from 1e-3 to 0; yields (steps done, steps, classifier).

    Args:
        digits: uint8, (N, 28, 28).
        labels: (N,), 0 … 9.
        seed: gives the seed of each draw: of the weights, of an epoch's order, of what is dropped.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed("weights"))
        classifier = Classifier()
        optimizer = torch.optim.Adam(classifier.parameters(), 1e-3)
        per_epoch = -(-len(digits) // batch)
        for step in range(epochs * per_epoch):
            epoch, position = divmod(step, per_epoch)
            if position == 0:
                order = torch.randperm(
                    len(digits), generator=torch.Generator().manual_seed(seed("order", epoch))
                )
                torch.manual_seed(seed("dropout", epoch))
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (1 - step / (epochs * per_epoch))
            chosen = order[position * batch :][:batch]
            answers = classifier(digits[chosen][:, None].float() / 255)
            loss = nn.functional.cross_entropy(answers, labels[chosen].long())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            yield step + 1, epochs * per_epoch, classifier


@torch.no_grad()
def judge(classifier: Classifier, digits: Tensor, batch: int = 1000) -> tuple[Tensor, Tensor]:
    """The features (N, 128), float64, and recognised classes (N,) of digits (N, 1, 28, 28) in [0, 1]."""
    features = torch.cat([classifier.features(part) for part in torch.split(digits, batch)])
    return features.double(), classifier.classes(features).argmax(1)


def frechet_distance(one: Tensor, other: Tensor) -> float:
    """|μ-μ'|² + tr(C + C' - 2 (C C')^½) of two sets of features (N, F) and (M, F), float64.

    It is 0 for equal sets and biased upwards for small ones: compare only at the same numbers.
    """
    first, second = torch.cov(one.T), torch.cov(other.T)
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # (C C')^½ has the trace of the symmetric (C^½ C' C^½)^½.
    shared = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    gap = ((one.mean(0) - other.mean(0)) ** 2).sum()
    return float(gap + first.trace() + second.trace() - 2 * shared)


def spread(features: Tensor) -> float:
    """The mean distance between two different members of a set of features (N, F)."""
    return float(torch.pdist(features).mean()) if len(features) > 1 else 0.0
