"""A finished cell, as the store keeps it: what went in, what came out, how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noisebook.cells.contract import Json


@dataclass(frozen=True, slots=True)
class Stored:
    """One output of a finished cell; its bytes are ``objects/<sha256>``."""

    name: str
    mime: str
    sha256: str
    bytes: int
    width: int | None = None
    height: int | None = None
    keep: str = "published"
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """cells/<key>.json.

    Attributes:
        key: the address of the cell.
        components: what the key was computed from, each by name, so that two keys can be compared.
        outputs: what the cell left behind.
        provenance: seconds, device, versions, date, the command that rebuilds it; never part of the key.
    """

    key: str
    components: Mapping[str, Json]
    outputs: tuple[Stored, ...]
    provenance: Mapping[str, Json]

    def output(self, name: str) -> Stored | None:
        """The output of that name, or None."""
        return next((output for output in self.outputs if output.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """The JSON value that the store writes."""
        return {
            "key": self.key,
            "components": self.components,
            "outputs": [
                {name: getattr(output, name) for name in Stored.__slots__} for output in self.outputs
            ],
            "provenance": self.provenance,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Record:
        """Inverse of :meth:`as_json`; raises KeyError or TypeError for anything else."""
        return cls(
            key=value["key"],
            components=value["components"],
            outputs=tuple(Stored(**output) for output in value["outputs"]),
            provenance=value["provenance"],
        )
