"""What ``verify`` found, kept beside the cells as ``checks.json``, so that pages can tell."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from noisebook.cells.folders import parse_json, read_regular, write_note

NAME = "checks.json"
FORMAT = 1
LARGEST = 100_000_000
"""Bytes of the file."""
SAME = "the same bytes"
PIXEL_TOLERANCE = 2
"""Largest difference of 8-bit values between two processors."""
PSNR_FLOOR = 40.0
"""dB; where sampling amplifies rounding."""
RELATIVE_TOLERANCE = 1e-3
"""Of arrays and numbers."""


@dataclass(frozen=True, slots=True)
class Check:
    """How a cell came out when it was computed again.

    Attributes:
        agrees: within what ``verify`` allows.
        how: the measure, in words.
        date: of the check, YYYY-MM-DD.
        processor, threads: what it was computed on; 0 threads where torch was not needed.
        as_recorded: whether that is what the cell was made on, so that the same bytes can be expected.
    """

    agrees: bool
    how: str
    date: str
    processor: str
    threads: int
    as_recorded: bool

    @property
    def same(self) -> bool:
        return self.agrees and self.how == SAME


@dataclass(frozen=True, slots=True)
class _File:
    format: int
    cells: dict[str, Check]


def read(folder: Path) -> dict[str, Check]:
    """The checks by the cells' keys; none where there is no readable file."""
    try:
        found: _File = parse_json(read_regular(folder / NAME, LARGEST), _File)
    except (OSError, ValueError):
        return {}
    return found.cells if found.format == FORMAT else {}


def add(folder: Path, found: Mapping[str, Check], known: Collection[str]) -> None:
    """Put new checks beside the earlier ones; those of cells that nothing uses any more go."""
    kept = {key: check for key, check in {**read(folder), **found}.items() if key in known}
    cells = {key: asdict(kept[key]) for key in sorted(kept)}
    write_note(folder / NAME, (json.dumps({"format": FORMAT, "cells": cells}, indent=1) + "\n").encode())
