"""Files to start from: a section with every parameter explained, a generator with its test."""

from __future__ import annotations

import json
import os
import re
import typing
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import to_json, to_jsonable_python

from noisebook.cells.contract import InputFile, Json
from noisebook.cells.folders import find
from noisebook.cells.media import FORMATS
from noisebook.cells.registry import NAME, GeneratorError, Registry
from noisebook.report.model import BadInput, Position, Problem, quote
from noisebook.report.schema import IDENTIFIER, input_files
from noisebook.report.sections import RESERVED

PICTURE = "images/hills.png"
"""What a report without pictures begins with."""
FIRST_RUN = (
    'A first run, of minutes. Where "else" stands above a value, that is the whole run\'s: delete the value.'
)
LISTS = (list, tuple, set, frozenset)

NEW = Path(__file__).with_name("new")
"""The files of new reports: of ``every`` one, a ``first`` one, a ``course``'s, a figure's ``export``."""
GENERATOR = (NEW / "first" / "generators" / "waves.py").read_text("utf-8")
TEST = (NEW / "first" / "tests" / "test_waves.py").read_text("utf-8")


def new_generator(root: Path, name: str) -> list[Path]:
    """Write generators/NAME.py and tests/test_NAME.py; raises :class:`BadInput` rather than overwrite."""
    files: dict[Path, str | bytes] = {
        root / "generators" / f"{name}.py": GENERATOR,
        root / "tests" / f"test_{name}.py": TEST.replace("waves", name),
    }
    if not NAME.fullmatch(name):
        _refuse(
            "generators", f"{name!r} cannot name a generator", "small letters, digits and _, a letter first"
        )
    if name in Registry(root).names():
        _refuse(f"generators/{name}.py", f"there is a generator {name!r} already", "choose another name")
    write_new(root, files)
    return list(files)


def new_section(root: Path, name: str, generator: str | None, registry: Registry) -> Path:
    """Write sections/NAME.md, with a figure by ``generator`` if one is named.

    Where the generator wants a picture, it gets the report's first, or else one of Noisebook's.
    Raises :class:`BadInput` for a name that cannot be, an unknown generator, or rather than overwrite.
    """
    path = root / "sections" / f"{name}.md"
    if not re.fullmatch(IDENTIFIER, name) or name in RESERVED:
        _refuse(f"sections/{name}.md", f"{quote(name)} cannot name a section", "small letters, digits, . - _")
    files: dict[Path, str | bytes] = {}
    title = name.replace("-", " ").replace("_", " ").capitalize()
    lines = [
        "---",
        f"title: {_flow(title)}",
        '# number: "1.1"',
        "# part: A",
        "# summary: What this section is about.",
    ]
    if generator is not None:
        try:
            found = registry.get(generator)
        except GeneratorError as error:
            _refuse(f"sections/{name}.md", error.message, error.hint)
        picture = next(_pictures(root), PICTURE)
        fields = found.Params.model_fields
        lines += [f"generator: {generator}", "params:"]
        if any(map(_shortened, fields.values())):
            lines.append(f"  # {FIRST_RUN}")
        for key, field in fields.items():
            lines += _explained(key, field, "  ")
            value, changed = _start(root, field, picture)
            if _shortened(field):
                lines.append(f"  # else {_flow(to_jsonable_python(field.get_default()))}")
            if changed and picture in _flow(value) and not (root / picture).is_file():
                files[root / picture] = (NEW / "first" / PICTURE).read_bytes()
            lines.append(f"  {'' if changed else '# '}{key}: {_flow(value)}")
        lines += ['caption: ""', 'alt: ""']
    lines += ["---", ""]
    lines += [f'{{{{ figure("{name}") }}}}', ""] if generator else ["Write here.", ""]
    write_new(root, {path: "\n".join(lines), **files})
    return path


def _pictures(root: Path) -> Iterator[str]:
    """The pictures of the report, by name."""
    suffixes = {f".{name.lower()}" for name in FORMATS} | {".jpg"}
    for path in sorted((root / "images").glob("*")):
        if path.suffix.lower() in suffixes and path.is_file():
            yield path.relative_to(root).as_posix()


def write_new(root: Path, files: dict[Path, str | bytes]) -> None:
    """Write files that must not be there yet: all of them, or none and :class:`BadInput`."""
    for path in files:
        if os.path.lexists(path):
            _refuse(path.relative_to(root).as_posix(), "this file exists already", "choose another name")
        for folder in path.parents:
            if os.path.lexists(folder) and not folder.is_dir():
                name = folder.relative_to(root) if folder.is_relative_to(root) else folder
                _refuse(path.relative_to(root).as_posix(), f"{name} is not a folder", "move it away")
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)


def _refuse(file: str, message: str, hint: str) -> typing.NoReturn:
    raise BadInput([Problem(Position(file), message, hint)])


