"""What a record may hold on its way to a page: JSON of any shape, films and drawings without end, files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from noisebook.cells import svg
from noisebook.cells.contract import Output
from noisebook.cells.media import MOST_FRAMES
from noisebook.cells.record import strict
from noisebook.cells.verify import compare
from noisebook.project import Project
from noisebook.render import bundles, choices, media
from noisebook.render.assets import Site
from noisebook.render.figures import view
from noisebook.render.styles import Styles
from noisebook.report.reader import BadFile, decode
from tests.test_build_store import COMPONENTS, new_store
from tests.test_cells_border import ANY, told
from tests.test_render_media import forge, root

__all__ = ["root"]  # a fixture

DEEP = b"[" * 150 + b"]" * 150
OFFERED = {
    "subjects": [{"name": "a cat", "phrase": "a cat"}],
    "styles": {"oil": "an oil painting of {}"},
    "processes": {"10": {"timesteps": [1, 2]}},
    "views": {"flip": []},
}
BUNDLES = {"files": ["models/library.zip"], "bundles": {"ab" * 32: ["a"]}}
HARMLESS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def shown(root: Path, *made: tuple[str, str, bytes]) -> Any:
    """What a page shows of a figure whose record is forged."""
    forge(root, "shapes", *made)
    report = Project(root)
    figure = next(figure for _, figure in report.figures() if figure.id == "shapes")
    planned = report.planned["shapes"]
    return view(figure, 1, planned, Site(root / "nowhere"), Styles(), keep_stale=False)


def replaced(value: Any, way: int, other: Any) -> Any:
    """A tree with another value at one of its places."""
    places: list[tuple[Any, Any]] = []

    def visit(holder: Any) -> None:
        for name, each in holder.items() if isinstance(holder, dict) else enumerate(holder):
            places.append((holder, name))
            if isinstance(each, dict | list):
                visit(each)

    value = json.loads(json.dumps(value))
    visit(value)
    holder, name = places[way % len(places)]
    holder[name] = other
    return value


@HARMLESS
@given(first=st.booleans(), way=st.integers(0, 30), other=ANY)
def test_whatever_a_record_says_of_words_its_figure_has_a_view(
    root: Path, first: bool, way: int, other: Any
) -> None:
    offered = replaced(OFFERED, way, other) if first else OFFERED
    parts = BUNDLES if first else replaced(BUNDLES, way, other)
    made = [("words", offered), ("bundles", parts), ("sampler", other)]
    with told():
        shown(root, *((name, "application/json", json.dumps(value).encode()) for name, value in made))


@pytest.mark.parametrize(
    "text",
    [
        b'{"columns":["a"],"rows":[[' + b"[" * 800 + b"]" * 800 + b"]]}",
        b'{"columns":["\\ud800"],"rows":[["\\udfff"]]}',
        b'{"value":1,"unit":"\\ud800"}',
        json.dumps({"columns": ["a"], "rows": [[1] * 200_000] + [[]] * 200_000}).encode(),
        json.dumps({"columns": ["a"], "rows": [[1]] * 150_000}).encode(),
    ],
    ids=["deep", "surrogates", "unit", "wide", "long"],
)
def test_json_that_no_page_can_hold_is_a_file_alone(root: Path, text: bytes) -> None:
    [cell, *_] = shown(root, ("odd", "application/json", text)).cells
    assert [file.name for file in cell.files] == ["odd"] and not cell.tables and not cell.values


@pytest.mark.parametrize("value", ["NaN", "1e999", "-1e999", '"Infinity"', "1e300", "0", "-3"])
def test_seconds_that_are_no_time_are_quoted(root: Path, value: str) -> None:
    from noisebook.render.values import Values

    forge(root, "shapes", ("time", "application/json", f'{{"value":{value},"unit":"s"}}'.encode()))
    report = Project(root)
    first = report.planned["shapes"][0]
    assert Values({"shapes": [first]}, keep_stale=False)("shapes", "time").endswith((" s", " min"))


def test_no_file_is_read_that_only_a_record_names(tmp_path: Path) -> None:
    secret, pipe = tmp_path / "secret.zip", tmp_path / "pipe"
    with zipfile.ZipFile(secret, "w") as archive:
        archive.writestr("a", b"secret")
    os.mkfifo(pipe)
    known = {hashlib.sha256(b"secret").hexdigest(): ["a"]}
    site = Site(tmp_path / "site")
    for name in map(str, (secret, pipe, tmp_path, "../secret.zip", "\0", "a" * 5000)):
        assert not bundles.cut(bundles.Bundles([name], known), site, [tmp_path / "other"])
        assert not bundles.cut(bundles.Bundles([name], known), site, [pipe])
    assert bundles.cut(bundles.Bundles([str(secret)], known), site, [secret])


def test_a_bundle_is_bounded_and_a_damaged_library_is_none(tmp_path: Path) -> None:
    library = tmp_path / "library.zip"
    with zipfile.ZipFile(library, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 15_000_000)
        archive.writestr("b", bytes(range(256)) * 50)
    site = Site(tmp_path / "site")
    for names in (["a"] * 100_000, ["b"], ["missing"]):
        assert not bundles.cut(bundles.Bundles([str(library)], {"0" * 64: names}), site, [library])
    whole = library.read_bytes()
    for at in range(0, len(whole), 97):
        library.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        assert not bundles.cut(bundles.Bundles([str(library)], {"0" * 64: ["b"]}), site, [library])


def moving(frames: int, side: int) -> bytes:
    """A WebP of one frame again and again."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(buffer, "WEBP", lossless=True)
    three = [struct.pack("<I", number)[:3] for number in (side - 1, side - 1, 20)]
    frame = bytes(6) + b"".join(three) + b"\0" + buffer.getvalue()[12:]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0" + three[0] * 2 + b"ANIM\6\0\0\0" + bytes(6)
    body += (b"ANMF" + struct.pack("<I", len(frame)) + frame + b"\0" * (len(frame) % 2)) * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_a_film_without_end_is_none_and_one_of_many_pixels_no_gif(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decode(moving(20, 8), "x").mime == "image/webp"
    with pytest.raises(BadFile, match="more than 5,000 frames"):
        decode(moving(MOST_FRAMES + 1, 8), "x")
    assert media.gif(moving(20, 8), 128, 256) and media.shape(media.strip(moving(20, 8))) == (160, 8, 1)
    assert media.gif(moving(800, 8), 128, 256) is None  # of 256 × 256 pixels each
    held: list[int] = []
    monkeypatch.setattr(media, "_opaque", lambda picture: held.append(1) or picture.convert("RGB"))
    assert media.shape(media.still(moving(20, 8))) == (8, 8, 1) and len(held) == 20


def test_a_drawing_is_bounded() -> None:
    head = b'<svg xmlns="http://www.w3.org/2000/svg">'
    assert svg.clean(head + b"<g/>" * 1000 + b"</svg>")
    with pytest.raises(ValueError, match="more than 8 MB"):
        svg.clean(head + b"<g/>" * 2_000_001 + b"</svg>")


@pytest.mark.parametrize(
    "notes",
    [
        DEEP * 2000,
        b"[]",
        b"3",
        b'{"count":1e999,"key":""}',
        b'{"count":-1,"key":""}',
        b"\xff",
        b'{"count":[]}',
    ],
)
def test_a_sheet_of_samples_says_what_it_is_or_is_none(notes: bytes) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (choices.ROW * choices.SIDE, choices.SIDE)).save(buffer, "WEBP", xmp=notes)
    with pytest.raises(ValueError):
        choices.decoded(buffer.getvalue())


