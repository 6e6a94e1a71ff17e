"""What must run, and why: the same answer serves build, status and explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from noisebook.build.contract import Cell, Json
from noisebook.build.record import Record

State = Literal["cached", "missing", "stale"]


@dataclass(slots=True)
class Planned:
    """A cell with everything resolved.

    ``state`` is ``cached`` (a record stands under its key), ``stale`` (none, but an older version of this
    very cell is in the store: ``previous``) or ``missing``.
    """

    figure: str
    generator: str
    cell: Cell
    key: str
    components: Mapping[str, Json]
    state: State = "missing"
    needs: Mapping[str, Planned] = field(default_factory=dict)
    record: Record | None = None
    previous: Record | None = None
