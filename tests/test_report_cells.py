"""What a generator says of its cells is checked before anything is made of it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.cells.contract import Cell, Labelled, Need
from noisebook.report.resolve import _checked
from tests.test_cells_border import ANY

FIELDS: dict[str, list[Any]] = {
    "id": ["", "../x", "a\n", 3, None],
    "label": [3, "\ud800"],
    "alt": [None, "\udfff"],
    "params": [{"a": math.nan}, {"a": object()}, {"a": 10**5000}],
    "inputs": [{"a": 3}],
    "models": [{"a": object()}],
    "needs": [{"a": 3}, {"a": "tile"}],
    "seed": ["x", 10**50, 1.5, 2**64],
    "minutes": [math.nan, math.inf, -1, "x", None],
    "pictures": [[3], [Labelled("a", "", ""), Labelled("a", "", "")]],
}


@pytest.mark.parametrize(("field", "value"), [(name, each) for name, some in FIELDS.items() for each in some])
def test_a_field_of_another_kind_is_told(field: str, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        _checked([Cell(**{"id": "a", "label": "x", "alt": "x", field: value})])


def test_what_the_contract_allows_is_taken() -> None:
    needs = {"a": Need("tile", {}, "a")}
    cell = Cell(
        "a", "x", "x", {"a": [1, None]}, {"a": "b"}, {"a": "b"}, needs, None, 3, [Labelled("a", "", "")]
    )
    assert _checked([cell]) == (cell,)


@settings(max_examples=100, deadline=None)
@given(field=st.sampled_from(sorted(FIELDS)), value=ANY)
def test_a_field_of_any_value_is_told_or_taken(field: str, value: Any) -> None:
    try:
        [cell] = _checked([Cell(**{"id": "a", "label": "x", "alt": "x", field: value})])
    except (ValueError, TypeError, AttributeError):
        return
    assert isinstance(cell.label, str) and math.isfinite(cell.minutes) and not isinstance(cell.seed, float)
