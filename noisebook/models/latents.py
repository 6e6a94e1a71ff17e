"""Denoisers of latents (Rombach and others 2022): noise is added to, and removed from, what an autoencoder
makes of a picture. For any other denoiser the functions here change nothing."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor
from torch.nn import functional

from noisebook.diffusion.denoiser import Denoiser


@runtime_checkable
class LatentDenoiser(Denoiser, Protocol):
    """A denoiser whose x_t are latents. They have no range: nothing is to be thresholded.

    Attributes:
        latent_shape: (C, h, w) of one of them.
    """

    latent_shape: tuple[int, int, int]

    def encode(self, pictures: Tensor) -> Tensor:
        """Latents (B, C, h, w) of pictures (B, 3, H, W) in [-1, 1], without randomness."""

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), about in [-1, 1], of latents (B, C, h, w)."""


def shape_of(denoiser: Denoiser) -> tuple[int, int, int]:
    """(C, H, W) of one x_t."""
    if isinstance(denoiser, LatentDenoiser):
        return denoiser.latent_shape
    return 3, denoiser.image_size, denoiser.image_size


def encoded(denoiser: Denoiser, pictures: Tensor) -> Tensor:
    """x_0 of clean pictures (B, 3, H, W)."""
    return denoiser.encode(pictures) if isinstance(denoiser, LatentDenoiser) else pictures


def decoded(denoiser: Denoiser, x: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) of x, noisy or clean."""
    return denoiser.decode(x) if isinstance(denoiser, LatentDenoiser) else x


def pooled(denoiser: Denoiser, holes: Tensor) -> Tensor:
    """Holes (B, 1, H, W), 1 where to generate, at x_t's size: a latent that any of a hole's pixels falls in
    is generated."""
    if not isinstance(denoiser, LatentDenoiser):
        return holes
    return functional.adaptive_max_pool2d(holes, denoiser.latent_shape[1:])
