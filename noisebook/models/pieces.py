"""Pieces of pictures that may stand anywhere.

A picture is either one of the library, or it is joined from pieces: each of its windows shows a piece that
was cut from anywhere in the library (the equivariant local score machine of Kamb and Ganguli, "An analytic
theory of creativity in convolutional diffusion models", 2024, with a sample of the pieces). A piece may
stand in another light (:class:`noisebook.models.relit.Light`), have another contrast, and its shape is known
about as well as it is strong: it is the mean of a Gaussian whose variances are those of all pieces times the
piece's own, so that a sky stays smooth and a roof may be another roof. Windows are then a Gaussian mixture
(Zoran and Weiss, "From Learning Models of Natural Image Patches to Whole Image Restoration", 2011).

Windows are SIDE cells wide, a cell being 1, 2 or 4 pixels, and stand STEP cells apart. Over a window of n
pixels, y - z has a mean m, and a rest with coordinates r_k in principal components, of variances v_k. With
light of variance C, -log p(y | z) = n|m|²/2(σ² + nC) + Σ_k [r_k²/(σ² + v_k) + log(1 + v_k/σ²)]/2 up to a
constant, and E[x_0 | y, z] is v_k/(σ² + v_k) of r_k away from z. Each window's posterior mean is taken whole;
a pixel is the mean of its windows', those around it before those at whose edge it lies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.models.local_posterior import pooled

if TYPE_CHECKING:
    from noisebook.models.relit import Light

SIDE, STEP = 8, 2
CONTRAST = (0.6, 1.4)
"""Between these a piece's contrast is multiplied."""
BELOW = 3.0
"""The noise σ below which pieces are considered: above, a picture is a whole one of the library."""
SHAPES = 48
"""Principal components by which windows and pieces are compared: some 95 to 98 % of the pieces' variance."""
SPREAD = 0.7
"""A piece's standard deviation, where 1 is that of all pieces scaled to its contrast."""


@dataclass(frozen=True, eq=False)
class Pieces:
    """M windows of one width.

    Attributes:
        cell: pixels of a cell's side.
        pixels: (M, 3·w²), w = SIDE·cell.
        means: (M, 3).
        basis: (3·SIDE², K), principal components of what is left of the cells without their mean.
        shapes, lengths: (M, K), coordinates in them, and (M,), squared lengths of the whole rest.
        variances: (M, K), of the coordinates.
    """

    cell: int
    pixels: Tensor
    means: Tensor
    basis: Tensor
    shapes: Tensor
    lengths: Tensor
    variances: Tensor


def cut(pictures: Tensor, cell: int, count: int, generator: torch.Generator) -> Pieces:
    """``count`` pieces from random places of random ``pictures`` (N, 3, S, S), S a multiple of ``cell``."""
    width, cells = SIDE * cell, pictures.shape[-1] // cell
    which = torch.randint(len(pictures), (count,), generator=generator).tolist()
    places = (torch.randint(cells - SIDE + 1, (count, 2), generator=generator) * cell).tolist()
    low, high = CONTRAST
    gains = low + (high - low) * torch.rand(count, 1, 1, 1, generator=generator)
    found = torch.stack(
        [
            pictures[k, :, top : top + width, left : left + width]
            for k, (top, left) in zip(which, places, strict=True)
        ]
    )
    mean = found.mean((2, 3), keepdim=True)
    rest = (found - mean) * gains
    cells_of = pooled(rest, cell).flatten(1)
    basis = torch.linalg.eigh(cells_of.T @ cells_of)[1][:, -SHAPES:]
    shapes, lengths = cells_of @ basis, cells_of.square().sum(1)
    variances = SPREAD**2 * torch.outer(lengths / lengths.mean(), shapes.square().mean(0))
    return Pieces(cell, (mean + rest).flatten(1), mean[:, :, 0, 0], basis, shapes, lengths, variances)


def cell_of(sigma: float) -> int:
    """The side of the cells of which windows are made at noise σ: windows shrink as the noise does."""
    return 1 if sigma < 0.8 else 2 if sigma < 1.6 else 4


