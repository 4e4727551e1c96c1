"""When a parameter has all its gradients of a step: when it got as many as in the last step of the same function.

A parameter gets one for each microbatch, and each call of a module elsewhere that uses it. Nobody knows beforehand how
many there will be, so a step may hold a surprise: its reader must cope with gradients that come after the last one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch

_UNKNOWN = -1


class Arrivals:
    """Counts gradients of the parameters that it watches, between :meth:`open` and :meth:`close`.

    ``arrived(place, parameter, last)`` is called after each, on the thread that runs the backward.
    """

    def __init__(self, arrived: Callable[[int, torch.nn.Parameter, bool], None]) -> None:
        self._report = arrived
        self._watched: set[int] = set()
        self._expected: WeakKeyDictionary[Any, list[int]] = WeakKeyDictionary()
        self._function: Any = None
        self._counting = False
        self._counts: list[int] = []
        self._order: dict[int, None] = {}  # places, by their first gradient of the step

    def open(self, function: Any, parameters: Sequence[torch.nn.Parameter]) -> None:
        """A step of ``function`` begins."""
        for place, parameter in enumerate(parameters):
            # Without these hooks (torch 2.0) no gradient is ever seen to be the last one.
            if parameter.requires_grad and place not in self._watched and hasattr(parameter, _HOOK):
                getattr(parameter, _HOOK)(functools.partial(self._arrived, place))
                self._watched.add(place)
        self._function, self._counting = function, True
        self._counts = [0] * len(parameters)
        self._order = {}

    def close(self) -> None:
        self._counting = False

    def learn(self, present: Sequence[bool]) -> None:
        """The function's next step is expected to be like this one; ``present`` are the gradients that there are."""
        self._expected[self._function] = [
            count or (_UNKNOWN if there else 0) for count, there in zip(self._counts, present, strict=True)
        ]

    def in_order(self, places: Sequence[int]) -> list[int]:
        """These in the order in which their first gradients came; unseen ones come after, the last parameter first."""
        return [p for p in self._order if p in set(places)] + [
            p for p in reversed(places) if p not in self._order
        ]

    def outstanding(self, places: Sequence[int]) -> int:
        """How many of these parameters will get a last gradient, or may; of a new function's all may."""
        expected = self._expected.get(self._function)
        return len(places) if expected is None else sum(expected[place] != 0 for place in places)

    def _arrived(self, place: int, parameter: torch.nn.Parameter) -> None:
        if not self._counting:
            return  # a backward of the script's, between steps
        self._counts[place] += 1
        self._order.setdefault(place)
        expected = self._expected.get(self._function)
        self._report(place, parameter, expected is not None and self._counts[place] == expected[place])


_HOOK = "register_post_accumulate_grad_hook"
