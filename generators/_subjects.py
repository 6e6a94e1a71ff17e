"""The subjects by which models of pictograms are judged, and pictures of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from noisebook.models.library import Library

STYLES = ("3d", "flat", "cartoon", "icon", "drawing")
MOST = 440
"""Subjects at most. The shipped library has a few more."""


def subjects(library: Library) -> list[str]:
    """Names that all five styles draw and whose words no earlier one shares, in an order without meaning.

    So that what is recognised is a subject: "grinning face" and "grinning face with big eyes" are not two.
    """
    from noisebook.models.prompts import understand

    taken: set[str] = set()
    out = []
    for name in library.names:
        words = {word.removesuffix("s") for word in name.split() if len(word) > 3 and word != "with"}
        styles = {library.pictures[index].style for index in library.by_name[name]}
        request = understand(name)
        asked = request.style == "plain" and request.subject == name
        if styles.issuperset(STYLES) and asked and words and not words & taken:
            out.append(name)
            taken |= words
    return sorted(out, key=lambda name: hashlib.sha256(name.encode()).digest())[:MOST]


def in_style(library: Library, name: str, style: str) -> int:
    """The index of a subject's picture in one of the five styles."""
    return next(i for i in library.by_name[name] if library.pictures[i].style == style)


def placed(library: Library, pictures: Sequence[int], treatments: Sequence[str], seed: int) -> Tensor:
    """Pictures of the library as a person would place them, (N, 3, 64, 64) in [-1, 1]."""
    import torch

    from noisebook.models.bank import Variant, render

    generator = torch.Generator().manual_seed(seed)
    grounds = {"photo": "soft", "oil": "dark"}
    variants = []
    for picture, treatment in zip(pictures, treatments, strict=True):
        a, b, c, d, e = torch.rand(5, generator=generator).tolist()
        ground = grounds.get(treatment, "white")
        scale, right, down = 0.72 + 0.28 * a, 10 * (b - 0.5), 10 * (c - 0.5)
        variants.append(Variant(picture, scale, right, down, d < 0.5, ground, int(24 * e), treatment))
    return render(library, variants, 64) * 2 - 1


def draw(model: Any, prompts: Sequence[str], seeds: Sequence[int], gamma: float, steps: int = 30) -> Tensor:
    """One picture for each prompt and seed, (N, 3, 64, 64), from pure noise in strides of ``steps``."""
    from noisebook.diffusion.estimates import guided
    from noisebook.diffusion.sampling import draw_noise, finish, generators, reverse
    from noisebook.diffusion.schedules import strided

    each = generators(seeds)
    x = draw_noise(each, (3, model.image_size, model.image_size))
    estimate = guided(model, prompts, gamma)
    return finish(reverse(x, strided(990, steps), model.alphas_cumprod, estimate, each)).clamp(-1, 1)


def nearest(memory: Any, prompt: str, picture: Tensor) -> tuple[float, Tensor]:
    """The picture of a prompt's bank that is most like ``picture`` (3, 64, 64), and how much, in dB."""
    import math

    known = memory.bank(prompt).pictures(64)
    errors = (known - picture).square().mean((1, 2, 3))
    best = int(errors.argmin())
    return 10 * math.log10(4 / max(float(errors[best]), 1e-10)), known[best]


def sheet(pictures: Tensor, columns: int) -> Any:
    """Pictures (N, 3, S, S) in [-1, 1] side by side, (rows·S, columns·S, 3) uint8; what is left is white."""
    import numpy as np

    from noisebook.models.pictures import to_bytes

    tiles = to_bytes(pictures)
    size, rows = tiles.shape[1], -(-len(tiles) // columns)
    blank = np.full((rows * columns - len(tiles), size, size, 3), 255, np.uint8)
    grid = np.concatenate([tiles, blank]).reshape(rows, columns, size, size, 3)
    return grid.swapaxes(1, 2).reshape(rows * size, columns * size, 3)


def unsheet(data: bytes, count: int, size: int = 64) -> Tensor:
    """The pictures of a sheet's PNG, (count, 3, size, size) in [-1, 1]."""
    import io

    import numpy as np
    import torch
    from PIL import Image

    from noisebook.models.pictures import from_bytes

    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    rows, columns = pixels.shape[0] // size, pixels.shape[1] // size
    tiles = pixels.reshape(rows, size, columns, size, 3).swapaxes(1, 2).reshape(-1, size, size, 3)
    return torch.from_numpy(from_bytes(tiles[:count]))
