"""Pieces that may stand anywhere, beside brute force."""

import math

import pytest
import torch

from noisebook.models import pieces, relit
from noisebook.models.local_posterior import pooled
from noisebook.models.relit import Light

LIGHT = Light(0.3, 0.1)


def rough(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    grid = torch.rand(count, 3, size // 4, size // 4, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(grid, size=size, mode="bilinear")


def gaussian(d, light, sigma, shape=0):
    """log N(d; 0, σ²I + light + shape) of windows d (N, 3, w, w), normalized but for what it would be without
    shape, and the mean of light and shape, like d: with full covariance matrices."""
    n = d[0, 0].numel()
    grey = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    cov = light.grey**2 * grey + light.colour**2 * (torch.eye(3, dtype=torch.float64) - grey)
    same = torch.kron(cov, torch.ones(n, n, dtype=torch.float64))
    without = same + sigma**2 * torch.eye(3 * n, dtype=torch.float64)
    covariance, flat = (without + shape).expand(len(d), -1, -1), d.double().flatten(1)[..., None]
    solved = torch.linalg.solve(covariance, flat)
    wider = torch.logdet(covariance) - torch.logdet(without)
    mean = (covariance - sigma**2 * torch.eye(3 * n, dtype=torch.float64)) @ solved
    return -((flat * solved).sum((1, 2)) + wider) / 2, mean.view(d.shape)


def test_each_window_has_the_linear_gaussian_posterior_over_pieces():
    size, sigma = 16, 0.6
    y = rough(1, size, 1)[0] + sigma * torch.randn(3, size, size, generator=torch.Generator().manual_seed(2))
    cuts = pieces.cut(rough(3, size, 0), 1, 20, torch.Generator().manual_seed(3))
    known = cuts.pixels.view(-1, 3, 8, 8)
    shape = (cuts.basis * cuts.variances[:, None]).double() @ cuts.basis.T.double()
    total, weight = torch.zeros(3, size, size, dtype=torch.float64), torch.zeros(size, size)
    blend, side_by_side = pieces._blend(8), []
    for top in range(0, 9, 2):
        for left in range(0, 9, 2):
            place = (slice(None), slice(top, top + 8), slice(left, left + 8))
            evidence, shift = gaussian(y[place] - known, LIGHT, sigma, shape)
            weights = torch.softmax(evidence, 0)[:, None, None, None]
            total[place] += (weights * (known + shift)).sum(0) * blend
            weight[place[1:]] += blend
            if top % 8 == left % 8 == 0:
                side_by_side.append(evidence.logsumexp(0) - math.log(20))
    found = pieces.posterior_mean(y, cuts, LIGHT, sigma)
    assert torch.allclose(found.double(), total / weight, atol=2e-4)
    assert pieces.evidence(y, cuts, LIGHT, sigma) == pytest.approx(sum(side_by_side).item(), abs=0.05)


def test_evidence_in_place_is_that_of_the_whole_or_of_windows_side_by_side():
    library, prior = rough(5, 16, 8), torch.full((5,), -math.log(5))
    sigma = 0.5
    for y in (library[2] + 0.2, torch.cat([library[0, :, :8], library[1, :, 8:]], 1)):
        whole = (prior + gaussian(y - library, LIGHT, sigma)[0]).logsumexp(0).item()
        local = 0.0
        for top in (0, 8):
            for left in (0, 8):
                d = (y - library)[:, :, top : top + 8, left : left + 8]
                local += (prior + gaussian(d, LIGHT, sigma)[0]).logsumexp(0).item()
        found = relit.evidence(y, library, prior, LIGHT, sigma, 8)
        assert found == pytest.approx(max(whole, local), abs=0.05)


def test_a_strong_shape_may_be_another_and_a_flat_one_stays():
    """The more contrast a piece has, the further it moves to what is seen."""
    pictures = torch.cat([rough(2, 16, 1) * 0.02, rough(2, 16, 2)])
    cuts = pieces.cut(pictures, 1, 40, torch.Generator().manual_seed(3))
    flat, strong = cuts.lengths.argsort()[[0, -1]].tolist()
    assert cuts.variances[flat].sum() < 1e-2 * cuts.variances[strong].sum()
    spread = cuts.variances[strong].sum() / cuts.lengths[strong]
    assert spread.item() == pytest.approx(pieces.SPREAD**2, rel=0.05)


@pytest.mark.parametrize("cell", [1, 2, 4])
def test_what_the_library_shows_elsewhere_is_found(cell):
    library = rough(4, 64, 5)
    moved = library.roll(11, 3)[2]
    sigma = 0.3 * cell
    y = moved + sigma * torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(6))
    cuts = pieces.cut(library, cell, 4000, torch.Generator().manual_seed(7))
    prior = torch.full((4,), -math.log(4))
    at_home = library[2] + (y - moved)
    for picture, likelier in ((y, True), (at_home, False)):
        small, known = pooled(picture[None], cell)[0], pooled(library, cell)
        in_place = relit.evidence(small, known, prior, LIGHT, 0.3, 8)
        assert (pieces.evidence(picture, cuts, LIGHT, sigma) > in_place) == likelier
    assert (pieces.posterior_mean(y, cuts, LIGHT, sigma) - moved).square().mean() < sigma**2 / 3
