"""One figure in one file, for somebody who wants to see how it was made and to make it again.

The archive is a report of that figure alone: it builds, and ``verify`` repeats it. The code that its cells
reach and its pictures lie beside it, to be read without Noisebook. Its bytes depend on its content alone.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any

import yaml

from noisebook.building import Unfinished
from noisebook.cells import checks
from noisebook.cells.media import published
from noisebook.cells.plan import Planned, everything
from noisebook.cells.planner import module_file
from noisebook.models.lock import LOCK_NAME
from noisebook.project import Project
from noisebook.render.formats import SUFFIXES, duration
from noisebook.report.model import Figure
from noisebook.report.scaffold import NEW
from noisebook.report.starter import requirement

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive."""
README = (NEW / "export" / "README.md").read_text("utf-8")


def export(book: Project, name: str) -> bytes:
    """The archive of the figure ``name``. Raises BadInput; Unfinished where a cell is missing."""
    _, figure = book.figure(name)
    cells = book.planned[figure.id]
    if missing := [cell.cell.id for cell in cells if not cell.cached]:
        raise Unfinished(f"{len(missing)} cells are missing ({', '.join(missing[:5])}): noisebook build")
    files = dict(_files(book, figure, cells))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path in sorted(files):
            archive.writestr(zipfile.ZipInfo(path, EPOCH), files[path])
    return data.getvalue()


def _files(book: Project, figure: Figure, cells: Sequence[Planned]) -> Iterator[tuple[str, bytes]]:
    """Names and contents."""
    every = everything(cells)
    yield "report.yaml", _yaml(_report(book))
    yield "sections/figure.md", _section(figure)
    inputs = sorted({(path.relative_to(book.root).as_posix(), path) for each in every.values()
                     for path in each.inputs.values() if path.is_relative_to(book.root)})  # fmt: skip
    if book.report.library:
        folder = book.root / book.report.library
        inputs += [(p.relative_to(book.root).as_posix(), p) for p in sorted(folder.rglob("*")) if p.is_file()]
    for name, path in inputs:
        yield name, path.read_bytes()
    if (lock := book.root / LOCK_NAME).is_file():
        yield LOCK_NAME, lock.read_bytes()
    yield from _code(book, every.values())
    known = checks.read(book.store.place)
    yield from _records(every.values(), known)
    yield from _pictures(cells)
    yield "README.md", _readme(book, figure, len(cells), list(every.values()), [n for n, _ in inputs], known)


def _report(book: Project) -> dict[str, Any]:
    report = book.report
    known = {"title": report.title, "seed": report.seed, "model": report.model, "store": "cache"}
    more = {"library": report.library, "key_policy": list(report.key_policy), "macros": dict(report.macros)}
    return known | {name: value for name, value in more.items() if value}


def _section(figure: Figure) -> bytes:
    """Without its caption, which may name what is not here."""
    params = figure.params.model_dump(mode="json", exclude_unset=True)
    entry = {
        "id": figure.id,
        "generator": figure.generator,
        "params": {name: value for name, value in params.items() if name not in figure.matrix},
        "matrix": dict(figure.matrix),
        "alt": figure.alt,
        "layout": dict(figure.layout),
    }
    front = {"title": figure.id, "figures": [{name: each for name, each in entry.items() if each}]}
    return b"---\n" + _yaml(front) + b"---\n"


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode()


def _code(book: Project, cells: Iterable[Planned]) -> Iterator[tuple[str, bytes]]:
    """The modules that the cells' code and that of their models reach."""
    planner, names = book.planner, set[str]()
    for cell in cells:
        names |= set(cell.reached)
        for model in cell.models.values():
            if (entry := book.lock[model])["kind"] == "model":
                names |= set(planner.code.reach(entry["loader"], "load").statements)
    for module in sorted({".".join(name.split(".")[:end]) for name in names for end in range(2, 6)}):
        package, _, rest = module.partition(".")
        own = package == "generators"
        path = module_file(book.root / "generators", rest) if own else planner.find(module)
        if path and path.stat().st_size:
            yield (
                f"{'generators' if own else 'code/noisebook'}/{rest.replace('.', '/')}.py",
                path.read_bytes(),
            )


def _records(cells: Iterable[Planned], known: Mapping[str, checks.Check]) -> Iterator[tuple[str, bytes]]:
    """The cells as the store has them, and the verdicts on them."""
    found: dict[str, checks.Check] = {}
    for cell in cells:
        record, store = cell.record, cell.store
        if record is None:  # a need that is not at hand, and not needed to show the figure
            continue
        yield f"cache/cells/{cell.key}.json", (store.place / "cells" / f"{cell.key}.json").read_bytes()
        for output in record.outputs:
            if output.keep == "published" and output.data is None:
                yield f"cache/objects/{output.sha256}", store.open(output)
        if record.reached and (path := store.place / "objects" / record.reached).is_file():
            yield f"cache/objects/{record.reached}", path.read_bytes()
        if check := known.get(cell.key):
            found[cell.key] = check
    if found:
        value = {"format": checks.FORMAT, "cells": {key: asdict(check) for key, check in found.items()}}
        yield f"cache/{checks.NAME}", json.dumps(value, indent=1, sort_keys=True).encode()


def _pictures(cells: Sequence[Planned]) -> Iterator[tuple[str, bytes]]:
    for cell in cells:
        for output in cell.record.outputs if cell.record else ():
            if output.keep != "published" or not output.mime.startswith(("image/", "video/")):
                continue
            try:  # as a site has it: who opens a drawing from an archive runs what it holds
                data = published(cell.store.open(output), output.mime)
            except ValueError as error:
                warnings.warn(
                    f"{cell.cell.id}: the output {output.name!r} is left out: {error}", stacklevel=2
                )
                continue
            yield f"pictures/{cell.cell.id}-{output.name}{SUFFIXES[output.mime]}", data


def _readme(
    book: Project,
    figure: Figure,
    shown: int,
    every: Sequence[Planned],
    inputs: Sequence[str],
    known: Mapping[str, checks.Check],
) -> bytes:
    models = sorted({name for cell in every for name in cell.models.values()})
    pinned = [
        f"- `{name}`, revision {book.lock[name].get('revision', '–')}: "
        + ", ".join(f"{file} {sha[:12]}" for file, sha in sorted(book.lock[name]["files"].items()))
        for name in models
    ]
    text = README.format(
        title=figure.id,
        figure=figure.id,
        report=book.report.title,
        cells=shown,
        generator=figure.generator,
        version=metadata.version("noisebook"),
        install=requirement("[compute]", "pip install '{}'"),
        inputs="".join(f"| `{name}` | an input |\n" for name in inputs),
        models="\n".join(pinned) or "None.",
        table="\n".join(_row(cell, known) for cell in every),
    )
    return text.encode()


def _row(cell: Planned, known: Mapping[str, checks.Check]) -> str:
    made: Mapping[str, Any] = cell.record.provenance if cell.record else {}
    check = known.get(cell.key)
    verdict = f"{'agrees' if check.agrees else 'DIFFERS'}: {check.how} ({check.date})" if check else "not yet"
    where = ", ".join(filter(None, [str(made.get("device", "")), str(made.get("processor", ""))]))
    name = f"{cell.generator.name}/{cell.cell.id}"
    took = duration(float(made.get("seconds", 0)))
    return f"| {name} | `{cell.key[:16]}` | {took} | {where} | {verdict} |"
