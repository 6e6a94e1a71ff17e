"""A choice of samples written into front matter: what was asked for is there, and nothing else is new."""

from __future__ import annotations

import difflib
import json
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.report.edit import written

CHOICE = {("params", "samples"): "[17]", ("chosen",): "{of: 48, by: eye}"}
CHOSEN = {"of": 48, "by": "eye"}


def data(text: str) -> Any:
    return yaml.safe_load(text.split("---")[1])


@pytest.mark.parametrize(
    "front",
    [
        "generator: anagram",
        "generator: anagram # of two",
        "generator: anagram\nparams: {}",
        "generator: anagram\nparams:\ncaption: So",
        "generator: anagram\nparams: {samples: [1, 2], stride: 30}",
        "generator: anagram\nparams: {stride: 30}",
        "generator: anagram\nparams:\n  # which\n  samples: [4]   # the best\n  stride: 30\ncaption: So",
        "generator: anagram\nparams:\n  samples:\n    - 4\n    - 5\n  stride: 30",
        "generator: anagram\nparams:\n  stride: 30\n\n# what follows\ncaption: >-\n  A long\n  one.",
        "generator: anagram\ncaption: |\n  Long.\n\n  And longer.\n",
        "chosen: {of: 24, by: eye}\ngenerator: anagram",
        "chosen:\n  of: 24\n  by: the judge\ngenerator: anagram",
        "generator: anagram\nparams:\n  pairs:\n    - {upright: a, turned: b}",
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_figure_in_short_form(front: str, ending: str) -> None:
    text = f"---\ntitle: T\n{front}\n---\nText --- *as*  it\tis.\n\n---\nAnd more.".replace("\n", ending)
    new = written(text, (), CHOICE)
    before, after = data(text), data(new)
    assert after == {**before, "params": {**(before.get("params") or {}), "samples": [17]}, "chosen": CHOSEN}
    assert new.count("\n") == new.count(ending)
    assert new.endswith(text[text.index("Text") :])
    touched = ("samples", "params", "chosen", "of:", "by:", "- 4", "- 5")
    gone = [line[2:] for line in difflib.ndiff(text.split(ending), new.split(ending)) if line[:2] == "- "]
    assert all(any(word in line for word in touched) for line in gone), "no other line has changed"
    assert new.count("#") == text.count("#"), "comments stay"
    assert written(new, (), CHOICE) == new, "once more changes nothing"


SEVERAL = """---
title: T
figures:
  - id: one
    generator: anagram
    params: {samples: [3]}   # three
  -   id: two
      generator: sample # the one

  - {id: three, generator: anagram, params: {stride: 30, samples: [3]}}
---
Text.
"""


def test_one_figure_of_several() -> None:
    assert written(SEVERAL, ("figures", 1), CHOICE) == SEVERAL.replace(
        "      generator: sample # the one\n",
        "      generator: sample # the one\n      params: {samples: [17]}\n      chosen: {of: 48, by: eye}\n",
    )
    assert written(SEVERAL, ("figures", 2), CHOICE) == SEVERAL.replace(
        "stride: 30, samples: [3]}}", "stride: 30, samples: [17]}, chosen: {of: 48, by: eye}}"
    )


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["stride", "pairs", "samples", "view", "note"]),
        st.recursive(
            st.none() | st.integers(-9, 99) | st.text("ab #:'\"{}[],-\n", max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)
            ),
            max_leaves=6,
        ),
        max_size=4,
    ),
    st.sampled_from([None, True, False]),
    st.sampled_from([0, 1, 2]),
    st.integers(2, 6),
)
def test_whatever_there_is(params: dict[str, Any], flow: bool | None, index: int, indent: int) -> None:
    figures = [{"id": f"f{k}", "generator": "g", "params": params, "caption": "c\n\nd\n"} for k in range(3)]
    figures = json.loads(json.dumps(figures))  # no part is another's
    front = yaml.safe_dump(
        {"title": "T", "figures": figures}, default_flow_style=flow, indent=indent, sort_keys=False
    )
    new = written(f"---\n{front}---\nBody.", ("figures", index), CHOICE)
    expected = json.loads(json.dumps(figures))
    expected[index]["params"]["samples"] = [17]
    expected[index]["chosen"] = CHOSEN
    found = yaml.safe_load(new[4 : new.rindex("---\nBody.")])
    assert found == {"title": "T", "figures": expected} and new.endswith("---\nBody.")
