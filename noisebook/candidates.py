"""Many samples of one figure, to choose from openly.

They are drawn into a store of their own, ranked by a judge, and shown on a local page; a choice is written
into the section, and the thumbnails of all of them beside it as one sheet.
"""

from __future__ import annotations

import html
import importlib
import io
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from noisebook.building import Built, check_embeddings
from noisebook.cells.contract import Cell, Labelled
from noisebook.cells.folders import write_atomically
from noisebook.cells.media import published
from noisebook.cells.names import SHIPPED
from noisebook.cells.plan import Planned, work
from noisebook.cells.run import NeededCell, execute
from noisebook.cells.store import Store
from noisebook.models.lock import MissingModel
from noisebook.progress import watcher
from noisebook.project import Project
from noisebook.report.edit import written
from noisebook.report.model import BadInput, Figure, Position, Problem, Section
from noisebook.report.sections import read_section

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from noisebook.models.judges import Judge

SHEETS = "images/chosen"
"""The report's folder for sheets of samples."""
PART = 32
"""Samples that a figure is asked for at a time: fewer than it may have."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Samples 0, 1, … of a figure.

    Attributes:
        samples: the cells of each: one, or several for a figure with several pictures of a sample.
        scores: the judge's, of each sample's weakest reading; higher is better. Empty without a judge.
        judge: its name.
        unjudged: prompts of which it cannot say anything.
    """

    section: Section
    figure: Figure
    samples: Sequence[Sequence[Planned]]
    scores: Sequence[float] = ()
    judge: str = ""
    unjudged: Sequence[str] = ()

    def ranked(self) -> list[int]:
        """The samples, the best first; in order where there is no judge."""
        order = range(len(self.samples))
        return sorted(order, key=lambda k: -self.scores[k]) if self.scores else list(order)


def readings(cells: Sequence[Planned]) -> list[tuple[str, str, Image.Image]]:
    """The still pictures of a sample's finished cells that the page shows: label, prompt, pixels."""
    from PIL import Image

    found = []
    for planned in cells:
        cell, record = planned.cell, planned.store.get(planned.key)
        if record is None:
            raise KeyError(planned.key)
        prompt = cell.params.get("prompt")
        for each in cell.pictures or [Labelled("picture", cell.label, cell.alt, prompt or "")]:
            output = record.output(each.output)
            if output and output.mime == "image/png":
                data = published(planned.store.open(output), output.mime)
                pixels = Image.open(io.BytesIO(data)).convert("RGB")
                found.append((each.label, each.prompt, pixels))
    return found


def draw(book: Project, name: str, count: int) -> Candidates:
    """Draw the first ``count`` samples of the figure ``name``; what was drawn before is kept.

    Raises BadInput for a figure that has no samples, or a matrix, and Unfinished.
    """
    section, figure = book.figure(name)
    generator = book.registry.get(figure.generator)
    params = figure.params.model_dump(mode="json")
    if "samples" not in params:
        _refuse(figure, f"the generator {generator.name} has no samples to choose from")

    def cells(samples: Sequence[int]) -> list[Cell]:
        text = json.dumps(params | {"samples": list(samples)})
        return list(generator.cells(type(figure.params).model_validate_json(text)))

    if figure.matrix:
        hint = "give each of its figures an id of its own"
        _refuse(figure, f"{figure.id!r} is a matrix: one choice for all its figures would be none", hint)
    if not all("sample" in cell.params for cell in cells([0]) if cell.seed is not None):
        _refuse(figure, f"the generator {generator.name} does not say which pictures are of which sample")
    place = book.notes / "candidates"
    store = Store(place / "store", place / "store.json", place / "objects", pinned=book.pinned)
    planner = book.planner_for(store)
    some = [range(k, min(k + PART, count)) for k in range(0, count, PART)]
    parts = [(part, list(planner.plan(figure.id, generator, cells(part)))) for part in some]
    # What a figure shows beside its samples, such as a picture that is edited, is in each part.
    todo = work(list({each.key: each for _, part in parts for each in part}.values()))
    if todo.cells:
        check_embeddings(book, todo.cells)
        with watcher(len(todo.cells)) as watching:
            outcome = execute(todo, book.models, watching, errors=book.notes / "errors")
        Built(outcome).check()
    return Candidates(section, figure, [_of(planned, k) for part, planned in parts for k in part])


def _of(planned: Sequence[Planned], sample: int) -> list[Planned]:
    """A sample's own cells, and then those that all share, each once: a row of edits has its original for
    every sample, under one key."""
    shared = {each.key: each for each in planned if "sample" not in each.cell.params}
    return [each for each in planned if each.cell.params.get("sample") == sample] + list(shared.values())


def _refuse(figure: Figure, message: str, hint: str = "") -> NoReturn:
    raise BadInput([Problem(figure.position, message, hint)])


