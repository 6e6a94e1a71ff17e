"""Guidance, views, frequency bands, filters and metrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from noisebook.generators import _metrics as metrics
from noisebook.generators._failing_views import FAILING
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from noisebook.diffusion import estimates, filters
from noisebook.diffusion.denoiser import Denoiser, Enlarge, null_prompt
from noisebook.diffusion.guidance import Autoguidance, ClassifierFreeGuidance, IntervalGuidance
from noisebook.diffusion.views import VIEWS, Permutation, View
from tests.known_answers import GaussianDenoiser, noise

torch.set_num_threads(1)


class Constant(Denoiser):
    """Answers with constants for each prompt: ε and v."""

    image_size = 8
    alphas_cumprod = torch.linspace(0.99, 0.01, 10, dtype=torch.float64)

    def __init__(self, answers: dict[str, tuple[float, float]]) -> None:
        self.answers, self.asked = answers, list[list[str]]()

    def embed(self, prompts: list[str]) -> list[str]:
        return [str(prompt) for prompt in prompts]

    def predict(
        self, x_t: torch.Tensor, t: int, conditioning: list[str]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert len(x_t) == len(conditioning)
        self.asked.append(conditioning)
        e, v = zip(*(self.answers[prompt] for prompt in conditioning), strict=True)
        ones = torch.ones_like(x_t)
        return ones * torch.tensor(e)[:, None, None, None], ones * torch.tensor(v)[:, None, None, None]


ANSWERS = {"": (1.0, -0.5), "cat": (2.0, 0.5), "dog": (4.0, 0.9)}


def test_constant_is_a_denoiser() -> None:
    assert isinstance(Constant(ANSWERS), Denoiser) and isinstance(GaussianDenoiser({}), Denoiser)


# Guidance


@pytest.mark.parametrize(
    ("scale", "epsilon", "v", "rows"),
    [
        (0.0, 1.0, -0.5, [""]),
        (1.0, 2.0, 0.5, ["cat"]),
        (7.0, 8.0, 0.5, ["", "cat"]),
        (0.5, 1.5, 0.5, ["", "cat"]),
    ],
)
def test_guidance(scale: float, epsilon: float, v: float, rows: list[str]) -> None:
    """ε_u + γ(ε_c - ε_u), so that γ = 0 is unconditional (diffusers: conditional), γ = 1 one row, not two,
    and γ is not γ - 1; the variance is the conditional branch's."""
    model = Constant(ANSWERS)
    e, variance = estimates.guided(model, ["cat"], scale)(torch.zeros(1, 3, 8, 8), 5)
    assert e.unique().tolist() == [epsilon]
    assert variance is not None and variance.unique().tolist() == [v]
    assert model.asked == [rows]


def test_guidance_of_a_batch_is_one_call() -> None:
    model = Constant(ANSWERS)
    e, v = estimates.guided(model, ["cat", "dog", "cat"], 3.0)(torch.zeros(3, 3, 8, 8), 5)
    assert e[:, 0, 0, 0].tolist() == [4.0, 10.0, 4.0]
    assert v is not None and v[:, 0, 0, 0].tolist() == pytest.approx([0.5, 0.9, 0.5])
    assert model.asked == [["", "", "", "cat", "dog", "cat"]]


def test_a_negative_prompt_stands_in_place_of_the_empty_one() -> None:
    model = Constant(ANSWERS)
    rule = ClassifierFreeGuidance(3.0, negative_prompt="dog")
    e, v = estimates.guided(model, ["cat"], rule)(torch.zeros(1, 3, 8, 8), 5)
    assert e.unique().tolist() == [4 + 3 * (2 - 4)] and model.asked == [["dog", "cat"]]
    assert v is not None and v.unique().tolist() == [0.5]
    alone = ClassifierFreeGuidance(0.0, negative_prompt="dog")
    assert estimates.guided(model, ["cat"], alone)(torch.zeros(1, 3, 8, 8), 5)[0].unique().tolist() == [4.0]


def test_interval_guidance_is_on_for_some_timesteps() -> None:
    model = Constant(ANSWERS)
    estimate = estimates.guided(model, ["cat"], IntervalGuidance(3.0, low=4, high=6))
    for t, epsilon in ((7, 2.0), (6, 4.0), (4, 4.0), (3, 2.0)):
        assert estimate(torch.zeros(1, 3, 8, 8), t)[0].unique().tolist() == [epsilon]
    assert [len(rows) for rows in model.asked] == [1, 2, 2, 1]


def test_autoguidance_moves_away_from_a_worse_model() -> None:
    good, bad = Constant(ANSWERS), Constant({"cat": (0.5, 0.1)})
    e, v = estimates.guided(good, ["cat"], Autoguidance(2.0, bad))(torch.zeros(1, 3, 8, 8), 5)
    assert e.unique().tolist() == [0.5 + 2 * (2.0 - 0.5)]
    assert v is not None and v.unique().tolist() == [0.5], "the variance is the better model's"
    assert good.asked == bad.asked == [["cat"]]


