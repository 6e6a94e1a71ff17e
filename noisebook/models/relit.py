"""The closed form over a library whose pictures may stand in another light.

x_0 is a picture of the library whose every window may be lighter, darker or tinted by an unknown amount c ~
N(0, C), the same for all pixels of the window. With d = y - L_i over a window of n pixels, d ~ N(0, σ²I +
11ᵀ⊗C): the log evidence gains (Σd)ᵀ G (Σd)/2σ², and E[c | y, i] = G Σd, with G = C (σ²I + nC)⁻¹ (linear-
Gaussian model; Bishop, "Pattern Recognition and Machine Learning", 2006, eq. 2.113-2.117). Grey and colour
have variances of their own, so that G has two values: along (1, 1, 1) and across it.

So a photograph that the library does not hold keeps its lights and darks: the less noise, the more of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.models.local_posterior import Windows, box_sum, pooled, whole_logits


@dataclass(frozen=True, slots=True)
class Light:
    """Standard deviations of a window's shift, in units of [-1, 1]: of its grey, and of its colour."""

    grey: float = 0.2
    colour: float = 0.06

    def gains(self, sigma: float, count: Tensor | int) -> tuple[Tensor, Tensor]:
        """G along grey and across it, for windows of ``count`` pixels."""
        n = torch.as_tensor(count, dtype=torch.float32)
        grey, colour = self.grey**2, self.colour**2
        return grey / (sigma**2 + n * grey), colour / (sigma**2 + n * colour)

    def shift(self, total: Tensor, sigma: float, count: Tensor | int) -> Tensor:
        """E[c]: ``total`` (..., 3, h, w) is Σd over windows of ``count`` pixels."""
        along, across = self.gains(sigma, count)
        return across * total + (along - across) * total.mean(-3, keepdim=True)

    def evidence(self, total: Tensor, sigma: float, count: Tensor | int) -> Tensor:
        """What the unknown light adds to the log evidence, (..., h, w)."""
        along, across = self.gains(sigma, count)
        both = across * total.square().sum(-3) + (along - across) * 3 * total.mean(-3).square()
        return both / (2 * sigma**2)


def local_terms(
    y: Tensor, pictures: Tensor, light: Light, sigma: float, width: int, cell: int
) -> tuple[Tensor, Tensor, Tensor]:
    """For windows of ``width`` pixels around each cell: log evidence (N, h, w), Σd (N, 3, h, w), the number
    of pixels (1, h, w), clipped at the edges."""
    d = y - pictures
    cells = max(1, round(width / cell)) | 1
    square = box_sum(pooled(d.square().sum(1, keepdim=True), cell)[:, 0] * cell**2, cells)
    total = box_sum(pooled(d, cell) * cell**2, cells)
    count = box_sum(torch.ones(1, *total.shape[-2:]), cells) * cell**2
    return light.evidence(total, sigma, count) - square / (2 * sigma**2), total, count


def promising(
    y: Tensor, coarse: Tensor, prior: Tensor, light: Light, sigma: float, width: int, keep: int
) -> Tensor:
    """Indices of the ``keep`` pictures (0 for all) that some place could choose, in windows of ``width``
    pixels judged at low resolution: ``coarse`` are the pictures' means over cells of S/8 pixels."""
    cell = y.shape[-1] // coarse.shape[-1]
    far = local_terms(pooled(y[None], cell)[0], coarse, light, sigma / cell, width // cell, 1)[0]
    logits = prior[:, None, None] + far
    behind = (logits - logits.amax(0, keepdim=True)).amax((1, 2))
    return behind.topk(min(keep or len(behind), len(behind))).indices.sort().values


def evidence(y: Tensor, pictures: Tensor, prior: Tensor, light: Light, sigma: float, width: int) -> float:
    """log p(y) for one y (3, S, S), but for its normalization: that of whole pictures (N, 3, S, S), or of
    windows of ``width`` pixels side by side, each of any picture in that place, whichever is greater."""
    d = y - pictures

    def likely(width: int) -> float:
        square = functional.avg_pool2d(d.square().sum(1), width) * width**2
        total = functional.avg_pool2d(d, width) * width**2
        logits = light.evidence(total, sigma, width**2) - square / (2 * sigma**2)
        return (prior[:, None, None] + logits).logsumexp(0).sum().item()

    return max(likely(y.shape[-1]), likely(width))


def posterior_mean(
    y: Tensor,
    pictures: Tensor,
    coarse: Tensor,
    norms: Tensor,
    prior: Tensor,
    light: Light,
    sigma: float,
    windows: Windows,
) -> Tensor:
    """x̂_0 (3, S, S) for one y (3, S, S): pictures (N, 3, S, S), ``coarse`` their means over cells of S/8
    pixels, their squared ``norms`` and log ``prior`` (N,).

    Where the window is not the whole picture, the ``windows.keep`` pictures are weighed that some place could
    choose at low resolution.
    """
    size = y.shape[-1]
    width = windows.width(sigma, size)
    if width >= size:
        total = (y.mean((1, 2)) - coarse.mean((2, 3)))[..., None, None] * size**2
        logits = prior + whole_logits(y[None], pictures, norms, sigma)[0]
        weights = torch.softmax(logits + light.evidence(total, sigma, size**2)[:, 0, 0], 0)
        shift = light.shift((weights[:, None, None, None] * total).sum(0), sigma, size**2)
        return (weights @ pictures.flatten(1)).view_as(y) + shift
    chosen = promising(y, coarse, prior, light, sigma, width, windows.keep)
    pictures = pictures[chosen]
    cell = 4 if width >= 24 else 2 if width >= 12 else 1
    evidence, total, count = local_terms(y, pictures, light, sigma, width, cell)
    weights = torch.softmax(prior[chosen][:, None, None] + evidence, 0)
    shift = light.shift((weights[:, None] * total).sum(0), sigma, count)
    if cell > 1:
        weights, shift = (
            functional.interpolate(v[None], size=(size, size), mode="bilinear")[0] for v in (weights, shift)
        )
    return (weights[:, None] * pictures).sum(0) + shift
