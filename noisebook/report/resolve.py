"""From a figure as it was written to its cells: generator, parameters, files, combinations."""

from __future__ import annotations

import math
import re
from collections import ChainMap, Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from noisebook.cells.contract import Cell, InputFile, Json, Labelled, Need, Params, canonical
from noisebook.cells.registry import Generator, GeneratorError, Registry, UnknownGenerator, origin, said
from noisebook.report.files import InputFiles
from noisebook.report.matrix import combinations, combine
from noisebook.report.model import Enough, Position, Problem, Problems, quote
from noisebook.report.parse import Document, Loc, describe
from noisebook.report.reader import BadFile
from noisebook.report.schema import input_files
from noisebook.report.validation import validate

COMBINATIONS = 100_000
"""The most that one figure's matrix may have."""
MATRIX_PROBLEMS = 20
"""After so many, a matrix is not looked at further."""

_CELL = re.compile(r"[A-Za-z0-9._=-]{1,80}")

Cells = tuple[Params, tuple[Cell, ...]]
"""Parameters as the generator takes them (of a matrix, its first combination's), and the cells they give."""


def check_files(values: Any, files: InputFiles, document: Document, at: Loc) -> list[Problem]:
    """What is wrong with the files that validated values name, which stand at ``at`` in the document."""
    problems = []
    for loc, name, kind in input_files(values):
        try:
            files.check(name, kind, document.value((*at, *loc)))
        except BadFile as bad:
            problems.append(bad.problem)
    return problems


def resolve(
    loc: Loc, raw: dict[str, Any], document: Document, registry: Registry, files: InputFiles
) -> tuple[Generator, Cells] | list[Problem]:
    """The generator and the cells of the figure ``raw``, which stands at ``loc``; else what is wrong with it.

    The list is empty if what is wrong is the schema's to tell.
    """
    name, params, matrix = raw.get("generator"), raw.get("params") or {}, raw.get("matrix")
    if not isinstance(name, str) or not isinstance(params, dict):
        return []
    where = document.value((*loc, "generator"))
    try:
        generator = registry.get(name)
    except UnknownGenerator as error:
        return [Problem(where, error.message, error.hint)]
    except GeneratorError as error:
        return [Problem(_code(files.root, error.path, error.line, where), error.message, error.hint)]
    figure, cells = _Figure(loc, generator, files, Problems()), None
    with suppress(Enough):
        if matrix and isinstance(matrix, dict):
            cells = figure.over_matrix(params, matrix, document)
        else:
            cells = figure.cells(params, document)
    return (generator, cells) if cells and not figure.problems else figure.problems