def test_every_frame_of_a_film_is_compared(tmp_path: Path) -> None:
    def film(last: str, frames: int = 3) -> bytes:
        buffer = io.BytesIO()
        pictures = [Image.new("RGB", (8, 8), (40 * k, 0, 0)) for k in range(frames - 1)]
        pictures[0].save(
            buffer,
            "WEBP",
            lossless=True,
            save_all=True,
            append_images=[*pictures[1:], Image.new("RGB", (8, 8), last)],
        )
        return buffer.getvalue()

    store = new_store(tmp_path)
    record = store.put(
        "ab" * 32, COMPONENTS, [Output("animation", "image/webp", film("white"), 8, 8)], {"seconds": 1.0}
    )
    planned: Any = type("Planned", (), {"store": store})
    for data, agrees in ((film("white"), True), (film("black"), False), (film("white", 4), False)):
        found = compare(planned, record, [Output("animation", "image/webp", data, 8, 8)])
        assert found.agrees is agrees, found.how


def test_json_is_nested_two_hundred_deep_at_most() -> None:
    assert strict(DEEP) and strict(b'{"a":"\\u00e9"}') == {"a": "é"}
    for text in (b"[" * 300 + b"]" * 300, b"[" * 100_000, b'"\\ud800"', b"NaN", b"1e999", b"9" * 41):
        with pytest.raises(ValueError):
            strict(text)
