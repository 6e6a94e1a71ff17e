"""The embedded network: a U-Net on folded pixels, conditioned on a text, that predicts v.

Pictures are folded, 2 × 2 pixels (or 4 × 4) into channels, before the first convolution: most of the work is
done on grids of 32, 16 and 8. v = α ε - σ x_0 (Salimans and Ho, 2022) with α = √ᾱ and σ = √(1-ᾱ). Its
noise level is ln(σ/α).

A network with a ``coarse`` entrance takes pictures of half its size too, and is trained on them
first: they enter at the second level, where the grid is the one that the network works on later. Noise that
is averaged over 2 × 2 pixels is half as strong, so that a picture of 64 with noise σ/α is, to the inner
levels, one of 32 with half of it (Gu and others, "Matryoshka diffusion models", 2023).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

TEXT_WIDTH = 384
"""Width of a token of text."""
HEAD = 64
"""Width of an attention head: few large ones are faster on a CPU than many small ones."""
FEATURES = 32
"""Sines, and as many cosines, of ln(σ/α)."""
LOG_NOISE_RANGE = (-7.0, 7.0)
"""Range of ln(σ/α) that the network tells apart: half a log-SNR, with its sign turned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a network consists of.

    Attributes:
        size: side of its pictures, pixels.
        patch: side of the squares of pixels that are folded into channels.
        channels: of each level; the first has a grid of size / patch, each further one half the grid.
        blocks: residual blocks of each level, on the way down and again on the way up.
        reads: the first level whose blocks attend to the text (cross-attention).
        looks: the first level whose blocks also attend to their own grid (self-attention): costly on large
            grids, and a network that draws pictures in parts has none.
        coarse: whether pictures of half the size can enter, at the second level.
        enlarges: whether the network is conditioned on a low-resolution picture (stage II).
    """

    size: int = 64
    patch: int = 2
    channels: tuple[int, ...] = (64, 128, 192)
    blocks: tuple[int, ...] = (1, 1, 2)
    reads: int = 1
    looks: int = 2
    coarse: bool = True
    enlarges: bool = False

    def __post_init__(self) -> None:
        smallest = self.patch * 2 ** (len(self.channels) - 1)
        if len(self.blocks) != len(self.channels) or self.size % smallest:
            raise ValueError(f"{self}: as many blocks as channels, and a size that {smallest} divides")
        if self.coarse and len(self.channels) < 2:
            raise ValueError(f"{self}: a coarse entrance needs a second level")


def shape_of(values: Mapping[str, Any]) -> Shape:
    """A shape from JSON, where tuples are lists."""
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return Shape(**fields)


def current_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names of today's modules: what modulates a block was called ``told`` once."""
    return {name.replace(".told.", ".modulation."): value for name, value in weights.items()}


def fold(x: Tensor, patch: int) -> Tensor:
    """(B, C, H, W) to (B, C patch², H / patch, W / patch)."""
    return functional.pixel_unshuffle(x, patch).contiguous(memory_format=torch.channels_last)


def group_norm(channels: int, affine: bool = True) -> nn.GroupNorm:
    """Group normalization with 16 channels a group."""
    return nn.GroupNorm(max(1, channels // 16), channels, affine=affine)


def zero_init(layer: nn.Conv2d | nn.Linear) -> nn.Module:
    """The layer with weights of zero: a residual branch that it ends begins as the identity."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


class Attention(nn.Module):
    """Cross-attention to the text's tokens; with ``self_attention`` to the grid as well, in one softmax."""

    def __init__(self, channels: int, self_attention: bool) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD)
        self.norm = group_norm(channels)
        self.query = nn.Linear(channels, channels)
        self.places = nn.Linear(channels, 2 * channels) if self_attention else None
        self.words = nn.Linear(TEXT_WIDTH, 2 * channels)
        self.out = zero_init(nn.Linear(channels, channels))

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        """``x`` (B, C, H, W), ``words`` (B, tokens, TEXT_WIDTH)."""
        b, c, h, w = x.shape
        pixels = self.norm(x).permute(0, 2, 3, 1).reshape(b, h * w, c)
        context = self.words(words)
        if self.places is not None:
            context = torch.cat([self.places(pixels), context], 1)
        key, value = context.chunk(2, -1)
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query(pixels), key, value)
        )
        # Written out: with so few keys, PyTorch's fused attention and its gradient take three times as long.
        scores = (query @ key.transpose(2, 3)).float() * query.shape[-1] ** -0.5
        answer = (scores.softmax(-1).to(value.dtype) @ value).transpose(1, 2).flatten(2)
        change: Tensor = self.out(answer).reshape(b, h, w, c).permute(0, 3, 1, 2)
        return x + change


