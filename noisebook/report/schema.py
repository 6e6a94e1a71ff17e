"""What may stand in report.yaml and in a section's front matter."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from noisebook.cells.contract import ImagePath, InputFile
from noisebook.models.lock import family_of
from noisebook.report.parse import Loc

IDENTIFIER = r"^[a-z0-9][a-z0-9._-]{0,79}$"

Text = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")]
Name = Annotated[str, Field(pattern=r"^[^\s\x00-\x1f]{1,20}$")]
Line = Annotated[str, Field(max_length=2000)]
Prose = Annotated[str, Field(max_length=20_000)]
Id = Annotated[str, Field(pattern=IDENTIFIER)]


def url_fault(url: str) -> str:
    """Why a text is no URL, or nothing."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return str(error)
    if not parts.scheme:
        return "it names no protocol"
    if parts.scheme in ("file", "local", "memory"):
        return "" if parts.path.strip("/") or parts.netloc else "it names no folder"
    return "" if parts.hostname else "it names no host"


def _checked_url(url: str) -> str:
    if fault := url_fault(url):
        raise ValueError(f"this is not a URL: {fault}")
    if "@" in urlsplit(url).netloc:
        raise ValueError("a published address holds no user and no password")
    if "?" in url or "#" in url:
        raise ValueError("what other addresses begin with has no ? and no #")
    return url


Url = Annotated[
    str, Field(max_length=2000, pattern=r"^(https?://[^\s\"'<>]+)?$"), AfterValidator(_checked_url)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DeliverableEntry(_Strict):
    """One item of `deliverables:`, by the figures and sections that it consists of."""

    item: Line = Field(min_length=1, description="what is to be handed in, in words")
    figures: tuple[Id, ...] = Field((), description="ids of figures that must be computed")
    sections: tuple[Id, ...] = Field((), description="names of sections: their text, and all their figures")


class ReportFile(_Strict):
    """report.yaml."""

    title: Text = Field(description="the report's title")
    subtitle: Line = Field("", description="a line under the title")
    authors: tuple[Text, ...] = Field((), description="names, in order")
    description: Prose = Field("", description="one or two sentences for search engines and previews")
    language: str = Field(
        "en",
        pattern=r"^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*$",
        description="the text's language, as in HTML: en, de-CH",
    )
    seed: int = Field(42, ge=0, lt=2**63, description="the seed of every figure that does not set its own")
    model: Annotated[str, BeforeValidator(family_of)] = Field(
        "exact",
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$",
        description="the model that draws Part A: exact, net, deepfloyd-xl, any of models.lock.json, "
        "{hub: owner/name}, {folder: path}, or auto",
    )
    library: str | None = Field(
        None, description="a folder of named pictures that the model exact draws from, in place of its own"
    )
    embeddings: Annotated[str, InputFile("file")] | None = Field(
        None, description="a .pth file of prompts' embeddings, in place of DeepFloyd's text encoder"
    )
    store: str = Field(
        "cache", min_length=1, description="where finished cells are kept: a folder here, or a URL"
    )
    push: Literal["auto", "asked"] = Field(
        "asked", description="auto: a build sends what it has computed to the shared store by itself"
    )
    parts: dict[Name, Text] = Field(default_factory=dict, description="letter → title of each part, in order")
    sections: tuple[Id, ...] = Field(
        (), description="names of section files without .md, in order; others follow by name"
    )
    base_url: Url = Field(
        "",
        description="where the site will stand: https://…; enables its feed",
    )
    repository: Url = Field("", description="where the report's source stands")
    licence: Line = Field("", description="the licence of the report's text and figures, by its SPDX name")
    bibliography: Annotated[str, InputFile("file")] | None = Field(
        None, description="a BibTeX file, relative to the report's folder"
    )
    macros: dict[str, Annotated[str, Field(min_length=1, max_length=1000)]] = Field(
        default_factory=dict,
        description="name → TeX, for every formula of the report; #1 to #9 are arguments",
    )
    deliverables: tuple[DeliverableEntry, ...] = Field(
        (), description="what is to be handed in: a list of {item, figures, sections}"
    )
    minutes_limit: float = Field(
        15.0, ge=0, description="minutes of computing that a build starts without asking for --yes"
    )
    key_policy: tuple[Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]*$")], ...] = Field(
        (), description="what a cell's key holds besides: device, or packages whose version matters (torch)"
    )


