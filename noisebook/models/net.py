"""``net``: text to pictures by a small network, trained on the library that ``exact`` looks up.

    python -m noisebook.models.net publish

takes the weights of the last checkpoint on this machine, of each stage, from the training's cells
(generators/net_training.py) into models/, and pins them in models.lock.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from noisebook.diffusion.net.denoiser import NetDenoiser, load_network
from noisebook.diffusion.net.network import Network, shape_of
from noisebook.models.lock import Entry, MissingModel, pin, verify
from noisebook.models.tokens import Tokens

if TYPE_CHECKING:
    from noisebook.build.record import Record
    from noisebook.build.store import Store

TEXT = "models/net-text.safetensors"
"""What the report's own prompts say, for machines without the text encoder."""


class Reader:
    """Texts to tokens (B, n, 384) float32, each text asked for once."""

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
        names: the subjects that it was taught.
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
    verify(name, entry, root)
    return open_network(root / weights_of(int(name[-1])), Reader(Tokens(root / TEXT)))


def checkpoints(store: Store) -> dict[int, Record]:
    """For each stage, the training cell that saw most pictures, of those with weights on this machine."""
    found: dict[int, Record] = {}
    for key in store.same_generator("net_training"):
        record = store.get(key) if store.has(key, local=True) else None
        if record is None or record.components.get("draft"):
            continue
        params = record.components["params"]
        best = found.get(params["stage"])
        if best is None or params["seen"] > best.components["params"]["seen"]:
            found[params["stage"]] = record
    return found


def publish(root: Path, store: Store) -> list[str]:
    """Weights of the last checkpoints into models/, pinned; returns a line for each.

    Raises:
        MissingModel: no checkpoint of any stage is on this machine.
    """
    from noisebook.models.dataset import PROMPTS
    from noisebook.models.lessons import NEUTRAL
    from noisebook.models.tokens import write

    found = checkpoints(store)
    if not found:
        raise MissingModel(
            "no checkpoint of net is on this machine: build a figure of the generator net_training first"
        )
    (root / TEXT).parent.mkdir(parents=True, exist_ok=True)
    write(root / TEXT, ["", NEUTRAL, *PROMPTS], Tokens(root / TEXT))
    lines = []
    for stage, record in sorted(found.items()):
        weights = record.output("weights")
        assert weights is not None
        data, path = store.open(weights), weights_of(stage)
        (root / path).write_bytes(data)
        seen = record.components["params"]["seen"]
        pin(
            root,
            f"net/stage{stage}",
            [path, TEXT],
            kind="model",
            loader="noisebook.models.net",
            revision=f"{seen} pictures",
            licence="MIT, Apache-2.0 and CC-BY-4.0, as what it learnt from: see models/README.md",
            get="These files ship with the report: restore them, or train and publish: see models/README.md.",
        )
        lines.append(f"{path}: {seen} pictures seen, {len(data) / 1e6:.1f} MB, from cell {record.key[:12]}")
    return lines


def main() -> int:
    """``python -m noisebook.models.net``."""
    from noisebook.build.store import Store

    parser = argparse.ArgumentParser(
        prog="python -m noisebook.models.net", description="Publish net's weights."
    )
    parser.add_argument("command", choices=["publish"])
    parser.add_argument("--store", type=Path, default=Path("cache"), help="the report's store, a folder")
    given = parser.parse_args()
    try:
        print("\n".join(publish(Path.cwd(), Store(Path.cwd() / given.store))))
    except MissingModel as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
