"""Whose registry holds the base images in a region, and under which host name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shardyard.catalog.data_files import NoBase, read
from shardyard.project.findings import nearest

_FILE = "registries.json"


@dataclass(frozen=True)
class Region:
    """``account`` owns the base images there; ``legacy_account`` the repositories that came before them."""

    name: str
    title: str
    partition: str
    account: str
    dns_suffix: str
    legacy_account: str | None

    @property
    def registry(self) -> str:
        return f"{self.account}.dkr.ecr.{self.name}.{self.dns_suffix}"


def names() -> list[str]:
    return list(read(_FILE)["regions"])


def find(name: str) -> Region:
    """Raises NoBase for a typo, for a region without these images, and for one newer than the data."""
    row = read(_FILE)["regions"].get(name)
    if row is not None:
        return Region(
            name, row["name"], row["partition"], row["account"], row["dns_suffix"], row["legacy_account"]
        )
    bare = read(_FILE)["regions_without_account"].get(name)
    message = f"no base images are known in region {name!r}"
    remedy = 'name the image itself: base = "..." in [image]'
    if bare is not None:
        message += f" ({bare['name']}): no registry is published there"
    elif (guess := nearest(name, names())) is not None:
        remedy = f"did you mean {guess!r}?"
    elif (partition := partition_of(name)) is not None:
        same = [one for one in names() if read(_FILE)["regions"][one]["partition"] == partition]
        remedy += f"; known in partition {partition}: {', '.join(same) or 'none'}"
    else:
        remedy = "known regions: " + ", ".join(names())
    raise NoBase("registry.region", message, remedy)


def partition_of(name: str) -> str | None:
    """The partition (``aws``, ``aws-cn``, ...) that a region of this name belongs to, known or not."""
    rows = read(_FILE)["partitions"]
    return next((one for one, row in rows.items() if re.match(row["region_regex"], name)), None)


def dns_suffix(name: str) -> str:
    """What host names end with in a region's partition; that of ``aws`` for a region of no known partition."""
    return str(read(_FILE)["partitions"][partition_of(name) or "aws"]["dns_suffix"])
