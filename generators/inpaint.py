"""Inpainting: the model fills a hole, and the rest of the picture is put back after every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    asked_for,
    stem,
)

if TYPE_CHECKING:
    from torch import Tensor

Fraction = Annotated[float, Field(ge=0, le=1, description="of the picture's side, from its top left corner")]


class Hole(Base):
    """What is to be generated: a box, or the ellipse in it."""

    left: Fraction
    top: Fraction
    right: Fraction
    bottom: Fraction
    shape: Literal["box", "ellipse"] = Field(
        default="box", description="a box, or the ellipse that it encloses"
    )


class Fill(Base):
    """One picture, its hole and what should fill it."""

    picture: ImagePath
    hole: Hole | None = Field(default=None, description="where to generate; or name a mask")
    mask: ImagePath | None = Field(default=None, description="a picture that is white where to generate")
    prompt: Prompt = NEUTRAL


class Params(Process):
    """One row per picture: picture, mask, hole to fill, then a result for each sample."""

    fills: Annotated[
        list[Fill], Field(min_length=1, description="pictures with their holes, one row each")
    ] = Field(
        default=[Fill(picture="images/tower.jpg", hole=Hole(left=0.2, top=0.0, right=0.7, bottom=0.36))]
    )
    guidance: Guidance = 7.0
    samples: Samples = Field(default=[0])


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """No hole, two holes, an empty hole, a mask of another shape than its picture or of one grey."""
    for k, fill in enumerate(params.fills):
        if (fill.hole is None) == (fill.mask is None):
            yield Complaint(("fills", k), "say what to generate: either a hole or a mask")
        if fill.hole and not (fill.hole.left < fill.hole.right and fill.hole.top < fill.hole.bottom):
            yield Complaint(
                ("fills", k, "hole"), "the hole is empty: left must be less than right, and top than bottom"
            )
        if fill.mask:
            width, height = files.image_size(fill.picture)
            mask_width, mask_height = files.image_size(fill.mask)
            if width * mask_height != height * mask_width:
                yield Complaint(
                    ("fills", k, "mask"),
                    f"the mask is {mask_width}×{mask_height} and its picture {width}×{height}: another shape",
                )
            dark, bright = files.image_range(fill.mask)
            if bright < 128:
                yield Complaint(("fills", k, "mask"), "the mask has no hole: white is where to generate")
            if dark >= 128:
                yield Complaint(("fills", k, "mask"), "the mask keeps nothing: black is what to keep")


def cells(params: Params) -> list[Cell]:
    """Picture, mask, hole and results, row by row."""
    found = []
    for k, fill in enumerate(params.fills):
        name = stem(fill.picture)
        row = f"{k}-{name}"
        shared: dict[str, Any] = {
            "inputs": {"picture": fill.picture} | ({"mask": fill.mask} if fill.mask else {}),
            "models": {"stage1": params.model},
        }
        where: dict[str, Any] = {"hole": fill.hole.model_dump() if fill.hole else None} | params.sized()
        for show, label, alt in (
            ("picture", "picture", f"The picture {name}."),
            ("mask", "mask", f"The mask over {name}: white is generated, black is kept."),
            ("hole", "hole to fill", f"{name} with the part to be generated greyed out."),
        ):
            found.append(Cell(f"{row}-{show}", label, alt, {**where, "show": show}, **shared, seed=None))
        for sample in params.samples:
            several = len(params.samples) > 1
            asked = params.process() | {
                "prompt": fill.prompt,
                "guidance": float(params.guidance),
                "sample": sample,
                "show": "result",
            }
            found.append(
                Cell(
                    f"{row}-result" + (f"-s={sample}" if several else ""),
                    f"result, sample {sample + 1}" if several else "result",
                    f"{name} with its hole filled by the model {asked_for(fill.prompt)}.",
                    {**where, **asked},
                    **shared,
                    minutes=0.3,
                )
            )
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Starts from pure noise everywhere: what is known enters after the first step."""
    import torch

    from noisebook.models.latents import picture_shape
    from noisebook.models.pictures import to_bytes

    from ._process import Denoiser, Loop, Task, drawn, model_of, noise_of, picture_of

    def hole_of(cell: Cell, shape: tuple[int, int]) -> Tensor:
        """(1, H, W): 1 where the picture may change, 0 elsewhere."""
        if "mask" in cell.inputs:
            hole = (picture_of(cell, context, shape, "mask").mean(0, keepdim=True) > 0).float()
        else:
            hole = _inside(cell.params["hole"], *shape)
        if not hole.any() or hole.all():
            path = cell.inputs.get("mask", "the hole")
            raise ValueError(f"{path}: the mask " + ("keeps nothing" if hole.all() else "has no hole"))
        return hole

    def inpainted(cell: Cell, denoiser: Denoiser) -> Task:
        """After every step, what is outside the hole becomes the original with that step's noise."""
        params, loop, shape = cell.params, Loop.of(cell, context), picture_shape(denoiser)
        noise, generator = noise_of(context.seed(cell, "sample", params["sample"]), denoiser)
        original, hole = picture_of(cell, context, shape), hole_of(cell, shape)
        return Task(loop, noise, generator, (params["prompt"],), original=original, hole=hole)

    # Every mask is read before any time is spent.
    shapes = {cell.id: picture_shape(model_of(cell, context)) for cell in cells}
    holes = {cell.id: hole_of(cell, shapes[cell.id]) for cell in cells}
    for cell in cells:
        if cell.params["show"] == "result":
            continue
        x, hole = picture_of(cell, context, shapes[cell.id]), holes[cell.id]
        shown = {"picture": x, "mask": (hole * 2 - 1).expand(3, -1, -1), "hole": torch.where(hole > 0, 0, x)}
        yield cell, [picture("picture", to_bytes(shown[cell.params["show"]]))]
    results = [cell for cell in cells if cell.params["show"] == "result"]
    for cell, process in drawn(results, context, inpainted):
        yield cell, [picture("picture", to_bytes(process.end)), *process.outputs()]


def _inside(hole: dict[str, Any], height: int, width: int) -> Tensor:
    """(1, height, width): 1 for pixels whose centres lie in the hole."""
    import torch

    x = (torch.arange(width, dtype=torch.float64) + 0.5) / width
    y = (torch.arange(height, dtype=torch.float64) + 0.5) / height
    across = (x - hole["left"]) / (hole["right"] - hole["left"]) * 2 - 1
    down = ((y - hole["top"]) / (hole["bottom"] - hole["top"]) * 2 - 1)[:, None]
    box, ellipse = (across.abs() <= 1) & (down.abs() <= 1), across**2 + down**2 <= 1
    inside: Tensor = ellipse if hole["shape"] == "ellipse" else box
    return inside[None].float()
