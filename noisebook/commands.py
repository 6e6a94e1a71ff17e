"""What each command does, in terms of the rooms. Exit status: 0 done, 1 could not finish, 2 bad input."""

from __future__ import annotations

import errno
import json
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click

from noisebook import progress
from noisebook.cells import fresh
from noisebook.cells.plan import Planned, Work, everything, work
from noisebook.cells.registry import GeneratorError
from noisebook.cells.run import Outcome, Watcher, execute
from noisebook.cells.store import StoreFull
from noisebook.models.lock import MissingModel
from noisebook.project import Project, find_root
from noisebook.render import formats
from noisebook.report.model import BadInput, Position, Problem
from noisebook.shared.remote import Remote, Unreachable

P = ParamSpec("P")
T = TypeVar("T")

UNFINISHED, BAD_INPUT = 1, 2


class Unfinished(click.ClickException):
    """The command could not do all of its work."""

    exit_code = UNFINISHED


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


def for_people(command: Callable[P, T]) -> Callable[P, T]:
    """Turn the errors that a person can mend into messages and exit statuses."""

    @wraps(command)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        warnings.showwarning = lambda message, *_: click.echo(f"warning: {message}", err=True)
        try:
            return command(*args, **kwargs)
        except BadInput as error:
            click.echo(str(error), err=True)
            count = len(error.problems)
            click.echo(f"{count} problem{'s' if count > 1 else ''}; nothing was computed", err=True)
            sys.exit(BAD_INPUT)
        except GeneratorError as error:
            click.echo(str(error), err=True)
            sys.exit(BAD_INPUT)
        except (StoreFull, MissingModel, Unreachable) as error:
            raise Unfinished(str(error)) from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS):
                raise
            raise Unfinished(f"cannot write {error.filename or ''}: {error.strerror}: make room") from error
        except KeyboardInterrupt:
            click.echo("stopped; everything that was finished is kept", err=True)
            sys.exit(UNFINISHED)

    return guarded


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="noisebook")
def cli() -> None:
    """Reports whose figures are computed."""


def project(*, draft: bool = False, store: str | None = None) -> Project:
    """The report around the working folder."""
    return Project(find_root(Path.cwd()), draft=draft, place=store)


@cli.command()
@click.option("--frozen", is_flag=True, help="Never compute: fail by name on what is missing.")
@click.option(
    "--only", multiple=True, metavar="ID", help="Compute just this figure, section, generator or cell."
)
@click.option("--draft", is_flag=True, help="Few steps, small pictures, kept apart: to look at the layout.")
@click.option("--yes", is_flag=True, help="Compute even if it will take longer than report.yaml's limit.")
@click.option("--store", metavar="PLACE", help="Another store than report.yaml names.")
@click.option(
    "--keep-stale", is_flag=True, help="Show old pictures, marked as stale, where new ones are missing."
)
@click.option("--executor", type=click.Choice(["local", "dask"]), default="local", show_default=True)
@click.option("--scheduler", metavar="URL", help="The Dask scheduler, such as tcp://host:8786.")
@for_people
def build(
    frozen: bool,
    only: tuple[str, ...],
    draft: bool,
    yes: bool,
    store: str | None,
    keep_stale: bool,
    executor: str,
    scheduler: str | None,
) -> None:
    """Compute what is missing and write the site."""
    started = time.perf_counter()
    if (executor == "dask") != (scheduler is not None):
        raise click.UsageError("--executor dask and --scheduler URL belong together")
    if scheduler and draft:
        raise click.UsageError("a draft is computed here: leave out --executor")
    book = project(draft=draft, store=store)
    if frozen and book.automatic:
        hint = "name one: exact, or another family of models.lock.json"
        raise BadInput(
            [
                Problem(at, "model: auto depends on the machine; a frozen build does not", hint)
                for at in book.automatic
            ]
        )
    before = fresh.look(book.root, fresh.inputs(book.root))[0]
    wanted = [cell for cells in book.select(only).values() for cell in cells]
    todo = read_through(book, wanted)
    outcome = Outcome()
    if todo.cells and frozen:
        raise Unfinished(missing_message(todo))
    if todo.cells and not keep_stale:
        announce(todo)
        estimate = sum(map(seconds_of, todo.cells))
        if estimate > 60 * book.report.minutes_limit and not yes and not draft:
            raise Unfinished(
                f"this would take about {formats.duration(estimate)}, more than the "
                f"{book.report.minutes_limit:g} minutes that report.yaml allows unasked: "
                "add --yes, choose with --only ID, or show old pictures with --keep-stale"
            )
        with progress.watcher(len(todo.cells)) as watcher:
            if scheduler:
                outcome = compute_on_dask(book, todo, scheduler, watcher)
            else:
                outcome = execute(
                    todo, book.models, watcher, draft=draft, errors=book.root / ".noisebook" / "errors"
                )
    if book.automatic:
        click.echo(f"model auto: this machine has {book.planner.automatic}")
    pages = render(book, keep_stale=keep_stale)
    summary = summarise(book, outcome, pages, time.perf_counter() - started)
    click.echo(summary)
    if outcome.stopped:
        raise KeyboardInterrupt
    if outcome.failures:
        raise Unfinished(
            "\n".join(
                f"{group[0].figure}: {len(group)} not computed\n  {message}"
                for group, message in outcome.failures
            )
        )
    if not (draft or keep_stale or only or store or book.automatic) and all(
        c.cached for cells in book.select(()).values() for c in cells
    ):
        fresh.remember(book.root, before, summarise(book, Outcome(), 0, 0.0))


