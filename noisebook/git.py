"""What git has of a report."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path


def untracked(folder: Path) -> int:
    """Bytes under ``folder`` that git does not have yet; 0 outside a repository."""
    total = 0
    for name in git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--", ".") or ():
        with suppress(FileNotFoundError):  # another builder's temporary file has its own name by now
            total += (folder / name).stat().st_size
    return total


def git(folder: Path, *arguments: str) -> list[str] | None:
    """The entries that git lists with -z; None outside a repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [name for name in done.stdout.decode(errors="surrogateescape").split("\0") if name]
