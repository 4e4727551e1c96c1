from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shardyard.sagemaker.source import Expression, source

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(VALUES, st.sampled_from([0, 4, 60]))
def test_the_source_means_the_value(value: Any, indent: int) -> None:
    text = source(value, indent)
    assert repr(eval(f"(\n{text}\n)")) == repr(value)  # repr tells True from 1


def test_nan() -> None:
    assert math.isnan(eval(source(float("nan"))))


def test_long_values_are_laid_out_as_a_formatter_would() -> None:
    value = {"a": "x" * 40, "b": {"c": ["y" * 40, Expression("here()")]}}
    assert source(value, 4).splitlines() == [
        "{",
        f'        "a": "{"x" * 40}",',
        f'        "b": {{"c": ["{"y" * 40}", here()]}},',
        "    }",
    ]