def compute_on_dask(book: Project, todo: Work, scheduler: str, watcher: Watcher) -> Outcome:
    """Compute on a cluster; a model whose lock entry says ``"gpu": true`` asks for a worker with one."""
    from noisebook.shared import dask_executor

    def gpu(planned: Planned) -> bool:
        return any(book.planner.lock[name].get("gpu") for name in planned.models.values())

    try:
        return dask_executor.compute(
            todo, scheduler, dask_executor.job(book), watcher, remote=book.remote, gpu=gpu
        )
    except ModuleNotFoundError as error:
        raise Unfinished(f"{error}: pip install 'noisebook[cluster]'") from error
    except dask_executor.SchedulerAway as error:
        raise Unfinished(str(error)) from error


def read_through(book: Project, cells: list[Planned]) -> Work:
    """What is left to compute of ``cells`` once what the shared store has is here."""
    todo = work(cells)
    if not todo.cells or book.draft or book.remote is None:
        return todo
    try:
        if count := book.remote.read_through(cells):
            click.echo(f"fetched {count} cells from {book.remote}")
    except Unreachable as error:
        warnings.warn(f"{error}; going on with what is here", stacklevel=2)
    return work(cells)


def render(book: Project, *, keep_stale: bool = False) -> int:
    """Write the site; the number of pages that changed."""
    from noisebook.render.site import render_site

    return render_site(book.report, book.planned, book.site, keep_stale=keep_stale).written


def announce(todo: Work) -> None:
    """Say what will be computed and why."""
    for group in todo.groups:
        first = group[0]
        reasons = "; ".join(sorted({d.component for d in first.because()})[:4])
        estimate = formats.duration(sum(map(seconds_of, group)))
        click.echo(
            f"{first.figure}: {len(group)} × {first.generator.name}, about {estimate} "
            f"({first.state}: {reasons})"
        )


def seconds_of(planned: Planned) -> float:
    """What a cell is expected to cost: what it cost before, else its generator's first guess."""
    previous = planned.store.same_identity(planned.components)
    return planned.store.entries[previous[-1]].seconds if previous else 60 * planned.cell.minutes


def missing_message(todo: Work) -> str:
    """What a frozen build lacks, by name."""
    lines = [f"  {c.figure}/{c.cell.id} ({c.state}, {c.key[:12]})" for c in todo.cells]
    return (
        f"frozen, and {len(lines)} cells are missing:\n"
        + "\n".join(lines)
        + "\nnoisebook build computes them "
        "(noisebook explain ID says why they are missing); commit cache/ afterwards"
    )


def summarise(book: Project, outcome: Outcome, pages: int, seconds: float) -> str:
    """The last lines of a build."""
    cells = {c.key: c for group in book.planned.values() for c in group}
    cached = sum(c.cached for c in cells.values()) - sum(r.key in cells for r in outcome.computed)
    line = (
        f"computed {len(outcome.computed)}, cached {cached}, {formats.duration(seconds)}, "
        f"{formats.size(outcome.bytes)} stored, {pages} pages written: {book.site / 'index.html'}"
    )
    missing = sum(not c.cached for c in cells.values())
    if missing:
        pending = sum(not c.cached for _, f in book.figures() if f.pending for c in book.planned[f.id])
        line += f"\n{missing} cells are missing ({pending} of them pending): their figures say so"
    if outcome.computed and not book.draft:
        added = untracked(book.store.place)
        line += f"\na commit would add {formats.size(added)} under {book.store.place.name}/" if added else ""
    return line


