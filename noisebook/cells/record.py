"""A finished cell, as the store keeps it: what went in, what came out, how it was made.

A record is checked once, where it comes in: :func:`parse` gives a whole one or says what is wrong with it.
"""

from __future__ import annotations

import base64
import binascii
import builtins
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

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
MIMES = frozenset(
    {
        "application/json", "application/octet-stream", "application/onnx", "application/x-safetensors",
        "image/gif", "image/jpeg", "image/png", "image/svg+xml", "image/webp", "text/csv", "text/plain",
        "video/mp4", "video/webm",
    }
)  # fmt: skip
DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[^/\\:]{1,200}")
"""Part of a file's name on every system: a colon is for drives and streams."""


class NotARecord(ValueError):
    """What is wrong with a file that should be a record."""


class Newer(NotARecord):
    """A record of a later version of Noisebook."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One output of a finished cell; its bytes are ``data``, or else ``objects/<sha256>``."""

    name: str
    mime: str
    sha256: str
    bytes: int
    width: int | None = None
    height: int | None = None
    keep: str = "published"
    measured: bool = False
    data: builtins.bytes | None = None

    def as_json(self) -> dict[str, Json]:
        """What the record says of it; what is as usual is left out."""
        usual = {"width": None, "height": None, "keep": "published", "measured": False, "data": None}
        value = {name: getattr(self, name) for name in Stored.__slots__}
        if self.data is not None:
            value["data"] = base64.b64encode(self.data).decode()
        return {name: each for name, each in value.items() if name not in usual or each != usual[name]}


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

    def as_bytes(self) -> bytes:
        """The file that the store writes; it begins with the digest of the rest."""
        value = {
            "format": FORMAT,
            "key": self.key,
            "components": self.components,
            "outputs": [output.as_json() for output in self.outputs],
            "provenance": self.provenance,
            **({"reached": self.reached} if self.reached else {}),
        }
        text = canonical(json.loads(canonical(value)))  # as it will be read
        return b'{"digest":"%s",%s' % (hashlib.sha256(text).hexdigest().encode(), text[1:])


def parse(key: str, data: bytes) -> Record:
    """The record of that key. Raises NotARecord, or Newer for one that a later version wrote."""
    try:
        _require(len(data) <= LARGEST, f"of more than {LARGEST:,} bytes")
        _require(data.count(b",") <= MOST_VALUES, f"of more than {MOST_VALUES:,} values")
        value = strict(data)
        _require(type(value) is dict and type(value.get("digest")) is str, "not a record")
        digest = value.pop("digest")
        _require(hashlib.sha256(canonical(value)).hexdigest() == digest, "its digest is another")
        version = value.get("format", 1)
        _require(type(version) is int and version >= 1, "format")
        if version > FORMAT:
            raise Newer(f"was written by a later version of Noisebook (format {version})")
        return _record(key, value)
    except NotARecord:
        raise
    except (ValueError, RecursionError) as error:
        raise NotARecord("not JSON") from error


def strict(data: bytes) -> Json:
    """The value of a JSON text in UTF-8, nested 200 deep at most, of finite numbers of bounded length.

    Raises ValueError.
    """
    try:
        parse_json(data, Any)  # tells how deep it is, at no depth of its own
        value = json.loads(data.decode(), parse_int=_whole, parse_constant=_no_number)
        canonical(value)  # 1e999
        return value
    except RecursionError as error:
        raise NotARecord("nested too deeply") from error


def check_components(value: Any) -> dict[str, Json]:
    """What a key was computed from, each of its kind. Raises NotARecord."""
    _require(type(value) is dict and {"generator", "params"} <= value.keys(), "components")
    _check(value, _COMPONENTS, "components")
    return dict(value)


def _record(key: str, value: dict[str, Any]) -> Record:
    _require(value.get("key") == key and DIGEST.fullmatch(key) is not None, "key")
    components: Any = value.get("components")
    provenance: Any = value.get("provenance")
    outputs: Any = value.get("outputs")
    reached: Any = value.get("reached", "")
    check_components(components)
    _require(type(provenance) is dict, "provenance")
    _check(provenance, _PROVENANCE, "provenance")
    _require(type(outputs) is list and 0 < len(outputs) <= 10_000, "outputs")
    _require(reached == "" or _is_digest(reached), "reached")
    stored = tuple(map(_stored, outputs))
    _require(sum(output.bytes for output in stored) <= LARGEST_OUTPUT, "outputs of too many bytes")
    _require(len({output.name for output in stored}) == len(stored), "outputs of one name")
    return Record(key, components, stored, provenance, reached)


