"""Names: where generators are, and what to tell somebody who mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

SHIPPED = "noisebook.generators"
"""The package of Noisebook's own generators."""
ALIKE = 2000
"""Known names that a mistyped one is compared with."""


def suggest(name: str, known: Mapping[str, Any] | tuple[str, ...], noun: str) -> str:
    """What to tell somebody who wrote ``name``: the nearest known name, else the known ones."""
    if found := near(name, known):
        return found
    if not known:
        return f"there are no {noun} here"
    shown = ", ".join(sorted(known)[:12]) + (", …" if len(known) > 12 else "")
    return f"known {noun}: {shown}"


def near(name: str, known: Iterable[str]) -> str:
    """``did you mean …?``, or nothing where no known name is like ``name``; capitals are as good as small."""
    names = list(islice(known, ALIKE))
    # Where two differ by nothing else, that which comes first; a name's own case decides before that.
    by_letters = {each.casefold(): each for each in reversed(names)} | {each: each for each in names}
    found = difflib.get_close_matches(name[:100], by_letters, n=1, cutoff=0.6)
    found = found or difflib.get_close_matches(name[:100].casefold(), by_letters, n=1, cutoff=0.6)
    return f"did you mean {by_letters[found[0]]!r}?" if found else ""
