"""What the store's index knows of a record without reading it, and keeps in its notes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import FiniteFloat

from noisebook.cells.contract import Json, canonical
from noisebook.cells.digests import Signature
from noisebook.cells.record import Digest, Record

FORMAT = 6
"""Of the notes."""
EXPLAINS = "explains"
"""How an object is kept that only says why a cell would run: its loss costs a word, not a cell."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index knows of a record without reading it."""

    generator: str
    identity: str
    objects: tuple[tuple[Digest, str], ...]
    """sha256 and keep of each output that is not in the record."""
    seconds: FiniteFloat
    """What the cell cost."""

    @classmethod
    def of(cls, record: Record) -> Entry:
        """What to keep of a record."""
        return cls(
            str(record.components.get("generator", "")),
            identity(record.components),
            tuple((o.sha256, o.keep) for o in record.outputs if o.data is None)
            + (((record.reached, EXPLAINS),) if record.reached else ()),
            float(record.provenance.get("seconds", 0.0)),
        )


Noted = tuple[Signature, Entry]
"""What they keep of a record."""


@dataclass(frozen=True, slots=True)
class Notes:
    """The file of notes: what the index keeps between builds, each with the signature that its file had."""

    format: int
    cells: dict[str, Noted]
    objects: dict[str, Signature]


def identity(components: Mapping[str, Json]) -> str:
    """What stays of a cell when code or models change: generator, parameters, seed, input files."""
    text = canonical([components.get(name) for name in ("generator", "params", "seed", "draft", "inputs")])
    return hashlib.sha256(text).hexdigest()[:16]
