"""What a denoiser's x_t are: pictures, of its own shape or another, or something that pictures are turned to.

Latents (Rombach and others 2022) are what an autoencoder makes of a picture; a model of grey pictures sees
the mean of the channels. For a denoiser of plain square pictures the functions here change nothing.
"""

from __future__ import annotations

import copy
from typing import Protocol, Self, runtime_checkable

from torch import Tensor
from torch.nn import functional

from noisebook.diffusion.denoiser import Denoiser


@runtime_checkable
class Resizable(Denoiser, Protocol):
    """A denoiser whose layers take pictures of other shapes than the square that it was trained on.

    Attributes:
        height, width: of its pictures, pixels.
        multiple: both are multiples of it.
    """

    height: int
    width: int
    multiple: int

    def resized(self, height: int, width: int) -> Self:
        """The same denoiser for pictures of this shape; they share one network.

        Raises ValueError for a shape that its layers do not take.
        """
        if height % self.multiple or width % self.multiple:
            raise ValueError(f"sides are multiples of {self.multiple}, not {width}×{height}")
        other = copy.copy(self)
        other.height, other.width = height, width
        return other


@runtime_checkable
class Encoding(Denoiser, Protocol):
    """A denoiser whose x_t are not pictures.

    Attributes:
        latent_shape: (C, h, w) of one of them.
        bounded: whether clean ones lie in [-1, 1]. Others have no range: nothing is to be thresholded.
    """

    bounded: bool

    @property
    def latent_shape(self) -> tuple[int, int, int]: ...

    def encode(self, pictures: Tensor) -> Tensor:
        """x_0 (B, C, h, w) of pictures (B, 3, H, W) in [-1, 1], without randomness."""

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures (B, 3, H, W), about in [-1, 1], of x (B, C, h, w)."""


def picture_shape(denoiser: Denoiser) -> tuple[int, int]:
    """(H, W) of its pictures, pixels."""
    if isinstance(denoiser, Resizable):
        return denoiser.height, denoiser.width
    return denoiser.image_size, denoiser.image_size


def shape_of(denoiser: Denoiser) -> tuple[int, int, int]:
    """(C, H, W) of one x_t."""
    return denoiser.latent_shape if isinstance(denoiser, Encoding) else (3, *picture_shape(denoiser))


def encoded(denoiser: Denoiser, pictures: Tensor) -> Tensor:
    """x_0 of clean pictures (B, 3, H, W)."""
    return denoiser.encode(pictures) if isinstance(denoiser, Encoding) else pictures


def decoded(denoiser: Denoiser, x: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) of x, noisy or clean."""
    return denoiser.decode(x) if isinstance(denoiser, Encoding) else x


def pooled(denoiser: Denoiser, holes: Tensor) -> Tensor:
    """Holes (B, 1, H, W), 1 where to generate, at x_t's size: a latent that any of a hole's pixels falls in
    is generated."""
    if not isinstance(denoiser, Encoding):
        return holes
    return functional.adaptive_max_pool2d(holes, denoiser.latent_shape[1:])
