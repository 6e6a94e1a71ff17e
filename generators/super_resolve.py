"""Stage II: pictures from text, enlarged by a second model that knows the text as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, Json, Need, Result
from noisebook.cells.outputs import animation, number, picture

from . import text_to_image
from ._sampling import Drawing, Guidance, Prompt, Samples, asked_for, titled
from .text_to_image import Steps

SCALE = 4
"""How many times as long as stage I's are the sides of stage II's pictures."""


class Params(Drawing):
    """Stage I's picture is enlarged, given some noise of its own, and shown to the network at every step."""

    prompts: Annotated[list[Prompt], Field(min_length=1, description="one picture each")] = Field(
        default=[
            "an oil painting of a snowy mountain village",
            "a man wearing a hat",
            "a rocket ship",
        ]
    )
    stage1_steps: Steps = 100
    stage1_guidance: Guidance = 7.0
    num_inference_steps: Steps = 50
    guidance: Guidance = 4.0
    noise_level: int = Field(
        default=250, ge=0, le=999, description="timestep of the noise that is added to the enlarged picture"
    )
    samples: Samples = Field(default=[0])


def check(params: Drawing, files: Files) -> Iterator[Complaint]:
    """Sides that stage I cannot draw a quarter of."""
    if params.size and any(side % SCALE or side < 16 * SCALE for side in params.size):
        yield Complaint(
            ("size",), f"stage I draws a quarter of each side: use multiples of {SCALE} from {16 * SCALE}"
        )


def small_size(params: Drawing) -> dict[str, Json]:
    """The size of stage I's picture, if it is not the model's own."""
    return {"size": [side // SCALE for side in params.size]} if params.size else {}


def cells(params: Params) -> list[Cell]:
    """One per prompt and sample; each needs its stage I picture."""
    first = {
        "prompts": list(params.prompts),
        "num_inference_steps": [params.stage1_steps],
        "guidance": params.stage1_guidance,
        "samples": list(params.samples),
        "model": params.model,
        **params.process(),
        **small_size(params),
    }
    return [
        Cell(
            f"p{p}-s={sample}",
            titled(prompt),
            f"Drawn {asked_for(prompt, 'from the text')} and enlarged by the second stage.",
            params.process()
            | {
                "prompt": prompt,
                "num_inference_steps": params.num_inference_steps,
                "guidance": float(params.guidance),
                "noise_level": params.noise_level,
                "sample": sample,
                # Stage II's dynamic threshold has a largest s of 1: a plain clamp.
                "thresholding": "static",
            },
            models={"stage2": params.model},
            needs={
                "small": Need("text_to_image", first, text_to_image.cell_id(p, params.stage1_steps, sample))
            },
            minutes=1.0,
        )
        for p, prompt in enumerate(params.prompts)
        for sample in params.samples
    ]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Pure noise at the large size, guided by text and by the small picture."""
    import io

    import numpy as np
    import torch
    from PIL import Image

    from noisebook.diffusion.denoiser import Enlarge
    from noisebook.models.pictures import from_bytes, to_bytes

    from ._process import Denoiser, Loop, Task, drawn, noise_of

    def enlarged(cell: Cell, denoiser: Denoiser) -> Task:
        params = cell.params
        noise, generator = noise_of(context.seed(cell, "enlarged", params["sample"]), denoiser)
        augmentation, _ = noise_of(context.seed(cell, "augmentation", params["sample"]), denoiser)
        pixels = np.asarray(
            Image.open(io.BytesIO(context.needed(cell, "small").data("picture"))).convert("RGB")
        )
        small = torch.from_numpy(from_bytes(pixels))
        prompt = Enlarge(params["prompt"], small, augmentation, params["noise_level"])
        return Task(Loop.of(cell, context), noise, generator, (prompt,))

    for cell, process in drawn(cells, context, enlarged, role="stage2", size=4):
        # Some of the states, and the last for longer: pictures of this size want fewer frames.
        some = [*process.states[: -1 : -(-len(process.states) // 10)], *[process.end] * 3]
        yield (
            cell,
            [
                picture("picture", to_bytes(process.end)),
                animation("process", to_bytes(np.stack(some)), fps=6, quality=30),
                number("time", process.seconds, "s", measured=True),
            ],
        )
