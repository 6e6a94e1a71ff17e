"""The pictures that a prompt stands for: a few hundred variants (places, sizes, mirror images, backdrops) of
the pictures whose names are nearest to its words, treated as its style word says, each with a prior."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.cells.contract import derive_seed
from noisebook.models import local_posterior
from noisebook.models.library import Library
from noisebook.models.local_posterior import Windows
from noisebook.models.pieces import Pieces, cut
from noisebook.models.prompts import Request, understand
from noisebook.models.relit import Light
from noisebook.models.styles import TREATMENTS, backdrop
from noisebook.models.text import Text

WINDOWS = Windows(base=12.0, slope=8.0, whole=4.0, keep=64)
ENLARGING = Windows(base=9.0, slope=9.0)
PHOTOGRAPHS = Windows(base=5.0, slope=18.0, whole=1.5, keep=160)
"""For a photo of anything: whole sooner, so that it is of one place."""
PIECES = {1: 3000, 2: 3000, 4: 2000}
"""How many pieces of such photographs may stand anywhere, by their cells' side."""


LIGHT = Light(grey=0.15, colour=0.03)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that determines the pictures besides library, prompt and noise.

    Attributes:
        variants: pictures in a prompt's bank.
        sample: pictures in the bank without words: half of them photographs, where the library has some.
        photographs: pictures in the bank of a photo of anything.
        light: how far the light may differ in which such a photograph stands.
        pieces: how many pieces of them may stand anywhere, by the side of their cells in pixels.
        names: how many names a prompt may reach.
        margin: names that are less similar to the prompt than the nearest one by more than this are left out.
        similarity_scale: log prior per unit of cosine similarity between the prompt and a picture's name.
        share: in guidance, the least part that a prompt's own bank has in the unconditional estimate. A
            closed form's estimates differ far more than a network's, and γ multiplies the difference: at
            γ = 7 and a share of 0 a place that fits other pictures better would move six times as far away.
        evidence_temperature: divides the evidence, in nats, for the prompt's own bank against the library.
        far: similarity below which a prompt counts as far from anything known.
        windows, photograph_windows, enlarging: around each place, in stage I, for a photo of anything, and in
            stage II.
        small_sigma: standard deviation that stage II allows the small picture's channels.
        candidates: pictures of 256 pixels that stage II considers for one small picture.
    """

    variants: int = 720
    sample: int = 1000
    photographs: int = 2000
    light: Light = LIGHT
    pieces: Mapping[int, int] = field(default_factory=PIECES.copy)
    names: int = 10
    margin: float = 0.15
    similarity_scale: float = 40.0
    share: float = 0.9
    evidence_temperature: float = 8.0
    far: float = 0.57
    windows: Windows = WINDOWS
    photograph_windows: Windows = PHOTOGRAPHS
    enlarging: Windows = ENLARGING
    small_sigma: float = 0.15
    candidates: int = 40


MOST_BANKS = 24
"""Banks kept in memory; each takes some 35 MB once it is drawn."""


IN_STYLE = ("photo", "oil", "lithograph")
"""Styles in which the library has scenes of their own, that no treatment may change."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One picture of a bank: which, how large, where (pixels of 64 from the centre), on what."""

    picture: int
    scale: float
    right: float
    down: float
    mirror: bool
    ground: str
    seed: int
    style: str
    mood: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Gain of red, green and blue before the style's treatment: the light that the picture stands in."""


@dataclass(eq=False)
class Bank:
    """Pictures with priors. Tensors are made on first use, for each size."""

    library: Library
    variants: list[Variant]
    prior: Tensor
    """log p_i, (N,); sums to 1."""

    windows: Windows = WINDOWS
    light: Light | None = None
    """In which other light its pictures may stand; None for none but their own."""

    nearest: float = 1.0
    """Cosine similarity of the prompt to the nearest name."""

    cuts: Mapping[int, int] = field(default_factory=dict)
    """How many pieces of its pictures may stand anywhere, by their cells' side."""

    _drawn: dict[int, Tensor] = field(default_factory=dict)

    def pictures(self, size: int) -> Tensor:
        """(N, 3, size, size) in [-1, 1]."""
        if size not in self._drawn:
            self._drawn[size] = render(self.library, self.variants, size) * 2 - 1
        return self._drawn[size]

    @cached_property
    def norms(self) -> Tensor:
        """Squared lengths at 64 pixels, (N,)."""
        return self.pictures(64).flatten(1).square().sum(1)

    @cached_property
    def pieces(self) -> dict[int, Pieces]:
        """Those pieces, by their cells' side."""
        generator = torch.Generator().manual_seed(derive_seed(0, "pieces"))
        return {cell: cut(self.pictures(64), cell, count, generator) for cell, count in self.cuts.items()}

    @cached_property
    def coarse(self) -> Tensor:
        """Means over cells of 8 × 8, (N, 3, 8, 8)."""
        return local_posterior.pooled(self.pictures(64), 8)


