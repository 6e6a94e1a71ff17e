"""Train the embedded network; every checkpoint is a cell that goes on from the one before."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Context, InputFile, Json, Need, Output, Result, Stored
from noisebook.cells.outputs import arrays, number, picture, table

from ._net_sheet import captioned
from ._training import SAFETENSORS, repeat

if TYPE_CHECKING:
    from torch import Tensor

    from noisebook.models.captions import CaptionedPictures
    from noisebook.networks.text.training import Training

SECONDS_BETWEEN_STATES = 300
SECONDS_BETWEEN_SHEETS = 900
DRAFT_STEPS = 2
TESTED = {1: 512, 2: 48}
"""Pictures on which a checkpoint of each stage is tested."""
STATE, SHEET, LOG = "state.safetensors", "sheet.png", "losses.csv"
RESTART = "averaged"
"""What a cell that begins with averaged weights calls the cell that has them."""
REPLAY_TOLERANCE = 2e-3
"""Largest relative difference of a loss, for another processor's rounding; on the same one there is none."""
PROMPTS = [
    "an oil painting of a snowy mountain village",
    "a man wearing a hat",
    "a rocket ship",
    "a photo of a dog",
    "an oil painting of people around a campfire",
    "an oil painting of an old man",
    "a lithograph of waterfalls",
    "a lithograph of a skull",
    "a photo of the amalfi coast",
    "a photo of a man",
    "a pencil",
    "a castle",
    "a high quality photo",
    "a cat",
    "a guitar",
    "",
]


class Phase(contract.Params):
    """A stretch of training on the same pictures."""

    size: Literal[32, 64, 256] = Field(64, description="side of the pictures: 32 then 64; 256 for stage II")
    subjects: int = Field(
        150, ge=1, le=2000, description="how many names are trained on, the commonest first"
    )
    pictures: int = Field(ge=1, le=100_000_000, description="pictures seen in this phase")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="the optimizer's, after the first 200 steps")
    fall: float = Field(
        1.0, ge=0, le=1, description="what the learning rate falls to over the phase, a factor"
    )
    restart: bool = Field(
        False, description="begin with the averaged weights and a new optimizer: all that publishing keeps"
    )

    def recorded(self) -> dict[str, Json]:
        """What stands of it in a cell: a restart only where there is one."""
        return self.model_dump(exclude=set() if self.restart else {"restart"})


SHORT = {"phases": [{"size": 32, "pictures": 12_800}], "every": 6_400, "average": 0.95}
"""What a first run may be: it shows that all works, and draws blurs. The defaults take hours."""


