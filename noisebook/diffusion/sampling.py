"""The reverse process: one loop for every task.

A task is four choices: where it starts, how ε is estimated (:mod:`noisebook.diffusion.estimates`), the step
rule (:mod:`noisebook.diffusion.posterior`), and what happens after a step.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import check_finite
from noisebook.diffusion.estimates import Estimate
from noisebook.diffusion.posterior import Draw, Step, Transition, ancestral
from noisebook.diffusion.schedules import alphas_at, clean, forward
from noisebook.diffusion.thresholding import Threshold, dynamic

After = Callable[[Tensor, float, Draw], Tensor]
"""(x_s, ᾱ_s, draw) -> x_s: what is done to a batch (B, C, H, W) that has arrived at s."""


@dataclass(frozen=True)
class State:
    """The batch after one step.

    Attributes:
        t: the timestep whose noise ``x`` now has; -1 is none.
        x: (B, C, H, W).
        clean: (B, C, H, W): x̂_0 of this step, after thresholding.
    """

    t: int
    x: Tensor
    clean: Tensor


@torch.inference_mode()
def reverse(
    x: Tensor,
    timesteps: Sequence[int],
    alphas_cumprod: Tensor,
    estimate: Estimate,
    generators: Sequence[torch.Generator],
    *,
    threshold: Threshold | None = None,
    step: Step | None = None,
    after: After | None = None,
) -> Iterator[State]:
    """Remove noise step by step, and yield the state after every step.

    At each timestep t: x̂_0 = (x_t - √(1-ᾱ_t) ε) / √ᾱ_t, then x_s from x_t and x̂_0 by the step rule. The last
    step goes to ᾱ = 1, where x is x̂_0: as many steps as timesteps.

    Args:
        x: (B, C, H, W) float32: noise, or pictures with the noise of the first timestep.
        timesteps: falling, e.g. 990, 960, … 0.
        alphas_cumprod: the model's ᾱ, float64.
        estimate: (x_t, t) -> (ε, v).
        generators: one for each sample, for the noise of its steps.
        threshold: applied to x̂_0; DeepFloyd's dynamic one if left out.
        step: the step rule; ancestral with the model's variance if left out.
        after: applied to x after each step.

    Raises:
        ValueError: timesteps that do not fall.
        NotANumber: after a step that gives NaN or infinities.
    """
    alphas = alphas_at(alphas_cumprod, timesteps)
    threshold, step = threshold or dynamic(), step or ancestral()
    before: tuple[float, Tensor] | None = None

    def draw() -> Tensor:
        return draw_noise(generators, x.shape[1:]).to(x.device)

    def predict(x_t: Tensor, i: int) -> tuple[Tensor, Tensor | None]:
        epsilon, v = estimate(x_t, timesteps[i])
        return threshold(clean(x_t, epsilon, alphas[i])), v

    for i in range(len(timesteps)):
        x_0, v = predict(x, i)
        again = partial(predict, i=i + 1)
        x = step(Transition(x, x_0, v, alphas[i], alphas[i + 1], draw, again, before))
        if after:
            x = after(x, alphas[i + 1], draw)
        check_finite(x, f"the pictures after the step from timestep {timesteps[i]}")
        before = alphas[i], x_0
        yield State(timesteps[i + 1] if i + 1 < len(timesteps) else -1, x, x_0)


def finish(states: Iterator[State]) -> Tensor:
    """Run a reverse process to its end, (B, C, H, W), and keep only that."""
    last = collections.deque(states, maxlen=1)
    if not last:
        raise ValueError("a reverse process needs at least one timestep")
    return last[0].x


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator per sample: a sample stays the same in any batch, in any order, on any device."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draw_noise(generators: Sequence[torch.Generator], shape: Sequence[int]) -> Tensor:
    """Standard normal noise (B, *shape), each sample from its own generator."""
    return torch.stack([torch.randn(tuple(shape), generator=each) for each in generators])


def paste(originals: Tensor, masks: Tensor) -> After:
    """Inpainting: outside the mask, put back the original with the noise of the timestep just reached
    (Lugmayr and others 2022, "RePaint", eq. 8, without its resampling).

    Args:
        originals: (B, C, H, W) in [-1, 1].
        masks: (B, 1, H, W): 1 generates, 0 keeps.
    """

    def after(x_s: Tensor, alpha_s: float, draw: Draw) -> Tensor:
        known = originals if alpha_s >= 1 else forward(originals, alpha_s, draw())
        return torch.where(masks > 0.5, x_s, known)

    return after
