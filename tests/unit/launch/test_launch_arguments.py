from __future__ import annotations

import argparse

from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.launch.arguments import to_arguments

NAMES = st.text(st.characters(categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)


def test_the_documented_rendering() -> None:
    values = {
        "b": 1,
        "flag": True,
        "mp_parameters": {"microbatches": 4, "ddp": True},
        "a_list": [1, 2],
        "none": None,
    }
    assert to_arguments(values) == [
        *("--a_list", "[1, 2]", "-b", "1", "--flag", "True"),
        *("--mp_parameters", "ddp=True,microbatches=4", "--none", ""),
    ]


@given(st.dictionaries(NAMES, SCALARS))
def test_one_name_and_one_word_for_every_value(values: dict[str, object]) -> None:
    arguments = to_arguments(values)
    assert [name.lstrip("-") for name in arguments[::2]] == sorted(values)
    expected = ["" if values[name] is None else str(values[name]) for name in sorted(values)]
    assert arguments[1::2] == expected


@given(st.text(max_size=40))
def test_any_text_reaches_argparse_unchanged(text: str) -> None:
    name, value = to_arguments({"prompt": text})
    parser = argparse.ArgumentParser()
    parser.add_argument("--prompt")
    assert parser.parse_args([f"{name}={value}"]).prompt == text


@given(st.dictionaries(NAMES, st.integers() | st.booleans(), min_size=1))
def test_a_mapping_is_one_word_sorted_by_key(mapping: dict[str, object]) -> None:
    _, word = to_arguments({"mp_parameters": mapping})
    pairs = [pair.split("=") for pair in word.split(",")]
    assert [key for key, _ in pairs] == sorted(mapping)
    assert dict(pairs) == {key: str(value) for key, value in mapping.items()}
