"""Schedules, the posterior, thresholding and the loop, against known numbers and diffusers' scheduler."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDPMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from noisebook.generators._joining import joining

from noisebook.diffusion import estimates, posterior, schedules, thresholding
from noisebook.diffusion.posterior import Transition
from noisebook.diffusion.sampling import draw_noise, finish, generators, paste, reverse
from tests.known_answers import GaussianDenoiser, noise

torch.set_num_threads(1)
IF = {
    "num_train_timesteps": 1000,
    "beta_schedule": "squaredcos_cap_v2",
    "variance_type": "learned_range",
    "prediction_type": "epsilon",
    "thresholding": True,
    "dynamic_thresholding_ratio": 0.95,
    "sample_max_value": 1.5,
}
"""DeepFloyd stage I's scheduler."""
STRIDED = schedules.strided()
ALPHAS = schedules.squared_cosine()


# Schedules


def test_schedule_is_deepfloyds() -> None:
    theirs = DDPMScheduler(**IF).alphas_cumprod.double()
    assert ALPHAS.dtype == torch.float64
    torch.testing.assert_close(ALPHAS, theirs, rtol=2e-5, atol=1e-9)
    wrong = DDPMScheduler().alphas_cumprod.double()
    assert (ALPHAS - wrong).abs().max() > 0.1
    assert not torch.allclose(schedules.linear(), ALPHAS)
    torch.testing.assert_close(schedules.linear(), wrong, rtol=2e-5, atol=1e-9)


def test_strided_timesteps_are_34() -> None:
    assert [990 - 30 * i for i in range(34)] == STRIDED
    assert [STRIDED[i] for i in (1, 3, 5, 7, 10, 20)] == [960, 900, 840, 780, 690, 390]


@pytest.mark.parametrize(("count", "first"), [(20, 950), (50, 980), (100, 990), (125, 992)])
def test_leading_timesteps(count: int, first: int) -> None:
    theirs = DDPMScheduler(**IF)
    theirs.set_timesteps(count)
    assert schedules.leading(count) == theirs.timesteps.tolist()
    assert schedules.leading(count)[0] == first


def test_error_of_the_noise_is_amplified() -> None:
    x_t, wrong = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 1.0)
    for t, times in ((990, 71.3), (960, 16.4), (690, 1.91)):
        alpha = float(ALPHAS[t])
        assert schedules.clean(x_t, wrong, alpha).abs().max().item() == pytest.approx(times, rel=0.01)


