"""What the embedded network is trained on: pictures of the library with captions, made anew for every step.

Each shows a subject in a style: one of the subject's pictures, moved, scaled and mirrored, set on the
style's ground and treated as the style's word says (:mod:`noisebook.models.styles`), with a caption such as
"an oil painting of a castle". Everything stays in tensors, so that a batch costs a small part of a step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.models.library import Library, Picture
from noisebook.models.styles import TREATMENTS, backdrop

NEUTRAL = "a high quality photo"
NEUTRAL_SHARE = 0.08
"""Of the photos, how many are called that and nothing else."""
HELD_OUT = 25
"""One picture in so many is kept out of training, of subjects that have at least MANY."""
MANY = 4
GROUNDS = 24
"""Backdrops of a kind."""


@dataclass(frozen=True, slots=True)
class Style:
    """A way to draw, and its captions.

    Attributes:
        share: of all pictures.
        captions: with ``{}`` for the subject.
        ground: kind of backdrop behind a piece.
        treatment: of the finished picture.
        drawn: drawing styles of the library that it is made from; none for all of them.
        lit: whether the picture may stand in the glow of a fire.
    """

    share: float
    captions: tuple[str, ...]
    ground: str = "white"
    treatment: str = "plain"
    drawn: tuple[str, ...] = ()
    lit: float = 0.0


STYLES = {
    "plain": Style(0.34, ("{}",)),
    "oil": Style(0.20, ("an oil painting of {}",), "dark", "oil", lit=0.18),
    "photo": Style(
        0.18, ("a photo of {}", "a high quality photo of {}"), "soft", "photo", ("3d", "drawn"), lit=0.10
    ),
    "lithograph": Style(0.11, ("a lithograph of {}",), treatment="lithograph"),
    "pencil": Style(0.05, ("a pencil drawing of {}",), treatment="pencil"),
    "render": Style(0.03, ("a 3d render of {}",), "soft", "render", ("3d", "drawn")),
    "flat": Style(0.03, ("a flat icon of {}",), drawn=("flat",)),
    "cartoon": Style(0.02, ("a cartoon of {}",), drawn=("cartoon",)),
    "icon": Style(0.02, ("an icon of {}",), drawn=("icon",)),
    "drawing": Style(0.02, ("a drawing of {}",), drawn=("drawing",)),
}
"""The report's own words have the largest shares."""

BARE = {"people around a campfire", "waterfalls", "mountains", "amalfi coast"}
"""Names that take no "a"."""

ALSO = {"rocket": "rocket ship", "tokyo tower": "tower", "hibiscus": "flower", "tulip": "flower"}
"""What a subject is called as well, half of the time: words of the report's prompts."""


def phrase(name: str) -> str:
    """A name as it stands in a caption: "castle" is "a castle"."""
    if name == "amalfi coast":
        return "the amalfi coast"
    if name in BARE or (name.endswith("s") and not name.endswith("ss")):
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def held_out(picture: Picture, siblings: int) -> bool:
    """Whether a picture is kept out of training; ``siblings``: pictures of its name, itself included."""
    place = int(hashlib.sha256(picture.file.encode()).hexdigest()[:8], 16)
    return siblings >= MANY and place % HELD_OUT == 0


def subjects(
    library: Library,
    count: int,
    always: Sequence[str],
    commonness: Callable[[Sequence[str]], Sequence[tuple[int, ...]]],
) -> list[str]:
    """``count`` names: those with pictures of this project's own, those in ``always``, then the commonest of
    those with the most drawing styles. Of a name and its plural only the first is taken.

    A larger count begins with the smaller one's names.

    Raises:
        ValueError: ``always`` has a name that the library lacks.
    """
    styles = {name: {library.pictures[i].style for i in library.by_name[name]} for name in library.names}
    missing = sorted(set(always) - styles.keys())
    if missing:
        raise ValueError(f"the library has no {', '.join(missing)}")
    rank = dict(zip(library.names, commonness(library.names), strict=True))
    own = [name for name in library.names if "drawn" in styles[name]]
    others = sorted(
        (name for name in library.names if len(styles[name]) >= 3),
        key=lambda name: (-min(5, len(styles[name])), rank[name], name),
    )
    chosen = list(dict.fromkeys([*own, *always]))
    taken = set(chosen)
    for name in others:
        if len(chosen) >= count:
            break
        if not {name, name + "s", name.removesuffix("s")} & taken:
            chosen.append(name)
            taken.add(name)
    return chosen


