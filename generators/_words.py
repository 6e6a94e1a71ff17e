"""What a page needs to draw pictures from words: subjects, their banks and the process, as data; and the same
pictures by torch.

A bank in a page is that of ``exact`` for one name, with fewer variants, all of them weighed: which picture
stands where is told by tables that every subject of a style shares.

Heavy: imported by ``run`` alone.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from noisebook.cells.contract import Json
from noisebook.diffusion.estimates import Estimate, averaged, guided, split
from noisebook.diffusion.filters import blur, gaussian_kernel
from noisebook.diffusion.posterior import Transition, ancestral
from noisebook.diffusion.sampling import finish, generators, reverse
from noisebook.diffusion.schedules import alphas_at, forward, strided
from noisebook.diffusion.thresholding import dynamic
from noisebook.diffusion.views import VIEWS
from noisebook.models import bank as banks
from noisebook.models.captions import STYLES, phrase
from noisebook.models.exact import Exact, posterior
from noisebook.models.library import Library, Picture
from noisebook.models.local_posterior import Windows, noise_of
from noisebook.models.prompts import understand
from noisebook.models.styles import TREATMENTS, backdrop
from noisebook.models.text import Text
from noisebook.networks.mnist.portable import normal

from ._subjects import subjects

SIZE = 64
GROUNDS = 24
"""Backdrops of a kind: a variant's seed lies below."""
MOST_BYTES = 290_000
"""Of a subject's pictures. Where there are more, every so many of each way to draw are taken."""
STRIDES = (60, 30, 15, 10)
LOWPASS = (33, 2.0)
"""Taps and σ of the hybrid's blur, those of generators/hybrid.py."""
SEEN = ("flip", "half turn", "quarter turn")
FIRST = 990


class _Alike:
    """Stands for the text encoder where there is one name, and words have nothing to choose."""

    def vectors(self, texts: Sequence[str]) -> Any:
        return np.ones((len(texts), 1), np.float32)


