"""``net``: text to pictures by a small network, trained on the library that ``exact`` looks up.

:mod:`tools.checkpoints` brings its weights from the training into models/.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from noisebook.models.lock import Entry, MissingModel, verify
from noisebook.models.tokens import Tokens
from noisebook.networks.text.denoiser import NetDenoiser, load_network
from noisebook.networks.text.network import Network, shape_of

TEXT = "models/net-text.safetensors"
"""What the report's own prompts say, for machines without the text encoder."""


class Reader:
    """Texts to tokens (B, n, 384) float32, each text encoded once."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._read: dict[str, Tensor] = {}

    def __call__(self, texts: Sequence[str]) -> Tensor:
        for text in texts:
            if text not in self._read:
                self._read[text] = torch.from_numpy(self.tokens.states([text])[0]).float()
        return torch.stack([self._read[text] for text in texts])


class PublishedNet(NetDenoiser):
    """A network from published weights.

    Attributes:
        names: the subjects that it was trained on.
    """

    def __init__(self, network: Network, reader: Reader, names: Sequence[str]) -> None:
        super().__init__(network, reader)
        self.names = tuple(names)


def weights_of(stage: int) -> str:
    """Where the published weights of a stage lie, from the report's folder."""
    return f"models/net-stage{stage}.safetensors"


def open_network(path: Path, reader: Reader) -> PublishedNet:
    """A denoiser from published weights; raises MissingModel for a file that holds none."""
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import load_file

    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
        shape, names = shape_of(json.loads(about["shape"])), json.loads(about["names"])
        return PublishedNet(load_network(load_file(path), shape), reader, names)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise MissingModel(f"{path} holds no weights of a net ({str(error)[:200]})") from error


def load(name: str, entry: Entry, root: Path) -> PublishedNet:
    """``net/stage1`` or ``net/stage2`` of a lock file. Raises MissingModel."""
    files = verify(name, entry, root)
    return open_network(files[weights_of(int(name[-1]))], Reader(Tokens(files[TEXT])))
