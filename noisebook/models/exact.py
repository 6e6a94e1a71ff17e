"""``exact``: text to pictures with no training, by the closed form over a library of pictures.

A prompt becomes a bank of pictures with priors (:mod:`noisebook.models.bank`). The estimate of the noise is
the bank's posterior mean over windows (:mod:`noisebook.models.local_posterior`). Without words the bank is a
fixed sample of the whole library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.cells.folders import find
from noisebook.diffusion.denoiser import Denoiser, Enlarge, Prompt
from noisebook.diffusion.schedules import implied_noise, squared_cosine
from noisebook.models import local_posterior, pieces, relit
from noisebook.models.bank import LIGHT, Bank, Banks, Settings, render
from noisebook.models.library import Library, open_library
from noisebook.models.lock import Entry
from noisebook.models.prompts import texts, understand
from noisebook.models.text import SHIPPED, Text

IN_PLACE = 150.0
"""Log prior odds that a photograph is one of the library in its place, rather than joined from its pieces: so
that a sample, which is made of the library's, stays one though it is softer than they are."""
LEAST = 1e-3
"""A part of less weight is not computed."""


@dataclass(frozen=True, slots=True)
class Against:
    """The null prompt, or a negative one, as guidance compares ``prompt`` with it.

    The bank of ``text`` is a sample of all pictures; here it counts as one that holds the prompt's own too.
    """

    text: str
    prompt: str