class Block(nn.Module):
    """A residual block, modulated (scale and shift) by noise level and text; then, maybe, attention."""

    def __init__(self, inputs: int, channels: int, width: int, attention: Attention | None) -> None:
        super().__init__()
        self.norm1 = group_norm(inputs)
        self.conv1 = nn.Conv2d(inputs, channels, 3, padding=1)
        self.norm2 = group_norm(channels, affine=False)
        self.modulation = nn.Linear(width, 2 * channels)
        self.conv2 = zero_init(nn.Conv2d(channels, channels, 3, padding=1))
        self.shortcut = nn.Conv2d(inputs, channels, 1) if inputs != channels else nn.Identity()
        self.attention = attention

    def forward(self, x: Tensor, conditioning: Tensor, words: Tensor) -> Tensor:
        """``x`` (B, inputs, H, W), ``conditioning`` (B, width), ``words`` (B, tokens, TEXT_WIDTH)."""
        h = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.modulation(conditioning)[:, :, None, None].chunk(2, 1)
        h = self.conv2(functional.silu(self.norm2(h) * (1 + scale) + shift))
        x = self.shortcut(x) + h
        return x if self.attention is None else self.attention(x, words)


class Level(nn.Module):
    """The blocks of one grid, with the way to the next coarser one and back."""

    def __init__(self, shape: Shape, k: int, width: int) -> None:
        super().__init__()
        channels, blocks = shape.channels[k], shape.blocks[k]

        def block(inputs: int) -> Block:
            attention = Attention(channels, self_attention=k >= shape.looks) if k >= shape.reads else None
            return Block(inputs, channels, width, attention)

        self.falling = nn.ModuleList(block(channels) for _ in range(blocks))
        self.rising = nn.ModuleList(block(2 * channels) for _ in range(blocks))
        self.deepest = k == len(shape.channels) - 1
        if self.deepest:
            self.middle = block(channels)
        else:
            self.down = nn.Conv2d(channels, shape.channels[k + 1], 2, stride=2)
            self.up = nn.Conv2d(shape.channels[k + 1], channels, 1)


class Gate(nn.Module):
    """Where folded pixels of one size come in and go out."""

    def __init__(self, shape: Shape, k: int) -> None:
        super().__init__()
        channels, pixels = shape.channels[k], 3 * shape.patch**2
        self.enter = nn.Conv2d(pixels * (2 if shape.enlarges else 1), channels, 3, padding=1)
        self.norm = group_norm(channels)
        self.leave = zero_init(nn.Conv2d(channels, pixels, 3, padding=1))

    def out(self, h: Tensor) -> Tensor:
        """Features to folded pixels."""
        pixels: Tensor = self.leave(functional.silu(self.norm(h)))
        return pixels


