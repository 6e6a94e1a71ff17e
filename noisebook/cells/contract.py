"""What a generator is, and what it may say.

A generator is one module with three names:

``Params``
    a :class:`Params` model; every field described, with units and bounds.
``cells(params) -> list[Cell]``
    the pictures that the figure consists of. Imports nothing heavy: it runs at every build.
``run(cells, context) -> Iterator[tuple[Cell, list[Output]]]``
    computes the cells it is given and yields each as soon as it is finished. Heavy imports stand inside.

It may also have

``check(params, files) -> Iterator[Complaint]``
    for what a schema cannot say (a mask of another size than its picture).
``replay(cell, old, context) -> dict``
    for cells that take hours: repeat enough of the old run (a :class:`Stored` cell, or the scratch folder of
    an unfinished one) to tell whether today's code does the same, and return the evidence (steps repeated,
    largest difference); raise :class:`Disagreement` if it does not.

This module is versioned by hand: it is not part of a cell's key, ``CONTRACT_VERSION`` is. Raise it when
the meaning of stored bytes changes, and every cell runs again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from noisebook.cells.folders import write_atomically as write_atomically  # for states in a scratch folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTRACT_VERSION = 1

REPORT_SEED = -1
"""Stands for the report's own seed in :attr:`Cell.seed`."""

Json = Any
"""None, bool, int, float, str, or a list or dict of these."""


class Params(BaseModel):
    """Base of every generator's parameters: unknown keys and silent conversions are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True, slots=True)
class InputFile:
    """Marks a parameter as the path of a file, relative to the report's folder."""

    kind: Literal["image", "file"] = "file"


ImagePath = Annotated[
    str, InputFile("image"), Field(description="a picture, relative to the report's folder")
]


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with parameters that each alone are right.

    ``loc`` is the path to the value, as pydantic writes it: ``("masks", 0)``.
    """

    loc: tuple[str | int, ...]
    message: str


class Files(Protocol):
    """What ``check`` may ask about input files."""

    def image_size(self, path: str) -> tuple[int, int]:
        """Width and height in pixels, after EXIF rotation."""

    def image_range(self, path: str) -> tuple[int, int]:
        """Its darkest and its brightest grey, 0 to 255: the mean of the channels, over white."""


@dataclass(frozen=True, slots=True)
class Need:
    """A cell of another generator: ``generator`` with ``params`` gives ``cells``; ``cell`` names one.

    ``local``: its local outputs are read too (a training run goes on from the state of the one before), so it
    runs again where only its published outputs are.
    """

    generator: str
    params: Mapping[str, Json]
    cell: str
    local: bool = False


@dataclass(frozen=True, slots=True)
class Labelled:
    """One of several pictures of a cell. Nothing of it is in the key.

    A number called ``PSNR of OUTPUT`` stands under the picture ``OUTPUT``, as its PSNR.

    Attributes:
        output: the name of the output that is shown.
        label, alt: as a cell's own.
        prompt: what it was drawn to show, so that a judge can say how well it does.
    """

    output: str
    label: str
    alt: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One process of a figure, or one trained network: the unit of caching. It shows one picture, or several.

    Attributes:
        id: short, unique within the figure, made of letters, digits, ``.``, ``=``, ``-`` and ``_``.
        label: what the reader sees under it (plain text). Not in the key.
        alt: what a reader who cannot see it is told. Not in the key.
        params: the parameters that this cell alone depends on.
        inputs: name → path of an input file, relative to the report's folder. Its content is in the key.
        models: role → name in the lock file. An empty name, or one without ``/``, is a family:
            ``{"stage1": ""}`` is stage1 of the model that report.yaml names, ``{"stage1": "net"}`` is
            ``net/stage1``; ``{"data": "mnist"}`` is the data set of that name.
        needs: name → a cell whose outputs this one reads.
        seed: the seed; None for a cell without randomness.
        minutes: a first guess of its cost on two cores, until a run has been measured.
        pictures: what the page shows of the cell, if that is more than its ``picture``: each with a label of
            its own, in this order. Not in the key.
    """

    id: str
    label: str
    alt: str
    params: Mapping[str, Json] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, Need] = field(default_factory=dict)
    seed: int | None = REPORT_SEED
    minutes: float = 0.05
    pictures: Sequence[Labelled] = ()


@dataclass(frozen=True, slots=True)
class Output:
    """One thing that a cell leaves behind.

    Attributes:
        name: unique within the cell. ``picture`` is what the figure shows, unless the cell says more.
        mime: the media type of ``data``; ``application/json`` for numbers and tables.
        data: the bytes.
        width, height: pixels, for what has a size.
        keep: ``published`` is committed with the report, ``local`` stays on this machine
            (states of a reverse process, checkpoints).
        measured: depends on the machine (seconds, memory): recorded, never compared.
    """

    name: str
    mime: str
    data: bytes
    width: int | None = None
    height: int | None = None
    keep: Literal["published", "local"] = "published"
    measured: bool = False


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: Json) -> bytes:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8. NaN and infinities are refused."""
    return _CANONICAL.encode(value).encode()


def derive_seed(seed: int, *identity: Json) -> int:
    """A 63-bit seed for one sample, from the seed and the sample's own identity.

    A sample therefore does not change with batch size, order or device.
    """
    digest = hashlib.sha256(canonical([seed, list(identity)])).digest()
    return int.from_bytes(digest[:8], "big") >> 1


class Disagreement(Exception):
    """Today's code does not repeat what was recorded. The message says where and by how much."""


class Stored(Protocol):
    """A finished cell, as ``run`` reads the cells that it needs."""

    def data(self, name: str) -> bytes:
        """The bytes of one output; KeyError if the cell has none of that name."""

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of one output."""


class Context(Protocol):
    """What ``run`` may ask of the builder."""

    draft: bool
    """An author is looking at the layout: few steps, small. Draft cells have keys of their own."""

    def seed(self, cell: Cell, *identity: Json) -> int:
        """The seed of one sample of this cell: :func:`derive_seed` of the cell's seed and ``identity``."""

    def input(self, cell: Cell, name: str) -> Path:
        """The path of an input file."""

    def model(self, cell: Cell, role: str) -> Any:
        """The model or data set in that role, loaded once and kept."""

    def needed(self, cell: Cell, name: str) -> Stored:
        """A cell that this one needs."""

    def scratch(self, cell: Cell) -> Path:
        """A folder for checkpoints: outlives a kill, is removed once the cell is stored."""

    def progress(self, cell: Cell, done: float, total: float, note: str = "") -> None:
        """Tell how far this cell is, in any unit."""

    def launch(self, function: Callable[[Cell, Context], None], cell: Cell) -> None:
        """Call ``function(cell, context)``, of the generator's own module, once for each device.

        With one device it is called here; with more, at once in as many new processes, which share the work
        through accelerate's ``Accelerator()`` and leave what they make in the cell's scratch folder.
        """


Result = tuple[Cell, list[Output]]
RunFunction = Callable[[Sequence[Cell], Context], Iterator[Result]]
