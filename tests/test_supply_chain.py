"""What comes from outside: packages by their digests, actions by their commits, workflows that parse."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from noisebook.report.scaffold import NEW

ROOT = Path(__file__).parents[1]
PAGES = NEW / "every" / "github" / "workflows" / "pages.yml"
"""The workflow of a new report."""
PARTS = ("pages", "compute", "torch", "test")
PIN = re.compile(r"([A-Za-z0-9._-]+)==[^\s;\\]+(?: ; [^\\]+)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)")


def parts() -> dict[str, set[str]]:
    """The names that each part of constraints.txt pins."""
    text = (ROOT / "constraints.txt").read_text()
    found = re.split(r"^# (\w+)\n", text, flags=re.MULTILINE)[1:]
    result = {}
    for name, body in zip(found[::2], found[1::2], strict=True):
        entries = re.split(r"\n(?=\S)", body.strip())
        matches = [PIN.fullmatch(entry) for entry in entries]
        assert all(matches), [e.splitlines()[0] for e, m in zip(entries, matches, strict=True) if not m]
        result[name] = {re.sub(r"[-_.]+", "-", match[1]).lower() for match in matches if match}
    return result


def test_every_pin_has_digests_and_every_dependency_a_pin() -> None:
    pinned = parts()
    assert tuple(pinned) == PARTS
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"pages": project["dependencies"], **project["optional-dependencies"]}
    known: set[str] = set()
    for part, extras in (("pages", ["pages"]), ("compute", ["compute"]), ("test", groups)):
        known |= pinned[part] | (pinned["torch"] if part != "pages" else set())
        for extra in extras:
            for line in groups[extra]:
                name = re.match(r"[A-Za-z0-9._-]+", line)
                assert name and re.sub(r"[-_.]+", "-", name[0]).lower() in known, line


def test_publishing_installs_neither_torch_nor_numpy() -> None:
    """With numpy it would be 37 MB of downloads in place of 20."""
    assert not {"numpy", "torch", "torchvision", "diffusers", "transformers"} & parts()["pages"]
    assert {"torch", "torchvision"} <= parts()["torch"]


@pytest.fixture(params=["figures", "pages", "test", "a report's own"])
def workflow(request: pytest.FixtureRequest) -> Path:
    """A workflow's file, whoever's."""
    if request.param != "a report's own":
        return ROOT / ".github" / "workflows" / f"{request.param}.yml"
    return PAGES


def test_a_workflow_is_valid_and_pins_its_actions(workflow: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(workflow)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = workflow.read_text()
    used = re.findall(r"uses: (.*)", text)
    assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each) for each in used), used
    assert text.count("cache: pip") == text.count("actions/setup-python@")
    loaded = yaml.safe_load(text)
    assert loaded["permissions"]["contents"] == "read"
    assert all(job["timeout-minutes"] <= 60 for job in loaded["jobs"].values())


def test_one_action_has_one_commit() -> None:
    files = (ROOT / ".github" / "workflows").glob("*.yml")
    texts = [PAGES.read_text(), *(path.read_text() for path in files)]
    pins = {pin for text in texts for pin in re.findall(r"uses: ([\w./-]+)@(.+)", text)}
    assert len(pins) == len({action for action, _ in pins})
