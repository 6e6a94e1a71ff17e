"""Step rules against diffusers' schedulers, on a Gaussian denoiser and on a small random network; and what is
not a number is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler
from torch import Tensor

from noisebook.diffusion import estimates, flow, schedules, thresholding
from noisebook.diffusion.denoiser import Denoiser, NotANumber
from noisebook.diffusion.posterior import Sampler, step_rule
from noisebook.diffusion.sampling import draw_noise, finish, generators, reverse
from tests.known_answers import GaussianDenoiser

torch.set_num_threads(1)
STEPS = 20
TIMESTEPS = schedules.leading(STEPS)
COSINE: dict[str, Any] = {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"}


class Network(Denoiser):
    """A small random network in any precision."""

    image_size = 8
    alphas_cumprod = schedules.squared_cosine()

    def __init__(self, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> None:
        torch.manual_seed(1)
        layers = [torch.nn.Conv2d(4, 16, 3, padding=1), torch.nn.SiLU(), torch.nn.Conv2d(16, 3, 3, padding=1)]
        self.net = torch.nn.Sequential(*layers).to(dtype).requires_grad_(False)
        self.dtype, self.scale, self.precision = dtype, scale, str(dtype).removeprefix("torch.")
        self.if_it_overflows = "set NOISEBOOK_DTYPE=bfloat16"

    def embed(self, prompts: Any) -> None:
        return None

    def predict(self, x_t: Tensor, t: int, conditioning: None) -> tuple[Tensor, None]:
        x = torch.cat([x_t, torch.full_like(x_t[:, :1], t / 1000)], 1)
        return (self.net((self.scale * x).to(self.dtype)) / self.scale).float(), None


def models() -> dict[str, Denoiser]:
    return {
        "gaussian": GaussianDenoiser({"a": torch.tensor(0.4)}, spread=0.5, image_size=8),
        "network": Network(),
    }


def start() -> Tensor:
    return draw_noise(generators([1, 2]), (3, 8, 8))


def ours(model: Denoiser, sampler: Sampler, timesteps: list[int] = TIMESTEPS) -> Tensor:
    estimate = estimates.guided(model, ["a", "a"])
    options: Any = {"threshold": thresholding.none, "step": step_rule(sampler)}
    return finish(reverse(start(), timesteps, model.alphas_cumprod, estimate, generators([1, 2]), **options))


def theirs(model: Denoiser, scheduler: Any, scaled: bool = False) -> Tensor:
    """Their loop. ``scaled``: their x is x/√ᾱ, and their model sees it scaled back."""
    conditioning, x = model.embed(["a", "a"]), start()
    if scaled:
        x = x / schedules.squared_cosine()[TIMESTEPS[0]].sqrt().float()
    for timestep in scheduler.timesteps:
        t = int(timestep)
        epsilon, _ = model.predict(scheduler.scale_model_input(x, timestep), t, conditioning)
        x = scheduler.step(epsilon, timestep, x).prev_sample
    return x


@pytest.mark.parametrize("kind", ["gaussian", "network"])
def test_ddim_is_diffusers(kind: str) -> None:
    scheduler = DDIMScheduler(**COSINE, clip_sample=False)
    scheduler.set_timesteps(STEPS)
    assert scheduler.timesteps.tolist() == TIMESTEPS
    model = models()[kind]
    assert (ours(model, "ddim") - theirs(model, scheduler)).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["gaussian", "network"])
def test_dpm_solver_is_diffusers(kind: str) -> None:
    scheduler = DPMSolverMultistepScheduler(
        **COSINE, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="zero"
    )
    scheduler.set_timesteps(timesteps=TIMESTEPS)
    assert scheduler.timesteps.tolist() == TIMESTEPS
    model = models()[kind]
    assert (ours(model, "dpm-solver++") - theirs(model, scheduler)).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ["gaussian", "network"])
def test_heun_is_diffusers(kind: str) -> None:
    """Theirs carries x/√ᾱ; it starts from noise that is scaled so."""
    scheduler = HeunDiscreteScheduler(**COSINE, timestep_spacing="leading")
    scheduler.set_timesteps(STEPS)
    assert list(dict.fromkeys(scheduler.timesteps.int().tolist())) == TIMESTEPS
    model = models()[kind]
    assert (ours(model, "heun") - theirs(model, scheduler, scaled=True)).abs().max() < 1e-4


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("heun", 2), ("dpm-solver++", 2)])
def test_orders_of_convergence(sampler: Sampler, order: int) -> None:
    """On a Gaussian the flow is known: x̄ keeps its place in units of its spread, √(s² + σ²)."""
    model = GaussianDenoiser({"a": torch.tensor(0.4)}, spread=0.5, image_size=8)
    first, last = 800, 200
    alphas = [float(model.alphas_cumprod[t]) for t in (first, last)]
    spreads = [(0.25 + (1 - a) / a) ** 0.5 for a in alphas]
    x = start()
    exact = alphas[1] ** 0.5 * (0.4 + (x / alphas[0] ** 0.5 - 0.4) * spreads[1] / spreads[0])
    errors = []
    for stride in (20, 10):
        timesteps = list(range(first, last - 1, -stride))
        states = reverse(
            x,
            timesteps,
            model.alphas_cumprod,
            estimates.guided(model, ["a", "a"]),
            generators([1, 2]),
            threshold=thresholding.none,
            step=step_rule(sampler),
        )
        (arrived,) = [state.x for state in states if state.t == last]
        errors.append((arrived - exact).abs().max().item())
    assert 0.75 * 2**order < errors[0] / errors[1] < 1.5 * 2**order


@pytest.mark.parametrize("sampler", ["ddim", "heun", "dpm-solver++"])
def test_a_deterministic_sample_draws_no_noise(sampler: Sampler) -> None:
    model = models()["gaussian"]
    estimate = estimates.guided(model, ["a", "a"])
    for timesteps in (TIMESTEPS, [500, 0]):
        each = generators([1, 2])
        before = [generator.get_state() for generator in each]
        finish(reverse(start(), timesteps, model.alphas_cumprod, estimate, each, step=step_rule(sampler)))
        assert all(torch.equal(a, b.get_state()) for a, b in zip(before, each, strict=True))


def test_model_calls() -> None:
    for sampler, calls in (("ancestral", 20), ("ddim", 20), ("dpm-solver++", 20), ("heun", 39)):
        model = GaussianDenoiser({"a": torch.tensor(0.4)}, image_size=8)
        ours(model, sampler)  # type: ignore[arg-type]
        assert len(model.calls) == calls, sampler


# Not a number


def test_overflow_in_half_precision_is_an_error() -> None:
    """Range, not rounding: the same network in bfloat16 gives a picture."""
    with pytest.raises(NotANumber) as error:
        ours(Network(torch.float16, 1e5), "ancestral")
    for word in ("timestep 950", "float16", "NOISEBOOK_DTYPE=bfloat16", "not numbers"):
        assert word in str(error.value)
    assert ours(Network(torch.bfloat16, 1e5), "ancestral").isfinite().all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_every_step_is_checked(value: float) -> None:
    """Also what a rule, a threshold or an inpainting makes of a good estimate."""
    model = models()["gaussian"]
    estimate = estimates.guided(model, ["a", "a"])
    choices: list[dict[str, Callable[..., Tensor]]] = [
        {"step": lambda now: torch.full_like(now.x_t, value)},
        {"after": lambda x, alpha, draw: torch.full_like(x, value)},
    ]
    for options in choices:
        states = reverse(start(), TIMESTEPS, model.alphas_cumprod, estimate, generators([1, 2]), **options)  # type: ignore[arg-type]
        with pytest.raises(NotANumber, match="timestep 950"):
            next(states)
    with pytest.raises(NotANumber, match="t = 0"):
        list(flow.integrate(start(), [0.0, 1.0], lambda x, t: torch.full_like(x, value)))


def test_no_cell_is_stored_of_what_is_not_a_number() -> None:
    from noisebook.generators import sample

    from tests.fake_context import FakeContext, run

    cells = sample.cells(sample.Params(samples=[0], stride=90))
    with pytest.raises(NotANumber):
        run(sample, cells, FakeContext({"stage1": Network(torch.float16, 1e5)}))