class Words:
    """The subjects that a page offers, and how their banks are made.

    Attributes:
        names: of the subjects, sorted.
    """

    def __init__(self, library: Library, count: int, names: Sequence[str] = ()) -> None:
        """
        Args:
            library: Noisebook's own.
            count: pictures in a bank.
            names: the subjects; without them all of one word that five styles draw, those by which models
                are judged, and those with pictures of this project's own.

        Raises:
            ValueError: for a library in a folder, or a name that it lacks.
        """
        if library.path.is_dir():
            raise ValueError("pictures from words are cut out of Noisebook's own library, not a folder's")
        self.library = library
        self.settings = replace(banks.Settings(), names=1, variants=count)
        self.settings = replace(self.settings, windows=replace(self.settings.windows, keep=0))
        if missing := sorted(set(names) - set(library.names)):
            raise ValueError(f"the library has no {', '.join(missing)}")
        own = {p.name for p in library.pictures if p.style in ("drawn", "photograph", "oil", "lithograph")}
        short = {name for name in library.names if " " not in name and len(self._styles(name)) >= 5}
        plain = {name for name in short | set(subjects(library)) if understand(name).style == "plain"}
        self.names = sorted(names or own | plain, key=str.lower)
        archives = [zipfile.ZipFile(path) for path in (library.path, *library.more)]
        self._archives = {name: archive for archive in archives for name in archive.namelist()}
        self._pictures: dict[str, list[int]] = {}
        self._shares: dict[tuple[Json, ...], tuple[list[int], str]] = {}

    def _styles(self, name: str) -> set[str]:
        return {self.library.pictures[index].style for index in self.library.by_name[name]}

    def phrase(self, name: str) -> str:
        """A name as it stands in a caption."""
        return name if name.startswith("a ") else phrase(name)

    def prompt(self, name: str, style: str) -> str:
        """ "an oil painting of a castle"."""
        return STYLES[style].captions[0].format(self.phrase(name))

    def pictures(self, name: str) -> list[int]:
        """Indices of a subject's pictures: those that travel."""
        if name not in self._pictures:
            self._pictures[name] = list(self._chosen(name))
        return self._pictures[name]

    def _chosen(self, name: str) -> Iterator[int]:
        groups = itertools.groupby(self.library.by_name[name], lambda i: self.library.pictures[i].style)
        sizes = {index: len(self.data(index)) for index in self.library.by_name[name]}
        some = min(1.0, MOST_BYTES / sum(sizes.values()))
        for _, group in groups:
            indices = list(group)
            count = max(1, int(some * len(indices)))
            yield from (indices[k * len(indices) // count] for k in range(count))

    def data(self, index: int) -> bytes:
        """A picture's file as it stands in the library."""
        file = self.library.pictures[index].file
        return self._archives[file].read(file)

    def _variants(self, pictures: Sequence[Picture], prompt: str) -> list[banks.Variant]:
        """The bank of ``prompt`` over some pictures of one name."""
        own = Library(self.library.path, pictures, self.library.more)
        return banks.Banks(own, cast(Text, _Alike()), self.settings).of(prompt).variants

    @cached_property
    def tables(self) -> tuple[list[Json], dict[tuple[str, str, str], int]]:
        """Where the variants stand, for each style and kind of picture, and which table is whose.

        A row is [side, left, top, mirrored, backdrop, red, green, blue]: pixels of 64, and gains.
        """
        tables: list[Json] = []
        place: dict[tuple[str, str, str], int] = {}
        pictures = (self.library.pictures[i] for name in self.names for i in self.pictures(name))
        kinds = sorted({(picture.style, picture.kind) for picture in pictures})
        for style, (made, kind) in itertools.product(STYLES, kinds):
            picture = Picture("thing", made, cast(Any, kind), "")
            variants = self._variants([picture], self.prompt("thing", style))
            table = {
                "treatment": variants[0].style,
                "ground": variants[0].ground if kind == "piece" else "white",
                "scene": kind == "scene",
                "rows": [_row(variant) for variant in variants],
            }
            if table not in tables:
                tables.append(table)
            place[style, made, kind] = tables.index(table)
        return tables, place

    def shares(self, name: str, style: str) -> tuple[list[int], str]:
        """How many variants each of a subject's pictures has, and the backdrop of those that are pieces."""
        pictures = [self.library.pictures[index] for index in self.pictures(name)]
        prompt = self.prompt(name, style)
        alike = (style, understand(prompt).sky, *((each.style, each.kind) for each in pictures))
        if alike not in self._shares:
            variants = self._variants(pictures, prompt)
            counts = [0] * len(pictures)
            for variant in variants:
                counts[variant.picture] += 1
            grounds = {each.ground for each in variants if pictures[each.picture].kind == "piece"}
            self._shares[alike] = counts, grounds.pop() if grounds else ""
        return self._shares[alike]

    def bank(self, name: str, style: str) -> banks.Bank:
        """What a page's bank holds."""
        tables, place = self.tables
        pictures = self.pictures(name)
        counts, ground = self.shares(name, style)
        order = [index for index, count in zip(pictures, counts, strict=True) for _ in range(count)]
        variants = []
        for row, index in enumerate(order):
            picture = self.library.pictures[index]
            table = tables[place[style, picture.style, picture.kind]]
            side, left, top, mirror, seed, *mood = table["rows"][row % len(table["rows"])]
            gap = (SIZE - side) / 2
            behind = "white" if table["scene"] else ground or table["ground"]
            variants.append(
                banks.Variant(
                    index, side / SIZE, left - gap, top - gap, bool(mirror), behind, seed,
                    table["treatment"], cast(Any, tuple(mood) or (1.0, 1.0, 1.0)),
                )
            )  # fmt: skip
        prior = torch.full((len(variants),), -math.log(len(variants)))
        return banks.Bank(self.library, variants, prior, self.settings.windows)


def _row(variant: banks.Variant) -> list[Json]:
    side = max(4, round(SIZE * variant.scale))
    left, top = (round((SIZE - side) / 2 + shift) for shift in (variant.right, variant.down))
    row: list[Json] = [side, left, top, int(variant.mirror), variant.seed]
    return row if variant.mood == (1.0, 1.0, 1.0) else row + [round(gain, 3) for gain in variant.mood]


class Asked(Exact):
    """``exact`` over the banks of a page; a prompt is (name, style)."""

    def __init__(self, words: Words) -> None:
        super().__init__(words.library, cast(Text, _Alike()), SIZE, words.settings)
        self.words, self.known = words, dict[tuple[str, str], banks.Bank]()

    def bank(self, prompt: Any) -> banks.Bank:
        """The pictures of a subject in a style."""
        if prompt not in self.known:
            self.known[prompt] = self.words.bank(*prompt)
        return self.known[prompt]

    def _estimate(self, y: Tensor, sigma: float, prompt: Any) -> Tensor:
        return posterior(y, sigma, self.bank(prompt), self.bank(prompt))


@dataclass(frozen=True)
class Settings:
    """What a reader asks for.

    Attributes:
        mode: picture, anagram, hybrid (far, near) or sketch.
        prompts: one, or two: (name, style).
        seed: of the portable noise.
        stride: between timesteps.
        view: the anagram's second.
        sketch: (3, 64, 64) in [-1, 1], where ``mode`` is sketch.
        start: index of the timestep at which it begins there.
    """

    mode: str
    prompts: Sequence[tuple[str, str]]
    seed: int = 0
    stride: int = 30
    view: str = "flip"
    sketch: Tensor | None = None
    start: int = 0


def draw(model: Asked, asked: Settings) -> Tensor:
    """The picture (3, 64, 64) in [-1, 1] that templates/words-model.js draws for the same settings."""
    chosen = strided(FIRST, asked.stride)[asked.start :]
    shape = (1, 3, SIZE, SIZE)
    noise = iter(normal(asked.seed, len(chosen) * 3 * SIZE**2).view(-1, *shape))
    small = ancestral("small")

    def step(now: Transition) -> Tensor:
        return small(replace(now, draw=lambda: next(noise)))

    each: list[Estimate] = [guided(model, [prompt]) for prompt in asked.prompts]
    if asked.mode == "anagram":
        each = [averaged(each, [VIEWS["identity"], VIEWS[asked.view]])]
    elif asked.mode == "hybrid":
        each = [split(each[0], each[1], lambda x: blur(x, *LOWPASS))]
    x = next(noise)
    if asked.sketch is not None:
        x = forward(asked.sketch[None], alphas_at(model.alphas_cumprod, chosen)[0], x)
    ended = finish(reverse(x, chosen, model.alphas_cumprod, each[0], generators([0]), step=step))
    return ended[0].clamp(-1, 1)


def window(windows: Windows, sigma: float) -> list[int]:
    """[cell, reach]: evidence is summed in cells of so many pixels, so many cells to each side; nothing where
    the window is the whole picture. As :func:`noisebook.models.exact.posterior` has it."""
    width = windows.width(sigma, SIZE)
    if width >= SIZE:
        return []
    cell = 4 if width >= 24 else 2 if width >= 12 else 1
    return [cell, (max(1, round(width / cell)) | 1) // 2]


def processes(model: Asked) -> dict[str, Json]:
    """By its number of steps: timesteps, ᾱ of each and of the end, and the windows."""
    found: dict[str, Json] = {}
    for stride in STRIDES:
        chosen = strided(FIRST, stride)
        alphas = alphas_at(model.alphas_cumprod, chosen)
        found[str(len(chosen))] = {
            "timesteps": chosen,
            "alphas": alphas,
            "windows": [window(model.settings.windows, noise_of(alpha)) for alpha in alphas[:-1]],
        }
    return found


def constants(model: Asked) -> dict[str, Json]:
    """What the process of a page must know besides: threshold, views, blur."""
    limits = inspect.signature(dynamic).parameters
    places = torch.arange(SIZE**2).view(1, SIZE, SIZE)
    return {
        "size": SIZE,
        "threshold": {name: limits[name].default for name in ("ratio", "largest")},
        "views": {view: VIEWS[view].apply(places).flatten().tolist() for view in SEEN},
        "lowpass": gaussian_kernel(*LOWPASS).tolist(),
        "processes": processes(model),
    }


def offered(words: Words) -> tuple[dict[str, Json], dict[str, list[str]]]:
    """Subjects, the tables of their variants, and which part of a bank each picture has; and by the sha256 of
    a subject's files, one after another, their names in the library."""
    tables, place = words.tables
    kinds = sorted({(made, kind) for _, made, kind in place})
    patterns: list[list[int]] = []
    found, bundles = [], {}
    for name in words.names:
        pictures = [words.library.pictures[index] for index in words.pictures(name)]
        files = [words.data(index) for index in words.pictures(name)]
        sha256 = hashlib.sha256(b"".join(files)).hexdigest()
        bundles[sha256] = [picture.file for picture in pictures]
        shares, skies = {}, {}
        for style in STYLES:
            if understand(words.prompt(name, style)).style != style:
                continue
            counts, ground = words.shares(name, style)
            if counts not in patterns:
                patterns.append(counts)
            shares[style] = patterns.index(counts)
            usual = {tables[place[style, each.style, each.kind]]["ground"] for each in pictures} - {"white"}
            if ground not in ("", "white", *usual):
                skies[style] = ground
        found.append(
            {
                "name": name,
                "phrase": words.phrase(name),
                "bundle": sha256[:16],
                "sizes": [len(data) for data in files],
                "kinds": [kinds.index((picture.style, picture.kind)) for picture in pictures],
                "shares": shares,
                "grounds": skies,
            }
        )
    data = {
        "tables": tables,
        "place": {style: [place[style, *kind] for kind in kinds] for style in STYLES},
        "patterns": patterns,
        "subjects": found,
        "styles": {style: STYLES[style].captions[0] for style in STYLES},
    }
    return data, bundles


def ground_sheet(kind: str) -> Tensor:
    """The backdrops of a kind below one another, (3, 24·64, 64) in [0, 1]."""
    return torch.cat([backdrop(kind, SIZE, seed) for seed in range(GROUNDS)], 1)


def used(data: Mapping[str, Json]) -> tuple[list[str], list[str]]:
    """The treatments and the backdrops that some bank needs."""
    treatments = {table["treatment"] for table in data["tables"]} & (TREATMENTS.keys() - {"plain"})
    grounds = {table["ground"] for table in data["tables"]}
    grounds |= {ground for each in data["subjects"] for ground in each["grounds"].values()}
    return sorted(treatments), sorted(grounds - {"white"})
