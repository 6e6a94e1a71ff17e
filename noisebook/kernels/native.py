"""Faster layers on an x86 processor: Winograd convolutions, and normalization with GELU in one pass.

Optional. The kernels of native.cpp are compiled once, with g++ or clang++, and take the place of PyTorch's
own in single precision; whatever they do not cover stays as it is. They agree with PyTorch to rounding (about
1e-6 of the largest value), not bit for bit; two runs of theirs with as many threads agree bit for bit.

Under autocast to bfloat16, those of native_bf16.cpp do the same. There a convolution's error is 1% of its
result's standard deviation, where that of PyTorch's own in bfloat16 is 0.3%.

A convolution's bias before a BatchNorm in training has no effect, and its gradient is 0. It is computed all
the same, as PyTorch does, and what comes out is rounding noise.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from noisebook.kernels.compiled import SOURCES, available, call, unavailable

CHANNELS = 16
"""Numbers of channels must be multiples of this: two vectors."""
TILES = 32
"""Fewest 4×4 tiles of a batch that are worth a transform of the weights in memory."""

_WEIGHTS_TO_FREQUENCIES = {dtype: source.weights_to_frequencies() for dtype, source in SOURCES.items()}


def accelerate(net: nn.Module, dtype: torch.dtype = torch.float32, *, fixed: bool = False) -> str:
    """Give the layers of ``net`` that have one their faster kernel, in place.

    Parameters, buffers and the keys of state_dict stay. Layers that fit are 3×3 convolutions of stride 1 and
    padding 1, and, in a Sequential, a BatchNorm2d right before an exact GELU; with multiples of 16 channels.
    On another device or data type, under another autocast, and where a BatchNorm in evaluation is
    differentiated, they compute as PyTorch does. They can be differentiated once. They are fastest in
    channels_last.

    A compiler is taken from CXX, or else g++ or clang++. NOISEBOOK_NATIVE=0 turns the kernels off.

    Args:
        net: in single precision.
        dtype: what it will compute in: float32, or bfloat16 for autocast to it.
        fixed: its weights will not change any more: see :class:`FixedConv2d`.

    Returns:
        ``winograd`` or ``winograd bfloat16``, or ``stock (why)`` when nothing is changed.
    """
    if any(value.device.type != "cpu" or value.dtype != torch.float32 for value in net.parameters()):
        return "stock (not in single precision on the CPU)"
    layers = list(net.modules())
    convolutions = [layer for layer in layers if fits(layer)]
    normalized = [
        (sequence, i)
        for sequence in layers
        if isinstance(sequence, nn.Sequential) and type(sequence).forward is nn.Sequential.forward
        for i in range(len(sequence) - 1)
        if _is_fusible(sequence[i], sequence[i + 1])
    ]
    if not convolutions and not normalized:
        return "stock (no layer fits)"
    reason = unavailable(dtype)
    if reason:
        return f"stock ({reason})"
    _keep_memory()
    for convolution in convolutions:
        convolution.__class__ = FixedConv2d if fixed else WinogradConv2d
    for sequence, i in normalized:
        sequence[i].__class__ = BatchNormGELU
        sequence[i + 1] = nn.Identity()
    return "winograd" if dtype == torch.float32 else "winograd bfloat16"


class WinogradConv2d(nn.Conv2d):
    """A 3×3 convolution by Winograd's F(4×4, 3×3): Lavin & Gray (2015)."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        dtype = _covers(input, self.weight, self.in_channels)
        if dtype is None:
            return super().forward(input)
        result: Tensor = _Convolution.apply(input.to(dtype), self.weight, self.bias)
        return result


