"""What each command takes and says; the rooms do it. Exit status: 0 done, 1 could not finish, 2 bad input."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from noisebook.arguments import Choice, local_size, store_place
from noisebook.building import Request, Unfinished
from noisebook.building import build as build_project
from noisebook.cells.plan import Planned, everything, work
from noisebook.guard import Guarded
from noisebook.model_commands import embed, models
from noisebook.progress import estimate
from noisebook.project import Project, find_root
from noisebook.render.formats import counted, size
from noisebook.report.model import BadInput
from noisebook.store_commands import export, gc, pull, push

if TYPE_CHECKING:
    from noisebook.cells.fresh import Now
    from noisebook.doctor import Finding


@click.group(cls=Guarded, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="noisebook")
def cli() -> None:
    """Reports whose figures are computed."""


def here() -> Path:
    """The report's folder, from the working folder."""
    return find_root(Path.cwd())


def opened(*, draft: bool = False, store: str | None = None, settings: tuple[str, ...] = ()) -> Project:
    """The report around the working folder."""
    return Project(here(), draft=draft, place=store, settings=settings)


@cli.command()
@click.option("--frozen", is_flag=True, help="Never compute: fail by name on what is missing.")
@click.option(
    "--only", multiple=True, metavar="ID", help="Compute just this figure, section, generator or cell."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIGURE.params.NAME=VALUE",
    help="Another value for this build alone, kept apart like a draft.",
)
@click.option("--draft", is_flag=True, help="Few steps, small pictures, kept apart: to look at the layout.")
@click.option("--yes", is_flag=True, help="Compute even if it will take longer than report.yaml's limit.")
@click.option("--store", metavar="PLACE", callback=store_place, help="Another store than report.yaml names.")
@click.option(
    "--keep-stale", is_flag=True, help="Show old pictures, marked as stale, where new ones are missing."
)
@click.option("--executor", type=click.Choice(["local", "dask"]), default="local", show_default=True)
@click.option("--scheduler", metavar="URL", help="The Dask scheduler, such as tcp://host:8786.")
@click.option(
    "--jobs", type=click.IntRange(1), default=1, help="Compute so many cells at once on this machine."
)
@local_size
@click.pass_obj
def build(
    now: Now | None,
    frozen: bool,
    only: tuple[str, ...],
    settings: tuple[str, ...],
    draft: bool,
    yes: bool,
    store: str | None,
    keep_stale: bool,
    executor: str,
    scheduler: str | None,
    jobs: int,
    local_size: float,
) -> None:
    """Compute what is missing and write the site."""
    if (executor == "dask") != (scheduler is not None):
        raise click.UsageError("--executor dask and --scheduler URL belong together")
    if (draft or settings) and (scheduler or jobs > 1):
        raise click.UsageError("a draft is computed in one process: leave out --executor and --jobs")
    book = opened(draft=draft, store=store, settings=settings)
    request = Request(
        only=only or tuple(book.overrides),
        compute=not keep_stale,
        frozen=frozen,
        keep_stale=keep_stale,
        beyond="compute" if yes else "refuse",
        scheduler=scheduler,
        jobs=jobs,
        local_size=local_size,
    )
    build_project(book, request, click.echo, now).check()


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--deliverables", is_flag=True, help="By what is to be handed in, as report.yaml lists it.")
def status(as_json: bool, deliverables: bool) -> None:
    """Say which cells are cached, missing or stale. Computes nothing."""
    book = opened()
    if deliverables:
        hand_in(book, as_json)
        return
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
        click.echo(
            f"a build would compute {counted(len(todo.cells), 'cell')}, {estimate(todo.cells, book.rates)}"
        )


def hand_in(book: Project, as_json: bool) -> None:
    """Each deliverable, and what is left to do for it."""
    from noisebook.render.deliverables import delivered

    items = delivered(book.report, book.planned)
    if as_json:
        click.echo(json.dumps([each.row() for each in items], indent=1, ensure_ascii=False))
        return
    for each in items:
        click.echo(each)
    click.echo(f"{sum(each.state == 'there' for each in items)} of {len(items)} are there")


