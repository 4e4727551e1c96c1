"""Runs in the SDK v2's own environment: its verdict on each dict of parameters that comes in as JSON."""

from __future__ import annotations

import json
import sys

from sagemaker.fw_utils import validate_mp_config


def verdict(parameters: dict[str, object]) -> str:
    try:
        validate_mp_config(parameters)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


print(json.dumps([verdict(one) for one in json.load(sys.stdin)]))
