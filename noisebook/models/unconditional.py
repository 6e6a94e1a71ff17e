"""Pictures without words, or by class: diffusers' UNet2DModel with the ᾱ of its DDPM or DDIM scheduler.

Openly licensed ones of 32 to 256 pixels exist for faces, churches, bedrooms and cats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisebook.diffusion.denoiser import Prompt
from noisebook.diffusion.schedules import implied_noise
from noisebook.models.hub import located, read_config, schedule
from noisebook.models.latents import Encoding, Resizable
from noisebook.models.lock import Entry, MissingModel
from noisebook.models.network import Network
from noisebook.models.settings import Settings, from_environment
from noisebook.models.tasks import description

PIPELINES = ("UNet2DModel", "DDPMPipeline", "DDIMPipeline", "PNDMPipeline")
NEEDED = ("*.json", "diffusion_pytorch_model*.safetensors", "unet/*", "scheduler/*")
PREDICTIONS = ("epsilon", "sample", "v_prediction")


class NoWords(ValueError):
    """A prompt for a model that knows no words, or not these."""


class Unconditional(Encoding, Resizable):
    """A UNet2DModel as a :class:`noisebook.diffusion.denoiser.Denoiser`, of pictures in colour or in grey.

    Its only prompt is the empty one; of a class-conditional model it is the number of a class.

    Attributes:
        classes: how many there are; 0 for a model without.
    """

    bounded = True

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
        if channels not in (1, 3):
            raise MissingModel(f"{place}: its pictures have {channels} channels; figures need 1 or 3")
        if isinstance(size, int):
            size = [size, size]
        if not (isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) for side in size)):
            raise MissingModel(f"{place}: its sample_size is {size}; expected a number, or [height, width]")
        if kind := config.get("class_embed_type"):
            raise MissingModel(
                f"{place}: its class_embed_type is {kind}; only numbers of classes are known here"
            )
        outputs = config.get("out_channels", 3)
        learned = read_config(scheduler).get("variance_type") == "learned_range"
        if outputs != channels and not (outputs == 2 * channels and learned):
            raise MissingModel(
                f"{place}: {outputs} channels come out; expected {channels}, "
                f"or {2 * channels} with learned_range"
            )
        (self.height, self.width), self.image_size = size, min(size)
        self.multiple = 2 ** (len(config["block_out_channels"]) - 1)
        self.channels, self.classes = channels, int(config.get("num_class_embeds") or 0)
        self.precision = settings.precision
        self.if_it_overflows = settings.if_it_overflows
        self.alphas_cumprod = schedule(scheduler, PREDICTIONS)
        self.prediction = read_config(scheduler).get("prediction_type", "epsilon")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of x_t."""
        return self.channels, self.height, self.width

    def describe(self) -> dict[str, Any]:
        """See :mod:`noisebook.models.tasks`."""
        if self.classes:
            return description(self, self.channels, "class", classes=self.classes)
        return description(self, self.channels, "none")

    def check(self) -> None:
        """Raises MissingModel for weights that are not those of the configuration."""
        self.network.check()

    def encode(self, pictures: Tensor) -> Tensor:
        """The pictures, or in grey: the mean of their channels."""
        return pictures if self.channels == 3 else pictures.mean(1, keepdim=True)

    def decode(self, latents: Tensor) -> Tensor:
        """With three channels, which for a model in grey are alike."""
        return latents.expand(-1, 3, -1, -1)

    def embed(self, prompts: Sequence[Prompt]) -> Tensor | None:
        """The classes' numbers (B,), or nothing. Raises NoWords for a prompt that is neither."""
        for prompt in prompts:
            if prompt and not self.classes:
                raise NoWords(
                    f"this model knows no words: {prompt!r} is a prompt; only the empty one is known"
                )
            if self.classes and not (str(prompt).isdecimal() and int(prompt) < self.classes):
                raise NoWords(f"this model knows classes 0 to {self.classes - 1}; {prompt!r} is none of them")
        return torch.tensor([int(prompt) for prompt in prompts]) if self.classes else None

    def predict(self, x_t: Tensor, t: int, conditioning: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`. Pictures (B, C, H, W) of any size it takes.

        Guidance asks twice for the same pictures; without a class they are computed once.
        """
        once = len(x_t) // 2
        if conditioning is None and len(x_t) == 2 * once and torch.equal(x_t[:once], x_t[once:]):
            epsilon, v = self._predict(x_t[:once], t, None)
            return torch.cat([epsilon] * 2), None if v is None else torch.cat([v] * 2)
        return self._predict(x_t, t, conditioning)

    def _predict(self, x_t: Tensor, t: int, conditioning: Tensor | None) -> tuple[Tensor, Tensor | None]:
        def ask(unet: Any, x: Tensor, labels: Tensor | None) -> Tensor:
            answer: Tensor = unet(x, t, class_labels=labels, return_dict=False)[0]
            return answer

        found, v = self.network.rows(ask, x_t, conditioning), None
        if found.shape[1] > self.channels:
            found, v = found.chunk(2, 1)
        return noise_from(self.prediction, found, x_t, float(self.alphas_cumprod[t])), v


FAINT = 1e-5
"""Where ᾱ is less, ε is given in float64: in float32 its rounding, 6e-8/√ᾱ of x̂_0, would be seen."""


def noise_from(prediction: str, found: Tensor, x_t: Tensor, alpha: float) -> Tensor:
    """ε from what a network predicts at ᾱ, all of x_t's shape: ``epsilon``, the clean ``sample``, or
    ``v_prediction``, v = √ᾱ ε - √(1-ᾱ) x_0 (Salimans and Ho 2022)."""
    if prediction == "epsilon":
        return found
    if alpha < FAINT:
        found, x_t = found.double(), x_t.double()
    if prediction == "sample":
        return implied_noise(x_t, found, alpha)
    return math.sqrt(alpha) * found + math.sqrt(1 - alpha) * x_t


def opened(folder: Path, settings: Settings) -> Unconditional:
    """The model in a folder that is about to be pinned. Raises MissingModel."""
    return Unconditional(folder, settings)


def load(name: str, entry: Entry, root: Path) -> Unconditional:
    """The model that ``entry`` of the lock file pins. Raises MissingModel."""
    return Unconditional(located(name, entry, root), from_environment())
