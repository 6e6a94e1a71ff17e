"""The reverse process: one loop for every task.

A task is four choices: where it starts, how ε is estimated (:mod:`noisebook.diffusion.estimates`), the step
rule (:mod:`noisebook.diffusion.posterior`), and what happens after a step.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from noisebook.diffusion.estimates import Estimate, Rows
from noisebook.diffusion.posterior import Draw, Step, ancestral
from noisebook.diffusion.schedules import alphas_at, clean, forward
from noisebook.diffusion.thresholding import Threshold, dynamic

After = Callable[[Tensor, float, Rows, Draw], Tensor]
"""(x_s, ᾱ_s, rows, draw) -> x_s: what is done to the samples ``rows`` once they have arrived at s."""


@dataclass(frozen=True)
class State:
    """The batch after one step.

    Attributes:
        index: steps of the whole sequence that lie behind: 1 … len(timesteps).
        t: the timestep whose noise ``x`` now has; -1 is none.
        x: (B, C, H, W). A sample that has not begun stands at its start.
        clean: (len(rows), C, H, W): x̂_0 of this step, after thresholding.
        rows: the samples that took this step.
    """

    index: int
    t: int
    x: Tensor
    clean: Tensor
    rows: Rows


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One CPU generator per sample: a sample stays the same in any batch, in any order, on any device."""
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draw_noise(each: Sequence[torch.Generator], shape: Sequence[int]) -> Tensor:
    """Standard normal noise (len(each), *shape), each sample from its own generator."""
    return torch.stack([torch.randn(tuple(shape), generator=generator) for generator in each])


def noised(x_0: Tensor, alphas: Sequence[float], noise: Tensor) -> Tensor:
    """Each picture with the noise of its own ᾱ: where an edit starts. A picture at ᾱ = 1 is unchanged."""
    return torch.cat([forward(x_0[k : k + 1], a, noise[k : k + 1]) for k, a in enumerate(alphas)])


def paste(originals: Tensor, masks: Tensor) -> After:
    """Inpainting: outside the mask, put back the original with the noise of the timestep just reached.

    Args:
        originals: (B, C, H, W) in [-1, 1].
        masks: (B, 1, H, W): 1 generates, 0 keeps.
    """

    def after(x_s: Tensor, alpha_s: float, rows: Rows, draw: Draw) -> Tensor:
        index = list(rows)
        known = originals[index] if alpha_s >= 1 else forward(originals[index], alpha_s, draw())
        return torch.where(masks[index] > 0.5, x_s, known)

    return after


@torch.inference_mode()
def reverse(
    x: Tensor,
    timesteps: Sequence[int],
    alphas_cumprod: Tensor,
    estimate: Estimate,
    each: Sequence[torch.Generator],
    *,
    starts: Sequence[int] | None = None,
    threshold: Threshold | None = None,
    step: Step | None = None,
    after: After | None = None,
) -> Iterator[State]:
    """Remove noise step by step, and yield the state after every step.

    The last step goes from the last timestep to ᾱ = 1, where x is x̂_0: as many model calls as timesteps.

    Args:
        x: (B, C, H, W) float32: noise, or pictures noised to where they start.
        timesteps: falling, e.g. 990, 960, … 0.
        alphas_cumprod: the model's ᾱ, float64.
        estimate: (x_t, t, rows) -> (ε, v).
        each: one generator per sample, for the noise of its steps.
        starts: for each sample the index into ``timesteps`` at which it joins; 0 for all if left out. A
            bigger index is less noise.
        threshold: applied to x̂_0; DeepFloyd's dynamic one if left out.
        step: the step rule; ancestral with the model's variance if left out.
        after: applied to x after each step.

    Raises:
        ValueError: timesteps that do not fall, or a start beyond them.
    """
    alphas = alphas_at(alphas_cumprod, timesteps)
    starts = [0] * len(x) if starts is None else starts
    if not all(0 <= start < len(timesteps) for start in starts):
        raise ValueError(f"a start must lie between 0 and {len(timesteps) - 1}, not {list(starts)}")
    threshold, step = threshold or dynamic(), step or ancestral()
    shape, device = x.shape[1:], x.device
    for index, t in enumerate(timesteps):
        rows = tuple(row for row, start in enumerate(starts) if start <= index)
        if not rows:
            continue

        def draw(rows: Rows = rows) -> Tensor:
            return draw_noise([each[row] for row in rows], shape).to(device)

        x_t = x[list(rows)]
        epsilon, v = estimate(x_t, t, rows)
        x_0 = threshold(clean(x_t, epsilon, alphas[index]))
        x_s = step(x_t, x_0, v, alphas[index], alphas[index + 1], draw)
        if after:
            x_s = after(x_s, alphas[index + 1], rows, draw)
        x = x.index_copy(0, torch.tensor(rows, device=device), x_s)
        yield State(index + 1, timesteps[index + 1] if index + 1 < len(timesteps) else -1, x, x_0, rows)


def finish(states: Iterator[State]) -> Tensor:
    """Run a reverse process to its end and keep only that."""
    last = collections.deque(states, maxlen=1)
    if not last:
        raise ValueError("a reverse process needs at least one timestep")
    return last[0].x
