"""A report to start from: what `noisebook init` writes."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

from noisebook.report.model import BadInput, Position, Problem
from noisebook.report.scaffold import NEW, write_new

_PACKAGE = Path(__file__).parents[1]
COURSE = NEW / "course"
"""The report of a course, with places to fill."""
HIDDEN = ("gitattributes", "github", "gitignore")
"""What begins with a dot in a report, and would be git's here."""
IMAGES = _PACKAGE / "images" if (_PACKAGE / "images").is_dir() else _PACKAGE.parent / "images"
"""Noisebook's own pictures, in the wheel or in the repository."""


def new_report(root: Path, title: str) -> list[Path]:
    """Write a report that builds at once; raises :class:`BadInput` rather than overwrite anything."""
    return _written(root, title, {"requirements.txt": requirement() + "\n"}, "first")


def new_course(root: Path, title: str) -> list[Path]:
    """Write a course's report, ready to compute, into a folder that is empty or holds a new git repository.

    Raises :class:`BadInput`, and touches nothing, if there is anything else in it.
    """
    if found := sorted(path.name for path in root.glob("*") if path.name != ".git"):
        message = f"the folder is not empty: it has {', '.join(found[:3])}{' …' if len(found) > 3 else ''}"
        hint = "name a new folder: noisebook init FOLDER --template course"
        raise BadInput([Problem(Position(str(root)), message, hint)])
    sections = "".join(path.read_text("utf-8") for path in (COURSE / "sections").glob("*.md"))
    pictures = sorted(set(re.findall(r"images/([a-z-]+\.(?:jpg|png))", sections)))
    own: dict[str, str | bytes] = {f"images/{name}": (IMAGES / name).read_bytes() for name in pictures}
    own |= {"images/CREDITS.md": _credits(pictures), "requirements.txt": requirement() + "\n"}
    return _written(root, title, own, "course")


def _credits(pictures: list[str]) -> str:
    """Whose Noisebook's own ``pictures`` are: the rows of its table that name them."""
    head, *rows = re.split(r"\n(?=\| )", (IMAGES / "CREDITS.md").read_text("utf-8").rstrip("\n"))
    columns, *rows = rows
    kept = [row for row in rows if any(name in row.partition(" | ")[0] for name in pictures)]
    return "\n".join([head, columns, *kept]) + "\n"


def _written(root: Path, title: str, own: dict[str, str | bytes], kind: str) -> list[Path]:
    """Write the files of every new report, those of its ``kind``, and ``own``; ``{title}`` is the title."""
    files: dict[Path, str | bytes] = {}
    for folder in (NEW / kind, NEW / "every"):
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            first, *rest = path.relative_to(folder).parts
            place = root.joinpath(f".{first}" if first in HIDDEN else first, *rest)
            if path.suffix == ".png":
                files[place] = path.read_bytes()
                continue
            said = json.dumps(title, ensure_ascii=False) if path.suffix == ".yaml" else title
            files[place] = path.read_text("utf-8").replace("{title}", said)
    files |= {root / name: content for name, content in own.items()}
    write_new(root, files)
    return list(files)


def requirement(extra: str = "", line: str = "{}") -> str:
    """How another machine gets this very Noisebook, in a ``line``: from where it was installed.

    A folder of this machine has no address, and a bare name might be another's package at an index: then the
    line holds words in capitals that pip refuses until they are replaced.
    """
    package = metadata.distribution("noisebook")
    source = json.loads(package.read_text("direct_url.json") or "{}")
    if vcs := source.get("vcs_info"):
        return line.format(f"noisebook{extra} @ {vcs['vcs']}+{source['url']}@{vcs['commit_id']}")
    if source:
        return (
            "# Noisebook was installed from a folder of one machine. Name its repository, for others:\n"
            + line.format(f"noisebook{extra} @ git+https://HOST/OWNER/REPOSITORY@COMMIT")
        )
    return line.format(f"noisebook{extra}=={package.version}")
