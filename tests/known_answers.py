"""Seeded noise, and models whose answers are known, because their pictures are normally distributed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import Denoiser, Prompt
from noisebook.diffusion.flow import Velocity
from noisebook.diffusion.schedules import squared_cosine


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal, of this shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


class GaussianDenoiser(Denoiser):
    """The exact posterior mean for x_0 ~ N(μ_prompt, s² I).

    E[ε | x_t] = √(1-ᾱ) (x_t - √ᾱ μ) / (ᾱ s² + 1-ᾱ), so a sample ends distributed as N(μ, s²) up to the
    discretization of time: the known answer that samplers are tested with.
    """

    def __init__(
        self,
        means: Mapping[Prompt, Tensor],
        spread: float = 0.1,
        image_size: int = 64,
        alphas_cumprod: Tensor | None = None,
        variance: float | None = None,
    ) -> None:
        """Means are broadcast to (3, image_size, image_size); a prompt that is not there has mean 0.
        ``variance`` is the constant v that it reports, None for a model without one."""
        self.means, self.spread, self.image_size, self.variance = dict(means), spread, image_size, variance
        self.alphas_cumprod = squared_cosine() if alphas_cumprod is None else alphas_cumprod
        self.calls: list[tuple[int, int]] = []
        """(timestep, rows) of every call."""

    def embed(self, prompts: Sequence[Prompt]) -> Tensor:
        """The prompts' means, (B, 3, H, W)."""
        shape = (3, self.image_size, self.image_size)
        return torch.stack([self.means.get(prompt, torch.zeros(())).expand(shape) for prompt in prompts])

    def predict(self, x_t: Tensor, t: int, conditioning: Tensor) -> tuple[Tensor, Tensor | None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`."""
        self.calls.append((t, len(x_t)))
        alpha = float(self.alphas_cumprod[t])
        gap = x_t - alpha**0.5 * conditioning
        epsilon = gap * ((1 - alpha) ** 0.5 / (alpha * self.spread**2 + 1 - alpha))
        return epsilon, None if self.variance is None else torch.full_like(x_t, self.variance)


def gaussian_velocity(mean: Tensor, spread: float) -> Velocity:
    """The exact field for pictures x_1 ~ N(mean, spread² I): the known answer that flows are tested with.

    E[x_1 - x_0 | x_t] = m + (t s² - (1-t)) / ((1-t)² + t² s²) · (x_t - t m). The flow maps x_0 to m + s x_0.
    """

    def velocity(x_t: Tensor, t: float) -> Tensor:
        variance = (1 - t) ** 2 + (t * spread) ** 2
        if not math.isfinite(variance) or variance == 0:
            raise ValueError("a flow to a single picture has no velocity at t = 1")
        return mean + (t * spread**2 - (1 - t)) / variance * (x_t - t * mean)

    return velocity
