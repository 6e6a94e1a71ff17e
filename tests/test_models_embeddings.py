"""Embeddings of prompts from a file: what is read and refused, and that they draw as the encoder would."""

# ruff: noqa: F811 (fixtures of another module)

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from noisebook.commands import cli
from noisebook.models import embeddings
from noisebook.models.deepfloyd import pin_stage
from noisebook.models.embeddings import BadEmbeddings, Embeddings, read
from noisebook.models.lock import MissingModel
from noisebook.models.tasks import asked
from noisebook.project import Project

from .conftest import Book
from .test_models_deepfloyd import (  # noqa: F401 (fixtures)
    SAMPLE,
    WIDTH,
    build,
    encoder_folder,
    folders,
    pinned_book,
)


def some(*prompts: str, width: int = WIDTH) -> dict[str, torch.Tensor]:
    return {prompt: torch.full((1, 77, width), float(k)).half() for k, prompt in enumerate(prompts)}


def saved(place: Path, value: Any) -> Path:
    torch.save(value, place / "prompts.pth")
    return place / "prompts.pth"


def test_prompts_are_read_as_deepfloyd_reads_them(tmp_path: Path) -> None:
    known = Embeddings(saved(tmp_path, some("A cat ", "")), WIDTH)
    known.know(["a CAT", ""], lambda: None)
    assert known["a cat"].shape == (77, WIDTH) and not known["a cat"].any() and (known[""] == 1).all()


def test_what_is_read_shares_nothing_with_what_else_the_file_holds(tmp_path: Path) -> None:
    large = torch.zeros(100, 77, WIDTH).half()
    known = read(saved(tmp_path, {"a": large[:1], "b": large[1:2]}))
    assert known["a"].untyped_storage().nbytes() == 77 * WIDTH * 2


class Hostile:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("/tmp/should-not-be-there"),))


