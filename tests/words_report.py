"""A small report whose page draws pictures from words, for the tests of that page and of its numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.sample_report import compute, render

if TYPE_CHECKING:
    from noisebook.generators import _words

ROOT = Path(__file__).parents[1]
VARIANTS = 24
SUBJECTS = ["castle", "dress", "skull", "tulip", "waterfalls"]
SECTION = """---
title: Words
figures:
  - id: words
    generator: words
    params:
      variants: 24
      subjects: [castle, dress, skull, tulip, waterfalls]
      examples:
        - {subjects: [{name: castle, style: plain}], seed: 7}
        - {mode: anagram, subjects: [{name: tulip}, {name: dress}], seed: 3}
    caption: Pictures from words.
---
Words.
"""


@pytest.fixture(scope="session")
def words_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sub") / "path"
    for name, text in {"report.yaml": "title: Words\nmodel: exact", "sections/a-words.md": SECTION}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    compute(root)
    render(root)
    return root / "site"


@pytest.fixture(scope="session")
def words_model() -> _words.Asked:
    from noisebook.generators import _words

    from noisebook.models.library import shipped

    library = shipped(ROOT / "models" / "library.zip", ROOT / "models" / "scenes.zip")
    return _words.Asked(_words.Words(library, VARIANTS, SUBJECTS))
