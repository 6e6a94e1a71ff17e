"""The command line of stores: what could go, and what is shared."""

from __future__ import annotations

from pathlib import Path

import click

from noisebook.arguments import BYTES, DAYS, Quantity, local_size, store_place
from noisebook.building import Unfinished, say_dropped, surplus
from noisebook.project import Project, find_root
from noisebook.render.formats import counted, size


@click.command()
@click.option("--yes", is_flag=True, help="Drop it; without this, only say what would be dropped.")
@click.option(
    "--older-than", type=Quantity(DAYS), default=0.0, metavar="AGE", help="Only what is older: 30d, 12h, 2w."
)
@click.option(
    "--max-size", type=Quantity(BYTES), metavar="SIZE", help="Only the oldest, until the store fits: 2GB."
)
@click.option("--branches", is_flag=True, help="Keep what the report uses on any git branch.")
@local_size
def gc(yes: bool, older_than: float, max_size: float | None, branches: bool, local_size: float) -> None:
    """Drop cells that no section uses, and what of states and checkpoints is too much for this machine."""
    from noisebook.cells.housekeeping import CannotPlan, collect, keys_of_branches

    book = Project(find_root(Path.cwd()))
    kept = {*book.everything, *book.earlier}
    if branches:
        try:
            kept.update(*keys_of_branches(book.root).values())
        except CannotPlan as error:
            raise Unfinished(f"{error}\nnothing is dropped: nobody knows what it uses") from error
    garbage = collect(book.store, kept, older_than=older_than, max_size=max_size)
    for name in garbage.describe():
        click.echo(f"{'dropped' if yes else 'would drop'} {name}")
    if yes:
        garbage.drop()
    verb = "dropped" if yes else "would drop"
    found = f"{counted(len(garbage.cells), 'cell')} and {counted(len(garbage.files), 'file')}"
    click.echo(f"{verb} {found}, {size(garbage.bytes)}")
    beyond = surplus(book, kept, local_size)
    say_dropped(beyond, click.echo, drop=yes)
    if (garbage.bytes or beyond.paths) and not yes:
        click.echo("noisebook gc --yes does it")


@click.command()
@click.argument("names", nargs=-1, metavar="[ID...]")
@click.option(
    "--store", metavar="URL", callback=store_place, help="Another shared store than report.yaml names."
)
@click.option("--local", is_flag=True, help="Send training states and other local outputs too.")
@click.option("--again", is_flag=True, help="Send what is there already: mends a damaged cell.")
def push(names: tuple[str, ...], store: str | None, local: bool, again: bool) -> None:
    """Send finished cells to the shared store; one that was interrupted goes on."""
    book = Project(find_root(Path.cwd()), place=store)
    remote = book.shared
    keys = [c.key for c in book.chosen(names).values() if c.cached]
    done = remote.push(book.store, keys, local=local, again=again)
    click.echo(f"pushed {counted(done.cells, 'cell')}, {size(done.bytes)}, to {remote}")
    if done.left:
        raise Unfinished(f"{done.reason}\n{len(done.left)} cells are left: noisebook push goes on with them")


@click.command()
@click.argument("names", nargs=-1, metavar="[ID...]")
@click.option(
    "--store", metavar="URL", callback=store_place, help="Another shared store than report.yaml names."
)
def pull(names: tuple[str, ...], store: str | None) -> None:
    """Fetch cells that the shared store has, and build nothing."""
    book = Project(find_root(Path.cwd()), place=store)
    remote = book.shared
    cells = [c for group in book.select(names).values() for c in group]
    count = remote.read_through(cells)
    missing = len({c.key for c in cells if not c.cached})
    click.echo(f"fetched {counted(count, 'cell')} from {remote}; {missing} are not there")


@click.command()
@click.argument("figure")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Else FIGURE.zip.")
def export(figure: str, output: Path | None) -> None:
    """Put a figure into one file: code, inputs, records, pictures, verdicts, and how to repeat it."""
    from noisebook.export import export as exported

    path = output or Path(f"{figure}.zip")
    data = exported(Project(find_root(Path.cwd())), figure)
    path.write_bytes(data)
    click.echo(f"wrote {path}, {size(len(data))}")
