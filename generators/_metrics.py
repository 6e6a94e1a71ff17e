"""How close two pictures are."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.diffusion.filters import gaussian_kernel


def psnr(x: Tensor, reference: Tensor, span: float = 2.0) -> float:
    """Peak signal-to-noise ratio in dB; ``span`` is the length of the pixel range (2 for [-1, 1]).

    Infinite for equal pictures.
    """
    error = float((x.double() - reference.double()).square().mean())
    return math.inf if error == 0 else 10 * math.log10(span**2 / error)


def ssim(x: Tensor, reference: Tensor, span: float = 2.0) -> float:
    """Structural similarity of two (C, H, W) pictures: the mean over pixels and channels.

    Wang and others' definition: Gaussian window of 11 taps, σ = 1.5, K = (.01, .03), population covariance;
    the 5 pixels at each edge, where the window would leave the picture, are left out.
    """
    kernel = gaussian_kernel(11, 1.5)
    window = (kernel[:, None] * kernel[None])[None, None]

    def local(values: Tensor) -> Tensor:
        return functional.conv2d(values.double()[:, None], window)

    a, b = x.double(), reference.double()
    mean_a, mean_b = local(a), local(b)
    var_a, var_b = local(a * a) - mean_a**2, local(b * b) - mean_b**2
    covariance = local(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(torch.mean(similarity))
