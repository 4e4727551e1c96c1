"""Which ranks can never go on, told from what each of them says of itself. Pure functions.

A report holds how many messages its rank has sent to and taken from each other rank. Two equal reports of a rank, one
before and one after a common moment, mean that it waited all the time in between; when the counts of all pairs agree
too, no message was on its way at that moment (Mattern, Algorithms for distributed termination detection, 1987).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Collective:
    """A collective of torch.distributed that a rank is in: the ranks that it needs, and this rank's count of calls."""

    group: str
    needs: tuple[int, ...]
    count: int


@dataclass(frozen=True)
class Report:
    """What one waiting rank says.

    ``serial`` names the wait, ``on`` are the ranks of which any can end it, ``sent`` and ``taken`` count messages by
    the other rank, ``counts`` are its calls in each group, ``ended`` those of the ranks whose last message was taken.
    """

    rank: int
    serial: int
    on: tuple[int, ...]
    what: tuple[str, ...] = field(compare=False)
    sent: tuple[int, ...]
    taken: tuple[int, ...]
    ended: Mapping[int, Mapping[str, int]]
    collective: Collective | None
    counts: Mapping[str, int]


def stuck(reports: Mapping[int, Report]) -> set[int]:
    """The largest set of ranks that wait only for each other, and for ranks that have ended."""
    members = set(reports)
    while True:
        free = {rank for rank in members if _may_go_on(reports[rank], reports, members)}
        free |= {
            b
            for a in members
            for b in members
            if a != b and reports[a].sent[b] != reports[b].taken[a]  # a message is on its way
        }
        if not free:
            return members
        members -= free


def _may_go_on(report: Report, reports: Mapping[int, Report], members: set[int]) -> bool:
    if report.collective is None:
        return any(rank not in members and rank not in report.ended for rank in report.on)
    # It goes on once those it needs have made the same call: one that is stuck before it, or has ended, never will.
    missing = missing_from(report, reports)
    return not any(rank in members or rank in report.ended for rank in missing)


def missing_from(report: Report, reports: Mapping[int, Report]) -> tuple[int, ...]:
    """The ranks needed by the collective that the rank is in which are known not to have made the same call."""
    call = report.collective
    assert call is not None
    counts = {rank: other.counts for rank, other in reports.items()} | dict(report.ended)
    # One that has destroyed the group does not say what it had called before.
    return tuple(r for r in call.needs if r in counts and counts[r].get(call.group, call.count) < call.count)


def explanation(reports: Mapping[int, Report], members: set[int]) -> str:
    """Who waits for whom and for what, a line each."""
    lines = ["deadlock: these ranks wait, and no message is on its way that one of them waits for"]
    for rank in sorted(members):
        report = reports[rank]
        on = missing_from(report, reports) if report.collective else report.on
        whom = ", ".join(f"{r} (which has ended)" if r in report.ended else str(r) for r in on)
        lines += [f"  rank {rank} waits for rank {whom}: {what}" for what in report.what]
    lines.append(
        "Check that every rank calls the same step functions and collectives in the same order, and that each "
        "smp.recv_from has its smp.send"
    )
    return "\n".join(lines)
