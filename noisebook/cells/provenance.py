"""How a cell was made, and how long it took. Nothing of this is in a key."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from noisebook.cells.contract import Json
from noisebook.cells.plan import Planned

SHARE = 0.1
"""A cell that comes after less than this part of the longest wait was computed with the one before."""
WORTH = 0.5
"""Seconds of a batch below which nobody asks whose they were."""


@dataclass(slots=True)
class Times:
    """What each cell of one ``run`` took: the cells of a batch have equal parts of it."""

    waits: list[tuple[Planned, float, float]] = field(default_factory=list)
    """Each cell, the seconds since the one before it was stored, and what it took in earlier processes."""
    last: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    def tick(self, planned: Planned, earlier: float) -> None:
        """A cell is finished."""
        self.last = time.perf_counter() - self.started
        self.waits.append((planned, self.last, earlier))

    def go_on(self) -> None:
        """It is stored: the next one begins."""
        self.started = time.perf_counter()

    def batches(self) -> Iterator[list[tuple[Planned, float, float]]]:
        """Runs of cells that were computed together."""
        longest = max((wait for _, wait, _ in self.waits), default=0.0)
        batch: list[tuple[Planned, float, float]] = []
        for each in self.waits:
            if batch and each[1] >= SHARE * longest:
                yield batch
                batch = []
            batch.append(each)
        if batch:
            yield batch

    def share(self) -> list[Planned]:
        """Give each cell of a batch its part; the cells whose records were amended so."""
        amended = []
        for batch in self.batches():
            seconds = sum(wait for _, wait, _ in batch)
            if len(batch) == 1 or seconds < WORTH:
                continue
            for planned, _, earlier in batch:
                record = planned.store.get(planned.key)
                if record is not None:
                    each = round(seconds / len(batch) + earlier, 3)
                    made = {**record.provenance, "seconds": each, "reached": dict(planned.reached)}
                    planned.store.refile(planned.key, planned.components, record.outputs, made)
                    amended.append(planned)
        return amended


def provenance(planned: Planned, seconds: float) -> dict[str, Json]:
    """How a cell was made. Never part of its key."""
    versions = {
        package: found
        for package in ("noisebook", "torch", "diffusers", "transformers", "numpy", "pillow")
        if (package in ("noisebook", "pillow") or package in sys.modules) and (found := version(package))
    }
    result: dict[str, Json] = {
        "cell": planned.cell.id,
        "figure": planned.figure,
        "seconds": round(seconds, 3),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "device": "cpu",
        "models": dict(planned.models),
        "reached": dict(planned.reached),
        "command": f"noisebook build --only {planned.figure}",
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        result["threads"] = torch.get_num_threads()
        if torch.cuda.is_available():
            result["device"] = torch.cuda.get_device_name()
    return result


def prompt_notes(planned: Planned, loaded: Mapping[str, Any]) -> dict[str, Json]:
    """How models that read words understood this cell's: each word's nearest names, and how near they are."""
    notes: dict[str, Json] = {}
    for name in planned.models.values():
        model = loaded.get(name)
        if model is not None and hasattr(model, "prompt_notes"):
            notes.update(model.prompt_notes(planned.cell.params))
    return {"words": notes} if notes else {}


@cache
def version(package: str) -> str | None:
    """The installed version of a package, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def processor() -> str:
    """The processor's name as far as the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