class Params(contract.Params):
    """What is learnt, and how."""

    stage: Literal[1, 2] = Field(1, description="1 draws from text at 64 pixels, 2 enlarges to 256")
    phases: list[Phase] = Field(
        [
            Phase.model_validate({"size": 32, "pictures": 640_000}),
            Phase.model_validate({"pictures": 1_024_000}),
        ],
        min_length=1,
        examples=[SHORT["phases"]],
        description="one after another; a run is continued by adding one",
    )
    every: int = Field(
        128_000,
        ge=1,
        examples=[SHORT["every"]],
        description="pictures between checkpoints, counted in each phase",
    )
    library: Annotated[str, InputFile("file")] = Field(
        "models/library.zip", description="the pictures to train on, relative to the report's folder"
    )
    always: list[str] = Field(
        [
            "rocket",
            "pencil",
            "skull",
            "castle",
            "house",
            "cat",
            "tokyo tower",
            "mountain",
            "tulip",
            "hibiscus",
        ],
        description="names that are among the subjects, however many there are",
    )
    channels: list[Annotated[int, Field(ge=16, le=1024, multiple_of=16)]] = Field(
        [64, 128, 192, 192], min_length=2, max_length=5, description="channels of each level, finest first"
    )
    blocks: list[Annotated[int, Field(ge=1, le=8)]] = Field(
        [1, 1, 1, 1], description="residual blocks of each level, down and again up"
    )
    patch: int = Field(2, ge=1, le=8, description="side of the squares of pixels that are folded")
    reads: int = Field(1, ge=0, le=5, description="the first level with cross-attention to the text")
    looks: int = Field(2, ge=0, le=5, description="the first level with self-attention")
    batch: int = Field(64, ge=2, le=4096, description="pictures in a step")
    optimizer: Literal["adam", "muon"] = Field("adam", description="AdamW for all, or Muon inside")
    weight_decay: float = Field(0.01, ge=0, le=1, description="of matrices and kernels")
    drop: float = Field(0.1, ge=0, le=1, description="probability of dropping the caption")
    weighting: Literal["velocity", "truncated", "min-snr", "sigmoid"] = Field(
        "truncated", description="of noise levels, see noisebook/networks/text/training.py"
    )
    gamma: float = Field(5.0, gt=0, description="γ of the weighting")
    average: float = Field(
        0.9995, ge=0, lt=1, examples=[SHORT["average"]], description="decay of the weights' moving average"
    )
    prompts: list[Annotated[str, Field(max_length=300)]] = Field(
        PROMPTS, min_length=1, description="what the contact sheet of stage I shows"
    )
    guidance: float = Field(5.0, ge=0, le=50, description="γ of guidance, on the contact sheet")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        sizes = {1: {32, 64}, 2: {256}}[self.stage]
        if not {phase.size for phase in self.phases} <= sizes:
            raise ValueError(f"stage {self.stage} learns from pictures of {sorted(sizes)} pixels")
        if any(count % self.batch for count in [self.every, *(phase.pictures for phase in self.phases)]):
            raise ValueError(f"every and each phase's pictures must be whole batches of {self.batch}")
        if len(self.blocks) != len(self.channels):
            raise ValueError("as many blocks as channels: one for each level")
        return self

    def shape(self) -> dict[str, Json]:
        """What :func:`noisebook.networks.text.network.shape_of` reads."""
        names = {"channels", "blocks", "patch", "reads", "looks"}
        large = self.stage == 2
        return {
            **self.model_dump(include=names),
            "size": 256 if large else 64,
            "coarse": not large,
            "enlarges": large,
        }


def cells(params: Params) -> list[Cell]:
    """One cell for each checkpoint, named by the pictures seen."""
    shared = params.model_dump(
        include={"stage", "always", "batch", "optimizer", "weight_decay", "drop", "weighting"}
        | {"gamma", "average", "prompts", "guidance"}
    )
    result: list[Cell] = []
    begun = 0
    for place, phase in enumerate(params.phases):
        done = [each.recorded() for each in params.phases[:place]]
        for here in [*range(params.every, phase.pictures, params.every), phase.pictures]:
            # A phase whose learning rate stays may be made longer without touching what stands.
            now = {**phase.recorded(), "pictures": phase.pictures if phase.fall != 1 else here}
            anew = phase.restart and here == min(params.every, phase.pictures)
            result.append(
                Cell(
                    id=f"pictures={begun + here}",
                    label=f"{(begun + here) / 1000:g} thousand pictures",
                    alt=f"Pictures drawn by the network after it has seen {begun + here} pictures.",
                    params={**shared, "shape": params.shape(), "phases": [*done, now], "seen": begun + here},
                    inputs={"library": params.library},
                    needs={
                        RESTART if anew else "previous": Need(
                            "net_training", params.model_dump(), result[-1].id, local=not anew
                        )
                    }
                    if result
                    else {},
                    minutes=min(params.every, here) / {32: 8000, 64: 6000, 256: 1200}[phase.size],
                )
            )
        begun += phase.pictures
    return result


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """Train up to each cell's number of pictures; a state in the scratch folder is taken up."""
    for cell in sorted(cells, key=lambda cell: int(cell.params["seen"])):
        folder = context.scratch(cell)
        if cell.needs and not (folder / STATE).exists():
            contract.write_atomically(folder / STATE, _before(cell, context))
        yield cell, _train(cell, context, folder)


