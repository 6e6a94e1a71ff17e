"""Does today's code still make what the store holds?"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisebook.cells.checks import PIXEL_TOLERANCE, PSNR_FLOOR, RELATIVE_TOLERANCE, SAME, Check
from noisebook.cells.contract import Disagreement, Json, Output
from noisebook.cells.media import FORMATS
from noisebook.cells.plan import Planned, grouped
from noisebook.cells.provenance import provenance
from noisebook.cells.record import Record, Stored
from noisebook.cells.run import Models, NeededCell, RunContext, Watcher
from noisebook.cells.store import Absent


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found; ``agrees`` is the answer, ``how`` the measure.

    ``lacking`` is what a replay would need and is not here: then nothing was compared.
    """

    planned: Planned
    agrees: bool
    how: str
    lacking: str = ""

    @property
    def check(self) -> Check:
        """The verdict as the store keeps it."""
        today = provenance(self.planned, 0)
        made = self.planned.record.provenance if self.planned.record else {}
        kind = ("processor", "threads")
        return Check(
            self.agrees,
            self.how,
            str(today["finished"])[:10],
            str(today["processor"]),
            int(today.get("threads") or 0),
            all(today.get(name) == made.get(name) for name in kind),
        )


def replay_function(planned: Planned) -> Any:
    """The generator's ``replay``, or None."""
    return getattr(importlib.import_module(planned.generator.module), "replay", None)


def verify(cells: Sequence[Planned], models: Models, watcher: Watcher | None = None) -> Iterator[Verdict]:
    """Compute cached cells again, a generator at a time, and compare; nothing is stored."""

    def threads_of(planned: Planned) -> int:
        return int((planned.record.provenance if planned.record else {}).get("threads") or 0)

    for group in grouped(cells, lambda item: (item.figure, item.generator.name, threads_of(item))):
        yield from repeat([(cell, record) for cell in group if (record := cell.record)], models, watcher)


def repeat(
    group: Sequence[tuple[Planned, Record]], models: Models, watcher: Watcher | None
) -> Iterator[Verdict]:
    """Hold cells that one call of a ``run`` may compute, made by as many threads, against their records.

    The generator's ``replay`` is asked if it has one. Whatever that or ``run`` raises is raised.
    """
    first, made = group[0][0], group[0][1].provenance
    if threads := int(made.get("threads") or 0):  # sums in another order are rounded otherwise
        import torch

        torch.set_num_threads(threads)
    context = RunContext([planned for planned, _ in group], models, watcher)
    if replay := replay_function(first):
        for planned, record in group:
            yield replayed(planned, NeededCell(planned.store, record), replay, context)
        return
    left = {planned.cell.id: (planned, record) for planned, record in group}
    for cell, outputs in first.generator.run([planned.cell for planned, _ in group], context):
        yield compare(*left.pop(cell.id), outputs)
    for planned, _ in left.values():
        yield Verdict(planned, False, "today's code does not yield it")


def replayed(planned: Planned, old: NeededCell | Path, replay: Any, context: RunContext) -> Verdict:
    """What a generator's ``replay`` finds."""
    try:
        evidence = replay(planned.cell, old, context)
    except Disagreement as error:
        return Verdict(planned, False, str(error))
    except Absent as error:
        return Verdict(planned, False, f"cannot be replayed here: {error}", lacking=str(error))
    return Verdict(
        planned, True, "replayed: " + ", ".join(f"{name} {value}" for name, value in evidence.items())
    )


def compare(planned: Planned, record: Record, outputs: Sequence[Output]) -> Verdict:
    """Hold recomputed outputs against a record: the same bytes, else within the tolerances above."""
    new = {output.name: output for output in outputs}
    old = {output.name: output for output in record.outputs}
    if new.keys() != old.keys():
        return Verdict(planned, False, f"outputs {sorted(old)} became {sorted(new)}")
    notes: list[str] = []
    for name, stored in old.items():
        if stored.measured:
            continue
        try:
            before = planned.store.open(stored)
        except Absent:
            if stored.keep == "published":
                notes.append(f"{name}: not on this machine")
            continue
        if before != new[name].data:
            try:
                agrees, how = _distance(stored, before, new[name].data)
            except Exception as error:  # decoders of what is no picture raise almost anything
                agrees, how = False, f"cannot be compared: {error}"
            if not agrees:
                return Verdict(planned, False, f"{name}: {how}")
            notes.append(f"{name}: {how}")
    return Verdict(planned, True, "; ".join(notes) or SAME)


def _distance(stored: Stored, before: bytes, after: bytes) -> tuple[bool, str]:
    import numpy as np

    if stored.mime in ("image/png", "image/webp", "image/gif"):
        from PIL import Image

        pictures = [Image.open(io.BytesIO(data), formats=FORMATS) for data in (before, after)]
        with pictures[0] as one, pictures[1] as other:
            sizes = [(*each.size, getattr(each, "n_frames", 1)) for each in (one, other)]
            if sizes[0] != sizes[1]:
                return False, "size {}×{}, frames {} became {}×{}, {}".format(*sizes[0], *sizes[1])
            worst = error = 0.0
            for frame in range(sizes[0][2]):
                one.seek(frame)
                other.seek(frame)
                apart = np.asarray(one.convert("RGB"), np.float64) - np.asarray(other.convert("RGB"))
                worst = max(worst, float(np.abs(apart).max()))
                error = max(error, float((apart**2).mean()))
        psnr = 10 * np.log10(255**2 / max(error, 1e-12))
        return (
            worst <= PIXEL_TOLERANCE or psnr >= PSNR_FLOOR,
            f"largest difference {worst:.0f}, PSNR {psnr:.1f} dB",
        )
    if stored.mime == "application/x-safetensors":
        from safetensors.numpy import load

        left, right = load(before), load(after)
        if {k: v.shape for k, v in left.items()} != {k: v.shape for k, v in right.items()}:
            return False, "arrays of other names or shapes"
        worst = max(
            (_relative(left[k].astype(np.float64), right[k].astype(np.float64)) for k in left), default=0.0
        )
        return worst <= RELATIVE_TOLERANCE, f"largest relative difference {worst:.2g}"
    if stored.mime == "application/json":
        return _close(json.loads(before), json.loads(after)), "numbers compared"
    return False, f"{len(before)} bytes became {len(after)} others"


def _relative(one: Any, other: Any) -> float:
    scale = max(float(abs(one).max(initial=0.0)), 1e-12)
    return float(abs(one - other).max(initial=0.0)) / scale


def _close(one: Json, other: Json) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= RELATIVE_TOLERANCE * max(abs(one), abs(other), 1e-9)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_close, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_close(one[name], other[name]) for name in one)
    return bool(one == other)
