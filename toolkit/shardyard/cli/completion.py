"""What the shell offers as an option's value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args, get_origin, get_type_hints

Complete = Callable[[str], Iterator[str]]


def among(values: Callable[[], Iterable[str]]) -> Complete:
    """Those of the values that begin as what is typed. They are looked up when a shell asks, not before."""

    def complete(incomplete: str) -> Iterator[str]:
        return (value for value in values() if value.startswith(incomplete))

    return complete


def _literal(section: str, key: str) -> tuple[str, ...]:
    """The values that shardyard.toml may have for a key."""
    from shardyard.project import model

    hint = get_type_hints(getattr(model, section))[key]
    return tuple(get_args(next((one for one in get_args(hint) if get_origin(one) is Literal), hint)))


def _regions() -> list[str]:
    from shardyard.catalog import regions

    return regions.names()


def _versions() -> Iterable[str]:
    from shardyard.catalog import bases

    return dict.fromkeys(base.version for base in bases.all_bases())


def _pythons() -> Iterable[str]:
    from shardyard.catalog import bases

    return sorted({base.python for base in bases.all_bases()})


build_engines = among(lambda: _literal("Image", "engine"))
run_engines = among(lambda: _literal("Run", "engine"))
pull_policies = among(lambda: _literal("Run", "pull"))
regions = among(_regions)
versions = among(_versions)
pythons = among(_pythons)
sdks = among(lambda: ("v2", "v3", "boto3"))