def test_forward_and_back() -> None:
    x_0, e = noise(2, 3, 8, 8), noise(2, 3, 8, 8, seed=1)
    x_t = schedules.forward(x_0, 0.3, e)
    torch.testing.assert_close(schedules.clean(x_t, e, 0.3), x_0, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(schedules.implied_noise(x_t, x_0, 0.3), e, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("timesteps", [[1, 2], [5, 5], [1000], [10, -1]])
def test_timesteps_that_cannot_be(timesteps: list[int]) -> None:
    with pytest.raises(ValueError, match="timesteps must"):
        schedules.alphas_at(ALPHAS, timesteps)


# One step


def theirs_for(**changes: object) -> DDPMScheduler:
    scheduler = DDPMScheduler(**{**IF, **changes})
    scheduler.set_timesteps(timesteps=STRIDED)
    return scheduler


def test_step_is_diffusers_for_every_strided_pair() -> None:
    """Mean and learned variance, dynamic threshold included; the last pair, to ᾱ = 1, without noise."""
    scheduler, step, threshold = theirs_for(), posterior.ancestral(), thresholding.dynamic()
    alphas = schedules.alphas_at(ALPHAS, STRIDED)
    for i, t in enumerate(STRIDED):
        x_t, e, v = (
            noise(2, 3, 8, 8, seed=i),
            noise(2, 3, 8, 8, seed=50 + i),
            noise(2, 3, 8, 8, seed=99).tanh(),
        )
        z = noise(2, 3, 8, 8, seed=7)
        expected = scheduler.step(
            torch.cat([e, v], 1), t, x_t, generator=torch.Generator().manual_seed(7), return_dict=False
        )[0]
        x_0 = threshold(schedules.clean(x_t, e, alphas[i]))
        ours = step(Transition(x_t, x_0, v, alphas[i], alphas[i + 1], lambda z=z: z))
        torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("ours", "theirs"), [("small", "fixed_small"), ("large", "fixed_large")])
def test_fixed_variances_are_diffusers(ours: str, theirs: str) -> None:
    scheduler = theirs_for(variance_type=theirs, thresholding=False, clip_sample=False)
    x_t, e, z = noise(1, 3, 4, 4), noise(1, 3, 4, 4, seed=2), noise(1, 3, 4, 4, seed=7)
    for t, s in ((690, 660), (390, 360), (30, 0)):
        expected = scheduler.step(e, t, x_t, generator=torch.Generator().manual_seed(7)).prev_sample
        a_t, a_s = float(ALPHAS[t]), float(ALPHAS[s])
        x_0 = schedules.clean(x_t, e, a_t)
        step = posterior.ancestral(ours)  # type: ignore[arg-type]
        torch.testing.assert_close(
            step(Transition(x_t, x_0, None, a_t, a_s, lambda: z)), expected, atol=1e-4, rtol=1e-4
        )


def test_alpha_is_of_the_pair() -> None:
    """With β_t of one timestep in place of the pair's, the mean would hardly move."""
    a_t, a_s = float(ALPHAS[690]), float(ALPHAS[660])
    beta, small = posterior.betas(a_t, a_s)
    single = float(1 - ALPHAS[690] / ALPHAS[689])
    assert beta == pytest.approx(1 - a_t / a_s)
    assert beta > 10 * single
    assert 0 < small < beta


def test_learned_range_is_of_the_pair() -> None:
    """σ at t = 690 is .385-.395; a scheduler whose timesteps another call has changed gives .237."""
    a_t, a_s = float(ALPHAS[690]), float(ALPHAS[660])
    for v in (-1.0, 0.0, 1.0):
        sigma = math.exp(0.5 * float(posterior.log_variance(torch.tensor(v), a_t, a_s)))
        assert 0.38 < sigma < 0.40 or v < 1
    low, high = (
        math.exp(0.5 * float(posterior.log_variance(torch.tensor(v), a_t, a_s))) for v in (-1.0, 1.0)
    )
    beta, small = posterior.betas(a_t, a_s)
    assert (low, high) == (pytest.approx(math.sqrt(small)), pytest.approx(math.sqrt(beta)))
    single = math.sqrt(float(1 - ALPHAS[690] / ALPHAS[689]))
    assert high > 4.5 * single
    changed = DDPMScheduler(**IF)
    changed.set_timesteps(100)
    theirs = math.exp(0.5 * float(changed._get_variance(690, torch.tensor(0.0))))
    assert theirs == pytest.approx(0.237, abs=0.01)
    assert math.exp(0.5 * float(posterior.log_variance(torch.tensor(0.0), a_t, a_s))) > 1.5 * theirs


def test_no_noise_on_the_last_step() -> None:
    x_t, x_0 = noise(1, 3, 4, 4), noise(1, 3, 4, 4, seed=1)

    def never() -> torch.Tensor:
        raise AssertionError("noise was drawn")

    torch.testing.assert_close(posterior.mean(x_t, x_0, float(ALPHAS[0]), 1.0), x_0, atol=1e-6, rtol=1e-6)
    for step in (posterior.ancestral(), posterior.ancestral("large"), posterior.ddim(1.0)):
        torch.testing.assert_close(
            step(Transition(x_t, x_0, x_t, float(ALPHAS[0]), 1.0, never)), x_0, atol=1e-6, rtol=1e-6
        )


def test_ddim_with_full_noise_is_ancestral() -> None:
    x_t, x_0, z = noise(1, 3, 4, 4), noise(1, 3, 4, 4, seed=1), noise(1, 3, 4, 4, seed=2)
    a_t, a_s = float(ALPHAS[690]), float(ALPHAS[660])
    one = posterior.ancestral("small")(Transition(x_t, x_0, None, a_t, a_s, lambda: z))
    torch.testing.assert_close(
        posterior.ddim(1.0)(Transition(x_t, x_0, None, a_t, a_s, lambda: z)), one, atol=1e-5, rtol=1e-5
    )


def test_coefficients_are_not_half_precision() -> None:
    half = ALPHAS.half()
    assert half[0] == 1 and half[999] == 0
    assert 0 < float(1 - ALPHAS[0]) < 1e-4 and float(ALPHAS[999]) > 0
    assert float(ALPHAS[999]) < 1e-8


# Thresholding


def test_dynamic_threshold_is_diffusers() -> None:
    # Of each picture's size, so that s lies between its bounds, above them and below.
    x_0 = torch.tensor([0.3, 0.6, 0.7, 3.0])[:, None, None, None] * noise(4, 3, 8, 8)
    ours = thresholding.dynamic()(x_0)
    torch.testing.assert_close(ours, theirs_for()._threshold_sample(x_0))
    default = DDPMScheduler(**{**IF, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0})
    assert (ours - default._threshold_sample(x_0)).abs().max() > 0.1
    torch.testing.assert_close(thresholding.dynamic(largest=1.0)(x_0), thresholding.static(x_0))


def test_thresholds_by_name() -> None:
    x_0 = 3 * noise(2, 3, 8, 8)
    assert torch.equal(thresholding.thresholding("none")(x_0), x_0)
    assert thresholding.thresholding("static")(x_0).abs().max() == 1
    one = thresholding.thresholding("dynamic")
    assert torch.equal(one(x_0)[:1], one(x_0[:1])), "a picture's threshold is its own"


# The loop


def gaussian(**changes: object) -> GaussianDenoiser:
    given: dict[str, object] = {"means": {"a": torch.tensor(0.4), "b": torch.tensor(-0.4)}, "image_size": 8}
    return GaussianDenoiser(**{**given, **changes})  # type: ignore[arg-type]


def sample(
    denoiser: GaussianDenoiser, seeds: list[int], timesteps: list[int], **options: object
) -> torch.Tensor:
    each = generators(seeds)
    x = draw_noise(each, (3, denoiser.image_size, denoiser.image_size))
    estimate = estimates.guided(denoiser, ["a"] * len(seeds))
    options = {"threshold": thresholding.none, **options}
    return finish(reverse(x, timesteps, denoiser.alphas_cumprod, estimate, each, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "step", [posterior.ancestral(), posterior.ancestral("large"), posterior.ddim(), posterior.ddim(1)]
)
def test_samples_have_the_known_distribution(step: posterior.Step) -> None:
    """x_0 ~ N(.4, .25): the exact denoiser must be sampled to that mean and spread."""
    x = sample(gaussian(spread=0.5), list(range(24)), schedules.strided(996, 6), step=step)
    assert x.mean().item() == pytest.approx(0.4, abs=0.03)
    assert x.std().item() == pytest.approx(0.5, rel=0.06)


def test_the_last_step_returns_the_estimate() -> None:
    denoiser = gaussian(spread=0.0)
    each = generators([1])
    states = list(
        reverse(draw_noise(each, (3, 8, 8)), STRIDED, ALPHAS, estimates.guided(denoiser, ["a"]), each)
    )
    assert len(states) == len(denoiser.calls) == 34
    assert torch.equal(states[-1].x, states[-1].clean) and states[-1].t == -1
    before = states[-2]
    assert before.t == 0
    left = (before.x - states[-1].x).std().item()
    assert left == pytest.approx(0.0064, rel=0.2), "33 calls leave the noise of t = 0, σ = .0064"


def noised(x_0: torch.Tensor, alphas: list[float], z: torch.Tensor) -> torch.Tensor:
    """Each picture with the noise of its own ᾱ."""
    return torch.stack([schedules.forward(*each) for each in zip(x_0, alphas, z, strict=True)])


def test_a_start_is_an_index_and_less_noise_when_bigger() -> None:
    denoiser = gaussian()
    each = generators([3, 3, 3])
    originals = torch.full((3, 3, 8, 8), 0.2)
    starts = [0, 10, 20]
    z = draw_noise(each, (3, 8, 8))
    x = noised(originals, [float(ALPHAS[STRIDED[s]]) for s in starts], z)
    assert x[0].std() > x[1].std() > x[2].std()

    def estimate(rows: list[int]) -> estimates.Estimate:
        return estimates.guided(denoiser, ["a"] * len(rows))

    seen = list(joining(x, starts, STRIDED, ALPHAS, estimate, each))
    assert [rows for t, rows in denoiser.calls if t in (990, 690, 390)] == [1, 2, 3]
    assert [rows for rows, _ in seen] == [[0]] * 10 + [[0, 1]] * 10 + [[0, 1, 2]] * 14
    assert [state.t for _, state in seen] == [*STRIDED[1:], -1]
    with pytest.raises(ValueError, match="between 0 and 33"):
        next(joining(x, [0, 1, 34], STRIDED, ALPHAS, estimate, each))


@settings(deadline=None, max_examples=15)
@given(
    seeds=st.lists(st.integers(0, 2**63 - 1), min_size=2, max_size=4, unique=True),
    chosen=st.integers(0, 3),
    starts=st.lists(st.integers(0, 6), min_size=4, max_size=4),
)
def test_alone_or_in_a_batch(seeds: list[int], chosen: int, starts: list[int]) -> None:
    """Also in another order, and beside samples that start elsewhere."""
    k, denoiser, timesteps = chosen % len(seeds), gaussian(variance=0.3), schedules.strided(900, 100)

    def run(rows: list[int]) -> torch.Tensor:
        each = generators([seeds[r] for r in rows])
        x = noised(
            torch.zeros(len(rows), 3, 8, 8),
            [float(ALPHAS[timesteps[starts[r]]]) for r in rows],
            draw_noise(each, (3, 8, 8)),
        )

        def estimate(some: list[int]) -> estimates.Estimate:
            return estimates.guided(denoiser, ["a"] * len(some), 3.0)

        out = x.clone()
        for some, state in joining(x, [starts[r] for r in rows], timesteps, ALPHAS, estimate, each):
            out[some] = state.x
        return out

    rows = list(range(len(seeds)))
    assert torch.equal(run(rows)[k], run([k])[0])
    assert torch.equal(run(rows[::-1])[len(rows) - 1 - k], run([k])[0])


def test_mnist_timesteps_fit() -> None:
    """T = 300 with ᾱ_0 = 1: t runs from T to 1, and the last step goes to ᾱ_0."""
    alphas = torch.cat([torch.ones(1, dtype=torch.float64), schedules.linear(300)])
    denoiser = gaussian(alphas_cumprod=alphas, spread=0.3)
    x = sample(denoiser, [1, 2], list(range(300, 0, -1)))
    assert len(denoiser.calls) == 300 and denoiser.calls[-1][0] == 1
    assert x.mean().item() == pytest.approx(0.4, abs=0.1)


# Inpainting


def inpainted(after: object, stop: int = 34) -> tuple[torch.Tensor, torch.Tensor]:
    originals = noise(1, 3, 32, 32, seed=4).clamp(-1, 1)
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :16, :] = 1
    each = generators([1])
    make = paste(originals, mask) if after is None else after(originals, mask)  # type: ignore[operator]
    states = list(
        reverse(
            draw_noise(each, (3, 32, 32)),
            STRIDED,
            ALPHAS,
            estimates.guided(gaussian(image_size=32), ["a"]),
            each,
            after=make,
        )
    )
    return originals, states[stop - 1].x


def test_known_region_ends_as_the_original() -> None:
    originals, x = inpainted(None)
    assert torch.equal(x[..., 16:, :], originals[..., 16:, :])
    assert not torch.equal(x[..., :16, :], originals[..., :16, :])


def test_known_region_has_the_noise_of_the_timestep_reached() -> None:
    """After 33 steps, at t = 0: σ = .0064. Pasting with the noise of the step's start leaves .059."""
    originals, x = inpainted(None, stop=33)
    assert (x - originals)[..., 16:, :].std().item() == pytest.approx(0.0064, rel=0.1)
    assert schedules.alphas_at(ALPHAS, STRIDED)[33] == float(ALPHAS[0])
    late = math.sqrt(1 - float(ALPHAS[30]))
    assert late == pytest.approx(0.059, abs=0.002)
    # Unlike a library that keeps the known region clean throughout, it is noisy on the way.
    originals, x = inpainted(None, stop=10)
    assert (x - math.sqrt(float(ALPHAS[690])) * originals)[..., 16:, :].std().item() == pytest.approx(
        math.sqrt(1 - float(ALPHAS[690])), rel=0.1
    )
