"""What generators leave behind: taken where it is plain, refused in words where it is not."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from noisebook.cells import outputs
from noisebook.cells.outputs import animation, arrays, number, picture, table

COLOURS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def decoded(value: Any) -> np.ndarray[Any, Any]:
    output = picture("picture", value)
    with Image.open(io.BytesIO(output.data)) as found:
        assert (output.width, output.height) == found.size
        return np.asarray(found)


def test_arrays_however_their_axes_lie() -> None:
    grey = COLOURS[..., 0]
    clear = np.dstack([COLOURS, grey])
    for value in (COLOURS, COLOURS.transpose(2, 0, 1), COLOURS[None], COLOURS.transpose(2, 0, 1)[None]):
        assert (decoded(value) == COLOURS).all()
    for value in (grey, grey[None], grey[..., None], grey[None, None]):
        assert (decoded(value) == grey).all()
    assert (decoded(clear) == clear).all() and (decoded(clear.transpose(2, 0, 1)) == clear).all()
    assert (decoded(Image.fromarray(COLOURS)) == COLOURS).all()
    assert (decoded(Image.fromarray(grey).convert("P")) == np.dstack([grey] * 3)).all()
    assert (decoded(grey > 99) == np.where(grey > 99, 255, 0)).all()
    assert (decoded(grey.astype(np.uint16) * 257) == grey).all()


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_floats_in_either_range(kind: str) -> None:
    unit = (COLOURS / 255).astype(kind)
    assert (decoded(unit) == COLOURS).all()
    assert (decoded(unit * 2 - 1) == COLOURS).all()
    assert decoded(np.full((4, 4), 1.0004)).max() == 255


def test_tensors_of_any_kind() -> None:
    import torch

    unit = torch.from_numpy(COLOURS.transpose(2, 0, 1) / 255)
    assert (decoded(unit) == COLOURS).all()
    assert (decoded((unit * 2 - 1).float().requires_grad_()) == COLOURS).all()
    assert abs(decoded(unit.bfloat16()).astype(int) - COLOURS).max() <= 1
    assert json.loads(number("loss", torch.tensor(0.5)).data) == {"value": 0.5, "unit": ""}
    assert len(arrays("curve", {"loss": torch.ones(3)}).data) == len(
        arrays("curve", {"loss": np.ones(3, "f4")}).data
    )


def test_a_matplotlib_figure() -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([1, 2, 3])
    assert decoded(figure).shape == (150, 300, 3)
    assert picture("plot", figure).data == picture("plot", figure).data


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((5, 9, 7), np.uint8), "expected 1, 3 or 4 channels, first or last, got (5, 9, 7)"),
        (np.zeros((3, 9, 3), np.uint8), "channels first or last? (3, 9, 3) reads both ways"),
        (np.zeros((2, 9, 9, 3), np.uint8), "2 pictures where one is expected"),
        (np.zeros(9, np.uint8), "expected (height, width)"),
        (np.zeros((0, 9), np.uint8), "no pixels"),
        (np.full((4, 4), 3.5), "expected floats in [0, 1] or in [-1, 1], got 3.5 to 3.5"),
        (np.full((4, 4), -1.5), "expected floats"),
        (np.array([[0.5, math.nan]]), "1 of its 2 values are not numbers"),
        (np.full((4, 4), math.inf), "not numbers"),
        (np.full((4, 4), 7), "whole numbers are taken as uint8 alone, 0 to 255: got int64"),
        (np.array([["a"]]), "expected numbers"),
        (None, "expected numbers"),
    ],
)
def test_what_is_not_plain_is_refused_in_words(value: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        picture("noised", value)
    assert words in str(caught.value) and str(caught.value).startswith("picture 'noised': ")


def test_films_of_what_pictures_are_made_of() -> None:
    film = np.stack([COLOURS, 255 - COLOURS])
    same = animation("animation", film, fps=5).data
    assert animation("animation", [COLOURS, 255 - COLOURS], fps=5).data == same
    assert animation("animation", film.transpose(0, 3, 1, 2) / 255, fps=5).data == same
    assert animation("animation", film / 127.5 - 1, fps=5).data == same
    with Image.open(io.BytesIO(animation("animation", film[..., 0], fps=5).data)) as found:
        assert getattr(found, "n_frames", 1) == 2
    for wrong, words in (
        ([], "frames of a film"),
        (film[..., :2], "channels"),
        (np.zeros((2, 5, 5, 4)), "transparency"),
    ):
        with pytest.raises(ValueError, match=words):
            animation("animation", wrong, fps=5)


def test_numbers_may_be_infinite_and_never_nothing() -> None:
    assert json.loads(number("psnr", math.inf, "dB").data) == {"value": "Infinity", "unit": "dB"}
    assert json.loads(number("psnr", np.float32(2)).data)["value"] == 2.0
    with pytest.raises(ValueError, match="number 'psnr': it is not a number"):
        number("psnr", math.nan, "dB")
    found = json.loads(table("scores", ["a", "b"], [[1, None], [np.float64(-math.inf), "x"]]).data)
    assert found["rows"] == [[1, None], ["-Infinity", "x"]]
    with pytest.raises(ValueError, match="a row of 1 values under 2 columns"):
        table("scores", ["a", "b"], [[1]])
    with pytest.raises(ValueError, match="table 'scores': it is not a number"):
        table("scores", ["a"], [[math.nan]])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 6), max_size=5),
    st.sampled_from(["uint8", "bool", "uint16", "int32", "float32", "float64", "complex64", "U1"]),
    st.floats(allow_nan=True, allow_infinity=True),
)
def test_any_array_is_a_picture_or_an_error_in_words(shape: list[int], kind: str, value: float) -> None:
    with np.errstate(all="ignore"):
        array = np.full(shape, 1 if kind in ("U1", "int32", "bool") else 0).astype(kind)
        if kind.startswith("float"):
            array = np.full(shape, value).astype(kind)
    try:
        found = decoded(array)
    except (TypeError, ValueError) as error:
        assert "picture 'picture': " in str(error)
    else:
        assert found.dtype == np.uint8 and found.size == array.size


def test_the_guide_names_every_kind_of_output() -> None:
    guide = (Path(__file__).parent.parent / "docs" / "generators.md").read_text("utf-8")
    returned = {
        name: getattr(each, "__annotations__", {}).get("return") for name, each in vars(outputs).items()
    }
    makers = {name for name, what in returned.items() if what == "Output"}
    assert {"picture", "animation"} <= makers
    assert not {name for name in makers if f"`{name}`" not in guide}
