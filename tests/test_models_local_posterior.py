"""The closed form against brute force, and what its windows promise."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.models import local_posterior
from noisebook.models.bank import WINDOWS, Banks, Settings
from noisebook.models.exact import posterior
from noisebook.models.library import Library
from noisebook.models.local_posterior import Windows
from noisebook.models.text import SHIPPED, Text
from tests.known_answers import noise

torch.set_num_threads(1)


@settings(deadline=None, max_examples=40)
@given(size=st.integers(1, 12), width=st.integers(0, 12).map(lambda w: 2 * w + 1), seed=st.integers(0, 99))
def test_running_sums_are_window_sums(size: int, width: int, seed: int) -> None:
    x = noise(2, size, size, seed=seed)
    reach = width // 2
    expected = torch.stack(
        [
            x[:, max(0, i - reach) : i + reach + 1, max(0, j - reach) : j + reach + 1].sum((1, 2))
            for i in range(size)
            for j in range(size)
        ],
        1,
    ).view(2, size, size)
    torch.testing.assert_close(local_posterior.box_sum(x, width), expected, atol=1e-4, rtol=1e-4)


def test_whole_logits_are_the_posterior_of_gaussian_noise() -> None:
    pictures, sigma = noise(5, 3, 8, 8), 2.5
    y = pictures[2] + sigma * noise(3, 8, 8, seed=1)
    norms = pictures.flatten(1).square().sum(1)
    logits = local_posterior.whole_logits(y[None], pictures, norms, sigma)[0]
    brute = torch.stack([-(y - p).square().sum() / (2 * sigma**2) for p in pictures])
    torch.testing.assert_close(logits.softmax(0), brute.softmax(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("width", "cell"), [(3, 1), (7, 1), (5, 2)])
def test_local_logits_against_brute_force(width: int, cell: int) -> None:
    pictures, y, sigma = noise(4, 3, 8, 8), noise(3, 8, 8, seed=3), 1.3
    logits = local_posterior.local_logits(y, pictures, sigma, width, cell)
    reach = (max(1, round(width / cell)) | 1) // 2 * cell
    for i in range(0, 8, cell):
        for j in range(0, 8, cell):
            a, b = slice(max(0, i - reach), i + reach + cell), slice(max(0, j - reach), j + reach + cell)
            brute = -(pictures[:, :, a, b] - y[:, a, b]).square().sum((1, 2, 3)) / (2 * sigma**2)
            torch.testing.assert_close(logits[:, i // cell, j // cell], brute, atol=1e-4, rtol=1e-4)


def test_a_window_of_the_whole_picture_is_the_global_posterior() -> None:
    pictures, sigma = noise(6, 3, 8, 8), 4.0
    y = pictures[1] + sigma * noise(3, 8, 8, seed=5)
    prior = torch.log_softmax(noise(6, seed=6), 0)
    local = local_posterior.mix(
        prior[:, None, None] + local_posterior.local_logits(y, pictures, sigma, 15, 1), pictures, least=0.0
    )
    norms = pictures.flatten(1).square().sum(1)
    weights = (prior + local_posterior.whole_logits(y[None], pictures, norms, sigma)[0]).softmax(0)
    torch.testing.assert_close(local, torch.einsum("n,nchw->chw", weights, pictures), atol=1e-4, rtol=1e-4)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), spread=st.floats(0.1, 30), least=st.sampled_from([0.0, 1e-4, 1e-3]))
def test_what_is_left_out_has_no_more_weight_than_it_says(seed: int, spread: float, least: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(160, 8, 8, generator=generator) * spread
    pictures = torch.rand(160, 8, 8, generator=generator).sign() * 2 - 1
    weights, kept = local_posterior.weighed(logits, least)
    every = torch.softmax(logits, 0)
    torch.testing.assert_close(weights.sum(0), torch.ones(8, 8))
    assert every.sum(0).sub(every[kept].sum(0)).max() <= 160 * least + 1e-6
    error = (weights * pictures[kept]).sum(0) - (every * pictures).sum(0)
    assert error.abs().max() <= 2 * 160 * least + 1e-5


def test_mix_stays_within_the_pictures_and_leaving_out_the_least_hardly_matters() -> None:
    pictures, logits = noise(9, 3, 8, 8), 6 * noise(9, 4, 4, seed=7)
    every, some = local_posterior.mix(logits, pictures, least=0.0), local_posterior.mix(logits, pictures)
    assert (every <= pictures.amax(0) + 1e-5).all() and (every >= pictures.amin(0) - 1e-5).all()
    assert (every - some).abs().max() < 9e-4 * pictures.abs().max() * 2


@settings(deadline=None)
@given(a=st.floats(0.01, 50), b=st.floats(0.01, 50), size=st.sampled_from([64, 256]))
def test_windows_never_shrink_with_noise(a: float, b: float, size: int) -> None:
    low, high = sorted((a, b))
    windows = Windows()
    narrow, wide = windows.width(low, size), windows.width(high, size)
    assert 1 <= narrow <= wide <= size
    assert windows.width(windows.whole, size) == size


def test_promising_keeps_what_an_exhaustive_search_chooses() -> None:
    sigma = 0.5
    pictures = torch.nn.functional.interpolate(noise(200, 3, 8, 8), size=(64, 64), mode="bilinear")
    y = torch.cat([pictures[7][:, :, :32], pictures[41][:, :, 32:]], 2) + sigma * noise(3, 64, 64, seed=9)
    prior = torch.full((200,), -math.log(200))
    windows = Windows()
    chosen = local_posterior.promising(y, local_posterior.pooled(pictures, 8), prior, sigma, windows, 64, 64)
    assert {7, 41} <= set(chosen.tolist())
    logits = local_posterior.local_logits(y, pictures, sigma, windows.width(sigma, 64), 1)
    every, some = local_posterior.mix(logits, pictures), local_posterior.mix(logits[chosen], pictures[chosen])
    assert (every - some).abs().mean() < 0.02


@given(width=st.integers(1, 31).map(lambda w: 2 * w + 1), cell=st.sampled_from([1, 2, 4]))
@settings(deadline=None, max_examples=60)
def test_windows_are_as_wide_as_documented(width: int, cell: int) -> None:
    """A far pixel counts at a place exactly if it lies in the place's window, whole cells of it."""
    pictures, y = torch.zeros(1, 1, 128, 128), torch.zeros(1, 128, 128)
    middle = 64 // cell
    pictures[0, 0, 64, :] = 2.0 ** -torch.arange(128).remainder(2)  # no zeros: each column counts
    row = local_posterior.local_logits(y, pictures, 1.0, width, cell)[0, middle]
    one = pictures.clone()
    reached = 0
    for column in range(0, 128, cell):
        one[...] = pictures
        one[..., column : column + cell] = 0
        reached += cell * bool(
            local_posterior.local_logits(y, one, 1.0, width, cell)[0, middle, middle] != row[middle]
        )
    assert width - cell / 2 <= reached <= width + 1.5 * cell


def test_how_far_keeping_some_is_from_keeping_all(library: Library) -> None:
    """The documented bound, for pictures on white, where it is worst."""
    banks = Banks(library, Text(Path(__file__).parent.parent / SHIPPED), Settings())
    for prompt, bound in (("a castle", 0.12), ("a dog", 0.02)):
        bank = replace(banks.of(prompt), light=None)
        pictures = bank.pictures(64)
        some, every = (replace(bank, windows=replace(WINDOWS, keep=keep)) for keep in (64, 0))
        y = torch.cat([pictures[5][:, :, :32], pictures[11][:, :, 32:]], 2)
        for sigma in (2.0, 0.5):
            noisy = y + sigma * noise(3, 64, 64, seed=1)
            apart = (posterior(noisy, sigma, bank, some) - posterior(noisy, sigma, bank, every)).abs()
            assert apart.mean() < bound


def test_noise_of() -> None:
    assert local_posterior.noise_of(0.5) == 1.0
    assert local_posterior.noise_of(0.1) == pytest.approx(3.0)