def test_unconditional_is_the_empty_text_not_zeros() -> None:
    assert null_prompt("a cat") == "" and null_prompt(3) is None and null_prompt(None) is None
    ask = Enlarge("a cat", torch.zeros(3, 4, 4), torch.zeros(3, 8, 8), 100)
    free = null_prompt(ask)
    assert free.text == "" and free.picture is ask.picture and free.noise is ask.noise and free.level == 100
    model = Constant(ANSWERS)
    estimates.guided(model, ["cat"], 7.0)(torch.zeros(1, 3, 8, 8), 5)
    assert model.asked[0][0] == ""


def test_neutral_prompt_is_not_the_empty_one() -> None:
    from noisebook.generators import iterative, one_step, sample

    assert {
        m.Params().model_dump().get("prompt", "a high quality photo") for m in (one_step, iterative, sample)
    } == {"a high quality photo"}


def test_guidance_needs_a_prompt_for_each_sample() -> None:
    with pytest.raises(ValueError, match="one prompt per sample"):
        estimates.guided(Constant(ANSWERS), [])


# Views


@settings(deadline=None, max_examples=40)
@given(name=st.sampled_from(sorted(VIEWS)), size=st.sampled_from([8, 16, 64]), seed=st.integers(0, 1000))
def test_views_invert_and_keep_norms(name: str, size: int, seed: int) -> None:
    view, x = VIEWS[name], noise(2, 3, size, size, seed=seed)
    assert torch.equal(view.invert(view.apply(x)), x) and torch.equal(view.apply(view.invert(x)), x)
    assert view.apply(x).norm().item() == pytest.approx(x.norm().item(), rel=1e-6)
    assert torch.equal(view.invert_variance(view.apply(x).abs()), x.abs()), (
        "a variance moves, and keeps its sign"
    )
    assert view.is_orthogonal


@pytest.mark.parametrize("name", sorted(VIEWS))
def test_a_views_animation_ends_at_the_view(name: str) -> None:
    x = noise(1, 3, 16, 16)[0].clamp(-1, 1)
    torch.testing.assert_close(VIEWS[name].frame(x, 0.0), x, atol=1e-4, rtol=0)
    torch.testing.assert_close(VIEWS[name].frame(x, 1.0), VIEWS[name].apply(x), atol=1e-4, rtol=0)
    assert VIEWS[name].frame(x, 0.3).shape == x.shape


