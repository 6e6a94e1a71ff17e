"""Faster layers where this machine has them."""

from __future__ import annotations

from importlib import import_module

from torch import nn


def accelerate(network: nn.Module) -> str:
    """:func:`noisebook.diffusion.native.accelerate`, looked up at run time, so that it is no part of a key.

    How a layer is computed differs from machine to machine, within rounding: it is provenance, as is
    PyTorch's version. Returns the name of the kernels, to be recorded.
    """
    return str(import_module("noisebook.diffusion.native").accelerate(network))
