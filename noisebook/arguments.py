"""Values of the command line's options that are more than a number or a text."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from noisebook.cells.local import LIMIT
from noisebook.project import find_root, is_url
from noisebook.report.load import NO_STORE
from noisebook.report.schema import url_fault

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
        found = re.fullmatch(r"(\d{1,12}(?:\.\d+)?)\s*([A-Za-z]+)", value)
        if found is None or found[2] not in self.units:
            self.fail(f"{value!r} is not a number with one of {', '.join(self.units)}", param, ctx)
        return float(found[1]) * self.units[found[2]]


class Choice(click.ParamType):  # type: ignore[type-arg]
    """The number of a sample, or ``best``."""

    name = "choice"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        if str(value).isdecimal() and len(str(value)) < 10:
            return int(value)
        if value != "best":
            self.fail(f"{value!r} is not the number of a sample, nor best", param, ctx)
        return "best"


local_size = click.option(
    "--local-size", type=Quantity(BYTES), envvar="NOISEBOOK_LOCAL_SIZE", default=LIMIT, show_default="5 GB",
    metavar="SIZE", help="How much of states and checkpoints this machine keeps, for all reports.",
)  # fmt: skip


def store_place(_: click.Context, __: click.Parameter, store: str | None) -> str | None:
    """A store that can be one: a URL, or a folder, there or not."""
    if store is None:
        return None
    if is_url(store):
        if fault := url_fault(store):
            raise click.BadParameter(f"{store[:200]!r} is not a URL: {fault}")
        return store
    if not store.strip() or "\0" in store:
        raise click.BadParameter("expected a folder or a URL")
    root = find_root(Path.cwd())
    path = root / store
    if any(os.path.lexists(each) and not each.is_dir() for each in (path, *path.parents)):
        raise click.BadParameter(f"{store[:200]!r} is, or leads through, a file: a store is a folder")
    if path.resolve() in (root / name for name in ("", *NO_STORE)):
        raise click.BadParameter(f"{store[:200]!r} is a folder of the report itself")
    return store
