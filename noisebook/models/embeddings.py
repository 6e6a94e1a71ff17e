"""Embeddings of prompts from elsewhere, for a machine that has no room for DeepFloyd's text encoder.

``embeddings: prompts.pth`` in report.yaml names a dictionary that torch.save has written: from each prompt to
the last hidden states that T5 gives for it, (1, 77, 4096) in half precision. Whoever made the file is not
trusted: it is read as data (``weights_only``), within bounds, and everything in it is checked.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisebook.cells.folders import write_atomically
from noisebook.models.encoders import T5, TextEncoder
from noisebook.models.lock import MissingModel

LARGEST = 2_000_000_000
"""Bytes of a file of embeddings: three thousand prompts."""
LARGEST_INDEX = 20_000_000
"""Bytes of the part of it that says what its tensors are called."""


class BadEmbeddings(MissingModel):
    """A file is none of embeddings, or lacks a prompt. The message says which."""


def read(path: Path, width: int = 0) -> dict[str, Tensor]:
    """Prompt, as DeepFloyd reads it, → (77, width) float16. With width 0, any that all of them have.

    Raises BadEmbeddings.
    """
    _check_archive(path)
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file makes torch raise
        # torch's own words begin with ways to read the file all the same.
        found = re.search(r"WeightsUnpickler error: (.*?)( was not an allowed.*)?$", str(error), re.MULTILINE)
        reason = (found[1] if found else str(error) or type(error).__name__).splitlines()[0][:160]
        raise BadEmbeddings(f"{path.name} holds more than tensors, or is damaged: {reason}") from error
    if type(found) is not dict or not found:
        kind = "an empty dictionary" if found == {} else type(found).__name__
        raise BadEmbeddings(f"{path.name}: expected a dictionary from prompt to tensor, found {kind}")
    known: dict[str, Tensor] = {}
    left = LARGEST  # one storage can be the content of any number of tensors, each as large as it says
    for prompt, value in found.items():
        if type(prompt) is not str:
            raise BadEmbeddings(f"{path.name}: expected prompts as keys, found {str(prompt)[:60]!r}")
        if isinstance(value, Tensor) and not value.is_nested:
            left -= 2 * value.numel()
        if left < 0:
            raise BadEmbeddings(f"{path.name} would unpack to more than {LARGEST:,} bytes")
        tensor = _checked(path, prompt, value, width)
        width = tensor.shape[1]
        if not torch.equal(known.setdefault(T5.prepare(prompt), tensor), tensor):
            raise BadEmbeddings(f"{path.name}: two embeddings for {T5.prepare(prompt)[:60]!r}, which differ")
    return known


def _check_archive(path: Path) -> None:
    """What torch.save writes is an archive whose parts are stored as they are; no other is opened."""
    try:
        size = path.stat().st_size if path.is_file() else -1
        if size < 0:
            raise BadEmbeddings(f"{path.name} is not a file")
        if size > LARGEST:
            raise BadEmbeddings(f"{path.name} has {size:,} bytes, more than {LARGEST:,}")
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise BadEmbeddings(f"{path.name} is not a file that torch.save has written ({error})") from error
    index = sum(part.file_size for part in parts if part.filename.endswith(".pkl"))
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or index > LARGEST_INDEX or sum(part.file_size for part in parts) > LARGEST:
        raise BadEmbeddings(f"{path.name} would unpack to more than it says: torch.save writes no such file")


def _checked(path: Path, prompt: str, value: Any, width: int) -> Tensor:
    """(77, width), a copy of its own."""
    wanted = f"float16 of shape (1, {T5.tokens}, {width or 4096})"
    what = f"{path.name}: the embedding of {prompt[:60]!r}"
    if type(value) is not Tensor or value.is_nested or value.layout is not torch.strided or value.is_meta:
        raise BadEmbeddings(f"{what} is no plain tensor but {type(value).__name__}; expected {wanted}")
    shape = tuple(value.shape)
    fits = len(shape) == 3 and shape[:2] == (1, T5.tokens) and shape[2] == (width or shape[2])
    if value.dtype != torch.float16 or not fits:
        dtype = str(value.dtype).removeprefix("torch.")
        raise BadEmbeddings(f"{what} is {dtype} of shape {shape}; expected {wanted}")
    if not value.isfinite().all():
        raise BadEmbeddings(f"{what} holds NaN or infinities")
    return value.detach()[0].clone()


def lacking(name: str, known: Mapping[str, Tensor], texts: Sequence[str]) -> list[str]:
    """A message for each of ``texts`` that the file ``name`` has no embedding of, with the nearest it has."""
    found = []
    for text in dict.fromkeys(map(T5.prepare, texts)):
        if text not in known:
            near = get_close_matches(text, list(filter(None, known)), n=1, cutoff=0.0)
            nearest = f"; the nearest that it has is {near[0][:100]!r}" if near and text else ""
            found.append(f"{name} has no embedding of {text[:100]!r}{nearest}")
    return found


class Embeddings:
    """Prompts that a file knows, where :class:`noisebook.models.encoders.TextEncoder` would be asked."""

    def __init__(self, path: Path, width: int) -> None:
        self.path, self._known = path, read(path, width)

    def know(self, texts: Sequence[str], release: Callable[[], None]) -> None:
        """Raises BadEmbeddings for a text that the file lacks."""
        if messages := lacking(self.path.name, self._known, texts):
            raise BadEmbeddings("\n".join(messages))

    def __getitem__(self, text: str) -> Tensor:
        """(77, width): the last hidden states of a prompt."""
        return self._known[T5.prepare(text)]


def write(path: Path, encoder: TextEncoder, texts: Sequence[str]) -> None:
    """Ask ``encoder`` about ``texts`` and write what :func:`read` reads.

    Raises BadEmbeddings, and what the encoder raises.
    """
    encoder.know(texts, lambda: None)
    answers = {text: encoder[text][None].half() for text in texts}
    if bad := [text for text, answer in answers.items() if not answer.isfinite().all()]:
        raise BadEmbeddings(f"the embedding of {bad[0][:60]!r} is too large for half precision")
    buffer = io.BytesIO()
    torch.save(answers, buffer)
    write_atomically(path, buffer.getvalue())
