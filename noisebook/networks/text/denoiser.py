"""A trained network as a denoiser, for the one sampling loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import Denoiser, Enlarge, Prompt
from noisebook.diffusion.schedules import forward, squared_cosine
from noisebook.networks.precision import accelerate, autocast, fastest_dtype
from noisebook.networks.text.network import Network, Shape, current_names
from noisebook.networks.text.training import enlarged, log_noise

Read = Callable[[Sequence[str]], Tensor]
"""Texts to tokens, (B, n, 384); padding is zero."""

Conditioning = tuple[Tensor, Tensor | None, Tensor | None]
"""Tokens; for stage II also the enlarged pictures with noise, and ln(σ/α) of that."""


def load_network(weights: Mapping[str, Tensor], shape: Shape) -> Network:
    """A network with these weights (any float type; kept in float32), for inference."""
    network = Network(shape)
    network.load_state_dict(current_names(weights))
    network.to(memory_format=torch.channels_last)
    if fastest_dtype() == torch.float32:  # in bfloat16 the kernels are less exact than PyTorch's own
        accelerate(network, fixed=True)
    return network.eval().requires_grad_(False)


class NetDenoiser(Denoiser):
    """The embedded network, stage I or II, as a :class:`noisebook.diffusion.denoiser.Denoiser`.

    The network predicts v; ε = σ x_t + α v. Unconditional is what the text encoder makes of "". Stage II
    takes :class:`noisebook.diffusion.denoiser.Enlarge` as its prompts.

    Attributes:
        image_size: side of its pictures.
        alphas_cumprod: DeepFloyd's cosine schedule, float64 (1000,).
    """

    def __init__(self, network: Network, read: Read) -> None:
        self.network, self.read = network, read
        self.image_size = network.shape.size
        self.alphas_cumprod = squared_cosine()
        self.dtype = fastest_dtype()
        self.precision = str(self.dtype).removeprefix("torch.")

    def embed(self, prompts: Sequence[Prompt]) -> Conditioning:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`."""
        texts = [str(prompt.text if isinstance(prompt, Enlarge) else prompt) for prompt in prompts]
        tokens = self.read(texts)
        if not self.network.shape.enlarges:
            return tokens, None, None
        pictures, levels = [], []
        for prompt in prompts:
            if not isinstance(prompt, Enlarge):
                raise ValueError("the second stage enlarges a picture: it needs one beside its prompt")
            levels.append(float(self.alphas_cumprod[prompt.level]))
            large = enlarged(prompt.picture[None].float(), self.image_size)[0]
            pictures.append(forward(large, levels[-1], prompt.noise))
        return tokens, torch.stack(pictures), log_noise(torch.tensor(levels, dtype=torch.float64))

    @torch.inference_mode()
    def predict(self, x_t: Tensor, t: int, conditioning: Conditioning) -> tuple[Tensor, None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`."""
        tokens, low_res, low_res_noise = conditioning
        alpha = float(self.alphas_cumprod[t])
        noise = log_noise(self.alphas_cumprod[t]).expand(len(x_t))
        with autocast(self.dtype):
            v = self.network(x_t.float(), noise, tokens, low_res, low_res_noise).float()
        return math.sqrt(1 - alpha) * x_t + math.sqrt(alpha) * v, None
