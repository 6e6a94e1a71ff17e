"""Every combination of a figure's ``matrix``, and how its cells are named after it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from noisebook.cells.contract import REPORT_SEED, Cell, Json, Labelled, canonical

_SHORT = re.compile(r"-?[A-Za-z0-9][A-Za-z0-9._-]{0,11}")
PREFIX_LENGTH, ID_LENGTH = 40, 80


@dataclass(frozen=True, slots=True)
class Combination:
    """One value for each parameter. ``prefix`` tells it in ids, ``label`` tells it to readers."""

    values: Mapping[str, Json]
    indices: Mapping[str, int]
    prefix: str
    label: str

    def mark(self, cell: Cell, seed: int | None = None) -> Cell:
        """The cell as one of this combination; with a seed of its own, unless it has no randomness."""
        identifier = f"{self.prefix}.{cell.id}"
        if len(identifier) > ID_LENGTH:
            identifier = f"{self.prefix}.{_digest(cell.id)}"
        changed = replace(
            cell,
            id=identifier,
            label=self._label(cell.label),
            alt=f"{cell.alt} ({self.label})",
            pictures=[
                Labelled(shown.output, self._label(shown.label), f"{shown.alt} ({self.label})")
                for shown in cell.pictures
            ],
        )
        return changed if seed is None or cell.seed != REPORT_SEED else replace(changed, seed=seed)

    def _label(self, label: str) -> str:
        return f"{self.label}: {label}" if label else self.label


def combinations(matrix: Mapping[str, list[Json]]) -> int:
    """How many there are."""
    return math.prod(map(len, matrix.values()))


def combine(matrix: Mapping[str, list[Json]]) -> Iterator[Combination]:
    """All of them; the last parameter changes fastest.

    In ids a parameter stands with its values, or, if one of them is long or not plain, with their numbers
    (from 1).
    """
    texts = {name: [_text(value) for value in values] for name, values in matrix.items()}
    words: dict[str, list[str]] = {}
    for name, some in texts.items():
        plain = all(map(_SHORT.fullmatch, some)) and len(set(some)) == len(some)
        words[name] = some if plain else [f"n{number}" for number in range(1, len(some) + 1)]
    for chosen in itertools.product(*(range(len(values)) for values in matrix.values())):
        indices = dict(zip(matrix, chosen, strict=True))
        prefix = ".".join(f"{name}={words[name][index]}" for name, index in indices.items())
        if len(prefix) > PREFIX_LENGTH:
            prefix = _digest([words[name][index] for name, index in indices.items()])
        yield Combination(
            {name: matrix[name][index] for name, index in indices.items()},
            indices,
            prefix,
            ", ".join(f"{name} {texts[name][index]}" for name, index in indices.items()),
        )


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False, default=str)


def _digest(value: Json) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:12]
