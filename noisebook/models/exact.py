"""``exact``: text to pictures with no training, by the closed form over a library of pictures.

A prompt becomes a bank: a few hundred variants (places, sizes, mirror images, backdrops) of the pictures
whose names are nearest to its words, treated as its style word says, each with a prior. The
estimate of the noise is the bank's posterior mean over windows (:mod:`noisebook.diffusion.exact`). Without
words the bank is a fixed sample of the whole library.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.cells.contract import derive_seed
from noisebook.cells.folders import find
from noisebook.diffusion import exact
from noisebook.diffusion.denoiser import Enlarge, Prompt
from noisebook.diffusion.exact import Windows
from noisebook.diffusion.schedules import implied_noise, squared_cosine
from noisebook.models.library import Library, open_library
from noisebook.models.lock import Entry
from noisebook.models.styles import TREATMENTS, backdrop
from noisebook.models.text import SHIPPED, Text

LOOK = Windows(base=12.0, slope=8.0, whole=4.0, keep=64)
LOOK_CLOSER = Windows(base=9.0, slope=9.0)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that determines the pictures besides library, prompt and noise.

    Attributes:
        variants: pictures in a prompt's bank.
        sample: pictures in the bank without words, drawn from the whole library.
        names: how many names a prompt may reach.
        margin: names that are less similar to the prompt than the nearest one by more than this are left out.
        certainty: log prior per unit of cosine similarity between the prompt and a picture's name.
        share: in guidance, the least part that a prompt's own bank has in the estimate without words. A
            closed form is far surer than a network, and γ multiplies what it is sure of: at γ = 7 and a
            share of 0 a place that fits other pictures better would be thrown six times as far the other way.
        doubt: divides the evidence, in nats, for the prompt's own bank against the whole library.
        far: similarity below which a prompt counts as far from anything known.
        windows, enlarging: how far a place looks around, in stage I and in stage II.
        faith: standard deviation of the small picture that stage II trusts, per channel.
        candidates: pictures of 256 pixels that stage II considers for one small picture.
    """

    variants: int = 720
    sample: int = 1000
    names: int = 10
    margin: float = 0.15
    certainty: float = 40.0
    share: float = 0.9
    doubt: float = 8.0
    far: float = 0.57
    windows: Windows = LOOK
    enlarging: Windows = LOOK_CLOSER
    faith: float = 0.15
    candidates: int = 40


MOST_BANKS = 24
"""Banks kept in memory; each takes some 35 MB once it is drawn."""

