"""Numbers that the texts have by hand and the code has too: timesteps, filters, settings of a run, limits."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import pytest
from noisebook.generators import mnist_training, net_training

from noisebook.cells import local, media
from noisebook.diffusion.filters import scaled_blur
from noisebook.diffusion.schedules import leading, linear, squared_cosine, strided
from noisebook.models import bank, catalogue
from noisebook.models.tokens import LENGTH
from noisebook.project import Project
from noisebook.render import blocks, views
from noisebook.report import body, model, parse, reader, texreader
from tests import test_house
from tests.test_texts import ROOT, cell, number, said


@pytest.fixture(scope="module")
def book() -> Project:
    return Project(ROOT)


def params(book: Project, figure: str) -> Any:
    """The settings of a figure, with its training's in one level."""
    (found,) = (each for section in book.report.sections for each in section.figures if each.id == figure)
    made = dict(found.params)
    return SimpleNamespace(**made | (dict(made["training"]) if "training" in made else {}))


def table(book: Project, figure: str, column: str) -> dict[str, float]:
    """One column of a figure's scores by the words before it."""
    planned, record = cell(book, figure)
    stored = record.output("scores")
    assert stored
    scores = json.loads(planned.store.open(stored))
    at = scores["columns"].index(column)
    return {str(row[0]): row[at] for row in scores["rows"]}


def hold(file: str, *sentences: str) -> None:
    text = said(file)
    for each in sentences:
        assert each in text, f"{file} does not say: {each}"


def test_timesteps_are_those_that_a_sampler_visits(book: Project) -> None:
    steps = {
        count: (spaced[0], spaced[0] - spaced[1])
        for count in (20, 50, 100, 125)
        if (spaced := leading(count))
    }
    hold(
        "sections/a0-set-up.md",
        f"20 steps go down from {steps[20][0]} by {steps[20][1]}, 50 from {steps[50][0]} by {steps[50][1]},"
        f" 100 from {steps[100][0]} by {steps[100][1]}, 125 from {steps[125][0]} by {steps[125][1]}",
    )
    assert params(book, "steps").num_inference_steps == list(steps)
    way = params(book, "way-tower")
    visited = strided(way.first_timestep, way.stride)
    hold(
        "sections/a1.4-iterative.md",
        f"{visited[0]}, {visited[1]}, … 0: {len(visited)} of them, and {len(visited)} calls",
        f"index `i_start = {way.i_start}` of the timesteps, $t = {visited[way.i_start]}$",
        f"from t = {visited[way.i_start]}.",
    )
    edits = params(book, "sdedit-tower").i_start
    first, last = ", ".join(map(str, edits[:-1])), ", ".join(str(visited[i]) for i in edits[:-1])
    hold(
        "sections/a1.7-sdedit.md",
        f"{first} and {edits[-1]} are timesteps {last} and {visited[edits[-1]]}",
        f"At {visited[edits[0]]} all but a trace",
        f"At {visited[edits[-1]]} everything larger",
    )


def test_the_schedules_are_those_of_the_texts(book: Project) -> None:
    cosine = squared_cosine()
    assert all(
        abs(float(cosine[t]) - math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2) < 0.01
        for t in range(1000)
    )
    assert cosine[0] > 0.99 and abs(cosine[500] - 0.5) < 0.02 and cosine[999] < 1e-6
    run = params(book, "time-loss")
    alphas = linear(run.timesteps, run.beta_first, run.beta_last)
    assert (run.timesteps, run.beta_first, run.beta_last) == (300, 1e-4, 0.02)
    hold(
        "sections/b2-ddpm.md",
        "from $10^{-4}$ to $0.02$ over $T = 300$ steps",
        "crosses 1 just before the middle",
    )
    crossing = next(t for t in range(run.timesteps + 1) if alphas[t] < 0.5)
    assert 0.45 < crossing / run.timesteps < 0.5
    betas = [(run.beta_first + k * (run.beta_last - run.beta_first) / 299) * 1000 / 300 for k in range(300)]
    hold("sections/b2-ddpm.md", f"bring the weight to {math.prod(1 - beta for beta in betas) ** 0.5:.3f}")