@cli.command()
@click.argument("names", nargs=-1, required=True, metavar="ID...")
def explain(names: tuple[str, ...]) -> None:
    """Say why cells would run: each reason as a difference, old value and new value."""
    for cells in opened().select(names).values():
        for c in everything(cells).values():
            click.echo(f"{name_of(c)} {c.state} {c.key[:16]}")
            for d in c.because():
                click.echo(f"    {d.component}: {show(d.old)} -> {show(d.new)}")


def name_of(planned: Planned) -> str:
    """A cell as a person would look for it."""
    return f"{planned.figure}/{planned.cell.id} [{planned.generator.name}]"


def show(value: Any) -> str:
    """A component's value, short; what a terminal would obey is written out."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = text if text.isprintable() else json.dumps(value, sort_keys=True)
    return text if len(text) <= 100 else f"{text[:97]}..."


@cli.command()
@click.argument("names", nargs=-1, metavar="[ID...]")
@click.option("--sample", type=click.IntRange(1), help="Only this many cells, evenly spread.")
def verify(names: tuple[str, ...], sample: int | None) -> None:
    """Compute cached cells again and compare; only the verdicts are kept, for the site."""
    from noisebook.cells import checks
    from noisebook.cells.verify import verify as verify_cells

    book = opened()
    cells = [c for c in book.chosen(names).values() if c.cached]
    if sample and sample < len(cells):
        cells = [cells[i * len(cells) // sample] for i in range(sample)]
    wrong = 0
    for verdict in verify_cells(cells, book.models):
        wrong += not verdict.agrees
        click.echo(f"{'agrees' if verdict.agrees else 'DIFFERS'} {name_of(verdict.planned)}: {verdict.how}")
        checks.add(book.store.place, {verdict.planned.key: verdict.check}, book.everything)
    click.echo(f"{len(cells) - wrong} of {len(cells)} cells agree")
    if wrong:
        raise Unfinished(f"{wrong} cells are not what today's code makes")


@cli.command()
@click.argument("names", nargs=-1, metavar="[CELL...]")
def adopt(names: tuple[str, ...]) -> None:
    """Keep finished work over a harmless edit: repeat a part of it, compare, give it its new key."""
    from noisebook.cells.adopt import adopt as adopt_cells

    book = opened()
    cells = book.chosen(names) if names else book.everything
    refused = []
    for verdict in adopt_cells(list(cells.values()), book.models):
        click.echo(f"{'adopted' if verdict.agrees else 'refused'} {name_of(verdict.planned)}: {verdict.how}")
        if not verdict.agrees:
            refused.append(verdict)
    if refused:
        raise Unfinished(f"{len(refused)} cells must be computed: noisebook build")


@cli.command()
def doctor() -> None:
    """Say what is wrong with this installation, and how to mend it."""
    from noisebook.doctor import examine

    tell(examine(opened()), "a build")


def tell(findings: Iterable[Finding], aim: str) -> None:
    """Say each, and fail if one stands in the way of ``aim``."""
    wrong = 0
    for finding in findings:
        click.echo(str(finding))
        wrong += finding.level == "wrong"
    if wrong:
        stand = "thing stands" if wrong == 1 else "things stand"
        raise Unfinished(f"{wrong} {stand} in the way of {aim}")


@cli.command()
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), default=Path("report.pdf"), show_default=True
)
@click.option(
    "--keep-stale", is_flag=True, help="Print old pictures, marked as stale, where new ones are missing."
)
def pdf(output: Path, keep_stale: bool) -> None:
    """Print the whole report to one PDF, by the Chromium at hand. Computes nothing."""
    from noisebook.render.onepage import browser, write_pdf

    browser()
    book = opened()
    build_project(
        book, Request(compute=False, frozen=not keep_stale, keep_stale=keep_stale), click.echo
    ).check()
    write_pdf(book.site / "print.html", output)
    click.echo(f"wrote {output}, {size(output.stat().st_size)}")


@cli.command()
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option("--title", help="The report's title; else the folder's name.")
@click.option(
    "--template",
    type=click.Choice(["course"]),
    help="Begin with all sections of a course on diffusion models, in an empty folder.",
)
def init(folder: Path, title: str | None, template: str | None) -> None:
    """Start a report of your own: a section, a generator, a theme, ready to build and to publish."""
    from noisebook.report.starter import new_course, new_report

    root = folder.resolve()
    name = re.sub(r"[-_\s]+", " ", root.name).strip() or "Report"
    start = new_course if template else new_report
    for path in start(root, title or name[:1].upper() + name[1:]):
        click.echo(f"wrote {folder / path.relative_to(root)}")
    there = "" if root == Path.cwd() else f"cd {folder}, then "
    click.echo(f"next: {there}noisebook {'status --deliverables' if template else 'build'}")


@cli.command()
@click.argument("name")
@click.option("--generator", "-g", help="Which generator draws its figure.")
@click.option("--with-generator", is_flag=True, help="Write a new generator of that name too, with its test.")
def new(name: str, generator: str | None, with_generator: bool) -> None:
    """Start a section: a file with every parameter explained, ready to build."""
    from noisebook.cells.registry import Registry
    from noisebook.report.scaffold import new_generator, new_section

    root = here()
    if with_generator:
        generator = generator or name.replace("-", "_")
        for path in new_generator(root, generator):
            click.echo(f"wrote {path.relative_to(root)}")
    path = new_section(root, name, generator, Registry(root))
    click.echo(f"wrote {path.relative_to(root)}\nnext: noisebook build --only {name}{_takes(name)}")


def _takes(name: str) -> str:
    """How long a section will take to compute, if it has cells and the report can be read."""
    with suppress(BadInput):
        book = opened()
        if cells := work(list(book.chosen((name,)).values())).cells:
            return f"  # {counted(len(cells), 'cell')}, {estimate(cells, book.rates)}"
    return ""


@cli.command()
@click.argument("figure")
@click.option(
    "--count", type=click.IntRange(2, 1000), default=48, show_default=True, help="How many samples to draw."
)
@click.option("--choose", type=Choice(), metavar="NUMBER", help="Write this one, or best, into the section.")
@click.option("--by", default="eye", show_default=True, help="What chose that number.")
@click.option(
    "--clip",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with CLIP's weights, as transformers writes it.",
)
def candidates(figure: str, count: int, choose: int | str | None, by: str, clip: Path | None) -> None:
    """Draw many samples of a figure, rank them, and choose one openly."""
    from noisebook import candidates

    book = opened()
    if isinstance(choose, int) and choose >= count:
        raise click.BadParameter(f"of {count} samples the last is {count - 1}", param_hint="--choose")
    found = candidates.look(book, figure, count, clip, click.echo)
    if choose == "best":
        if not found.scores:
            raise Unfinished("no judge is at hand that could say which is best: choose a number by eye")
        choose, by = found.ranked()[0], found.judge
    if choose is not None:
        for path in candidates.choose(book, found, int(choose), by):
            click.echo(f"wrote {path.relative_to(book.root)}")


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
def serve(host: str, port: int) -> None:
    """Preview with live reload; a build error is shown in the page."""
    from noisebook.render.again import rewrite
    from noisebook.render.serve import serve as serve_site

    root = here()
    request = Request(keep_stale=True, beyond="leave out")

    def rebuild() -> None:
        if rewrite(root) is None:
            build_project(Project(root), request).check()

    serve_site(root, rebuild, host, port)


@cli.command()
@click.option("--check", is_flag=True, required=True, help="Only look: a push publishes.")
def publish(check: bool) -> None:
    """Say what stands between this report and its published page."""
    from noisebook.publish import examine

    tell(examine(opened()), "a published page")


cli.add_command(models)
cli.add_command(embed)
for command in (export, gc, push, pull):
    cli.add_command(command)
