"""A finished cell, as the store keeps it: what went in, what came out, how it was made.

A record is checked once, where it comes in: :func:`parse` gives a whole one or says what is wrong with it.
"""

from __future__ import annotations

import base64
import builtins
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as checked
from pydantic_core import from_json

from noisebook.cells.contract import Json, Output, canonical
from noisebook.cells.folders import parse_json

FORMAT = 2
"""1 had every output in a file of its own and the digests of the code in each record."""
INLINE = 2048
"""Published outputs of fewer bytes stand in the record."""
INLINE_ALL = 500_000
"""Bytes of all of a cell's outputs that stand in its record; with more, each is a file of its own."""
LARGEST = 2_000_000
"""Bytes of a record."""
MOST_VALUES = 100_000
"""In a record: each takes twenty times its bytes in memory."""
LARGEST_REACHED = 1_000_000
"""Bytes of the object that says what code a cell reached."""
LARGEST_OUTPUT = 1_000_000_000
"""Bytes of an output, and of all of a cell, which are held in memory."""
DIGITS = 40
"""Of a whole number: a seed has up to 20."""
DIGEST = re.compile(r"[0-9a-f]{64}")


class NotARecord(ValueError):
    """What is wrong with a file that should be a record."""


class Newer(NotARecord):
    """A record of a later version of Noisebook."""


def _printable(text: str) -> str:
    """Characters that print alone: a terminal would obey others."""
    if not text.isprintable():
        raise ValueError("of characters that do not print")
    return text


Text = Annotated[str, Field(max_length=2000), AfterValidator(_printable)]
Name = Annotated[str, Field(max_length=200, pattern=r"^\.*[^./\\:][^/\\:]*$"), AfterValidator(_printable)]
"""Part of a file's name on every system: a colon is for drives and streams, ``..`` the folder above."""
Digest = Annotated[str, Field(pattern=f"^{DIGEST.pattern}$")]
Size = Annotated[int, Field(gt=0, le=1_000_000)]
_CONFIG = ConfigDict(extra="forbid", strict=True, val_json_bytes="base64", defer_build=True)
MIMES = (
    "application/json", "application/octet-stream", "application/onnx", "application/x-safetensors",
    "image/gif", "image/jpeg", "image/png", "image/svg+xml", "image/webp", "text/csv", "text/plain",
    "video/mp4", "video/webm",
)  # fmt: skip
Mime = Annotated[str, Field(pattern=f"^({'|'.join(map(re.escape, MIMES))})$")]


@checked(frozen=True, slots=True, config=_CONFIG)
class Stored:
    """One output of a finished cell; its bytes are ``data``, or else ``objects/<sha256>``."""

    name: Name
    mime: Mime
    sha256: Digest
    bytes: Annotated[int, Field(ge=0, le=LARGEST_OUTPUT)]
    width: Size | None = None
    height: Size | None = None
    keep: Literal["published", "local"] = "published"
    measured: bool = False
    data: Annotated[builtins.bytes, Field(max_length=LARGEST_OUTPUT)] | None = None

    def as_json(self) -> dict[str, Json]:
        """What the record says of it; what is as usual is left out."""
        value = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.data is not None:
            value["data"] = base64.b64encode(self.data).decode()
        return {each.name: value[each.name] for each in fields(self) if value[each.name] != each.default}


@dataclass
class _Components:
    """What a key was computed from, as far as it must be of some kind."""

    generator: Name
    params: dict[str, Json]
    code: Text = ""
    seed: int | None = None
    needs: dict[str, Digest] = field(default_factory=dict)
    inputs: dict[str, Text] = field(default_factory=dict)
    models: dict[str, dict[str, Json]] = field(default_factory=dict)


@dataclass
class _Words:
    """How a model understood a prompt."""

    nearest: list[Text]
    far: bool
    similarity: float


@dataclass
class _Adopted:
    """Whose work a cell has, and how it was found to be the same."""

    source: Annotated[Digest, Field(alias="from")]
    evidence: Text


@dataclass
class _Provenance:
    """How a cell was made, as far as it must be of some kind."""

    cell: Text = ""
    figure: Text = ""
    finished: Text = ""
    python: Text = ""
    platform: Text = ""
    processor: Text = ""
    device: Text = ""
    command: Text = ""
    versions: dict[str, Text] = field(default_factory=dict)
    models: dict[str, Text] = field(default_factory=dict)
    reached: dict[str, Text] = field(default_factory=dict)
    seconds: Annotated[float, Field(ge=0, lt=1e12)] = 0.0
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """As many as ``verify`` could start."""
    processes: Annotated[int, Field(ge=0, lt=2**48)] = 1
    words: dict[str, _Words] = field(default_factory=dict)
    adopted: _Adopted | None = None


