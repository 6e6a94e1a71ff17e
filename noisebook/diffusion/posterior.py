"""One reverse step: where x_s lies, given x_t and an estimate of the clean picture.

t and s are any two timesteps of a strided sequence, t the noisier, given by their ᾱ. Everything here is a
pure function of its arguments: nothing remembers an earlier call. Coefficients are Python floats (float64).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from noisebook.diffusion.schedules import forward, implied_noise

Variance = Literal["learned", "small", "large"]
Draw = Callable[[], Tensor]
"""Standard normal noise of the batch's shape; each call draws anew."""


@dataclass(frozen=True, slots=True)
class Transition:
    """All that a step rule may know of one step, from t to s. Pictures are (B, C, H, W).

    Attributes:
        x_t: the noisy pictures.
        x_0: x̂_0, the estimate of the clean ones.
        v: the model's raw variance in [-1, 1] (see :func:`log_variance`); None for a model without one.
        alpha_t, alpha_s: ᾱ of the two timesteps; ᾱ_s is 1 in the last step.
        draw: fresh noise.
        predict: (x̂_0, v) of pictures with the noise of s: a second model call.
        before: (ᾱ, x̂_0) of the step before; None in the first.
    """

    x_t: Tensor
    x_0: Tensor
    v: Tensor | None
    alpha_t: float
    alpha_s: float
    draw: Draw
    predict: Callable[[Tensor], tuple[Tensor, Tensor | None]] | None = None
    before: tuple[float, Tensor] | None = None


Step = Callable[[Transition], Tensor]
"""A step rule: x_s."""


def betas(alpha_t: float, alpha_s: float) -> tuple[float, float]:
    """(β, β̃) of the strided pair: β = 1 - ᾱ_t/ᾱ_s, and the posterior's β̃ = β (1-ᾱ_s)/(1-ᾱ_t)."""
    beta = 1 - alpha_t / alpha_s
    return beta, beta * (1 - alpha_s) / (1 - alpha_t)


def mean(x_t: Tensor, x_0: Tensor, alpha_t: float, alpha_s: float) -> Tensor:
    """Mean of q(x_s | x_t, x_0): √ᾱ_s β/(1-ᾱ_t) x_0 + √α (1-ᾱ_s)/(1-ᾱ_t) x_t with α = ᾱ_t/ᾱ_s = 1-β."""
    beta, _ = betas(alpha_t, alpha_s)
    return (math.sqrt(alpha_s) * beta * x_0 + math.sqrt(1 - beta) * (1 - alpha_s) * x_t) / (1 - alpha_t)


def log_variance(v: Tensor, alpha_t: float, alpha_s: float) -> Tensor:
    """Learned range: log σ² = f log β + (1-f) log β̃ with f = (v+1)/2, both of the strided pair.

    With the β of the single timestep t in place of the pair's, σ would be several times too small.
    """
    beta, small = betas(alpha_t, alpha_s)
    fraction = (v + 1) / 2
    return fraction * math.log(beta) + (1 - fraction) * math.log(small)


def ancestral(variance: Variance = "learned") -> Step:
    """Sample the posterior (Ho and others 2020, eq. 6 and 7). ``small`` is β̃, ``large`` is β; ``learned``
    is the model's own, or β̃ where it has none. The last step, to ᾱ_s = 1, is the mean, x̂_0, without noise."""

    def step(now: Transition) -> Tensor:
        if now.alpha_s >= 1:
            return now.x_0
        centre = mean(now.x_t, now.x_0, now.alpha_t, now.alpha_s)
        if variance == "learned" and now.v is not None:
            return centre + torch.exp(0.5 * log_variance(now.v, now.alpha_t, now.alpha_s)) * now.draw()
        large, small = betas(now.alpha_t, now.alpha_s)
        return centre + math.sqrt(large if variance == "large" else small) * now.draw()

    return step


def ddim(eta: float = 0.0) -> Step:
    """The implicit step (Song and others 2021, eq. 12): deterministic at η = 0, ancestral with β̃ at η = 1."""

    def step(now: Transition) -> Tensor:
        if now.alpha_s >= 1:
            return now.x_0
        variance = eta**2 * betas(now.alpha_t, now.alpha_s)[1]
        # The noise that still points from x̂_0 to x_t, after thresholding.
        epsilon = implied_noise(now.x_t, now.x_0, now.alpha_t)
        # Leave room for the fresh noise: the total stays 1-ᾱ_s.
        kept = math.sqrt((1 - now.alpha_s - variance) / (1 - now.alpha_s))
        x_s = forward(now.x_0, now.alpha_s, kept * epsilon)
        return x_s + math.sqrt(variance) * now.draw() if variance else x_s

    return step


def heun(now: Transition) -> Tensor:
    """Heun's step on the probability-flow ODE, second order, two model calls (Karras and others 2022, alg. 1
    without its churn): dx̄/dσ = ε with x̄ = x/√ᾱ and σ = √((1-ᾱ)/ᾱ)."""
    if now.alpha_s >= 1:
        return now.x_0
    assert now.predict
    distance = _sigma(now.alpha_s) - _sigma(now.alpha_t)
    here = implied_noise(now.x_t, now.x_0, now.alpha_t)

    def moved(epsilon: Tensor) -> Tensor:
        return math.sqrt(now.alpha_s) * (now.x_t / math.sqrt(now.alpha_t) + distance * epsilon)

    x_s = moved(here)
    return moved((here + implied_noise(x_s, now.predict(x_s)[0], now.alpha_s)) / 2)


def dpm_solver(now: Transition) -> Tensor:
    """DPM-Solver++(2M): second order from x̂_0 of this step and the one before, one model call (Lu and others
    2022, "DPM-Solver++", alg. 2, with the midpoint's weights). First and last step are of first order."""
    if now.alpha_s >= 1:
        return now.x_0
    step = _log_snr(now.alpha_s) - _log_snr(now.alpha_t)
    x_0 = now.x_0
    if now.before:
        alpha, earlier = now.before
        ratio = step / (_log_snr(now.alpha_t) - _log_snr(alpha))
        x_0 = x_0 + ratio / 2 * (x_0 - earlier)
    kept = math.sqrt((1 - now.alpha_s) / (1 - now.alpha_t))
    return kept * now.x_t - math.sqrt(now.alpha_s) * math.expm1(-step) * x_0


def _sigma(alpha: float) -> float:
    return math.sqrt((1 - alpha) / alpha)


def _log_snr(alpha: float) -> float:
    """λ = log(√ᾱ/√(1-ᾱ))."""
    return 0.5 * math.log(alpha / (1 - alpha))


Sampler = Literal["ancestral", "ddim", "heun", "dpm-solver++"]
MULTISTEP = ("dpm-solver++",)
"""Those that use the step before: a sample cannot join others that have one."""


def step_rule(sampler: Sampler, variance: Variance = "learned") -> Step:
    """The step rule of that name; ``variance`` is ancestral's."""
    rules: dict[str, Step] = {"ddim": ddim(), "heun": heun, "dpm-solver++": dpm_solver}
    return ancestral(variance) if sampler == "ancestral" else rules[sampler]
