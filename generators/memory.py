"""Memory or invention: samples of one prompt, and under each the nearest picture that the model knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.outputs import number, picture

from ._sampling import Guidance, Modelled, Prompt, asked_for, titled
from ._subjects import draw, nearest, sheet


class Params(Modelled):
    """A few samples of each prompt, from pure noise."""

    prompts: Annotated[list[Prompt], Field(min_length=1, description="a picture of samples for each")] = (
        Field(
            default=[
                "an oil painting of a snowy mountain village",
                "a man wearing a hat",
                "a rocket ship",
                "a pencil",
                "a lithograph of waterfalls",
                "an oil painting of an old man",
                "a photo of a dog",
                "a lithograph of a skull",
                "a castle",
                "a guitar",
                "an elephant",
                "a photo of a strawberry",
            ]
        )
    )
    gamma: Guidance = 7.0
    samples: int = Field(5, ge=2, le=16, description="how many for each prompt")


def cells(params: Params) -> list[Cell]:
    """One for each prompt."""
    return [
        Cell(
            f"p{place}",
            titled(prompt),
            f"Samples {asked_for(prompt, 'of')}, and the nearest pictures of the library under them.",
            {"prompt": prompt, "gamma": float(params.gamma), "samples": params.samples},
            models={"stage1": params.model, "memory": "exact/stage1"},
            minutes=0.1,
        )
        for place, prompt in enumerate(params.prompts)
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """The likeness of two pictures is their PSNR: some 12 dB for two subjects, 30 for a plain copy."""
    import torch

    from ._metrics import psnr

    for cell in cells:
        model, memory = context.model(cell, "stage1"), context.model(cell, "memory")
        prompt, count = cell.params["prompt"], int(cell.params["samples"])
        seeds = [context.seed(cell, "memory", prompt, sample) for sample in range(count)]
        drawn = draw(model, [prompt] * count, seeds, cell.params["gamma"], 120 if context.draft else 30)
        found = [nearest(memory, prompt, x) for x in drawn]
        likeness = [psnr(a, b) for i, a in enumerate(drawn) for b in drawn[:i]]
        yield (
            cell,
            [
                picture("picture", sheet(torch.cat([drawn, torch.stack([p for _, p in found])]), count)),
                number("most like a known picture", max(value for value, _ in found), "dB"),
                number("most like one another", max(likeness), "dB"),
            ],
        )