STYLE_WORDS: dict[str, str] = {
    "oil": r"oil (?:painting|paint|on canvas)|painting",
    "lithograph": r"lithograph|etching|engraving|woodcut",
    "pencil": r"pencil (?:drawing|sketch)|sketch|line drawing|charcoal drawing",
    "photo": r"photo(?:graph)?|picture|image",
    "render": r"3d (?:render(?:ing)?|model)|render(?:ing)?",
    "flat": r"flat (?:icon|design|illustration)",
    "cartoon": r"cartoon|emoji|illustration",
    "icon": r"icon|pictogram|symbol",
    "drawing": r"drawing|clip ?art",
}
PRAISE = (
    r"(?:(?:very |extremely )?"
    r"(?:high[ -](?:quality|resolution)|good|beautiful|detailed|professional|simple|nice)[ ,]+)*"
)
SKY_WORDS: dict[str, str] = {
    "night": r"night|midnight|starry|space|galaxy|moonlit",
    "sunset": r"sunset|dusk|dawn|sunrise|evening",
    "snow": r"snow|snowy|winter|ice|arctic",
    "sea": r"sea|ocean|beach|coast|harbou?r|lake",
    "forest": r"forest|jungle|woods|garden|meadow",
    "desert": r"desert|dunes?|savanna",
    "sky": r"sky|clouds?|flying",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt taken apart: how, what, and in front of what. An empty subject asks for anything."""

    style: str
    subject: str
    sky: str = ""


def understand(prompt: str) -> Request:
    """Take a prompt apart: "an oil painting of an old man" is oil, "old man"; 🚀 is "rocket"."""
    named = [f" {unicodedata.name(c, c).lower()} " if unicodedata.category(c) == "So" else c for c in prompt]
    words = re.sub(r"\s+", " ", "".join(named)).strip()
    style = "plain"
    for name, pattern in STYLE_WORDS.items():
        pattern = rf"(?:\b(?:in the style of )?(?:an?|the) )?\b{PRAISE}(?:{pattern})s?\b(?: of)?[ ,]*"
        shorter, count = re.subn(pattern, " ", words, count=1, flags=re.IGNORECASE)
        if count:
            style, words = name, re.sub(r"\s+", " ", shorter).strip(" ,.")
            break
    words = re.sub(r"^(?:an?|the|some) ", "", words, flags=re.IGNORECASE)
    sky = next(
        (kind for kind, p in SKY_WORDS.items() if re.search(rf"\b(?:{p})\b", words, re.IGNORECASE)), ""
    )
    return Request(style, words, sky)


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

    nearest: float = 1.0
    """Cosine similarity of the prompt to the nearest name."""

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
    def coarse(self) -> Tensor:
        """Means over cells of 8 × 8, (N, 3, 8, 8)."""
        return exact.pooled(self.pictures(64), 8)


def render(library: Library, variants: Sequence[Variant], size: int) -> Tensor:
    """The variants' pictures, (N, 3, size, size) in [0, 1]."""
    wanted = sorted({variant.picture for variant in variants})
    # Twice the size is sharp enough, and costs a quarter of 256 where pictures are small.
    sources = dict(zip(wanted, library.rgba(wanted, min(256, 2 * size)), strict=True))
    out = torch.empty(len(variants), 3, size, size)
    for row, variant in enumerate(variants):
        source = sources[variant.picture]
        source = source.flip(2) if variant.mirror else source
        piece = library.pictures[variant.picture].kind == "piece"
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
        out[row] = ground * torch.tensor(variant.mood)[:, None, None]
    for style in {variant.style for variant in variants}:
        rows = [row for row, variant in enumerate(variants) if variant.style == style]
        for start in range(0, len(rows), 64):
            part = rows[start : start + 64]
            out[part] = TREATMENTS.get(style, TREATMENTS["plain"])(out[part])
    return out.clamp(0, 1)


class Exact:
    """The embedded denoiser, stage I (64 pixels, from text) or stage II (256, from text and a picture).

    Attributes:
        image_size: 64 or 256.
        alphas_cumprod: DeepFloyd's cosine schedule, float64 (1000,).
    """

    def __init__(
        self, library: Library, text: Text, image_size: int = 64, settings: Settings | None = None
    ) -> None:
        self.library, self.text, self.image_size = library, text, image_size
        self.settings = settings or Settings()
        self.alphas_cumprod = squared_cosine()
        self.asked: set[str] = set()
        self._banks: dict[Request, Bank] = {}
        self._answers: list[tuple[str, Tensor, Tensor]] = []
        self._enlarged: list[tuple[str, Tensor, tuple[Tensor, Tensor]]] = []

    @cached_property
    def _names(self) -> Tensor:
        return torch.from_numpy(self.text.vectors(self.library.names))

    def similarity(self, prompt: str) -> float:
        """Cosine similarity of the prompt's subject to the nearest known name; 1 for a prompt without one."""
        subject = understand(prompt).subject
        return self._similarities(subject).max().item() if subject else 1.0

    def notes(self, prompt: str) -> dict[str, Any]:
        """What a reader should know of how a prompt was understood: nearest names, similarity, a warning."""
        request = understand(prompt)
        if not request.subject:
            return {"style": request.style, "subject": "", "nearest": [], "similarity": 1.0, "far": False}
        similar = self._similarities(request.subject)
        best = similar.topk(min(3, len(similar)))
        return {
            "style": request.style,
            "subject": request.subject,
            "nearest": [self.library.names[i] for i in best.indices.tolist()],
            "similarity": round(best.values[0].item(), 3),
            "far": best.values[0].item() < self.settings.far,
        }

    def _similarities(self, subject: str) -> Tensor:
        return self._names @ torch.from_numpy(self.text.vectors([subject]))[0]

    def bank(self, prompt: str) -> Bank:
        """The pictures that a prompt asks for."""
        request = understand(prompt)
        bank = self._banks.pop(request, None)
        if bank is None:
            bank = self._asked(request) if request.subject else self._anything(request)
        self._banks[request] = bank  # last used, last forgotten
        while len(self._banks) > MOST_BANKS:
            del self._banks[next(iter(self._banks))]
        return bank

    def _anything(self, request: Request) -> Bank:
        generator = torch.Generator().manual_seed(derive_seed(0, "anything", request.style))
        count = min(self.settings.sample, 4 * len(self.library.pictures))
        order = torch.randperm(len(self.library.pictures), generator=generator).tolist()
        variants = [self._variant(order[i % len(order)], request, generator) for i in range(count)]
        return Bank(self.library, variants, torch.full((count,), -math.log(count)))

    def _asked(self, request: Request) -> Bank:
        settings = self.settings
        similar = self._similarities(request.subject)
        best = similar.topk(min(settings.names, len(similar)))
        count = int((best.values >= best.values[0] - settings.margin).sum())
        indices, values = best.indices[:count], best.values[:count]
        log_prior = torch.log_softmax(values * settings.certainty, 0)
        # Names that are unlikely get few variants, but keep their prior.
        effort = torch.softmax(values * settings.certainty * 0.7, 0)
        generator = torch.Generator().manual_seed(derive_seed(0, "bank", request.style, request.subject))
        variants: list[Variant] = []
        prior: list[float] = []
        for index, log_p, part in zip(indices.tolist(), log_prior.tolist(), effort.tolist(), strict=True):
            pictures = self.library.by_name[self.library.names[index]]
            weights = [self._fits(i, request.style) for i in pictures]
            count = round(part * settings.variants)
            if count == 0:
                continue
            for k in range(count):
                chosen = _quantile(weights, (k + 0.5) / count)
                variants.append(self._variant(pictures[chosen], request, generator))
            prior += [log_p - math.log(count)] * count
        logs = torch.tensor(prior)
        return Bank(self.library, variants, logs - logs.logsumexp(0), values[0].item())

    def _fits(self, picture: int, style: str) -> float:
        """How much of a style's variants come from this picture, beside the others of its name."""
        drawn = self.library.pictures[picture].style
        if style == "plain":
            return 1.0
        if style in ("photo", "render"):
            return {"3d": 1.0, "drawn": 2.0, "own": 2.0}.get(drawn, 1e-3)
        return 1.0 if drawn in (style, "drawn", "own") else 0.1

    def _variant(self, picture: int, request: Request, generator: torch.Generator) -> Variant:
        a, b, c, d, e, f, g = torch.rand(7, generator=generator).tolist()
        seed = int(e * 24)
        mood = (1.0, 1.0, 1.0)
        if request.style in ("oil", "photo"):  # from full daylight to the glow of a fire
            dark = f * f * (0.18 if request.style == "oil" else 0.10)
            mood = (1 - dark * 0.6, 1 - dark * (0.9 + 0.5 * g), 1 - dark * (0.9 + 1.0 * g))
        if self.library.pictures[picture].kind == "scene":
            return Variant(
                picture,
                1 + 0.4 * a * a,
                20 * (b - 0.5),
                20 * (c - 0.5),
                d < 0.5,
                "white",
                seed,
                request.style,
                mood,
            )
        drawn = self.library.pictures[picture].style == "drawn"
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

    def embed(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts; their banks are made once and kept."""
        self.asked.update(str(getattr(prompt, "text", prompt)) for prompt in prompts)
        return list(prompts)

    def heard(self, params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Notes on every prompt in a cell's parameters: what its record says of how it was understood."""
        return {value: self.notes(value) for value in texts(params) if value in self.asked}

    def predict(self, x_t: Tensor, t: int, conditioning: Sequence[Prompt]) -> tuple[Tensor, None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`."""
        if len(conditioning) != len(x_t):
            raise ValueError(f"{len(x_t)} pictures, {len(conditioning)} prompts")
        alpha = float(self.alphas_cumprod[t])
        sigma = exact.noise_of(alpha)
        y = x_t.float() / math.sqrt(alpha)
        estimate = self._enlarge if self.image_size == 256 else self._estimate
        self._answers.clear()
        x_0 = torch.stack([estimate(row, sigma, prompt) for row, prompt in zip(y, conditioning, strict=True)])
        return implied_noise(x_t, x_0, alpha), None

    def _posterior(self, y: Tensor, sigma: float, prompt: str) -> Tensor:
        """The bank's answer, asked for once where both branches of guidance need it."""
        for known, place, answer in self._answers:
            if known == prompt and torch.equal(place, y):
                return answer
        answer = posterior(y, sigma, self.bank(prompt), self.settings.windows)
        self._answers.append((prompt, y, answer))
        return answer

    def _estimate(self, y: Tensor, sigma: float, prompt: Prompt) -> Tensor:
        windows = self.settings.windows
        here = self._posterior(y, sigma, str(prompt))
        beside = getattr(prompt, "beside", "")
        if prompt or not beside:
            return here
        asked = self.bank(beside)
        doubt = self.settings.doubt
        odds = evidence(y, sigma, asked, windows) - evidence(y, sigma, self.bank(prompt), windows)
        share = self.settings.share + (1 - self.settings.share) / (1 + math.exp(-max(-500.0, odds / doubt)))
        return torch.lerp(here, self._posterior(y, sigma, beside), share)

    def _enlarge(self, y: Tensor, sigma: float, prompt: Prompt) -> Tensor:
        """Stage II: the bank's pictures at 256, chosen by the small picture first and by ``y`` second.

        What the bank cannot explain of the small picture is added as it is, enlarged. Guidance has nothing to
        push away from: with the small picture given, both branches weigh the same bank.
        """
        if not isinstance(prompt, Enlarge):
            raise ValueError("the second stage enlarges a picture: it needs one beside its prompt")
        small = prompt.picture.float()
        text = prompt.text or getattr(prompt.text, "beside", "")
        log_prior, pictures = self._candidates(text, small)
        windows = self.settings.enlarging
        width = min(windows.width(sigma, 256), 127)
        logits = log_prior + exact.local_logits(y, pictures, sigma, width, 4, windows.temperature)
        x_0 = exact.mix(logits, pictures)
        missed = small - exact.pooled(x_0[None], 256 // small.shape[-1])[0]
        return x_0 + functional.interpolate(missed[None], size=(256, 256), mode="bicubic")[0]

    def _candidates(self, text: str, small: Tensor) -> tuple[Tensor, Tensor]:
        """For a small picture (3, 64, 64): the pictures of 256 that some place of it could be,
        (N, 3, 256, 256), and how likely each is there, as logarithms (N, 64, 64)."""
        for known, kept, found in self._enlarged:
            if known == text and (kept is small or torch.equal(kept, small)):
                return found
        settings, bank = self.settings, self.bank(text)
        pictures = bank.pictures(64)
        some = exact.promising(small, bank.coarse, bank.prior, settings.faith, settings.enlarging, 64, 160)
        logits = bank.prior[some][:, None, None] + exact.local_logits(
            small, pictures[some], settings.faith, 11, 1
        )
        best = logits.softmax(0).amax((1, 2)).topk(min(settings.candidates, len(some))).indices.sort().values
        large = render(self.library, [bank.variants[i] for i in some[best].tolist()], 256) * 2 - 1
        found = (logits[best].log_softmax(0), large)
        self._enlarged = [*self._enlarged[-11:], (text, small, found)]
        return found


def evidence(y: Tensor, sigma: float, bank: Bank, windows: Windows) -> float:
    """Log evidence of a bank for the whole picture, judged at low resolution, up to a constant of ``y``."""
    cell = y.shape[-1] // bank.coarse.shape[-1]
    distance = (bank.coarse - exact.pooled(y[None], cell)).square().sum((1, 2, 3)) * cell**2
    return (bank.prior - distance / (2 * sigma**2 * windows.temperature)).logsumexp(0).item()


def posterior(y: Tensor, sigma: float, bank: Bank, windows: Windows) -> Tensor:
    """x̂_0 of one picture (3, 64, 64) under a bank."""
    size = y.shape[-1]
    width = windows.width(sigma, size)
    if width >= size:
        pictures = bank.pictures(size)
        logits = bank.prior + exact.whole_logits(y[None], pictures, bank.norms, sigma, windows.temperature)[0]
        return (torch.softmax(logits, 0) @ pictures.flatten(1)).view_as(y)
    chosen = exact.promising(
        y, bank.coarse, bank.prior, sigma, windows, size, windows.keep or len(bank.prior)
    )
    pictures = bank.pictures(size)[chosen]
    cell = 4 if width >= 24 else 2 if width >= 12 else 1
    prior = bank.prior[chosen][:, None, None]
    return exact.mix(
        prior + exact.local_logits(y, pictures, sigma, width, cell, windows.temperature), pictures
    )


def texts(value: Any) -> Iterator[str]:
    """Every text in nested parameters."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)


def _quantile(weights: Sequence[float], place: float) -> int:
    """The index at which the running share of ``weights`` passes ``place`` in 0 … 1."""
    total, so_far = sum(weights), 0.0
    for index, weight in enumerate(weights):
        so_far += weight / total
        if place <= so_far:
            return index
    return len(weights) - 1


def load(name: str, entry: Entry, root: Path) -> Exact:
    """``exact/stage1`` or ``exact/stage2`` of a lock file. Raises MissingModel or BadPicture."""
    size = 256 if name.endswith("stage2") else 64
    return Exact(open_library(name, entry, root), Text(find(root, SHIPPED)), size)
