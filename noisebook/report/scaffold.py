"""Files to start from: a section with every parameter explained, a generator with its test."""

from __future__ import annotations

import json
import re
import typing
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from noisebook.cells.contract import InputFile
from noisebook.cells.registry import NAME, GeneratorError, Registry
from noisebook.report.model import BadInput, Position, Problem
from noisebook.report.reader import FORMATS
from noisebook.report.schema import IDENTIFIER
from noisebook.report.sections import RESERVED

GENERATOR = '''"""Plane waves: one picture per frequency."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.outputs import picture
from noisebook.cells.contract import Params as Base


class Params(Base):
    """What a section may say under `params:`."""

    frequencies: list[int] = Field([1, 2, 4], min_length=1, description="waves across each picture")


def cells(params: Params) -> list[Cell]:
    """One picture per frequency: another value in the list computes one more picture."""
    return [Cell(f"f={f}", f"f = {f}", f"{f} grey waves.", {"f": f}, seed=None) for f in params.frequencies]


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Draw the cells that are asked for, one at a time."""
    import numpy as np

    for cell in cells:
        wave = np.sin(2 * np.pi * cell.params["f"] * np.arange(64) / 64)
        yield cell, [picture("picture", np.tile(np.uint8(127.5 + 127.5 * wave), (64, 1)))]
'''

TEST = '''"""The generator {name}."""

from pathlib import Path
from typing import Any

from noisebook.cells.registry import Registry


def draw(context: Any = None) -> list[tuple[str, list[bytes]]]:
    generator = Registry(Path(__file__).parents[1]).get("{name}")
    cells = generator.cells(generator.Params())
    return [
        (cell.id, [output.data for output in outputs]) for cell, outputs in generator.run(cells, context)
    ]


def test_every_cell_is_drawn() -> None:
    assert [name for name, _ in draw()] == ["f=1", "f=2", "f=4"]


def test_a_second_run_gives_the_same_bytes() -> None:
    assert draw() == draw()
'''


def new_generator(root: Path, name: str) -> list[Path]:
    """Write generators/NAME.py and tests/test_NAME.py; raises :class:`BadInput` rather than overwrite."""
    paths = [root / "generators" / f"{name}.py", root / "tests" / f"test_{name}.py"]
    if not NAME.fullmatch(name):
        _refuse(
            "generators", f"{name!r} cannot name a generator", "small letters, digits and _, a letter first"
        )
    if name in Registry(root).names():
        _refuse(f"generators/{name}.py", f"there is a generator {name!r} already", "choose another name")
    write_new(root, dict(zip(paths, (GENERATOR, TEST.format(name=name)), strict=True)))
    return paths


def new_section(root: Path, name: str, generator: str | None, registry: Registry) -> Path:
    """Write sections/NAME.md, with a figure by ``generator`` if one is named.

    Raises :class:`BadInput` for a name that cannot be, an unknown generator, or rather than overwrite.
    """
    path = root / "sections" / f"{name}.md"
    if not re.match(IDENTIFIER, name) or name in RESERVED:
        _refuse(f"sections/{name}.md", f"{name!r} cannot name a section", "small letters, digits, . - _")
    title = name.replace("-", " ").replace("_", " ").capitalize()
    lines = [
        "---",
        f"title: {_yaml(title)}",
        '# number: "1.1"',
        "# part: A",
        "# summary: What this section is about.",
    ]
    if generator is not None:
        try:
            found = registry.get(generator)
        except GeneratorError as error:
            _refuse(f"sections/{name}.md", error.message, error.hint)
        lines += [f"generator: {generator}", "params:"]
        for key, field in found.Params.model_fields.items():
            lines.append(f"  # {field.description or key}{_bounds(field)}")
            if field.is_required():
                lines.append(f"  {key}: {_yaml(_example(root, field.annotation, field.metadata))}")
            else:
                lines.append(f"  # {key}: {_yaml(field.get_default(call_default_factory=True))}")
        lines += ['caption: ""', 'alt: ""']
    lines += ["---", ""]
    lines += [f'{{{{ figure("{name}") }}}}', ""] if generator else ["Write here.", ""]
    write_new(root, {path: "\n".join(lines)})
    return path


def write_new(root: Path, files: dict[Path, str]) -> None:
    """Write files that must not be there yet: all of them, or none and :class:`BadInput`."""
    for path in files:
        if path.exists():
            _refuse(path.relative_to(root).as_posix(), "this file exists already", "choose another name")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)


def _refuse(file: str, message: str, hint: str) -> typing.NoReturn:
    raise BadInput([Problem(Position(file), message, hint)])


def _yaml(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    return json.dumps(value, ensure_ascii=False, default=str)


def _bounds(field: FieldInfo) -> str:
    """What values are allowed, as far as the schema says."""
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    said = [
        f"{text} {getattr(item, name)}"
        for item in field.metadata
        for name, text in words.items()
        if getattr(item, name, None) is not None
    ]
    if typing.get_origin(field.annotation) is Literal:
        said.append("one of " + ", ".join(map(str, typing.get_args(field.annotation))))
    return f" ({', '.join(said)})" if said else ""


def _example(root: Path, annotation: Any, metadata: Any = ()) -> Any:
    """A value to start from for a parameter without a default."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *more = typing.get_args(annotation)
        metadata = (*metadata, *more)
    mark = next((item for item in metadata if isinstance(item, InputFile)), None)
    if mark:
        suffixes = {f".{name.lower()}" for name in FORMATS} | {".jpg"}
        pictures = (each for each in sorted((root / "images").glob("*")) if each.suffix.lower() in suffixes)
        return next((each.relative_to(root).as_posix() for each in pictures), "images/NAME.png")
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return arguments[0]
    if origin in (list, tuple, set, frozenset):
        return [_example(root, arguments[0])] if arguments else []
    if annotation in (int, float):
        lowest = (getattr(item, name, None) for item in metadata for name in ("ge", "gt"))
        return annotation(next((value + 1 for value in lowest if value is not None), 1))
    if annotation is bool:
        return False
    if annotation is str:
        return "text"
    return _example(root, arguments[0]) if arguments else None
