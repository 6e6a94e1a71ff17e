"""Cells that are reverse processes: what each one is, and how they are drawn in batches.

Heavy: imported by ``run`` alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisebook.cells.contract import Cell, Context, Output
from noisebook.cells.outputs import animation, arrays
from noisebook.diffusion.denoiser import Denoiser as Denoiser
from noisebook.diffusion.denoiser import Prompt
from noisebook.diffusion.estimates import Estimate, guided
from noisebook.diffusion.guidance import ClassifierFreeGuidance, Guidance
from noisebook.diffusion.posterior import MULTISTEP, Sampler, Variance, step_rule
from noisebook.diffusion.sampling import draw_noise, generators, paste
from noisebook.diffusion.schedules import leading, strided, trailing
from noisebook.diffusion.thresholding import Kind, thresholding
from noisebook.models.latents import (
    Encoding,
    Resizable,
    decoded,
    encoded,
    picture_shape,
    pooled,
    shape_of,
)
from noisebook.models.pictures import read_picture, to_bytes

from ._joining import joining
from ._sampling import BATCH

Combine = Callable[[Sequence[Estimate]], Estimate]
"""From one guided estimate for each prompt to that of the process."""


def only(estimates: Sequence[Estimate]) -> Estimate:
    """The estimate of a process with one prompt."""
    (estimate,) = estimates
    return estimate


@dataclass(frozen=True)
class Loop:
    """How a process goes. Processes with equal loops can share a batch.

    Attributes:
        timesteps: falling.
        guidance: of each prompt's estimate.
        combine: the prompts' estimates, one function object for all that should share a batch.
        sampler, variance, threshold: names that :func:`step_rule` and :func:`thresholding` know.
    """

    timesteps: tuple[int, ...]
    guidance: Guidance
    combine: Combine = only
    sampler: Sampler = "ancestral"
    variance: Variance = "learned"
    threshold: Kind = "dynamic"

    @classmethod
    def of(cls, cell: Cell, context: Context, combine: Combine = only) -> Loop:
        """The loop that parameters of :class:`._sampling.Process`, or a number of inference steps, ask for.

        A draft takes every fourth timestep.
        """
        params = cell.params
        if "num_inference_steps" in params:
            spaced = trailing if params.get("spacing") == "trailing" else leading
            timesteps = spaced(params["num_inference_steps"])
        else:
            timesteps = strided(params["first_timestep"], params["stride"])
        return cls(
            tuple(timesteps[:: 4 if context.draft and len(timesteps) > 8 else 1]),
            ClassifierFreeGuidance(params["guidance"], params["negative_prompt"]),
            combine,
            params["sampler"],
            params.get("variance", "learned"),
            params["thresholding"],
        )

    def index(self, t: int) -> int:
        """The index of timestep ``t``, or of the last one above it in a draft."""
        return max(i for i, each in enumerate(self.timesteps) if each >= t)


@dataclass(frozen=True, eq=False)
class Task:
    """One process.

    Attributes:
        loop: how it goes.
        x: of the denoiser's shape: where it starts, with the noise of timestep ``loop.timesteps[start]``.
        generator: of the noise of its steps.
        prompts: one, or as many as ``loop.combine`` combines.
        start: index into the loop's timesteps. A bigger one is less noise.
        original: (3, H, W) in [-1, 1]: what is put back outside ``hole`` after every step.
        hole: (1, H, W), 1 where the process may draw; None for everywhere. Of pictures, as ``original``.
    """

    loop: Loop
    x: Tensor
    generator: torch.Generator
    prompts: tuple[Prompt, ...]
    start: int = 0
    original: Tensor | None = None
    hole: Tensor | None = None


def noise_of(seed: int, denoiser: Denoiser) -> tuple[Tensor, torch.Generator]:
    """A sample's first noise, of the denoiser's shape, and the generator of what follows."""
    (generator,) = generators([seed])
    return draw_noise([generator], shape_of(denoiser))[0], generator


def model_of(cell: Cell, context: Context, role: str = "stage1") -> Denoiser:
    """The model in a role of a cell, for pictures of the size that the cell asks for."""
    denoiser: Denoiser = context.model(cell, role)
    if not (size := cell.params.get("size")):
        return denoiser
    if not isinstance(denoiser, Resizable):
        raise ValueError(f"size: this model draws {denoiser.image_size}×{denoiser.image_size} pixels alone")
    return denoiser.resized(height=size[1], width=size[0])


def picture_of(cell: Cell, context: Context, shape: int | tuple[int, int], name: str = "picture") -> Tensor:
    """An input picture of a cell, (3, H, W) in [-1, 1]; ``shape`` is (H, W), or the side of a square."""
    return torch.from_numpy(read_picture(context.input(cell, name), shape))


def clean_of(cell: Cell, context: Context, denoiser: Denoiser) -> Tensor:
    """x_0 of a cell's input picture, of the denoiser's shape."""
    return encoded(denoiser, picture_of(cell, context, picture_shape(denoiser))[None])[0]


@dataclass
class Drawn:
    """A process, from its start to its end.

    Attributes:
        denoiser: whose process it is.
        timesteps: of each state; -1 is clean.
        states: N arrays float32 of the denoiser's shape, the noisy pictures or latents.
        estimates: N - 1 of them: x̂_0 from each state but the last.
        seconds: of the whole batch, divided by its size.
    """

    denoiser: Denoiser
    timesteps: list[int]
    states: list[NDArray[np.float32]]
    estimates: list[NDArray[np.float32]] = field(default_factory=list)
    seconds: float = 0.0

    def pictures(self, states: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Some states or estimates as pictures (N, 3, H, W)."""
        return np.asarray(decoded(self.denoiser, torch.from_numpy(np.stack(states))))

    @cached_property
    def end(self) -> NDArray[np.float32]:
        """(3, H, W): the finished picture."""
        end: NDArray[np.float32] = self.pictures(self.states[-1:])[0]
        return end

    def film(self, name: str = "process") -> Output:
        """The noisy pictures one after another, as an animation."""
        stride = -(-len(self.states) // 22)
        frames = [*self.pictures(self.states[:-1:stride]), *[self.end] * 3]
        return animation(name, to_bytes(np.stack(frames)), fps=8)

    def outputs(self) -> list[Output]:
        """The film of the process, and its states for this machine alone."""
        states = {"timesteps": np.array(self.timesteps), "x": np.stack(self.states)}
        return [self.film(), arrays("states", states, keep="local")]


def drawn(
    cells: Sequence[Cell],
    context: Context,
    task: Callable[[Cell, Denoiser], Task],
    role: str = "stage1",
    size: int = BATCH,
) -> Iterator[tuple[Cell, Drawn]]:
    """Run the process of every cell, up to ``size`` of them at once, and give each as it ends.

    ``task`` says what a cell's process is, given the model in the role ``role``.
    """
    groups: dict[Any, list[tuple[Cell, Task]]] = {}
    for cell in cells:
        each = task(cell, model_of(cell, context, role))
        start = each.start if each.loop.sampler in MULTISTEP else 0
        model = id(context.model(cell, role)), each.x.shape
        alike = (model, each.loop, len(each.prompts), each.hole is None, start)
        groups.setdefault(alike, []).append((cell, each))
    batches = [group[k : k + size] for group in groups.values() for k in range(0, len(group), size)]
    # Every prompt is read before the first step: one that is too long costs no time, and a large text encoder
    # comes and goes once.
    for batch in batches:
        model_of(batch[0][0], context, role).embed([prompt for _, each in batch for prompt in each.prompts])
    for batch in batches:
        yield from zip(
            [cell for cell, _ in batch],
            _run(batch, model_of(batch[0][0], context, role), context),
            strict=True,
        )


def _run(batch: Sequence[tuple[Cell, Task]], denoiser: Denoiser, context: Context) -> list[Drawn]:
    """One batch: processes whose loops are equal."""
    tasks = [task for _, task in batch]
    loop = tasks[0].loop
    drawn = [Drawn(denoiser, [loop.timesteps[task.start]], [task.x.numpy()]) for task in tasks]
    began = time.perf_counter()
    known = None if tasks[0].hole is None else _known(tasks, denoiser)

    def estimate(rows: list[int]) -> Estimate:
        prompts = zip(*(tasks[row].prompts for row in rows), strict=True)
        return loop.combine([guided(denoiser, each, loop.guidance) for each in prompts])

    def options(rows: list[int]) -> dict[str, Any]:
        threshold = loop.threshold if not isinstance(denoiser, Encoding) or denoiser.bounded else "none"
        found = {"threshold": thresholding(threshold), "step": step_rule(loop.sampler, loop.variance)}
        if known is None:
            return found
        originals, holes = known
        return found | {"after": paste(originals[rows], holes[rows])}

    steps = joining(
        torch.stack([task.x for task in tasks]),
        [task.start for task in tasks],
        loop.timesteps,
        denoiser.alphas_cumprod,
        estimate,
        [task.generator for task in tasks],
        options,
    )
    for step, (rows, state) in enumerate(steps, 1 + min(task.start for task in tasks)):
        for row, x, clean in zip(rows, state.x, state.clean, strict=True):
            drawn[row].timesteps.append(state.t)
            drawn[row].states.append(x.float().numpy())
            drawn[row].estimates.append(clean.float().numpy())
        for cell, _ in batch:
            context.progress(cell, step, len(loop.timesteps))
    for each in drawn:
        each.seconds = (time.perf_counter() - began) / len(tasks)
    return drawn


def _known(tasks: Sequence[Task], denoiser: Denoiser) -> tuple[Tensor, Tensor]:
    """Of inpainting tasks the originals and the holes, of the denoiser's shape."""
    originals, holes = zip(*((task.original, task.hole) for task in tasks), strict=True)
    return encoded(denoiser, torch.stack(originals)), pooled(denoiser, torch.stack(holes))