def test_filters_are_those_of_the_figures(book: Project) -> None:
    blur, hybrid = params(book, "blur-tower"), params(book, "hybrids")
    places = 4 * math.pi * blur.sigma**2
    hold(
        "sections/a1.2-gaussian-blur.md",
        f"a Gaussian of {blur.kernel} taps and σ = {blur.sigma:g} pixels",
        rf"$\sigma = {blur.sigma:g}$ pixels averages over about $4\pi\sigma^2 \approx {places:.0f}$ of them",
        {5: "loses a factor of five"}[round(places**0.5)],
    )
    large = scaled_blur(256, hybrid.kernel, hybrid.sigma)
    hold(
        "sections/a1.9-hybrids.md",
        rf"{hybrid.kernel} taps and $\sigma = {hybrid.sigma:g}$ pixels at 64",
        rf"({large[0]} taps and $\sigma = {large[1]:g}$ at 256",
        rf"with $\sigma = {params(book, 'hybrid-wider').sigma:g}$.",
    )


def power(rate: float) -> str:
    return f"$10^{{{round(math.log10(rate))}}}$"


def test_runs_of_training_are_set_as_the_texts_say(book: Project) -> None:
    run = params(book, "denoiser-loss")
    settings = f"$D = {run.width}$, batches of {run.batch}, {run.epochs} epochs"
    hold(
        "sections/b1.2.1-training.md",
        rf"Training takes $\sigma = {run.sigma:g}$, {settings} of {run.digits:,} digits",
        f"learning rate {power(run.learning_rate)}",
        f"on {run.test_digits:,} test digits",
    )
    pure = params(book, "pure-noise-loss")
    assert (pure.width, pure.batch, pure.epochs) == (run.width, run.batch, run.epochs)
    hold(
        "sections/b1.2.3-pure-noise.md", f"{settings} and Adam with learning rate {power(pure.learning_rate)}"
    )
    run = params(book, "time-loss")
    rate = f"{power(run.learning_rate)} and is multiplied by $0.1^{{1/{run.epochs}}}$ after each epoch"
    assert run.decay == 0.1 and run.average == 0.999 and params(book, "class-loss").drop == 0.1
    hold(
        "sections/b2.2-time-training.md",
        f"$D = {run.width}$, batches of {run.batch}, {run.epochs} epochs. The learning rate starts at {rate}",
        f"so that it ends near {power(run.learning_rate * run.decay)}",
        f"(decay {run.average:g}, some {1 / (1 - run.average) / (run.digits / run.batch):.0f} epochs".replace(
            "2", "two"
        ),
    )
    flow = params(book, "flow-time-loss")
    rate = f"{power(flow.learning_rate)} and is multiplied by $0.1^{{1/{flow.epochs}}}$ after each epoch"
    hold(
        "sections/f2.1-flow-time.md",
        f"$D = {flow.width}$, batches of {flow.batch}, {flow.epochs} epochs; Adam's rate starts at {rate}",
    )
    constant = params(book, "flow-constant-loss")
    assert constant.decay == 1
    hold(
        "sections/f2.7-no-scheduler.md",
        f"{power(constant.learning_rate)} in place of {power(flow.learning_rate)}",
    )


def test_the_phases_of_the_embedded_networks_are_those_of_the_texts(book: Project) -> None:
    first, second = params(book, "net-stage1"), params(book, "net-stage2")
    pictures = [phase.pictures for phase in first.phases]
    small = sum(phase.pictures for phase in first.phases if phase.size == 32)
    again = next(k for k, phase in enumerate(first.phases) if phase.restart)
    hold(
        "sections/a2-training-a-network.md",
        f"At {sum(pictures[:again]) / 1000:.1f} thousand the run ended",
        f"the first {pictures[again]} pictures, at a low rate",
    )
    assert first.drop == second.drop == 0.1 and LENGTH == 16
    hold("sections/a2-training-a-network.md", "one caption in ten is withheld", "MiniLM's 16 tokens")
    hold(
        "models/README.md",
        f"{first.phases[0].subjects} subjects, {sum(pictures):,} pictures seen: {small:,} at 32 pixels",
        f"{sum(phase.pictures for phase in second.phases):,} pictures of 256 pixels",
        f"the last {sum(pictures[again:]):,} pictures of stage I",
        f"the {pictures[2]:,} during it",
        f"the {pictures[4]:,} of a second fall",
        "A text is read up to its sixteenth token",
        f"every {net_training.SECONDS_BETWEEN_SHEETS // 60} minutes",
    )


def test_the_settings_of_the_closed_form_are_those_of_its_readme() -> None:
    windows, photographs = bank.WINDOWS, bank.PHOTOGRAPHS
    hold(
        "models/README.md",
        f"are weighed ({windows.keep}; of photographs {photographs.keep})",
        f"Windows of {windows.base:g} + {windows.slope:g}σ pixels, the whole picture from",
        f"from σ = {windows.whole:g} on",
    )


