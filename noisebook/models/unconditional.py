"""Pictures without words: diffusers' UNet2DModel with the ᾱ of its DDPM or DDIM scheduler.

Openly licensed ones of 32 to 256 pixels exist for faces, churches, bedrooms and cats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from noisebook.diffusion.denoiser import Denoiser, Prompt
from noisebook.diffusion.schedules import implied_noise
from noisebook.models.hub import located, read_config, schedule
from noisebook.models.lock import Entry, MissingModel
from noisebook.models.network import Network
from noisebook.models.settings import OVERFLOW, Settings, from_environment
from noisebook.models.tasks import description

PIPELINES = ("UNet2DModel", "DDPMPipeline", "DDIMPipeline", "PNDMPipeline")
NEEDED = ("*.json", "diffusion_pytorch_model*.safetensors", "unet/*", "scheduler/*")
PREDICTIONS = ("epsilon", "sample", "v_prediction")


class NoWords(ValueError):
    """A prompt for a model that knows no words."""


class Unconditional(Denoiser):
    """A UNet2DModel as a :class:`noisebook.diffusion.denoiser.Denoiser`. Its only prompt is the empty one."""

    if_it_overflows = OVERFLOW

    def __init__(self, folder: Path, settings: Settings | None = None) -> None:
        """``folder`` is a pipeline's (unet/, scheduler/), or has both configurations itself.

        Raises MissingModel for a folder that does not hold such a model.
        """
        settings = settings or Settings()
        piped = (folder / "unet").is_dir()
        place = folder / "unet" if piped else folder
        scheduler = folder / ("scheduler/scheduler_config.json" if piped else "scheduler_config.json")
        self.network = Network("an unconditional model", "UNet2DModel", place, settings)
        config = self.network.config
        size, channels = config.get("sample_size"), config.get("in_channels", 3)
        if channels != 3:
            raise MissingModel(f"{place}: its pictures have {channels} channels; figures need 3")
        if not isinstance(size, int):
            raise MissingModel(f"{place}: its pictures are {size}; figures need squares of one size")
        if config.get("num_class_embeds") or config.get("class_embed_type"):
            raise MissingModel(f"{place}: it asks for a class, which figures do not give")
        outputs = config.get("out_channels", 3)
        learned = read_config(scheduler).get("variance_type") == "learned_range"
        if outputs != 3 and not (outputs == 6 and learned):
            raise MissingModel(f"{place}: {outputs} channels come out; expected 3, or 6 with learned_range")
        self.image_size, self.precision = size, settings.precision
        self.alphas_cumprod = schedule(scheduler, PREDICTIONS)
        self.prediction = read_config(scheduler).get("prediction_type", "epsilon")

    def describe(self) -> dict[str, Any]:
        """See :mod:`noisebook.models.tasks`."""
        return description(self.image_size, 3, "none")

    def check(self) -> None:
        """Raises MissingModel for weights that are not those of the configuration."""
        self.network.check()

    def embed(self, prompts: Sequence[Prompt]) -> None:
        """Nothing. Raises NoWords for a prompt that is not empty."""
        for prompt in prompts:
            if prompt:
                raise NoWords(
                    f"this model knows no words: {prompt!r} is a prompt; only the empty one is known"
                )

    def predict(self, x_t: Tensor, t: int, conditioning: None) -> tuple[Tensor, Tensor | None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`. Pictures (B, 3, H, W) of any size it takes."""
        settings = self.network.settings

        def ask(unet: Any, rows: slice) -> Tensor:
            answer: Tensor = unet(x_t[rows].to(settings.device, settings.dtype), t, return_dict=False)[0]
            return answer

        found = self.network.rows(len(x_t), ask)
        epsilon = noise_from(self.prediction, found[:, :3], x_t, float(self.alphas_cumprod[t]))
        return epsilon, found[:, 3:] if found.shape[1] == 6 else None


def noise_from(prediction: str, found: Tensor, x_t: Tensor, alpha: float) -> Tensor:
    """ε from what a network predicts at ᾱ, all of x_t's shape: ``epsilon``, the clean ``sample``, or
    ``v_prediction``, v = √ᾱ ε - √(1-ᾱ) x_0 (Salimans and Ho 2022)."""
    if prediction == "sample":
        return implied_noise(x_t, found, alpha)
    if prediction == "v_prediction":
        return math.sqrt(alpha) * found + math.sqrt(1 - alpha) * x_t
    return found


def opened(folder: Path, settings: Settings) -> Unconditional:
    """The model in a folder that is about to be pinned. Raises MissingModel."""
    return Unconditional(folder, settings)


def load(name: str, entry: Entry, root: Path) -> Unconditional:
    """The model that ``entry`` of the lock file pins. Raises MissingModel."""
    return Unconditional(located(name, entry, root), from_environment())
