"""A trained MNIST network as a denoiser, for the one sampling loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import Denoiser
from noisebook.networks.mnist.schedule import alphas_cumprod
from noisebook.networks.mnist.unet import Objective, UNet, unet_for
from noisebook.networks.precision import accelerate


def load_unet(weights: Mapping[str, Tensor], width: int, objective: Objective) -> UNet:
    """A network with these weights (any float type; computed in fp32), for inference: BatchNorm fixed."""
    network = unet_for(objective, width)
    network.load_state_dict(dict(weights))
    network.to(memory_format=torch.channels_last)
    accelerate(network)
    return network.eval().requires_grad_(False)


class MnistDenoiser(Denoiser):
    """ε of noisy digits, by a time-conditioned network; a prompt is a class, 0 … 9, or None.

    Pixels are in [0, 1]; timesteps run from T to 1, and ᾱ_0 = 1 is the clean digit. The network's time is
    t/T, as in training. It may compute in bfloat16, by autocast: ε is then off by less than 1% of its size
    (on a trained network), little against a step's own noise. x_t and ε are fp32 always.
    """

    image_size = 28

    def __init__(
        self,
        network: UNet,
        timesteps: int,
        beta_first: float,
        beta_last: float,
        precision: Literal["fp32", "bf16"] = "fp32",
    ) -> None:
        if not network.timed:
            raise ValueError("a network that is not conditioned on time cannot sample")
        self.network = network
        self.timesteps = timesteps
        self.precision = precision
        self.if_it_overflows = "set `precision: fp32`"
        self.alphas_cumprod = alphas_cumprod(timesteps, beta_first, beta_last)

    def embed(self, prompts: Sequence[int | None]) -> Tensor | None:
        """One-hot classes, (B, classes); a row of zeros for None. None for a network without classes."""
        if not self.network.classes:
            return None
        rows = torch.zeros(len(prompts), self.network.classes)
        for row, prompt in zip(rows, prompts, strict=True):
            if prompt is not None:
                row[prompt] = 1
        return rows

    def predict(self, x_t: Tensor, t: int, conditioning: Tensor | None) -> tuple[Tensor, None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`; x_t is (B, 1, 28, 28)."""
        time = torch.full((len(x_t),), t / self.timesteps)
        with torch.autocast(x_t.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            answer = self.network(x_t, time, conditioning)
        return answer.float(), None
