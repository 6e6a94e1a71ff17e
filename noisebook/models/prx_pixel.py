"""PRXPixel: pictures of 1024 pixels without an autoencoder, by flow matching (Apache-2.0).

Its transformer sees x_τ = (1-τ) x_0 + s τ ε with s = 2 and predicts the clean picture. This is a picture with
variance-preserving noise on another scale, so that it is a Denoiser and every task draws with it:
ᾱ = (1-τ)² / ((1-τ)² + s²τ²) and x_t = x_τ / √((1-τ)² + s²τ²). An Euler step of the flow is then DDIM's.

A prompt is read by Qwen3-VL, which never shares memory with the transformer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import Prompt
from noisebook.models.encoders import QWEN, TextEncoder, pinned
from noisebook.models.hub import located, read_config
from noisebook.models.latents import Resizable
from noisebook.models.lock import Entry, MissingModel
from noisebook.models.network import Network
from noisebook.models.settings import Settings, from_environment
from noisebook.models.tasks import description
from noisebook.models.unconditional import noise_from

PIPELINES = ("PRXPixelPipeline",)
NEEDED = ("model_index.json", "transformer/*", "scheduler/*", "tokenizer/*", "text_encoder/*")
EARLIEST = 0.05
"""The velocity (x_τ - x̂)/τ is divided by no less than this: below, x̂ is only approached."""


class PRXPixel(Resizable):
    """PRXPixel as a :class:`noisebook.diffusion.denoiser.Denoiser`.

    Attributes:
        tau: τ of each timestep, float64: the middle of the t-th of the scheduler's parts of [0, 1], shifted.
    """

    def __init__(self, folder: Path, text: TextEncoder, settings: Settings | None = None) -> None:
        """Reads the configurations of a pipeline's folder. Raises MissingModel."""
        settings = settings or Settings()
        self.text, self.precision = text, settings.precision
        self.if_it_overflows = settings.if_it_overflows
        self.network = Network("PRXPixel", "PRXTransformer2DModel", folder / "transformer", settings)
        if (channels := self.network.config.get("in_channels")) != 3:
            raise MissingModel(f"{folder}: expected PRXPixel's transformer of 3 channels, found {channels}")
        about = read_config(folder / "model_index.json")
        self.image_size = self.height = self.width = int(about.get("default_sample_size") or 1024)
        self.multiple = int(self.network.config["patch_size"])
        self.noise_scale = float(about.get("noise_scale", 2.0))
        self.tau = flow_times(folder / "scheduler" / "scheduler_config.json")
        kept, noise = (1 - self.tau) ** 2, (self.noise_scale * self.tau) ** 2
        self.alphas_cumprod = kept / (kept + noise)

    def describe(self) -> dict[str, Any]:
        """See :mod:`noisebook.models.tasks`."""
        return description(self, 3, "text")

    def check(self) -> None:
        """Raises MissingModel for weights that are not those of the configuration."""
        self.network.check()
        self.text.check(self.network.config.get("context_in_dim"))

    def embed(self, prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
        """Embeddings (B, tokens, width) and which tokens are not padding, (B, tokens) bool.

        Raises PromptTooLong.
        """
        texts = list(map(str, prompts))
        self.text.know(texts, self.network.release)
        return torch.stack([self.text[t] for t in texts]), torch.stack([self.text.mask(t) for t in texts])

    def predict(self, x_t: Tensor, t: int, conditioning: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`. Sides are multiples of the patch size."""
        states, mask = conditioning
        tau = float(self.tau[t])
        x = x_t * math.hypot(1 - tau, self.noise_scale * tau)

        def ask(transformer: Any, x: Tensor, states: Tensor, mask: Tensor) -> Tensor:
            answer: Tensor = transformer(
                hidden_states=x,
                timestep=torch.full((len(x),), tau, device=x.device),
                encoder_hidden_states=states,
                attention_mask=mask,
                return_dict=False,
            )[0]
            return answer

        clean = self.network.rows(ask, x, states, mask)
        clean = x - tau / max(tau, EARLIEST) * (x - clean)
        return noise_from("sample", clean, x_t, float(self.alphas_cumprod[t])), None


def flow_times(path: Path) -> Tensor:
    """τ of each timestep, float64, rising with t, from a scheduler's configuration. Raises MissingModel."""
    config = read_config(path)
    kind, steps = config.get("_class_name"), int(config.get("num_train_timesteps", 1000))
    if kind != "FlowMatchEulerDiscreteScheduler":
        raise MissingModel(
            f"{path}: the scheduler {kind} is not known here; PRXPixel has FlowMatchEulerDiscrete"
        )
    other = ("use_dynamic_shifting", "invert_sigmas", "shift_terminal", "stochastic_sampling")
    if found := [name for name in other if config.get(name)]:
        raise MissingModel(f"{path}: {found[0]} is not known here")
    shift = float(config.get("shift", 1.0))
    # The middles: τ = 1 would leave nothing of the picture, and ᾱ = 0.
    middle = (torch.arange(steps, dtype=torch.float64) + 0.5) / steps
    return shift * middle / (1 + (shift - 1) * middle)


def opened(folder: Path, settings: Settings) -> PRXPixel:
    """The model in a folder that is about to be pinned. Raises MissingModel."""
    return PRXPixel(folder, TextEncoder(folder, "", folder, settings, QWEN), settings)


def load(name: str, entry: Entry, root: Path) -> PRXPixel:
    """The model that ``entry`` of the lock file pins. Raises MissingModel."""
    folder, settings = located(name, entry, root), from_environment()
    return PRXPixel(folder, pinned(entry, folder, settings, QWEN), settings)
