"""What a model can do, told from its description in the lock file, before anything is computed.

An entry may have a description; without one a model draws text in pixels:

``image_size``
    side of its pictures, pixels, in [-1, 1].
``channels``
    of what it denoises.
``conditioning``
    ``text``, or ``none`` for a model that knows no words.
``space``
    ``pixels``, or ``latents`` of an autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from noisebook.models.lock import Entry
from noisebook.models.prompts import texts

WORDS = ("prompt", "prompts", "negative_prompt")
"""Parameters of cells that are prompts, or lists of them."""
_VIEW = "a view moves pixels, and what a latent decodes to does not move with it"
IN_PIXELS = {
    "anagram": _VIEW,
    "failing_view": _VIEW,
    "hybrid": "frequencies of a latent are not those of its picture",
}
"""Tasks that latents do not have, and why."""


def asked(params: Mapping[str, Any]) -> list[str]:
    """The prompts that a cell with these parameters has to know: γ = 0 needs none but the negative one, γ = 1
    not that."""
    unused = {0.0: ("prompt", "prompts"), 1.0: ("negative_prompt",)}.get(params.get("guidance", 1.0), ())
    return list(dict.fromkeys(texts([params[key] for key in WORDS if key in params and key not in unused])))


def with_embeddings(
    entries: Mapping[str, Entry], root: Path, file: str, digest_of: Callable[[Path], str]
) -> dict[str, Entry]:
    """A lock's entries, where DeepFloyd's know the prompts of ``root/file``, by its digest."""
    embeddings = {"file": file, "sha256": digest_of(root / file)}
    return {
        name: {**entry, "embeddings": embeddings}
        if entry["loader"] == "noisebook.models.deepfloyd"
        else entry
        for name, entry in entries.items()
    }


def description(image_size: int, channels: int, conditioning: str, space: str = "pixels") -> dict[str, Any]:
    """What an entry says of a model."""
    return {"image_size": image_size, "channels": channels, "conditioning": conditioning, "space": space}


def refusal(name: str, entry: Entry, generator: str, params: Mapping[str, Any]) -> str:
    """Why the model ``name`` cannot draw a cell with these parameters, and what to do; "" if it can."""
    about = entry.get("description", {})
    if about.get("space") == "latents" and generator in IN_PIXELS:
        why = IN_PIXELS[generator]
        return f"{name} works on latents and cannot draw {generator}: {why}; use a model of pixels"
    if about.get("conditioning") == "none":
        for word in texts([params.get(key) for key in WORDS]):
            if word:
                return f'{name} knows no words: write "" in place of the prompt {word!r}'
    return ""
