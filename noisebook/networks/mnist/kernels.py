"""Faster layers where this machine has them."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import nn

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def accelerate(network: nn.Module, precision: str = "fp32") -> str:
    """:func:`noisebook.kernels.native.accelerate`, looked up at run time, so that it is no part of a key.

    How a layer is computed differs from machine to machine, within rounding: it is provenance, as is
    PyTorch's version. Returns the name of the kernels, to be recorded.

    Args:
        network: in single precision, changed in place.
        precision: ``fp32``, or ``bf16`` for a network that computes under autocast.
    """
    return str(import_module("noisebook.kernels.native").accelerate(network, TYPES[precision]))


def accelerate_fixed(network: nn.Module) -> str:
    """:func:`accelerate` in single precision, for a network whose weights will not change any more."""
    return str(import_module("noisebook.kernels.native").accelerate(network, fixed=True))
