"""Puts back what a traced microbatch may have changed: modules, gradients, random state."""

from __future__ import annotations

import contextlib
import random
import sys
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

_CONTAINERS = (dict, OrderedDict, list, set)


@contextlib.contextmanager
def left_as_found(root: nn.Module) -> Iterator[None]:
    """Attributes of every module (buffers, training mode and hooks among them), gradients and random state.

    What a module keeps in a dict, list or set of its own is put back too, in place; what lies deeper is not.
    The tensors themselves are the business of :mod:`stand_ins`.
    """
    modules = [(module, dict(module.__dict__)) for module in root.modules()]
    held = [
        (value, value.copy())
        for _, attributes in modules
        for value in attributes.values()
        if type(value) in _CONTAINERS
    ]
    gradients = [(parameter, parameter.grad) for parameter in root.parameters()]
    with _random_state():
        try:
            yield
        finally:
            for module, attributes in modules:
                module.__dict__.clear()
                module.__dict__.update(attributes)
            for container, content in held:
                _refill(container, content)
            for parameter, gradient in gradients:
                parameter.grad = gradient


def _refill(container: Any, content: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(content)
    else:
        container.update(content)


@contextlib.contextmanager
def _random_state() -> Iterator[None]:
    numpy = sys.modules.get("numpy")  # a script that never imported it draws nothing from it
    python_state = random.getstate()
    numpy_state = numpy.random.get_state() if numpy else None
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python_state)
            if numpy:
                numpy.random.set_state(numpy_state)
