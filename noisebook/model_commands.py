"""The command line of models: which there are, pinning, what they say of prompts."""

from __future__ import annotations

import os
from pathlib import Path

import click

from noisebook.guard import Guarded
from noisebook.project import Project, find_root
from noisebook.render.formats import size


@click.group(cls=Guarded)
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
@click.option(
    "--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Where the weights lie."
)
@click.option(
    "--revision", default="", help="Branch, tag or commit on the hub; else what is pinned, or main."
)
@click.option("--no-text-encoder", is_flag=True, help="Of DeepFloyd, where report.yaml names embeddings.")
def add_model(name: str, folder: Path | None, revision: str, no_text_encoder: bool) -> None:
    """Get a model or data set, and pin it if it is not.

    NAME is one that `models list` names, a repository on the hub (owner/name), or a folder.
    """
    from noisebook.models.catalogue import add

    root = find_root(Path.cwd())
    if folder and not folder.is_absolute():
        folder = Path(os.path.relpath(folder, root))  # The lock file is read from the report's folder.
    for line in add(root, name, folder, revision, encoder=not no_text_encoder):
        click.echo(line)


@models.command("remove")
@click.argument("name")
def remove_model(name: str) -> None:
    """Unpin a model of this report."""
    from noisebook.models.catalogue import remove

    click.echo("unpinned " + ", ".join(remove(find_root(Path.cwd()), name)))


@click.command()
@click.argument("prompts", nargs=-1, metavar="[PROMPT...]")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("prompts.pth"),
    show_default=True,
)
@click.option("--model", default="deepfloyd-xl", show_default=True, help="Whose text encoder is asked.")
def embed(prompts: tuple[str, ...], output: Path, model: str) -> None:
    """Write what DeepFloyd's text encoder says of prompts to a file that `embeddings:` can name.

    Without PROMPT, those of the report's figures that the model draws. The empty prompt is always among them.
    """
    from noisebook.models.lock import MissingModel, hint_for, known
    from noisebook.models.tasks import asked

    if output.exists():
        raise click.UsageError(f"{output} exists already: delete it, or name another file with -o")
    root = find_root(Path.cwd())
    if not prompts:
        cells = (cell for group in Project(root).planned.values() for cell in group)
        theirs = (cell for cell in cells if any(n.startswith(f"{model}/") for n in cell.models.values()))
        prompts = tuple(text for cell in theirs for text in asked(cell.cell.params))
    if not prompts:
        raise click.UsageError(f"no figure of this report is drawn by {model}: name prompts")
    name = f"{model}/stage1"
    if name not in (entries := known(root)):
        raise MissingModel(f"{model} is not pinned here: {hint_for(model)}")
    from noisebook.models.deepfloyd import encoder_of
    from noisebook.models.embeddings import write

    texts = list(dict.fromkeys(["", *prompts]))
    write(output, encoder_of(name, entries[name], root), texts)
    click.echo(f"wrote {output}: {len(texts)} prompts, {size(output.stat().st_size)}")
