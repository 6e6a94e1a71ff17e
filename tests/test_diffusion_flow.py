"""Flow matching against its closed form for a Gaussian target, and against diffusers' scheduler."""

from __future__ import annotations

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler

from noisebook.diffusion import flow
from noisebook.diffusion.guidance import ClassifierFreeGuidance, IntervalGuidance
from tests.known_answers import GaussianDenoiser, gaussian_velocity, noise

torch.set_num_threads(1)


def end(
    x: torch.Tensor, steps: int, velocity: flow.Velocity, step: flow.FlowStep = flow.euler
) -> torch.Tensor:
    *_, last = flow.integrate(x, flow.times(steps), velocity, step)
    return last.x


def network() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(4, 16, 3, padding=1), torch.nn.SiLU(), torch.nn.Conv2d(16, 3, 3, padding=1)
    ).eval()


def field(net: torch.nn.Module) -> flow.Velocity:
    return lambda x, t: net(torch.cat([x, torch.full_like(x[:, :1], t)], 1))


def test_the_path_is_a_line_from_noise_to_data() -> None:
    x_1, x_0 = noise(3, 1, 4, 4), noise(3, 1, 4, 4, seed=1)
    assert torch.equal(flow.path(x_1, x_0, 0.0), x_0) and torch.equal(flow.path(x_1, x_0, 1.0), x_1)
    t = torch.tensor([0.0, 0.25, 1.0])
    x_t = flow.path(x_1, x_0, t)
    torch.testing.assert_close(x_t[1], 0.75 * x_0[1] + 0.25 * x_1[1])
    torch.testing.assert_close(x_t, torch.stack([x_0[0], x_t[1], x_1[2]]))
    v = flow.target(x_1, x_0)
    torch.testing.assert_close(
        (flow.path(x_1, x_0, 0.6) - flow.path(x_1, x_0, 0.5)) / 0.1, v, atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(flow.clean(x_t, v, t), x_1)
    torch.testing.assert_close(flow.implied_noise(x_t, v, t), x_0)
    assert flow.loss(v, x_1, x_0) == 0 and flow.loss(v + 2, x_1, x_0).item() == pytest.approx(4)


def test_the_gaussian_field_is_the_mean_of_the_targets() -> None:
    """Of many lines, those that pass near a point have the closed form's mean velocity."""
    x_1, x_0 = 0.4 + 0.5 * noise(400_000), noise(400_000, seed=1)
    velocity = gaussian_velocity(torch.tensor(0.4), 0.5)
    for t in (0.2, 0.5, 0.9):
        x_t = flow.path(x_1, x_0, t)
        for place in (-0.5, 0.0, 0.6):
            near = (x_t - place).abs() < 0.02
            mean = flow.target(x_1, x_0)[near].mean().item()
            assert velocity(torch.tensor(place), t).item() == pytest.approx(mean, abs=0.05)


@pytest.mark.parametrize(("step", "steps", "bound"), [(flow.euler, 200, 6e-3), (flow.heun, 50, 1e-3)])
def test_a_gaussian_is_reached(step: flow.FlowStep, steps: int, bound: float) -> None:
    """The exact flow maps noise x_0 to m + s x_0."""
    x = noise(4, 1, 8, 8)
    reached = end(x, steps, gaussian_velocity(torch.tensor(0.4), 0.5), step)
    assert (reached - (0.4 + 0.5 * x)).abs().max() < bound * 4


def test_orders_of_convergence() -> None:
    """Halving the step halves Euler's error, and quarters Heun's (with its last step left out)."""
    x, velocity = noise(2, 1, 4, 4), gaussian_velocity(torch.tensor(0.4), 0.5)
    t = 0.75
    exact = t * 0.4 + ((1 - t) ** 2 + (t * 0.5) ** 2) ** 0.5 * x
    for step, order in ((flow.euler, 1), (flow.heun, 2)):
        errors = []
        for steps in (32, 64):
            *_, last = flow.integrate(x, [t * k / steps for k in range(steps + 1)], velocity, step)
            errors.append((last.x - exact).abs().max().item())
        assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.15)


