from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.launch.masking import MASK, Masker, is_secret


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("AWS_SECRET_ACCESS_KEY", True),
        ("aws_access_key_id", True),
        ("HF_TOKEN", True),
        ("db-password", True),
        ("apiKey", True),
        ("wandb_api_key", True),
        ("max_tokens", False),
        ("tokenizer", False),
        ("key_dim", False),
        ("author", False),
    ],
)
def test_names_tell_secrets(name: str, secret: bool) -> None:
    assert is_secret(name) is secret


@given(st.text(st.characters(codec="utf-8"), min_size=6, max_size=30))
def test_a_secret_is_nowhere_in_what_is_shown(value: str) -> None:
    masker = Masker({"HF_TOKEN": value})
    text = f"before {value} after {json.dumps({'x': value})}"
    shown = masker.mask(text)
    if value not in "before  after {}:x" + MASK:
        assert value not in shown.replace(MASK, "")


def test_variables_arguments_and_addresses() -> None:
    masker = Masker({"nested": {"api_key": "abcdefgh"}})
    assert masker.variables({"SM_HP_PIN_TOKEN": "12", "A": "1 abcdefgh"}) == {
        "SM_HP_PIN_TOKEN": MASK,
        "A": f"1 {MASK}",
    }
    assert masker.arguments(["--token", "12", "--lr", "0.1"]) == ["--token", MASK, "--lr", "0.1"]
    assert masker.mask("at https://aws:tok@host/simple/") == f"at https://aws:{MASK}@host/simple/"


def test_secrets_are_found_in_lists_options_and_addresses() -> None:
    options = "-x 'HF_TOKEN=two words' --mca pml ob1 -x EPOCHS=three33"
    sources = {
        "logins": [{"password": "in a list"}],
        "tokens": ["no secret"],
        "auth": {"names": ["below a secret"]},
        "sagemaker_mpi_custom_mpi_options": options,
        "proxy": "http://me:in-address@host/",
        "unclosed": "HF_TOKEN=unclosed'",
    }
    masker = Masker(sources)
    for hidden in ("in a list", "below a secret", "two words", "in-address", "unclosed'"):
        assert masker.mask(f"<{hidden}>") == f"<{MASK}>"
    for shown in ("no secret", "three33", "ob1"):
        assert masker.mask(f"<{shown}>") == f"<{shown}>"
