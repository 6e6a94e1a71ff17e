"""How much of a digit is left at each time step."""

from __future__ import annotations

import torch
from torch import Tensor

from noisebook.diffusion.schedules import linear


def alphas_cumprod(timesteps: int, beta_first: float, beta_last: float) -> Tensor:
    """ᾱ_0 … ᾱ_T of the linear schedule of DDPM, float64, (T + 1,).

    ᾱ_0 = 1 is the clean digit, so that ᾱ_t belongs to time t and β_1 … β_T run from first to last.
    """
    return torch.cat([torch.ones(1, dtype=torch.float64), linear(timesteps, beta_first, beta_last)])
