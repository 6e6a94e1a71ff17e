"""The commands. Thin: each says what it does and lets the rooms do it."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Entry point. A plain ``noisebook build`` with nothing to do is answered before anything is imported."""
    if sys.argv[1:] in (["build"], ["build", "--frozen"]):
        from noisebook.cells.fresh import last_summary

        root = Path.cwd()
        summary = last_summary(root) if (root / "report.yaml").is_file() else None
        if summary is not None:
            print(summary)
            return
    from noisebook.commands import cli

    cli()


if __name__ == "__main__":
    main()
