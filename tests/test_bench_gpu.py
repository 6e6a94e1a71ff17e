"""The script for a GPU takes the same way on a processor, with networks that mean nothing."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

torch.set_num_threads(1)
SCRIPT = Path(__file__).resolve().parent.parent / "bench" / "gpu.py"


@pytest.fixture(scope="module")
def gpu() -> Any:
    spec = importlib.util.spec_from_file_location("bench_gpu", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_gpu"] = module
    spec.loader.exec_module(module)
    return module


def test_every_part_runs_and_equals_diffusers(gpu: Any, tmp_path: Path) -> None:
    found = gpu.main(["--tiny", "--json", str(tmp_path / "gpu.json")])
    assert json.loads((tmp_path / "gpu.json").read_text()) == found
    for stage, tasks in (("stage I", ("text to image", "SDEdit")), ("stage II", ("stage II",))):
        for task in tasks:
            assert found[stage][task]["difference"] < 1e-4
            assert found[stage][task]["ours"]["pictures/s"] > 0
    assert found["one cell on both"] == {"largest difference, grey levels of 255": 0.0}
    assert all(rate > 0 for rate in [*found["MNIST"].values(), *found["embedded net"].values()])


def test_parts_that_do_not_fit_are_said(gpu: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def full(*_: Any) -> dict[str, Any]:
        raise MemoryError("out of memory. NOISEBOOK_BATCH_SIZE=1 needs less")

    monkeypatch.setattr(gpu, "deepfloyd", full)
    found = gpu.main(["--tiny", "--minutes", "0.001"])
    assert found["stage I"] == "failed: out of memory. NOISEBOOK_BATCH_SIZE=1 needs less"
    assert found["MNIST"] == found["stage II"] == "left out: no time"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == {} and "no GPU here" in capsys.readouterr().out


def test_true_sizes(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made without memory: stage I has DeepFloyd XL's 4.3 billion parameters."""
    for stage, billions in ((1, 4.3), (2, 1.2)):
        network = gpu.unet(gpu.Size(), stage, "meta")
        count = sum(value.numel() for value in network.parameters())
        assert round(count / 1e9, 1) == billions
        assert {value.dtype for value in network.parameters()} == {torch.float16}
