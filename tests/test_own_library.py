"""A report that draws from its author's own pictures: what is told before, and what decides a key."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisebook.models import text
from noisebook.models.lock import pin
from noisebook.project import Project
from noisebook.report.model import BadInput

SECTION = """---
title: One
generator: text_to_image
params: {prompts: [red ball], num_inference_steps: [4]}
---
Drawn.
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    torch.set_num_threads(1)
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path / "user-cache"))
    (tmp_path / "sections").mkdir()
    (tmp_path / "sections/one.md").write_text(SECTION)
    (tmp_path / "report.yaml").write_text("title: Mine\nlibrary: mine/\n")
    ramp = np.linspace(0, 255, 40, dtype=np.uint8)
    photo = np.stack(
        [np.tile(ramp, (40, 1)), np.tile(ramp[:, None], (1, 40)), np.full((40, 40), 90, np.uint8)], 2
    )
    (tmp_path / "mine").mkdir()
    Image.fromarray(photo).save(tmp_path / "mine/red ball.png")
    Image.fromarray(photo[::-1]).save(tmp_path / "mine/blue sea 2.jpg")
    (tmp_path / "shipped").write_bytes(b"")
    pin(tmp_path, "exact/stage1", ["shipped"], kind="model", loader="noisebook.models.exact", revision="1")
    vectors = {
        name: np.eye(text.WIDTH, dtype=np.float16)[k] for k, name in enumerate(["red ball", "blue sea"])
    }
    monkeypatch.setattr(
        text, "encode", lambda texts: np.stack([vectors[t] for t in texts]).astype(np.float32)
    )
    monkeypatch.setattr(text, "user_cache_path", lambda _: tmp_path / "user-cache")
    return tmp_path


def keys(root: Path) -> list[str]:
    return [cell.key for cells in Project(root).planned.values() for cell in cells]


def problems(root: Path) -> list[str]:
    with pytest.raises(BadInput) as error:
        keys(root)
    return [str(problem) for problem in error.value.problems]


def test_its_pictures_are_drawn_and_its_words_recorded(root: Path) -> None:
    from tests.sample_report import compute

    compute(root)
    (cell,) = Project(root).planned["one"]
    assert cell.record is not None
    assert cell.record.provenance["words"]["red ball"]["nearest"][0] == "red ball"
    assert not cell.record.provenance["words"]["red ball"]["far"]
    picture = cell.record.output("picture")
    assert picture is not None
    with Image.open(io.BytesIO(cell.store.open(picture))) as image:
        drawn = np.asarray(image.convert("RGB")).astype(float)
    # The ramp: red grows to a side, green downwards, blue stays.
    assert drawn[-8:, :, 1].mean() > drawn[:8, :, 1].mean() + 60
    assert abs(drawn[..., 2].mean() - 90) < 25


def test_content_decides_the_key(root: Path) -> None:
    before = keys(root)
    (root / "mine").rename(root / "ours")
    (root / "report.yaml").write_text("title: Mine\nlibrary: ours\n")
    assert keys(root) == before
    (root / "ours/names.txt").write_text("red ball.png: a sunset\n")
    named = keys(root)
    assert named != before
    Image.new("RGB", (20, 20)).save(root / "ours/hut.png")
    assert keys(root) not in (before, named)


def test_everything_wrong_is_told_with_its_place(root: Path) -> None:
    (root / "mine/broken.jpg").write_bytes(b"\xff\xd8 no")
    Image.new("RGB", (4, 4)).save(root / "mine/tiny.png")
    Image.new("RGB", (40, 40)).save(root / "mine/0007.png")
    (root / "mine/names.txt").write_text("gone.png: a cat\n")
    assert any("mine/names.txt:1" in each and "report.yaml:2:10" in each for each in problems(root))
    (root / "mine/names.txt").unlink()
    told = problems(root)
    for said in (
        "mine/broken.jpg: not a picture",
        "mine/tiny.png: 4×4",
        "mine/0007.png: its name says nothing",
    ):
        assert any(said in each and each.startswith("report.yaml:2:10") for each in told), told
    for file in ("broken.jpg", "tiny.png", "0007.png"):
        (root / "mine" / file).unlink()
    assert keys(root)  # what was wrong is not remembered


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("library: yours", "no such folder"),
        ("library: sections", "no pictures"),
        ("library: ../elsewhere", "leads out of"),
        ("library: mine\nmodel: net", "a library is for the model exact"),
    ],
)
def test_what_is_no_library(root: Path, config: str, says: str) -> None:
    (root / "report.yaml").write_text(f"title: Mine\n{config}\n")
    assert any(says in each for each in problems(root))