def _start(root: Path | None, field: FieldInfo, picture: str) -> tuple[Json, bool]:
    """A value to start from, and whether it has to be written: the default is not the author's to change.

    The field's example, if it has one: beside a default that is better to begin with, such as a short run.
    """
    if field.examples or field.is_required():
        return (field.examples or [_example(field.annotation, field.metadata, picture)])[0], True
    default = field.get_default(call_default_factory=True)
    value = to_jsonable_python(default)
    absent = [
        (loc, kind)
        for loc, path, kind in input_files(default, field.annotation, field.metadata)
        if root is None or not find(root, path).is_file()
    ]
    for loc, kind in absent:
        if kind.kind == "image" and not loc:
            value = picture
        elif kind.kind == "image":
            *way, last = loc
            reduce(getitem, way, value)[last] = picture
    return value, bool(absent)


def _shortened(field: FieldInfo) -> bool:
    """Whether a new section begins with another value than the default."""
    return bool(field.examples) and not field.is_required()


def _explained(key: str, field: FieldInfo, indent: str) -> list[str]:
    """A parameter in comments: what it is, what its values may be, and the keys of what it consists of."""
    model, listed = _inner(field.annotation)
    said = " ".join((field.description or _of_items(field.annotation) or key).split())
    said = re.sub(r"^(\w+): ", r"\1, ", said)  # it would read like a parameter that is left out
    lines = [f"{indent}# {said}{_bounds(field.annotation, field.metadata)}"]
    for name, inner in model.model_fields.items() if model else ():
        first, *rest = _explained(name, inner, indent)
        lines += [f"{indent}#   {name}: {first.removeprefix(f'{indent}# ')}"]
        lines += [line.replace("#", "#  ", 1) for line in rest]
    if model and listed:
        lines.append(f"{indent}# a second one stands after a comma: {key}: [{{…}}, {{…}}]")
    return lines


def _of_items(annotation: Any) -> str | None:
    """What a list's items are described as, where the list itself is not."""
    for item in typing.get_args(annotation):
        for mark in getattr(item, "__metadata__", ()):
            if found := getattr(mark, "description", None):
                return str(found)
    return None


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The model that a parameter consists of, if it does, and whether it is a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    listed = typing.get_origin(annotation) in LISTS
    for argument in typing.get_args(annotation):
        model, deeper = _inner(argument)
        if model:
            return model, listed or deeper
    return None, False


def _flow(value: Json) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


BOUNDS = {
    "ge": "at least {}",
    "gt": "more than {}",
    "le": "at most {}",
    "lt": "less than {}",
    "multiple_of": "a multiple of {}",
    "min_length": "{} or more",
    "max_length": "no more than {}",
}


def _bounds(annotation: Any, metadata: Iterable[Any]) -> str:
    """What values are allowed, as far as the schema says."""
    said = [
        text.format(bound)
        for item in metadata
        for name, text in BOUNDS.items()
        if (bound := getattr(item, name, None)) is not None
    ]
    options = (annotation, *typing.get_args(annotation))
    for literal in (each for each in options if typing.get_origin(each) is Literal):
        said.append("one of " + ", ".join(map(str, typing.get_args(literal))))
    if typing.get_origin(annotation) in LISTS:
        item, *_ = typing.get_args(annotation) or (None,)
        if typing.get_origin(item) is Annotated:
            item, *marks = typing.get_args(item)
            marks = [each for mark in marks for each in getattr(mark, "metadata", [mark])]
            said += [f"each {words[2:-1]}"] if (words := _bounds(item, marks)) else []
    return f" ({', '.join(said)})" if said else ""


def _example(annotation: Any, metadata: Sequence[Any], picture: str) -> Json:
    """A value that the schema allows, for a parameter without a default; None where none is found."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        marks = [each for mark in arguments[1:] for each in getattr(mark, "metadata", [mark])]
        return _example(arguments[0], [*metadata, *marks], picture)
    if file := next((each for each in metadata if isinstance(each, InputFile)), None):
        return picture if file.kind == "image" else "report.yaml"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return {key: _start(None, each, picture)[0] for key, each in fields if each.is_required()}
    bounds = [
        bound for each in metadata for name in BOUNDS if (bound := getattr(each, name, None)) is not None
    ]
    if origin in LISTS:
        item = _example(arguments[0], (), picture)
        tries: list[Json] = [[item] * length for length in (1, *map(int, bounds)) if length < 1000]
    else:
        near = [value for bound in bounds for value in (bound + 1, bound, bound - 1, bound / 2)]
        near += [(one // other + 1) * other for one in bounds for other in bounds if other]
        options = arguments if origin is Literal else [_example(each, (), picture) for each in arguments]
        tries = [
            *options,
            1,
            0,
            0.5,
            *near,
            *map(int, near),
            False,
            "text",
            *("t" * int(each) for each in bounds if abs(each) < 1000),
            {},
        ]
    allowed = TypeAdapter(Annotated[annotation, *metadata] if metadata else annotation)
    for value in tries:
        with suppress(ValueError, TypeError):
            return to_jsonable_python(allowed.validate_json(to_json(value), strict=True))
    return None
