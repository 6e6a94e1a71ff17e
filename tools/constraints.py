"""Pin what Noisebook is installed with: versions, and the digests of all their files, for all platforms.

    pip install uv && python -m tools.constraints     # or --upgrade: newest versions

constraints.txt has a part for each of the Makefile's steps, and each part only what the ones before it lack.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

PYTHON = "3.11.5"
"""The oldest that all packages take."""
EXTRAS = {"pages": (), "compute": ("compute",), "test": ("cluster", "compute", "dataset", "test")}
GPU = re.compile(r"(torch|torchvision|triton|nvidia-.+|cuda-.+)==")
"""PyTorch from PyPI and what it brings for a GPU: left out where its build for processors is installed."""
HEAD = """\
# What the Makefile installs, with the digests of all files; python -m tools.constraints writes it.
"""


def pins(project: Path, extras: tuple[str, ...], known: Path) -> dict[str, str]:
    """The pinned lines of a resolution, by their first line; versions in ``known`` are kept."""
    options = [part for extra in extras for part in ("--extra", extra)]
    command = ["uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes", "--no-annotate"]
    command += [
        "--no-header",
        "--python-version",
        PYTHON,
        "--constraint",
        str(known),
        *options,
        str(project),
        "-",
    ]
    done = subprocess.run(command, input="setuptools>=77\n", capture_output=True, text=True, check=True)
    entries = re.split(r"\n(?=\S)", done.stdout.strip())
    return {entry.partition("\\")[0].strip(): entry for entry in entries}


def compiled(root: Path, known: str) -> str:
    """The content of constraints.txt; versions that ``known`` pins are kept where they can be."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        project = place / "pyproject.toml"
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
        project.write_text(re.sub(r"(?s)\n\[tool\..*", "\n", text), encoding="utf-8")
        lines = "\n".join(re.findall(r"^[A-Za-z0-9._-]+==[^\s\\;]+", known, re.MULTILINE))
        (place / "known.txt").write_text(lines, encoding="utf-8")
        whole = pins(project, EXTRAS["test"], place / "known.txt")
        versions = "\n".join(line.partition(";")[0] for line in whole)
        (place / "known.txt").write_text(versions, encoding="utf-8")
        parts: dict[str, list[str]] = {"pages": [], "compute": [], "torch": [], "test": []}
        done: set[str] = set()
        for part, extras in EXTRAS.items():
            for line in pins(project, extras, place / "known.txt"):
                if (pin := line.partition(" ")[0]) not in done:
                    done.add(pin)
                    parts["torch" if GPU.match(line) else part].append(whole[line])
    return HEAD + "".join(f"\n# {part}\n" + "\n".join(pinned) + "\n" for part, pinned in parts.items())


def main() -> None:
    """``python -m tools.constraints``."""
    parser = argparse.ArgumentParser(prog="python -m tools.constraints", description="Write constraints.txt.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    root = Path(__file__).parents[1]
    path = root / "constraints.txt"
    known = "" if parser.parse_args().upgrade else path.read_text(encoding="utf-8")
    path.write_text(compiled(root, known), encoding="utf-8")


if __name__ == "__main__":
    main()
