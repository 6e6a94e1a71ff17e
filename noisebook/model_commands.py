"""The command line of models: which there are, pinning, what they say of prompts."""

from __future__ import annotations

from pathlib import Path

import click

from noisebook.project import find_root
from noisebook.render.formats import size


@click.group()
def models() -> None:
    """Which models and data sets there are; pin others, or forget them."""


@models.command("list")
def list_models() -> None:
    """Name them: what each can do, its size and memory, its licence, whether it is here."""
    from noisebook.models.catalogue import listed

    for each in listed(find_root(Path.cwd())):
        facts = [each.state, size(each.bytes) if each.bytes else "", each.memory, each.licence]
        click.echo(f"{each.name}: {each.about}\n  " + "; ".join(filter(None, facts)))


@models.command("add")
@click.argument("name")
@click.option("--folder", type=click.Path(path_type=Path), help="Where the weights lie already.")
@click.option("--revision", default="main", help="Branch, tag or commit on the hub.")
def add_model(name: str, folder: Path | None, revision: str) -> None:
    """Get a model or data set, and pin it if it is not.

    NAME is one that `models list` names, a repository on the hub (owner/name), or a folder.
    """
    from noisebook.models.catalogue import add

    for line in add(find_root(Path.cwd()), name, folder, revision):
        click.echo(line)


@models.command("remove")
@click.argument("name")
def remove_model(name: str) -> None:
    """Unpin a model of this report."""
    from noisebook.models.catalogue import remove

    click.echo("unpinned " + ", ".join(remove(find_root(Path.cwd()), name)))
