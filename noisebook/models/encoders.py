"""What large text encoders say about prompts, kept by content: an encoder is loaded once or never.

An encoder never shares memory with a network. Its answers lie in the user's cache folder under the digests of
its files, so that a revision's name decides nothing.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisebook.cells.folders import user_cache
from noisebook.diffusion.denoiser import check_finite
from noisebook.models.hub import read_config, weights_in
from noisebook.models.lock import Entry, MissingModel, digest
from noisebook.models.settings import Settings, out_of_memory

PARTS = ("tokenizer/", "text_encoder/")
ENCODERS = ("T5EncoderModel", "CLIPTextModel", "Qwen3VLTextModel", "Qwen3VLModel")


class PromptTooLong(ValueError):
    """A prompt of more tokens than the model was trained on."""


@dataclass(frozen=True)
class Reading:
    """How a family reads prompts.

    Attributes:
        tokens: of the longest prompt; shorter ones are padded.
        prepare: a prompt as its tokenizer wants it.
        masked: whether the encoder is told which tokens are padding.
    """

    tokens: int
    prepare: Callable[[str], str]
    masked: bool = True


def small_letters(text: str) -> str:
    """A prompt as DeepFloyd reads it: small letters, no space around."""
    return text.lower().strip()


def plain(text: str) -> str:
    """A prompt with its HTML entities resolved, without space around."""
    return html.unescape(html.unescape(text)).strip()


T5 = Reading(77, small_letters)
CLIP = Reading(77, str, masked=False)
QWEN = Reading(256, plain)


class TextEncoder:
    """Prompts to embeddings, each computed once."""

    def __init__(
        self, folder: Path | None, identity: str, cache: Path, settings: Settings, reading: Reading = T5
    ) -> None:
        """``folder`` holds tokenizer/ and text_encoder/; ``identity`` stands for their bytes."""
        self.folder, self.identity, self.cache = folder, identity, cache
        self.settings, self.reading = settings, reading
        self._known: dict[str, dict[str, Tensor]] = {}

    def check(self, width: Any) -> None:
        """Raises MissingModel for a folder that lacks a tokenizer, or an encoder with all its weights whose
        embeddings are ``width`` wide, if that is a number."""
        place = self._place()
        self._architecture(place)
        list(weights_in(place))
        config = read_config(place / "config.json")
        found = config.get("hidden_size") or config.get("d_model") or width
        if isinstance(width, int) and found != width:
            raise MissingModel(f"{place}: its embeddings are {found} wide, and the network reads {width}")

    def _place(self) -> Path:
        """The folder of the encoder itself."""
        if self.folder is None or not (self.folder / "tokenizer").is_dir():
            where = self.folder or "no folder"
            raise MissingModel(f"{where}: no tokenizer/, and prompts cannot be read without it")
        return self.folder / "text_encoder"

    @staticmethod
    def _architecture(place: Path) -> str:
        name = str((read_config(place / "config.json").get("architectures") or ["unnamed"])[0])
        if name not in ENCODERS:
            known = ", ".join(ENCODERS)
            raise MissingModel(f"{place}: a text encoder {name} is not known here; known are {known}")
        return name

    def path(self, text: str) -> Path:
        """Where the embedding of one prompt is kept."""
        about = [self.identity, str(self.settings.dtype), self.reading.tokens, text]
        return self.cache / f"{hashlib.sha256(json.dumps(about).encode()).hexdigest()}.safetensors"

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Those of ``texts``, prepared, that are neither in memory nor in the cache folder."""
        from safetensors.torch import load_file

        found = []
        for text in dict.fromkeys(map(self.reading.prepare, texts)):
            if text not in self._known and self.path(text).is_file():
                self._known[text] = load_file(self.path(text))
            if text not in self._known:
                found.append(text)
        return found

    def know(self, texts: Sequence[str], release: Callable[[], None]) -> None:
        """Have the embeddings of ``texts``. ``release`` makes room before the encoder is loaded."""
        if missing := self.missing(texts):
            release()
            self.encode(missing)

    def encode(self, texts: Sequence[str]) -> None:
        """Load the encoder, ask it about prepared ``texts``, keep the answers, let it go.

        Raises MissingModel, PromptTooLong before it is loaded, NotANumber, MemoryError.
        """
        from safetensors.torch import save_file

        tokens = self._tokens(texts)
        with out_of_memory(self.settings):
            encoder = self._load()
            self.cache.mkdir(parents=True, exist_ok=True)
            for k, text in enumerate(texts):
                ids = torch.tensor([tokens["input_ids"][k]], device=self.settings.device)
                mask = torch.tensor([tokens["attention_mask"][k]], device=self.settings.device)
                with torch.inference_mode():
                    answer = encoder(ids, attention_mask=mask if self.reading.masked else None)[0][0]
                answer = answer.cpu().clone()
                what = f"the embedding of {text[:60]!r}, computed in {self.settings.dtype}"
                check_finite(answer, what, self.settings.if_it_overflows)
                kept = {"embedding": answer.contiguous(), "mask": mask[0].bool().cpu()}
                self._known[text] = kept
                temporary = self.path(text).with_suffix(f".{os.getpid()}")
                save_file(kept, temporary)
                temporary.replace(self.path(text))
            del encoder
        if self.settings.device == "cuda":
            torch.cuda.empty_cache()

    def _tokens(self, texts: Sequence[str]) -> Any:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(self._place().parent / "tokenizer")
        longest = self.reading.tokens
        tokens = tokenizer(list(texts), padding="max_length", max_length=longest, truncation=False)
        for text, ids in zip(texts, tokens["input_ids"], strict=True):
            if len(ids) > longest:
                message = (
                    f"the prompt {text[:60]!r}… has {len(ids)} tokens; the model knows at most {longest}"
                )
                raise PromptTooLong(message)
        return tokens

    def _load(self) -> Any:
        import transformers

        self.check(None)
        place = self._place()
        kind = getattr(transformers, self._architecture(place))
        try:
            encoder, report = kind.from_pretrained(place, dtype=self.settings.dtype, output_loading_info=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise MissingModel(f"{place}: these weights cannot be loaded ({str(error)[:300]})") from error
        if missing := sorted(report["missing_keys"]):
            raise MissingModel(f"{place}: {len(missing)} arrays are missing, such as {missing[0]}")
        return encoder.eval().to(self.settings.device)

    def __getitem__(self, text: str) -> Tensor:
        """(tokens, width): the last hidden states of a prompt that is known."""
        return self._known[self.reading.prepare(text)]["embedding"]

    def mask(self, text: str) -> Tensor:
        """(tokens,) bool: which tokens of a known prompt are not padding."""
        return self._known[self.reading.prepare(text)]["mask"]


def pinned(entry: Entry, folder: Path, settings: Settings, reading: Reading = T5) -> TextEncoder:
    """What reads prompts for an entry of the lock file whose encoder lies in ``folder``."""
    return TextEncoder(folder, identity_of(entry, folder), user_cache() / "prompts", settings, reading)


def identity_of(entry: Entry, folder: Path) -> str:
    """A text encoder's identity: the digests of its files, as pinned or else of those in ``folder``."""
    files = {name: sha for name, sha in entry["files"].items() if name.startswith(PARTS)}
    if not any(name.startswith("text_encoder/") for name in files):
        paths = (path for part in PARTS for path in sorted((folder / part).rglob("*")) if path.is_file())
        files = {path.relative_to(folder).as_posix(): digest(path) for path in paths}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
