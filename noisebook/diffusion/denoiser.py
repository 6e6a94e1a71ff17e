"""What a diffusion model is to the rest of the package: something that estimates the noise in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

Prompt = Any
"""What a picture is asked to be. The denoiser decides what it understands: text (stage I), :class:`Enlarge`
(stage II), a digit or None (MNIST)."""

Conditioning = Any
"""What a denoiser makes of its prompts. Opaque to everything but the denoiser that made it."""


@runtime_checkable
class Denoiser(Protocol):
    """A trained (or closed-form) noise estimator.

    Attributes:
        image_size: side of its square pictures, pixels.
        alphas_cumprod: ᾱ_t for each timestep t, float64, on the CPU, falling. A picture with noise of
            timestep t is √ᾱ_t x_0 + √(1-ᾱ_t) ε.
    """

    image_size: int
    alphas_cumprod: Tensor

    def embed(self, prompts: Sequence[Prompt]) -> Conditioning:
        """Conditioning for a batch of len(prompts). Called once per step: worth caching by prompt."""

    def predict(self, x_t: Tensor, t: int, conditioning: Conditioning) -> tuple[Tensor, Tensor | None]:
        """Estimate the noise in ``x_t``.

        Args:
            x_t: (B, C, H, W) float32, pictures with noise of timestep ``t``.
            t: an index into ``alphas_cumprod``, the same for the whole batch.
            conditioning: what :meth:`embed` gave for B prompts.

        Returns:
            ε of the same shape, float32, and the raw learned-range variance v in [-1, 1] of the same shape
            (see :func:`noisebook.diffusion.posterior.log_variance`), or None for a model without one.
            What is predicted for one row does not depend on the other rows.
        """


@dataclass(frozen=True, eq=False)
class Enlarge:
    """What a second stage is asked: the text, and the small picture that it is to enlarge.

    Attributes:
        text: the prompt; "" is unconditional.
        picture: (3, h, w) float32 in [-1, 1].
        noise: (3, H, W) standard normal, at the second stage's size: a model trained with noise
            augmentation adds it to the enlarged picture, others ignore it.
        level: timestep of that augmentation, on the model's own augmentation schedule.
    """

    text: str
    picture: Tensor
    noise: Tensor
    level: int = 250


class Unasked(str):
    """The empty text that stands beside a prompt in guidance.

    To a network it is "" and nothing else; a closed form, which can weigh only a part of all pictures, has to
    have those of ``beside`` among them.
    """

    beside: str

    def __new__(cls, beside: str) -> Unasked:
        """The empty prompt, remembering ``beside``."""
        text = super().__new__(cls, "")
        text.beside = str(beside)
        return text


def unconditional(prompt: Prompt, beside: bool = True) -> Prompt:
    """The same request without its subject: "" for text, None for a class.

    The text remembers the prompt that it stands ``beside`` (see :class:`Unasked`).
    """
    if isinstance(prompt, Enlarge):
        return replace(prompt, text=unconditional(prompt.text, beside))
    if isinstance(prompt, str):
        return Unasked(prompt) if beside else ""
    return None
