"""How the noise is estimated: plainly, guided, averaged over views, split by frequency.

An estimate is a function (x_t, t, rows) -> (ε, v or None): x_t holds only the samples that are still on
their way, and ``rows`` says which of the batch they are. Estimates combine: ``averaged`` and ``split`` take
estimates that are each already guided.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import Denoiser, Prompt, unconditional
from noisebook.diffusion.views import View

Rows = tuple[int, ...]
Estimate = Callable[[Tensor, int, Rows], tuple[Tensor, Tensor | None]]


def guided(denoiser: Denoiser, prompts: Sequence[Prompt], scale: float | Sequence[float] = 1.0) -> Estimate:
    """Classifier-free guidance: ε = ε_u + γ (ε_c - ε_u), with the conditional branch's variance.

    γ = 1 is plainly conditional and γ = 0 truly unconditional: each costs one row of one network call, any
    other γ two rows of the same call.

    Args:
        denoiser: the model.
        prompts: one for each sample of the batch.
        scale: γ, for all or for each sample.
    """
    scales = [float(scale)] * len(prompts) if isinstance(scale, int | float) else [float(s) for s in scale]
    if not prompts or len(scales) != len(prompts):
        raise ValueError(f"one prompt and one scale per sample: {len(prompts)} prompts, {len(scales)} scales")

    def estimate(x_t: Tensor, t: int, rows: Rows) -> tuple[Tensor, Tensor | None]:
        free = [k for k, row in enumerate(rows) if scales[row] != 1]
        asked = [k for k, row in enumerate(rows) if scales[row] != 0]
        # γ = 0 asks for anything at all, not for what stands beside its prompt.
        lone = [unconditional(prompts[rows[k]], beside=scales[rows[k]] != 0) for k in free]
        questions = lone + [prompts[rows[k]] for k in asked]
        answers, variances = denoiser.predict(x_t[free + asked], t, denoiser.embed(questions))
        if len(answers) == len(rows) and (not free or not asked):
            return answers, variances
        conditional = {k: len(free) + place for place, k in enumerate(asked)}
        unasked = {k: place for place, k in enumerate(free)}
        # A sample with only one branch reads it twice: ε_u + γ (ε_u - ε_u) is ε_u.
        c = [conditional.get(k, unasked.get(k, 0)) for k in range(len(rows))]
        u = [unasked.get(k, conditional.get(k, 0)) for k in range(len(rows))]
        gamma = x_t.new_tensor([scales[row] for row in rows])[:, None, None, None]
        epsilon = answers[u] + gamma * (answers[c] - answers[u])
        return epsilon, None if variances is None else variances[c]

    return estimate


def averaged(estimates: Sequence[Estimate], views: Sequence[View]) -> Estimate:
    """Visual anagrams (Geng and others, 2024): each estimate sees its own view of x_t; ε and the raw
    variance are taken back through the inverse view, then averaged.

    Raises:
        ValueError: for a view that is not orthogonal, which would change the noise's statistics.
    """
    for view in views:
        if not view.is_orthogonal:
            raise ValueError(
                f"the view {view.name} is not orthogonal: it would change the noise's statistics"
            )
    if not views or len(views) != len(estimates):
        raise ValueError(f"one view per estimate: {len(views)} views, {len(estimates)} estimates")

    def estimate(x_t: Tensor, t: int, rows: Rows) -> tuple[Tensor, Tensor | None]:
        seen = [each(view.apply(x_t), t, rows) for each, view in zip(estimates, views, strict=True)]
        epsilon = torch.stack([view.invert(e) for view, (e, _) in zip(views, seen, strict=True)]).mean(0)
        # A variance moves with its pixel, but a view that negates colours does not negate it.
        return epsilon, _average(
            [v if v is None else view.move(v) for view, (_, v) in zip(views, seen, strict=True)]
        )

    return estimate


def split(far: Estimate, near: Estimate, lowpass: Callable[[Tensor], Tensor]) -> Estimate:
    """Hybrid images (factorized diffusion): ε = lowpass(ε_far) + highpass(ε_near), where highpass is what
    lowpass leaves. Only ε is filtered; the two variances are averaged."""

    def estimate(x_t: Tensor, t: int, rows: Rows) -> tuple[Tensor, Tensor | None]:
        (low, v_low), (high, v_high) = far(x_t, t, rows), near(x_t, t, rows)
        return lowpass(low) + high - lowpass(high), _average([v_low, v_high])

    return estimate


def _average(variances: Sequence[Tensor | None]) -> Tensor | None:
    known = [v for v in variances if v is not None]
    return torch.stack(known).mean(0) if len(known) == len(variances) else None