def test_what_the_judge_of_digits_said_is_what_the_texts_say(book: Project) -> None:
    recognised, spread, distance = "recognised, %", "spread, share of real digits'", "Fréchet distance"
    gamma = {
        name: table(book, "class-over-gamma", name) for name in (recognised, spread, distance, "noise floor")
    }
    assert gamma[recognised]["5.0"] == 100 and table(book, "class-over-gamma", "samples")["5.0"] == 1000
    assert round(4 * gamma[spread]["5.0"]) == 3
    times = [round(gamma[distance][each] / gamma["noise floor"][each]) for each in ("5.0", "10.0")]
    assert times == [3, 5]
    hold(
        "sections/z-what-we-learnt.md",
        "recognises all of 1,000 samples at $\\gamma = 5$",
        "three quarters as much as real digits do",
        "three to five times that of as many other real digits",
    )
    how = table(book, "class-how", distance)
    assert abs(how["weights, from digits"] - how["weights, from noise"]) < 5
    first, last = (number(book, "denoiser-epochs", f"epoch={epoch}", "mean square error") for epoch in (1, 5))
    assert round(3 * (1 - last / first)) == 1
    hold("sections/b1.2.1-training.md", "the error has fallen by a third")


def test_what_the_judge_said_of_flows_is_what_the_texts_say(book: Project) -> None:
    found, sets = table(book, "flow-scores", "recognised, %"), table(book, "flow-scores", "of all samples")
    calls = table(book, "flow-scores", "calls")
    assert found["flow by class"] == 100 and found["flow by time"] < found["DDPM by time"]
    assert calls["DDPM by time"] / calls["flow by time"] == 6
    assert (
        1.9 < sets["flow by time"] / sets["flow by time (average)"] < 2.2
        and sets["flow by time"] < sets["DDPM by time"]
    )
    assert params(book, "time-loss").epochs / params(book, "flow-time-loss").epochs == 2
    hold(
        "sections/f2.4-flow-class.md",
        "Asked for a digit, the flow draws it every time.",
        "after half the epochs and with a sixth of the model calls",
        "as a set they are twice as near again",
    )
    assert set(table(book, "flow-constant-scores", "recognised, %").values()) == {100.0}
    hold("sections/f2.7-no-scheduler.md", "All four sets are recognised as asked, every one of the 1,000")


def test_views_that_are_not_orthogonal_do_what_the_text_says(book: Project) -> None:
    assert round(1 / number(book, "anagram-failing", "blur", "power of noise")) == 6
    assert abs(number(book, "anagram-failing", "white-balance", "power of noise") - 1) < 0.2
    hold("sections/a1.8-anagrams.md", "leaves a sixth of the noise's power", "nearly the same power")


def test_limits_are_those_of_the_code() -> None:
    hold(
        "docs/sections.md",
        f"may nest {parse.DEEPEST} deep; a file has at most {parse.MOST:,} of them",
        f"at most {reader.LARGEST_TEXT // 10**6} MB",
        f"at most {media.LARGEST_PICTURE // 10**6} million pixels",
        f"({media.LARGEST_FILM // 10**6} million in all frames",
        f"at most {texreader.LONGEST:,} characters, {body._LONGEST:,} within a paragraph",
        f"and {texreader.DEEPEST} groups",
        f"blocks stand at most {blocks.DEEPEST} deep",
        f"at most {body.MOST:,} formulas, pieces of code and calls",
        f"(the first {model.SHOWN}, and how many",
    )
    hold(
        "docs/cluster.md",
        f"the first {views.PART} cells of a large grid",
        f"the usual {local.LIMIT / 1e9:g} GB of states",
        f"`--local-size` ({local.LIMIT / 1e9:g} GB,",
        f"has not gone on for {local.SCRATCH_AGE / 86400:g} days",
    )
    hold(
        "docs/architecture.md",
        f"more than {test_house.LONGEST_FILE} lines",
        f"no function more than {test_house.LONGEST_FUNCTION} unless",
    )
    hold("docs/themes.md", f"Pictures of up to {views.PIXELATED} pixels are enlarged")
    minutes = mnist_training.SECONDS_BETWEEN_CHECKPOINTS / 60
    assert minutes == 3
    hold("docs/start.md", "three minutes back at most")
    for name, (_, memory) in catalogue.ABOUT.items():
        if "GB" in memory:
            size = memory.partition(" GB")[0]
            hold("docs/models.md", f"| `{name}` |", f"| {size} GB")
    hold("docs/models.md", f"a text encoder of {catalogue.ENCODER.partition(' for')[0]}")
