"""Kernels in C++, compiled once by the machine's own compiler and loaded into this process."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

HEADERS = ("native.h", "normalization.h", "winograd.h")
FLAGS = ["-O3", "-mfma", "-std=c++17", "-fopenmp", "-shared", "-fPIC"]

_CONVOLUTION = {"winograd_forward": (4, 6), "winograd_gradient": (4, 6)}
_NORMALIZATION = {"batch_sums": (2, 3), "scale_gelu": (4, 3), "group_norm": (6, 6)}


class Source(NamedTuple):
    """A file of kernels: its compiler flags; of each kernel, how many pointers and then integers it takes;
    a and b of the convolution's points 0, a, -a, b, -b and ∞."""

    file: str
    flags: list[str]
    signatures: dict[str, tuple[int, int]]
    points: tuple[float, float]

    def weights_to_frequencies(self) -> Tensor:
        """G of F(4×4, 3×3) (Lavin & Gray 2015), for both axes: (36, 9)."""
        a, b = self.points
        rows = [[1 / (a * b) ** 2, 0, 0]]
        for p, other in ((a, b), (b, a)):
            rows += [[1, p, p * p], [1, -p, p * p]]
            scale = 2 * p**2 * (p**2 - other**2)
            rows[-2:] = [[value / scale for value in row] for row in rows[-2:]]
        g = torch.tensor([*rows, [0, 0, 1]], dtype=torch.float64)
        return torch.kron(g, g).float()


SOURCES = {
    torch.float32: Source(
        "native.cpp",
        ["-mavx2"],
        {
            **_CONVOLUTION,
            **_NORMALIZATION,
            "gelu_gradient": (8, 3),
            "batch_gradient": (5, 3),
        },
        (1, 2),
    ),
    torch.bfloat16: Source(
        "native_bf16.cpp",
        [f"-mavx512{part}" for part in ("f", "bw", "dq", "vl", "bf16")],
        {
            **_CONVOLUTION,
            **_NORMALIZATION,
            "gelu_sums": (7, 3),
            "gelu_gradient": (7, 3),
            "attention": (3, 7),
        },
        (5 / 8, 5 / 4),
    ),
}


class Unavailable(RuntimeError):
    """Why the kernels cannot be had here."""


def unavailable(dtype: torch.dtype = torch.float32) -> str:
    """Why the kernels of a type cannot be used here; empty if they can."""
    if os.environ.get("NOISEBOOK_NATIVE") == "0":
        return "NOISEBOOK_NATIVE=0"
    try:
        _kernels(dtype)
    except Unavailable as problem:
        return str(problem)
    return ""


def call(dtype: torch.dtype, kernel: str, *arguments: Tensor | int | None) -> None:
    """Call a kernel with tensors' addresses and with sizes, on as many threads as PyTorch uses."""
    getattr(_kernels(dtype), kernel)(
        *(
            ctypes.c_void_p(argument.data_ptr()) if isinstance(argument, Tensor) else argument
            for argument in (*arguments, torch.get_num_threads())
        )
    )


@functools.cache
def available(dtype: torch.dtype) -> bool:
    try:
        _kernels(dtype)
    except Unavailable:
        return False
    return True


@functools.cache
def _kernels(dtype: torch.dtype) -> ctypes.CDLL:
    """A type's kernels, compiled and loaded. Their OpenMP runtime is the one PyTorch has loaded already.

    Raises:
        Unavailable: no such processor, no compiler, or it failed.
    """
    if dtype not in SOURCES:
        raise Unavailable(f"no kernels for {dtype}")
    # PyTorch calls it so only if there is FMA as well.
    if torch.backends.cpu.get_cpu_capability() not in {"AVX2", "AVX512"}:
        raise Unavailable("no AVX2 and FMA")
    compiler = (
        shlex.split(os.environ.get("CXX", ""))
        or [path for path in map(shutil.which, ["g++", "clang++"]) if path][:1]
    )
    if not compiler:
        raise Unavailable("no C++ compiler")
    file, own_flags, signatures, _ = SOURCES[dtype]
    source, *headers = (Path(__file__).with_name(name) for name in (file, *HEADERS))
    command = [*compiler, *FLAGS, *own_flags]
    try:
        code = b"".join(path.read_bytes() for path in (source, *headers)) + "\0".join(command).encode()
        digest = hashlib.sha256(code).hexdigest()
        library = _cache() / f"{digest[:16]}.so"
        if not library.exists():
            with tempfile.TemporaryDirectory(dir=library.parent) as folder:
                built = Path(folder, library.name)
                # Another process may be at the same: the rename makes either's file appear whole.
                subprocess.run(
                    [*command, str(source), "-o", str(built)],
                    check=True,
                    capture_output=True,
                    text=True,
                    timeout=300,
                )
                built.replace(library)
        kernels = ctypes.CDLL(str(library))
    except subprocess.CalledProcessError as problem:
        first = (problem.stderr.strip() or "no message").splitlines()[0]
        raise Unavailable(f"{compiler[0]} failed: {first}") from problem
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise Unavailable(str(problem)) from problem
    if dtype == torch.bfloat16 and not kernels.supported():
        raise Unavailable("no AVX512_BF16")
    for name, (pointers, integers) in signatures.items():
        function = getattr(kernels, name)
        function.restype = None
        function.argtypes = [ctypes.c_void_p] * pointers + [ctypes.c_int64] * integers
    return kernels


def _cache() -> Path:
    """Where compiled kernels are kept; for its owner alone, as what lies there is run."""
    override = os.environ.get("NOISEBOOK_CACHE_DIR")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(override) if override else user / "noisebook"
    folder = folder / "native"
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder
