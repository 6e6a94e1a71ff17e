"""ONNX Runtime Web: what computes a network in a reader's browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noisebook.render.assets import Site

VERSION = "1.30.0"
SCRIPT, WASM, LICENCE = "ort.js", "ort.wasm.gz", "LICENSE.txt"


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
    size = sum((folder / name).stat().st_size for name in (SCRIPT, WASM))
    return Runtime(paths[SCRIPT], paths[WASM], paths[LICENCE], size)