def _before(cell: Cell, context: Context) -> bytes:
    """The state in which a cell takes up the run. Raises MissingModel where nothing is left of it here."""
    import torch
    from safetensors.torch import load, save

    from noisebook.models.lock import MissingModel
    from noisebook.networks.text.network import current_names

    if RESTART not in cell.needs:
        return context.needed(cell, "previous").data("state")
    before = context.needed(cell, RESTART)
    try:
        weights = load(before.data("weights"))
    except KeyError as error:
        raise MissingModel(
            f"the run to go on from: {error.args[0]}; where its published file is, "
            "python -m tools.checkpoints restore FILE puts the weights back"
        ) from error
    recorded = before.arrays("loss")
    state = TrainingRun(cell, context).training.state()
    for name, value in current_names(weights).items():
        for part in ("weights", "average"):
            state[f"{part}/{name}"] = value.float()
    state |= {name: torch.from_numpy(recorded[name]).double() for name in ("loss", "bands")}
    state["seen"] = torch.tensor(sum(phase["pictures"] for phase in cell.params["phases"][:-1]))
    seconds = json.loads(before.data("training time"))["value"]
    state["seconds"] = torch.tensor(seconds, dtype=torch.float64)
    return save(state)


def _train(cell: Cell, context: Context, folder: Path) -> list[Output]:
    from safetensors.torch import load_file, save

    run = TrainingRun(cell, context)
    training = run.training
    if (folder / STATE).exists():
        training.restore(load_file(folder / STATE))
    goal = min(cell.params["seen"], DRAFT_STEPS * cell.params["batch"] if context.draft else 10**12)
    first, begun = training.seen, monotonic()
    written = drawn = begun
    while training.seen < goal:
        loss = run.step()
        now = monotonic()
        rate = (training.seen - first) / (now - begun)
        left = (goal - training.seen) / rate / 60
        context.progress(
            cell, training.seen, goal, f"loss {loss:.4f}, {rate:.0f} pictures/s, {left:.0f} min left"
        )
        if training.seen >= goal or now - written > SECONDS_BETWEEN_STATES:
            contract.write_atomically(folder / STATE, save(training.state()))
            contract.write_atomically(folder / LOG, _log(training))
            written = monotonic()
        if training.seen < goal and now - drawn > SECONDS_BETWEEN_SHEETS:
            contract.write_atomically(folder / SHEET, run.sheet().data)
            drawn = monotonic()
    return run.outputs((folder / STATE).read_bytes())


