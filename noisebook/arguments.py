"""Values of the command line's options that are more than a number or a text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

from noisebook.cells.local import LIMIT

DAYS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


class Quantity(click.ParamType):  # type: ignore[type-arg]
    """A number with a unit, such as 30d or 2GB."""

    name = "quantity"

    def __init__(self, units: Mapping[str, float]) -> None:
        self.units = units

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", value)
        if found is None or found[2] not in self.units:
            self.fail(f"{value!r} is not a number with one of {', '.join(self.units)}", param, ctx)
        return float(found[1]) * self.units[found[2]]


class Choice(click.ParamType):  # type: ignore[type-arg]
    """The number of a sample, or ``best``."""

    name = "choice"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        if str(value).isdecimal():
            return int(value)
        if value != "best":
            self.fail(f"{value!r} is not the number of a sample, nor best", param, ctx)
        return "best"


local_size = click.option(
    "--local-size", type=Quantity(BYTES), envvar="NOISEBOOK_LOCAL_SIZE", default=LIMIT, show_default="5 GB",
    metavar="SIZE", help="How much of states and checkpoints this machine keeps, for all reports.",
)  # fmt: skip
