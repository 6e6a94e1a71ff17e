"""Visual anagrams: one picture that is two things, seen two ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Labelled, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import animation, picture

from ._sampling import Guidance, Process, Prompt, Samples


class Pair(Base):
    """What a picture shows as it stands, and through the view."""

    upright: Prompt
    turned: Prompt


class Params(Process):
    """ε = (ε_1 + view⁻¹(ε_2)) / 2, each guided first."""

    pairs: Annotated[list[Pair], Field(min_length=1, description="two prompts for each picture")] = Field(
        default=[
            Pair(
                upright="an oil painting of people around a campfire",
                turned="an oil painting of an old man",
            ),
            Pair(
                upright="a photo of the amalfi coast",
                turned="an oil painting of a snowy mountain village",
            ),
            Pair(upright="a photo of a man", turned="a photo of a dog"),
        ]
    )
    view: Literal[
        "flip",
        "mirror",
        "half turn",
        "quarter turn",
        "three-quarter turn",
        "inner circle",
        "jigsaw",
        "patches",
        "skew",
        "negative",
    ] = Field(default="flip", description="how the picture is seen the second time; flip is upside down")
    guidance: Guidance = 7.0
    samples: Samples = Field(default=[0])


def cells(params: Params) -> list[Cell]:
    """Each picture is shown three times: upright, through the view, and on its way from one to the other."""
    seen = f"through the view “{params.view}”"
    return [
        Cell(
            f"{p}" + (f"-s={sample}" if len(params.samples) > 1 else ""),
            f"{pair.upright} / {pair.turned}",
            f"A visual anagram of {pair.upright} and {pair.turned}.",
            params.process()
            | {
                "upright": pair.upright,
                "turned": pair.turned,
                "view": params.view,
                "guidance": float(params.guidance),
                "sample": sample,
            },
            models={"stage1": params.model},
            minutes=0.6,
            pictures=[
                Labelled("picture", pair.upright, f"A visual anagram, drawn to show {pair.upright}."),
                Labelled("turned", pair.turned, f"The same picture {seen}, drawn to show {pair.turned}."),
                Labelled("animation", "from one to the other", f"The picture turns until it is seen {seen}."),
            ],
        )
        for p, pair in enumerate(params.pairs)
        for sample in params.samples
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """One process for each picture; its second reading is the same pixels, moved."""
    import functools

    import numpy as np
    import torch

    from noisebook.diffusion.estimates import averaged
    from noisebook.diffusion.views import VIEWS
    from noisebook.models.pictures import to_bytes

    from ._process import Combine, Denoiser, Loop, Task, drawn, noise_of

    @functools.cache
    def both_readings(view: str) -> Combine:
        return lambda estimates: averaged(estimates, [VIEWS["identity"], VIEWS[view]])

    def anagram(cell: Cell, denoiser: Denoiser) -> Task:
        params = cell.params
        noise, generator = noise_of(context.seed(cell, "sample", params["sample"]), denoiser)
        loop = Loop.of(cell, context, both_readings(params["view"]))
        return Task(loop, noise, generator, (params["upright"], params["turned"]))

    for cell, process in drawn(cells, context, anagram):
        x, view = torch.from_numpy(process.end), VIEWS[cell.params["view"]]
        turning = [view.frame(x, 0.5 - 0.5 * float(np.cos(np.pi * k / 12))).numpy() for k in range(13)]
        frames = to_bytes(np.stack([turning[0]] * 5 + turning + [turning[-1]] * 5))
        yield (
            cell,
            [
                picture("picture", to_bytes(process.end)),
                picture("turned", to_bytes(view.apply(x))),
                animation("animation", frames, fps=8, quality=90),
                *process.outputs(),
            ],
        )
