"""What style words do to a picture: treatments that follow its shapes, at any size.

Pictures are (N, 3, S, S) float32 in [0, 1]. Lengths are pixels of a picture of 64 and scale with S, so that a
treated picture of 256 is the sharper version of the same picture treated at 64. Nothing is random per pixel:
grain would be taken for noise. Textures are smooth fields that depend on the size alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.diffusion.filters import blur

LUMA = (0.299, 0.587, 0.114)


def luminance(x: Tensor) -> Tensor:
    """(N, 1, S, S)."""
    return (x * x.new_tensor(LUMA)[:, None, None]).sum(1, keepdim=True)


def soften(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur, σ in pixels of 64."""
    sigma = sigma * x.shape[-1] / 64
    return blur(x, 2 * math.ceil(2.5 * sigma) + 1, sigma)


@lru_cache(maxsize=32)
def field(size: int, seed: int, wave: float, stretch: float = 1.0, angle: float = 0.0) -> Tensor:
    """A smooth random texture (S, S) of unit variance; ``wave`` is its grain in pixels of 64,
    ``stretch`` how much
    longer it is along ``angle`` (radians from the x axis).

    A sum of plane waves with random directions: the same function of place at every size.
    """
    generator = torch.Generator().manual_seed(seed)
    turns = torch.rand(48, generator=generator) * 2 * math.pi
    radius = (0.5 + torch.rand(48, generator=generator)) * 2 * math.pi / wave
    phase = torch.rand(48, generator=generator) * 2 * math.pi
    along, across = torch.cos(turns) * radius / stretch, torch.sin(turns) * radius
    axis = (torch.arange(size) + 0.5) * 64 / size
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    u, v = x * math.cos(angle) + y * math.sin(angle), -x * math.sin(angle) + y * math.cos(angle)
    waves = torch.cos(along[:, None, None] * u + across[:, None, None] * v + phase[:, None, None])
    return waves.sum(0) / math.sqrt(24)


def flow(x: Tensor, sigma: float = 1.6) -> tuple[Tensor, Tensor]:
    """The direction along edges, in radians, and how clear it is (0 … 1): both (N, 1, S, S)."""
    grey = luminance(x)
    padded = functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    dx = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) * 0.5
    dy = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) * 0.5
    a, b, c = (soften(v, sigma) for v in (dx * dx, dx * dy, dy * dy))
    spread = torch.sqrt((a - c) ** 2 + 4 * b * b)
    return 0.5 * torch.atan2(2 * b, a - c) + math.pi / 2, spread / (a + c + 1e-4)


def edges(x: Tensor, sigma: float = 0.5) -> Tensor:
    """How fast the luminance changes, per pixel of 64, (N, 1, S, S)."""
    grey = functional.pad(soften(luminance(x), sigma), (1, 1, 1, 1), mode="replicate")
    across = grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]
    down = grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]
    return torch.hypot(across, down) * (x.shape[-1] / 64)


def kuwahara(x: Tensor, radius: float = 1.5) -> Tensor:
    """Flat patches with sharp borders: each place takes the mean of its calmest neighbouring quadrant."""
    reach = max(1, round(radius * x.shape[-1] / 64))
    pad = functional.pad(x, (reach,) * 4, mode="replicate")
    mean = functional.avg_pool2d(pad, reach + 1, 1)
    square = functional.avg_pool2d((pad * pad).sum(1, keepdim=True), reach + 1, 1)
    variance = square - (mean * mean).sum(1, keepdim=True)
    size = x.shape[-1]
    corners = [(i, j) for i in (0, reach) for j in (0, reach)]
    means = torch.stack([mean[..., i : i + size, j : j + size] for i, j in corners])
    variances = torch.stack([variance[..., i : i + size, j : j + size] for i, j in corners])
    weights = 1 / (variances.clamp(min=0) + 1e-3) ** 2
    return (means * weights).sum(0) / weights.sum(0)


def along(angle: Tensor, seed: int, wave: float, stretch: float, directions: int = 8) -> Tensor:
    """A texture whose grain runs along ``angle`` (N, 1, S, S) everywhere: a mix of a few textures."""
    size = angle.shape[-1]
    out = torch.zeros_like(angle)
    for k in range(directions):
        direction = math.pi * k / directions
        near = torch.cos(angle - direction).square() ** (2 * directions)
        out += near * field(size, seed + k, wave, stretch, direction)
    return out


def oil(x: Tensor) -> Tensor:
    """An oil painting: patches of paint, strokes along the edges, warm varnish."""
    contour = (edges(x) * 0.9).clamp(0, 1)
    x = kuwahara(kuwahara(x, 1.2), 1.0) * (1 - 0.4 * contour)
    angle, clear = flow(x)
    size = x.shape[-1]
    quiet = 0.6 + 0.5 * field(size, 5, 40.0)
    stroke = along(angle * clear + quiet * (1 - clear), 11, 4.5, 4.0)
    tint = torch.stack([field(size, 31 + k, 14.0) for k in range(3)])
    x = x + (0.025 + 0.03 * clear) * stroke * (0.3 + luminance(x)) + 0.012 * tint
    grey = luminance(x)
    x = grey + 1.12 * (x - grey)
    warm = x.new_tensor([1.0, 0.955, 0.85])[:, None, None]
    return (x * warm).clamp(0, 1)


