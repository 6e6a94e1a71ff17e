"""A report to start from: what `noisebook init` writes."""

from __future__ import annotations

import json
import re
from importlib import metadata
from pathlib import Path

from noisebook.report.model import BadInput, Position, Problem
from noisebook.report.scaffold import GENERATOR, PICTURE, TEST, draw_picture, write_new

_PACKAGE = Path(__file__).parents[1]
COURSE = Path(__file__).with_name("course")
"""The report of a course, with places to fill."""
IMAGES = _PACKAGE / "images" if (_PACKAGE / "images").is_dir() else _PACKAGE.parent / "images"
"""Noisebook's own pictures, in the wheel or in the repository."""

REPORT = """\
# What this report is. Every key is described in Noisebook's docs/sections.md.
title: {title}
subtitle: Figures that are computed
authors: [Your Name]
description: One or two sentences for search engines and previews.
language: en
licence: CC-BY-4.0
# base_url: https://NAME.github.io/REPOSITORY   # brings a site map, a feed and social cards

parts:
  A: First things

# Sections follow in the order of their files' names; `sections:` would list another order.
"""

WAVES = """\
---
title: Plane waves
part: A
number: "A1"
summary: A first figure, drawn by this report's own code.
generator: waves
params:
  frequencies: [1, 2, 4]
caption: Waves $\\sin(2\\pi f x)$ for three frequencies $f$. Add an 8, and one picture is computed.
alt: Grey stripes, narrower from picture to picture.
---

A plane wave of frequency $f$ has the value

$$w(x) = \\sin(2\\pi f x), \\qquad 0 \\le x < 1,$$

in every row. Sums of such waves make any picture [@fourier1822]. {{ ref("waves") }} shows three of them. It
was drawn by `generators/waves.py`, in this report's folder.

{{ figure("waves") }}

Write on from here: this page is `sections/waves.md`.
"""

REFERENCES = """\
@book{fourier1822,
  author    = {Fourier, Joseph},
  title     = {Théorie analytique de la chaleur},
  publisher = {Firmin Didot},
  year      = {1822},
}
"""

OWN = """\
/* This report's own look: whatever stands here comes after Noisebook's theme, and wins.
   Each colour has a light and a dark value. Fonts may lie beside this file, as fonts/NAME.woff2. */
:root {
  --paper: light-dark(#fdfdfb, #14171a); /* the page */
  --accent: light-dark(#00606f, #7fd1de); /* links, the button, the current section */
  /* --raised: light-dark(#f5f2ec, #1f1f25);  boxes
     --ink: light-dark(#1d1c1a, #e6e3de);     text
     --soft: light-dark(#5c5850, #a8a39a);    labels and numbers
     --line: light-dark(#e0dbd0, #34343c);    rules
     --mark: light-dark(#ffe9a8, #5a4710);    what was searched for
     --serif: Georgia, serif;                 text
     --sans: system-ui, sans-serif;           labels
     --text: 42rem;                           the width of a line of text */
}
"""

CREDITS = """\
# Pictures

`hills.png`: hills under a low sun, drawn by `noisebook init`; no rights reserved (CC0-1.0). Of every other
picture in this folder, say what it shows, who made it, and the licence that lets it be used here.
"""

IGNORE = """\
/site/
/.noisebook/
/cache/.locks/
/cache/aside/
.venv/
__pycache__/
"""

ATTRIBUTES = """\
# What is pinned by its digest keeps its bytes, whatever git does with line ends elsewhere.
/cache/** -text
/images/** -text
/models/** -text
"""

README = """\
# {title}

A report whose figures are computed, made with Noisebook.

```
pip install -r requirements.txt
noisebook serve                       # look at it while you write
noisebook build                       # the site: open site/index.html
noisebook new NAME --with-generator   # a section with a figure of its own
```

`sections/` holds the text, `generators/` the code that draws, `templates/own.css` the look, `cache/` the
finished pictures. Commit all of them: a push to `main` publishes the site from `cache/` and computes nothing.
"""

COURSE_README = """\
# {title}

A course's report on diffusion models and flow matching, made with Noisebook.

```
pip install -r requirements.txt
noisebook status --deliverables       # what is there, missing, stale, or still to fill in
noisebook serve                       # look at it while you write
noisebook build --only SECTION        # compute the figures of one section
noisebook pdf                         # the whole report as one file
```

`sections/` holds the text and the figures' parameters, `images/` the pictures, `cache/` the finished figures.
A line with TODO is a place to fill. Commit all of it: a push to `main` publishes the site from `cache/`.
"""