class CaptionedPictures:
    """Pictures of some subjects, of one size, with their captions.

    Attributes:
        names: the subjects, those without a picture left out.
        captions: every caption there is, "" first.
    """

    def __init__(
        self,
        library: Library,
        names: Sequence[str],
        size: int,
        *,
        favoured: float = 3.0,
        unseen: bool = False,
    ) -> None:
        """
        Args:
            names: the subjects.
            size: side of the pictures, pixels.
            favoured: how many times as often as others a subject comes that has pictures of this project's
                own: the report asks for those.
            unseen: take the pictures that are kept out of training, and only the subjects that have some.
        """
        self.size = size
        # Small pictures are drawn twice as large, then halved: an edge is as soft as the library's own.
        self._canvas = max(size, 64)
        self._source = min(256, self._canvas * 5 // 4)
        self._rows: dict[str, list[list[int]]] = {style: [] for style in STYLES}
        self._pieces: list[Picture] = []
        self._weights: list[float] = []
        wanted: list[int] = []
        self.names: list[str] = []
        for name in names:
            indices = library.by_name[name]
            mine = [i for i in indices if held_out(library.pictures[i], len(indices)) == unseen]
            if not mine:
                continue
            self.names.append(name)
            first = len(wanted)
            wanted += mine
            drawn = [library.pictures[i].style for i in mine]
            self._weights.append(favoured if "drawn" in drawn else 1.0)
            for key, style in STYLES.items():
                fitting = [first + k for k, how in enumerate(drawn) if not style.drawn or how in style.drawn]
                self._rows[key].append(fitting or list(range(first, len(wanted))))
        self._pieces = [library.pictures[i] for i in wanted]
        self._scene = torch.tensor([p.kind == "scene" for p in self._pieces])
        self._drawn = torch.tensor([p.style == "drawn" and p.kind == "piece" for p in self._pieces])
        self._rgba = torch.empty(len(wanted), 4, self._source, self._source, dtype=torch.uint8)
        for k in range(0, len(wanted), 64):
            part = library.rgba(wanted[k : k + 64], self._source)
            self._rgba[k : k + 64] = (part * 255).round().byte()
        self.captions = ["", NEUTRAL]
        self._captions: dict[str, list[list[int]]] = {style: [] for style in STYLES}
        for key, style in STYLES.items():
            for name in self.names:
                called = dict.fromkeys([name, ALSO.get(name, name)])
                said = [each.format(phrase(word)) for word in called for each in style.captions]
                start = len(self.captions)
                self.captions += said
                self._captions[key].append(list(range(start, start + len(said))))
        self._grounds: dict[str, Tensor] = {}

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures (count, 3, size, size) in [-1, 1], and the places of their captions (count,)."""
        chances = torch.tensor([style.share for style in STYLES.values()])
        kinds = torch.multinomial(chances, count, True, generator=generator).tolist()
        about = torch.multinomial(torch.tensor(self._weights), count, True, generator=generator).tolist()
        dice = torch.rand(count, 10, generator=generator)
        keys = [list(STYLES)[kind] for kind in kinds]
        rows, captions = [], []
        for key, name, (a, b, c) in zip(keys, about, dice[:, :3].tolist(), strict=True):
            fitting, said = self._rows[key][name], self._captions[key][name]
            rows.append(fitting[int(a * len(fitting))])
            captions.append(1 if key == "photo" and c < NEUTRAL_SHARE else said[int(b * len(said))])
        styles = [STYLES[key] for key in keys]
        x = self._composed(torch.tensor(rows), styles, dice[:, 3:])
        for treatment in sorted({style.treatment for style in styles} - {"plain"}):
            some = [k for k, style in enumerate(styles) if style.treatment == treatment]
            x[some] = TREATMENTS[treatment](x[some])
        x = functional.avg_pool2d(x, self._canvas // self.size) if self._canvas > self.size else x
        return x.clamp(0, 1) * 2 - 1, torch.tensor(captions)

    def _composed(self, rows: Tensor, styles: Sequence[Style], dice: Tensor) -> Tensor:
        """Pieces on their grounds and scenes, (N, 3, S, S) in [0, 1]; lengths are in half pictures."""
        a, b, c, d, e, f, g = dice.T
        scene, drawn = self._scene[rows], self._drawn[rows]
        scale = torch.where(scene, 1 + 0.4 * a * a, torch.where(drawn, 0.8 + 0.45 * a, 0.72 + 0.28 * a))
        # A scene fills its frame; head and shoulders stand on the lower edge; a piece is near the middle.
        room = torch.where(scene, (scale - 1).clamp(max=10 / 32), torch.where(drawn, 4 / 32, 5 / 32))
        right, down = room * (2 * b - 1), room * (2 * c - 1)
        down = torch.where(drawn, (scale - 1).abs() * torch.where(scale > 1, 2 * c - 1, 1.0), down)
        mirror = torch.where(d < 0.5, -1.0, 1.0)
        theta = torch.zeros(len(rows), 2, 3)
        theta[:, 0, 0], theta[:, 0, 2] = mirror / scale, -mirror * right / scale
        theta[:, 1, 1], theta[:, 1, 2] = 1 / scale, -down / scale
        side = self._canvas
        grid = functional.affine_grid(theta, [len(rows), 4, side, side], align_corners=False)
        # Bilinear at the rim of a scene would mix in what lies outside.
        cut = functional.grid_sample(
            self._rgba[rows].float() / 255, grid, padding_mode="border", align_corners=False
        )
        outside = ((grid.abs() > 1).any(-1) & ~scene[:, None, None])[:, None]
        cut = cut.masked_fill(outside, 0)
        ground = torch.stack(
            [self._ground(style.ground)[int(k)] for style, k in zip(styles, e * GROUNDS, strict=True)]
        )
        reach = max(1, round(2.5 * side / 64))
        lit = torch.tensor([style.ground != "white" for style in styles])[:, None, None, None]
        shadow = functional.avg_pool2d(cut[:, 3:], 2 * reach + 1, 1, reach)
        ground = ground * (1 - 0.35 * lit * torch.roll(shadow, (reach, reach // 2), (2, 3)))
        x = ground * (1 - cut[:, 3:]) + cut[:, :3]
        dark = f * f * torch.tensor([style.lit for style in styles])
        light = torch.stack([1 - 0.6 * dark, 1 - dark * (0.9 + 0.5 * g), 1 - dark * (0.9 + g)], 1)
        return x * light[:, :, None, None]

    def _ground(self, kind: str) -> Tensor:
        if kind not in self._grounds:
            self._grounds[kind] = torch.stack([backdrop(kind, self._canvas, k) for k in range(GROUNDS)])
        return self._grounds[kind]
