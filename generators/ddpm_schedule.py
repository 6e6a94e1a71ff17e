"""The linear noise schedule of DDPM: its curves, and digits at several times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, Json, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import arrays, number, picture

from ._mnist import FIRST_OF_EACH_CLASS, Digits


class Params(Base):
    """β_1 … β_T rise evenly; ᾱ_0 = 1 and ᾱ_t is the product of 1 - β_s up to t."""

    show: Literal["curves", "digits"] = Field(
        description="β, ᾱ and the signal-to-noise ratio; or noisy digits"
    )
    timesteps: int = Field(300, ge=2, le=10_000, description="T")
    beta_first: float = Field(1e-4, gt=0, lt=1, description="β_1")
    beta_last: float = Field(0.02, gt=0, lt=1, description="β_T")
    times: list[int] = Field([0, 30, 75, 150, 225, 300], min_length=1, description="t of each row of digits")
    digits: Digits = FIRST_OF_EACH_CLASS


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """Times lie between 0 and T."""
    for place, t in enumerate(params.times):
        if params.show == "digits" and not 0 <= t <= params.timesteps:
            yield Complaint(("times", place), f"time {t} lies outside 0 … {params.timesteps}")


def cells(params: Params) -> list[Cell]:
    """The curves, or one row of digits for each time."""
    schedule: dict[str, Json] = params.model_dump(include={"timesteps", "beta_first", "beta_last"})
    if params.show == "curves":
        alt = (
            f"Three curves over t = 1 … {params.timesteps}: β rises evenly, ᾱ falls from 1 towards 0, "
            "the signal-to-noise ratio falls on a log scale."
        )
        return [Cell("curves", "schedule", alt, schedule, seed=None)]
    return [
        Cell(
            f"t={t}",
            f"t = {t}",
            f"A row of {len(params.digits)} test digits with the noise of time {t}.",
            {**schedule, "t": t, "digits": params.digits},
            models={"data": "mnist"},
        )
        for t in params.times
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Each digit has the same noise at every time."""
    from noisebook.diffusion.schedules import forward
    from noisebook.networks.mnist.schedule import alphas_cumprod

    from ._mnist import noise_for, strip, test_digits

    for cell in cells:
        params = cell.params
        alphas = alphas_cumprod(params["timesteps"], params["beta_first"], params["beta_last"])
        if "t" not in params:
            yield cell, _curves(alphas.numpy())
            continue
        kept = float(alphas[params["t"]])
        noisy = forward(test_digits(cell, context), kept, noise_for(cell, context))
        yield (
            cell,
            [picture("picture", strip(noisy)), number("√ᾱ", kept**0.5), number("√(1-ᾱ)", (1 - kept) ** 0.5)],
        )


def _curves(alphas: Any) -> list[Any]:
    import numpy as np

    from ._mnist import chart

    times = np.arange(1, len(alphas))
    kept = alphas[1:]

    def draw(beta: Any, alpha: Any, ratio: Any) -> None:
        beta.plot(times, 1 - kept / alphas[:-1], color="#1f5fa8")
        beta.set(title="β", xlabel="t")
        alpha.plot(times, kept, color="#1f5fa8", label="ᾱ")
        alpha.plot(times, np.sqrt(kept), color="#c4451c", label="√ᾱ, signal")
        alpha.plot(times, np.sqrt(1 - kept), color="#24804f", label="√(1-ᾱ), noise")
        alpha.set(title="ᾱ", xlabel="t", ylim=(0, 1.02))
        alpha.legend(frameon=False)
        ratio.semilogy(times, kept / (1 - kept), color="#1f5fa8")
        ratio.axhline(1, color="#8a97a5", linewidth=0.8)
        ratio.set(title="ᾱ/(1-ᾱ), signal-to-noise ratio", xlabel="t")

    curves = {"t": times, "beta": 1 - kept / alphas[:-1], "alphas_cumprod": kept, "snr": kept / (1 - kept)}
    return [
        chart("picture", draw, 900, 300, panels=3),
        number("√ᾱ at t = T", float(np.sqrt(kept[-1]))),
        arrays("curves", curves),
    ]
