"""How a large model is computed on this machine: device, precision, memory. No part of a cell's key.

They are environment variables:

``NOISEBOOK_DEVICE``
    ``cuda``, ``mps`` or ``cpu``; left out, the fastest that is there.
``NOISEBOOK_DTYPE``
    of the network: ``float16``, ``bfloat16``, ``float32``. The first two need half the memory.
``NOISEBOOK_BATCH_SIZE``
    rows that go through the network at once: a number, or ``auto``, as many as a GPU's free memory holds.
``NOISEBOOK_SLICING``
    ``1``: attention one head at a time, which needs less memory and more time.
``NOISEBOOK_OFFLOAD``
    ``model``: the network leaves the GPU between calls; ``sequential``: its layers come one by one, slowly.

A processor computes in bfloat16 where it has instructions for it, and else in float32.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from noisebook.models.lock import MissingModel

TYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
OFFLOADS = ("none", "model", "sequential")
DEVICES = ("cuda", "mps", "cpu")


@dataclass(frozen=True)
class Settings:
    """See above. ``batch_size`` 0 is ``auto``."""

    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    batch_size: int = 0
    slicing: bool = False
    offload: str = "none"

    @property
    def precision(self) -> str:
        """What the network computes in, by name."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def if_it_overflows(self) -> str:
        """What helps where a network's answer is not a number."""
        if self.dtype == torch.float16:
            wider = "set NOISEBOOK_DTYPE=bfloat16 or NOISEBOOK_DTYPE=float32, which have"
            return f"{wider} a wider range than float16"
        return f"no NOISEBOOK_DTYPE has a wider range than {self.precision}: look at the weights"

    def less_memory(self) -> list[str]:
        """The settings that need less memory than these, the one that costs least time first."""
        gpu = self.device != "cpu"
        steps = [
            ("NOISEBOOK_BATCH_SIZE=1", self.batch_size != 1),
            ("NOISEBOOK_DTYPE=" + ("float16" if gpu else "bfloat16"), self.dtype == torch.float32),
            ("NOISEBOOK_SLICING=1", not self.slicing),
            ("NOISEBOOK_OFFLOAD=model", gpu and self.offload == "none"),
            ("NOISEBOOK_OFFLOAD=sequential", gpu and self.offload != "sequential"),
        ]
        return [step for step, helps in steps if helps]


def from_environment() -> Settings:
    """The settings of this process; raises MissingModel for a value that none of them has."""
    found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = _one_of("NOISEBOOK_DEVICE", found, DEVICES)
    if device != "cpu" and not {"cuda": torch.cuda, "mps": torch.backends.mps}[device].is_available():
        raise MissingModel(f"NOISEBOOK_DEVICE={device}: torch finds none here; left out, it is {found}")
    usual = "float16"
    if device == "cpu":
        usual = "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
    dtype = _one_of("NOISEBOOK_DTYPE", usual, tuple(TYPES))
    slicing = _one_of("NOISEBOOK_SLICING", "0", ("0", "1"))
    offload = _one_of("NOISEBOOK_OFFLOAD", "none", OFFLOADS)
    rows = os.environ.get("NOISEBOOK_BATCH_SIZE", "auto")
    if rows != "auto" and not (rows.isdecimal() and int(rows)):
        raise MissingModel(f"NOISEBOOK_BATCH_SIZE={rows}: expected auto, or a number of at least 1")
    return Settings(device, TYPES[dtype], 0 if rows == "auto" else int(rows), slicing == "1", offload)


def _one_of(name: str, usual: str, known: tuple[str, ...]) -> str:
    value = os.environ.get(name, usual)
    if value not in known:
        raise MissingModel(f"{name}={value}: known are {', '.join(known)}")
    return value


@contextmanager
def out_of_memory(settings: Settings) -> Iterator[None]:
    """Say which settings need less memory; raises MemoryError for what torch raises."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        least, *more = [*settings.less_memory(), "a smaller model"]
        message = f"out of memory. {least} needs less" + (f"; then {', '.join(more)}" if more else "")
        raise MemoryError(message) from error


def rows_that_fit(bytes_per_row: int) -> int:
    """How many rows the GPU's free memory holds, a fifth of it left alone; at least 1."""
    free, _ = torch.cuda.mem_get_info()
    unused = torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    return max(1, int(0.8 * (free + unused)) // max(1, bytes_per_row))
