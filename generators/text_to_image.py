"""Pictures from text, over prompts and numbers of steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.outputs import number, picture

from ._sampling import Drawing, Guidance, Prompt, Samples, asked_for, titled

Steps = Annotated[int, Field(ge=1, le=1000, description="network steps, in equal strides down to t = 0")]


class Params(Drawing):
    """Stage I: from pure noise at the model's own timesteps for each number of steps."""

    prompts: Annotated[list[Prompt], Field(min_length=1, description="one picture each")] = Field(
        default=[
            "an oil painting of a snowy mountain village",
            "a man wearing a hat",
            "a rocket ship",
        ]
    )
    num_inference_steps: Annotated[list[Steps], Field(min_length=1, description="one row each")] = Field(
        default=[100]
    )
    guidance: Guidance = 7.0
    samples: Samples = Field(default=[0])
    thresholding: Literal["none", "static", "dynamic"] = Field(
        default="dynamic", description="what to do with estimates of the clean picture that leave [-1, 1]"
    )
    spacing: Literal["leading", "trailing"] = Field(
        default="leading",
        description="whether equal strides end at timestep 0, or start at 999, as a schedule that ends in "
        "pure noise needs",
    )


def cell_id(prompt: int, steps: int, sample: int) -> str:
    """The id of one picture: the prompt's place in the list, number of steps, sample."""
    return f"p{prompt}-n={steps}-s={sample}"


def cells(params: Params) -> list[Cell]:
    """One per number of steps, prompt and sample, in that order."""
    several = len(params.num_inference_steps) > 1
    return [
        Cell(
            cell_id(p, steps, sample),
            f"{titled(prompt)}, {steps} steps" if several else titled(prompt),
            f"Drawn {asked_for(prompt, 'from the text')} in {steps} steps.",
            params.process()
            | {
                "prompt": prompt,
                "num_inference_steps": steps,
                "guidance": float(params.guidance),
                "sample": sample,
                "thresholding": params.thresholding,
            }
            | ({} if params.spacing == "leading" else {"spacing": params.spacing}),
            models={"stage1": params.model},
            minutes=0.01 * steps,
        )
        for steps in params.num_inference_steps
        for p, prompt in enumerate(params.prompts)
        for sample in params.samples
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Pictures with as many steps are drawn together; the seconds are the batch's, per picture."""
    from noisebook.models.pictures import to_bytes

    from ._process import Denoiser, Loop, Task, drawn, noise_of

    def from_noise(cell: Cell, denoiser: Denoiser) -> Task:
        noise, generator = noise_of(context.seed(cell, "sample", cell.params["sample"]), denoiser)
        return Task(Loop.of(cell, context), noise, generator, (cell.params["prompt"],))

    for cell, process in drawn(cells, context, from_noise):
        seconds = number("time", process.seconds, "s", measured=True)
        yield cell, [picture("picture", to_bytes(process.end)), seconds, *process.outputs()]
