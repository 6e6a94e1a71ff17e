"""Muon (Jordan and others, 2024) for matrices and convolutions, where torch.optim.Muon takes matrices alone.

Muon replaces the step of a matrix by the nearest orthogonal one, so that rare directions are learnt as fast
as common ones; a kernel is taken as the matrix (outputs, inputs × places).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from noisebook.networks.precision import fastest_dtype

MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration x ← a x + b x³ + c x⁵ on singular values."""


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest matrix with singular values of about 1 (.7 to 1.2), by Newton and Schulz's iteration."""
    a, b, c = COEFFICIENTS
    # Half the digits do, but a processor that has no such arithmetic takes thirty times as long over them.
    x = matrix.to(fastest_dtype())
    x = x if matrix.shape[0] <= matrix.shape[1] else x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = (x if matrix.shape[0] <= matrix.shape[1] else x.T).to(matrix.dtype)
    return result


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal, and scaled so that AdamW's learning rates fit: a step has a root
    mean square of some .2 ``lr`` (Liu and others, "Muon is scalable for LLM training", 2025)."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; parameters without a gradient stay."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - MOMENTUM)
                update = torch.lerp(parameter.grad, momentum, MOMENTUM)
                change = orthogonal(update.flatten(1)).view_as(update)
                rows, columns = update.flatten(1).shape
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(change, alpha=-group["lr"] * max(rows, columns) ** 0.5 * 0.2)