def rank(found: Candidates, judge: Judge) -> Candidates:
    """The samples with the judge's scores: each reading's against the other samples', the weakest counts."""
    import numpy as np
    import torch

    from noisebook.models.pictures import from_bytes

    seen = [readings(each) for each in found.samples]
    scores: list[Tensor] = []
    unjudged: list[str] = []
    for place, (_, prompt, _) in enumerate(seen[0]):
        if not prompt:
            continue
        pictures = np.stack([np.asarray(each[place][2]) for each in seen])
        score = judge.scores(torch.from_numpy(from_bytes(pictures)), prompt)
        if score is None:
            unjudged += [] if prompt in unjudged else [prompt]
        else:
            # In standard deviations: a prompt that the judge likes less is not each sample's weakest reading.
            scores.append((score - score.mean()) / score.std().clamp(min=1e-6))
    if not scores:
        return Candidates(found.section, found.figure, found.samples, unjudged=unjudged)
    weakest = torch.stack(scores).amin(0).tolist()
    return Candidates(found.section, found.figure, found.samples, weakest, judge.name, unjudged)


def judges(book: Project, clip_folder: Path | None = None) -> Judge | None:
    """CLIP where its weights are at hand, else the report's judge of subjects where that is; None if neither.

    Raises BadInput for a folder that holds no CLIP.
    """
    from noisebook.models.judges import clip

    try:
        return clip(clip_folder) or subject_judge(book)
    except (OSError, ValueError) as error:
        message = f"there is no CLIP in {clip_folder}: {str(error).splitlines()[0]}"
        raise BadInput([Problem(Position("command line"), message)]) from error


def subject_judge(book: Project) -> Judge | None:
    """The classifier that the report has trained, if its cell and the network under it are here."""
    from noisebook.cells.folders import find
    from noisebook.models.judges import SubjectJudge
    from noisebook.models.text import SHIPPED as VECTORS
    from noisebook.models.text import Text

    trained, scoring, named = (
        importlib.import_module(f"{SHIPPED}.{each}")
        for each in ("subject_judge", "subject_scores", "_subjects")
    )
    params = trained.Params()
    generator = book.registry.get("subject_judge")
    (planned,) = book.planner.plan("candidates", generator, trained.cells(params))
    record = planned.record
    if record is None:
        return None
    with suppress(MissingModel):
        network, library = (book.models[planned.models[role]] for role in ("features", "pictures"))
        stored = NeededCell(planned.store, record)

        def answers(pictures: Tensor) -> Tensor:
            found: Tensor = scoring.judged(network.features(pictures, params.side), stored)
            return found

        return SubjectJudge(named.subjects(library), answers, Text(find(book.root, VECTORS)))
    return None


def page(found: Candidates, place: Path) -> Path:
    """Write the page that shows them all, the best first, and its pictures; where it stands."""
    folder = place / found.figure.id
    rows = []
    for rank, k in enumerate(found.ranked(), 1):
        shown = ""
        for number, (label, _, picture) in enumerate(readings(found.samples[k])):
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            write_atomically(folder / f"{k}-{number}.png", buffer.getvalue())
            said = html.escape(label, quote=True)
            shown += f'<img src="{found.figure.id}/{k}-{number}.png" alt="{said}" title="{said}">'
        score = f", {found.scores[k]:+.2f}" if found.scores else ""
        rows.append(f"<li><p>{shown}</p><p><b>{k}</b>: rank {rank}{score}</p></li>")
    name = html.escape(found.figure.id)
    judged = (
        f"ranked by {found.judge}: standard deviations of the weakest reading" if found.scores else "unranked"
    )
    if found.unjudged:
        judged += "; it cannot judge " + ", ".join(found.unjudged)
    command = f"noisebook candidates {name} --count {len(found.samples)} --choose NUMBER"
    path = place / f"{found.figure.id}.html"
    write_atomically(
        path, PAGE.format(name=name, judged=html.escape(judged), command=command, rows="".join(rows)).encode()
    )
    return path


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Samples of {name}</title>
<style>
body {{ font: 15px sans-serif; margin: 2em }}
ol {{ list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 1em }}
img {{ width: 128px; image-rendering: pixelated; margin-right: 4px }}
p {{ margin: .2em 0 }}
</style>
<h1>Samples of {name}</h1>
<p>{judged}. To choose one: <code>{command}</code></p>
<ol>{rows}</ol>
"""


def choose(book: Project, found: Candidates, sample: int, by: str) -> list[Path]:
    """Write a choice into the section, and the sheet of all samples; the files that were written."""
    from noisebook.render.choices import Sheet

    thumbnails = [[picture for _, _, picture in readings(each)] for each in found.samples]
    keys = " ".join(each.key for each in found.samples[sample])
    sheet = book.root / SHEETS / f"{found.figure.id}.webp"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(sheet, Sheet(thumbnails, keys).encoded())
    path = book.root / found.section.path
    draft = read_section(book.root, found.section.path, {})
    value = f"{{of: {len(found.samples)}, by: {json.dumps(by)}, sheet: {SHEETS}/{found.figure.id}.webp}}"
    text = written(
        path.read_bytes().decode(),
        draft.ids[found.figure.id],
        {("params", "samples"): f"[{sample}]", ("chosen",): value},
    )
    write_atomically(path, text.encode())
    return [path, sheet]


def look(
    book: Project, name: str, count: int, clip_folder: Path | None, say: Callable[[str], Any]
) -> Candidates:
    """Draw, rank and show: the whole of ``noisebook candidates`` but the choice."""
    found = draw(book, name, count)
    if judge := judges(book, clip_folder):
        found = rank(found, judge)
    say(f"{count} samples of {name}: {page(found, book.notes / 'candidates')}")
    if found.scores:
        best = ", ".join(map(str, found.ranked()[:5]))
        say(f"{found.judge} puts first: {best}")
    return found