def untracked(folder: Path) -> int:
    """Bytes under ``folder`` that git does not have yet; 0 outside a repository."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--others", "--exclude-standard", "-z", "--", "."],
            cwd=folder, capture_output=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return 0
    total = 0
    for name in filter(None, listed.stdout.decode().split("\0")):
        with suppress(FileNotFoundError):  # another builder's temporary file has its own name by now
            total += (folder / name).stat().st_size
    return total


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@for_people
def status(as_json: bool) -> None:
    """Say which cells are cached, missing or stale. Computes nothing."""
    book = project()
    if as_json:
        rows = [
            {
                "figure": c.figure,
                "cell": c.cell.id,
                "key": c.key,
                "state": c.state,
                "because": [{"component": d.component, "old": d.old, "new": d.new} for d in c.because()],
            }
            for cells in book.planned.values()
            for c in cells
        ]
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    for figure, cells in book.planned.items():
        states = [c.state for c in cells]
        counts = ", ".join(f"{states.count(s)} {s}" for s in ("cached", "stale", "missing") if s in states)
        click.echo(f"{figure}: {counts}")
    todo = work([c for cells in book.select(()).values() for c in cells])
    if todo.cells:
        estimate = formats.duration(sum(map(seconds_of, todo.cells)))
        click.echo(f"a build would compute {len(todo.cells)} cells, about {estimate}")


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="ID...")
@for_people
def explain(names: tuple[str, ...]) -> None:
    """Say why cells would run: each reason as a difference, old value and new value."""
    for cells in project().select(names).values():
        for c in everything(cells).values():
            click.echo(f"{name_of(c)} {c.state} {c.key[:16]}")
            for d in c.because():
                click.echo(f"    {d.component}: {show(d.old)} -> {show(d.new)}")


def chosen(book: Project, names: tuple[str, ...]) -> Iterable[Planned]:
    """The cells that ``names`` mean and all that they need, needs first, each once."""
    return everything(c for cells in book.select(names).values() for c in cells).values()


def name_of(planned: Planned) -> str:
    """A cell as a person would look for it."""
    return f"{planned.figure}/{planned.cell.id} [{planned.generator.name}]"


def show(value: Any) -> str:
    """A component's value, short."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 100 else f"{text[:97]}..."


