"""The denoiser that needs no training: the posterior mean over a finite library of pictures.

If x_0 is one of N pictures L_i with prior p_i, the best estimate of x_0 from x_t = √ᾱ x_0 + √(1-ᾱ) ε is
Σ_i w_i L_i with w_i ∝ p_i exp(-‖y - L_i‖² / 2σ²), y = x_t/√ᾱ and σ² = (1-ᾱ)/ᾱ. Taken whole it can only
give the library back. Taken locally, each place weighs the library by a window around it, and the window
shrinks as the noise does: pieces of different pictures join into new ones. This is the local score machine
of Kamb and Ganguli ("An analytic theory of creativity in convolutional diffusion models", 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Windows:
    """The window around each place, and how much its evidence counts.

    Lengths are pixels of a picture of 64; they scale with the picture.

    Attributes:
        base, slope: the window is base + slope·σ wide, rounded to an odd number. Where evidence is computed
            in cells of several pixels it is an odd number of cells: from half a cell narrower to one and a
            half wider.
        whole: σ from which on the window is the whole picture.
        temperature: divides the evidence (not the prior): above 1, more pictures stay in play.
        keep: how many pictures each estimate weighs, chosen by distances at low resolution; 0 weighs all.
            An approximation: see :func:`promising`.
    """

    base: float = 5.0
    slope: float = 9.0
    whole: float = 4.0
    temperature: float = 1.0
    keep: int = 96

    def width(self, sigma: float, size: int) -> int:
        """The window's width in pixels, odd, or ``size`` for the whole picture."""
        if sigma >= self.whole:
            return size
        width = round((self.base + self.slope * sigma) * size / 64) | 1
        return width if width < size else size


def box_sum(x: Tensor, width: int) -> Tensor:
    """Sums of ``x`` (..., H, W) over odd windows centred on each place, clipped at the picture's edges.

    Running sums: the cost does not depend on the width. Sums are taken in float64 where the rounding of
    float32 would be felt; differences of running float32 sums over 256 pixels keep about 5 digits.
    """
    for dim in (-1, -2):
        size = x.shape[dim]
        reach = min(width // 2, size - 1)
        total = x.cumsum(dim)
        x = torch.empty_like(total)
        # The sum up to the window's last place, less that up to the place before its first.
        x.narrow(dim, 0, size - reach).copy_(total.narrow(dim, reach, size - reach))
        x.narrow(dim, size - reach, reach).copy_(total.narrow(dim, size - 1, 1))
        x.narrow(dim, reach + 1, size - reach - 1).sub_(total.narrow(dim, 0, size - reach - 1))
    return x


def pooled(x: Tensor, cell: int) -> Tensor:
    """Means over cells of ``cell`` × ``cell`` pixels."""
    return x if cell == 1 else functional.avg_pool2d(x, cell)


def whole_logits(
    y: Tensor, pictures: Tensor, norms: Tensor, sigma: float, temperature: float = 1.0
) -> Tensor:
    """Evidence -‖y_b - L_i‖²/2σ² up to a constant for each b, (B, N).

    y (B, C, H, W), pictures (N, C, H, W), and the pictures' squared norms (N,)."""
    return (y.flatten(1) @ pictures.flatten(1).T - norms / 2) / (sigma**2 * temperature)


def local_logits(
    y: Tensor, pictures: Tensor, sigma: float, width: int, cell: int, temperature: float = 1.0
) -> Tensor:
    """Evidence of each picture at each place, (N, H/cell, W/cell), for one y (C, H, W).

    Squared distances are summed over a window around each cell of ``cell`` pixels: an odd number of cells,
    from half a cell narrower than ``width`` to one and a half wider.
    """
    distance = pooled((pictures - y).square_().sum(1, keepdim=True), cell)[:, 0] * cell**2
    cells = max(1, round(width / cell)) | 1
    return box_sum(distance, cells) / (-2 * sigma**2 * temperature)


def promising(
    y: Tensor, coarse: Tensor, prior: Tensor, sigma: float, windows: Windows, size: int, keep: int
) -> Tensor:
    """Indices of the ``keep`` pictures that some place could choose, judged at low resolution.

    ``coarse`` is the library in cells of size/8 pixels. Noise and detail within a cell add nearly the same to
    every picture's distance, and cancel in the softmax.

    An approximation. The first choice of each of the 64 places is kept where no others tie with it; pictures
    on one white ground do tie at its corners, and take places. With 64 of 720 kept, for pictures pieced
    together from two of a bank's, x̂_0 was .00 ("a dog") to .09 ("a castle") from that of all: mean of a
    range of 2. Single pixels may be any other picture's.
    """
    cell = size // coarse.shape[-1]
    distance = (coarse - pooled(y[None], cell)).square().sum(1) * cell**2
    cells = max(1, round(windows.width(sigma, size) / cell)) | 1
    logits = prior[:, None, None] - box_sum(distance, cells) / (2 * sigma**2 * windows.temperature)
    behind = (logits - logits.amax(0, keepdim=True)).amax((1, 2))
    return behind.topk(min(keep, len(behind))).indices.sort().values


def weighed(logits: Tensor, least: float = 1e-4) -> tuple[Tensor, Tensor]:
    """softmax_i(logits), (N, h, w), of the pictures whose weight is above ``least`` somewhere: (K, h, w), and
    which they are, (K,).

    The weights sum to 1. Those left out had together at most N·least of it at any place, so that a mean of
    pictures in [-1, 1] differs by at most 2 N·least from that of all.
    """
    weights = torch.softmax(logits, 0)
    kept = (weights.amax((1, 2)) > least).nonzero()[:, 0]
    weights = weights[kept]
    return weights / weights.sum(0), kept


def mix(logits: Tensor, pictures: Tensor, least: float = 1e-4) -> Tensor:
    """Σ_i softmax_i(logits) L_i at each place: logits (N, h, w), pictures (N, C, H, W) -> (C, H, W).

    Weights of a coarser grid are interpolated; they stay positive and sum to 1. Pictures of next to no weight
    are left out: see :func:`weighed`.
    """
    weights, kept = weighed(logits, least)
    pictures = pictures[kept]
    if weights.shape[-1] != pictures.shape[-1]:
        weights = functional.interpolate(
            weights[None], size=pictures.shape[-2:], mode="bilinear", align_corners=False
        )[0]
    return (weights[:, None] * pictures).sum(0)


def noise_of(alpha: float) -> float:
    """σ = √((1-ᾱ)/ᾱ): the noise of x_t/√ᾱ."""
    return math.sqrt((1 - alpha) / alpha)
