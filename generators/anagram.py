"""Visual anagrams: one picture that is several things, seen several ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, Labelled, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import animation, picture

from ._sampling import Illusions, Prompt, asked_for, titled

ViewName = Literal[
    "identity",
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
]
TURNED = ("picture", "turned", "turned 2", "turned 3")
"""The outputs that show the readings, in order."""

TURNS = ("quarter turn", "three-quarter turn")
PIECES = {"jigsaw": 4, "patches": 8}
"""Views that not every size has, and the pieces of a side of those that cut it."""


class Pair(Base):
    """What a picture shows as it stands, and through the view."""

    upright: Prompt
    turned: Prompt


class Params(Illusions):
    """ε = mean of view_k⁻¹(ε_k), each guided first: of two readings for pairs, of all prompts otherwise."""

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
    view: ViewName = Field(
        default="flip", description="how the pairs' pictures are seen the second time; flip is upside down"
    )
    prompts: list[Prompt] = Field(
        default=[], max_length=4, description="one picture with two to four readings, in place of pairs"
    )
    views: list[ViewName] = Field(
        default=[], max_length=4, description="how each of prompts is seen; the first is identity: as it is"
    )


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """Prompts and views that do not go together, or not with the size."""
    if bool(params.prompts or params.views) and {"pairs", "view"} & params.model_fields_set:
        yield Complaint(("prompts",), "a figure has pairs and a view, or prompts and views, not both")
    elif len(params.prompts) != len(params.views):
        count = f"{len(params.prompts)} prompts and {len(params.views)} views"
        yield Complaint(("views",), f"each prompt is seen through a view of its own: there are {count}")
    elif len(params.prompts) == 1:
        yield Complaint(("prompts",), "an anagram has two to four prompts")
    elif params.views and params.views[0] != "identity":
        yield Complaint(("views", 0), "the first prompt is for the picture as it stands: identity")
    width, height = params.size or (0, 0)
    view: str
    for view in dict.fromkeys(params.views or [params.view]):
        if view in TURNS and width != height:
            yield Complaint(("size",), f"a {view} needs a square, and {width}×{height} is none")
        pieces = PIECES.get(view, 1)
        if width % pieces or height % pieces:
            yield Complaint(("size",), f"{view} cuts each side into {pieces}: use multiples of {pieces}")


def cells(params: Params) -> list[Cell]:
    """Each picture is shown as it stands, through each other view, and on its way there."""
    found: list[Cell] = []
    readings: list[tuple[list[str], list[ViewName]]] = [
        ([pair.upright, pair.turned], ["identity", params.view]) for pair in params.pairs
    ]
    for number, (prompts, views) in enumerate(
        [(params.prompts, params.views)] if params.prompts else readings
    ):
        alt = f"A visual anagram, drawn {asked_for(prompts[0], 'to show')}."
        shown = [Labelled("picture", titled(prompts[0]), alt, prompts[0])]
        for output, prompt, view in zip(TURNED[1:], prompts[1:], views[1:], strict=False):
            alt = f"The same picture through the view “{view}”, drawn {asked_for(prompt, 'to show')}."
            shown.append(Labelled(output, titled(prompt), alt, prompt))
        seen = " and ".join(f"“{view}”" for view in views[1:])
        alt = f"The picture turns until it is seen through the view {seen}."
        shown.append(Labelled("animation", "from one to the other", alt))
        own = {"prompts": prompts, "views": views}
        found += params.named(number, "A visual anagram", prompts, own, shown)
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """One process for each picture; its other readings are the same pixels, moved."""
    import functools

    import numpy as np
    import torch

    from noisebook.diffusion.estimates import averaged
    from noisebook.diffusion.views import VIEWS
    from noisebook.models.pictures import to_bytes

    from ._process import Combine, Denoiser, Loop, Task, drawn, noise_of

    @functools.cache
    def readings(*views: str) -> Combine:
        return lambda estimates: averaged(estimates, [VIEWS[view] for view in views])

    def anagram(cell: Cell, denoiser: Denoiser) -> Task:
        params = cell.params
        noise, generator = noise_of(context.seed(cell, "sample", params["sample"]), denoiser)
        loop = Loop.of(cell, context, readings(*params["views"]))
        return Task(loop, noise, generator, tuple(params["prompts"]))

    for cell, process in drawn(cells, context, anagram):
        x, views = torch.from_numpy(process.end), [VIEWS[view] for view in cell.params["views"]]
        frames = []
        for view in views[1:]:
            turning = [view.frame(x, 0.5 - 0.5 * float(np.cos(np.pi * k / 12))).numpy() for k in range(13)]
            frames += [turning[0]] * 5 + turning + [turning[-1]] * 5
        yield (
            cell,
            [
                *(
                    picture(output, to_bytes(view.apply(x)))
                    for output, view in zip(TURNED, views, strict=False)
                ),
                animation("animation", to_bytes(np.stack(frames)), fps=8, quality=90),
                *process.outputs(),
            ],
        )