BAD: dict[str, tuple[Any, str]] = {
    "code": ({"a": Hostile()}, "holds more than tensors, or is damaged: Unsupported global: GLOBAL getattr"),
    "module": (torch.nn.Linear(2, 2), "holds more than tensors, or is damaged"),
    "list": ([torch.zeros(1)], "expected a dictionary from prompt to tensor, found list"),
    "empty": ({}, "found an empty dictionary"),
    "keys": ({1: torch.zeros(1, 77, WIDTH).half()}, "expected prompts as keys, found '1'"),
    "text": ({"a": "b"}, "'a' is no plain tensor but str"),
    "nested": ({"a": {"b": torch.zeros(1)}}, "no plain tensor but dict"),
    "parameter": (
        {"a": torch.nn.Parameter(torch.zeros(1, 77, WIDTH).half())},
        "no plain tensor but Parameter",
    ),
    "sparse": ({"a": torch.zeros(1, 77, WIDTH).half().to_sparse()}, "no plain tensor"),
    "rows of rows": ({"a": torch.nested.nested_tensor([torch.zeros(77, WIDTH).half()])}, "no plain tensor"),
    "without content": (
        {"a": torch.zeros(1, 77, WIDTH, dtype=torch.float16, device="meta")},
        "no plain tensor but Tensor",
    ),
    "stretched": ({"a": torch.zeros(1).half().expand(1, 77, 10**12)}, "would unpack to more than"),
    "single": ({"a": torch.zeros(1, 77, WIDTH)}, "is float32 of shape"),
    "flat": ({"a": torch.zeros(77, WIDTH).half()}, f"float16 of shape (77, {WIDTH}); expected"),
    "short": ({"a": torch.zeros(1, 76, WIDTH).half()}, "expected float16 of shape (1, 77, 24)"),
    "widths": ({**some("a"), "b": torch.zeros(1, 77, 3).half()}, "'b' is float16 of shape (1, 77, 3)"),
    "scalar": ({"a": torch.tensor(1.0).half()}, "of shape ()"),
    "infinite": ({"a": torch.full((1, 77, WIDTH), 1e9).half()}, "holds NaN or infinities"),
    "nan": ({"a": torch.full((1, 77, WIDTH), float("nan")).half()}, "holds NaN or infinities"),
    "twice": ({"A": torch.zeros(1, 77, WIDTH).half(), "a": torch.ones(1, 77, WIDTH).half()}, "which differ"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_holds_anything_else_is_refused(tmp_path: Path, name: str) -> None:
    value, message = BAD[name]
    with pytest.raises(BadEmbeddings) as told:
        read(saved(tmp_path, value), WIDTH)
    assert str(told.value).startswith("prompts.pth") and message in str(told.value)
    assert not Path("/tmp/should-not-be-there").exists()


def packed(path: Path) -> None:
    """Many zeros in few bytes."""
    torch.save(some("a"), path)
    with zipfile.ZipFile(path) as old:
        parts = {part.filename: old.read(part) for part in old.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for part, data in parts.items():
            new.writestr(part, data)


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "absent": (lambda path: None, "is not a file"),
    "folder": (Path.mkdir, "is not a file"),
    "words": (lambda path: path.write_text("a cat"), "not a file that torch.save has written"),
    "nothing": (Path.touch, "not a file that torch.save has written"),
    "pickle": (lambda path: path.write_bytes(pickle.dumps(Hostile())), "not a file that torch.save"),
    "cut": (lambda path: path.write_bytes(saved(path.parent, some("a")).read_bytes()[:-900]), "not a file"),
    "packed": (packed, "would unpack to more than it says"),
    "other": (lambda path: zipfile.ZipFile(path, "w").writestr("a", b"b"), "or is damaged"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    make, message = FILES[name]
    make(tmp_path / "prompts.pth")
    with pytest.raises(BadEmbeddings) as told:
        read(tmp_path / "prompts.pth")
    assert message in str(told.value)


def test_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, some("a"))
    monkeypatch.setattr(embeddings, "LARGEST", 1000)
    with pytest.raises(BadEmbeddings, match=r"bytes, more than 1,000"):
        read(path)
    monkeypatch.setattr(embeddings, "LARGEST", 10**9)
    monkeypatch.setattr(embeddings, "LARGEST_INDEX", 10)
    with pytest.raises(BadEmbeddings, match="would unpack"):
        read(path)


def test_tensors_of_one_storage_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file can name one storage as any number of embeddings, each as large as it says."""
    path = saved(tmp_path, dict.fromkeys("abcd", torch.zeros(1).half().expand(1, 77, 4096)))
    assert len(read(path)) == 4
    monkeypatch.setattr("noisebook.models.embeddings.LARGEST", 2_000_000)
    with pytest.raises(BadEmbeddings, match=r"would unpack to more than 2,000,000 bytes"):
        read(path)


def test_another_width_than_the_networks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadEmbeddings, match=r"\(1, 77, 24\); expected float16 of shape \(1, 77, 4096\)"):
        Embeddings(saved(tmp_path, some("a")), 4096)


@pytest.mark.parametrize(
    ("scale", "needed"), [(7.0, ["a cat", ""]), (1.0, ["a cat"]), (0.0, [""]), (None, ["a cat"])]
)
def test_which_prompts_a_cell_asks_for(scale: float | None, needed: list[str]) -> None:
    params: dict[str, Any] = {"prompt": "a cat", "negative_prompt": ""}
    assert asked(params | ({} if scale is None else {"guidance": scale})) == needed


# In a report


@pytest.fixture
def with_file(
    folders: dict[int, Path],
    encoder_folder: Path,
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
) -> Book:
    """A report that a small random DeepFloyd draws, whose encoder is here, with embeddings of two prompts."""
    pinned_book(book, folders, encoder_folder, "m")
    book.write(
        "sections/tiles.md",
        SAMPLE.format(more="", matrix="").replace("params: {", "params: {model: deepfloyd-m, "),
    )
    monkeypatch.setenv("NOISEBOOK_DTYPE", "float32")
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(book.cache))
    monkeypatch.chdir(book.root)
    return book


def invoke(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli, arguments)
    return done.exit_code, done.output


def drawn(book: Book) -> Any:
    [cell] = json.loads((book.root / "site/manifest.json").read_text())["figures"][0]["cells"]
    return np.asarray(Image.open(book.root / "site" / cell["files"][0]["path"])).astype(int)


def test_embeddings_draw_what_the_encoder_draws_and_their_digest_is_in_the_key(
    with_file: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, said = invoke("embed", "--model", "deepfloyd-m")
    assert status == 0 and "wrote prompts.pth: 2 prompts" in said, said
    assert set(torch.load("prompts.pth", weights_only=True)) == {"", "a cat"}
    build(with_file, monkeypatch)
    from_encoder = drawn(with_file)
    before = Project(with_file.root).planned["tiles"][0].key
    with_file.write("report.yaml", "title: Grey\nembeddings: prompts.pth\n")
    after = Project(with_file.root).planned["tiles"][0].key
    shutil.rmtree(with_file.cache)  # what the encoder has said
    monkeypatch.setattr("noisebook.models.encoders.TextEncoder.encode", lambda *_: pytest.fail("encoded"))
    build(with_file, monkeypatch)
    assert before != after and np.abs(from_encoder - drawn(with_file)).max() <= 2
    known = torch.load("prompts.pth", weights_only=True)
    torch.save({**known, "a dog": known["a cat"]}, "prompts.pth")
    assert Project(with_file.root).planned["tiles"][0].key not in (before, after)


@pytest.mark.parametrize("name", ["prompts.pth", "other/mine.pth"])
def test_where_the_file_lies_is_in_no_key(with_file: Book, name: str) -> None:
    (with_file.root / name).parent.mkdir(exist_ok=True)
    torch.save(some("", "a cat"), with_file.root / name)
    with_file.write("report.yaml", f"title: Grey\nembeddings: {name}\n")
    component = Project(with_file.root).planned["tiles"][0].components["models"]["stage1"]  # type: ignore[index,call-overload]
    assert name not in json.dumps(component) and len(component["embeddings"]) == 64  # type: ignore[arg-type,index,call-overload]


@pytest.mark.parametrize("command", [("build",), ("candidates", "tiles", "--count", "2")])
def test_a_prompt_that_the_file_lacks_is_told_before_anything_runs(
    with_file: Book, command: tuple[str, ...]
) -> None:
    torch.save(some("", "a small cat", "a rocket ship"), "prompts.pth")
    with_file.write("report.yaml", "title: Grey\nembeddings: prompts.pth\n")
    status, said = invoke(*command)
    assert status == 2, said
    assert "sections/tiles.md:3:" in said and not (with_file.root / "cache/cells").exists()
    assert "prompts.pth has no embedding of 'a cat'; the nearest that it has is 'a small cat'" in said
    torch.save(some(""), "prompts.pth")
    assert "prompts.pth has no embedding of 'a cat'\n" in invoke(*command)[1]


def test_a_broken_file_is_told_before_anything_runs(with_file: Book) -> None:
    torch.save([1], "prompts.pth")
    with_file.write("report.yaml", "title: Grey\nembeddings: prompts.pth\n")
    status, said = invoke("build")
    assert status == 2 and "report.yaml:2:13: prompts.pth: expected a dictionary" in said
    Path("prompts.pth").unlink()
    status, said = invoke("status")
    assert status == 2 and "report.yaml:2:13: " in said and "prompts.pth" in said


def test_embed_overwrites_nothing_and_needs_a_model_and_prompts(with_file: Book) -> None:
    Path("mine.pth").write_text("mine")
    status, said = invoke("embed", "a cat", "-o", "mine.pth")
    assert status == 2 and "exists already" in said and Path("mine.pth").read_text() == "mine"
    status, said = invoke("embed", "a cat")
    assert status == 1 and "deepfloyd-xl is not pinned here" in said and "models add deepfloyd-xl" in said
    status, said = invoke("embed")
    assert status == 2 and "name prompts" in said
    status, said = invoke("embed", "a cat", "a dog", "-o", "two.pth", "--model", "deepfloyd-m")
    assert status == 0 and len(read(Path("two.pth"), WIDTH)) == 3


def test_a_stage_can_be_pinned_without_its_encoder(
    tmp_path: Path,
    folders: dict[int, Path],
    encoder_folder: Path,
) -> None:
    place = tmp_path / "stage"
    shutil.copytree(folders[1], place)
    shutil.copytree(encoder_folder, place, dirs_exist_ok=True)
    parts = {name.partition("/")[0] for name in pin_stage(tmp_path, "m", 1, place)["files"]}
    assert parts == {"unet", "scheduler", "tokenizer", "text_encoder"}
    parts = {name.partition("/")[0] for name in pin_stage(tmp_path, "m", 1, place, encoder=False)["files"]}
    assert parts == {"unet", "scheduler"}


def test_an_encoder_that_is_not_here_is_told(with_file: Book) -> None:
    lock = json.loads(Path("models.lock.json").read_text())
    lock["entries"]["deepfloyd-m/stage1"]["text_folder"] = "nowhere"
    Path("models.lock.json").write_text(json.dumps(lock))
    status, said = invoke("embed", "a cat", "--model", "deepfloyd-m")
    assert status == 1 and "nowhere: no tokenizer/" in said and not Path("prompts.pth").exists()
    del lock["entries"]["deepfloyd-m/stage1"]["text_folder"]
    Path("models.lock.json").write_text(json.dumps(lock))
    status, said = invoke("embed", "a cat", "--model", "deepfloyd-m")
    assert status == 1 and "pinned without its text encoder: noisebook models remove deepfloyd-m" in said
    assert issubclass(BadEmbeddings, MissingModel)
