"""Stable Diffusion and its small distillations: a text-conditional network on an autoencoder's latents.

What needs no pixels draws with it: forward, one step, iterative, sampling, text to image, SDEdit, inpainting
(the mask pooled to the latents' size). A prompt is read by CLIP, which never shares memory with the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import Prompt
from noisebook.models.encoders import CLIP, TextEncoder, pinned
from noisebook.models.hub import located, read_config, schedule
from noisebook.models.latents import Encoding, Resizable
from noisebook.models.lock import Entry, MissingModel
from noisebook.models.network import Network
from noisebook.models.settings import Settings, from_environment
from noisebook.models.tasks import description
from noisebook.models.unconditional import PREDICTIONS, noise_from

PIPELINES = ("StableDiffusionPipeline",)
NEEDED = ("model_index.json", "unet/*", "vae/*", "scheduler/*", "tokenizer/*", "text_encoder/*")


class StableDiffusion(Encoding, Resizable):
    """A :class:`noisebook.models.latents.Encoding`. Its autoencoder computes in float32."""

    bounded = False

    def __init__(self, folder: Path, text: TextEncoder, settings: Settings | None = None) -> None:
        """Reads the configurations of a pipeline's folder. Raises MissingModel."""
        settings = settings or Settings()
        full = replace(settings, dtype=torch.float32)
        family = "Stable Diffusion"
        self.text, self.precision = text, settings.precision
        self.if_it_overflows = settings.if_it_overflows
        self.network = Network(family, "UNet2DConditionModel", folder / "unet", settings)
        self.autoencoder = Network(family, "AutoencoderKL", folder / "vae", full)
        config, vae = self.network.config, self.autoencoder.config
        channels = int(vae.get("latent_channels", 4))
        wrong = [
            name
            for name in ("addition_embed_type", "class_embed_type", "time_cond_proj_dim")
            if config.get(name)
        ]
        if config.get("in_channels") != channels or config.get("out_channels") != channels or wrong:
            found = f"with {wrong[0]}" if wrong else f"of {config.get('in_channels')} channels"
            raise MissingModel(
                f"{folder}/unet: expected a network on {channels} latent channels, found one {found}"
            )
        side = int(config["sample_size"])
        self.channels, self.multiple = channels, 2 ** (len(vae["block_out_channels"]) - 1)
        self.image_size = self.height = self.width = side * self.multiple
        scheduler = folder / "scheduler" / "scheduler_config.json"
        self.alphas_cumprod = schedule(scheduler, PREDICTIONS)
        self.prediction = read_config(scheduler).get("prediction_type", "epsilon")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, h, w) of x_t."""
        return self.channels, self.height // self.multiple, self.width // self.multiple

    def describe(self) -> dict[str, Any]:
        """See :mod:`noisebook.models.tasks`."""
        return description(self, self.channels, "text", "latents")

    def check(self) -> None:
        """Raises MissingModel for weights that are not those of the configurations."""
        self.network.check()
        self.autoencoder.check()
        self.text.check(self.network.config.get("cross_attention_dim"))

    def embed(self, prompts: Sequence[Prompt]) -> Tensor:
        """Embeddings (B, 77, width). Raises PromptTooLong."""
        texts = list(map(str, prompts))
        self.text.know(texts, self._release)
        return torch.stack([self.text[text] for text in texts])

    def _release(self) -> None:
        self.network.release()
        self.autoencoder.release()

    def predict(self, x_t: Tensor, t: int, conditioning: Tensor) -> tuple[Tensor, None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`."""

        def ask(unet: Any, x: Tensor, states: Tensor) -> Tensor:
            answer: Tensor = unet(x, t, encoder_hidden_states=states, return_dict=False)[0]
            return answer

        found = self.network.rows(ask, x_t, conditioning)
        return noise_from(self.prediction, found, x_t, float(self.alphas_cumprod[t])), None

    def encode(self, pictures: Tensor) -> Tensor:
        """See :class:`noisebook.models.latents.Encoding`: the mean of the autoencoder's answer."""

        def ask(vae: Any, x: Tensor) -> Tensor:
            answer: Tensor = vae.encode(x).latent_dist.mode()
            return answer

        scale, shift = self._affine()
        return (self.autoencoder.rows(ask, pictures) - shift) * scale

    def decode(self, latents: Tensor) -> Tensor:
        """See :class:`noisebook.models.latents.Encoding`."""

        def ask(vae: Any, z: Tensor) -> Tensor:
            answer: Tensor = vae.decode(z, return_dict=False)[0]
            return answer

        scale, shift = self._affine()
        return self.autoencoder.rows(ask, latents / scale + shift)

    def _affine(self) -> tuple[float, float]:
        """By what latents are scaled and shifted, so that their standard deviation is about 1."""
        config = self.autoencoder.config
        return float(config.get("scaling_factor", 0.18215)), float(config.get("shift_factor") or 0.0)


def opened(folder: Path, settings: Settings) -> StableDiffusion:
    """The model in a folder that is about to be pinned. Raises MissingModel."""
    return StableDiffusion(folder, TextEncoder(folder, "", folder, settings, CLIP), settings)


def load(name: str, entry: Entry, root: Path) -> StableDiffusion:
    """The model that ``entry`` of the lock file pins. Raises MissingModel."""
    folder, settings = located(name, entry, root), from_environment()
    return StableDiffusion(folder, pinned(entry, folder, settings, CLIP), settings)
