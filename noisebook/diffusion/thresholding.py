"""What to do with estimates x̂_0 that leave the range of pictures, [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Threshold = Callable[[Tensor], Tensor]
Kind = Literal["none", "static", "dynamic"]


def none(x_0: Tensor) -> Tensor:
    """Keep x̂_0 as it is."""
    return x_0


def static(x_0: Tensor) -> Tensor:
    """Clamp x̂_0 to [-1, 1]."""
    return x_0.clamp(-1, 1)


def dynamic(ratio: float = 0.95, largest: float = 1.5) -> Threshold:
    """Imagen's: clamp each picture to its own quantile s of |x̂_0| and divide by s, with 1 ≤ s ≤ largest.

    The defaults are DeepFloyd's stage I (its stage II has ``largest`` 1: a plain clamp).
    """

    def threshold(x_0: Tensor) -> Tensor:
        s = torch.quantile(x_0.abs().flatten(1), ratio, dim=1).clamp(1, largest)[:, None, None, None]
        return x_0.clamp(-s, s) / s

    return threshold


def thresholding(kind: Kind) -> Threshold:
    """The threshold of that name, dynamic with DeepFloyd's numbers."""
    kinds: dict[str, Threshold] = {"none": none, "static": static, "dynamic": dynamic()}
    return kinds[kind]