class FixedConv2d(nn.Conv2d):
    """A :class:`WinogradConv2d` for inference: its weights are transformed once, and must not change after.

    The weights may be in bfloat16 too: then it computes in that without autocast. Transformed, they take 36/9
    of their memory again. Where a batch has few tiles, the weights outweigh it, and PyTorch's convolution is
    as fast.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H, W)."""
        dtype = _covers(input, self.weight, self.in_channels, self.weight.dtype)
        if dtype is None or len(input) * -(-input.shape[2] // 4) * -(-input.shape[3] // 4) < TILES:
            return super().forward(input)
        panels: dict[torch.dtype, Tensor] = self.__dict__.setdefault("_panels", {})
        if dtype not in panels:
            panels[dtype] = _panels(self.weight, dtype)
        return _winograd(input.to(dtype), panels[dtype], self.bias, self.out_channels)


class BatchNormGELU(nn.BatchNorm2d):
    """GELU(BatchNorm2d(x)), the exact GELU: its Φ is within 3e-7."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H, W)."""
        dtype = _covers(input, self.weight, self.num_features)
        learns = torch.is_grad_enabled() and any(x.requires_grad for x in (input, self.weight, self.bias))
        mean, var = self.running_mean, self.running_var
        if not (self.training or learns or dtype is None or mean is None or var is None):
            scale = self.weight * (var + self.eps).rsqrt()
            return _scale_gelu(input.to(dtype), scale, self.bias - mean * scale)
        # Without a momentum the average is cumulative. Of one value there is no variance: PyTorch says so.
        if not self.training or dtype is None or self.momentum is None or input.numel() == self.num_features:
            return functional.gelu(super().forward(input))
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        result: Tensor = _BatchNormGELU.apply(
            input.to(dtype),
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.momentum,
            self.eps,
        )
        return result


def group_norm(layer: nn.GroupNorm, x: Tensor, modulation: Tensor | None = None, *, gelu: bool) -> Tensor:
    """GELU((1 + scale) GroupNorm(x) + shift) in one pass, for inference.

    Args:
        layer: with weights, and a multiple of 16 channels.
        x: (N, C, H, W), in bfloat16 or single precision; so is the result.
        modulation: (N, 2C): scale and shift; 0 where it is left out.
        gelu: False leaves GELU out. Its Φ is within 3e-7, or within 3e-5 in bfloat16.
    """
    images = _nhwc(x)
    y = torch.empty_like(images)
    n, height, width, channels = images.shape
    weight, bias = layer.weight.float(), layer.bias.float()
    modulation = None if modulation is None else modulation.float().contiguous()
    epsilon = torch.tensor(layer.eps)
    pointers = (images, weight, bias, modulation, epsilon, y)
    call(x.dtype, "group_norm", *pointers, n, height * width, channels, layer.num_groups, int(gelu))
    return y.permute(0, 3, 1, 2)


def attention(pixels: Tensor, text: Tensor, heads: int) -> Tensor:
    """softmax(q kᵀ / √d) v of every head, for inference; PyTorch's own where it is not in bfloat16.

    Args:
        pixels: (N, P, 3C) with C = heads × d: queries, keys and values. Or (N, P, C): queries alone, which
            attend to text only.
        text: (N, T, 2C): keys and values that every pixel attends to as well.

    Returns:
        (N, P, C).
    """
    images, queries, width = pixels.shape
    channels = text.shape[2] // 2
    whole, size = width > channels, channels // heads
    if pixels.dtype == torch.bfloat16 and size % CHANNELS == 0 and available(torch.bfloat16):
        pixels, text = pixels.contiguous(), text.contiguous()
        y = pixels.new_empty(images, queries, channels)
        sizes = images, queries, text.shape[1], heads, size, int(whole)
        call(pixels.dtype, "attention", pixels, text, y, *sizes)
        return y
    own = pixels.chunk(3 if whole else 1, 2)
    keys_and_values = list(text.chunk(2, 2))
    if whole:
        keys_and_values = [torch.cat(both, 1) for both in zip(keys_and_values, own[1:], strict=True)]
    query, key, value = (
        x.reshape(images, -1, heads, size).transpose(1, 2) for x in (own[0], *keys_and_values)
    )
    y = functional.scaled_dot_product_attention(query, key, value)
    return y.transpose(1, 2).flatten(2)


def fits(layer: nn.Module) -> bool:
    """Whether a convolution can be computed by Winograd's filters: 3×3, stride 1, padding 1, 16n channels."""
    return (
        type(layer) is nn.Conv2d
        and (layer.kernel_size, layer.stride, layer.dilation) == ((3, 3), (1, 1), (1, 1))
        and (layer.padding, layer.padding_mode, layer.groups) == ((1, 1), "zeros", 1)
        and layer.in_channels % CHANNELS == layer.out_channels % CHANNELS == 0
    )


def _is_fusible(normalization: nn.Module, activation: nn.Module) -> bool:
    return (
        type(normalization) is nn.BatchNorm2d
        and normalization.affine
        and normalization.num_features % CHANNELS == 0
        and type(activation) is nn.GELU
        and activation.approximate == "none"
    )


def _covers(x: Tensor, weight: Tensor, channels: int, own: torch.dtype = torch.float32) -> torch.dtype | None:
    """What the kernels compute in for this input, if they do, with weights in the type ``own``."""
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else own
    fits = (
        x.device.type == weight.device.type == "cpu"
        and x.dtype in (dtype, own)
        and weight.dtype == own
        and x.dim() == 4
        and x.shape[1] == channels  # or else PyTorch explains
        and x.numel() > 0
    )
    return dtype if fits and available(dtype) else None


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dx = dweight = dbias = None
        if ctx.needs_input_grad[0]:
            dx = _convolve(dy, weight.flip(2, 3).transpose(0, 1), None)
        if any(ctx.needs_input_grad[1:]):
            dweight, dbias = _weight_gradient(x, dy)
        return dx, dweight, dbias if ctx.needs_input_grad[2] else None


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """(N, in, H, W) under (out, in, 3, 3)."""
    return _winograd(x, _panels(weight, x.dtype), bias, len(weight))


def _panels(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights (out, in, 3, 3) in the frequencies, the order and the type of a kernel."""
    outputs, inputs = weight.shape[:2]
    frequencies = _WEIGHTS_TO_FREQUENCIES[dtype] @ weight.float().reshape(-1, 9).T
    if dtype == torch.float32:
        panels = frequencies.view(36, outputs // CHANNELS, CHANNELS, inputs).transpose(2, 3)
    else:
        panels = frequencies.view(36, outputs, inputs // 2, 2).transpose(1, 2)
    return panels.to(dtype).contiguous()


def _winograd(x: Tensor, panels: Tensor, bias: Tensor | None, outputs: int) -> Tensor:
    """(N, in, H, W) under :func:`_panels`."""
    x = _nhwc(x)
    *image, inputs = x.shape
    y = x.new_empty(*image, outputs)
    bias = None if bias is None else bias.float().contiguous()
    call(x.dtype, "winograd_forward", x, panels, bias, y, *image, inputs, outputs)
    return y.permute(0, 3, 1, 2)


def _weight_gradient(x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of weight and bias, (out, in, 3, 3) and (out,)."""
    x, dy = _nhwc(x), _nhwc(dy)
    *image, inputs = x.shape
    outputs = dy.shape[3]
    threads = torch.get_num_threads()
    sums = torch.zeros(threads, 36, inputs, outputs)
    bias_sums = torch.zeros(threads, outputs)
    call(x.dtype, "winograd_gradient", x, dy, sums, bias_sums, *image, inputs, outputs)
    weight = _WEIGHTS_TO_FREQUENCIES[x.dtype].T @ sums.sum(0).view(36, -1)
    return weight.view(3, 3, inputs, outputs).permute(3, 2, 0, 1).contiguous(), bias_sums.sum(0)


def _scale_gelu(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """GELU(scale x + shift) of (N, C, H, W)."""
    images = _nhwc(x)
    channels = images.shape[3]
    y = torch.empty_like(images)
    call(x.dtype, "scale_gelu", images, y, scale, shift, images.numel() // channels, channels)
    return y.permute(0, 3, 1, 2)


class _BatchNormGELU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        momentum: float,
        eps: float,
    ) -> Tensor:
        images = _nhwc(x)
        channels = images.shape[3]
        n = images.numel() // channels
        sums = images.new_zeros(torch.get_num_threads(), 2, channels, dtype=torch.float64)
        call(x.dtype, "batch_sums", images, sums, n, channels)
        shift, square = sums.sum(0) / n
        mean = images.view(n, channels)[0].double() + shift
        var = (square - shift**2).clamp(min=0)
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean.float(), momentum)
            running_var.lerp_((var * (n / (n - 1))).float(), momentum)
        rstd = (var + eps).rsqrt()
        scale = weight * rstd
        vectors = [vector.float() for vector in (scale, bias - mean * scale, mean, rstd)]
        ctx.save_for_backward(x, *vectors)
        return _scale_gelu(x, *vectors[:2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, *vectors = ctx.saved_tensors
        images, dy = _nhwc(x), _nhwc(dy)
        channels = images.shape[3]
        n = images.numel() // channels
        dx = torch.empty_like(images)
        sums = images.new_zeros(torch.get_num_threads(), 2, channels, dtype=torch.float64)
        if x.dtype == torch.float32:
            call(x.dtype, "gelu_gradient", images, dy, dx, *vectors, sums, n, channels)
        else:
            call(x.dtype, "gelu_sums", images, dy, *vectors, sums, n, channels)
        dbias, dweight = sums.sum(0)
        # dx = scale (dz - dbias/n - x̂ dweight/n), with x̂ = (x - mean) rstd written out.
        scale, shift, mean, rstd = vectors
        slope = -scale.double() * rstd * dweight / n
        offset = (-scale.double() * dbias / n - slope * mean).float()
        if x.dtype == torch.float32:
            call(x.dtype, "batch_gradient", images, dx, scale, slope.float(), offset, n, channels)
        else:
            call(x.dtype, "gelu_gradient", images, dy, dx, scale, shift, slope.float(), offset, n, channels)
        return dx.permute(0, 3, 1, 2), dweight.float(), dbias.float(), None, None, None, None


def _nhwc(x: Tensor) -> Tensor:
    """(N, C, H, W) as dense (N, H, W, C); a view where the memory format is channels_last."""
    return x.permute(0, 2, 3, 1).contiguous()


def _keep_memory() -> None:
    """Have freed memory kept for the next step, in this process.

    As it is, glibc takes each activation afresh from the kernel, which clears it page by page: a quarter of a
    step's time.
    """
    with suppress(OSError, AttributeError):  # another C library
        options = ctypes.CDLL(None).mallopt
        options(-4, 0)  # M_MMAP_MAX: everything from the heap
        options(-1, -1)  # M_TRIM_THRESHOLD: which never shrinks
