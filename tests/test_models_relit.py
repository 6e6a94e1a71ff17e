"""Posterior means over a library whose pictures may stand in another light, beside brute force."""

import math

import torch

from noisebook.models.local_posterior import Windows
from noisebook.models.relit import Light, posterior_mean


def _by_hand(y, pictures, prior, light, sigma):
    """Gaussian posteriors with full covariance matrices, the whole picture as window."""
    count, pixels = len(pictures), y[0].numel()
    grey = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    cov = light.grey**2 * grey + light.colour**2 * (torch.eye(3, dtype=torch.float64) - grey)
    ones = torch.kron(torch.eye(3, dtype=torch.float64), torch.ones(pixels, 1, dtype=torch.float64))
    full = sigma**2 * torch.eye(3 * pixels, dtype=torch.float64) + ones @ cov @ ones.T
    d = (y - pictures).double().flatten(1)
    solved = torch.linalg.solve(full, d.T).T
    logits = prior.double() - (d * solved).sum(1) / 2
    shift = solved @ ones @ cov
    means = pictures.double() + shift[:, :, None, None]
    return (torch.softmax(logits, 0)[:, None, None, None] * means).sum(0), count


def test_whole_picture_is_the_linear_gaussian_posterior():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.rand(6, 3, 8, 8, generator=generator) * 2 - 1
    y = pictures[2] + 0.3 + 0.5 * torch.randn(3, 8, 8, generator=generator)
    prior = torch.log_softmax(torch.randn(6, generator=generator), 0)
    light = Light(0.3, 0.1)
    expected, _ = _by_hand(y, pictures, prior, light, 1.5)
    norms = pictures.flatten(1).square().sum(1)
    found = posterior_mean(y, pictures, pictures, norms, prior, light, 1.5, Windows(whole=1.0))
    assert torch.allclose(found.double(), expected, atol=1e-5)


def test_without_noise_the_light_is_that_of_the_picture_and_without_light_nothing_moves():
    generator = torch.Generator().manual_seed(1)
    pictures = torch.rand(4, 3, 64, 64, generator=generator) - 0.5
    coarse = torch.nn.functional.avg_pool2d(pictures, 8)
    prior, norms = torch.full((4,), -math.log(4)), pictures.flatten(1).square().sum(1)
    y, windows = pictures[1] + 0.25, Windows(base=5.0, slope=12.0, whole=4.0, keep=4)
    bright = posterior_mean(y, pictures, coarse, norms, prior, Light(), 0.02, windows)
    assert torch.allclose(bright, y, atol=2e-3)
    fixed = posterior_mean(y, pictures, coarse, norms, prior, Light(1e-9, 1e-9), 0.02, windows)
    assert torch.allclose(fixed, pictures[1], atol=1e-3)
