"""Section files mutated at the level of YAML's tokens: a report or its problems, never a traceback.

Bytes changed at random would nearly all be refused by the YAML parser and test nothing behind it. These
mutations change whole values, keys, lines and calls, and one example in two must reach the schema.
"""

import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from noisebook.cells.registry import Registry
from noisebook.report import sections as reading
from noisebook.report.load import load_report
from noisebook.report.model import BadInput, Position, Report
from tests.test_report_load import SHORT, make_report

FULL = """---
title: "Inpainting: what a mask does"
part: A
number: "A1.7.2"
summary: A hole is filled so that nobody sees where it was.
figures:
  - id: holes
    generator: dots
    params:
      picture: images/tower.png
      masks: [images/tower.png, images/tower.png]
      region: {left: 3, mask: images/tower.png}
      sigma: 1.5
      counts: [1, 5, 20]
      shape: square
      filled: false
      note: >-
        text that goes on
        for two lines
    caption: Dots with $\\\\sigma = 1.5$; compare {{ ref("one") }}.
    alt: 'Dots: many'
    layout:
      columns: 3
  - id: level
    generator: needy
    params: {level: 3}
---
# What happens

See {{ ref("holes") }} and {{ ref("level") }}, with `code` and $x_t = \\\\sqrt{\\\\bar\\\\alpha_t}\\\\,x_0$.

{{ figure("holes") }}

```python
x = {"a": "$b$"}
```

$$\\\\begin{align} a &= b \\\\label{eq} \\\\end{align}$$

{{ figure("level") }}
""".replace("\\\\", "\\")

REPO = Path(__file__).parents[1]
REAL = [path.read_text() for path in sorted((REPO / "sections").glob("*.md"))]
"""The report's own sections, whose pictures and generators the test report has too."""

VALUES = [
    *("1", "0", "-1", "2.5", "1e-4", "1e999", ".inf", ".nan", "0x1F", "9" * 20, "true", "no", "null", "~"),
    *("[]", "{}", "[1,2]", "[a]", "{a: 1}", "{left: -5}", '""', "''", '"x"', '"\\0"', '"\\ud800"', "|", ">"),
    *("images/tower.png", "images/none.png", "../out.png", "/etc/passwd", "images", "images/small.png"),
    *(
        "square",
        "squar",
        "dots",
        "dot",
        "needy",
        "holes",
        "level",
        "one",
        "A",
        "C",
        "<script>alert(1)</script>",
    ),
    *(
        "*a",
        "&a",
        "&a [1]",
        "!!str",
        "!!python/object:x",
        "?",
        ":",
        "-",
        "---",
        "...",
        "#",
        "@x",
        "`x`",
        "%x",
    ),
    *("{{ref('holes')}}", "\"{{figure('level')}}\"", '"$\\\\foo$"', '"$x$"', "é", "☃", "💥", "[" * 30),
    *("\u2028", "\u0085", "\ufeff", "\t", "\r", "\x00", "\x07"),
]
KEYS = [
    *(
        "title",
        "part",
        "number",
        "summary",
        "figures",
        "id",
        "generator",
        "params",
        "caption",
        "alt",
        "layout",
    ),
    *("columns", "picture", "masks", "region", "left", "mask", "sigma", "counts", "shape", "filled", "note"),
    *("level", "titel", "x", "<<"),
]
CALLS = [
    '{{ ref("no") }}',
    "{{ x }}",
    "{{",
    "}}",
    "$",
    "$$",
    "`",
    "```",
    "\\",
    '{{ figure("level") }}',
    "$\\foo$",
    "<b>",
    "\t",
]

_TOKEN = re.compile(r"""("[^"\n]*"|'[^'\n]*'|[A-Za-z0-9_./+-]+|[^\S\n]+|\n|.)""")


