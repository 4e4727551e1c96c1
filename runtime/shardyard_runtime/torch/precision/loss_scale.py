"""The factor on a float16 loss that keeps small gradients from vanishing: fixed, or found while training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any


@dataclass
class LossScale:
    """A fixed scale."""

    scale: float = 1.0

    def update(self, overflow: bool) -> None:
        """Called once an optimizer step, with what every rank agreed on."""

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self.scale}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """A fixed scale stays what the script says."""


@dataclass
class DynamicLossScale(LossScale):
    """Falls on overflow, rises after ``scale_window`` steps without one.

    Of ``delayed_shift`` overflows the first ones only skip the step, the last lowers the scale. The count starts
    again when the scale rises; with ``consecutive_hysteresis`` after every step without overflow.
    """

    scale: float = 2.0**32
    factor: float = 2.0
    window: int = 1000
    minimum: float = 1.0
    delayed_shift: int = 1
    consecutive_hysteresis: bool = False

    def __post_init__(self) -> None:
        self._tolerated = self.delayed_shift - 1
        self._since = 0  # steps since the last overflow

    def update(self, overflow: bool) -> None:
        if overflow:
            self._since = 0
            if self._tolerated > 0:
                self._tolerated -= 1
            else:
                self.scale = max(self.scale / self.factor, self.minimum)
            return
        self._since += 1
        risen = self._since % self.window == 0
        if risen:
            self.scale *= self.factor
        if risen or self.consecutive_hysteresis:
            self._tolerated = self.delayed_shift - 1

    def state_dict(self) -> dict[str, Any]:
        return {"scale": self.scale, "since": self._since, "tolerated": self._tolerated}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Goes on where a dynamic scale was saved; a fixed one says nothing about where to go on."""
        if "since" in saved:
            self.scale, self._since, self._tolerated = saved["scale"], saved["since"], saved["tolerated"]


_ARGUMENTS = {  # documented name -> ours
    "init_scale": "scale",
    "scale_factor": "factor",
    "scale_window": "window",
    "min_scale": "minimum",
    "delayed_shift": "delayed_shift",
    "consecutive_hysteresis": "consecutive_hysteresis",
}
assert set(_ARGUMENTS.values()) == {field.name for field in fields(DynamicLossScale)}


def loss_scale(static: float | None, dynamic: bool, arguments: Mapping[str, Any]) -> LossScale:
    """What the arguments of ``smp.DistributedOptimizer`` ask for. Raises TypeError for an unknown one."""
    for name in arguments:
        if name not in _ARGUMENTS:
            near = get_close_matches(name, _ARGUMENTS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {sorted(_ARGUMENTS)}"
            raise TypeError(f"dynamic_loss_args of smp.DistributedOptimizer has no {name!r}; {hint}")
    if dynamic:
        return DynamicLossScale(**{_ARGUMENTS[name]: value for name, value in arguments.items()})
    return LossScale(1.0 if static is None else float(static))
