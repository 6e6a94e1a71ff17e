"""What a diffusion model is to the rest of the package: something that estimates the noise in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

Prompt = Any
"""What a picture should show. The denoiser decides what it understands: text (stage I), :class:`Enlarge`
(stage II), a digit or None (MNIST)."""

Conditioning = Any
"""What a denoiser makes of its prompts. Opaque to everything but the denoiser that made it."""


class NotANumber(ArithmeticError):
    """An estimate or a picture holds NaN or infinities. The message says where, and what helps."""


@runtime_checkable
class Denoiser(Protocol):
    """A trained (or closed-form) noise estimator.

    Attributes:
        image_size: side of its square pictures, pixels.
        alphas_cumprod: ᾱ_t for each timestep t, float64, on the CPU, falling. A picture with noise of
            timestep t is √ᾱ_t x_0 + √(1-ᾱ_t) ε.
        precision: what its network computes in.
        if_it_overflows: the setting that gives it a wider range.
    """

    image_size: int
    alphas_cumprod: Tensor
    precision: str = "float32"
    if_it_overflows: str = ""

    def embed(self, prompts: Sequence[Prompt]) -> Conditioning:
        """Conditioning for a batch of B prompts. Called at every step: worth caching by prompt."""

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

    def unconditional(self, prompts: Sequence[Prompt], negative_prompt: str = "") -> Sequence[Prompt]:
        """What ``prompts`` are compared with in guidance, one for each: their null prompts.

        A closed form, whose null prompt covers only a part of all pictures, makes it cover those of each
        prompt too.
        """
        return [null_prompt(prompt, negative_prompt) for prompt in prompts]


@dataclass(frozen=True, eq=False)
class Enlarge:
    """A second stage's prompt: the text, and the small picture that it is to enlarge.

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


def check_finite(x: Tensor, what: str, advice: str = "") -> None:
    """Raises :class:`NotANumber` if a value of ``x`` is NaN or infinite."""
    if not torch.isfinite(x).all():
        count = int(x.numel() - torch.isfinite(x).sum())
        message = f"{what}: {count} of {x.numel()} values are not numbers (NaN or infinite)"
        raise NotANumber(f"{message}; {advice}" if advice else message)


def null_prompt(prompt: Prompt, negative_prompt: str = "") -> Prompt:
    """The same request without its subject: "" for text (never zeros), None for a class.

    ``negative_prompt`` stands in place of the empty text.
    """
    if isinstance(prompt, Enlarge):
        return replace(prompt, text=negative_prompt)
    return negative_prompt if isinstance(prompt, str) else None
