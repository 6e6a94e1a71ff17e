"""How the noise is estimated: guided by a prompt, averaged over views, or split by frequency.

An estimate knows a batch and nothing else: (x_t, t) -> (ε, v or None). Estimates combine: :func:`averaged`
and :func:`split` take estimates that are each already guided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import Denoiser, Prompt, check_finite
from noisebook.diffusion.guidance import ClassifierFreeGuidance, Estimated, Guidance
from noisebook.diffusion.views import View

Estimate = Callable[[Tensor, int], Estimated]
"""(x_t of shape (B, C, H, W), t) -> ε and the raw variance v in [-1, 1], or None, each of x_t's shape."""


def guided(denoiser: Denoiser, prompts: Sequence[Prompt], guidance: Guidance | float = 1.0) -> Estimate:
    """The estimate for a batch with these prompts, one for each sample, under a rule of guidance.

    A number is γ of classifier-free guidance; 1 is plainly conditional. Estimates that are not numbers raise
    NotANumber.
    """
    if not prompts:
        raise ValueError("one prompt per sample: there is none")
    rule = ClassifierFreeGuidance(guidance) if isinstance(guidance, int | float) else guidance

    def estimate(x_t: Tensor, t: int) -> Estimated:
        epsilon, v = rule.estimate(denoiser, prompts, x_t, t)
        for found in (epsilon, v):
            if found is not None:
                what = f"the model's estimate at timestep {t}, computed in {denoiser.precision}"
                check_finite(found, what, denoiser.if_it_overflows)
        return epsilon, v

    return estimate


def averaged(estimates: Sequence[Estimate], views: Sequence[View]) -> Estimate:
    """Visual anagrams (Geng and others 2024, eq. 4): each estimate is of its own view of x_t; ε and the raw
    variance go back through the inverse view and are averaged.

    Raises:
        ValueError: for a view that is not orthogonal, which would change the noise's statistics.
    """
    if not views or len(views) != len(estimates):
        raise ValueError(f"one view per estimate: {len(views)} views, {len(estimates)} estimates")
    if wrong := [view.name for view in views if not view.is_orthogonal]:
        raise ValueError(f"the view {wrong[0]} is not orthogonal: it would change the noise's statistics")

    def estimate(x_t: Tensor, t: int) -> Estimated:
        found = [each(view.apply(x_t), t) for each, view in zip(estimates, views, strict=True)]
        epsilon = torch.stack([view.invert(e) for view, (e, _) in zip(views, found, strict=True)]).mean(0)
        return epsilon, _mean(
            [v if v is None else view.invert_variance(v) for view, (_, v) in zip(views, found, strict=True)]
        )

    return estimate


def split(far: Estimate, near: Estimate, lowpass: Callable[[Tensor], Tensor]) -> Estimate:
    """Hybrid images: ε = lowpass(ε_far) + highpass(ε_near), where highpass is what lowpass leaves (Geng and
    others 2024, "Factorized diffusion"). Only ε is filtered; the two variances are averaged."""

    def estimate(x_t: Tensor, t: int) -> Estimated:
        (low, v_low), (high, v_high) = far(x_t, t), near(x_t, t)
        return lowpass(low) + high - lowpass(high), _mean([v_low, v_high])

    return estimate


def _mean(variances: Sequence[Tensor | None]) -> Tensor | None:
    known = [v for v in variances if v is not None]
    return torch.stack(known).mean(0) if len(known) == len(variances) else None
