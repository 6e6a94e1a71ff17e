"""Noise schedules and timesteps. Schedules are float64: in half precision ᾱ_0 is 1 and ᾱ_999 is 0."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def squared_cosine(steps: int = 1000, largest_beta: float = 0.999) -> Tensor:
    """ᾱ_0 … ᾱ_{steps-1} of Nichol and Dhariwal's cosine schedule, DeepFloyd's; float64 (steps,).

    β_t = 1 - f(t+1)/f(t) with f(t) = cos²(((t/steps) + .008)/1.008 · π/2), at most ``largest_beta``.
    """
    f = [math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(steps + 1)]
    betas = [min(1 - f[t + 1] / f[t], largest_beta) for t in range(steps)]
    return torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), 0)


def linear(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """ᾱ_0 … ᾱ_{steps-1} of Ho and others' linear β schedule; float64 (steps,)."""
    return torch.cumprod(1 - torch.linspace(first, last, steps, dtype=torch.float64), 0)


def strided(first: int = 990, stride: int = 30) -> list[int]:
    """Timesteps first, first - stride, … down to 0 or the last one above it. 990 by 30 are 34 of them."""
    if stride < 1 or first < 0:
        raise ValueError(
            f"timesteps need a stride of at least 1 and a first of at least 0, not {stride} and {first}"
        )
    return list(range(first, -1, -stride))


def leading(count: int, trained: int = 1000) -> list[int]:
    """``count`` timesteps in strides of trained // count that end at 0: diffusers' "leading" spacing.

    They start below ``trained`` - 1: 20 → 950, 50 → 980, 100 → 990, 125 → 992 for 1000.
    """
    if not 1 <= count <= trained:
        raise ValueError(f"the number of steps must lie between 1 and {trained}, not {count}")
    return [i * (trained // count) for i in reversed(range(count))]


def trailing(count: int, trained: int = 1000) -> list[int]:
    """``count`` timesteps that start at ``trained`` - 1, diffusers' "trailing" spacing: 20 → 999, 949, … 49.

    What a schedule that ends in pure noise needs (Lin and others 2024, section 3.3).
    """
    if not 1 <= count <= trained:
        raise ValueError(f"the number of steps must lie between 1 and {trained}, not {count}")
    return [round(trained - i * trained / count) - 1 for i in range(count)]


def alphas_at(alphas_cumprod: Tensor, timesteps: Sequence[int]) -> list[float]:
    """ᾱ at each timestep, and 1 after the last: the step that leaves no noise behind."""
    if any(later >= earlier for earlier, later in itertools.pairwise(timesteps)):
        raise ValueError("timesteps must fall: t counts noise, and each step removes some")
    if timesteps and not 0 <= timesteps[-1] <= timesteps[0] < len(alphas_cumprod):
        raise ValueError(f"timesteps must lie between 0 and {len(alphas_cumprod) - 1}")
    return [float(alphas_cumprod[t]) for t in timesteps] + [1.0]


def forward(x_0: Tensor, alpha_cumprod: float, noise: Tensor) -> Tensor:
    """x_t = √ᾱ x_0 + √(1-ᾱ) ε: a clean picture with the noise of one timestep."""
    return math.sqrt(alpha_cumprod) * x_0 + math.sqrt(1 - alpha_cumprod) * noise


def clean(x_t: Tensor, epsilon: Tensor, alpha_cumprod: float) -> Tensor:
    """x̂_0 = (x_t - √(1-ᾱ) ε) / √ᾱ: the clean picture that an estimate of the noise implies.

    An error in ε comes out √((1-ᾱ)/ᾱ) times as large: 71 times at t = 990 of the cosine schedule.
    """
    return (x_t - math.sqrt(1 - alpha_cumprod) * epsilon) / math.sqrt(alpha_cumprod)


def implied_noise(x_t: Tensor, x_0: Tensor, alpha_cumprod: float) -> Tensor:
    """ε = (x_t - √ᾱ x̂_0) / √(1-ᾱ): the inverse of :func:`clean`."""
    return (x_t - math.sqrt(alpha_cumprod) * x_0) / math.sqrt(1 - alpha_cumprod)