class TrainingRun:
    """A run, and the pictures that each of its phases trains on."""

    def __init__(self, cell: Cell, context: Context) -> None:
        from noisebook.networks.text.network import shape_of
        from noisebook.networks.text.training import Recipe, Training

        self.cell, self.context = cell, context
        self.params: dict[str, Any] = dict(cell.params)
        names = ("batch", "optimizer", "weight_decay", "drop", "weighting", "gamma", "average")
        recipe = Recipe(shape=shape_of(self.params["shape"]), **{name: self.params[name] for name in names})
        self.training: Training = Training(
            recipe, lambda *purpose: context.seed(cell, "net_training", *purpose)
        )

    def step(self) -> float:
        """One step of the phase that the run is in; returns its loss."""
        phase, share = self._phase(self.training.seen)
        rate = phase["learning_rate"] * (1 - (1 - phase["fall"]) * share)
        return self.training.train_step(*self._pictures(phase, unseen=False), rate)

    def sheet(self) -> Output:
        """What the averaged network draws now."""
        from ._net_sheet import ContactSheet

        phase, _ = self._phase(self.training.seen - 1)
        contact = ContactSheet(self.training.averaged(), phase["size"], self.cell, self.context)
        if self.params["stage"] == 1:
            return picture("picture", contact.from_text(self.params["prompts"]))
        seen, unseen = (self._pictures(phase, unseen=side)[0] for side in (False, True))
        return picture("picture", contact.enlarged(unseen if unseen.names else seen))

    def outputs(self, state: bytes) -> list[Output]:
        """Weights and state stay on this machine; :mod:`tools.checkpoints` publishes weights."""
        import numpy as np

        training, params = self.training, self.params
        phase, _ = self._phase(training.seen - 1)
        sources = {side: self._pictures(phase, unseen=side == "unseen") for side in ("seen", "unseen")}
        errors = {
            side: training.test(*each, TESTED[params["stage"]])
            for side, each in sources.items()
            if each[0].names  # a small library has no picture to spare
        }
        rows = [
            [f"{100 * k} to {100 * k + 99}", *(round(each[k], 5) for each in errors.values())]
            for k in range(len(errors["seen"]))
        ]
        # safetensors takes an array's bytes as they lie: channels last must not be saved as channels first.
        weights = {name: value.half().contiguous().numpy() for name, value in training.average.items()}
        about = {
            "shape": json.dumps(params["shape"]),
            "names": json.dumps(sources["seen"][0].names, ensure_ascii=False),
            "pictures": str(training.seen),
        }
        losses = {
            "loss": np.array(training.loss, np.float32),
            "bands": np.array(training.bands, np.float32).reshape(-1, len(rows) + 1),
            **{side: np.array(each, np.float32) for side, each in errors.items()},
        }
        computed = [[str(training.dtype).removeprefix("torch."), training.kernels]]
        return [
            self.sheet(),
            table("error of v by noise level", ["t", *errors], rows),
            number("error of v", float(np.mean(errors["seen"]))),
            arrays("loss", losses),
            number("training time", training.seconds, "s", measured=True),
            number("speed", training.seen / max(training.seconds, 1e-9), "pictures/s", measured=True),
            table("computed in", ["type", "kernels"], computed, measured=True),
            arrays("weights", weights, "local", about),
            Output("state", SAFETENSORS, state, keep="local"),
        ]

    def _phase(self, seen: int) -> tuple[dict[str, Any], float]:
        """The phase in which that many pictures have been seen, and the share of it that is over."""
        for phase in self.params["phases"]:
            if seen < phase["pictures"]:
                return phase, max(seen, 0) / phase["pictures"]
            seen -= phase["pictures"]
        return phase, 1.0

    def _pictures(self, phase: dict[str, Any], *, unseen: bool) -> tuple[CaptionedPictures, Tensor]:
        """Those of a phase, or those that are kept out of training, with what their captions say."""
        library = str(self.context.input(self.cell, "library"))
        return captioned(library, phase["size"], phase["subjects"], unseen, tuple(self.params["always"]))


def _log(training: Training) -> bytes:
    """The losses by noise level so far, for a look while the run is on."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["pictures", *(f"t {100 * k}-{100 * k + 99}" for k in range(10))])
    writer.writerows([int(seen), *(f"{loss:.5f}" for loss in losses)] for seen, *losses in training.bands)
    return text.getvalue().encode()


def replay(cell: Cell, old: Stored | Path, context: Context) -> dict[str, Json]:
    """Repeat the first steps of a recorded run, and the first after the checkpoint before, if it is here.

    Args:
        old: the finished cell, or the scratch folder of a run that was broken off.

    Raises:
        Disagreement: a loss differs by more than rounding.
    """
    from contextlib import suppress

    from safetensors.torch import load, load_file

    from noisebook.models.lock import MissingModel

    if isinstance(old, Path):
        recorded = load_file(old / STATE)["loss"].tolist()
    else:
        recorded = old.arrays("loss")["loss"].tolist()
    first = TrainingRun(cell, context)
    evidence: dict[str, Json] = {"first steps": repeat(first.step, 0, recorded, REPLAY_TOLERANCE)}
    if cell.needs:
        with suppress(KeyError, OSError, MissingModel):
            later = TrainingRun(cell, context)
            later.training.restore(load(_before(cell, context)))
            evidence["later steps"] = repeat(later.step, later.training.step, recorded, REPLAY_TOLERANCE)
    return evidence
