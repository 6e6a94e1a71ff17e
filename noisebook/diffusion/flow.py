"""Flow matching: a velocity field that carries noise to pictures along straight lines.

Time runs from noise to data: x_0 ~ N(0, I) is noise, x_1 is a picture, and x_t = (1-t) x_0 + t x_1 for t in
[0, 1] (Lipman and others 2023, eq. 22 with σ_min = 0; Liu and others 2023, "rectified flow"). Others count t
the other way round, or scale the noise: :func:`alpha_cumprod` says which diffusion process it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import check_finite
from noisebook.diffusion.guidance import Guidance, extrapolate

Velocity = Callable[[Tensor, float], Tensor]
"""(x_t of shape (B, C, H, W), t in [0, 1]) -> dx/dt at x_t, of the same shape."""

FlowStep = Callable[[Tensor, float, float, Velocity, Tensor], Tensor]
"""(x_t, t, s, velocity, velocity(x_t, t)) -> x_s with t < s."""


def _per_sample(t: Tensor | float, x: Tensor) -> Tensor | float:
    return t.view(-1, *[1] * (x.dim() - 1)) if isinstance(t, Tensor) and t.dim() else t


def path(x_1: Tensor, noise: Tensor, t: Tensor | float) -> Tensor:
    """x_t = (1-t) x_0 + t x_1, with noise x_0 and pictures x_1, both (B, C, H, W).

    ``t`` is one time, or one for each sample (B,); in [0, 1].
    """
    t = _per_sample(t, x_1)
    return (1 - t) * noise + t * x_1


def target(x_1: Tensor, noise: Tensor) -> Tensor:
    """What a network is trained to predict from x_t and t: x_1 - x_0, the velocity along the line."""
    return x_1 - noise


def loss(predicted: Tensor, x_1: Tensor, noise: Tensor) -> Tensor:
    """The mean squared error of predicted velocities, a scalar (Lipman and others 2023, eq. 23)."""
    return (predicted - target(x_1, noise)).square().mean()


def clean(x_t: Tensor, velocity: Tensor, t: Tensor | float) -> Tensor:
    """x̂_1 = x_t + (1-t) v: the picture that a velocity at x_t points to."""
    return x_t + (1 - _per_sample(t, x_t)) * velocity


def implied_noise(x_t: Tensor, velocity: Tensor, t: Tensor | float) -> Tensor:
    """x̂_0 = x_t - t v: the noise that it comes from."""
    return x_t - _per_sample(t, x_t) * velocity


def alpha_cumprod(t: float, noise_scale: float = 1.0) -> float:
    """ᾱ of the diffusion process that x_t is a state of, up to a factor.

    x_t = t x_1 + (1-t) s z with z ~ N(0, I), divided by √(t² + (1-t)² s²), is √ᾱ x_1 + √(1-ᾱ) z with
    ᾱ = t² / (t² + (1-t)² s²). So a flow model is a denoiser, with ε = :func:`implied_noise` / s.
    """
    return t**2 / (t**2 + ((1 - t) * noise_scale) ** 2)


def times(steps: int) -> list[float]:
    """0, 1/steps, … 1: the ends of ``steps`` steps of equal length."""
    if steps < 1:
        raise ValueError(f"a flow needs at least one step, not {steps}")
    return [k / steps for k in range(steps + 1)]


def euler(x: Tensor, t: float, s: float, velocity: Velocity, slope: Tensor) -> Tensor:
    """x_s = x_t + (s-t) v(x_t, t): first order, one model call a step."""
    return x + (s - t) * slope


def heun(x: Tensor, t: float, s: float, velocity: Velocity, slope: Tensor) -> Tensor:
    """x_s = x_t + (s-t) (v(x_t, t) + v(x', s)) / 2 with Euler's x': second order, two model calls a step.

    The velocity is never asked for at t = 1, where x is data: the last step is Euler's.
    """
    x_s = euler(x, t, s, velocity, slope)
    return x_s if s >= 1 else x + (s - t) * (slope + velocity(x_s, s)) / 2


@dataclass(frozen=True)
class FlowState:
    """The batch after one step.

    Attributes:
        t: the time reached, in (0, 1].
        x: (B, C, H, W) at that time.
        clean: (B, C, H, W): x̂_1 as seen from before the step.
    """

    t: float
    x: Tensor
    clean: Tensor


@torch.inference_mode()
def integrate(
    x: Tensor, times: Sequence[float], velocity: Velocity, step: FlowStep = euler
) -> Iterator[FlowState]:
    """Carry ``x`` along the flow, and yield the state after every step.

    Args:
        x: (B, C, H, W): noise where ``times`` begins at 0, else a point of :func:`path`.
        times: rising, in [0, 1], e.g. ``times(50)``.

    Raises:
        ValueError: times that do not rise or leave [0, 1].
        NotANumber: after a step that gives NaN or infinities.
    """
    if len(times) < 2 or times[0] < 0 or times[-1] > 1:
        raise ValueError("a flow's times must lie between 0 and 1, two of them at least")
    for t, s in itertools.pairwise(times):
        if not t < s:
            raise ValueError("a flow's times must rise: t counts how much of x is data")
        slope = velocity(x, t)
        x_1 = clean(x, slope, t)
        x = step(x, t, s, velocity, slope)
        check_finite(x, f"the pictures after the step from t = {t:g}")
        yield FlowState(s, x, x_1)


def guided(conditional: Velocity, reference: Velocity, guidance: Guidance) -> Velocity:
    """v_ref + γ (v_c - v_ref). ``reference`` has no condition, or is a worse model's; what γ does not need is
    not asked for."""

    def velocity(x_t: Tensor, t: float) -> Tensor:
        scale = guidance.scale(t)
        if scale == 1:
            return conditional(x_t, t)
        if scale == 0:
            return reference(x_t, t)
        return extrapolate(reference(x_t, t), conditional(x_t, t), scale)

    return velocity
