"""Parameters that the generators of Part A share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from noisebook.cells.contract import Cell, Complaint, Json, Labelled, Params
from noisebook.models.lock import family_of

NEUTRAL = "a high quality photo"
BATCH = 8
"""Processes drawn together: few enough that a kill loses little, enough to keep two cores busy."""

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

    model: Annotated[str, BeforeValidator(family_of)] = Field(
        default="",
        description="a model: its name in the lock file, {hub: owner/name} or {folder: path}; empty is the "
        "report's own",
    )


Side = Annotated[int, Field(ge=16, le=2048)]
Size = Annotated[list[Side], Field(min_length=2, max_length=2)]


class Sized(Modelled):
    """Parameters of a figure whose pictures need not have the model's own size."""

    size: Size | None = Field(
        default=None,
        description="[width, height] of the pictures (of the large one, if it is enlarged), pixels; empty is "
        "the model's own",
    )

    def sized(self) -> dict[str, Json]:
        """The part of a cell's parameters that :func:`._process.model_of` reads; none for the model's own."""
        return {"size": list(self.size)} if self.size else {}


class Drawing(Sized):
    """Parameters of any reverse process."""

    sampler: Literal["ancestral", "ddim", "heun", "dpm-solver++"] = Field(
        default="ancestral",
        description="the step rule: with fresh noise in each step, or one of three without "
        "(heun calls the model twice a step)",
    )
    negative_prompt: Prompt = Field(
        default="", description="what guidance moves away from, in place of the empty prompt"
    )

    def process(self) -> dict[str, Json]:
        """The part of a cell's parameters that :meth:`._process.Loop.of` reads."""
        return self.model_dump(include={"sampler", "negative_prompt"}) | self.sized()


class Process(Drawing):
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
        """See :meth:`Drawing.process`."""
        own = {"first_timestep", "stride", "thresholding", "variance"}
        return super().process() | self.model_dump(include=own)

    def count(self) -> int:
        """How many timesteps there are."""
        return self.first_timestep // self.stride + 1


class Illusions(Process):
    """Parameters of pictures that are each drawn to show several things."""

    guidance: Guidance = 7.0
    samples: Samples = Field(default=[0])

    def named(
        self,
        number: int,
        kind: str,
        readings: Sequence[str],
        own: Mapping[str, Json],
        pictures: Sequence[Labelled],
        inputs: Mapping[str, str] | None = None,
    ) -> Iterator[Cell]:
        """The figure's picture ``number``, of some ``kind`` and with these ``readings``: a cell a sample."""
        readings = [titled(reading) for reading in readings]
        most = ", ".join(readings[:-1])
        for sample in self.samples:
            yield Cell(
                f"{number}" + (f"-s={sample}" if len(self.samples) > 1 else ""),
                " / ".join(readings),
                f"{kind} of {most} and {readings[-1]}.",
                {**self.process(), **own, "guidance": float(self.guidance), "sample": sample},
                inputs or {},
                models={"stage1": self.model},
                minutes=0.6,
                pictures=pictures,
            )


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


def titled(prompt: str) -> str:
    """A prompt as labels have it: the empty one would be none."""
    return prompt or "no prompt"


def asked_for(prompt: str, how: str = "for") -> str:
    """What a picture was drawn for, in an alternative text; ``how`` goes before the prompt."""
    return f"{how} “{prompt}”" if prompt else "without a prompt"


def stem(path: str) -> str:
    """The name of a picture file, for ids and labels: ``images/tower.jpg`` is ``tower``."""
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in name) or "picture"
