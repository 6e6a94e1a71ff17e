"""What the generators of Part A share: parameters of the reverse process, and cells drawn in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from noisebook.cells.contract import Cell, Complaint, Context, Json, Output, Params
from noisebook.cells.outputs import animation, arrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from noisebook.diffusion.denoiser import Denoiser
    from noisebook.diffusion.estimates import Estimate

NEUTRAL = "a high quality photo"
BATCH = 8
"""Cells drawn together: few enough that a kill loses little, enough to keep two cores busy."""
ONLY_SHOWN = ("show", "kernel", "sigma")
"""Parameters that choose what a cell shows of its process, and do not change the process."""

Prompt = Annotated[
    str, Field(max_length=300, description="what the picture should show; empty is unconditional")
]
Timestep = Annotated[int, Field(ge=0, le=999, description="noise level: 0 is clean, 999 nearly pure noise")]
Guidance = Annotated[
    float, Field(ge=0, le=50, description="γ in ε_u + γ(ε_c - ε_u); 0 unconditional, 1 no guidance")
]
Samples = Annotated[
    list[Annotated[int, Field(ge=0, le=9999)]],
    Field(min_length=1, max_length=64, description="which samples of the seed to draw, by number"),
]
Start = Annotated[
    int,
    Field(
        ge=0, le=999, description="index of the timestep at which the process starts: bigger is less noise"
    ),
]


class Modelled(Params):
    """Parameters of a figure that a model draws."""

    model: str = Field(default="", description="a model family in the lock file; empty is the report's own")


class Process(Modelled):
    """Parameters of a strided reverse process."""

    first_timestep: int = Field(default=990, ge=0, le=999, description="the noisiest timestep")
    stride: int = Field(default=30, ge=1, le=999, description="difference between one timestep and the next")
    thresholding: Literal["none", "static", "dynamic"] = Field(
        default="dynamic", description="what to do with estimates of the clean picture that leave [-1, 1]"
    )
    variance: Literal["learned", "small", "large"] = Field(
        default="learned",
        description="of each step's noise: the model's own (small where it has none), β̃ or β",
    )

    def process(self) -> dict[str, Json]:
        """The part of a cell's parameters that :func:`drawn` reads."""
        return self.model_dump(include={"first_timestep", "stride", "thresholding", "variance"})

    def count(self) -> int:
        """How many timesteps there are."""
        return self.first_timestep // self.stride + 1


def even_kernel(kernel: int) -> Iterator[Complaint]:
    """A complaint if the parameter ``kernel`` is even."""
    if kernel % 2 == 0:
        yield Complaint(
            ("kernel",), f"a kernel needs a middle: {kernel} is even; try {kernel - 1} or {kernel + 1}"
        )


def start_complaints(params: Process, starts: Sequence[int]) -> Iterator[Complaint]:
    """A complaint for each ``i_start`` beyond the timesteps."""
    last = params.count() - 1
    for start in starts:
        if start > last:
            yield Complaint(
                ("i_start",),
                f"{start} is beyond the {last + 1} timesteps {params.first_timestep}, "
                f"{params.first_timestep - params.stride}, …: i_start can be 0 to {last}",
            )


@dataclass(frozen=True)
class Task:
    """One sample to draw.

    Attributes:
        seed: of its noise.
        prompts: one, or one per view or frequency band.
        scale: γ.
        picture: (3, H, W) in [-1, 1] to start from; None for pure noise.
        start: index of the first timestep.
        hole: (1, H, W), 1 where the picture may change; None for everywhere.
    """

    seed: int
    prompts: tuple[Any, ...]
    scale: float = 1.0
    picture: NDArray[np.float32] | None = None
    start: int = 0
    hole: NDArray[np.float32] | None = None