class Network(nn.Module):
    """The U-Net of a :class:`Shape`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        width = 4 * max(shape.channels[0], 64)
        self.noise = nn.Sequential(nn.Linear(2 * FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        self.level = nn.Sequential(nn.Linear(2 * FEATURES, width), nn.SiLU(), nn.Linear(width, width))
        if not shape.enlarges:
            del self.level
        self.words = nn.LayerNorm(TEXT_WIDTH)
        self.text = nn.Linear(TEXT_WIDTH, width)
        self.levels = nn.ModuleList(Level(shape, k, width) for k in range(len(shape.channels)))
        self.gates = nn.ModuleList(Gate(shape, k) for k in range(2 if shape.coarse else 1))

    def forward(
        self,
        x: Tensor,
        noise: Tensor,
        tokens: Tensor,
        low_res: Tensor | None = None,
        low_res_noise: Tensor | None = None,
    ) -> Tensor:
        """v, of the shape of ``x``.

        Args:
            x: (B, 3, S, S), noisy pictures of unit variance or so; S is the shape's size, or half of it. A
                network that enlarges also takes parts of pictures, S any multiple of its coarsest cell.
            noise: (B,), ln(σ/α).
            tokens: (B, n, TEXT_WIDTH); padding is zero.
            low_res: (B, 3, S, S), the enlarged low-resolution picture, for a network that enlarges.
            low_res_noise: (B,), ln(σ/α) of the noise that was added to ``low_res``.
        """
        shape = self.shape
        count = (tokens != 0).any(-1).sum(1, keepdim=True).clamp(min=1)
        text = self.text(tokens.sum(1) / count)
        words = self.words(tokens)
        if shape.enlarges:
            if low_res is None or low_res_noise is None:
                raise ValueError(
                    "a network that enlarges needs the low-resolution picture and its noise level"
                )
            x = torch.cat([x, low_res], 1)
            text = text + self.level(sinusoids(low_res_noise))
        first = 1 if shape.coarse and 2 * x.shape[-1] == shape.size else 0
        entering = {first: self._gate(first).enter(fold(x, shape.patch))}
        conditioning = [functional.silu(self.noise(sinusoids(noise)) + text)] * len(shape.channels)
        if shape.coarse and first == 0:
            x, noise = halved(x, noise)
            entering[1] = self._gate(1).enter(fold(x, shape.patch))
            conditioning[1:] = [functional.silu(self.noise(sinusoids(noise)) + text)] * len(conditioning[1:])
        h = self._through(first, entering.pop(first), entering, conditioning, words)
        return functional.pixel_shuffle(self._gate(first).out(h), shape.patch)

    def _gate(self, k: int) -> Gate:
        return cast(Gate, self.gates[k])

    def _through(
        self,
        k: int,
        h: Tensor,
        entering: Mapping[int, Tensor],
        conditioning: Sequence[Tensor],
        words: Tensor,
    ) -> Tensor:
        """Level ``k`` and all below it."""
        level = cast(Level, self.levels[k])
        kept = []
        for block in level.falling:
            h = block(h, conditioning[k], words)
            kept.append(h)
        if level.deepest:
            h = level.middle(h, conditioning[k], words)
        else:
            below = level.down(h)
            if k + 1 in entering:
                below = below + entering[k + 1]
            below = self._through(k + 1, below, entering, conditioning, words)
            h = functional.interpolate(level.up(below), scale_factor=2.0)
        for block in level.rising:
            h = block(torch.cat([h, kept.pop()], 1), conditioning[k], words)
        return h


def sinusoids(noise: Tensor) -> Tensor:
    """Sines and cosines of ln(σ/α), (B,) to (B, 2 FEATURES)."""
    turns = 2 ** torch.linspace(-3, 3, FEATURES, device=noise.device)
    angles = noise.clamp(*LOG_NOISE_RANGE)[:, None].float() * turns
    return torch.cat([angles.sin(), angles.cos()], 1)


def halved(x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy pictures at half their size, and their ln(σ/α): x is brought back to α² + σ² = 1."""
    kept = torch.sigmoid(-2 * noise) + torch.sigmoid(2 * noise) / 4
    return functional.avg_pool2d(x, 2) / kept.sqrt()[:, None, None, None], noise - math.log(2)
