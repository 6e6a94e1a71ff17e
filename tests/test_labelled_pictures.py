"""One cell with several labelled pictures, from a generator of an author's own to the page."""

from __future__ import annotations

import json
import re

from tests.conftest import Book

READINGS = '''
"""One process, seen twice, and what an author's own names mean."""

import numpy as np
from noisebook.cells.contract import Cell, Labelled, Params as Base
from noisebook.cells.outputs import number, picture
from pydantic import Field


class Params(Base):
    sigmas: list[float] = Field(description="what is drawn", min_length=1)
    words: str = Field("near", description="a label")


def cells(params):
    pictures = [Labelled("near", params.words, "Seen from near."), Labelled("far", "far", "Seen from far.")]
    return [
        Cell(f"s={s:g}", f"σ {s:g}", "", {"sigma": s}, seed=None, pictures=pictures) for s in params.sigmas
    ]


def run(cells, context):
    for cell in cells:
        near = np.full((8, 8), int(cell.params["sigma"]), np.uint8)
        far = np.full((8, 8), 255 - int(cell.params["sigma"]), np.uint8)
        yield cell, [
            picture("near", near),
            picture("far", far),
            number("PSNR of near", 12.34, "dB"),
            number("PSNR of far", 3.21, "dB"),
        ]
'''
SECTION = """
---
title: Readings
generator: readings
params: {sigmas: [10, 20], words: WORDS}
caption: Each seen twice.
alt: Grey.
---
{{ figure("readings") }}
"""


def test_each_picture_has_its_label_alt_and_numbers(book: Book) -> None:
    book.write("generators/readings.py", READINGS)
    book.write("sections/readings.md", SECTION.replace("WORDS", "close by"))
    book.build()
    page = (book.root / "site" / "readings.html").read_text()
    tiles = re.findall(r'<li class="cell state-cached">(.*?)</li>', page, re.DOTALL)
    assert len(tiles) == 4
    assert [re.search(r'class="name">([^<]*)', tile)[1] for tile in tiles] == ["close by", "far"] * 2
    assert [re.search(r'class="value">([^<]*)', tile)[1] for tile in tiles] == [
        "PSNR 12.3 dB",
        "PSNR 3.2 dB",
    ] * 2
    assert [re.search(r'alt="([^"]*)', tile)[1] for tile in tiles] == [
        "Seen from near.",
        "Seen from far.",
    ] * 2
    assert len(set(re.findall(r'href="(assets/[^"]*\.png)"', page))) == 4
    manifest = json.loads((book.root / "site" / "manifest.json").read_text())
    (figure,) = [each for each in manifest["figures"] if each["id"] == "readings"]
    assert [cell["id"] for cell in figure["cells"]] == ["s=10", "s=20"]
    stored = book.stored()
    book.edit("sections/readings.md", "close by", "within reach")
    book.build("--frozen")
    assert book.stored() == stored, "a label is not in the key"
    assert "within reach" in (book.root / "site" / "readings.html").read_text()


def test_a_picture_that_the_cell_does_not_leave_is_an_error(book: Book) -> None:
    book.write("generators/readings.py", READINGS.replace('picture("far", far)', 'picture("away", far)'))
    book.write("sections/readings.md", SECTION.replace("WORDS", "near"))
    done = book.run("build")
    assert done.returncode == 1 and "left no output 'far'" in done.stdout + done.stderr
    twice = READINGS.replace('Labelled("far"', 'Labelled("near"')
    book.write("generators/readings.py", twice)
    done = book.run("build")
    assert done.returncode == 2 and "each named once" in done.stdout + done.stderr
