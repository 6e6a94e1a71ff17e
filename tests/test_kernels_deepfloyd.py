"""Faster layers of DeepFloyd's networks: the same numbers as diffusers' own."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from noisebook.kernels import compiled, native
from noisebook.kernels import deepfloyd_unet as unet
from tests.test_models_deepfloyd import WIDTH, folders, network  # noqa: F401 (a fixture)


def test_faster_layers_compute_the_same(folders: dict[int, Path]) -> None:  # noqa: F811
    reason = compiled.unavailable()
    if reason:
        pytest.skip(reason)
    for folder in folders.values():
        stock = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
        fast = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
        assert unet.accelerate(fast) == "winograd"
        kinds = {type(layer) for layer in fast.modules()}
        assert {native.FixedConv2d, unet.Block} <= kinds
        assert all(isinstance(processor, unet.Attend) for processor in fast.attn_processors.values())
        side, channels = stock.config.sample_size, stock.config.in_channels
        x, text = torch.randn(3, channels, side, side), torch.randn(3, 7, WIDTH)
        levels = {"class_labels": torch.tensor([10, 250, 400])} if channels == 6 else {}
        with torch.inference_mode():
            for t in (0, 990):
                expected = stock(x, t, text, return_dict=False, **levels)[0]
                got = fast(x, t, text, return_dict=False, **levels)[0]
                torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
        assert fast.state_dict().keys() == stock.state_dict().keys()


def test_faster_layers_in_bfloat16_are_nearly_as_right_as_stock_ones(folders: dict[int, Path]) -> None:  # noqa: F811
    reason = compiled.unavailable(torch.bfloat16)
    if reason:
        pytest.skip(reason)
    for folder in folders.values():
        exact = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
        stock, fast = (copy.deepcopy(exact).to(torch.bfloat16) for _ in range(2))
        assert unet.accelerate(fast) == "winograd bfloat16"
        assert {native.FixedConv2d, unet.Block} <= {type(layer) for layer in fast.modules()}
        side, channels = stock.config.sample_size, stock.config.in_channels
        x, text = torch.randn(3, channels, side, side), torch.randn(3, 7, WIDTH)
        levels = {"class_labels": torch.tensor([10, 250, 400])} if channels == 6 else {}
        half, half_text = x.to(torch.bfloat16), text.to(torch.bfloat16)
        with torch.inference_mode():
            expected = exact(x, 500, text, return_dict=False, **levels)[0]
            theirs = stock(half, 500, half_text, return_dict=False, **levels)[0] - expected
            ours = fast(half, 500, half_text, return_dict=False, **levels)[0] - expected
        # F(4×4, 3×3) loses some of bfloat16's eight digits.
        assert ours.std() < 4 * theirs.std()
        assert ours.std() < 0.05 * expected.std()


def test_where_layers_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def kinds(net: UNet2DConditionModel) -> set[type]:
        return {type(layer) for layer in net.modules()}

    before = kinds(network(3))
    half = network(3).to(torch.float16)
    assert unet.accelerate(half) == "stock (no kernels for torch.float16)" and kinds(half) == before
    mixed = network(3)
    mixed.conv_in.to(torch.bfloat16)
    assert unet.accelerate(mixed).startswith("stock (not in one") and kinds(mixed) == before
    monkeypatch.setattr(unet, "LARGEST", 1000)
    large = network(3)
    assert unet.accelerate(large).startswith("stock (transformed") and kinds(large) == before
    monkeypatch.undo()
    monkeypatch.setenv("NOISEBOOK_NATIVE", "0")
    off = network(3)
    assert unet.accelerate(off) == "stock (NOISEBOOK_NATIVE=0)" and kinds(off) == before
