"""Texts as tokens: all-MiniLM-L6-v2's last hidden states, for a network that reads word by word.

Those of the report's own prompts ship with the network's weights; those of other texts are kept in the user's
cache folder. All are in half precision, so that a kept text is the one that the encoder would give.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noisebook.cells.folders import user_cache, write_note
from noisebook.models.text import WEIGHTS, WIDTH, _encoder

LENGTH = 16
"""Tokens of a text, its beginning and end included; what stands beyond them is not read."""

States = NDArray[np.float16]


class Tokens:
    """Hidden states of texts, by content."""

    def __init__(self, shipped: Path | None = None, folder: Path | None = None) -> None:
        """``shipped`` is a file that :func:`write` made; ``folder`` keeps what is new (the user's cache)."""
        self._known: dict[str, States] = {}
        self._folder = folder or user_cache() / "text"
        if shipped is not None and shipped.exists():
            self._known = _read(shipped)

    def states(self, texts: Sequence[str]) -> States:
        """(len(texts), LENGTH, 384) float16, padding zero. "" has two tokens: a beginning and an end.

        Texts that nobody knows are encoded, and kept, together.

        Raises:
            MissingModel: a text is in no cache, and the encoder is not installed.
        """
        unknown = [text for text in dict.fromkeys(texts) if text not in self._known]
        if unknown:
            name = hashlib.sha256(json.dumps([WEIGHTS, LENGTH, unknown]).encode()).hexdigest()
            place = self._folder / f"tokens-{name}.safetensors"
            found = _read(place) if place.is_file() else {}
            if found.keys() != set(unknown):
                found = dict(zip(unknown, encode(unknown), strict=True))
                write_note(place, _packed(found))
            self._known |= found
        if not texts:
            return np.zeros((0, LENGTH, WIDTH), np.float16)
        return np.stack([self._known[text] for text in texts])


def encode(texts: Sequence[str]) -> States:
    """(len(texts), LENGTH, 384), padding zero. Loads the encoder, once."""
    import torch

    tokenizer, model = _encoder()
    out = []
    with torch.inference_mode():
        for start in range(0, len(texts), 256):
            # Lone surrogates cannot be encoded in UTF-8: the tokenizer would crash on them.
            chunk = [text.encode(errors="replace").decode() for text in texts[start : start + 256]]
            batch = tokenizer(
                chunk, padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
            )
            hidden = model(**batch).last_hidden_state * batch["attention_mask"][..., None]
            out.append(hidden.half().numpy())
    return np.concatenate(out) if out else np.zeros((0, LENGTH, WIDTH), np.float16)


def commonness(names: Sequence[str]) -> list[tuple[int, int, int]]:
    """How common names are, the commonest smallest: pieces beyond whole words, words, and the place of the
    rarest piece in the encoder's vocabulary, where frequent ones come first."""
    tokenizer, _ = _encoder()
    out = []
    for name in names:
        pieces = tokenizer(name)["input_ids"][1:-1]
        words = len(name.split())
        out.append((len(pieces) - words, words, max(pieces, default=0)))
    return out


def _packed(states: dict[str, States]) -> bytes:
    from safetensors.numpy import save

    texts = list(states)
    metadata = {"encoder": WEIGHTS, "texts": json.dumps(texts)}
    return bytes(save({"states": np.stack([states[text] for text in texts])}, metadata))


def _read(path: Path) -> dict[str, States]:
    """Text → states; empty if they were made with another encoder, or if the file is broken."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            states = file.get_tensor("states")
    except (OSError, SafetensorError):
        return {}
    if metadata.get("encoder") != WEIGHTS or states.shape[1:] != (LENGTH, WIDTH):
        return {}
    return dict(zip(json.loads(metadata["texts"]), states, strict=True))


def write(path: Path, texts: Sequence[str], tokens: Tokens) -> None:
    """Ship the states of ``texts``. A file that holds them already stays as it is: safetensors writes its
    metadata in any order, and other bytes would break the pins of all that reads the file."""
    ordered = sorted(set(texts))
    states = dict(zip(ordered, tokens.states(ordered), strict=True))
    there = _read(path)
    if there.keys() != states.keys() or any((there[text] != states[text]).any() for text in states):
        path.write_bytes(_packed(states))
