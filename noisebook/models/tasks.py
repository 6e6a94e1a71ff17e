"""What a model can do, told from its description in the lock file, before anything is computed.

An entry may have a description; without one a model draws text in pixels:

``image_size``
    side of its pictures, pixels, or [width, height].
``multiple``
    pictures of other sizes have sides that are multiples of it; without it there are none.
``channels``
    of what it denoises.
``timesteps``
    how many its schedule has.
``conditioning``
    ``text``, ``class`` for numbers in place of words, or ``none`` for a model that knows no words.
``classes``
    how many there are.
``space``
    ``pixels``, or ``latents`` of an autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisebook.models.lock import Entry
from noisebook.models.prompts import texts

if TYPE_CHECKING:
    from noisebook.models.latents import Resizable

WORDS = ("prompt", "prompts", "negative_prompt")
"""Parameters of cells that are prompts, or lists of them."""
_VIEW = "a view moves pixels, and what a latent decodes to does not move with it"
IN_PIXELS = {
    "anagram": _VIEW,
    "failing_view": _VIEW,
    "hybrid": "frequencies of a latent are not those of its picture",
    "memory": "it compares pictures",
    "subject_samples": "it compares pictures",
}
"""Tasks that latents do not have, and why."""
IN_COLOUR = ("failing_view", "memory", "subject_samples")
"""Tasks of three channels."""
BESIDE_LIBRARY = ("memory", "subject_samples")
"""Tasks that compare pictures with the library's, pixel by pixel."""
LIBRARY_SIDE = 64
"""Side of the library's pictures there, pixels."""


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


def description(
    model: Resizable, channels: int, conditioning: str, space: str = "pixels", **more: Any
) -> dict[str, Any]:
    """What an entry says of a model."""
    side = model.width if model.width == model.height else [model.width, model.height]
    return {
        "image_size": side,
        "multiple": model.multiple,
        "channels": channels,
        "timesteps": len(model.alphas_cumprod),
        "conditioning": conditioning,
        "space": space,
        **more,
    }


def refusal(name: str, entry: Entry, generator: str, params: Mapping[str, Any]) -> str:
    """Why the model ``name`` cannot draw a cell with these parameters, and what to do; "" if it can."""
    about = entry.get("description", {})
    if about.get("space") == "latents" and generator in IN_PIXELS:
        why = IN_PIXELS[generator]
        return f"{name} works on latents and cannot draw {generator}: {why}; use a model of pixels"
    if about.get("channels") == 1 and (generator in IN_COLOUR or params.get("filter") == "grey"):
        return f"{name} draws in grey and cannot draw {generator} by colours; use a model of three channels"
    side = about.get("image_size", LIBRARY_SIDE)
    if generator in BESIDE_LIBRARY and side != LIBRARY_SIDE:
        sides = " × ".join(map(str, side if isinstance(side, list) else [side, side]))
        return (
            f"{name} draws {sides} pixels and cannot draw {generator}: it compares pictures with "
            f"the library's, of {LIBRARY_SIDE} × {LIBRARY_SIDE}; use a model of that size"
        )
    if generator == "subject_samples" and about.get("conditioning", "text") != "text":
        return f"{name} cannot draw {generator}: it asks for subjects by their names; use a model of text"
    return _words(name, about, params) or _size(name, about, params) or _timesteps(name, about, params)


def _words(name: str, about: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """Why a cell's prompts are not for this model."""
    if about.get("conditioning") == "none":
        for word in texts([params.get(key) for key in WORDS]):
            if word:
                return f'{name} knows no words: write "" in place of the prompt {word!r}'
    if about.get("conditioning") == "class":
        numbers = f'"0" to "{about["classes"] - 1}"'
        negative = params.get("negative_prompt", "")
        for word in asked(params):
            if word.isdecimal() and int(word) < about["classes"]:
                continue
            if word == negative:
                return (
                    f"{name} has no empty prompt to guide away from: use guidance: 1, or as negative_prompt "
                    f"the number of the class that it was taught as none, {numbers}, not {word!r}"
                )
            return (
                f"{name} draws classes: write the number of one, {numbers}, in place of the prompt {word!r}"
            )
    return ""


def _size(name: str, about: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """Why a cell's ``size``, [width, height], is not for this model."""
    if not isinstance(size := params.get("size"), list):
        return ""
    if not (multiple := about.get("multiple")):
        return f"{name} draws pictures of its own size alone: leave out size: {size}"
    if all(side % multiple == 0 for side in size):
        return ""
    near = [max(1, round(side / multiple)) * multiple for side in size]
    return f"{name} draws sides that are multiples of {multiple}, not size: {size}; {near} is near it"


def _timesteps(name: str, about: Mapping[str, Any], params: Mapping[str, Any]) -> str:
    """Why a cell's timesteps are not those of this model."""
    last = about.get("timesteps", 1000) - 1
    for key in ("first_timestep", "t"):
        if (params.get(key) or 0) > last:
            return f"{name} has timesteps 0 to {last}, not {key}: {params[key]}"
    if "num_inference_steps" in params and last != 999:
        why = f"{name} has {last + 1} timesteps, and num_inference_steps is of 1000"
        return f"{why}: use a generator with first_timestep and stride, such as sample"
    return ""
