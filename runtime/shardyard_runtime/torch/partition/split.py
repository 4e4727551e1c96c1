"""Where to cut a sequence of costs: contiguous parts whose dearest is as cheap as can be."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

# A dearest part this much above the best possible is accepted where fewer modules are torn for it.
SLACK = 0.02
_CHOICES = 64


def bottleneck(costs: Sequence[float], parts: int) -> float:
    """The smallest possible cost of the dearest of at most ``parts`` contiguous parts."""
    prefix = [0.0, *accumulate(costs)]
    low, high = max(max(costs), prefix[-1] / parts), prefix[-1]
    while True:
        middle = (low + high) / 2
        if not low < middle < high:
            return high
        if _reach(prefix, parts, middle)[-1] == len(costs):
            high = middle
        else:
            low = middle


def cuts(costs: Sequence[float], parts: int, depth: Sequence[int]) -> list[int]:
    """Where each part after the first begins; at most ``parts``, none of them empty.

    Of all cuts whose dearest part is within 2 % of the best, those with the smallest sum of ``depth`` (of the
    piece behind the cut), then the most even ones; exactly so while a cut has no more than 64 places to choose
    from, else of 64 places spread evenly and then of the neighbours of the ones found.
    """
    parts = max(1, min(parts, len(costs)))
    if parts == 1:
        return []
    prefix = [0.0, *accumulate(costs)]
    bound = bottleneck(costs, parts) * (1 + SLACK * 0.99)
    places = _places(prefix, parts, bound)
    spread = [_thinned(place, depth) for place in places]
    found = _best(prefix, spread, depth, bound)
    if sum(map(len, spread)) < sum(map(len, places)):
        near = [_neighbours(c, place, depth) for c, place in zip(found, places, strict=True)]
        found = _best(prefix, near, depth, bound)
    return found


def _best(
    prefix: Sequence[float], places: Sequence[Sequence[int]], depth: Sequence[int], bound: float
) -> list[int]:
    """The cuts, one of each of ``places``, of the smallest (depths, sum of squared costs) within ``bound``."""
    n, fits = len(prefix) - 1, bound * (1 + 1e-9)  # sums of floats
    ways: list[dict[int, tuple[float, float, int]]] = [
        {0: (0.0, 0.0, 0)}
    ]  # end: depths, squares, the cut before
    for ends in [*places, [n]]:
        reached: dict[int, tuple[float, float, int]] = {}
        for end in ends:
            torn = depth[end] if end < n else 0
            options = [
                (depths + torn, squares + (prefix[end] - prefix[start]) ** 2, start)
                for start, (depths, squares, _) in ways[-1].items()
                if start < end and prefix[end] - prefix[start] <= fits
            ]
            if options:
                reached[end] = min(options)
        ways.append(reached)
    found, end = [], n
    for way in reversed(ways[2:]):
        end = way[end][2]
        found.append(end)
    return found[::-1]


def _reach(prefix: Sequence[float], parts: int, bound: float) -> list[int]:
    """How far 1, 2, ... ``parts`` parts can reach when each takes as much as ``bound`` allows."""
    reached, end = [], 0
    for _ in range(parts):
        end = bisect_right(prefix, prefix[end] + bound) - 1
        reached.append(end)
    return reached


def _places(prefix: Sequence[float], parts: int, bound: float) -> list[range]:
    """Per cut, from where both ends can be reached within ``bound``. The last of each make one whole solution."""
    n = len(prefix) - 1
    latest = [min(end, n - parts + k) for k, end in enumerate(_reach(prefix, parts - 1, bound), 1)]
    earliest, start = [], n
    for k in range(parts - 1, 0, -1):
        start = max(k, bisect_left(prefix, prefix[start] - bound))
        earliest.append(start)
    return [range(min(low, high), high + 1) for low, high in zip(reversed(earliest), latest, strict=True)]


def _thinned(place: range, depth: Sequence[int]) -> list[int]:
    """The shallowest positions; of the first depth with too many, evenly spread ones. The last always."""
    if len(place) <= _CHOICES:
        return list(place)
    order = sorted(place, key=lambda i: depth[i])
    deepest = depth[order[_CHOICES]]
    kept = [i for i in order[:_CHOICES] if depth[i] < deepest]
    rest = [i for i in order if depth[i] == deepest]
    wanted = _CHOICES - len(kept)
    kept += [rest[k * len(rest) // wanted] for k in range(wanted)]
    return sorted({place[-1], *kept})


def _neighbours(cut: int, place: range, depth: Sequence[int]) -> list[int]:
    """The positions nearest to a cut that are no deeper."""
    alike = [i for i in place if depth[i] <= depth[cut]]
    middle = bisect_left(alike, cut)
    return alike[max(0, middle - _CHOICES // 2) : middle + _CHOICES // 2]
