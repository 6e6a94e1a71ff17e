"""The numbers that the report's texts have by hand are those of its records, models and formulas."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from noisebook.cells.plan import Planned
from noisebook.cells.record import Record
from noisebook.project import Project
from noisebook.render.outputs import older

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def book() -> Project:
    return Project(ROOT)


def said(file: str) -> str:
    """A text in one line."""
    return re.sub("[ \n]+", " ", (ROOT / file).read_text("utf-8"))


def cell(book: Project, figure: str, name: str = "") -> tuple[Planned, Record]:
    """A cell of a figure and its record: today's, or the newest of an earlier version."""
    found = next(each for each in book.planned[figure] if name in (each.cell.id, ""))
    record = found.record or older(found)
    assert record, f"{figure}/{name} has never been computed"
    return found, record


def number(book: Project, figure: str, name: str, output: str) -> float:
    planned, record = cell(book, figure, name)
    stored = record.output(output)
    assert stored, (figure, name, output)
    return float(json.loads(planned.store.open(stored))["value"])


def test_the_library_is_as_large_as_the_texts_say() -> None:
    pictures: list[dict[str, str]] = []
    for name in ("library", "scenes"):
        with zipfile.ZipFile(ROOT / "models" / f"{name}.zip") as archive:
            pictures += json.loads(archive.read("index.json"))["pictures"]
    photographs = Counter(each["style"] for each in pictures)["photograph"]
    readme, opening = said("models/README.md"), said("sections/a-introduction.md")
    assert f"{len(pictures):,} pictures:" in readme
    assert f"{photographs:,} views and crops of 34 photographs" in readme
    assert f"{photographs:,} views and crops of 34 free photographs" in opening
    assert round(len(pictures), -3) == 8000 and "some eight thousand pictures" in opening
    for name, size in (("library.zip", "28 MB"), ("scenes.zip", "11 MB")):
        assert f"{(ROOT / 'models' / name).stat().st_size / 1e6:.0f} MB" == size
        assert f"`{name}` ({size}" in readme


def test_the_tables_of_scores_are_those_of_the_records(book: Project) -> None:
    readme = said("models/README.md")

    def shares(figure: str, name: str, digits: int, first: str = "top-1", among: str = "top-5") -> str:
        return " / ".join(f"{number(book, figure, name, each):.{digits}f}%" for each in (first, among))

    exact = ("exact-scores", "gamma=7-n=440")
    for row in (
        f"first guess / among five | {shares(*exact, 1)} |",
        f"in a style held out | {shares('subject-judge', 'judge', 1, 'held-out top-1', 'held-out top-5')} |",
        f"| plain copies | {number(book, *exact, 'copies'):.0f}% |",
        f"| nearest variant of the bank, median | {number(book, *exact, 'nearest'):.1f} dB |",
        f"(library to itself) | {number(book, *exact, 'Fréchet distance'):.0f}"
        f" ({number(book, *exact, 'noise floor'):.0f}) |",
    ):
        assert row in readme, row
    both = {
        (model, gamma): ("both-scores", f"model={model}.gamma={gamma}-n=440-taught")
        for model in ("exact", "net")
        for gamma in (3, 7)
    }
    subjects = number(book, *both["net", 3], "subjects")
    for row in (
        f"| recognised, γ = 3, {subjects:.0f} subjects taught: first guess / among five |"
        f" {shares(*both['net', 3], 0)} (`exact`: {shares(*both['exact', 3], 0)}) |",
        f"| the same at γ = 7 | {shares(*both['net', 7], 0)} (`exact`: {shares(*both['exact', 7], 0)}) |",
        f"| plain copies | none (`exact` at γ = 3: {int(number(book, *both['exact', 3], 'copies'))}%) |",
    ):
        assert row in readme, row
    assert number(book, *both["net", 3], "copies") == 0


def test_the_times_and_sizes_of_training_are_those_of_the_records(book: Project) -> None:
    from safetensors import safe_open

    readme = said("models/README.md")
    seconds = number(book, "net-stage1", "pictures=710400", "training time")
    assert f"; {seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min |" in readme
    assert f"{number(book, 'net-stage2', 'pictures=48000', 'training time') / 60:.0f} min |" in readme
    for name, count in (("stage1", "8.1 million weights (16 MB"), ("stage2", "2.9 million weights (6 MB)")):
        file = ROOT / "models" / f"net-{name}.safetensors"
        with safe_open(file, "numpy") as weights:
            found = sum(weights.get_tensor(each).size for each in weights.keys())  # noqa: SIM118
        assert f"{found / 1e6:.1f} million weights ({file.stat().st_size / 1e6:.0f} MB" == count.rstrip(")")
        assert count in readme


def test_a_run_of_training_took_at_least_as_long_as_its_training(book: Project) -> None:
    for figure in ("net-stage1", "net-stage2"):
        before = 0.0
        for planned in book.planned[figure]:
            record = planned.record
            assert record
            trained = number(book, figure, planned.cell.id, "training time")
            assert record.provenance["seconds"] >= trained - before - 1e-3, planned.cell.id
            before = trained


def test_the_factors_of_an_error_are_those_of_the_schedule() -> None:
    from noisebook.diffusion.schedules import squared_cosine

    alphas = squared_cosine()
    factor = {t: float(((1 - alphas[t]) / alphas[t]).sqrt()) for t in (250, 750, 990)}
    text = said("sections/a1.3-one-step.md")
    assert (
        f"which is {factor[250]:.1f} at $t = 250$, {factor[750]:.1f} at 750 and {factor[990]:.0f} at 990"
        in text
    )


def test_the_wider_network_has_as_many_parameters_as_the_text_says() -> None:
    import torch

    from noisebook.networks.mnist.unet import unet_for

    with torch.device("meta"):
        count = sum(each.numel() for each in unet_for("denoise", 128).parameters())
    assert f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") + " at $D = 128$" in said(
        "sections/b1.1-unet.md"
    )
