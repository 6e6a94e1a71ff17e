"""Visual anagrams: one picture that is two things, seen two ways."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import animation, picture

from ._sampling import Guidance, Process, Prompt, Samples, Task, branches, drawn

if TYPE_CHECKING:
    from noisebook.diffusion.denoiser import Denoiser
    from noisebook.diffusion.estimates import Estimate


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
        "negative",
    ] = Field(default="flip", description="how the picture is seen the second time; flip is upside down")
    guidance: Guidance = 7.0
    samples: Samples = Field(default=[0])


def cells(params: Params) -> list[Cell]:
    """Each picture three times: upright, through the view, and on its way from one to the other."""
    found = []
    for p, pair in enumerate(params.pairs):
        for sample in params.samples:
            row = f"{p}" + (f"-s={sample}" if len(params.samples) > 1 else "")
            asked: dict[str, Any] = params.process() | {
                "upright": pair.upright,
                "turned": pair.turned,
                "view": params.view,
                "guidance": float(params.guidance),
                "sample": sample,
            }
            seen = f"through the view “{params.view}”"
            for show, label, alt in (
                ("upright", pair.upright, f"A visual anagram, drawn to show {pair.upright}."),
                ("turned", pair.turned, f"The same picture {seen}, drawn to show {pair.turned}."),
                ("turning", "from one to the other", f"The picture turns until it is seen {seen}."),
            ):
                found.append(
                    Cell(
                        f"{row}-{show}",
                        label,
                        alt,
                        {**asked, "show": show},
                        models={"stage1": params.model},
                        minutes=0.6,
                    )
                )
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """One process for each picture; its second reading is the same pixels, moved."""
    import numpy as np
    import torch

    from noisebook.diffusion.estimates import averaged
    from noisebook.diffusion.views import VIEWS
    from noisebook.models.pictures import to_bytes

    def describe(cell: Cell, denoiser: object) -> Task:
        params = cell.params
        return Task(
            context.seed(cell, "sample", params["sample"]),
            (params["upright"], params["turned"]),
            params["guidance"],
        )

    for name in sorted({cell.params["view"] for cell in cells}):
        view = VIEWS[name]

        def combine(denoiser: Denoiser, tasks: list[Task], name: str = name) -> Estimate:
            return averaged(branches(denoiser, tasks), [VIEWS["identity"], VIEWS[name]])

        seen = [cell for cell in cells if cell.params["view"] == name]
        for same, process in drawn(seen, context, describe, combine):
            x = torch.from_numpy(process.end)
            for cell in same:
                if cell.params["show"] == "upright":
                    yield cell, [picture("picture", to_bytes(process.end)), *process.outputs()]
                elif cell.params["show"] == "turned":
                    yield cell, [picture("picture", to_bytes(view.apply(x)))]
                else:
                    turning = [
                        view.frame(x, 0.5 - 0.5 * float(np.cos(np.pi * k / 12))).numpy() for k in range(13)
                    ]
                    there = [turning[0]] * 5 + turning + [turning[-1]] * 5
                    yield cell, [animation("animation", to_bytes(np.stack(there)), fps=8, quality=90)]
