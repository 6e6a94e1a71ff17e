"""Weights of ``net``, from the training's cells (generators/net_training.py) into models/, and back.

    python -m tools.checkpoints publish

takes the weights of the last checkpoint on this machine, of each stage, into models/, and pins them in
models.lock.json.

    python -m tools.checkpoints restore FILE

puts such a file back where a run that begins with it (``restart``) looks for it.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from noisebook.cells.folders import write_atomically
from noisebook.cells.record import Record
from noisebook.cells.store import Store
from noisebook.models.captions import NEUTRAL
from noisebook.models.lock import MissingModel, pin
from noisebook.models.net import TEXT, weights_of
from noisebook.models.tokens import Tokens, write
from tools.dataset import PROMPTS


def checkpoints(store: Store) -> dict[int, Record]:
    """For each stage, the training cell that saw most pictures, of those with weights on this machine."""
    found: dict[int, Record] = {}
    for key in store.same_generator("net_training"):
        record = store.get(key)
        if record is None or record.components.get("draft") or not _here(store, record):
            continue
        params = record.components["params"]
        best = found.get(params["stage"])
        if best is None or params["seen"] > best.components["params"]["seen"]:
            found[params["stage"]] = record
    return found


def _here(store: Store, record: Record) -> bool:
    weights = record.output("weights")
    return weights is not None and (store.local / weights.sha256).exists()


def publish(root: Path, store: Store) -> list[str]:
    """Weights of the last checkpoints into models/, pinned; returns a line for each.

    Raises:
        MissingModel: no checkpoint of any stage is on this machine.
    """
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
            get="noisebook[compute] brings this file; models/README.md says how it was made.",
        )
        lines.append(f"{path}: {seen} pictures seen, {len(data) / 1e6:.1f} MB, from cell {record.key[:12]}")
    return lines


def restore(file: Path, store: Store) -> str:
    """A published file back into the store, as the weights of the cells that left it; returns a line.

    Raises:
        MissingModel: there is no such file, or no cell of the store left it.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise MissingModel(f"{file} cannot be read: {error.strerror}") from error
    sha = hashlib.sha256(data).hexdigest()
    for key in store.same_generator("net_training"):
        record = store.get(key)
        weights = record.output("weights") if record else None
        if record and weights and weights.sha256 == sha:
            write_atomically(store.local / sha, data)
            return (
                f"{file}: the weights after {record.components['params']['seen']} pictures, cell {key[:12]}"
            )
    raise MissingModel(f"{file} is not what a training in this report's store left: {sha[:12]} is in no cell")


def main() -> int:
    """``python -m tools.checkpoints``."""
    parser = argparse.ArgumentParser(prog="python -m tools.checkpoints", description="Weights of net.")
    parser.add_argument("--store", type=Path, default=Path("cache"), help="the report's store, a folder")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("publish", help="the last checkpoints' weights, into models/")
    back = commands.add_parser("restore", help="a published file, to where training looks for it")
    back.add_argument("file", type=Path)
    given = parser.parse_args()
    store = Store(Path.cwd() / given.store)
    try:
        lines = [restore(given.file, store)] if given.command == "restore" else publish(Path.cwd(), store)
    except MissingModel as error:
        print(error)
        return 1
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
