"""templates/sampling.js in Chromium, and noisebook.diffusion: the same steps from the same noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor

from noisebook.diffusion.flow import FlowStep, Velocity, euler, integrate, path
from noisebook.diffusion.guidance import extrapolate
from noisebook.diffusion.posterior import Step, Transition, ancestral, ddim
from noisebook.diffusion.sampling import After, Draw, State, generators, paste, reverse
from noisebook.diffusion.schedules import forward
from noisebook.diffusion.thresholding import static
from noisebook.networks.mnist.portable import normal
from noisebook.networks.mnist.schedule import alphas_cumprod
from noisebook.render.theme import PACKAGED
from tests.browser import Watched, served

SIZE = 48
SEED = 7
TOLERANCE = 2e-6
"""Python rounds every operation to float32, JavaScript only what it stores; values are of the order of 1."""
TIMESTEPS = [300, 180, 90, 40, 10, 1]
ALPHAS = alphas_cumprod(300, 1e-4, 0.02)
TIMES = [0.25, 0.5, 0.75, 1.0]
ORIGINAL = torch.linspace(-1, 1, SIZE)
HOLE = (torch.arange(SIZE) % 3 == 0).float()
RUN = """async ({seed, size, alphas, times, original, hole, kind, rule, threshold, pasted}) => {
    const js = await import("/sampling.js");
    const draw = js.normals(seed);
    const noise = draw(size);
    const found = [];
    const round = (values) => Float32Array.from(values);
    if (kind === "flow") {
        const after = pasted ? js.pasteAlong(original, hole, noise) : undefined;
        const velocity = async (x, i) => round(x.map((value, j) => Math.sin(3 * value + i) - original[j]));
        const start = js.path(round(original), noise, times[0]);
        for await (const state of js.integrate(start, times, velocity, {after})) found.push(state);
    } else {
        const options = {rule: js[rule[0]](rule[1])};
        if (threshold) options.threshold = (clean) => clean.map((value) => Math.max(-1, Math.min(1, value)));
        if (pasted) options.after = js.paste(original, hole);
        const estimate = async (x, i) => ({
            epsilon: js.extrapolate(round(x.map(Math.sin)), round(x.map(Math.cos)), 1.5),
            v: rule[1] === "learned" ? round(x.map((value) => Math.tanh(value + i))) : null,
        });
        const start = js.forward(round(original), alphas[0], noise);
        for await (const state of js.reverse(start, alphas, estimate, draw, options)) found.push(state);
    }
    return found.map(({step, x, clean}) => [step, [...x], [...clean]]);
}"""


@pytest.fixture(scope="module")
def templates() -> Iterator[str]:
    with served(PACKAGED) as address:
        yield address


def run(page: Page, **options: Any) -> list[tuple[int, list[float], list[float]]]:
    given = {
        "seed": SEED,
        "size": SIZE,
        "alphas": [*(float(ALPHAS[t]) for t in TIMESTEPS), 1.0],
        "times": TIMES,
        "original": ORIGINAL.tolist(),
        "hole": HOLE.tolist(),
        "pasted": False,
        "threshold": False,
        "rule": None,
    }
    found: list[tuple[int, list[float], list[float]]] = page.evaluate(RUN, given | options)
    return found


def noises() -> Callable[[], Tensor]:
    """Draws (1, 1, 1, SIZE), one after another."""
    rows = iter(normal(SEED, SIZE * 20).reshape(-1, 1, 1, 1, SIZE))
    return lambda: next(rows)


def python(rule: Step, learned: bool, threshold: bool, pasted: bool) -> list[State]:
    draw = noises()
    image = ORIGINAL[None, None, None]

    def estimate(x: Tensor, t: int) -> tuple[Tensor, Tensor | None]:
        v = torch.tanh(x + TIMESTEPS.index(t)) if learned else None
        return extrapolate(x.sin(), x.cos(), 1.5), v

    def step(now: Transition) -> Tensor:
        return rule(replace(now, draw=draw))

    after: After | None = None
    if pasted:
        known = paste(image, HOLE[None, None, None])

        def after(x: Tensor, alpha: float, _: Draw) -> Tensor:
            return known(x, alpha, draw)

    start = forward(image, float(ALPHAS[TIMESTEPS[0]]), draw())
    keep = static if threshold else lambda x: x
    return list(
        reverse(start, TIMESTEPS, ALPHAS, estimate, generators([0]), threshold=keep, step=step, after=after)
    )


def same(found: list[tuple[int, list[float], list[float]]], expected: list[Any]) -> None:
    assert [step for step, _, _ in found] == list(range(1, len(expected) + 1))
    for (_, x, clean), state in zip(found, expected, strict=True):
        assert (torch.tensor(x) - state.x.flatten()).abs().max() <= TOLERANCE * max(1, state.x.abs().max())
        scale = max(1, float(state.clean.abs().max()))
        assert (torch.tensor(clean) - state.clean.flatten()).abs().max() <= TOLERANCE * scale


@pytest.mark.parametrize("pasted", [False, True])
@pytest.mark.parametrize("threshold", [False, True])
@pytest.mark.parametrize(
    ("name", "option", "rule"),
    [
        ("ancestral", "learned", ancestral("learned")),
        ("ancestral", "small", ancestral("small")),
        ("ancestral", "large", ancestral("large")),
        ("ddim", 0, ddim()),
        ("ddim", 0.5, ddim(0.5)),
    ],
)
def test_every_rule_steps_as_in_python(
    templates: str,
    open_page: Callable[..., Watched],
    name: str,
    option: Any,
    rule: Step,
    threshold: bool,
    pasted: bool,
) -> None:
    page = open_page().page
    page.goto(f"{templates}/404.html")
    found = run(page, kind="diffusion", rule=[name, option], threshold=threshold, pasted=pasted)
    same(found, python(rule, option == "learned", threshold, pasted))


@pytest.mark.parametrize("pasted", [False, True])
def test_a_flow_steps_as_in_python(templates: str, open_page: Callable[..., Watched], pasted: bool) -> None:
    page = open_page().page
    page.goto(f"{templates}/404.html")
    image, noise = ORIGINAL[None, None, None], noises()()
    hole = HOLE[None, None, None]

    def velocity(x: Tensor, t: float) -> Tensor:
        return torch.sin(3 * x + TIMES.index(t)) - image

    def kept(x: Tensor, t: float, s: float, field: Velocity, slope: Tensor) -> Tensor:
        return torch.where(hole > 0.5, euler(x, t, s, field, slope), path(image, noise, s))

    step: FlowStep = kept if pasted else euler
    same(
        run(page, kind="flow", pasted=pasted),
        list(integrate(path(image, noise, TIMES[0]), TIMES, velocity, step)),
    )


def test_noise_is_one_sequence_however_it_is_drawn(templates: str, open_page: Callable[..., Watched]) -> None:
    page = open_page().page
    page.goto(f"{templates}/404.html")
    drawn = page.evaluate(
        "async () => { const draw = (await import('/sampling.js')).normals(42);"
        "return [...draw(3), ...draw(1), ...draw(5)]; }"
    )
    assert drawn == pytest.approx(normal(42, 9).tolist(), abs=1e-7)
