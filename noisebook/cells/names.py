"""Names: where generators are, and what to tell somebody who mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from itertools import islice
from typing import Any

SHIPPED = "noisebook.generators"
"""The package of Noisebook's own generators."""
ALIKE = 2000
"""Known names that a mistyped one is compared with."""


def suggest(name: str, known: Mapping[str, Any] | tuple[str, ...], noun: str) -> str:
    """What to tell somebody who wrote ``name``: the nearest known name, else the known ones."""
    some = islice(known, ALIKE)
    near = difflib.get_close_matches(name[:100], some, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if not known:
        return f"there are no {noun} here"
    shown = ", ".join(sorted(known)[:12]) + (", …" if len(known) > 12 else "")
    return f"known {noun}: {shown}"
