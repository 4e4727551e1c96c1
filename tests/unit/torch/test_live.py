"""At most so many microbatches are worked on at once, in whatever order messages arrive."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.torch.pipeline.live import Live


def test_a_message_of_one_too_many_waits_for_the_end_of_another() -> None:
    live = Live(2)
    assert live.enter(0)
    assert live.enter(1)
    assert live.enter(0)
    for number in range(2):
        assert not live.enter(2)
        live.hold(2, 1, f"second {number}")
    assert not live.enter(3)
    live.hold(3, 1, "third")
    assert live.leave(1) == [(1, "second 0"), (1, "second 1")]
    assert live.leave(5) == []
    assert live.leave(0) == [(1, "third")]
    assert (len(live), live.peak) == (2, 2)


@given(st.integers(1, 4), st.integers(1, 12), st.randoms(use_true_random=False))
def test_every_message_is_taken_and_none_too_early(most: int, count: int, chance: random.Random) -> None:
    """A third rank's messages come in its order; the leader's words on what has ended come in theirs, and late."""
    live = Live(most)
    unsent = {microbatch: [0, 1] for microbatch in range(count)}
    taken: list[tuple[int, int]] = []
    ended = heard = 0  # microbatches, by the leader and by this rank
    while heard < count:
        running = [m for m in range(ended, min(ended + most, count)) if unsent[m]]
        words = ["ends"] * (ended < count and not unsent[ended]) + ["hears"] * (heard < ended)
        what = chance.choice([*running, *words])
        if what == "ends":
            ended += 1
        elif what == "hears":
            taken += [message for _, message in live.leave(heard)]
            heard += 1
        else:
            message = (what, unsent[what].pop(0))
            if live.enter(what):
                taken.append(message)
            else:
                live.hold(what, 1, message)
        assert live.peak <= most
    assert sorted(taken) == [(m, k) for m in range(count) for k in range(2)]
    assert all(k == 0 or taken.index((m, 0)) < taken.index((m, 1)) for m, k in taken)
