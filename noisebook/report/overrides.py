"""Parameters for one build: ``FIGURE.params.NAME=VALUE``, the value as YAML has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from noisebook.cells.names import suggest
from noisebook.cells.registry import Registry
from noisebook.report.files import InputFiles
from noisebook.report.model import BadInput, Figure, Position, Problem, Report, quote
from noisebook.report.parse import Document
from noisebook.report.resolve import resolve

Overrides = Mapping[str, Mapping[str, Any]]
"""Figure → parameter → value."""
_HINT = "written FIGURE.params.NAME=VALUE, such as hybrid.params.guidance=5"


def read_overrides(texts: Sequence[str]) -> Overrides:
    """What the command line says; of one parameter the last counts. Raises BadInput."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        figure, params, name = place.strip().partition(".params.")
        if not (equals and params and figure and name):
            raise _bad(f"{quote(text)} sets nothing", _HINT)
        try:
            found.setdefault(figure, {})[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise _bad(f"{quote(value)} is no value: {getattr(error, 'problem', error)}", _HINT) from error
    return found


def override(report: Report, overrides: Overrides, registry: Registry) -> Report:
    """The report with other parameters, and so other cells, of some figures. Raises BadInput."""
    known = [figure.id for section in report.sections for figure in section.figures]
    for name in overrides:
        if name not in known:
            raise _bad(f"no figure is called {quote(name)}", suggest(name, tuple(known), "figures"))
    sections = [
        replace(
            section,
            figures=tuple(
                _overridden(figure, overrides[figure.id], report, registry)
                if figure.id in overrides
                else figure
                for figure in section.figures
            ),
        )
        for section in report.sections
    ]
    return replace(report, sections=tuple(sections))


def _overridden(figure: Figure, values: Mapping[str, Any], report: Report, registry: Registry) -> Figure:
    params = figure.params.model_dump(exclude_unset=True)
    matrix = {name: each for name, each in figure.matrix.items() if name not in values}
    params = {name: each for name, each in params.items() if name not in matrix} | dict(values)
    here = Document(values={(): Position(f"--set {figure.id}.params")})
    raw = {"generator": figure.generator, "params": params, "matrix": matrix}
    found = resolve((), raw, here, registry, InputFiles(report.root))
    if isinstance(found, list):
        raise BadInput(found)
    _, (checked, cells) = found
    return replace(figure, params=checked, cells=cells, matrix=matrix)


def _bad(message: str, hint: str) -> BadInput:
    return BadInput([Problem(Position("--set"), message, hint)])
