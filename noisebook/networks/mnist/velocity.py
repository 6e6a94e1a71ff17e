"""A trained flow network as a velocity field, for the one flow integrator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.diffusion.flow import Velocity, guided
from noisebook.diffusion.guidance import Guidance
from noisebook.networks.mnist.unet import UNet
from noisebook.networks.precision import DTYPES, autocast


def velocity_field(
    network: UNet, classes: Sequence[int | None], guidance: Guidance, precision: Literal["fp32", "bf16"]
) -> Velocity:
    """The velocity (B, 1, 28, 28) of B samples, t from 0 (noise) to 1 (digits in [0, 1]).

    Args:
        network: conditioned on t, and on a class if it was trained so.
        classes: 0 … 9 of each sample, or None; of no effect on a network without classes.
        guidance: from the estimate without a class to that with it.
        precision: what the network computes in; x_t and the velocity are fp32 always.
    """
    shown = torch.tensor([label is not None for label in classes])
    one_hot = functional.one_hot(torch.tensor([label or 0 for label in classes]), 10) * shown[:, None].float()

    def field(conditioning: Tensor | None) -> Velocity:
        def velocity(x_t: Tensor, t: float) -> Tensor:
            with autocast(DTYPES[precision]):
                result: Tensor = network(x_t, torch.full((len(x_t),), t), conditioning)
            return result.float()

        return velocity

    if not network.classes:
        return field(None)
    return (
        guided(field(one_hot), field(torch.zeros_like(one_hot)), guidance) if shown.any() else field(one_hot)
    )