def _stored(value: Any) -> Stored:
    _require(type(value) is dict and value.keys() <= _OUTPUT.keys(), "outputs")
    _require({"name", "mime", "sha256", "bytes"} <= value.keys(), "outputs")
    _check(value, _OUTPUT, "outputs")
    data = value.get("data")
    if data is not None:
        try:
            data = base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError) as error:
            raise NotARecord("outputs.data") from error
        _require(len(data) == value["bytes"] and hashlib.sha256(data).hexdigest() == value["sha256"], "data")
    return Stored(**{**value, "data": data})


def unfit(output: Output) -> str:
    """What of an output no record can hold, in words; '' if nothing."""
    name = output.name
    if not _is_name(name):
        return f"{name!r} is no name for an output: up to 200 characters that print, no slash, no colon"
    if type(output.data) is not bytes or len(output.data) > LARGEST_OUTPUT:
        return f"{name}: its data must be up to {LARGEST_OUTPUT:,} bytes"
    if output.mime not in MIMES:
        return f"{name}: the media type {output.mime!r} is not one of {', '.join(sorted(MIMES))}"
    fields = {each: getattr(output, each) for each in ("width", "height", "keep", "measured")}
    try:
        _check(fields, _OUTPUT, name)
    except NotARecord as error:
        field = str(error).rpartition(".")[2]
        return f"{name}: its {field} cannot be {fields[field]!r}"
    return ""


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise NotARecord(what)


def _check(value: Mapping[str, Json], schema: Mapping[str, Any], where: str) -> None:
    """Every field that is known is of its kind; others are of no meaning here."""
    for name, each in value.items():
        test = schema.get(name)
        if test is not None and not test(each):
            raise NotARecord(f"{where}.{name}")


def _whole(digits: str) -> int:
    _require(len(digits) <= DIGITS, "a whole number of too many digits")
    return int(digits)


def _no_number(text: str) -> None:
    raise NotARecord(f"{text} is no number")


def _is_digest(value: object) -> bool:
    return type(value) is str and DIGEST.fullmatch(value) is not None


def _is_name(value: object) -> bool:
    return (
        type(value) is str
        and _NAME.fullmatch(value) is not None
        and value.isprintable()
        and value not in (".", "..")
    )


def _is_text(value: object) -> bool:
    """Of characters that print: a terminal would obey others."""
    return type(value) is str and len(value) <= 2000 and value.isprintable()


def _is_object(value: object) -> bool:
    return type(value) is dict


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _is_threads(value: object) -> bool:
    """As many as ``verify`` could start."""
    return type(value) is int and 0 <= value <= 1024


def _is_size(value: object) -> bool:
    return value is None or (type(value) is int and 0 < value <= 1_000_000)


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < 1e12


def _all(test: Any) -> Any:
    return lambda value: type(value) is dict and all(map(test, value.values()))


def _is_words(value: Any) -> bool:
    """How a model understood a prompt."""
    return (
        type(value) is dict
        and type(value.get("nearest")) is list
        and all(map(_is_text, value["nearest"]))
        and type(value.get("far")) is bool
        and type(value.get("similarity")) in (int, float)
    )


def _is_adopted(value: object) -> bool:
    if value is None:
        return True
    return type(value) is dict and _is_digest(value.get("from")) and _is_text(value.get("evidence"))


_COMPONENTS = {
    "generator": _is_name,
    "params": _is_object,
    "code": _is_text,
    "seed": lambda value: value is None or type(value) is int,
    "needs": _all(_is_digest),
    "inputs": _all(_is_text),
    "models": _all(_is_object),
}
_PROVENANCE = {
    **dict.fromkeys(("cell", "figure", "finished", "python", "platform", "processor"), _is_text),
    **dict.fromkeys(("device", "command"), _is_text),
    **dict.fromkeys(("versions", "models", "reached"), _all(_is_text)),
    "seconds": _is_seconds,
    "threads": _is_threads,
    "processes": _is_count,
    "words": _all(_is_words),
    "adopted": _is_adopted,
}
_OUTPUT = {
    "name": _is_name,
    "mime": lambda value: type(value) is str and value in MIMES,
    "sha256": _is_digest,
    "bytes": lambda value: type(value) is int and 0 <= value <= LARGEST_OUTPUT,
    "width": _is_size,
    "height": _is_size,
    "keep": lambda value: value in ("published", "local"),
    "measured": lambda value: type(value) is bool,
    "data": lambda value: value is None or type(value) is str,
}