@dataclass
class _File:
    """What stands in a record's file; a later version may add to it."""

    key: Digest
    components: _Components
    outputs: Annotated[tuple[Stored, ...], Field(min_length=1, max_length=10_000)]
    provenance: _Provenance
    reached: Digest | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class Record:
    """cells/<key>.json.

    Attributes:
        key: the address of the cell.
        components: what the key was computed from, each by name, so that two keys can be compared.
        outputs: what the cell left behind.
        provenance: seconds, device, versions, date, the command that rebuilds it; never part of the key.
        reached: the object with the digest of each statement that the code of the cell reached, by name; ''
            where the provenance itself has them.
    """

    key: str
    components: Mapping[str, Json]
    outputs: tuple[Stored, ...]
    provenance: Mapping[str, Json]
    reached: str = ""

    def output(self, name: str) -> Stored | None:
        """The output of that name, or None."""
        return next((output for output in self.outputs if output.name == name), None)

    def as_read(self) -> tuple[Record, bytes]:
        """This record as it will be read, and the file that the store writes. Raises NotARecord.

        The file begins with the digest of the rest.
        """
        value = {
            "format": FORMAT,
            "key": self.key,
            "components": self.components,
            "outputs": [output.as_json() for output in self.outputs],
            "provenance": self.provenance,
            **({"reached": self.reached} if self.reached else {}),
        }
        read = strict(canonical(value))  # keys are texts, and sorted as such
        text = canonical(read)
        data = b'{"digest":"%s",%s' % (hashlib.sha256(text).hexdigest().encode(), text[1:])
        return _checked(self.key, read, _bounded(data)), data


def parse(key: str, data: bytes) -> Record:
    """The record of that key. Raises NotARecord, or Newer for one that a later version wrote."""
    try:
        value = strict(_bounded(data))
        _require(type(value) is dict, "not a record")
        digest = value.pop("digest", None)
        _require(hashlib.sha256(canonical(value)).hexdigest() == digest, "its digest is another")
        version = value.get("format", 1)
        _require(type(version) is int and version >= 1, "format")
        if version > FORMAT:
            raise Newer(f"was written by a later version of Noisebook (format {version})")
    except NotARecord:
        raise
    except ValueError as error:
        raise NotARecord(str(error)) from error
    return _checked(key, value, data)


def _bounded(data: bytes) -> bytes:
    _require(len(data) <= LARGEST, f"of more than {LARGEST:,} bytes")
    _require(data.count(b",") <= MOST_VALUES, f"of more than {MOST_VALUES:,} values")
    return data


def _checked(key: str, value: dict[str, Json], data: bytes) -> Record:
    """The record that the text ``data`` of ``value`` is, if every part of it is of its kind."""
    try:
        found: _File = parse_json(data, _File)
    except ValueError as error:
        raise NotARecord(str(error)) from error
    _require(found.key == key, "its key is another")
    for output in found.outputs:
        if (kept := output.data) is not None:
            whole = len(kept) == output.bytes and hashlib.sha256(kept).hexdigest() == output.sha256
            _require(whole, f"the data of {output.name}")
    _require(sum(output.bytes for output in found.outputs) <= LARGEST_OUTPUT, "outputs of too many bytes")
    _require(len({output.name for output in found.outputs}) == len(found.outputs), "outputs of one name")
    return Record(key, value["components"], found.outputs, value["provenance"], found.reached)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise NotARecord(what)


def components(data: bytes) -> dict[str, Json]:
    """What a key was computed from, of its text. Raises ValueError."""
    parse_json(data, _Components)
    return dict(strict(data))


def strict(data: bytes) -> Json:
    """The value of a JSON text in UTF-8, nested 200 deep at most, of finite numbers of bounded length.

    Raises ValueError.
    """
    from_json(data, allow_inf_nan=False)  # tells how deep it is, at no depth of its own
    return json.loads(data.decode(), parse_int=_whole, parse_float=_finite)


def _whole(digits: str) -> int:
    _require(len(digits) <= DIGITS, "a whole number of too many digits")
    return int(digits)


def _finite(digits: str) -> float:
    _require(math.isfinite(value := float(digits)), f"{digits} is no number")
    return value


def unfit(output: Output) -> str:
    """What of an output no record can hold, in words; '' if nothing."""
    given = {name: getattr(output, name) for name in Output.__slots__}
    try:
        Stored(**given, sha256="0" * 64, bytes=0)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
    else:
        return ""
    if field == "name":
        return (
            f"{output.name!r} is no name for an output: up to 200 characters that print, no slash, no colon"
        )
    if field == "data":
        return f"{output.name}: its data must be up to {LARGEST_OUTPUT:,} bytes"
    if field == "mime":
        return f"{output.name}: the media type {output.mime!r} is not one of {', '.join(MIMES)}"
    return f"{output.name}: its {field} cannot be {given[field]!r}"
