"""What networks compute in on this machine, and faster layers where it has them."""

from __future__ import annotations

import torch
from torch import nn

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def fastest_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies matrices in it, else float32."""
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def autocast(dtype: torch.dtype) -> torch.autocast:
    """Compute what stands inside in ``dtype``, bfloat16 or float32; weights stay float32."""
    return torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16)


def accelerate(network: nn.Module, dtype: torch.dtype = torch.float32, *, fixed: bool = False) -> str:
    """:func:`noisebook.kernels.native.accelerate`, where the package has its kernels.

    Args:
        network: in single precision, changed in place.
        dtype: float32, or bfloat16 for a network that computes under autocast.
        fixed: its weights will not change any more.

    Returns:
        The name of the kernels, to be recorded.
    """
    try:
        from noisebook.kernels import native
    except ImportError:
        return "stock (noisebook.kernels is not installed)"
    return native.accelerate(network, dtype, fixed=fixed)