@dataclass(slots=True)
class _Figure:
    """One figure on the way to its cells; ``loc`` is its place in the document."""

    loc: Loc
    generator: Generator
    files: InputFiles
    problems: Problems

    @property
    def at(self) -> Loc:
        return (*self.loc, "params")

    def cells(self, params: dict[str, Any], document: Document) -> Cells | None:
        """Check one set of parameters and its files, and ask for its cells."""
        generator, files, at = self.generator, self.files, self.at
        before = len(self.problems)
        checked = self.ask(
            "Params",
            lambda: validate(generator.Params, params, document, at, self.problems, "parameters"),
            document,
        )
        # Of values that do not fit, the files that they name are checked all the same.
        written = {key: value for key, value in params.items() if key in generator.Params.model_fields}
        named = generator.Params.model_construct(**written) if checked is None else checked
        self.problems.extend(check_files(named, files, document, at))
        if checked is None:
            return None
        if (check := generator.check) and len(self.problems) == before:
            complaints = self.ask(
                "check()",
                lambda: [((*at, *each.loc), str(each.message)) for each in check(checked, files)],
                document,
            )
            for place, message in complaints or ():
                self.problems.append(Problem(document.value(place), message))
        if len(self.problems) > before:
            try:
                self.twice(_checked(generator.cells(checked)), params, document)
            except KeyboardInterrupt:
                raise
            except BaseException:
                pass  # a generator may trust what is checked before
            return None
        cells = self.ask("cells()", lambda: _checked(generator.cells(checked)), document)
        if cells is None or self.twice(cells, params, document):
            return None
        for path in sorted({path for cell in cells for path in cell.inputs.values()}):
            try:
                files.check(path, InputFile(), document.value(at))
            except BadFile as bad:
                self.problems.append(bad.problem)
        return checked, cells

    def over_matrix(self, params: dict[str, Any], matrix: dict[str, Any], document: Document) -> Cells | None:
        """The cells of every combination, in order; the last parameter changes fastest."""
        here = (*self.loc, "matrix")
        for name in matrix.keys() & params.keys():
            message = f"{quote(name)} is both in params and in matrix"
            self.problems.append(Problem(document.key((*here, name)), message, "keep one of them"))
        if not all(isinstance(values, list) and values for values in matrix.values()):
            return None  # the schema tells of it
        if (count := combinations(matrix)) > COMBINATIONS:
            message = f"the matrix has {count} combinations, more than {COMBINATIONS}"
            self.problems.append(Problem(document.key(here), message, "make several figures of it"))
        seeds = "seed" in matrix and "seed" not in self.generator.Params.model_fields
        for index, seed in enumerate(matrix["seed"] if seeds else ()):
            if type(seed) is not int or not 0 <= seed < 2**63:
                where = document.value((*here, "seed", index))
                message = f"expected a whole number of at least 0, found {describe(seed)}"
                self.problems.append(Problem(where, message))
        self.problems.extend(self.repeated(matrix, here, document))
        if self.problems:
            return None
        first: Params | None = None
        cells: list[Cell] = []
        for combination in combine(matrix):
            places = {
                (*self.at, name): document.value((*here, name, index))
                for name, index in combination.indices.items()
            }
            values = dict(combination.values)
            seed = values.pop("seed") if seeds else None
            placed = Document(document.data, document.keys, ChainMap(places, document.values))
            drawn = self.cells({**params, **values}, placed)
            if drawn:
                first = first or drawn[0]
                cells.extend(combination.mark(cell, seed) for cell in drawn[1])
            elif len(self.problems) > MATRIX_PROBLEMS:
                break
        return (first, tuple(cells)) if first else None

    def twice(self, cells: tuple[Cell, ...], params: dict[str, Any], document: Document) -> bool:
        """Whether two cells have one id, which is told where the value stands that does it."""
        ids = Counter(cell.id for cell in cells)
        if len(ids) == len(cells):
            return False
        repeated = self.repeated(params, self.at, document)
        (first, _), *_ = ids.most_common(1)
        code = _code(self.files.root, self.generator.path, 1, document.value(self.at))
        hint = f"asked by {document.value(()).file}"
        self.problems.extend(repeated or [Problem(code, f"two cells have the id {first!r}", hint)])
        return True

    def repeated(self, values: Json, at: Loc, document: Document) -> list[Problem]:
        """What stands a second time in a list among ``values``, which stand at ``at``."""
        some = islice(_repeated(values, at), MATRIX_PROBLEMS)
        return [
            Problem(document.value(loc), f"{describe(value)} stands twice", "keep one of them")
            for loc, value in some
        ]

    def ask(self, function: str, call: Callable[[], Any], document: Document) -> Any:
        """What a generator's function answers; its exceptions are problems of the generator's file."""
        try:
            return call()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            asked = document.value(())
            place = _code(self.files.root, *origin(error, self.generator.path), asked)
            said_so = f"{type(error).__name__}: {said(error)}"
            message = f"{function} of generator {self.generator.name!r} failed: {said_so}"
            self.problems.append(Problem(place, message, f"asked by {asked.file}"))
            return None


def _code(root: Path, path: Path | None, line: int, otherwise: Position) -> Position:
    """A place in a generator's file, relative to the report where it belongs to it."""
    if path is None:
        return otherwise
    return Position(path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path), line)


def _repeated(value: Json, at: Loc) -> Iterator[tuple[Loc, Json]]:
    """Every item of a list that equals an earlier one, at any depth, and its place."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _repeated(item, (*at, key))
    elif isinstance(value, list):
        seen: set[bytes] = set()
        for index, item in enumerate(value):
            same = canonical(float(item) if type(item) is int else item)
            if same in seen:
                yield (*at, index), item
            seen.add(same)
            yield from _repeated(item, (*at, index))


def _checked(cells: Any) -> tuple[Cell, ...]:
    """Cells as the contract wants them; raises ValueError."""
    result = tuple(cells)
    if not result:
        raise ValueError("it names no cell")
    for cell in result:
        if not isinstance(cell, Cell):
            raise ValueError(f"expected Cells, found {type(cell).__name__}")
        if not isinstance(cell.id, str) or not _CELL.fullmatch(cell.id):
            raise ValueError(f"the cell id {cell.id!r} is not made of letters, digits, . = - and _")
        if not isinstance(cell.label, str) or not isinstance(cell.alt, str):
            raise ValueError(f"label and alt of the cell {cell.id!r} are not both text")
        shown = {each.output for each in cell.pictures if isinstance(each, Labelled)}
        if len(shown) != len(cell.pictures):
            raise ValueError(
                f"the pictures of the cell {cell.id!r} are not Labelled outputs, each named once"
            )
        if not all(isinstance(path, str) for path in cell.inputs.values()):
            raise ValueError(f"the input files of the cell {cell.id!r} are not named by text")
        if not all(isinstance(need, Need) for need in cell.needs.values()):
            raise ValueError(f"what the cell {cell.id!r} needs is not all Needs")
        if not (cell.seed is None or (isinstance(cell.seed, int) and abs(cell.seed) < 2**64)):
            raise ValueError(f"the seed of the cell {cell.id!r} is no whole number of at most 64 bits")
        if not (isinstance(cell.minutes, int | float) and 0 <= cell.minutes < math.inf):
            raise ValueError(f"the minutes of the cell {cell.id!r} are no time")
    canonical([[cell.label, cell.alt, dict(cell.params), dict(cell.models)] for cell in result])
    return result