PAGES = """\
# Publishes the report from its committed cells on every push.
# Once, in the repository's settings: Pages, Source, "GitHub Actions".
name: pages
on:
  push:
    branches: [main]
  workflow_dispatch:
permissions:
  contents: read
  pages: write
  id-token: write
concurrency:
  group: pages
  cancel-in-progress: false
jobs:
  publish:
    runs-on: ubuntu-latest
    timeout-minutes: 15
    environment:
      name: github-pages
      url: ${{ steps.deployment.outputs.page_url }}
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - uses: actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0
        with:
          python-version: "3.12"
          cache: pip
          cache-dependency-path: requirements.txt
      - run: pip install -r requirements.txt
      - run: noisebook build --frozen
      - uses: actions/configure-pages@45bfe0192ca1faeb007ade9deae92b16b8254a0d # v6.0.0
      - uses: actions/upload-pages-artifact@fc324d3547104276b827a68afc52ff2a11cc49c9 # v5.0.0
        with:
          path: site
      - id: deployment
        uses: actions/deploy-pages@368f82528645a54fb793d4d04e342629a3f51346 # v5.0.1
"""


def new_report(root: Path, title: str) -> list[Path]:
    """Write a report that builds at once; raises :class:`BadInput` rather than overwrite anything."""
    files: dict[str, str | bytes] = {
        "report.yaml": REPORT.replace("{title}", json.dumps(title, ensure_ascii=False)),
        "sections/waves.md": WAVES,
        "generators/waves.py": GENERATOR,
        "tests/test_waves.py": TEST.format(name="waves"),
        "references.bib": REFERENCES,
        "images/CREDITS.md": CREDITS,
        PICTURE: draw_picture(),
        "README.md": README.replace("{title}", title),
        **_around(),
    }
    return _written(root, files)


def new_course(root: Path, title: str) -> list[Path]:
    """Write a course's report, ready to compute, into a folder that is empty or holds a new git repository.

    Raises :class:`BadInput`, and touches nothing, if there is anything else in it.
    """
    if found := sorted(path.name for path in root.glob("*") if path.name != ".git"):
        message = f"the folder is not empty: it has {', '.join(found[:3])}{' …' if len(found) > 3 else ''}"
        hint = "name a new folder: noisebook init FOLDER --template course"
        raise BadInput([Problem(Position(str(root)), message, hint)])
    sections = {path.name: path.read_text("utf-8") for path in sorted((COURSE / "sections").glob("*.md"))}
    pictures = sorted(set(re.findall(r"images/([a-z-]+\.(?:jpg|png))", "".join(sections.values()))))
    config = (COURSE / "report.yaml").read_text("utf-8")
    files: dict[str, str | bytes] = {
        "report.yaml": config.replace("{title}", json.dumps(title, ensure_ascii=False)),
        **{f"sections/{name}": text for name, text in sections.items()},
        **{f"images/{name}": (IMAGES / name).read_bytes() for name in pictures},
        "images/CREDITS.md": _credits(pictures),
        "README.md": COURSE_README.replace("{title}", title),
        **_around(),
    }
    return _written(root, files)


def _credits(pictures: list[str]) -> str:
    """Whose Noisebook's own ``pictures`` are: the rows of its table that name them."""
    head, *rows = re.split(r"\n(?=\| )", (IMAGES / "CREDITS.md").read_text("utf-8").rstrip("\n"))
    columns, *rows = rows
    kept = [row for row in rows if any(name in row.partition(" | ")[0] for name in pictures)]
    return "\n".join([head, columns, *kept]) + "\n"


def _around() -> dict[str, str | bytes]:
    """What every new report has besides its text and figures."""
    return {
        "templates/own.css": OWN,
        "requirements.txt": requirement() + "\n",
        ".gitattributes": ATTRIBUTES,
        ".gitignore": IGNORE,
        ".github/workflows/pages.yml": PAGES,
    }


def _written(root: Path, files: dict[str, str | bytes]) -> list[Path]:
    write_new(root, {root / name: content for name, content in files.items()})
    return [root / name for name in files]


def requirement() -> str:
    """How another machine gets this very Noisebook: from where it was installed.

    A folder of this machine has no address, and a bare name might be another's package at an index: then the
    line holds words in capitals that pip refuses until they are replaced.
    """
    package = metadata.distribution("noisebook")
    source = json.loads(package.read_text("direct_url.json") or "{}")
    if vcs := source.get("vcs_info"):
        return f"noisebook @ {vcs['vcs']}+{source['url']}@{vcs['commit_id']}"
    if source:
        return (
            "# Noisebook was installed from a folder of one machine. Name its repository, for others:\n"
            "noisebook @ git+https://HOST/OWNER/REPOSITORY@COMMIT"
        )
    return f"noisebook=={package.version}"
