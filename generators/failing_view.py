"""Why a view must be orthogonal: what others make of noise, and of the picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Labelled, Result
from noisebook.cells.outputs import number, picture

from ._sampling import Guidance, Process, Prompt, titled

if TYPE_CHECKING:
    from torch import Tensor

ViewName = Literal["flip", "blur", "white balance"]


class Params(Process):
    """An anagram whose second view may change the noise's statistics, in spite of what it needs."""

    upright: Prompt = "a photo of a man"
    turned: Prompt = "a photo of a dog"
    views: Annotated[list[ViewName], Field(min_length=1, description="one row each; flip is orthogonal")] = (
        Field(default=["flip", "blur", "white balance"])
    )
    guidance: Guidance = 7.0
    sample: int = Field(default=0, ge=0, le=9999, description="which sample of the seed to draw, by number")


def cells(params: Params) -> list[Cell]:
    """Each view in three pictures: noise through it, the noise's spectrum, and the sample."""
    prompts = [params.upright, params.turned]
    readings = " and ".join(map(titled, prompts))
    return [
        Cell(
            view.replace(" ", "-"),
            view,
            f"An anagram through the view “{view}”.",
            {**params.process(), "prompts": prompts, "view": view, "guidance": float(params.guidance)}
            | {"sample": params.sample},
            models={"stage1": params.model},
            minutes=0.6,
            pictures=[
                Labelled("noise", f"noise through {view}", f"Noise, seen through the view “{view}”."),
                Labelled(
                    "spectrum",
                    "its power by frequency",
                    "Its power: low frequencies in the middle, grey where noise has as much.",
                ),
                Labelled(
                    "picture",
                    f"a sample by {view}",
                    f"Drawn to show {readings}: {view}.",
                ),
            ],
        )
        for view in params.views
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """The processes differ in nothing but the view."""
    import copy
    import functools

    from noisebook.diffusion.estimates import averaged
    from noisebook.diffusion.sampling import draw_noise, generators
    from noisebook.diffusion.views import VIEWS
    from noisebook.models.pictures import to_bytes

    from ._failing_views import FAILING
    from ._process import Combine, Denoiser, Loop, Task, drawn, noise_of

    known = VIEWS | FAILING

    @functools.cache
    def passed_off(name: str) -> Combine:
        view = copy.copy(known[name])
        view.is_orthogonal = True  # which is not so: this is what the refusal of others prevents
        return lambda estimates: averaged(estimates, [VIEWS["identity"], view])

    def anagram(cell: Cell, denoiser: Denoiser) -> Task:
        noise, generator = noise_of(context.seed(cell, "sample", cell.params["sample"]), denoiser)
        loop = Loop.of(cell, context, passed_off(cell.params["view"]))
        return Task(loop, noise, generator, tuple(cell.params["prompts"]))

    for cell, process in drawn(cells, context, anagram):
        noise = draw_noise(generators(range(256)), tuple(process.end.shape))
        noise = known[cell.params["view"]].apply(noise)
        yield (
            cell,
            [
                picture("noise", to_bytes((noise[0] / 3).clamp(-1, 1))),
                picture("spectrum", to_bytes((spectrum(noise) - 1).clamp(-1, 1))),
                picture("picture", to_bytes(process.end)),
                number("power of noise", float(noise.square().mean())),
            ],
        )


def spectrum(noise: Tensor) -> Tensor:
    """Mean power of pictures (B, 3, S, S) at each frequency, (3, S, S), frequency 0 in the middle.

    That of standard normal noise is 1 everywhere.
    """
    import torch

    power: Tensor = torch.fft.fftshift(torch.fft.fft2(noise, norm="ortho").abs().square().mean(0), (-2, -1))
    return power