def test_anagram_goes_back_through_the_inverse_view() -> None:
    seen = list[torch.Tensor]()

    def echo(x_t: torch.Tensor, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(x_t)
        return x_t, x_t.abs()

    x = noise(2, 3, 8, 8)
    for name in sorted(VIEWS):
        seen.clear()
        e, v = estimates.averaged([echo, echo], [VIEWS["identity"], VIEWS[name]])(x, 5)
        torch.testing.assert_close(e, x)
        assert torch.equal(seen[1], VIEWS[name].apply(x))
        assert v is not None
        torch.testing.assert_close(v, x.abs())


def test_anagram_guides_first_and_averages_after() -> None:
    model = Constant(ANSWERS)
    each = [estimates.guided(model, [prompt], 3.0) for prompt in ("cat", "dog")]
    e, v = estimates.averaged(each, [VIEWS["identity"], VIEWS["flip"]])(torch.zeros(1, 3, 8, 8), 5)
    assert e.unique().tolist() == [(1 + 3 * 1 + 1 + 3 * 3) / 2]
    assert v is not None and v.unique().tolist() == pytest.approx([0.7])


@pytest.mark.parametrize("name", sorted(FAILING))
def test_a_view_that_is_not_orthogonal_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not orthogonal"):
        estimates.averaged([estimates.guided(Constant(ANSWERS), ["cat"])], [FAILING[name]])


@pytest.mark.parametrize("view", [*VIEWS.values(), *FAILING.values()], ids=lambda view: view.name)
def test_a_view_is_orthogonal_if_it_says_so(view: View) -> None:
    """The covariance of noise through a view is M Mᵀ, where M is its matrix: 1 if it is noise still."""
    size = 8
    basis = torch.eye(3 * size * size, dtype=torch.float64).view(-1, 3, size, size)
    matrix = view.apply(basis).flatten(1).T
    assert (
        torch.allclose(matrix @ matrix.T, torch.eye(len(matrix), dtype=torch.float64)) == view.is_orthogonal
    )
    assert torch.allclose(view.invert(view.apply(basis)), basis, atol=1e-6), "it has an inverse all the same"
    x = noise(2, 3, size, size).double()
    assert torch.allclose(view.apply(x).flatten(1), x.flatten(1) @ matrix.T), "it is linear"


def test_one_function_is_a_whole_view() -> None:
    """A permutation of pixels needs no inverse of its own."""
    shear = Permutation(
        "shear", lambda x: torch.stack([x[..., i, :].roll(i, -1) for i in range(x.shape[-2])], -2)
    )
    x = noise(2, 3, 8, 8)
    assert torch.equal(shear.invert(shear.apply(x)), x) and not torch.equal(shear.apply(x), x)
    torch.testing.assert_close(shear.frame(x, 1.0), shear.apply(x))


# Frequency bands


def test_hybrid_filters_the_noise_and_averages_the_variance() -> None:
    x = noise(1, 3, 64, 64)
    low, high = noise(1, 3, 64, 64, seed=1), noise(1, 3, 64, 64, seed=2)
    v = noise(1, 3, 64, 64, seed=3)

    def lowpass(y: torch.Tensor) -> torch.Tensor:
        return filters.blur(y, 33, 2.0)

    e, variance = estimates.split(lambda *_: (low, v), lambda *_: (high, 3 * v), lowpass)(x, 5)
    torch.testing.assert_close(e, lowpass(low) + high - lowpass(high))
    assert variance is not None
    torch.testing.assert_close(variance, 2 * v)
    both, _ = estimates.split(lambda *_: (low, v), lambda *_: (low, v), lowpass)(x, 5)
    torch.testing.assert_close(both, low, atol=1e-5, rtol=1e-5)


@settings(deadline=None, max_examples=20)
@given(length=st.sampled_from([1, 3, 13, 31]), seed=st.integers(0, 1000))
def test_motion_and_grey_are_linear_and_keep_what_is_even(length: int, seed: int) -> None:
    x, y = noise(2, 3, 32, 32, seed=seed), noise(2, 3, 32, 32, seed=seed + 1)
    for lowpass in (lambda x: filters.motion_blur(x, length), filters.grey):
        assert lowpass(x).shape == x.shape
        torch.testing.assert_close(lowpass(x + 2 * y), lowpass(x) + 2 * lowpass(y), atol=1e-5, rtol=1e-5)
        flat = torch.full((1, 3, 32, 32), 0.4)
        torch.testing.assert_close(lowpass(flat), flat)
    torch.testing.assert_close(filters.grey(filters.grey(x)), filters.grey(x))


def test_motion_blurs_along_the_diagonal_alone() -> None:
    point = torch.zeros(1, 1, 16, 16)
    point[..., 8, 8] = 1
    moved = filters.motion_blur(point, 5)[0, 0]
    assert [moved[k, k].item() for k in range(5, 12)] == pytest.approx([0, *[0.2] * 5, 0])
    assert moved.sum().item() == pytest.approx(1)
    for length, message in ((4, "odd"), (0, "odd"), (33, "too far")):
        with pytest.raises(ValueError, match=message):
            filters.motion_blur(point, length)


def test_hybrid_kernel_follows_the_size() -> None:
    assert filters.scaled_blur(64, 33, 2.0) == (33, 2.0)
    assert filters.scaled_blur(256, 33, 2.0) == (133, 8.0)


@settings(deadline=None, max_examples=25)
@given(kernel=st.sampled_from([1, 3, 7, 15]), sigma=st.floats(0.2, 8), seed=st.integers(0, 1000))
def test_blur_keeps_the_mean_and_matches_torchvision(kernel: int, sigma: float, seed: int) -> None:
    from torchvision.transforms.functional import gaussian_blur

    x = noise(1, 3, 16, 16, seed=seed)
    assert filters.gaussian_kernel(kernel, sigma).sum().item() == pytest.approx(1)
    ours = filters.blur(x, kernel, sigma)
    torch.testing.assert_close(ours, gaussian_blur(x, kernel, sigma), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(filters.blur(torch.ones_like(x), kernel, sigma), torch.ones_like(x))
    torch.testing.assert_close(ours + (x - ours), x)


@pytest.mark.parametrize(("kernel", "sigma"), [(4, 1.0), (0, 1.0), (3, 0.0), (33, 2.0)])
def test_a_blur_that_cannot_be(kernel: int, sigma: float) -> None:
    with pytest.raises(ValueError, match=r"odd|positive|too large"):
        filters.blur(torch.zeros(1, 3, 16, 16), kernel, sigma)


# Metrics


def test_metrics_are_skimages() -> None:
    a = noise(3, 32, 40).clamp(-1, 1)
    b = (a + 0.3 * noise(3, 32, 40, seed=1)).clamp(-1, 1)
    one, two = (np.asarray(y.permute(1, 2, 0).double()) for y in (b, a))
    assert metrics.psnr(b, a) == pytest.approx(peak_signal_noise_ratio(two, one, data_range=2))
    expected = structural_similarity(
        two, one, data_range=2, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert metrics.ssim(b, a) == pytest.approx(expected, abs=1e-6)
    assert metrics.psnr(a, a) == float("inf") and metrics.ssim(a, a) == pytest.approx(1)
