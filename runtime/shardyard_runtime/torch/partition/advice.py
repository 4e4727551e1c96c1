"""How a step would go under each schedule: time, idle ranks and memory, by the costs of a partitioned model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shardyard_runtime.torch.partition.auto import SEGMENTS
from shardyard_runtime.torch.partition.decision import Decision, Share
from shardyard_runtime.torch.pipeline.schedule.plans import FOLLOWED, NAMES, chain_plan, fastest
from shardyard_runtime.torch.pipeline.schedule.workload import Segment

# A backward computes two gradients, each of which costs about what the forward does.
_FORWARDS = 3


@dataclass(frozen=True)
class Prediction:
    """A step of so many microbatches under a schedule.

    ``step_time`` in units of one microbatch's forward and backward through the whole model on one device, ``speedup`` over
    all of them there. By rank: ``idle``, its share of the step, ``live`` microbatches and ``peak_bytes``, of parameters,
    gradients, the optimizer and activations. ``built``: the engine can follow it. ``best``: of those with as many microbatches
    that it can follow none is faster.
    """

    schedule: str
    microbatches: int
    step_time: float
    speedup: float
    idle_share: float
    idle: tuple[float, ...]
    live: tuple[int, ...]
    peak_bytes: tuple[int, ...]
    built: bool
    best: bool


def predictions(
    decided: Callable[[int, int], Decision], ranks: int, active: int, counts: Sequence[int]
) -> list[Prediction]:
    """Every schedule with every number of microbatches, all as large as the one that was traced.

    ``decided(n, 1)`` cuts the model into n parts. Sending takes no time here. A model with too few parts for virtual
    stages has none.
    """
    found: list[Prediction] = []
    whole, finer = decided(ranks, 1).shares, decided(ranks * SEGMENTS, 1).shares
    for count in counts:
        plans = []
        for name in NAMES:
            shares = finer if name == "virtual_stages" else whole
            if all(share.parameters for share in shares) or shares is whole:
                plans.append((chain_plan(name, _segments(shares), ranks, count, active), shares))
        best = fastest([plan for plan, _ in plans if plan.name in FOLLOWED])
        for plan, shares in plans:
            states = [sum(share.state_bytes for share in shares[rank::ranks]) for rank in range(ranks)]
            seen = plan.outcome
            found.append(
                Prediction(
                    plan.name,
                    count,
                    seen.seconds / _FORWARDS,
                    count * _FORWARDS / seen.seconds if seen.seconds else 1.0,
                    seen.idle_share,
                    seen.idle,
                    seen.live,
                    tuple(map(sum, zip(states, seen.peak_bytes, strict=True))),
                    plan.name in FOLLOWED,
                    plan is best,
                )
            )
    return found


def _segments(shares: Sequence[Share]) -> list[Segment]:
    return [Segment(one.time, one.time, one.time, one.activation_bytes) for one in shares]
