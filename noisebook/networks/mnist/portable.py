"""Seeded noise that any language repeats: mulberry32 and Box-Muller.

PyTorch's own generator is faster and better, but nothing outside PyTorch draws what it draws.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

WORD = 0xFFFFFFFF


def normal(seed: int, count: int) -> Tensor:
    """Standard normal noise, (count,) float32; computed in float64, so the same everywhere to its last digit.

    Args:
        seed: 0 … 2³² - 1.
        count: how many.
    """
    values: list[float] = []
    state = seed & WORD
    while len(values) < count:
        state, first = _mulberry32(state)
        state, second = _mulberry32(state)
        # 1 - u lies in (0, 1], where the logarithm is finite.
        radius = math.sqrt(-2 * math.log(1 - first / 2**32))
        angle = 2 * math.pi * second / 2**32
        values += [radius * math.cos(angle), radius * math.sin(angle)]
    return torch.tensor(values[:count], dtype=torch.float32)


def _mulberry32(state: int) -> tuple[int, int]:
    """The next state and a word of 32 bits (Tommy Ettinger's generator, in the public domain)."""
    state = (state + 0x6D2B79F5) & WORD
    word = ((state ^ state >> 15) * (state | 1)) & WORD
    word ^= (word + (word ^ word >> 7) * (word | 61)) & WORD
    return state, word ^ word >> 14