def split_means(means: Tensor, light: Light, sigma: float, n: int) -> Tensor:
    """Means of windows of n pixels (..., 3) as (..., 4), scaled so that n|a - b|²/2σ² is how far two
    windows whose light may differ are apart by their means."""
    grey = means.mean(-1, keepdim=True)
    along = math.sqrt(3 / (1 + n * light.grey**2 / sigma**2))
    across = math.sqrt(1 / (1 + n * light.colour**2 / sigma**2))
    return torch.cat([grey * along, (means - grey) * across], -1)


def _logits(
    y: Tensor, pieces: Pieces, light: Light, sigma: float, step: int
) -> tuple[Tensor, Tensor, Tensor]:
    """log p(window | piece) + log 1/M of the windows of y (3, S, S) that are ``step`` cells apart, up to a
    constant of all pictures, (windows, M), the windows' means (windows, 3) and shapes (windows, K)."""
    cell, area = pieces.cell, pieces.cell**2
    n, noise = SIDE**2 * area, sigma**2 / area
    windows = functional.unfold(pooled(y[None], cell), SIDE, stride=step)[0].T.reshape(-1, 3, SIDE**2)
    means = windows.mean(2)
    rest = (windows - means[..., None]).flatten(1)
    shapes = rest @ pieces.basis
    ours, theirs = (
        split_means(each, light, sigma, n) * math.sqrt(n) / sigma for each in (means, pieces.means)
    )
    sure = 1 / (noise + pieces.variances)
    inner = (
        torch.cat([shapes, shapes.square(), ours], 1)
        @ torch.cat([pieces.shapes * sure, -sure / 2, theirs], 1).T
    )
    # What the principal components leave of either has no variance of its own.
    far = (rest.square().sum(1) - shapes.square().sum(1)) / noise + ours.square().sum(1)
    near = (pieces.lengths - pieces.shapes.square().sum(1)) / noise + theirs.square().sum(1)
    near += (pieces.shapes.square() * sure - (noise * sure).log()).sum(1)
    logits = inner.sub_(near / 2).sub_(far[:, None] / 2)
    return logits.sub_(math.log(len(pieces.lengths))), means, shapes


def evidence(y: Tensor, pieces: Pieces, light: Light, sigma: float) -> float:
    """log p(y) for one y (3, S, S) that is joined from pieces, one for each of the windows side by side."""
    return _logits(y, pieces, light, sigma, SIDE)[0].logsumexp(1).sum().item()


def posterior_mean(y: Tensor, pieces: Pieces, light: Light, sigma: float) -> Tensor:
    """x̂_0 (3, S, S) for one y (3, S, S) that is joined from pieces."""
    logits, means, shapes = _logits(y, pieces, light, sigma, STEP)
    cell, width, stride = pieces.cell, SIDE * pieces.cell, STEP * pieces.cell
    weights = torch.softmax(logits, 1)
    total = (means - weights @ pieces.means) * width**2
    shift = light.shift(total.T[..., None], sigma, width**2)[..., 0].T
    gain = pieces.variances / (pieces.variances + sigma**2 / cell**2)
    moved = shapes * (weights @ gain) - weights @ (gain * pieces.shapes)
    change = (moved @ pieces.basis.T).view(-1, 3, SIDE, SIDE)
    if cell > 1:
        change = functional.interpolate(change, scale_factor=cell, mode="bilinear")
    drawn = (weights @ pieces.pixels).view(-1, 3, width**2) + change.flatten(2) + shift[..., None]
    blend = _blend(width).flatten()

    def joined(values: Tensor) -> Tensor:
        """Values of each window (windows, C, w²), summed where they stand, (C, S, S)."""
        return functional.fold((values * blend).flatten(1).T, y.shape[-1], width, stride=stride)

    return joined(drawn) / joined(torch.ones(len(means), 1, width**2))


def _blend(width: int) -> Tensor:
    """How much each pixel of a window counts, (width, width): most in the middle, least at the edge."""
    wave = torch.hann_window(width + 2, periodic=False)[1:-1].pow(4)
    return wave[:, None] * wave + 1e-5
