"""From a figure and its planned cells to its view: what it shows, how it stands, how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from noisebook.cells.contract import Json
from noisebook.cells.plan import Planned
from noisebook.models.lock import AUTO
from noisebook.render.assets import Site
from noisebook.render.formats import duration, words
from noisebook.render.outputs import cell_view, numbers_as_csv
from noisebook.render.styles import Styles
from noisebook.render.views import ENLARGED, MOVED, PIXELATED, CellView, FigureView
from noisebook.report.model import Figure

FEW = 12
"""Values of one fact that are written out."""


def view(
    figure: Figure,
    number: int,
    planned: Sequence[Planned],
    site: Site,
    styles: Styles,
    *,
    model: str = "",
    keep_stale: bool,
) -> FigureView:
    """Everything about one figure; its files are added to ``site``. ``model`` is the report's."""
    cells = [cell_view(figure, item, site, styles, keep_stale=keep_stale) for item in planned]
    _each_once(cells)
    shown = FigureView(
        id=figure.id,
        number=number,
        generator=planned[0].generator.name if planned else figure.generator,
        kind=str(figure.layout.get("kind", "grid")),
        columns=0,
        cells=cells,
        alt=figure.alt,
        chosen=figure.chosen,
        pending=figure.pending,
        params=[(name, words(value)) for name, value in figure.params.model_dump(mode="json").items()],
        made=_made(cells),
        automatic=_automatic(figure, planned, model),
        csv=numbers_as_csv(figure.id, cells, site),
    )
    shown.columns = int(figure.layout.get("columns") or _columns(shown))
    widest = max((picture.width for picture in shown.pictures), default=ENLARGED)
    by_hand = f";--m:{_by_hand(shown)}" if shown.kind in MOVED else ""
    shown.css = styles.name(f"--n:{shown.columns};--p:{_on_phones(shown)};--cell:{widest}px{by_hand}")
    if shown.kind == "filmstrip":
        _name_rows(shown, planned)
    shown.wide = widest * shown.columns > 720
    return shown


def _each_once(cells: Sequence[CellView]) -> None:
    """What several cells have to take away, as the curves of one training run, the first of them offers."""
    offered: set[str] = set()
    for cell in cells:
        cell.downloads = [each for each in cell.downloads if each.path not in offered]
        offered |= {each.path for each in cell.downloads}


def _columns(shown: FigureView) -> int:
    """A sensible number of columns where the author gives none."""
    count = len(shown.tiles)
    if any(picture.vector or picture.width > 480 for picture in shown.pictures):
        return 1 if max(count, len(shown.pictures)) == 1 else 2
    if shown.kind == "pairs" or (shown.kind == "grid" and count == 4):
        return 2
    if shown.kind in ("row", "filmstrip", "compare", "scrubber") or count <= 7:
        return min(count, 8)
    return next((n for n in (5, 6, 4, 7) if count % n == 0), 6)


def _by_hand(shown: FigureView) -> int:
    """Columns where a reader turns the pictures, so that no film is shown beside them."""
    films = sum(picture.animated for picture in shown.pictures)
    return max(1, round(shown.columns * (1 - films / max(1, len(shown.tiles)))))


def _name_rows(shown: FigureView, planned: Sequence[Planned]) -> None:
    """Each row says which picture it begins with and what was asked for, if that is one in it."""
    if not planned or len(shown.tiles) != len(planned):
        return
    for start in range(0, len(planned), shown.columns):
        row = planned[start : start + shown.columns]
        pictures = {path.stem.replace("-", " ") for each in row for path in each.inputs.values()}
        prompts = {str(prompt) for each in row if (prompt := each.cell.params.get("prompt"))}
        if len(pictures) == len(prompts) == 1:
            shown.tiles[start].row = f"{pictures.pop()}, asked for “{prompts.pop()}”"


def _on_phones(shown: FigureView) -> int:
    """Columns where some 330 CSS pixels are all there is."""
    columns, largest = shown.columns, max((picture.natural for picture in shown.pictures), default=PIXELATED)
    if shown.kind in MOVED:
        return min(columns, 2)
    if largest > 480 or any(picture.vector for picture in shown.pictures):
        return 1
    if largest <= 32 and columns % 5 == 0:
        return 5
    if largest > PIXELATED:
        return 3 if columns == 3 else min(columns, 2)
    return 3 if columns % 3 == 0 else min(columns, 3 if largest <= 32 else 2)


def _made(cells: Sequence[CellView]) -> list[tuple[str, str]]:
    """What the cells' provenance says, each fact once."""
    done = [cell for cell in cells if cell.provenance]

    def each(name: str) -> str:
        return _distinct([cell.provenance.get(name) for cell in done])

    versions: dict[str, dict[str, None]] = {}
    for cell in done:
        for package, version in dict(cell.provenance.get("versions", {})).items():
            versions.setdefault(package, {})[str(version)] = None
    models = {f"{role}: {name}" for cell in done for role, name in cell.provenance.get("models", {}).items()}
    seconds = sum(float(cell.provenance.get("seconds", 0)) for cell in done)
    dates = sorted(str(cell.provenance["finished"])[:10] for cell in done if cell.provenance.get("finished"))
    rows = [
        ("Weights and data", ", ".join(sorted(models))),
        ("Computed from", _distinct([need for cell in cells for need in cell.needs])),
        ("Words read as", _distinct([text for cell in done for text in _understood(cell.provenance)])),
        ("Seed", _distinct([cell.seed for cell in cells])),
        ("Time", f"{duration(seconds)} in all" if done else ""),
        ("Device", each("device")),
        ("Processor", each("processor")),
        ("Threads", each("threads")),
        ("Python", each("python")),
        ("Versions", ", ".join(f"{name} {' / '.join(found)}" for name, found in sorted(versions.items()))),
        ("Carried over", _adopted(done)),
        ("Made on", " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else ""),
    ]
    return [(name, value) for name, value in rows if value]


def _automatic(figure: Figure, planned: Sequence[Planned], model: str) -> str:
    if (getattr(figure.params, "model", None) or model) != AUTO or not hasattr(figure.params, "model"):
        return ""
    return ", ".join(sorted({name.partition("/")[0] for item in planned for name in item.models.values()}))


def _understood(provenance: Mapping[str, Json]) -> Iterator[str]:
    """What a model that reads words by their nearest names took each prompt for."""
    for prompt, notes in dict(provenance.get("words", {})).items():
        if notes["nearest"]:
            far = ", far from anything known" if notes["far"] else ""
            yield f"“{prompt}”: {notes['nearest'][0]} ({notes['similarity']:.2f}{far})"


def _adopted(cells: Sequence[CellView]) -> str:
    """How cells that were made by an older version of the code were found to be what today's would make."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        if isinstance(adopted := cell.provenance.get("adopted"), Mapping):
            found.setdefault(str(adopted["evidence"]), []).append(str(adopted["from"])[:12])
    return "; ".join(f"from {_distinct(keys)}: {evidence}" for evidence, keys in found.items())


def _distinct(values: Sequence[Json]) -> str:
    found = list(dict.fromkeys(words(value) for value in values if value not in (None, "", {})))
    return ", ".join(found[:FEW]) + (f" … ({len(found)} in all)" if len(found) > FEW else "")
