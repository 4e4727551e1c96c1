"""Runs in the SDK's environment: which keywords its estimators name, and which parameters its check refuses.

Its estimators swallow a keyword that they do not know.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

from sagemaker.fw_utils import validate_mp_config
from sagemaker.pytorch import PyTorch
from sagemaker.tensorflow import TensorFlow


def keywords(estimator: type) -> list[str]:
    named = (inspect.signature(cls.__init__).parameters.values() for cls in estimator.__mro__)
    return sorted({one.name for each in named for one in each if one.kind is one.POSITIONAL_OR_KEYWORD})


def refused(parameters: dict[str, Any]) -> bool:
    try:
        validate_mp_config(parameters)
    except (ValueError, KeyError):
        return True
    return False


print(
    json.dumps(
        {
            "keywords": {one.__name__: keywords(one) for one in (PyTorch, TensorFlow)},
            "refused": [refused(parameters) for parameters in json.loads(sys.argv[1])],
        }
    )
)
