"""Train the embedded network; every checkpoint is a cell that goes on from the one before."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from noisebook.cells import contract
from noisebook.cells.contract import Cell, Context, InputFile, Json, Need, Output, Result, Stored
from noisebook.cells.outputs import arrays, number, picture, table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from noisebook.models.lessons import Lessons
    from noisebook.networks.text.denoiser import NetDenoiser
    from noisebook.networks.text.training import Training

SECONDS_BETWEEN_STATES = 300
SECONDS_BETWEEN_SHEETS = 900
STEPS_REPLAYED = 20
DRAFT_STEPS = 2
JUDGED = {1: 512, 2: 48}
"""Pictures on which a checkpoint of each stage is judged."""
ENLARGED = 6
"""Pictures on a contact sheet of stage II."""
NOISE_LEVEL = 250
"""Timestep of the noise on the small picture, on such a sheet."""
STATE, SHEET, LOG = "state.safetensors", "sheet.png", "losses.csv"
RESTART = "averaged"
"""What a cell that begins with averaged weights calls the cell that has them."""
SAFETENSORS = "application/x-safetensors"
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
    """A stretch of training with the same lessons."""

    size: Literal[32, 64, 256] = Field(64, description="side of the pictures: 32 then 64; 256 for stage II")
    subjects: int = Field(150, ge=1, le=2000, description="how many names are taught, the commonest first")
    pictures: int = Field(ge=1, le=100_000_000, description="pictures seen in this phase")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="the optimizer's, after the first 200 steps")
    fall: float = Field(
        1.0, ge=0, le=1, description="what the learning rate falls to over the phase, a factor"
    )
    restart: bool = Field(
        False, description="begin with the averaged weights and a new optimizer: all that publishing keeps"
    )

    def told(self) -> dict[str, Json]:
        """What a cell is told of it: a restart only where there is one."""
        return self.model_dump(exclude=set() if self.restart else {"restart"})


class Params(contract.Params):
    """What is learnt, and how."""

    stage: Literal[1, 2] = Field(1, description="1 draws from text at 64 pixels, 2 enlarges to 256")
    phases: list[Phase] = Field(
        [
            Phase.model_validate({"size": 32, "pictures": 640_000}),
            Phase.model_validate({"pictures": 1_024_000}),
        ],
        min_length=1,
        description="one after another; a run is continued by adding one",
    )
    every: int = Field(128_000, ge=1, description="pictures between checkpoints, counted in each phase")
    library: Annotated[str, InputFile("file")] = Field(
        "models/library.zip", description="the pictures that are taught, relative to the report's folder"
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
    reads: int = Field(1, ge=0, le=5, description="the first level that reads the words of the text")
    looks: int = Field(2, ge=0, le=5, description="the first level whose places look at each other")
    batch: int = Field(64, ge=2, le=4096, description="pictures in a step")
    optimizer: Literal["adam", "muon"] = Field("adam", description="AdamW for all, or Muon inside")
    weight_decay: float = Field(0.01, ge=0, le=1, description="of matrices and kernels")
    drop: float = Field(0.1, ge=0, le=1, description="probability of withholding the caption")
    weighting: Literal["velocity", "truncated", "min-snr", "sigmoid"] = Field(
        "truncated", description="of noise levels, see noisebook/networks/text/training.py"
    )
    gamma: float = Field(5.0, gt=0, description="γ of the weighting")
    average: float = Field(0.9995, ge=0, lt=1, description="decay of the weights' moving average")
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
        done = [each.told() for each in params.phases[:place]]
        for here in [*range(params.every, phase.pictures, params.every), phase.pictures]:
            # A phase whose learning rate stays may be made longer without touching what stands.
            now = {**phase.told(), "pictures": phase.pictures if phase.fall != 1 else here}
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
    state = School(cell, context).training.state()
    for name, value in weights.items():
        for part in ("weights", "average"):
            state[f"{part}/{name}"] = value.float()
    state |= {name: torch.from_numpy(recorded[name]).double() for name in ("loss", "bands")}
    state["seen"] = torch.tensor(sum(phase["pictures"] for phase in cell.params["phases"][:-1]))
    seconds = json.loads(before.data("training time"))["value"]
    state["seconds"] = torch.tensor(seconds, dtype=torch.float64)
    return save(state)


def _train(cell: Cell, context: Context, folder: Path) -> list[Output]:
    from safetensors.torch import load_file, save

    school = School(cell, context)
    training = school.training
    if (folder / STATE).exists():
        training.restore(load_file(folder / STATE))
    goal = min(cell.params["seen"], DRAFT_STEPS * cell.params["batch"] if context.draft else 10**12)
    first, begun = training.seen, monotonic()
    written = drawn = begun
    while training.seen < goal:
        loss = school.step()
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
            contract.write_atomically(folder / SHEET, picture("picture", school.sheet()).data)
            drawn = monotonic()
    return school.outputs((folder / STATE).read_bytes())


class School:
    """A run and its lessons."""

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
        return self.training.learn(*self._lessons(phase["size"], phase["subjects"], False), rate)

    def sheet(self) -> NDArray[np.uint8]:
        """What the averaged network draws now, (H, W, 3)."""
        phase, _ = self._phase(self.training.seen - 1)
        if self.params["stage"] == 1:
            return self._from_text(phase["size"])
        unseen = self._lessons(phase["size"], phase["subjects"], True)
        taught = self._lessons(phase["size"], phase["subjects"], False)
        return self._enlarged(unseen[0] if unseen[0].names else taught[0])

    def outputs(self, state: bytes) -> list[Output]:
        """Weights and state stay on this machine; :mod:`tools.checkpoints` publishes weights."""
        import numpy as np

        training, params = self.training, self.params
        phase, _ = self._phase(training.seen - 1)
        taught = {
            side: self._lessons(phase["size"], phase["subjects"], side == "unseen")
            for side in ("seen", "unseen")
        }
        judged = {
            side: training.judge(*each, JUDGED[params["stage"]])
            for side, each in taught.items()
            if each[0].names  # a small library has no picture to spare
        }
        rows = [
            [f"{100 * k} to {100 * k + 99}", *(round(each[k], 5) for each in judged.values())]
            for k in range(len(judged["seen"]))
        ]
        # safetensors takes an array's bytes as they lie: channels last must not be saved as channels first.
        weights = {name: value.half().contiguous().numpy() for name, value in training.average.items()}
        about = {
            "shape": json.dumps(params["shape"]),
            "names": json.dumps(taught["seen"][0].names, ensure_ascii=False),
            "pictures": str(training.seen),
        }
        speed = training.seen / max(training.seconds, 1e-9)
        return [
            picture("picture", self.sheet()),
            table("error of v by noise level", ["t", *judged], rows),
            number("error of v", float(np.mean(judged["seen"]))),
            arrays(
                "loss",
                {
                    "loss": np.array(training.loss, np.float32),
                    "bands": np.array(training.bands, np.float32).reshape(-1, len(rows) + 1),
                    **{side: np.array(each, np.float32) for side, each in judged.items()},
                },
            ),
            number("training time", training.seconds, "s", measured=True),
            number("speed", speed, "pictures/s", measured=True),
            table("computed in", ["type", "kernels"], [[training.fast, training.kernels]], measured=True),
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

    def _lessons(self, size: int, subjects: int, unseen: bool) -> tuple[Lessons, Tensor]:
        return _lessons(
            str(self.context.input(self.cell, "library")),
            size,
            subjects,
            unseen,
            tuple(self.params["always"]),
        )

    def _denoiser(self, size: int) -> NetDenoiser:
        from noisebook.networks.text.denoiser import NetDenoiser

        denoiser = NetDenoiser(self.training.averaged(), _read)
        denoiser.image_size = size
        return denoiser

    def _from_text(self, size: int) -> NDArray[np.uint8]:
        prompts = self.params["prompts"]
        pictures = self._drawn(self._denoiser(size), prompts, dynamic=True)
        columns = next(n for n in range(min(8, len(prompts)), 0, -1) if len(prompts) % n == 0)
        return _tiled(pictures, columns, 64 // size)

    def _enlarged(self, lessons: Lessons) -> NDArray[np.uint8]:
        """Small pictures; what the network makes of them; what they were."""
        import torch
        from torch.nn import functional

        from noisebook.diffusion.denoiser import Enlarge
        from noisebook.diffusion.sampling import draw_noise

        originals, captions = lessons.draw(ENLARGED, self._generator("lessons"))
        small = functional.avg_pool2d(originals, 4)
        noise = draw_noise(self._generators("augmentation", ENLARGED), originals.shape[1:])
        prompts = [
            Enlarge(lessons.captions[caption], picture, each, NOISE_LEVEL)
            for caption, picture, each in zip(captions.tolist(), small, noise, strict=True)
        ]
        drawn = self._drawn(self._denoiser(lessons.size), prompts, dynamic=False)
        shown = functional.interpolate(small, scale_factor=4.0)
        return _tiled(torch.cat([shown, drawn, originals]), ENLARGED, 1)

    def _drawn(self, denoiser: NetDenoiser, prompts: Sequence[Any], dynamic: bool) -> Tensor:
        from noisebook.diffusion.estimates import guided
        from noisebook.diffusion.sampling import draw_noise, finish, reverse
        from noisebook.diffusion.schedules import strided
        from noisebook.diffusion.thresholding import thresholding

        each = self._generators("sheet", len(prompts))
        x = draw_noise(each, (3, denoiser.image_size, denoiser.image_size))
        timesteps = strided(990, 330 if self.context.draft else 30)
        estimate = guided(denoiser, prompts, self.params["guidance"])
        threshold = thresholding("dynamic" if dynamic else "static")
        return finish(reverse(x, timesteps, denoiser.alphas_cumprod, estimate, each, threshold=threshold))

    def _generators(self, purpose: str, count: int) -> list[Any]:
        return [self._generator(purpose, k) for k in range(count)]

    def _generator(self, *purpose: Json) -> Any:
        import torch

        return torch.Generator().manual_seed(self.context.seed(self.cell, *purpose))


@lru_cache(maxsize=4)
def _lessons(
    library: str, size: int, subjects: int, unseen: bool, always: tuple[str, ...]
) -> tuple[Lessons, Tensor]:
    """Lessons, and the tokens of their captions in half precision."""
    import torch

    from noisebook.models import lessons
    from noisebook.models.library import shipped
    from noisebook.models.tokens import commonness

    pictures = shipped(Path(library))
    names = lessons.subjects(pictures, subjects, always, commonness)
    made = lessons.Lessons(pictures, names, size, unseen=unseen)
    return made, torch.from_numpy(_tokens().states(made.captions))


@lru_cache(maxsize=1)
def _tokens() -> Any:
    from noisebook.models.tokens import Tokens

    return Tokens()


def _read(texts: Sequence[str]) -> Tensor:
    import torch

    return torch.from_numpy(_tokens().states(texts)).float()


def _tiled(pictures: Tensor, columns: int, scale: int) -> NDArray[np.uint8]:
    """(N, 3, S, S) in [-1, 1] as one picture, row by row."""
    from noisebook.models.pictures import to_bytes

    pixels = to_bytes(pictures).repeat(scale, 1).repeat(scale, 2)
    side = pixels.shape[1]
    rows = pixels.reshape(-1, columns, side, side, 3).swapaxes(1, 2)
    return rows.reshape(-1, columns * side, 3)


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
    evidence: dict[str, Json] = {"first steps": _repeat(School(cell, context), recorded)}
    if cell.needs:
        with suppress(KeyError, OSError, MissingModel):
            school = School(cell, context)
            school.training.restore(load(_before(cell, context)))
            evidence["later steps"] = _repeat(school, recorded)
    return evidence


def _repeat(school: School, recorded: list[float]) -> str:
    """Take the next steps and hold their losses against the recorded ones."""
    worst, step = 0.0, school.training.step
    expected = recorded[step:][:STEPS_REPLAYED]
    for k, loss in enumerate(expected, step + 1):
        now = school.step()
        worst = max(worst, abs(now - loss) / max(abs(loss), 1e-12))
        if not worst <= REPLAY_TOLERANCE:
            raise contract.Disagreement(f"the loss of step {k} was {loss:.6g} and is now {now:.6g}")
    return f"{len(expected)}, largest relative difference of a loss {worst:.1g}"
