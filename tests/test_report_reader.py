"""The reader of an author's files: whatever lies under a name, it is read whole or told in a sentence."""

from __future__ import annotations

import io
import os
import socket
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from noisebook.cells import media
from noisebook.report.model import BadInput, Position
from noisebook.report.reader import BadFile, decode, read_bytes, read_picture, read_text

HERE = Position("sections/one.md", 7, 3)


def encoded(kind: str, frames: int = 1, size: tuple[int, int] = (24, 16)) -> bytes:
    """A picture of ``frames`` different frames."""
    some = [Image.effect_noise(size, 60 + number).convert("RGB") for number in range(frames)]
    buffer = io.BytesIO()
    film = {"save_all": True, "append_images": some[1:]} if frames > 1 else {}
    some[0].save(buffer, kind, **film)  # type: ignore[arg-type]
    return buffer.getvalue()


def told(root: Path, name: str, at: Position | None = HERE) -> str:
    """What is said of a file that cannot be read."""
    with pytest.raises(BadFile) as caught:
        read_text(root, name, at=at)
    return str(caught.value)


def test_text_comes_with_line_feeds_and_without_a_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\rthree\n")
    assert read_text(tmp_path, "a.txt") == "one\ntwo\nthree\n"
    assert read_text(tmp_path, "none.txt", default="as good as empty") == "as good as empty"


def test_what_is_no_regular_file_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name, kind in (("pipe", "a pipe"), ("socket", "a pipe, a socket"), ("folder", "a folder")):
            assert f"7:3: {name!r} cannot be read: it is {kind}" in told(tmp_path, name)
    (tmp_path / "zero").symlink_to("/dev/zero")
    assert "is a link out" in told(tmp_path, "zero")
    assert "it is a pipe, a socket or a device" in told(Path("/dev"), "zero")


def test_a_mistake_in_a_file_is_told_there_and_a_missing_file_where_it_was_named(tmp_path: Path) -> None:
    (tmp_path / "a.bib").write_bytes("x\nMüller".encode("latin-1"))
    assert told(tmp_path, "a.bib").startswith("a.bib:2:2: the byte 0xfc is not UTF-8")
    (tmp_path / "a.bib").write_bytes(b"x\n \x07")
    assert told(tmp_path, "a.bib").startswith("a.bib:2:2: the control character U+0007")
    assert told(tmp_path, "b.bib").startswith("sections/one.md:7:3: there is no file 'b.bib'")
    assert told(tmp_path, "b.bib", None).startswith("b.bib:1:1: there is no such file")


def test_the_nearest_name_is_told(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/Türme.PNG").write_bytes(b"")
    assert "did you mean 'Türme.PNG'? capital letters" in told(tmp_path, "images/türme.png")
    assert "did you mean 'images'? capital letters" in told(tmp_path, "Images/Türme.PNG")
    other = unicodedata.normalize("NFD", "Türme.PNG")
    assert "another Unicode form" in told(tmp_path, f"images/{other}")
    assert "did you mean 'Türme.PNG'" in told(tmp_path, "images/Türm.PNG")
    (tmp_path / "lost").symlink_to("images/gone.png")
    assert "'lost' is a link to 'images/gone.png', which is not there" in told(tmp_path, "lost")
    (tmp_path / "round").symlink_to("round")
    assert "'round' cannot be" in told(tmp_path, "round")
    assert "there is no file 'images/Türme.PNG/x'" in told(tmp_path, "images/Türme.PNG/x")


def test_names_without_end_are_quoted_shortly(tmp_path: Path) -> None:
    for name in ("a" * 300 + ".png", "x/" * 5000, "ä\n" * 1000, "../" * 900):
        said = told(tmp_path, name)
        assert len(said) < 300 and said.count("\n") <= 1, said


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1001)
    with pytest.raises(BadInput, match="larger than 1 kB"):
        read_bytes(tmp_path, "a", 1000)
    assert len(read_bytes(tmp_path, "a", 1001)) == 1001
    monkeypatch.setattr(media, "LARGEST_FILM", 1000)
    assert decode(encoded("GIF", 2), "x")
    with pytest.raises(BadInput, match="the 3 frames of 'x' have more than 1,000 pixels"):
        decode(encoded("GIF", 3), "x", HERE)


@pytest.mark.parametrize(
    ("kind", "mime"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp"), ("GIF", "gif")]
)
@pytest.mark.parametrize("frames", [1, 3])
def test_no_part_of_a_picture_is_taken_for_the_whole(
    tmp_path: Path, kind: str, mime: str, frames: int
) -> None:
    data = encoded(kind, frames if kind != "JPEG" else 1)
    (tmp_path / "p.js").write_bytes(data)
    same, picture = read_picture(tmp_path, "p.js")
    assert same == data and (picture.width, picture.height) == (24, 16)
    assert picture.mime in (f"image/{mime}", "image/apng")
    for length in range(0, len(data) - 4, 1 if len(data) < 3000 else 7):
        with pytest.raises(BadFile, match="not a whole picture"):
            decode(data[:length], "p.js", HERE)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300), st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", ""]), st.integers(0, 400))
def test_any_bytes_are_a_picture_a_text_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, kind: str, at: int
) -> None:
    check_bytes(tmp_path_factory.getbasetemp(), noise, kind, at)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=3000), st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", ""]), st.integers(0, 1000))
def test_many_bytes(tmp_path_factory: pytest.TempPathFactory, noise: bytes, kind: str, at: int) -> None:
    check_bytes(tmp_path_factory.getbasetemp(), noise, kind, at)


def check_bytes(root: Path, noise: bytes, kind: str, at: int) -> None:
    """Noise alone, or written over a part of a picture: read, or told with a place and in a few words."""
    data = encoded(kind) if kind else b""
    (root / "file").write_bytes(data[:at] + noise + data[at + len(noise) :])
    for read in (read_picture, read_text):
        try:
            read(root, "file")  # type: ignore[operator]
        except BadFile as bad:
            assert bad.problem.position.file == "file" and 5 < len(str(bad)) < 900


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["..", ".", "a", "A", "file", "~", "c:", "\\", ""])).map("/".join)
)
def test_any_name_is_a_file_of_this_folder_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    root = tmp_path_factory.getbasetemp() / "names"
    root.mkdir(exist_ok=True)
    (root.parent / "secret").write_text("secret")
    (root / "file").write_text("open")
    try:
        assert read_text(root, name, at=HERE) == "open"
    except BadFile as bad:
        assert bad.problem.position == HERE and len(str(bad)) < 900


def test_a_png_that_moves_is_a_png() -> None:
    assert decode(encoded("PNG", 3), "x").mime == "image/png"
