"""Judges that share nothing with the models they judge: how well a picture shows what a prompt asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.models.prompts import understand
from noisebook.models.text import Text

CLIP = "openai/clip-vit-base-patch32"
"""The CLIP that is looked for where no folder is named."""
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the channels of the pictures on which every CLIP was trained."""
FAR = 0.57
"""Cosine similarity to a prompt below which no subject of a judge is near it."""
ALIKE = 0.05
"""Subjects that are less similar to a prompt than the nearest by at most this mean the same."""


class Judge(Protocol):
    """Attributes: name, as the page has it."""

    name: str

    def scores(self, pictures: Tensor, prompt: str) -> Tensor | None:
        """How well each of the pictures (N, 3, S, S) in [-1, 1] shows what ``prompt`` asks for, (N,), higher
        is better; None if it cannot say."""


class SubjectJudge:
    """The report's classifier of pictograms: the log probability of the subjects that a prompt may mean.

    Args:
        subjects: their names, N of them.
        answers: pictures (B, 3, S, S) in [-1, 1] -> a logit for each subject, (B, N).
        text: vectors of words, by which a prompt finds its subjects.
    """

    name = "the judge of subjects"

    def __init__(self, subjects: Sequence[str], answers: Callable[[Tensor], Tensor], text: Text) -> None:
        self.answers, self.text = answers, text
        self._subjects = torch.from_numpy(text.vectors(subjects))

    def scores(self, pictures: Tensor, prompt: str) -> Tensor | None:
        """See :class:`Judge`; None for a prompt that is far from every subject."""
        subject = understand(prompt).subject
        if not subject:
            return None
        similar = self._subjects @ torch.from_numpy(self.text.vectors([subject]))[0]
        if float(similar.max()) < FAR:
            return None
        meant = similar >= similar.max() - ALIKE
        return self.answers(pictures).log_softmax(1)[:, meant].logsumexp(1)


class ClipJudge:
    """CLIP (Radford and others 2021): cosine similarity of picture and prompt."""

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name

    @torch.no_grad()
    def scores(self, pictures: Tensor, prompt: str) -> Tensor:
        """See :class:`Judge`."""
        side = self.model.config.vision_config.image_size
        x = functional.interpolate(pictures, size=(side, side), mode="bicubic", antialias=True)
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        x = ((x.clamp(-1, 1) + 1) / 2 - mean) / deviation
        words = self.tokenizer([prompt], truncation=True, return_tensors="pt")
        answers = self.model(pixel_values=x, **words)
        similarity: Tensor = functional.cosine_similarity(answers.image_embeds, answers.text_embeds)
        return similarity


def clip(folder: Path | None = None) -> ClipJudge | None:
    """CLIP from a folder as transformers writes it, or the one in its cache; None where there is none.

    Nothing is downloaded. Raises OSError or ValueError for a folder that holds no CLIP.
    """
    from transformers import AutoTokenizer, CLIPModel

    place = str(folder or CLIP)
    try:
        model = CLIPModel.from_pretrained(place, local_files_only=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
    except (OSError, ValueError):
        if folder:
            raise
        return None
    return ClipJudge(model, tokenizer, f"CLIP ({Path(place).name})")
