"""What style words do to pictures, as networks without weights: traced, and packed for any runtime of ONNX.

Heavy: imported by ``run`` alone.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from noisebook.models.styles import TREATMENTS

OPSET = 20


def treatment(name: str, batch: int, size: int) -> bytes:
    """What a style's word does to ``batch`` pictures (batch, 3, size, size) in [0, 1], as ONNX: x to y."""

    def treated(x: Tensor) -> Tensor:
        return TREATMENTS[name](x).clamp(0, 1)

    x = torch.rand(batch, 3, size, size)
    treated(x)  # its textures are kept, and enter as constants
    buffer = io.BytesIO()
    with warnings.catch_warnings(), _exportable(OPSET):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            make_fx(treated)(x),
            (x,),
            buffer,  # type: ignore[arg-type]
            dynamo=False,
            opset_version=OPSET,
            input_names=["x"],
            output_names=["y"],
        )
    model = onnx.load_from_string(buffer.getvalue())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _exportable(opset: int) -> Iterator[None]:
    """Operators that the exporter lacks, or has wrong where both of atan2's arguments are 0."""

    def hypot(g: Any, a: Any, b: Any) -> Any:
        return g.op("Sqrt", g.op("Add", g.op("Mul", a, a), g.op("Mul", b, b)))

    def atan2(g: Any, y: Any, x: Any) -> Any:
        def constant(value: float) -> Any:
            return g.op("Constant", value_t=torch.tensor(value))

        zero, half_turn = constant(0.0), constant(math.pi)
        nowhere = g.op("And", g.op("Equal", x, zero), g.op("Equal", y, zero))
        atan = g.op("Atan", g.op("Div", y, g.op("Where", nowhere, constant(1.0), x)))
        turn = g.op("Where", g.op("Less", y, zero), g.op("Neg", half_turn), half_turn)
        return g.op("Where", g.op("Less", x, zero), g.op("Add", atan, turn), atan)

    own: dict[str, Any] = {"hypot": hypot, "atan2": atan2, "lift_fresh_copy": lambda g, x: x}
    for name, function in own.items():
        torch.onnx.register_custom_op_symbolic(f"aten::{name}", function, opset)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name in own:
            torch.onnx.unregister_custom_op_symbolic(f"aten::{name}", opset)  # type: ignore[attr-defined]
