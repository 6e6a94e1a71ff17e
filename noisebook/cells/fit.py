"""What a generator yields is looked at before it is stored: a record can hold it, a page can show it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from noisebook.cells.contract import Output
from noisebook.cells.media import published
from noisebook.cells.plan import Planned
from noisebook.cells.record import unfit

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_outputs(planned: Planned, outputs: Sequence[Output]) -> None:
    """Refuse what a record cannot hold, what is not of its media type or no number, and a name that two have.

    Raises ValueError.
    """
    who = f"{planned.generator.name}: cell {planned.cell.id!r}"
    if not (isinstance(outputs, Sequence) and all(isinstance(each, Output) for each in outputs)):
        raise ValueError(f"{who} must yield a list of outputs, not {outputs!r:.60}")
    names = [output.name for output in outputs]
    if len(names) != len(set(names)) or not names:
        raise ValueError(f"{who} must have outputs of different names")
    if absent := [each.output for each in planned.cell.pictures if each.output not in names]:
        raise ValueError(f"{who} left no output {absent[0]!r}")
    for output in outputs:
        if wrong := unfit(output) or _not_of_its_type(output) or _not_numbers(output):
            raise ValueError(f"{who}: {wrong}")


def _not_of_its_type(output: Output) -> str:
    """Why no page will show it; a local output is the generator's own affair."""
    try:
        if output.keep == "published":
            published(output.data, output.mime)
    except ValueError as error:
        return f"{output.name}: {error}"
    return ""


def _not_numbers(output: Output) -> str:
    """What in an output should be a number and is none; pictures are looked at when they are made."""
    if output.mime == "application/json":
        found: list[str] = []
        try:
            json.loads(output.data, parse_constant=found.append)
        except (ValueError, RecursionError) as error:
            return f"{output.name}: it is not JSON: {error}"
        if found:
            return f'{output.name}: {found[0]} is not a number of JSON, which has infinity as "Infinity"'
    if output.mime == "application/x-safetensors":
        import numpy as np
        from safetensors.numpy import load

        arrays: dict[str, NDArray[Any]] = {}
        with suppress(Exception):  # of a type that numpy has not, such as bfloat16
            arrays = load(output.data)
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                return f"{output.name}: values of {name!r} are not numbers (NaN or infinite)"
    return ""