def mutate(text: str, choose: random.Random) -> str:
    """One to four changes, each to a whole token, line or call."""
    for _ in range(choose.randint(1, 4)):
        head, fence, body = text.partition("\n---\n")
        where = choose.random()
        if where < 0.15:
            words = re.split(r"(\s+)", body)
            words.insert(choose.randrange(len(words) + 1), choose.choice(CALLS))
            text = head + fence + "".join(words)
            continue
        if where < 0.35:
            lines = head.split("\n")
            index = choose.randrange(len(lines))
            other = choose.randrange(len(lines))
            match choose.randrange(4):
                case 0:
                    del lines[index]
                case 1:
                    lines.insert(other, lines[index])
                case 2:
                    lines[index], lines[other] = lines[other], lines[index]
                case _:
                    lines[index] = choose.choice(["  ", "\t", "- ", ""]) + lines[index]
            text = "\n".join(lines) + fence + body
            continue
        tokens = _TOKEN.findall(head)
        words_at = [i for i, token in enumerate(tokens) if re.match(r"[\w\"'./]", token)]
        if not words_at:
            return text
        index = choose.choice(words_at)
        is_key = tokens[index + 1 : index + 2] == [":"]
        match choose.randrange(8):
            case 0:
                tokens[index] = ""
            case 1:
                tokens[index] = choose.choice(KEYS if is_key else VALUES)
            case 2:
                tokens[index] = tokens[choose.choice(words_at)]
            case 3:
                word = tokens[index]
                at = choose.randrange(len(word))
                tokens[index] = word[:at] + choose.choice("aZ0-_.é ") + word[at + 1 :]
            case _:
                values_at = [i for i in words_at if tokens[i + 1 : i + 2] != [":"]]
                tokens[choose.choice(values_at or words_at)] = choose.choice(VALUES)
        text = "".join(tokens) + fence + body
    return text


def check(root: Path, text: str) -> None:
    """Load a report with this section; what comes out is a report, or problems with places in its files."""
    (root / "sections/one.md").write_bytes(text.encode())
    try:
        report = load_report(root, Registry(root))
    except BadInput as bad:
        assert bad.problems
        for problem in bad.problems:
            position = problem.position
            assert isinstance(position, Position) and problem.message and "Traceback" not in problem.message
            if position.file == "sections/one.md":
                lines = text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff").split("\n")
                assert 1 <= position.line <= len(lines)
                assert 1 <= position.column <= len(lines[position.line - 1]) + 1
    else:
        assert isinstance(report, Report)


def fuzz(root: Path, monkeypatch: pytest.MonkeyPatch, examples: int) -> None:
    shutil.copytree(REPO / "images", root / "images")
    make_report(root, other=SHORT)
    check(root, FULL)
    assert load_report(root, Registry(root)), "the unchanged section is good"
    reached, runs = 0, 0
    original = reading.validate

    def counting(model, *arguments, **named):
        nonlocal reached
        reached += model is reading.SectionFile and arguments[0].get("title") != "Other"
        return original(model, *arguments, **named)

    monkeypatch.setattr(reading, "validate", counting)

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from([FULL, FULL, FULL, *REAL]), st.integers(0, 2**32))
    def every_mutation(text: str, seed: int) -> None:
        nonlocal runs
        runs += 1
        check(root, mutate(text, random.Random(seed)))

    every_mutation()
    assert runs >= examples
    assert reached >= runs / 2, f"only {reached} of {runs} mutated files got as far as the schema"


CONFIG = """title: A report
subtitle: "With a subtitle"
authors: [One, 'Two']
description: >-
  Several lines
  of it.
language: en
seed: 42
model: exact
store: cache
parts: {A: First, B: Second}
sections:
  - one
  - other
base_url: https://example.org/report/
minutes_limit: 15.5
key_policy: [torch, device]
"""


def test_mutated_report_yaml(tmp_path):
    make_report(tmp_path, other=SHORT)
    path = tmp_path / "report.yaml"
    path.write_text(CONFIG)
    (tmp_path / "sections/one.md").write_text(FULL)
    assert load_report(tmp_path, Registry(tmp_path)).authors == ("One", "Two")
    for seed in range(200):
        path.write_bytes(mutate(CONFIG, random.Random(seed)).encode())
        check(tmp_path, FULL)


def test_mutated_sections(tmp_path, monkeypatch):
    fuzz(tmp_path, monkeypatch, 200)


@pytest.mark.soak
def test_many_mutated_sections(tmp_path, monkeypatch):
    fuzz(tmp_path, monkeypatch, 10_000)
