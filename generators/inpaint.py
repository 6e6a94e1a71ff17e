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
    Task,
    drawn,
    source,
    stem,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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
        where: dict[str, Any] = {"hole": fill.hole.model_dump() if fill.hole else None}
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
                    f"{name} with its hole filled by the model for “{fill.prompt}”.",
                    {**where, **asked},
                    **shared,
                    minutes=0.3,
                )
            )
    return found


def mask_of(cell: Cell, context: Context, size: int) -> NDArray[np.float32]:
    """(1, size, size): 1 where the picture may change, 0 elsewhere.

    Raises ValueError for a mask with no hole, or with nothing but one.
    """
    import numpy as np

    if "mask" in cell.inputs:
        mask = (source(cell, context, size, "mask").mean(0, keepdims=True) > 0).astype(np.float32)
    else:
        hole = cell.params["hole"]
        # A pixel belongs to the hole if its centre does.
        x = (np.arange(size, dtype=np.float64) + 0.5) / size
        across = (x - hole["left"]) / (hole["right"] - hole["left"]) * 2 - 1
        down = ((x - hole["top"]) / (hole["bottom"] - hole["top"]) * 2 - 1)[:, None]
        inside = (
            across**2 + down**2 <= 1 if hole["shape"] == "ellipse" else (abs(across) <= 1) & (abs(down) <= 1)
        )
        mask = np.asarray(inside[None], np.float32)
    if not mask.any() or mask.all():
        path = cell.inputs.get("mask", "the hole")
        raise ValueError(f"{path}: " + ("the mask keeps nothing" if mask.all() else "the mask has no hole"))
    return np.asarray(mask, np.float32)


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Starts from pure noise everywhere: what is known enters after the first step."""
    import numpy as np

    from noisebook.models.pictures import to_bytes

    # Every mask is looked at before any time is spent.
    size = context.model(cells[0], "stage1").image_size
    for cell in cells:
        mask_of(cell, context, size)

    def describe(cell: Cell, denoiser: Any) -> Task:
        params, size = cell.params, denoiser.image_size
        return Task(
            context.seed(cell, "sample", params["sample"]),
            (params["prompt"],),
            params["guidance"],
            source(cell, context, size),
            0,
            mask_of(cell, context, size),
        )

    for cell in cells:
        if cell.params["show"] == "result":
            continue
        size = context.model(cell, "stage1").image_size
        x, mask = source(cell, context, size), mask_of(cell, context, size)
        shown = {"picture": x, "mask": np.repeat(mask * 2 - 1, 3, 0), "hole": np.where(mask > 0, 0, x)}
        yield cell, [picture("picture", to_bytes(shown[cell.params["show"]]))]
    for same, process in drawn(
        [cell for cell in cells if cell.params["show"] == "result"], context, describe
    ):
        for cell in same:
            yield cell, [picture("picture", to_bytes(process.end)), *process.outputs()]
