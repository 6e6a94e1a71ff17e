"""A stranger's report: the wheels in a new environment, and every shipped generator in a new folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT = 6_000_000
"""Bytes that the wheel may have: with what it requires (15 MB), publishing takes less than 30 MB."""
GENERATORS = sorted(p.stem for p in (ROOT / "generators").glob("[!_]*.py"))
QUICK = {"ddpm_schedule", "forward", "gaussian_blur", "mnist_architecture"}
"""Those whose figure takes seconds."""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Noisebook and its models, built from copies: what earlier builds left behind is no part of them."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in ("noisebook", "generators", "images", "templates", "models"):
        shutil.copytree(
            ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        )
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "wheel"]
    places = [str(source), str(source / "models")]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-w", str(target), *places], check=True)
    return sorted(target.glob("*.whl"))


@pytest.fixture(scope="module")
def command(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``noisebook`` in a new environment, with this one's packages in place of downloads."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, symlinks=True)
    (packages,) = place.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", str(place)]
    subprocess.run([*pip, "install", "--no-index", "--no-deps", *map(str, wheels)], check=True)
    (packages / "others.pth").write_text("\n".join(p for p in sys.path if p.endswith("-packages")))
    return place / "bin" / "noisebook"


def noisebook(command: Path, folder: Path, *arguments: str) -> str:
    """What the command says; it must succeed."""
    done = subprocess.run(
        [command, *arguments],
        cwd=folder,
        env=os.environ | {"NOISEBOOK_CACHE_DIR": str(folder.parent / "user-cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def report(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new report with a section for every generator, nothing edited by hand."""
    folder = tmp_path_factory.mktemp("stranger")
    noisebook(command, folder, "init", "report", "--title", "Mine")
    for name in GENERATORS:
        noisebook(command, folder / "report", "new", name.replace("_", "-"), "--generator", name)
    return folder / "report"


def test_the_wheel_is_light_and_its_models_are_a_package_of_their_own(wheels: list[Path]) -> None:
    light, models = wheels
    assert light.stat().st_size < LIGHT
    with zipfile.ZipFile(light) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(n) for n in names if n.endswith("/METADATA"))
    assert "noisebook/embedded/lock.json" in names
    assert not [n for n in names if n.endswith((".safetensors", "library.zip"))]
    requires = message_from_bytes(metadata).get_all("Requires-Dist")
    assert requires is not None
    always = [line for line in requires if "extra ==" not in line]
    assert not [line for line in always if "torch" in line or "models" in line]
    (brought,) = (line for line in requires if line.startswith("noisebook-models"))
    assert "@ file://" in brought and brought.endswith('extra == "compute"')
    with zipfile.ZipFile(models) as archive:
        shipped = {Path(name).name for name in archive.namelist()}
    assert {p.name for p in (ROOT / "models").iterdir() if p.suffix in (".zip", ".safetensors")} <= shipped


def test_every_generator_can_be_planned_in_a_new_report(command: Path, report: Path) -> None:
    said = noisebook(command, report, "status")
    for name in GENERATORS:
        assert f"{name.replace('_', '-')}: " in said


def test_a_course_starts_with_all_its_figures(command: Path, tmp_path: Path) -> None:
    noisebook(command, tmp_path, "init", "mine", "--template", "course")
    said = noisebook(command, tmp_path / "mine", "status")
    assert "\nlogo-large: 1 missing\n" in said and "\nflow-class-samples: 3 missing\n" in said
    noisebook(command, tmp_path / "mine", "build", "--only", "noisy")


@pytest.mark.parametrize("name", sorted(QUICK))
def test_a_quick_figure_is_drawn(command: Path, report: Path, name: str) -> None:
    noisebook(command, report, "build", "--only", name.replace("_", "-"))


def test_a_prompt_that_no_cache_knows_is_drawn_by_the_embedded_model(command: Path, report: Path) -> None:
    section = report / "sections" / "text-to-image.md"
    prompt = f'params:\n  prompts: ["a lighthouse number {os.getpid()}"]'
    section.write_text(section.read_text().replace("params:", prompt, 1))
    noisebook(command, report, "build", "--draft", "--only", "text-to-image")