def render(library: Library, variants: Sequence[Variant], size: int) -> Tensor:
    """The variants' pictures, (N, 3, size, size) in [0, 1]."""
    wanted = sorted({variant.picture for variant in variants})
    # Twice the size is sharp enough, and costs a quarter of 256 where pictures are small.
    sources = dict(zip(wanted, library.rgba(wanted, min(256, 2 * size)), strict=True))
    out = torch.empty(len(variants), 3, size, size)
    for row, variant in enumerate(variants):
        out[row] = _placed(variant, sources[variant.picture], library.pictures[variant.picture].kind, size)
    for style in {variant.style for variant in variants}:
        rows = [row for row, variant in enumerate(variants) if variant.style == style]
        for start in range(0, len(rows), 64):
            part = rows[start : start + 64]
            out[part] = TREATMENTS.get(style, TREATMENTS["plain"])(out[part])
    return out.clamp(0, 1)


def _placed(variant: Variant, source: Tensor, kind: str, size: int) -> Tensor:
    """A picture (4, S, S) as its variant has it, before the style's treatment, (3, size, size)."""
    source = source.flip(2) if variant.mirror else source
    piece = kind == "piece"
    # Whole pixels of 64, so that the small picture is the large one, shrunk.
    unit = size // 64
    side = unit * max(4, round(64 * variant.scale))
    small = functional.interpolate(source[None], size=(side, side), mode="bilinear", antialias=True)[0]
    top = unit * round((64 - side / unit) / 2 + variant.down)
    left = unit * round((64 - side / unit) / 2 + variant.right)
    if not piece:
        # A scene always fills its frame: what would leave a gap is moved back.
        top, left = min(0, max(size - side, top)), min(0, max(size - side, left))
    ground = backdrop(variant.ground if piece else "white", size, variant.seed).clone()
    y0, x0, y1, x1 = max(0, top), max(0, left), min(size, top + side), min(size, left + side)
    cut = small[:, y0 - top : y1 - top, x0 - left : x1 - left]
    if piece and variant.ground in ("soft", "dark"):
        shadow = torch.zeros(1, 1, size, size)
        shadow[0, 0, y0:y1, x0:x1] = cut[3]
        reach = max(1, round(2.5 * size / 64))
        shadow = functional.avg_pool2d(shadow, 2 * reach + 1, 1, reach)
        ground *= 1 - 0.35 * torch.roll(shadow[0], (reach, reach // 2), (1, 2))
    ground[:, y0:y1, x0:x1] = ground[:, y0:y1, x0:x1] * (1 - cut[3]) + cut[:3]
    return ground * torch.tensor(variant.mood)[:, None, None]


class Banks:
    """From prompts to banks: the names nearest to a prompt's words, and variants of their pictures."""

    def __init__(self, library: Library, text: Text, settings: Settings) -> None:
        self.library, self.text, self.settings = library, text, settings
        self._known: dict[Request, Bank] = {}

    @cached_property
    def _names(self) -> Tensor:
        return torch.from_numpy(self.text.vectors(self.library.names))

    def similarities(self, subject: str) -> Tensor:
        """Cosine similarity of a subject to each known name, (names,)."""
        return self._names @ torch.from_numpy(self.text.vectors([subject]))[0]

    def of(self, prompt: str) -> Bank:
        """The pictures that a prompt describes; without a subject, a sample of the whole library."""
        request = understand(prompt)
        bank = self._known.pop(request, None)
        if bank is None:
            bank = self._named(request) if request.subject else self._anything(request)
        self._known[request] = bank  # last used, last forgotten
        while len(self._known) > MOST_BANKS:
            del self._known[next(iter(self._known))]
        return bank

    def _anything(self, request: Request) -> Bank:
        """A sample of the library: of its photographs for a photo, of those and all others for no words."""
        settings = self.settings
        generator = torch.Generator().manual_seed(derive_seed(0, "anything", request.style))
        groups: list[list[int]] = [[], []]
        for index, picture in enumerate(self.library.pictures):
            groups[picture.style != "photograph"].append(index)
        photo = request.style == "photo" and bool(groups[0])
        groups = groups[:1] if photo else [group for group in groups if group]
        count = min(settings.photographs if photo else settings.sample, 4 * len(self.library.pictures))
        variants = []
        for group in groups:
            order = torch.randperm(len(group), generator=generator).tolist()
            for k in range(count // len(groups)):
                variants.append(self._variant(group[order[k % len(order)]], request, generator))
        prior = torch.full((len(variants),), -math.log(len(variants)))
        if photo:
            windows, light = settings.photograph_windows, settings.light
            return Bank(self.library, variants, prior, windows, light, cuts=settings.pieces)
        return Bank(self.library, variants, prior, settings.windows)

    def _named(self, request: Request) -> Bank:
        settings = self.settings
        similar = self.similarities(request.subject)
        best = similar.topk(min(settings.names, len(similar)))
        count = int((best.values >= best.values[0] - settings.margin).sum())
        indices, values = best.indices[:count], best.values[:count]
        log_prior = torch.log_softmax(values * settings.similarity_scale, 0)
        # Names that are unlikely get few variants, but keep their prior.
        effort = torch.softmax(values * settings.similarity_scale * 0.7, 0)
        generator = torch.Generator().manual_seed(derive_seed(0, "bank", request.style, request.subject))
        variants: list[Variant] = []
        prior: list[float] = []
        for index, log_p, part in zip(indices.tolist(), log_prior.tolist(), effort.tolist(), strict=True):
            pictures = self.library.by_name[self.library.names[index]]
            weights = self._fits(pictures, request.style)
            count = round(part * settings.variants)
            if count == 0:
                continue
            for k in range(count):
                chosen = _quantile(weights, (k + 0.5) / count)
                variants.append(self._variant(pictures[chosen], request, generator))
            prior += [log_p - math.log(count)] * count
        logs = torch.tensor(prior)
        log_priors = logs - logs.logsumexp(0)
        return Bank(self.library, variants, log_priors, settings.windows, nearest=values[0].item())

    def _fits(self, pictures: Sequence[int], style: str) -> list[float]:
        """How much of a style's variants come from each of the pictures of one name.

        Pictures made in the style come before all others.
        """
        drawn = [self.library.pictures[i].style for i in pictures]
        made = {style, "photograph"} if style == "photo" else {style}
        if style in IN_STYLE and made & set(drawn):
            return [1.0 if each in made else 1e-4 for each in drawn]
        return [_likeness(each, style) for each in drawn]

    def _variant(self, picture: int, request: Request, generator: torch.Generator) -> Variant:
        a, b, c, d, e, f, g = torch.rand(7, generator=generator).tolist()
        seed = int(e * 24)
        mood = (1.0, 1.0, 1.0)
        if request.style in ("oil", "photo"):  # from full daylight to the glow of a fire
            dark = f * f * (0.18 if request.style == "oil" else 0.10)
            mood = (1 - dark * 0.6, 1 - dark * (0.9 + 0.5 * g), 1 - dark * (0.9 + 1.0 * g))
        made = self.library.pictures[picture].style
        if self.library.pictures[picture].kind == "scene":
            style = request.style
            if made == "photograph" and style in ("photo", "render", "plain"):
                style, light = "plain", 0.8 + 0.4 * f
                mood = (light * (0.93 + 0.14 * g), light, light * (1.07 - 0.14 * g))
            elif made == style and style in IN_STYLE:
                style, mood = "plain", (1.0, 1.0, 1.0)
            return Variant(
                picture,
                1 + 0.4 * a * a,
                20 * (b - 0.5),
                20 * (c - 0.5),
                d < 0.5,
                "white",
                seed,
                style,
                mood,
            )
        drawn = made == "drawn"
        ground = {"photo": "soft", "render": "soft", "oil": "dark"}.get(request.style, "white")
        if request.sky and request.style not in ("lithograph", "pencil"):
            ground = request.sky
        if drawn:  # head and shoulders stand on the lower edge
            scale = 0.8 + 0.45 * a
            down = 32 * abs(scale - 1) * (2 * c - 1 if scale > 1 else 1)
            return Variant(picture, scale, 8 * (b - 0.5), down, d < 0.5, ground, seed, request.style, mood)
        return Variant(
            picture,
            0.72 + 0.28 * a,
            10 * (b - 0.5),
            10 * (c - 0.5),
            d < 0.5,
            ground,
            seed,
            request.style,
            mood,
        )


def _likeness(drawn: str, style: str) -> float:
    """How well a picture drawn in one style stands in for another."""
    if drawn in (*IN_STYLE, "photograph"):
        return 1e-6  # of no use to another style, but all that some names have
    if style == "plain":
        return 1.0
    if style in ("photo", "render"):
        return {"3d": 1.0, "drawn": 2.0, "own": 2.0}.get(drawn, 1e-3)
    return 1.0 if drawn in (style, "drawn", "own") else 0.1


def _quantile(weights: Sequence[float], place: float) -> int:
    """The index at which the running share of ``weights`` passes ``place`` in 0 … 1."""
    total, so_far = sum(weights), 0.0
    for index, weight in enumerate(weights):
        so_far += weight / total
        if place <= so_far:
            return index
    return len(weights) - 1
