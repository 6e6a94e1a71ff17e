"""A trained network's weights alone, as data: what a report's own training left, pinned.

Its store finds them by their digest, so that they stand in the repository once and under a name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisebook.models.lock import Entry, verify

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load(name: str, entry: Entry, root: Path) -> dict[str, NDArray[Any]]:
    """The arrays by name. Raises MissingModel."""
    from safetensors.numpy import load_file

    [path] = verify(name, entry, root).values()
    return dict(load_file(path))
