"""Does today's code still make what the store holds? ``verify`` asks, ``adopt`` acts on the answer."""

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
from noisebook.cells.folders import user_cache
from noisebook.cells.plan import Planned, grouped
from noisebook.cells.record import Record, Stored
from noisebook.cells.run import (
    COMPONENTS,
    Models,
    NeededCell,
    RunContext,
    Watcher,
    provenance,
    scratch_folder,
)
from noisebook.cells.store import Absent, Store, identity

NOTHING_EARLIER = "no earlier version of this cell is in the store"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a comparison found; ``agrees`` is the answer, ``how`` the measure."""

    planned: Planned
    agrees: bool
    how: str

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
        threads = threads_of(group[0])
        if threads:  # sums in another order round differently, and sampling makes that visible
            import torch

            torch.set_num_threads(threads)
        context = RunContext(group, models, watcher)
        replay = replay_function(group[0])
        by_id = {planned.cell.id: planned for planned in group}
        if replay is not None:
            for planned in group:
                record = planned.record
                assert record is not None
                yield _replayed(planned, NeededCell(planned.store, record), replay, context)
            continue
        for cell, outputs in group[0].generator.run([planned.cell for planned in group], context):
            planned = by_id[cell.id]
            record = planned.record
            assert record is not None
            yield compare(planned, record, outputs)


def _replayed(planned: Planned, old: NeededCell | Path, replay: Any, context: RunContext) -> Verdict:
    try:
        evidence = replay(planned.cell, old, context)
    except Disagreement as error:
        return Verdict(planned, False, str(error))
    except Absent as error:
        return Verdict(planned, False, f"cannot be replayed here: {error}")
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
            agrees, how = _distance(stored, before, new[name].data)
            if not agrees:
                return Verdict(planned, False, f"{name}: {how}")
            notes.append(f"{name}: {how}")
    return Verdict(planned, True, "; ".join(notes) or SAME)


def _distance(stored: Stored, before: bytes, after: bytes) -> tuple[bool, str]:
    import numpy as np

    if stored.mime in ("image/png", "image/webp", "image/gif"):
        from PIL import Image

        one, other = (
            np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64) for data in (before, after)
        )
        if one.shape != other.shape:
            return False, f"size {one.shape} became {other.shape}"
        worst = float(np.abs(one - other).max())
        psnr = 10 * np.log10(255**2 / max(float(((one - other) ** 2).mean()), 1e-12))
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


def adopt(planned: Planned, models: Models, watcher: Watcher | None = None) -> Verdict:
    """Give a finished (or begun) cell its new key, if today's code repeats it.

    The evidence goes into its provenance. Cells that it needs must have been adopted before.
    """
    if planned.cached:
        return Verdict(planned, True, "is cached already")
    context = RunContext([planned], models, watcher)
    replay = replay_function(planned)
    previous = planned.previous()
    if previous is None or identity(previous.components) != identity(planned.components):
        begun = begun_before(planned)
        if begun is None or replay is None:
            return Verdict(planned, False, NOTHING_EARLIER)
        verdict = _replayed(planned, begun, replay, context)
        if verdict.agrees:
            target = scratch_folder(planned.key)
            begun.replace(target)
            (target / COMPONENTS).unlink()
        return verdict
    if replay is not None:
        if not same_needs(planned, previous.components):
            return Verdict(planned, False, f"{NOTHING_EARLIER}: {previous.key[:12]} needed other cells")
        verdict = _replayed(planned, NeededCell(planned.store, previous), replay, context)
    else:
        [(_, outputs)] = planned.generator.run([planned.cell], context)
        verdict = compare(planned, previous, outputs)
    if verdict.agrees:
        seconds = float(previous.provenance.get("seconds", 0))
        made = {
            **previous.provenance,
            **{
                name: value
                for name, value in provenance(planned, seconds).items()
                if name in ("reached", "command")
            },
            "adopted": {
                "from": previous.key,
                "evidence": verdict.how,
                "made": previous.provenance.get("adopted"),
            },
        }
        planned.store.refile(planned.key, planned.components, previous.outputs, made)
    return verdict


def begun_before(planned: Planned) -> Path | None:
    """The scratch folder of an unfinished run of this cell under another key."""
    wanted = identity(planned.components)
    folder = user_cache() / "scratch"
    for path in sorted(folder.glob(f"*/{COMPONENTS}")):
        try:
            components = json.loads(path.read_bytes())
        except ValueError:
            continue
        if (
            path.parent.name != planned.key
            and identity(components) == wanted
            and same_needs(planned, components)
        ):
            return path.parent
    return None


def same_needs(planned: Planned, components: Mapping[str, Json]) -> bool:
    """Did a cell of these components need what this one needs, whatever the keys were then?

    A replay looks at a part alone (a few steps, the recorded pictures) and cannot see that what it started
    from was another network, so this must be known before.
    """
    before: Any = components.get("needs", {})
    then = {name: _left(planned.store, key) for name, key in before.items()}
    return then == {name: _left(planned.store, need.key) for name, need in planned.needs.items()}


def _left(store: Store, key: str) -> dict[str, str] | str:
    """The digests of what a cell left; its key, if it is not in the store."""
    record = store.recall(key)
    if record is None:
        return key
    return {output.name: output.sha256 for output in record.outputs if not output.measured}
