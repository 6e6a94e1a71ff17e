"""ONNX Runtime Web: what computes a network in a reader's browser.

Its files are in git, the larger one as gzip (3.7 MB of 14 MB), not fetched when a site is built: so a site
is complete wherever it is built, with no network and no Node, and no build waits for a registry. Browsers
unpack gzip by themselves, so the site has the packed file, whatever its server does about compression.

``python -m noisebook.render.runtime`` makes them again from npm's package, by the digests pinned here: for
another release, change these and run it.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from noisebook.render.assets import Site

VERSION = "1.30.0"
PACKAGE = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{VERSION}.tgz"
SCRIPT, WASM, LICENCE = "ort.js", "ort.wasm.gz", "LICENSE.txt"
MEMBERS = {
    SCRIPT: (
        "ort.wasm.bundle.min.mjs",
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    ),
    WASM: (
        "ort-wasm-simd-threaded.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
}
"""Our name of a file → the package's, and the sha256 of its content, unpacked. They are the smallest pair: no
WebGPU, and one thread where a page may not share memory, as on GitHub Pages."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Addresses within the site, and how many bytes a reader loads."""

    script: str
    wasm: str
    licence: str
    bytes: int
    version: str = VERSION


def add(folder: Path, site: Site) -> Runtime:
    """Put the runtime, kept in ``folder``, into the site; copied only if it is not there yet."""
    # Not .mjs and .gz: some servers call the one no script, and unpack the other on the way.
    names = {SCRIPT: "js", WASM: "wasm.bin", LICENCE: "licence.txt"}
    paths = {}
    for name, suffix in names.items():
        paths[name] = path = f"assets/onnxruntime-web-{VERSION}.{suffix}"
        if not site.keep(path):
            site.add(path, (folder / name).read_bytes())
    size = sum((folder / name).stat().st_size for name in MEMBERS)
    return Runtime(paths[SCRIPT], paths[WASM], paths[LICENCE], size)


def fetch(folder: Path) -> None:
    """Write the files to ``folder``. Raises OSError, also where one is not what is pinned."""
    with urllib.request.urlopen(PACKAGE, timeout=60) as answer:
        packed = io.BytesIO(answer.read())
    with tarfile.open(fileobj=packed, mode="r:gz") as archive:
        for name, (member, digest) in MEMBERS.items():
            file = archive.extractfile(f"package/dist/{member}")
            data = file.read() if file else b""
            if hashlib.sha256(data).hexdigest() != digest:
                raise OSError(f"{member} of {PACKAGE} is not the pinned file")
            (folder / name).write_bytes(gzip.compress(data, 9, mtime=0) if name == WASM else data)


if __name__ == "__main__":
    try:
        fetch(Path(__file__).parents[2] / "templates" / "onnxruntime")
    except OSError as error:
        sys.exit(str(error))
