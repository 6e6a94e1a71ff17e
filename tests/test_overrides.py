"""Parameters for one build: apart from the store and the site, and told by name where they are wrong."""

from __future__ import annotations

import pytest

from .conftest import Book


def store(book: Book) -> dict[str, bytes]:
    places = (book.root / "cache", book.root / "site")
    return {
        str(path): path.read_bytes()
        for place in places
        for path in place.rglob("*")
        if path.is_file() and ".locks" not in path.parts
    }


def test_another_value_is_drawn_apart_and_once(book: Book) -> None:
    book.build()
    before = store(book)
    book.computed()
    said = book.build("--set", "tiles.params.values=[1, 7]")
    assert "computed 1, " in said and "draft-site" in said
    assert book.computed() == ["v=7"]
    assert "grey 7" in (book.root / ".noisebook" / "draft-site" / "tiles.html").read_text()
    assert store(book) == before
    assert "computed 0, " in book.build("--set", "tiles.params.values=[7]")
    assert "computed 0, cached 3" in book.build()


def test_the_last_of_two_values_counts_and_other_figures_wait(book: Book) -> None:
    book.write("sections/more.md", "---\ntitle: More\ngenerator: tile\nparams: {values: [9]}\n---\nSome.\n")
    book.build("--set", "tiles.params.values=[4]", "--set", "tiles.params.values=[5]")
    assert book.computed() == ["v=5"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("tilse.params.values=[1]", "no figure is called 'tilse'"),
        ("tilse.params.values=[1]", "did you mean 'tiles'?"),
        ("tiles.params.valeus=[1]", "did you mean 'values'?"),
        ("tiles.params.values=much", "--set tiles.params"),
        ("tiles.params.values=[1", "is no value"),
        ("tiles.values=[1]", "FIGURE.params.NAME=VALUE"),
        ("tiles.params.values", "FIGURE.params.NAME=VALUE"),
    ],
)
def test_what_cannot_be_set_is_told(book: Book, setting: str, said: str) -> None:
    done = book.run("build", "--set", setting)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert not book.computed()
