"""Linear filters. Each is the part of a hybrid image that is seen one way: from far, in motion, in grey."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def gaussian_kernel(size: int, sigma: float) -> Tensor:
    """A normalized Gaussian of ``size`` taps (odd) and standard deviation ``sigma`` pixels, float64."""
    if size < 1 or size % 2 == 0:
        raise ValueError(f"the kernel must have an odd number of taps, not {size}")
    if sigma <= 0:
        raise ValueError(f"σ must be positive, not {sigma}")
    x = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-(x**2) / (2 * sigma**2))
    return weights / weights.sum()


def blur(x: Tensor, size: int, sigma: float) -> Tensor:
    """``x`` (B, C, H, W) under a Gaussian, mirrored at its edges.

    Raises:
        ValueError: an even kernel, or one that reaches beyond the mirror image (size // 2 ≥ H or W).
    """
    reach = size // 2
    if reach >= min(x.shape[-2:]):
        raise ValueError(f"a kernel of {size} is too large for a picture of {x.shape[-1]}×{x.shape[-2]}")
    kernel = gaussian_kernel(size, sigma).to(x)
    channels = x.shape[1]
    padded = functional.pad(x, (reach, reach, reach, reach), mode="reflect")
    rows = functional.conv2d(padded, kernel.view(1, 1, 1, -1).expand(channels, -1, -1, -1), groups=channels)
    return functional.conv2d(rows, kernel.view(1, 1, -1, 1).expand(channels, -1, -1, -1), groups=channels)


def scaled_blur(size: int, kernel: int, sigma: float) -> tuple[int, float]:
    """(kernel, σ) for pictures with a shorter side of ``size`` that blur as (``kernel``, ``sigma``) at 64.

    Kernel 33, σ 2 at 64 pixels is kernel 133, σ 8 at 256: the same blur of the same scene.
    """
    factor = size / 64
    return kernel if factor == 1 else 2 * round((kernel * factor - 1) / 2) + 1, sigma * factor


def motion_blur(x: Tensor, length: int) -> Tensor:
    """``x`` (B, C, H, W) as it moves along its diagonal: the mean of ``length`` (odd) shifts of one pixel
    down and across, mirrored at its edges.

    Raises:
        ValueError: an even length, or one that reaches beyond the mirror image.
    """
    reach = length // 2
    if length < 1 or length % 2 == 0:
        raise ValueError(f"motion must be an odd number of pixels, not {length}")
    if reach >= min(x.shape[-2:]):
        raise ValueError(f"a motion of {length} is too far for a picture of {x.shape[-1]}×{x.shape[-2]}")
    height, width = x.shape[-2:]
    padded = functional.pad(x, (reach, reach, reach, reach), mode="reflect")
    shifted = [padded[..., k : k + height, k : k + width] for k in range(length)]
    return torch.stack(shifted).mean(0)


def grey(x: Tensor) -> Tensor:
    """``x`` (B, C, H, W) without its colours: the mean of its channels in each."""
    return x.mean(1, keepdim=True).expand_as(x)