class Layout(_Strict):
    """How a figure's cells are arranged. Never part of a key."""

    kind: Literal[
        "grid", "row", "pairs", "filmstrip", "compare", "scrubber", "turn", "flip", "distance", "dim"
    ] = Field(
        default="grid",
        description="compare: a slider between two cells; scrubber: one state at a time; "
        "turn, flip: an anagram; distance, dim: a hybrid",
    )
    columns: int | None = Field(default=None, ge=1, le=24, description="cells in a row on a wide screen")


class Chosen(_Strict):
    """That a figure's samples are not its first draws. Never part of a key."""

    of: int = Field(ge=2, le=10_000, description="how many samples there were to choose from")
    by: Line = Field(description="by what measure: eye, or a judge's name")
    sheet: ImagePath | None = Field(
        None, description="thumbnails of all of them, as noisebook candidates writes it"
    )


class Drawn(_Strict):
    """What a figure has in either form."""

    params: dict[str, Any] | None = Field(None, description="the generator's parameters")
    matrix: dict[str, Annotated[list[Any], Field(min_length=1)]] | None = Field(
        None, description="parameter → values: the figure is drawn for every combination of them"
    )
    caption: Prose = Field("", description="what stands under the figure; may hold $math$ and {{ ref(…) }}")
    alt: Prose = Field("", description="what the figure shows, for readers who cannot see it")
    layout: Layout = Field(Layout(), description="how its cells are arranged")
    chosen: Chosen | None = Field(None, description="of how many samples these were chosen, and by what")
    pending: Annotated[str, Field(max_length=300)] = Field(
        "", description="why it is not computed yet: builds leave it out unless --only names it"
    )


class FigureEntry(Drawn):
    """One item of `figures:`."""

    id: Id = Field(description="unique in the report: small letters, digits, . - _")
    generator: str = Field(description="which generator draws it")


class SectionFile(Drawn):
    """A section's front matter: one figure in short form, or a list of them, or none."""

    title: Text = Field(description="the section's title")
    part: Line = Field("", description="the letter of its part, one of report.yaml's parts")
    number: Annotated[str, Field(max_length=20)] = Field(
        "", description='shown before the title, in quotes: "A1.1"'
    )
    summary: Line = Field("", description="a sentence for the table of contents")
    generator: str | None = Field(None, description="which generator draws the section's one figure")
    figures: tuple[FigureEntry, ...] | None = Field(None, description="several figures, each with an id")


def _can_name_files(annotation: Any) -> bool:
    """Whether a value of this type may hold the name of a file; a long list of numbers may not."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is Annotated:
        return any(isinstance(each, InputFile) for each in arguments) or _can_name_files(arguments[0])
    if not arguments:
        return annotation not in (int, float, bool, str)
    return any(map(_can_name_files, arguments))


def input_files(
    value: Any, annotation: Any = None, metadata: Any = (), at: Loc = ()
) -> Iterator[tuple[Loc, str, InputFile]]:
    """Every file that parameters name: where in them, its path, and what it should be."""
    if isinstance(value, BaseModel):
        for name, info in type(value).model_fields.items():
            yield from input_files(getattr(value, name, None), info.annotation, info.metadata, (*at, name))
        return
    if typing.get_origin(annotation) is Annotated:
        annotation, *more = typing.get_args(annotation)
        yield from input_files(value, annotation, (*metadata, *more), at)
        return
    mark = next((item for item in metadata if isinstance(item, InputFile)), None)
    if isinstance(value, str):
        if mark:
            yield at, value, mark
        elif typing.get_origin(annotation) in (types.UnionType, typing.Union):
            options = typing.get_args(annotation)
            literals = [
                each
                for option in options
                if typing.get_origin(option) is Literal
                for each in typing.get_args(option)
            ]
            if value not in literals:
                for option in options:
                    if typing.get_origin(option) is Annotated:
                        yield from input_files(value, option, (), at)
        return
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        for option in typing.get_args(annotation):
            kind = typing.get_origin(option) or option
            if isinstance(kind, type) and isinstance(value, kind):
                yield from input_files(value, option, metadata, at)
                return
    arguments = typing.get_args(annotation)
    if len(arguments) == 1 and not _can_name_files(arguments[0]):
        return
    if isinstance(value, Mapping):
        inner = arguments[1] if len(arguments) == 2 else None
        for key, item in value.items():
            yield from input_files(item, inner, (), (*at, str(key)))
    elif isinstance(value, list | tuple | set | frozenset):
        fixed = isinstance(value, tuple) and arguments and arguments[-1] is not ...
        for index, item in enumerate(value):
            if isinstance(item, int | float):
                continue
            inner = arguments[index] if fixed and index < len(arguments) else next(iter(arguments), None)
            yield from input_files(item, inner, (), (*at, index))
