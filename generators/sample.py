"""Pictures from pure noise, by guidance scale and sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.outputs import picture

from ._sampling import NEUTRAL, Guidance, Process, Prompt, Samples, asked_for


class Params(Process):
    """The whole reverse process, from x_T ~ N(0, I)."""

    prompts: Annotated[list[Prompt], Field(min_length=1, description="one row each")] = Field(
        default=[NEUTRAL]
    )
    guidance: Annotated[list[Guidance], Field(min_length=1, description="one row each")] = Field(
        default=[1.0]
    )
    samples: Samples = Field(default=[0, 1, 2, 3, 4])


def cells(params: Params) -> list[Cell]:
    """One per prompt, guidance scale and sample; a sample's noise is the same in every row."""
    found = []
    for p, prompt in enumerate(params.prompts):
        for scale in params.guidance:
            for k in params.samples:
                asked: dict[str, Any] = params.process() | {
                    "prompt": prompt,
                    "guidance": float(scale),
                    "sample": k,
                }
                several = len(params.guidance) > 1
                found.append(
                    Cell(
                        (f"p{p}-" if len(params.prompts) > 1 else "") + f"g={scale:g}-s={k}",
                        f"γ = {scale:g}, sample {k + 1}" if several else f"sample {k + 1}",
                        f"Sample {k + 1} drawn from pure noise {asked_for(prompt)} with guidance {scale:g}.",
                        asked,
                        models={"stage1": params.model},
                        minutes=0.3,
                    )
                )
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Every sample from its own noise."""
    from noisebook.models.pictures import to_bytes

    from ._process import Denoiser, Loop, Task, drawn, noise_of

    def from_noise(cell: Cell, denoiser: Denoiser) -> Task:
        noise, generator = noise_of(context.seed(cell, "sample", cell.params["sample"]), denoiser)
        return Task(Loop.of(cell, context), noise, generator, (cell.params["prompt"],))

    for cell, process in drawn(cells, context, from_noise):
        yield cell, [picture("picture", to_bytes(process.end)), *process.outputs()]
