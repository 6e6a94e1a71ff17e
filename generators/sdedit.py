"""Image-to-image: noise a picture to one of several levels, and let the model find its way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, ImagePath, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import picture

from ._sampling import (
    NEUTRAL,
    Guidance,
    Process,
    Prompt,
    Samples,
    Start,
    asked_for,
    start_complaints,
    stem,
)


class Edit(Base):
    """One picture, and what it should become."""

    picture: ImagePath
    prompt: Prompt = NEUTRAL


class Params(Process):
    """SDEdit: one row per edit and sample, one column per start, then the original."""

    edits: Annotated[
        list[Edit], Field(min_length=1, description="pictures with their prompts, one row each")
    ] = Field(default=[Edit(picture="images/tower.jpg")])
    i_start: Annotated[list[Start], Field(min_length=1)] = Field(default=[1, 3, 5, 7, 10, 20])
    guidance: Guidance = 7.0
    samples: Samples = Field(default=[0])


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """A start beyond the timesteps."""
    yield from start_complaints(params, params.i_start)


def cells(params: Params) -> list[Cell]:
    """Rows over i_start that end with the original; all of a row share their noise."""
    found = []
    for k, edit in enumerate(params.edits):
        name = stem(edit.picture)
        shared: dict[str, Any] = {"inputs": {"picture": edit.picture}, "models": {"stage1": params.model}}
        for sample in params.samples:
            row = f"{k}-{name}" + (f"-s={sample}" if len(params.samples) > 1 else "")
            for start in params.i_start:
                t = params.first_timestep - start * params.stride
                asked: dict[str, Any] = params.process() | {
                    "prompt": edit.prompt,
                    "guidance": float(params.guidance),
                    "i_start": start,
                    "sample": sample,
                }
                alt = f"{name}, noised to timestep {t} and denoised {asked_for(edit.prompt, 'towards')}."
                found.append(
                    Cell(f"{row}-i={start}", f"i_start = {start}", alt, asked, **shared, minutes=0.3)
                )
            found.append(
                Cell(
                    f"{row}-original",
                    "original",
                    f"The original picture {name}.",
                    {"i_start": None} | params.sized(),
                    **shared,
                    seed=None,
                )
            )
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """SDEdit (Meng and others 2022): samples join their batch, each at its own timestep."""
    from noisebook.diffusion.schedules import forward
    from noisebook.models.latents import picture_shape
    from noisebook.models.pictures import to_bytes

    from ._process import Denoiser, Loop, Task, clean_of, drawn, model_of, noise_of, picture_of

    def sdedit(cell: Cell, denoiser: Denoiser) -> Task:
        """Give the picture the noise of its first timestep, and denoise it from there on."""
        params, loop = cell.params, Loop.of(cell, context)
        start = loop.index(params["first_timestep"] - params["i_start"] * params["stride"])
        alpha = float(denoiser.alphas_cumprod[loop.timesteps[start]])
        noise, generator = noise_of(context.seed(cell, "sample", params["sample"]), denoiser)
        x = forward(clean_of(cell, context, denoiser), alpha, noise)
        return Task(loop, x, generator, (params["prompt"],), start)

    for cell in cells:
        if cell.params["i_start"] is None:
            original = picture_of(cell, context, picture_shape(model_of(cell, context)))
            yield cell, [picture("picture", to_bytes(original))]
    edited = [cell for cell in cells if cell.params["i_start"] is not None]
    for cell, process in drawn(edited, context, sdedit):
        yield cell, [picture("picture", to_bytes(process.end)), *process.outputs()]
