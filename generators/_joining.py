"""Samples that begin at timesteps of their own, drawn in one batch that grows: fewer, larger model calls."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from noisebook.diffusion.estimates import Estimate
from noisebook.diffusion.sampling import State, reverse

Rows = list[int]


def joining(
    x: Tensor,
    starts: Sequence[int],
    timesteps: Sequence[int],
    alphas_cumprod: Tensor,
    estimate: Callable[[Rows], Estimate],
    generators: Sequence[torch.Generator],
    options: Callable[[Rows], dict[str, Any]] = lambda rows: {},
) -> Iterator[tuple[Rows, State]]:
    """Run :func:`noisebook.diffusion.sampling.reverse` on the samples that have begun, until others begin.

    A sample's picture is that of a process of its own, but for step rules that remember earlier steps: draw
    those with one start at a time.

    Args:
        x: (B, C, H, W), each sample with the noise of its own first timestep.
        starts: for each the index into ``timesteps`` at which it joins. A bigger one is less noise.
        timesteps, alphas_cumprod, generators: as in ``reverse``; generators of all B samples.
        estimate: for some rows of ``x``, their estimate.
        options: for some rows, further arguments of ``reverse``.

    Yields:
        The rows that took the step, and their state.

    Raises:
        ValueError: a start beyond the timesteps.
    """
    if not all(0 <= start < len(timesteps) for start in starts):
        raise ValueError(f"a start must lie between 0 and {len(timesteps) - 1}, not {list(starts)}")
    x = x.clone()
    for begin, end in itertools.pairwise([*sorted(set(starts)), len(timesteps)]):
        rows = [row for row, start in enumerate(starts) if start <= begin]
        states = reverse(
            x[rows],
            timesteps[begin:],
            alphas_cumprod,
            estimate(rows),
            [generators[row] for row in rows],
            **options(rows),
        )
        for state in itertools.islice(states, end - begin):
            x[rows] = state.x.to(x.dtype)
            yield rows, state
