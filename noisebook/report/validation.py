"""Values of YAML against a schema: what does not fit is told where it is written, in plain words."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from noisebook.cells.names import suggest
from noisebook.report.model import Problem, shorten
from noisebook.report.parse import Document, Loc, describe

Model = typing.TypeVar("Model", bound=BaseModel)


def validate(
    model: type[Model], data: Any, document: Document, at: Loc, problems: list[Problem], noun: str = "keys"
) -> Model | None:
    """``data``, which stands at ``at`` in the document, as ``model``; or None and its problems.

    ``noun`` is what the model's fields are called in messages.
    """
    try:
        return model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        told = {problem.position for problem in problems}
        for item in _fewest(model, data, error):
            problem = _problem(model, data, document, at, item, noun)
            if problem and problem.position not in told:
                problems.append(problem)
        return None


def _fewest(model: type[BaseModel], data: Any, error: ValidationError) -> Iterator[Mapping[str, Any]]:
    """The errors of values; of one that may be of several types, those of the type that it has.

    If it has none of them, they are told in one sentence.
    """
    placed: dict[Loc, list[dict[str, Any]]] = {}
    items: list[Any] = error.errors(include_url=False, include_context=True, include_input=False)
    for item in items:
        placed.setdefault(_follow(model, data, item["loc"])[0], []).append({**item})
    within = {path[:length] for path in placed for length in range(len(path))}
    for path, here in placed.items():
        either = {expected: item for item in here if (expected := _expected(item))}
        others = [item for item in here if not _expected(item)]
        yield from others
        if either and not others and path not in within:
            item = next((each for each in here if each["type"] in _ONE_OF), here[0])
            yield {**item, "either": " or ".join(either)}


def _expected(item: Mapping[str, Any]) -> str:
    """What type of value, or which values, an error is about; "" if it is about something else."""
    return str(item["ctx"]["expected"]) if item["type"] in _ONE_OF else _EXPECTED.get(item["type"], "")


def fitting(model: type[Model], data: Mapping[str, Any]) -> tuple[Model, set[str]]:
    """As much of ``data`` as fits ``model``, with a title at least, and the keys that do not fit."""
    faulty: set[str] = set()
    try:
        model.model_validate_json(json.dumps(data))
    except ValidationError as error:
        faulty = {str(item["loc"][0]) for item in error.errors(include_url=False) if item["loc"]}
    kept = {key: value for key, value in data.items() if key not in faulty}
    needed = {"title": "…"} if "title" in model.model_fields else {}
    return model.model_validate_json(json.dumps(needed | kept)), faulty


def _problem(
    model: type[BaseModel],
    data: Any,
    document: Document,
    at: Loc,
    item: Mapping[str, Any],
    noun: str,
) -> Problem | None:
    kind: str = item["type"]
    loc: Loc = item["loc"]
    path, value, field, owner = _follow(model, data, loc)
    position = document.value((*at, *path))
    context = item.get("ctx", {})
    hint = f"{field[0]}: {field[1]}" if field and field[1] else ""
    if kind == "missing":
        name = str(loc[-1])
        known = owner.model_fields.get(name) if owner else None
        return Problem(
            position, f"the key {name!r} is missing", f"{name}: {known.description}" if known else ""
        )
    if kind == "extra_forbidden":
        name = str(loc[-1])
        known_names = tuple(owner.model_fields) if owner else ()
        return Problem(
            document.key((*at, *path)), f"unknown key {shorten(name)!r}", suggest(name, known_names, noun)
        )
    found = describe(value)
    if kind in _EXPECTED:
        message = f"expected {item['either']}, found {found}"
        if kind == "string_type" and isinstance(value, int | float):
            hint = "put quotes around it"
    elif kind in _BOUNDS:
        bound = next(iter(context.values()))
        message = f"must be {_BOUNDS[kind]} {bound}, found {found}"
    elif kind in _ONE_OF:
        message = f"expected {item['either']}, found {found}"
        names = tuple(
            option.strip("'") for option in str(context["expected"]).replace(" or ", ", ").split(", ")
        )
        near = suggest(value, names, "values") if isinstance(value, str) else ""
        hint = near if near.startswith("did you mean") else hint
    elif kind == "string_pattern_mismatch":
        message = f"{found} is not what is expected here"
        hint = hint or f"expected text like {context['pattern']}"
    elif kind in ("string_too_short", "too_short"):
        least = context.get("min_length")
        if isinstance(value, list) and len(value) >= least:
            return None  # its items are wrong, and each has been told of
        message = "must not be empty" if least == 1 else f"must have at least {least} items, found {found}"
    elif kind in ("string_too_long", "too_long"):
        unit = "characters" if kind.startswith("string") else "items"
        message = f"must have at most {context.get('max_length')} {unit}"
    else:
        message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
        message = message[:1].lower() + message[1:]
    return Problem(position, shorten(message, 300), shorten(hint, 300))


_ONE_OF = ("literal_error", "enum")
_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "none_required": "nothing",
}
_BOUNDS = {
    "greater_than": "more than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
    "multiple_of": "a multiple of",
}


def _follow(
    model: type[BaseModel], data: Any, loc: Loc
) -> tuple[Loc, Any, tuple[str, str | None] | None, type[BaseModel] | None]:
    """The part of ``loc`` that is in ``data``, the value there, its field, and the model around that.

    Pydantic's locations also name branches of unions, which no author wrote.
    """
    path: Loc = ()
    value = data
    field: tuple[str, str | None] | None = None
    here: type[BaseModel] | None = model
    owner: type[BaseModel] | None = model
    for step in loc:
        if isinstance(value, dict) and step in value and isinstance(step, str):
            owner = here
            info = owner.model_fields.get(step) if owner else None
            if info:
                field = (step, info.description)
            here = _model_in(info.annotation) if info else None
            value = value[step]
            path = (*path, step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
            path = (*path, step)
        elif here:
            owner = here
    return path, value, field, owner


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation speaks of, if it is one, or a list of them, or an optional one."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next(filter(None, map(_model_in, typing.get_args(annotation))), None)