@pytest.mark.parametrize("steps", [1, 7, 50])
@pytest.mark.parametrize("kind", ["gaussian", "network"])
def test_euler_is_diffusers(steps: int, kind: str) -> None:
    """Theirs counts σ = 1 - t from 1 to 0 and predicts x_0 - x_1, the opposite direction."""
    velocity = field(network()) if kind == "network" else gaussian_velocity(torch.tensor(0.4), 0.5)
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=[1 - t for t in flow.times(steps)[:-1]])
    x = y = noise(2, 3, 8, 8)
    with torch.inference_mode():
        for t, timestep in zip(flow.times(steps), scheduler.timesteps, strict=False):
            assert timestep.item() == pytest.approx(1000 * (1 - t), abs=1e-3)
            y = scheduler.step(-velocity(y, t), timestep, y).prev_sample
    assert (end(x, steps, velocity) - y).abs().max() < 1e-4


def test_heun_is_diffusers() -> None:
    velocity = field(network())
    scheduler = FlowMatchHeunDiscreteScheduler()
    scheduler.set_timesteps(9)
    sigmas = scheduler.sigmas.tolist()
    x = y = noise(2, 3, 8, 8)
    with torch.inference_mode():
        for timestep, sigma in zip(scheduler.timesteps, sigmas, strict=False):
            y = scheduler.step(-velocity(y, 1 - sigma), timestep, y).prev_sample
    distinct = [1 - s for s in sorted(set(sigmas), reverse=True)]
    *_, last = flow.integrate(x, distinct, velocity, flow.heun)
    assert (last.x - y).abs().max() < 1e-4


def test_a_flow_model_is_a_denoiser() -> None:
    """Its x_t, divided by its spread, is a diffusion process's x_t, and its x̂_0 that one's ε."""
    t, mean, spread = 0.3, torch.tensor(0.4), 0.5
    x_t = noise(2, 3, 8, 8)
    alpha = flow.alpha_cumprod(t)
    denoiser = GaussianDenoiser({"a": mean}, spread, 8, torch.tensor([alpha], dtype=torch.float64))
    scale = (t**2 + (1 - t) ** 2) ** 0.5
    epsilon, _ = denoiser.predict(x_t / scale, 0, denoiser.embed(["a", "a"]))
    ours = flow.implied_noise(x_t, gaussian_velocity(mean, spread)(x_t, t), t)
    torch.testing.assert_close(ours, epsilon, atol=1e-5, rtol=1e-5)
    assert flow.alpha_cumprod(0.0) == 0 and flow.alpha_cumprod(1.0) == 1
    assert flow.alpha_cumprod(0.5, 2.0) == pytest.approx(0.2)


def test_guidance_of_a_velocity() -> None:
    called = []

    def constant(name: str, value: float) -> flow.Velocity:
        def velocity(x_t: torch.Tensor, t: float) -> torch.Tensor:
            called.append(name)
            return torch.full_like(x_t, value)

        return velocity

    conditional, reference, x = constant("c", 3.0), constant("u", 1.0), torch.zeros(1, 1, 2, 2)
    for rule, t, value, names in (
        (ClassifierFreeGuidance(5.0), 0.5, 11.0, ["u", "c"]),
        (ClassifierFreeGuidance(1.0), 0.5, 3.0, ["c"]),
        (ClassifierFreeGuidance(0.0), 0.5, 1.0, ["u"]),
        (IntervalGuidance(5.0, low=0.2, high=0.6), 0.5, 11.0, ["u", "c"]),
        (IntervalGuidance(5.0, low=0.2, high=0.6), 0.7, 3.0, ["c"]),
    ):
        called.clear()
        assert flow.guided(conditional, reference, rule)(x, t).unique().tolist() == [value]
        assert called == names


@pytest.mark.parametrize("times", [[0.0], [0.5, 0.5], [0.5, 0.2], [0.0, 1.1], [-0.1, 1.0]])
def test_times_that_cannot_be(times: list[float]) -> None:
    with pytest.raises(ValueError, match="a flow's times"):
        list(flow.integrate(noise(1, 1, 2, 2), times, lambda x, t: x))
    with pytest.raises(ValueError, match="at least one step"):
        flow.times(0)