@cli.command()
@click.argument("names", nargs=-1, metavar="[ID...]")
@click.option("--sample", type=int, help="Only this many cells, evenly spread.")
@for_people
def verify(names: tuple[str, ...], sample: int | None) -> None:
    """Compute cached cells again and compare; only the verdicts are kept, for the site."""
    from noisebook.cells import checks
    from noisebook.cells.verify import verify as verify_cells

    book = project()
    known = set(everything(c for cells in book.planned.values() for c in cells))
    cells = [c for c in chosen(book, names) if c.cached]
    if sample and sample < len(cells):
        cells = [cells[i * len(cells) // sample] for i in range(sample)]
    wrong = 0
    for verdict in verify_cells(cells, book.models):
        wrong += not verdict.agrees
        click.echo(f"{'agrees' if verdict.agrees else 'DIFFERS'} {name_of(verdict.planned)}: {verdict.how}")
        checks.add(book.store.place, {verdict.planned.key: verdict.check}, known)
    click.echo(f"{len(cells) - wrong} of {len(cells)} cells agree")
    if wrong:
        raise Unfinished(f"{wrong} cells are not what today's code makes")


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="CELL...")
@for_people
def adopt(names: tuple[str, ...]) -> None:
    """Keep finished work over a harmless edit: repeat a part of it, compare, give it its new key."""
    from noisebook.cells.verify import adopt as adopt_cell

    book = project()
    refused = []
    for c in chosen(book, names):
        if c.cached:
            continue
        verdict = adopt_cell(c, book.models)
        click.echo(f"{'adopted' if verdict.agrees else 'refused'} {name_of(c)}: {verdict.how}")
        if not verdict.agrees:
            refused.append(c)
    if refused:
        raise Unfinished(f"{len(refused)} cells must be computed: noisebook build")


@cli.command()
@click.option("--yes", is_flag=True, help="Drop it; without this, only say what would be dropped.")
@click.option(
    "--older-than", type=Quantity(DAYS), default=0.0, metavar="AGE", help="Only what is older: 30d, 12h, 2w."
)
@click.option(
    "--max-size", type=Quantity(BYTES), metavar="SIZE", help="Only the oldest, until the store fits: 2GB."
)
@click.option("--branches", is_flag=True, help="Keep what the report uses on any git branch.")
@for_people
def gc(yes: bool, older_than: float, max_size: float | None, branches: bool) -> None:
    """Drop cells that no section uses."""
    from noisebook.cells.housekeeping import CannotPlan, collect, keys_of_branches

    book = project()
    kept = set(everything(c for cells in book.planned.values() for c in cells))
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
    click.echo(
        f"{verb} {len(garbage.cells)} cells and {len(garbage.files)} files, {formats.size(garbage.bytes)}"
    )
    if garbage.bytes and not yes:
        click.echo("noisebook gc --yes does it")


def shared(book: Project) -> Remote:
    """The shared store, or a word on how to have one."""
    if book.remote is None:
        where = Position("report.yaml")
        raise BadInput([Problem(where, "its store is a folder here", "store: URL names a shared one")])
    return book.remote


@cli.command()
@click.argument("names", nargs=-1, metavar="[ID...]")
@click.option("--store", metavar="URL", help="Another shared store than report.yaml names.")
@click.option("--local", is_flag=True, help="Send training states and other local outputs too.")
@click.option("--again", is_flag=True, help="Send what is there already: mends a damaged cell.")
@for_people
def push(names: tuple[str, ...], store: str | None, local: bool, again: bool) -> None:
    """Send finished cells to the shared store; one that was interrupted goes on."""
    book = project(store=store)
    remote = shared(book)
    keys = [c.key for c in chosen(book, names) if c.cached]
    done = remote.push(book.store, keys, local=local, again=again)
    click.echo(f"pushed {done.cells} cells, {formats.size(done.bytes)}, to {remote}")
    if done.left:
        raise Unfinished(f"{done.reason}\n{len(done.left)} cells are left: noisebook push goes on with them")


@cli.command()
@click.argument("names", nargs=-1, metavar="[ID...]")
@click.option("--store", metavar="URL", help="Another shared store than report.yaml names.")
@for_people
def pull(names: tuple[str, ...], store: str | None) -> None:
    """Fetch cells that the shared store has, and build nothing."""
    book = project(store=store)
    remote = shared(book)
    cells = [c for group in book.select(names).values() for c in group]
    count = remote.read_through(cells)
    missing = len({c.key for c in cells if not c.cached})
    click.echo(f"fetched {count} cells from {remote}; {missing} are not there")


@cli.command()
@for_people
def doctor() -> None:
    """Say what is wrong with this installation, and how to mend it."""
    from noisebook.doctor import examine

    wrong = 0
    for finding in examine(project()):
        click.echo(str(finding))
        wrong += finding.level == "wrong"
    if wrong:
        raise Unfinished(f"{wrong} things stand in the way of a build")


@cli.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--title", help="The report's title; else the folder's name.")
@for_people
def init(folder: Path, title: str | None) -> None:
    """Start a report of your own: a section, a generator, a theme, ready to build and to publish."""
    from noisebook.report.starter import new_report

    root = folder.resolve()
    name = re.sub(r"[-_\s]+", " ", root.name).strip() or "Report"
    for path in new_report(root, title or name[:1].upper() + name[1:]):
        click.echo(f"wrote {folder / path.relative_to(root)}")
    there = "" if root == Path.cwd() else f"cd {folder}, then "
    click.echo(f"next: {there}noisebook build")


@cli.command()
@click.argument("name")
@click.option("--generator", "-g", help="Which generator draws its figure.")
@click.option("--with-generator", is_flag=True, help="Write a new generator of that name too, with its test.")
@for_people
def new(name: str, generator: str | None, with_generator: bool) -> None:
    """Start a section: a file with every parameter explained, ready to build."""
    from noisebook.cells.registry import Registry
    from noisebook.report.scaffold import new_generator, new_section

    root = find_root(Path.cwd())
    if with_generator:
        generator = generator or name.replace("-", "_")
        for path in new_generator(root, generator):
            click.echo(f"wrote {path.relative_to(root)}")
    path = new_section(root, name, generator, Registry(root))
    click.echo(f"wrote {path.relative_to(root)}\nnext: noisebook build --only {name}")


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True)
@for_people
def serve(host: str, port: int) -> None:
    """Preview with live reload; a build error is shown in the page."""
    from noisebook.render.serve import serve as serve_site

    root = find_root(Path.cwd())

    def rebuild() -> None:
        book = Project(root)
        todo = work([c for cells in book.select(()).values() for c in cells])
        affordable = sum(map(seconds_of, todo.cells)) <= 60 * book.report.minutes_limit
        if todo.cells and affordable:
            announce(todo)
            with progress.watcher(len(todo.cells)) as watcher:
                outcome = execute(todo, book.models, watcher, errors=root / ".noisebook" / "errors")
            if outcome.failures:
                render(book, keep_stale=True)
                raise RuntimeError("\n".join(message for _, message in outcome.failures))
        render(book, keep_stale=True)

    serve_site(root, rebuild, host, port)
