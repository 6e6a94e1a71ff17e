"""What the store could do without."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from noisebook.build.store import Store

LEFTOVER_AGE = 3600.0
"""Seconds after which a temporary file belongs to no living build."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Records that nothing uses, and files that no kept record names."""

    store: Store
    cells: list[str]
    files: list[Path]
    bytes: int

    def describe(self) -> Iterator[str]:
        """A line for each."""
        for key in self.cells:
            record = self.store.get(key)
            if record is not None:
                yield (
                    f"cell {key[:12]} of {record.components.get('generator')} "
                    f"({record.provenance.get('cell')}, {record.provenance.get('finished')})"
                )
        for path in self.files:
            yield f"file {path}"

    def drop(self) -> None:
        """Remove them, records first: a record always stands for a whole cell."""
        for key in self.cells:
            self.store.drop(key)
        for path in self.files:
            path.unlink(missing_ok=True)


def collect(store: Store, kept: Collection[str]) -> Garbage:
    """Everything in ``store`` that the cells in ``kept`` do not need. Touches nothing."""
    cells = [key for key in store.entries if key not in kept]
    named = {sha for key, entry in store.entries.items() if key in kept for sha, _ in entry.objects}
    dropped = {sha for key in cells for sha, keep in store.entries[key].objects if keep == "local"}
    files = [path for path in (store.place / "objects").glob("[!.]*") if path.name not in named]
    files += [store.local / sha for sha in sorted(dropped - named) if (store.local / sha).exists()]
    files += [path for path in (store.place / "aside").glob("*")]
    files += [
        path
        for folder in ("objects", "cells")
        for path in (store.place / folder).glob(".*.tmp")
        if time.time() - path.stat().st_mtime > LEFTOVER_AGE
    ]
    size = sum(path.stat().st_size for path in files)
    size += sum((store.place / "cells" / f"{key}.json").stat().st_size for key in cells)
    return Garbage(store, cells, files, size)