@dataclass
class Drawn:
    """A sample on its way, from its start to its end.

    Attributes:
        timesteps: of each state; -1 is clean.
        states: (N, 3, H, W) float32, the noisy pictures.
        estimates: (N - 1, 3, H, W) float32: x̂_0 from each state but the last.
        seconds: of the whole batch, divided by its size.
    """

    timesteps: list[int] = field(default_factory=list)
    states: list[NDArray[np.float32]] = field(default_factory=list)
    estimates: list[NDArray[np.float32]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def end(self) -> NDArray[np.float32]:
        """(3, H, W): the finished picture."""
        return self.states[-1]

    def film(self, name: str = "process") -> Output:
        """The noisy pictures one after another, as an animation."""
        import numpy as np

        from noisebook.models.pictures import to_bytes

        stride = -(-len(self.states) // 22)
        frames = [*self.states[:-1:stride], self.end]
        return animation(name, to_bytes(np.stack(frames + [self.end] * 2)), fps=8)

    def outputs(self) -> list[Output]:
        """The film of the process, and its states for this machine alone."""
        import numpy as np

        states = {"timesteps": np.array(self.timesteps), "x": np.stack(self.states)}
        return [self.film(), arrays("states", states, keep="local")]


Describe = Callable[[Cell, "Denoiser"], Task]
Combine = Callable[["Denoiser", list[Task]], "Estimate"]


def single(denoiser: Denoiser, tasks: list[Task]) -> Estimate:
    """Each sample has one prompt."""
    from noisebook.diffusion.estimates import guided

    return guided(denoiser, [task.prompts[0] for task in tasks], [task.scale for task in tasks])


def branches(denoiser: Denoiser, tasks: list[Task]) -> list[Estimate]:
    """One guided estimate for each of the prompts that every sample has."""
    from noisebook.diffusion.estimates import guided

    scales = [task.scale for task in tasks]
    return [
        guided(denoiser, prompts, scales) for prompts in zip(*(task.prompts for task in tasks), strict=True)
    ]


def timesteps_of(params: dict[str, Json], draft: bool) -> tuple[list[int], int]:
    """A cell's timesteps, and how many times fewer they are than asked for: a draft takes every fourth."""
    from noisebook.diffusion.schedules import leading, strided

    if "num_inference_steps" in params:
        timesteps = leading(params["num_inference_steps"])
    else:
        timesteps = strided(params["first_timestep"], params["stride"])
    fewer = 4 if draft and len(timesteps) > 8 else 1
    return timesteps[::fewer], fewer


def drawn(
    cells: Sequence[Cell],
    context: Context,
    describe: Describe,
    combine: Combine = single,
    role: str = "stage1",
    size: int = BATCH,
) -> Iterator[tuple[list[Cell], Drawn]]:
    """Run the reverse process of every cell, several at once, and give each as it ends.

    Cells that differ only in what they show of one process come together.
    """
    from noisebook.diffusion.sampling import reverse

    work = []
    for batch in batches(cells, size):
        denoiser = context.model(batch[0][0], role)
        tasks = [describe(same[0], denoiser) for same in batch]
        # Every prompt is read before the first step: one that is too long costs no time, and a large text
        # encoder comes and goes once.
        denoiser.embed([prompt for task in tasks for prompt in task.prompts])
        work.append((batch, denoiser, tasks))
    for batch, denoiser, tasks in work:
        first = batch[0][0]
        timesteps, fewer = timesteps_of(dict(first.params), context.draft)
        starts = [task.start // fewer for task in tasks]
        results = [Drawn() for _ in tasks]
        options, x, each = prepare(tasks, starts, timesteps, denoiser, dict(first.params))
        for result, start, state in zip(results, starts, x, strict=True):
            result.timesteps, result.states = [timesteps[start]], [state.numpy()]
        began = time.perf_counter()
        process = reverse(
            x, timesteps, denoiser.alphas_cumprod, combine(denoiser, tasks), each, starts=starts, **options
        )
        for state in process:
            for place, row in enumerate(state.rows):
                results[row].timesteps.append(state.t)
                results[row].states.append(state.x[row].numpy())
                results[row].estimates.append(state.clean[place].numpy())
            for same in batch:
                context.progress(same[0], state.index, len(timesteps))
        seconds = (time.perf_counter() - began) / len(tasks)
        for same, result in zip(batch, results, strict=True):
            result.seconds = seconds
            yield same, result


def prepare(
    tasks: Sequence[Task],
    starts: Sequence[int],
    timesteps: Sequence[int],
    denoiser: Denoiser,
    params: dict[str, Json],
) -> tuple[dict[str, Any], Tensor, list[Any]]:
    """What the loop is given: its options, where the samples start, and their generators."""
    import numpy as np
    import torch

    from noisebook.diffusion.posterior import ancestral
    from noisebook.diffusion.sampling import draw_noise, generators, noised, paste
    from noisebook.diffusion.thresholding import thresholding

    size = denoiser.image_size
    each = generators([task.seed for task in tasks])
    x = draw_noise(each, (3, size, size))
    pictures = [
        np.zeros((3, size, size), np.float32) if task.picture is None else task.picture for task in tasks
    ]
    originals = torch.from_numpy(np.stack(pictures))
    # Pure noise keeps its variance of 1 even where ᾱ of the first timestep is not quite 0.
    alphas = [
        0.0 if task.picture is None else float(denoiser.alphas_cumprod[timesteps[start]])
        for task, start in zip(tasks, starts, strict=True)
    ]
    options: dict[str, Any] = {
        "threshold": thresholding(params.get("thresholding", "dynamic")),
        "step": ancestral(params.get("variance", "learned")),
    }
    if any(task.hole is not None for task in tasks):
        holes = [np.ones((1, size, size), np.float32) if task.hole is None else task.hole for task in tasks]
        options["after"] = paste(originals, torch.from_numpy(np.stack(holes)))
    return options, noised(originals, alphas, x), each


def batches(cells: Sequence[Cell], size: int = BATCH) -> Iterator[list[list[Cell]]]:
    """Cells in batches that one loop can draw: one model, the same timesteps, at most ``size`` processes.

    Within a batch, cells that show the same process stand together.
    """
    from noisebook.cells.contract import canonical

    shared = ("first_timestep", "stride", "num_inference_steps", "thresholding", "variance", "noise_level")
    groups: dict[bytes, dict[bytes, list[Cell]]] = {}
    for cell in cells:
        process = {name: value for name, value in cell.params.items() if name not in ONLY_SHOWN}
        loop = {name: value for name, value in process.items() if name in shared}
        group = groups.setdefault(canonical([dict(cell.models), loop]), {})
        group.setdefault(canonical([process, dict(cell.inputs), cell.seed]), []).append(cell)
    for group in groups.values():
        processes = list(group.values())
        for k in range(0, len(processes), size):
            yield processes[k : k + size]


def source(cell: Cell, context: Context, size: int, name: str = "picture") -> NDArray[np.float32]:
    """The input picture of a cell, (3, size, size) in [-1, 1]."""
    from noisebook.models.pictures import read_picture

    return read_picture(context.input(cell, name), size)


def stem(path: str) -> str:
    """The name of a picture file, for ids and labels: ``images/tower.jpg`` is ``tower``."""
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name) or "picture"
