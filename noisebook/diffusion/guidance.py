"""Guidance: how strongly an estimate follows its prompt.

Every rule moves from a reference estimate through the conditional one, ε = ε_ref + γ (ε_c - ε_ref). They
differ in what the reference is, and at which t they are on. A velocity (flow matching) is guided alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import Denoiser, Prompt, null_prompt

Estimated = tuple[Tensor, Tensor | None]
"""ε (B, C, H, W), and the raw variance v in [-1, 1] of the same shape for a model that has one."""


class Guidance(Protocol):
    """A rule of guidance."""

    def scale(self, t: float) -> float:
        """γ at ``t``: 1 is plainly conditional, 0 the reference alone."""

    def estimate(self, denoiser: Denoiser, prompts: Sequence[Prompt], x_t: Tensor, t: int) -> Estimated:
        """ε for x_t (B, C, H, W) and B prompts, with the conditional branch's variance."""


def extrapolate(reference: Tensor, conditional: Tensor, guidance_scale: float) -> Tensor:
    """ε_ref + γ (ε_c - ε_ref), of any shape. Some libraries count w = γ - 1 in place of γ."""
    return reference + guidance_scale * (conditional - reference)


@dataclass(frozen=True)
class ClassifierFreeGuidance:
    """ε_u + γ (ε_c - ε_u), where ε_u is the estimate for the null prompt (Ho and Salimans 2022, eq. 6 with
    w = γ - 1).

    Attributes:
        guidance_scale: γ ≥ 0.
        negative_prompt: stands in place of the null prompt: what the picture should not show.
    """

    guidance_scale: float = 1.0
    negative_prompt: str = ""

    def scale(self, t: float) -> float:
        """γ, always."""
        return self.guidance_scale

    def estimate(self, denoiser: Denoiser, prompts: Sequence[Prompt], x_t: Tensor, t: int) -> Estimated:
        """B rows through the network where γ is 0 or 1, else 2 B in one call."""
        scale = self.scale(t)
        if scale in (0, 1):
            alone = prompts if scale else [null_prompt(prompt, self.negative_prompt) for prompt in prompts]
            return denoiser.predict(x_t, t, denoiser.embed(alone))
        both = [*denoiser.unconditional(prompts, self.negative_prompt), *prompts]
        epsilon, v = denoiser.predict(torch.cat([x_t, x_t]), t, denoiser.embed(both))
        unconditional, conditional = epsilon.chunk(2)
        return extrapolate(unconditional, conditional, scale), None if v is None else v.chunk(2)[1]


@dataclass(frozen=True)
class IntervalGuidance(ClassifierFreeGuidance):
    """Classifier-free guidance for ``low`` ≤ t ≤ ``high`` alone, and none elsewhere: it does harm where there
    is much noise, and nothing where there is little (Kynkäänniemi and others 2024).

    Attributes:
        low, high: in the unit of the process's t: timesteps, or 0 … 1 for flow matching.
    """

    low: float = 0.0
    high: float = float("inf")

    def scale(self, t: float) -> float:
        """γ within the interval, 1 outside."""
        return self.guidance_scale if self.low <= t <= self.high else 1.0


@dataclass(frozen=True)
class Autoguidance:
    """ε_bad + γ (ε_c - ε_bad), where ``bad`` is a worse version of the model, smaller or trained for less
    time, with the same prompt: sharper pictures without the loss of variety (Karras and others 2024, "Guiding
    a diffusion model with a bad version of itself").
    """

    guidance_scale: float
    bad: Denoiser

    def scale(self, t: float) -> float:
        """γ, always."""
        return self.guidance_scale

    def estimate(self, denoiser: Denoiser, prompts: Sequence[Prompt], x_t: Tensor, t: int) -> Estimated:
        """B rows through each of the two models."""
        conditional, v = denoiser.predict(x_t, t, denoiser.embed(prompts))
        reference, _ = self.bad.predict(x_t, t, self.bad.embed(prompts))
        return extrapolate(reference, conditional, self.scale(t)), v
