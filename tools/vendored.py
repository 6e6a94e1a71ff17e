"""The files of others that are in git under templates/: what they are, and where they come from.

They are not fetched when a site is built: so a site is complete wherever it is built, with no network and no
Node, and no build waits for a registry. ``python -m tools.vendored`` makes those of npm's packages again: for
another release, change the version and the digests, run it, and write vendored.sha256 anew (the digests of
all such files as they lie here, fonts included, in sha256sum's format).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from noisebook.render.runtime import VERSION

TEMPLATES = Path(__file__).parents[1] / "templates"


def as_it_is(data: bytes) -> bytes:
    return data


def packed(data: bytes) -> bytes:
    """As gzip, which browsers unpack by themselves, whatever a server does: 3.7 MB of 14 MB."""
    return gzip.compress(data, 9, mtime=0)


def bare(data: bytes) -> bytes:
    """A script without the comments that stand on lines of their own, and without indentation."""
    text = re.sub(r"^ *(?:/\*\*.*?\*/|//.*?$)\n", "", data.decode(), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"^ +", "", text, flags=re.MULTILINE).encode()


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an npm package, ``name``@``version``: its path there, and the sha256 that it has there."""

    name: str
    version: str
    path: str
    sha256: str
    change: Callable[[bytes], bytes] = as_it_is


# ONNX Runtime's are the smallest pair: no WebGPU, and one thread where a page may not share memory, as on
# GitHub Pages.
MEMBERS = {
    "onnxruntime/ort.js": Member(
        "onnxruntime-web",
        VERSION,
        "dist/ort.wasm.bundle.min.mjs",
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    ),
    "onnxruntime/ort.wasm.gz": Member(
        "onnxruntime-web",
        VERSION,
        "dist/ort-wasm-simd-threaded.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
        packed,
    ),
    "minisearch/minisearch.js": Member(
        "minisearch",
        "7.2.0",
        "dist/umd/index.js",
        "03c27931eb603af1d3358579e9885eafdb6a2f5fa9929557b3e77d7e99d06d03",
        bare,
    ),
    "minisearch/LICENSE.txt": Member(
        "minisearch",
        "7.2.0",
        "LICENSE.txt",
        "70d37354d6395629fb99edb28cb37a5d356ffa24a48cd02a5def5b83a300a899",
    ),
}


def fetch(name: str) -> bytes:
    """A file of an npm package as it lies in templates/. Raises OSError, also for one that is not pinned."""
    member = MEMBERS[name]
    url = f"https://registry.npmjs.org/{member.name}/-/{member.name}-{member.version}.tgz"
    with urllib.request.urlopen(url, timeout=60) as answer:
        whole = io.BytesIO(answer.read())
    with tarfile.open(fileobj=whole, mode="r:gz") as archive:
        file = archive.extractfile(f"package/{member.path}")
        data = file.read() if file else b""
    if hashlib.sha256(data).hexdigest() != member.sha256:
        raise OSError(f"{member.path} of {url} is not the pinned file")
    return member.change(data)


if __name__ == "__main__":
    try:
        for name in MEMBERS:
            (TEMPLATES / name).write_bytes(fetch(name))
    except OSError as error:
        sys.exit(str(error))
