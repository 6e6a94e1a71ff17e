"""Libraries: the shipped one, and folders with all that can be wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from noisebook.models import library
from noisebook.models.library import BadPicture, Picture, folder, name_of, shipped, with_folder, write
from noisebook.models.lock import MissingModel

ROOT = Path(__file__).parent.parent


def save(path: Path, size: tuple[int, int] = (32, 32), mode: str = "RGB", colour: object = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)  # type: ignore[arg-type]


def test_the_shipped_library_holds_what_is_promised() -> None:
    found = shipped(ROOT / "models/library.zip")
    assert len(found.names) >= 1000
    assert {"3d", "flat", "cartoon", "icon", "drawing", "drawn"} == {p.style for p in found.pictures}
    report = {"rocket", "pencil", "skull", "dog", "man", "old man", "man wearing a hat", "waterfalls"}
    scenes = {"people around a campfire", "snowy mountain village", "amalfi coast"}
    assert report | scenes <= set(found.names)
    assert not any("skin" in name or name.startswith("flag") for name in found.names)
    picture = found.rgba(found.by_name["waterfalls"][:1], 64)
    assert picture.shape == (1, 4, 64, 64) and picture[:, 3].min() == 1  # fills its frame


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    pictures = [(Picture("a", "own", "piece", "own/a.png"), (tmp_path / "a.png").read_bytes())]
    write(tmp_path / "1.zip", pictures)
    write(tmp_path / "2.zip", pictures)
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()
    assert shipped(tmp_path / "1.zip").pictures == (pictures[0][0],)


@pytest.mark.parametrize(
    ("file", "name"),
    [("red_apple-02.png", "red apple"), ("Old Man.jpeg", "old man"), ("007.png", ""), ("-_-.png", "")],
)
def test_names_of_files(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


def test_a_folder_of_every_mode_is_read(tmp_path: Path) -> None:
    save(tmp_path / "blue house.png", (40, 30), "RGB", (0, 0, 255))
    save(tmp_path / "deep/grey cat.png", (30, 40), "L", 255)
    save(tmp_path / "leaf.png", (32, 32), "RGBA", (0, 255, 0, 0))
    save(tmp_path / "sixteen.png", (32, 32), "I;16", 65535)
    save(tmp_path / "ink.jpg", (32, 32), "CMYK", (0, 0, 0, 0))
    found = folder(tmp_path)
    assert {p.name: p.kind for p in found.pictures} == {
        "blue house": "scene", "grey cat": "scene", "leaf": "piece", "sixteen": "scene", "ink": "scene",
    }  # fmt: skip
    pictures = dict(
        zip([p.name for p in found.pictures], found.rgba(range(len(found.pictures)), 16), strict=True)
    )
    assert pictures["leaf"].abs().max() == 0
    assert pictures["sixteen"][:3].min() > 0.99 and pictures["ink"][:3].min() > 0.99
    assert pictures["blue house"].mean((1, 2)).tolist() == [0, 0, 1, 1]


def test_everything_wrong_in_a_folder_is_named_at_once(tmp_path: Path) -> None:
    save(tmp_path / "tiny.png", (4, 4))
    save(tmp_path / "12.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    with pytest.raises(BadPicture) as error:
        folder(tmp_path)
    for said in ("tiny.png: 4×4", "12.png: its name says nothing", "broken.jpg: not a picture"):
        assert said in str(error.value)


def test_no_folder_and_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="no such folder"):
        folder(tmp_path / "none")
    with pytest.raises(BadPicture, match="no pictures"):
        folder(tmp_path)


def test_a_lock_entry_with_a_folder_follows_its_pictures(tmp_path: Path) -> None:
    save(tmp_path / "mine/red ball.png", (32, 32), "RGB", (255, 0, 0))
    entry = {"kind": "model", "loader": "noisebook.models.exact", "files": {"models/library.zip": "0"}}
    one = with_folder(entry, tmp_path, "mine")
    assert list(one["files"]) == ["red ball.png"]
    (tmp_path / "mine").rename(tmp_path / "ours")
    assert with_folder(entry, tmp_path, "ours")["files"] == one["files"]  # the folder's name says nothing
    (tmp_path / "ours").rename(tmp_path / "mine")
    assert library.open_library("exact/stage1", one, tmp_path).names == ("red ball",)
    save(tmp_path / "mine/red ball.png", (32, 32), "RGB", (254, 0, 0))
    assert with_folder(entry, tmp_path, "mine") != one
    with pytest.raises(MissingModel, match="not the pinned file"):
        library.open_library("exact/stage1", one, tmp_path)
    with pytest.raises(BadPicture, match="no such folder"):
        with_folder(entry, tmp_path, "yours")


def test_a_file_of_names(tmp_path: Path) -> None:
    save(tmp_path / "IMG_0231.jpg")
    save(tmp_path / "trip/12.png")
    save(tmp_path / "red ball.png")
    names = tmp_path / "names.txt"
    names.write_text(
        "# file: name\n\nIMG_0231.jpg: an old oak\r\ntrip/12.png: la mer: calme\n", encoding="utf-8-sig"
    )
    assert {p.file: p.name for p in folder(tmp_path).pictures} == {
        "IMG_0231.jpg": "an old oak", "trip/12.png": "la mer: calme", "red ball.png": "red ball",
    }  # fmt: skip
    assert "names.txt" in with_folder({"files": {}}, tmp_path.parent, tmp_path.name)["files"]
    names.write_text("IMG_0231.jpg an oak\nIMG_9.jpg: x\nred ball.png: a\nred ball.png: b\n")
    with pytest.raises(BadPicture) as error:
        folder(tmp_path)
    for said in (
        "names.txt:1: expected FILE: NAME",
        "names.txt:2: there is no file",
        "names.txt:4: 'red ball.png' has",
    ):
        assert said in str(error.value)
    names.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(BadPicture, match="UTF-8"):
        folder(tmp_path)
