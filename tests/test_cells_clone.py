"""What a clone costs, and what it must bring."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from noisebook.cells.contract import Output
from noisebook.cells.planner import key_of
from noisebook.cells.store import Store

ROOT = Path(__file__).parents[1]
BUDGET, WITH_LATER_PAGES = 95e6, 130e6
"""Bytes of a clone of depth 1, as git packs them: of the first pages, and with the pictures of later ones."""
LATER = (
    "models/scenes.zip",
    "models/text.safetensors",
    "models/mnist-class.safetensors",
    "models/mnist-time.safetensors",
    "models/mnist-flow-class.safetensors",
    "models/mnist-flow-time.safetensors",
)
"""What later pages brought, pictures and the words for them, and the weights for samples to come."""
LATER_FIGURES = ("flow-", "guidance-rules", "gallery-", "logo", "anagram-failing", "words")
"""How figures of later pages begin, flow matching's and the gallery's: what they show counts with them."""


def packed() -> dict[str, int]:
    """Bytes of each tracked file in git's pack."""
    try:
        listed = subprocess.run(["git", "ls-files", "-s", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git repository")
    files = dict(reversed(line.split("\t")) for line in listed.stdout.decode().split("\0") if line)
    question = "".join(f"{stage.split()[1]} {path}\n" for path, stage in files.items())
    answer = subprocess.run(
        ["git", "cat-file", "--batch-check=%(objectsize:disk) %(rest)"],
        cwd=ROOT, input=question.encode(), capture_output=True, check=True,
    )  # fmt: skip
    sizes = (line.partition(" ") for line in answer.stdout.decode().splitlines())
    return {path: int(size) for size, _, path in sizes}


def shown_later() -> set[str]:
    """The paths of the objects that no cell of the first pages names."""
    objects: dict[bool, set[str]] = {True: set(), False: set()}
    for path in (ROOT / "cache" / "cells").glob("*.json"):
        record = json.loads(path.read_bytes())
        later = record["provenance"]["figure"].startswith(LATER_FIGURES)
        objects[later] |= {f"cache/objects/{output['sha256']}" for output in record["outputs"]}
    return objects[True] - objects[False]


def test_a_clone_stays_within_its_budget() -> None:
    sizes = packed()
    later = {*LATER, *shown_later()}
    first = sum(size for path, size in sizes.items() if path not in later)
    largest = sorted(((size, path) for path, size in sizes.items()), reverse=True)[:5]
    assert first <= BUDGET, f"{first / 1e6:.1f} MB; the largest: {largest}"
    assert sum(sizes.values()) <= WITH_LATER_PAGES


def test_git_leaves_bytes_alone() -> None:
    paths = ["cache/objects/x", "cache/cells/x.json", "models/lock.json", "models/README.md", "images/x.svg"]
    told = subprocess.run(
        ["git", "check-attr", "text", "--", *paths], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    if not told:
        pytest.skip("not a git repository")
    assert told.count("text: unset") == len(paths), told


def test_an_output_that_the_lock_pins_is_kept_once(tmp_path: Path) -> None:
    """Under its name; the store finds it by its digest, and misses it when it is another."""
    weights = b"weights " * 1000
    components = {"generator": "train", "params": {}, "seed": 1, "code": "c"}
    key = key_of(components)
    store = Store(tmp_path / "cache", None, tmp_path / "local")
    [output] = store.put(
        key, components, [Output("weights", "application/octet-stream", weights)], {}
    ).outputs
    path = tmp_path / "weights.bin"
    (tmp_path / "cache" / "objects" / output.sha256).rename(path)

    def reopened() -> Store:
        return Store(
            tmp_path / "cache", tmp_path / "notes.json", tmp_path / "local", pinned={output.sha256: path}
        )

    assert not Store(tmp_path / "cache", None, tmp_path / "local").has(key)
    assert reopened().has(key) and reopened().open(output) == weights
    reopened().put(key, components, [Output("weights", "application/octet-stream", weights)], {})
    assert not (tmp_path / "cache" / "objects" / output.sha256).exists()
    path.write_bytes(weights[1:])
    assert not reopened().has(key)
    assert path.exists(), "what the lock pins is not the store's to move"
