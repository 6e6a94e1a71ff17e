"""Image-to-image, taken to the large size: stage II enlarges what :mod:`sdedit` has made of a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, Need, Result

from . import sdedit, super_resolve
from ._sampling import Drawing, Guidance, Start, asked_for, stem
from .text_to_image import Steps


class Params(sdedit.Params):
    """One large picture for each edit, start and sample."""

    i_start: Annotated[list[Start], Field(min_length=1)] = Field(default=[10])
    num_inference_steps: Steps = Field(default=50, description="steps of stage II")
    enlarging_guidance: Guidance = Field(default=4.0, description="γ of stage II")
    noise_level: int = Field(
        default=250, ge=0, le=999, description="timestep of the noise that is added to the enlarged picture"
    )


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """A start beyond the timesteps; sides that stage I cannot draw a quarter of."""
    yield from sdedit.check(params, files)
    yield from super_resolve.check(params, files)


def cells(params: Params) -> list[Cell]:
    """Each needs its stage I picture, which a row of :mod:`sdedit` shows."""
    first = params.model_dump(include=set(sdedit.Params.model_fields)) | super_resolve.small_size(params)
    found = []
    for k, edit in enumerate(params.edits):
        for sample in params.samples:
            row = f"{k}-{stem(edit.picture)}" + (f"-s={sample}" if len(params.samples) > 1 else "")
            for start in params.i_start:
                small = f"{row}-i={start}"
                alt = f"{stem(edit.picture)}, edited {asked_for(edit.prompt, 'towards')}"
                found.append(
                    Cell(
                        small,
                        f"i_start = {start}, enlarged",
                        f"{alt} and enlarged by stage II.",
                        Drawing.process(params)
                        | {
                            "prompt": edit.prompt,
                            "num_inference_steps": params.num_inference_steps,
                            "guidance": float(params.enlarging_guidance),
                            "noise_level": params.noise_level,
                            "sample": sample,
                            "thresholding": "static",  # as super_resolve has it
                        },
                        models={"stage2": params.model},
                        needs={"small": Need("sdedit", first, small)},
                        minutes=1.0,
                    )
                )
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Stage II takes a small picture, wherever it is from."""
    yield from super_resolve.run(cells, context)
