"""Hybrid images: one thing from near, another from far; or in colour and in grey, at rest and in motion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Files, ImagePath, Labelled, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import animation, picture

from ._sampling import Illusions, Prompt, asked_for, even_kernel, stem, titled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from noisebook.diffusion.denoiser import Denoiser
    from noisebook.diffusion.estimates import Estimate

Filter = Literal["blur", "grey", "motion"]
SEEN = {
    "blur": ("near", "far", "scaled down", "from near to far", "The picture shrinks"),
    "grey": ("in colour", "in grey", "without its colours", "from colour to grey", "The colours fade"),
    "motion": ("at rest", "in motion", "in motion", "from rest to motion", "The picture begins to move"),
}
"""Of each filter: how its two readings are seen, what the second one is, what the animation shows."""


class Pair(Base):
    """What a picture shows from far, and from near (in grey and in colour; in motion and at rest)."""

    near: Prompt
    middle: Prompt | None = Field(default=None, description="a third reading, from half way")
    far: Prompt | None = Field(default=None, description="what it shows from far")
    picture: ImagePath | None = Field(default=None, description="a real picture, to be seen from far")


class Params(Illusions):
    """ε = lowpass(ε_far) + highpass(ε_near), each guided first."""

    pairs: Annotated[list[Pair], Field(min_length=1, description="two prompts for each picture")] = Field(
        default=[
            Pair(far="a lithograph of a skull", near="a lithograph of waterfalls"),
            Pair(far="an oil painting of an old man", near="an oil painting of people around a campfire"),
            Pair(far="a photo of a dog", near="an oil painting of a snowy mountain village"),
        ]
    )
    filter: Filter = Field(
        default="blur",
        description="what the far reading is seen through: blur, grey, or motion along a diagonal",
    )
    kernel: int = Field(
        default=33, ge=1, le=63, description="taps of the Gaussian where the shorter side has 64 pixels, odd"
    )
    sigma: float = Field(default=2.0, gt=0, le=32, description="its standard deviation at 64 pixels, pixels")
    middle_sigma: float = Field(
        default=1.0, gt=0, le=32, description="that of the blur that a middle reading is seen through, pixels"
    )
    motion: int = Field(default=13, ge=3, le=63, description="pixels at 64 that motion passes over, odd")


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """Even kernels, and readings that a filter cannot have."""
    yield from even_kernel(params.kernel)
    if params.motion % 2 == 0:
        yield Complaint(("motion",), f"motion has a middle: {params.motion} is even; try {params.motion + 1}")
    for number, pair in enumerate(params.pairs):
        if (pair.far is None) == (pair.picture is None):
            yield Complaint(("pairs", number), "from far there is either a prompt, far, or a real picture")
        if pair.middle is not None and params.filter != "blur":
            yield Complaint(("pairs", number, "middle"), f"{params.filter} has no half way; blur has")
    if any(pair.middle is not None for pair in params.pairs) and params.middle_sigma >= params.sigma:
        yield Complaint(
            ("middle_sigma",), f"a middle reading is blurred less than the far one, {params.sigma:g}"
        )


def cells(params: Params) -> list[Cell]:
    """Each picture is shown as it is, through its filter (a blur: scaled down), and on its way there."""
    found: list[Cell] = []
    for number, pair in enumerate(params.pairs):
        own: dict[str, Any] = {"filter": params.filter}
        if params.filter == "blur":
            own["lowpass"] = [[params.kernel, float(params.sigma)]]
            if pair.middle is not None:
                own["lowpass"].append([params.kernel, float(params.middle_sigma)])
        if params.filter == "motion":
            own["motion"] = params.motion
        prompts = [each for each in (pair.far, pair.middle, pair.near) if each is not None]
        inputs = {"picture": pair.picture} if pair.picture else {}
        readings = [*prompts[::-1], *map(stem, inputs.values())]
        own["prompts"] = prompts
        found += params.named(number, "A hybrid", readings, own, shown(pair, params.filter), inputs)
    return found


def shown(pair: Pair, name: Filter) -> list[Labelled]:
    """What the page shows of one picture."""
    near, far, through, way, moving = SEEN[name]
    alt = f"A hybrid image at full size, drawn {asked_for(pair.near, 'to show')}."
    pictures = [Labelled("picture", f"{near}: {titled(pair.near)}", alt, pair.near)]
    if pair.middle is not None:
        alt = f"The same picture at half its size, drawn {asked_for(pair.middle, 'to show')}."
        pictures.append(Labelled("middle", f"half way: {titled(pair.middle)}", alt, pair.middle))
    if pair.far is not None:
        alt = f"The same picture {through}, drawn {asked_for(pair.far, 'to show')}."
        pictures.append(Labelled("far", f"{far}: {titled(pair.far)}", alt, pair.far))
    elif pair.picture:
        alt = f"The same picture {through}, where it is {stem(pair.picture)}."
        pictures.append(Labelled("far", f"{far}: {stem(pair.picture)}", alt))
    alt = f"{moving}, from one reading to the other."
    return [*pictures, Labelled("animation", way, alt)]


def distant(x: NDArray[np.float32], factor: float) -> NDArray[np.uint8]:
    """(3, H, W) in [-1, 1] as it looks ``factor`` times as far away, on white: (H, W, 3) uint8."""
    import numpy as np
    from PIL import Image

    from noisebook.models.pictures import to_bytes

    height, width = x.shape[-2:]
    sides = round(width / factor), round(height / factor)
    small = Image.fromarray(to_bytes(x)).resize(sides, Image.Resampling.LANCZOS)
    paper = Image.new("RGB", (width, height), "white")
    paper.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    return np.asarray(paper)


def seen(x: NDArray[np.float32], cell: Cell, progress: float) -> NDArray[np.uint8]:
    """(3, H, W) in [-1, 1] on its way to its far reading, (H, W, 3) uint8; ``progress`` from 0 to 1."""
    import torch

    from noisebook.diffusion.filters import grey, motion_blur
    from noisebook.models.pictures import to_bytes

    if cell.params["filter"] == "blur":
        return distant(x, 4**progress)
    rows = torch.from_numpy(x)[None]
    if cell.params["filter"] == "grey":
        return to_bytes(torch.lerp(rows, grey(rows), progress)[0])
    return to_bytes(motion_blur(rows, 2 * round(progress * scaled(cell, min(x.shape[-2:])) / 2 - 0.5) + 1)[0])


def scaled(cell: Cell, size: int) -> int:
    """Pixels of a picture whose shorter side has ``size`` that a cell's motion passes over, odd."""
    return 2 * (int(cell.params["motion"]) * size // 128) + 1


def knowing(x_0: Tensor, denoiser: Denoiser) -> Estimate:
    """The estimate of who knows the one x_0 (C, H, W) that there is."""
    from noisebook.diffusion.schedules import implied_noise

    def estimate(x_t: Tensor, t: int) -> tuple[Tensor, None]:
        return implied_noise(x_t, x_0.expand_as(x_t), float(denoiser.alphas_cumprod[t])), None

    return estimate


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """One process for each picture; its far reading is the same picture, through the filter."""
    import functools

    import numpy as np

    from noisebook.diffusion.estimates import split
    from noisebook.diffusion.filters import blur, grey, motion_blur, scaled_blur
    from noisebook.models.latents import picture_shape
    from noisebook.models.pictures import to_bytes

    from ._process import Combine, Loop, Task, clean_of, drawn, noise_of

    @functools.cache
    def bands(*lowpass: tuple[int, float]) -> Combine:
        """From the farthest reading to the nearest: what each blur leaves goes to the one below."""

        def combine(estimates: Sequence[Estimate]) -> Estimate:
            *farther, combined = estimates
            for each, (kernel, sigma) in reversed(list(zip(farther, lowpass, strict=True))):
                combined = split(each, combined, functools.partial(blur, size=kernel, sigma=sigma))
            return combined

        return combine

    @functools.cache
    def two(length: int) -> Combine:
        """By motion, or by colour where there is none."""
        lowpass = functools.partial(motion_blur, length=length) if length else grey
        return lambda estimates: split(estimates[0], estimates[1], lowpass)

    def hybrid(cell: Cell, denoiser: Denoiser) -> Task:
        params, size = cell.params, min(picture_shape(denoiser))
        noise, generator = noise_of(context.seed(cell, "sample", params["sample"]), denoiser)
        if params["filter"] == "blur":
            combine = bands(*(scaled_blur(size, *lowpass) for lowpass in params["lowpass"]))
        else:
            combine = two(scaled(cell, size) if params["filter"] == "motion" else 0)
        if "picture" in cell.inputs:
            far, rest = knowing(clean_of(cell, context, denoiser), denoiser), combine
            # A function of its own, so that no process of another picture is in its batch.
            combine = lambda estimates: rest([far, *estimates])  # noqa: E731
        return Task(Loop.of(cell, context, combine), noise, generator, tuple(params["prompts"]))

    for cell, process in drawn(cells, context, hybrid):
        away = [seen(process.end, cell, k / 12) for k in range(13)]
        moving = np.stack([away[0]] * 5 + away + [away[-1]] * 5)
        three = len(cell.params.get("lowpass", ())) == 2
        yield (
            cell,
            [
                picture("picture", to_bytes(process.end)),
                *([picture("middle", away[6])] if three else []),
                picture("far", away[-1]),
                animation("animation", moving, fps=8, quality=90),
                *process.outputs(),
            ],
        )
