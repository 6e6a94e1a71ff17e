"""A builder's context without a builder, for tests of generators."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from noisebook.cells.contract import Cell, Context, Json, Output, derive_seed

ROOT = Path(__file__).resolve().parents[1]


class FakeStored:
    """A finished cell, from its outputs."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self.outputs = {output.name: output for output in outputs}

    def data(self, name: str) -> bytes:
        return self.outputs[name].data

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        from safetensors.numpy import load

        return dict(load(self.data(name)))


class FakeContext:
    """What ``run`` may ask for: models by role, inputs relative to ``root``, needs by name."""

    def __init__(
        self,
        models: Mapping[str, Any] | None = None,
        *,
        root: Path = ROOT,
        seed: int = 42,
        draft: bool = False,
        needed: Mapping[str, FakeStored] | None = None,
        scratch: Path | None = None,
    ) -> None:
        self.models, self.root, self._seed, self.draft = dict(models or {}), root, seed, draft
        self._needed, self._scratch = dict(needed or {}), scratch

    def seed(self, cell: Cell, *identity: Json) -> int:
        assert cell.seed is not None, f"cell {cell.id!r} says that it has no seed"
        return derive_seed(self._seed if cell.seed == -1 else cell.seed, *identity)

    def input(self, cell: Cell, name: str) -> Path:
        return self.root / cell.inputs[name]

    def model(self, cell: Cell, role: str) -> Any:
        assert role in cell.models, f"cell {cell.id!r} does not say that it uses {role}"
        return self.models[role]

    def needed(self, cell: Cell, name: str) -> FakeStored:
        assert name in cell.needs, f"cell {cell.id!r} does not say that it needs {name}"
        return self._needed[name]

    def scratch(self, cell: Cell) -> Path:
        assert self._scratch is not None
        return self._scratch

    def progress(self, cell: Cell, done: float, total: float, note: str = "") -> None:
        assert 0 <= done <= total

    def launch(self, function: Callable[[Cell, Context], None], cell: Cell) -> None:
        function(cell, self)


def run(module: ModuleType, cells: Sequence[Cell], context: FakeContext) -> dict[str, dict[str, Output]]:
    """Outputs by cell id and name."""
    return {cell.id: {o.name: o for o in outputs} for cell, outputs in module.run(cells, context)}


def pixels(output: Output) -> NDArray[np.uint8]:
    """The pixels of a picture output."""
    return np.asarray(Image.open(io.BytesIO(output.data)))