def lithograph(x: Tensor) -> Tensor:
    """A lithograph: black ink on cream paper, tones as hatching along shapes, dark outlines."""
    grey = soften(luminance(x), 0.5)
    low, high = grey.amin((2, 3), keepdim=True), grey.amax((2, 3), keepdim=True)
    grey = (grey - low) / (high - low).clamp(min=0.2)
    # Lines run along what the picture shows, and slant where it shows nothing.
    angle, clear = flow(x, 2.4)
    slant = torch.full_like(angle, math.pi / 4)
    clear = torch.sigmoid(12 * (clear - 0.45))
    lines = (along(angle, 51, 3.6, 9.0) * clear + along(slant, 51, 3.6, 9.0) * (1 - clear)).clamp(-1.5, 1.5)
    hatch = torch.sigmoid(9 * (grey - 0.5 - 0.3 * lines))
    ink = 0.55 * hatch + 0.45 * grey - 0.55 * edges(x, 0.8).clamp(0, 1)
    paper, black = x.new_tensor([0.96, 0.93, 0.86]), x.new_tensor([0.10, 0.09, 0.09])
    return torch.lerp(black[:, None, None], paper[:, None, None], ink.clamp(0, 1))


def pencil(x: Tensor) -> Tensor:
    """A pencil drawing: grey outlines and light diagonal shading on white paper."""
    grey = soften(luminance(x), 0.4)
    size = x.shape[-1]
    shade = (1 - grey) * (0.28 + 0.12 * field(size, 71, 3.0, 6.0, -math.pi / 4))
    tone = 0.97 - shade - 0.75 * (1.3 * edges(x, 0.4)).clamp(0, 1)
    return tone.clamp(0.05, 1).expand_as(x) * x.new_tensor([1.0, 0.995, 0.98])[:, None, None]


def photo(x: Tensor) -> Tensor:
    """A photograph: light from one side, a soft tone curve, darker corners."""
    size = x.shape[-1]
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    light = 1.06 - 0.10 * (u * 0.7 + v * 0.7) - 0.10 * (u * u + v * v)
    grey = luminance(x)
    x = grey + 0.88 * (x - grey)
    x = (x * light).clamp(0, 1)
    return x * x * (3 - 2 * x) * 0.35 + x * 0.65


def plain(x: Tensor) -> Tensor:
    """As it is."""
    return x


TREATMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": plain,
    "oil": oil,
    "lithograph": lithograph,
    "pencil": pencil,
    "photo": photo,
    "render": photo,
}

# Colours of backdrops, top to bottom; "soft" and "dark" are lit from the middle instead.
SKIES: dict[str, tuple[tuple[float, float, float], ...]] = {
    "night": ((0.03, 0.04, 0.13), (0.10, 0.11, 0.28), (0.13, 0.12, 0.20)),
    "sunset": ((0.35, 0.25, 0.50), (0.95, 0.55, 0.35), (0.55, 0.28, 0.25)),
    "snow": ((0.55, 0.70, 0.88), (0.85, 0.91, 0.97), (0.97, 0.98, 1.00)),
    "sea": ((0.55, 0.78, 0.95), (0.80, 0.92, 0.98), (0.10, 0.42, 0.65)),
    "forest": ((0.45, 0.65, 0.55), (0.20, 0.42, 0.22), (0.10, 0.25, 0.10)),
    "sky": ((0.33, 0.60, 0.92), (0.72, 0.87, 0.98), (0.85, 0.93, 0.97)),
    "desert": ((0.55, 0.75, 0.92), (0.95, 0.86, 0.66), (0.85, 0.66, 0.40)),
}


@lru_cache(maxsize=512)
def backdrop(kind: str, size: int, seed: int) -> Tensor:
    """What stands behind a pictogram, (3, S, S): white, soft (a studio), dark (a portrait) or a sky."""
    if kind == "white":
        return torch.ones(3, size, size)
    generator = torch.Generator().manual_seed(seed)
    a, b, c, d = torch.rand(4, generator=generator).tolist()
    axis = (torch.arange(size) + 0.5) / size
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    if kind in SKIES:
        top, middle, bottom = (torch.tensor(colour)[:, None, None] for colour in SKIES[kind])
        break_at = 0.5 + 0.2 * a
        upper = torch.lerp(top, middle, (v / break_at).clamp(0, 1))
        out = torch.where(
            v > break_at, torch.lerp(middle, bottom, ((v - break_at) / (1 - break_at)).clamp(0, 1)), upper
        )
        if kind == "night":
            stars = torch.rand(28, 3, generator=generator)
            for x, y, glow in stars.tolist():
                spot = torch.exp(-((u - x) ** 2 + (v - y * 0.8) ** 2) * (64 / 0.9) ** 2)
                out = out + (0.35 + 0.6 * glow) * spot
        return out.clamp(0, 1)
    hue = torch.tensor([[0.80, 0.82, 0.85], [0.84, 0.80, 0.74], [0.72, 0.80, 0.84], [0.78, 0.83, 0.76]])[
        int(a * 4)
    ]
    if kind == "dark":
        hue = torch.tensor([[0.36, 0.25, 0.16], [0.30, 0.24, 0.18], [0.26, 0.27, 0.20], [0.33, 0.20, 0.15]])[
            int(a * 4)
        ]
    distance = (u - 0.35 - 0.3 * b) ** 2 + (v - 0.3 - 0.2 * c) ** 2
    fall = 0.75 if kind == "soft" else 1.1
    floor = 0.10 * torch.sigmoid((v - 0.78) * 40) if kind == "soft" else 0.0
    lit: Tensor = hue[:, None, None] * (1.15 - fall * distance * (0.8 + 0.4 * d)) - floor
    return lit.clamp(0, 1)