class Exact(Denoiser):
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
        self.banks = Banks(library, text, self.settings)
        self._read: set[str] = set()
        self._answers: list[tuple[Prompt, Tensor, Tensor]] = []
        self._enlarged: list[tuple[str, Tensor, tuple[Tensor, Tensor]]] = []

    def bank(self, prompt: str) -> Bank:
        """The pictures that a prompt describes."""
        return self.banks.of(prompt)

    def notes(self, prompt: str) -> dict[str, Any]:
        """What a reader should know of how a prompt was understood: nearest names, similarity, a warning."""
        request = understand(prompt)
        if not request.subject:
            return {"style": request.style, "subject": "", "nearest": [], "similarity": 1.0, "far": False}
        similar = self.banks.similarities(request.subject)
        best = similar.topk(min(3, len(similar)))
        return {
            "style": request.style,
            "subject": request.subject,
            "nearest": [self.library.names[i] for i in best.indices.tolist()],
            "similarity": round(best.values[0].item(), 3),
            "far": best.values[0].item() < self.settings.far,
        }

    def prompt_notes(self, params: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Notes on every prompt in a cell's parameters: what its record says of how it was understood."""
        return {value: self.notes(value) for value in texts(params) if value in self._read}

    def embed(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts; their banks are made once and kept."""
        self._read.update(str(getattr(prompt, "text", prompt)) for prompt in prompts)
        return list(prompts)

    def unconditional(self, prompts: Sequence[Prompt], negative_prompt: str = "") -> list[Prompt]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`.

        Stage II has nothing to move away from: with the small picture given, both branches weigh one bank.
        """
        if self.image_size == 256:
            return list(prompts)
        return [Against(negative_prompt, str(prompt)) for prompt in prompts]

    def predict(self, x_t: Tensor, t: int, conditioning: Sequence[Prompt]) -> tuple[Tensor, None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`."""
        if len(conditioning) != len(x_t):
            raise ValueError(f"{len(x_t)} pictures, {len(conditioning)} prompts")
        alpha = float(self.alphas_cumprod[t])
        sigma = local_posterior.noise_of(alpha)
        y = x_t.float() / math.sqrt(alpha)
        estimate = self._enlarge if self.image_size == 256 else self._estimate
        self._answers.clear()
        x_0 = torch.stack([estimate(row, sigma, prompt) for row, prompt in zip(y, conditioning, strict=True)])
        return implied_noise(x_t, x_0, alpha), None

    def _once(self, prompt: Prompt, y: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """An answer that both branches of guidance need, computed once in a call."""
        for known, place, answer in self._answers:
            if known == prompt and torch.equal(place, y):
                return answer
        answer = compute()
        self._answers.append((prompt, y, answer))
        return answer

    def _posterior(self, y: Tensor, sigma: float, text: str, like: Bank | None = None) -> Tensor:
        """With the windows, the light and the pieces of ``like``, where two banks are compared."""
        like = like or self.bank(text)

        def library() -> Tensor:
            return self._once((text, like.light), y, lambda: posterior(y, sigma, self.bank(text), like))

        if not like.cuts or sigma >= pieces.BELOW:
            return library()
        share = self._once(("in its place", like.light), y, lambda: in_its_place(y, sigma, like))
        if share > 1 - LEAST:
            return library()
        joined = self._once(("joined", like.light), y, lambda: from_pieces(y, sigma, like))
        return joined if share < LEAST else torch.lerp(joined, library(), share)

    def _estimate(self, y: Tensor, sigma: float, prompt: Prompt) -> Tensor:
        """Stage I: the posterior mean of the prompt's bank.

        In guidance the null prompt's is mixed with it, by the evidence for either, ``share`` of it at least.
        """
        if not isinstance(prompt, Against):
            return self._posterior(y, sigma, str(prompt))
        if not prompt.prompt:
            return self._posterior(y, sigma, prompt.text)
        settings = self.settings
        own, every = self.bank(prompt.prompt), self.bank(prompt.text)
        here = self._posterior(y, sigma, prompt.text, own)
        odds = evidence(y, sigma, own) - evidence(y, sigma, every)
        likely = 1 / (1 + math.exp(-max(-500.0, odds / settings.evidence_temperature)))
        share = settings.share + (1 - settings.share) * likely
        return torch.lerp(here, self._posterior(y, sigma, prompt.prompt), share)

    def _enlarge(self, y: Tensor, sigma: float, prompt: Prompt) -> Tensor:
        """Stage II: the bank's pictures at 256, chosen by the small picture first and by ``y`` second.

        What the bank cannot explain of the small picture is added as it is, enlarged.
        """
        if not isinstance(prompt, Enlarge):
            raise ValueError("the second stage enlarges a picture: it needs one beside its prompt")
        return self._once(prompt, y, lambda: self._enlarged_mean(y, sigma, prompt))

    def _enlarged_mean(self, y: Tensor, sigma: float, prompt: Enlarge) -> Tensor:
        small = prompt.picture.float()
        log_prior, pictures = self._candidates(prompt.text, small)
        windows = self.settings.enlarging
        width = min(windows.width(sigma, 256), 127)
        logits = log_prior + local_posterior.local_logits(y, pictures, sigma, width, 4, windows.temperature)
        x_0 = local_posterior.mix(logits, pictures)
        missed = small - local_posterior.pooled(x_0[None], 256 // small.shape[-1])[0]
        return x_0 + functional.interpolate(missed[None], size=(256, 256), mode="bicubic")[0]

    def _candidates(self, text: str, small: Tensor) -> tuple[Tensor, Tensor]:
        """For a small picture (3, 64, 64): the pictures of 256 that some place of it could be,
        (N, 3, 256, 256), and how likely each is there, as logarithms (N, 64, 64)."""
        for known, kept, found in self._enlarged:
            if known == text and (kept is small or torch.equal(kept, small)):
                return found
        settings, bank = self.settings, self.bank(text)
        pictures = bank.pictures(64)
        some = local_posterior.promising(
            small, bank.coarse, bank.prior, settings.small_sigma, settings.enlarging, 64, 160
        )
        logits = bank.prior[some][:, None, None] + local_posterior.local_logits(
            small, pictures[some], settings.small_sigma, 11, 1
        )
        best = logits.softmax(0).amax((1, 2)).topk(min(settings.candidates, len(some))).indices.sort().values
        large = render(self.library, [bank.variants[i] for i in some[best].tolist()], 256) * 2 - 1
        found = (logits[best].log_softmax(0), large)
        self._enlarged = [*self._enlarged[-11:], (text, small, found)]
        return found


def evidence(y: Tensor, sigma: float, bank: Bank) -> float:
    """Log evidence of a bank for the whole picture, judged at low resolution, up to a constant of ``y``."""
    cell = y.shape[-1] // bank.coarse.shape[-1]
    distance = (bank.coarse - local_posterior.pooled(y[None], cell)).square().sum((1, 2, 3)) * cell**2
    return (bank.prior - distance / (2 * sigma**2 * bank.windows.temperature)).logsumexp(0).item()


def in_its_place(y: Tensor, sigma: float, bank: Bank) -> Tensor:
    """How likely one picture (3, 64, 64) is of the bank's pictures in their places, rather than joined from
    their pieces: a number, as a tensor."""
    light, cuts = bank.light or LIGHT, bank.pieces[pieces.cell_of(sigma)]
    width, keep = pieces.SIDE * cuts.cell, bank.windows.keep
    some = relit.promising(y, bank.coarse, bank.prior, light, sigma, width, keep)
    small = local_posterior.pooled(torch.cat([y[None], bank.pictures(64)[some]]), cuts.cell)
    noise = sigma / cuts.cell
    whole = relit.evidence(small[0], small[1:], bank.prior[some], light, noise, pieces.SIDE)
    return torch.tensor(whole + IN_PLACE - pieces.evidence(y, cuts, light, sigma)).sigmoid()


def from_pieces(y: Tensor, sigma: float, bank: Bank) -> Tensor:
    """x̂_0 of one picture (3, 64, 64) that is joined from the bank's pieces."""
    return pieces.posterior_mean(y, bank.pieces[pieces.cell_of(sigma)], bank.light or LIGHT, sigma)


def posterior(y: Tensor, sigma: float, bank: Bank, like: Bank) -> Tensor:
    """x̂_0 of one picture (3, 64, 64) under a bank, with the windows and in the light of ``like``."""
    size, windows = y.shape[-1], like.windows
    if like.light:
        return relit.posterior_mean(
            y, bank.pictures(size), bank.coarse, bank.norms, bank.prior, like.light, sigma, windows
        )
    width = windows.width(sigma, size)
    if width >= size:
        pictures = bank.pictures(size)
        logits = (
            bank.prior
            + local_posterior.whole_logits(y[None], pictures, bank.norms, sigma, windows.temperature)[0]
        )
        return (torch.softmax(logits, 0) @ pictures.flatten(1)).view_as(y)
    chosen = local_posterior.promising(
        y, bank.coarse, bank.prior, sigma, windows, size, windows.keep or len(bank.prior)
    )
    pictures = bank.pictures(size)[chosen]
    cell = 4 if width >= 24 else 2 if width >= 12 else 1
    prior = bank.prior[chosen][:, None, None]
    return local_posterior.mix(
        prior + local_posterior.local_logits(y, pictures, sigma, width, cell, windows.temperature), pictures
    )


def load(name: str, entry: Entry, root: Path) -> Exact:
    """``exact/stage1`` or ``exact/stage2`` of a lock file. Raises MissingModel or BadPicture."""
    size = 256 if name.endswith("stage2") else 64
    return Exact(open_library(name, entry, root), Text(find(root, SHIPPED)), size)
