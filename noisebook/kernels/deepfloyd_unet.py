"""diffusers' UNet2DConditionModel with faster layers on an x86 processor, for inference.

The same weights, the same numbers within rounding. What takes the time of DeepFloyd's blocks on a processor
is their convolutions (by Winograd's filters here, see :mod:`noisebook.kernels.native`), attention, and
going through memory for each normalization, modulation and activation, which are one pass here.
``bench/sampling.py`` says what each brings.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional

from noisebook.kernels import compiled, native

PARTS = frozenset({"convolution", "block", "attention"})
LARGEST = 200_000_000
"""Parameters of the largest network that is changed: transformed weights take four times their memory."""


def accelerate(unet: nn.Module, parts: Collection[str] = PARTS) -> str:
    """Give ``unet`` faster layers, in place. Its weights must not change after, and have no gradients.

    Only on the CPU, in single precision or bfloat16, and only with the parts that DeepFloyd has; whatever
    does not fit stays diffusers' own.

    Returns:
        ``winograd`` or ``winograd bfloat16``, or ``stock (why)`` when nothing is changed.
    """
    parameters = list(unet.parameters())
    dtype = parameters[0].dtype
    if any(value.device.type != "cpu" or value.dtype != dtype for value in parameters):
        return "stock (not in one precision on the CPU)"
    if sum(value.numel() for value in parameters) > LARGEST:
        return "stock (transformed weights would not fit)"
    reason = compiled.unavailable(dtype)
    if reason:
        return f"stock ({reason})"
    unet.requires_grad_(False).to(memory_format=torch.channels_last)
    for layer in unet.modules():
        if "convolution" in parts and type(layer) is nn.Conv2d and native.fits(layer):
            layer.__class__ = native.FixedConv2d
        elif "block" in parts and type(layer) is ResnetBlock2D and _is_usual(layer):
            layer.__class__ = Block
        elif "attention" in parts and type(layer) is Attention and _attends_to_text(layer):
            attention: Any = layer
            attention.set_processor(Attend(attention))
    return "winograd" if dtype == torch.float32 else "winograd bfloat16"


class Block(ResnetBlock2D):  # type: ignore[misc]
    """A ResnetBlock2D whose normalization, modulation and GELU are one pass."""

    def forward(self, input_tensor: Tensor, temb: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(N, C, H, W) and (N, E) to (N, C', H', W')."""
        x = native.group_norm(self.norm1, input_tensor, gelu=True)
        for resample in (self.upsample, self.downsample):
            if resample is not None:
                input_tensor, x = resample(input_tensor), resample(x)
        x = self.conv1(x)
        if not self.skip_time_act:
            temb = functional.gelu(temb.float()).to(temb.dtype)  # in bfloat16 it is far slower
        modulation = self.time_emb_proj(temb)
        x = self.conv2(native.group_norm(self.norm2, x, modulation, gelu=True))
        if self.conv_shortcut is not None:
            input_tensor = self.conv_shortcut(input_tensor)
        result: Tensor = x.add_(input_tensor)
        return result if self.output_scale_factor == 1 else result.div_(self.output_scale_factor)


class Attend:
    """AttnAddedKVProcessor2_0 on channels_last: pixels are tokens as they lie in memory.

    What is projected from the same tokens is one product.
    """

    def __init__(self, attn: Any) -> None:
        own = [attn.to_q] if attn.only_cross_attention else [attn.to_q, attn.to_k, attn.to_v]
        self.own, self.text = _joined(own), _joined([attn.add_k_proj, attn.add_v_proj])

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: Any, **__: Any
    ) -> Tensor:
        """(N, C, H, W) attends to itself and to text (N, T, E)."""
        # Contiguous, or else a projection is one product for each image, with its weights copied.
        text = attn.norm_encoder_hidden_states(encoder_hidden_states).contiguous()
        x = native.group_norm(attn.group_norm, hidden_states, gelu=False).permute(0, 2, 3, 1)
        height, width = x.shape[1:3]
        pixels = functional.linear(x.flatten(1, 2), *self.own)
        x = native.attention(pixels, functional.linear(text, *self.text), attn.heads)
        x = attn.to_out[0](x).unflatten(1, (height, width))
        result: Tensor = x.permute(0, 3, 1, 2).add_(hidden_states)
        return result


def _joined(layers: Sequence[nn.Linear]) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of the layer that computes all of these."""
    weights: list[Tensor] = [layer.weight for layer in layers]
    biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
    return torch.cat(weights), torch.cat(biases) if biases else None


def _is_usual(block: ResnetBlock2D) -> bool:
    return (
        block.time_embedding_norm == "scale_shift"
        and isinstance(block.nonlinearity, nn.GELU)
        and block.dropout.p == 0
        and all(norm.num_channels % native.CHANNELS == 0 for norm in (block.norm1, block.norm2))
    )


def _attends_to_text(attention: Attention) -> bool:
    return (
        attention.add_k_proj is not None
        and attention.norm_cross is not None
        and attention.group_norm is not None
        and attention.query_dim % native.CHANNELS == 0
    )
