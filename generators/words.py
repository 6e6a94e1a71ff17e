"""Pictures from words that the reader's own machine draws: what it needs, and some to compare with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from noisebook.cells import contract
from noisebook.cells.contract import (
    Cell,
    Complaint,
    Context,
    Files,
    Json,
    Labelled,
    Output,
    Result,
    canonical,
)
from noisebook.cells.outputs import picture

if TYPE_CHECKING:
    from . import _words

ONNX = "application/onnx"
Mode = Literal["picture", "anagram", "hybrid"]
Style = Literal[
    "plain", "oil", "photo", "lithograph", "pencil", "render", "flat", "cartoon", "icon", "drawing"
]
View = Literal["flip", "half turn", "quarter turn"]


class Asked(contract.Params):
    """One subject and how it is drawn."""

    name: str = Field(max_length=80, description="a name in the library")
    style: Style = Field(default="plain", description="the word for its style")


class Example(contract.Params):
    """Settings of the page, whose picture torch draws as well."""

    mode: Mode = Field(
        default="picture", description="one reading, or two: as it stands and turned, or far and near"
    )
    subjects: list[Asked] = Field(min_length=1, max_length=2, description="one for a picture, else two")
    view: View = Field(default="flip", description="how an anagram is seen the second time")
    seed: int = Field(default=0, ge=0, lt=2**32, description="of the noise")


class Params(contract.Params):
    """What is offered."""

    variants: int = Field(
        default=240, ge=24, le=720, multiple_of=24, description="pictures in a subject's bank"
    )
    subjects: list[str] = Field(
        default=[], description="names in the library; empty is a few hundred: all that fit"
    )
    examples: Annotated[list[Example], Field(min_length=1, description="drawn here too, to compare with")] = (
        Field(default=[Example(subjects=[Asked(name="castle", style="oil")])])
    )


def check(params: Params, files: Files) -> Iterator[Complaint]:
    """As many subjects as the mode has readings."""
    for number, example in enumerate(params.examples):
        count = 1 if example.mode == "picture" else 2
        if len(example.subjects) != count:
            yield Complaint(("examples", number, "subjects"), f"{example.mode} has {count}")


def cells(params: Params) -> list[Cell]:
    """What a page needs, and each example."""
    models = {"stage1": "exact"}
    offered = {"variants": params.variants, "subjects": sorted(params.subjects)}
    found = [Cell("model", "", "", offered, models=models, seed=None, minutes=0.5)]
    for number, example in enumerate(params.examples):
        own = {"variants": params.variants, **example.model_dump(mode="json")}
        names = [f"{each.name} ({each.style})" for each in example.subjects]
        label = " / ".join(names)
        shown = [Labelled("picture", names[0] if example.mode == "anagram" else label, f"Drawn as {label}.")]
        if example.mode == "anagram":
            shown.append(Labelled("turned", names[1], f"The same picture through the view “{example.view}”."))
        found.append(Cell(f"{number}", label, "", own, models=models, seed=None, minutes=0.2, pictures=shown))
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """The data of the page, and the examples as the page draws them."""
    from noisebook.diffusion.views import VIEWS
    from noisebook.models.pictures import to_bytes

    from . import _words

    known: dict[int, _words.Asked] = {}
    for cell in cells:
        count = cell.params["variants"]
        if count not in known:
            known[count] = _words.Asked(_words.Words(context.model(cell, "stage1").library, count))
        model = known[count]
        if cell.id == "model":
            words = _words.Words(model.library, count, cell.params["subjects"])
            yield cell, packed(_words.Asked(words))
            continue
        prompts = [(each["name"], each["style"]) for each in cell.params["subjects"]]
        mode, view = cell.params["mode"], cell.params["view"]
        x = _words.draw(model, _words.Settings(mode, prompts, cell.params["seed"], view=view))
        outputs = [picture("picture", to_bytes(x))]
        if mode == "anagram":
            outputs.append(picture("turned", to_bytes(VIEWS[view].apply(x))))
        yield cell, outputs


BATCH = 24
"""Pictures that a treatment takes at once."""


def packed(model: _words.Asked) -> list[Output]:
    """All that templates/words-worker.js reads; files are named by the beginning of their sha256."""
    from noisebook.models.pictures import to_bytes

    from . import _treatments, _words

    offered, bundles = _words.offered(model.words)
    treatments, grounds = _words.used(offered)
    outputs = [
        Output(f"treatment {name}", ONNX, _treatments.treatment(name, BATCH, _words.SIZE))
        for name in treatments
    ]
    outputs += [picture(f"backdrop {kind}", to_bytes(_words.ground_sheet(kind) * 2 - 1)) for kind in grounds]
    places: dict[str, dict[str, Json]] = {"treatment": {}, "backdrop": {}}
    for output in outputs:
        what, _, name = output.name.partition(" ")
        places[what][name] = hashlib.sha256(output.data).hexdigest()[:16]
    data = {**offered, **_words.constants(model), "batch": BATCH, **places}
    library = model.library
    cut = {"files": [f"models/{path.name}" for path in (library.path, *library.more)], "bundles": bundles}
    return [
        *outputs,
        Output("words", "application/json", canonical(data)),
        Output("bundles", "application/json", canonical(cut)),
    ]
