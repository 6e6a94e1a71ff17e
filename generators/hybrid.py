"""Hybrid images: one thing from near, another from far."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, Labelled, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import animation, picture

from ._sampling import Guidance, Process, Prompt, Samples, even_kernel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Pair(Base):
    """What a picture shows from far, and from near."""

    far: Prompt
    near: Prompt


class Params(Process):
    """ε = lowpass(ε_far) + highpass(ε_near), each guided first."""

    pairs: Annotated[list[Pair], Field(min_length=1, description="two prompts for each picture")] = Field(
        default=[
            Pair(far="a lithograph of a skull", near="a lithograph of waterfalls"),
            Pair(far="an oil painting of an old man", near="an oil painting of people around a campfire"),
            Pair(far="a photo of a dog", near="an oil painting of a snowy mountain village"),
        ]
    )
    kernel: int = Field(default=33, ge=1, le=63, description="taps of the Gaussian at 64 pixels, odd")
    sigma: float = Field(default=2.0, gt=0, le=32, description="its standard deviation at 64 pixels, pixels")
    guidance: Guidance = 7.0
    samples: Samples = Field(default=[0])


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """An even kernel."""
    yield from even_kernel(params.kernel)


def cells(params: Params) -> list[Cell]:
    """Each picture is shown three times: near (full size), far (scaled down), and shrinking."""
    return [
        Cell(
            f"{p}" + (f"-s={sample}" if len(params.samples) > 1 else ""),
            f"{pair.near} / {pair.far}",
            f"A hybrid of {pair.near} and {pair.far}.",
            params.process()
            | {
                "far": pair.far,
                "near": pair.near,
                "lowpass": [params.kernel, float(params.sigma)],
                "guidance": float(params.guidance),
                "sample": sample,
            },
            models={"stage1": params.model},
            minutes=0.6,
            pictures=[
                Labelled(
                    "picture",
                    f"near: {pair.near}",
                    f"A hybrid image at full size, drawn to show {pair.near}.",
                ),
                Labelled(
                    "far", f"far: {pair.far}", f"The same picture scaled down, drawn to show {pair.far}."
                ),
                Labelled(
                    "animation", "from near to far", "The picture shrinks from its near to its far reading."
                ),
            ],
        )
        for p, pair in enumerate(params.pairs)
        for sample in params.samples
    ]


def distant(x: NDArray[np.float32], factor: float) -> NDArray[np.uint8]:
    """(3, H, W) in [-1, 1] as it looks ``factor`` times as far away, on white: (H, W, 3) uint8."""
    import numpy as np
    from PIL import Image

    from noisebook.models.pictures import to_bytes

    size = x.shape[-1]
    small = Image.fromarray(to_bytes(x)).resize((round(size / factor),) * 2, Image.Resampling.LANCZOS)
    paper = Image.new("RGB", (size, size), "white")
    paper.paste(small, ((size - small.width) // 2,) * 2)
    return np.asarray(paper)


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """One process for each picture; its far reading is the same picture, scaled down."""
    import functools

    import numpy as np

    from noisebook.diffusion.estimates import split
    from noisebook.diffusion.filters import blur, scaled_blur
    from noisebook.models.pictures import to_bytes

    from ._process import Combine, Denoiser, Loop, Task, drawn, noise_of

    @functools.cache
    def two_bands(kernel: int, sigma: float) -> Combine:
        return lambda estimates: split(estimates[0], estimates[1], lambda x: blur(x, kernel, sigma))

    def hybrid(cell: Cell, denoiser: Denoiser) -> Task:
        params = cell.params
        noise, generator = noise_of(context.seed(cell, "sample", params["sample"]), denoiser)
        bands = two_bands(*scaled_blur(denoiser.image_size, *params["lowpass"]))
        return Task(Loop.of(cell, context, bands), noise, generator, (params["far"], params["near"]))

    for cell, process in drawn(cells, context, hybrid):
        away = [distant(process.end, 4 ** (k / 12)) for k in range(13)]
        shrinking = np.stack([away[0]] * 5 + away + [away[-1]] * 5)
        yield (
            cell,
            [
                picture("picture", to_bytes(process.end)),
                picture("far", distant(process.end, 4)),
                animation("animation", shrinking, fps=8, quality=90),
                *process.outputs(),
            ],
        )
