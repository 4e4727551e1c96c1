"""The network of one job: every host has its address before any starts, and keeps its name after it has ended.

A name that the engine's resolver gives exists only while its container runs: a host that starts a second later than
another one ends would wait for it in vain. On SageMaker names stay.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

import docker
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool

from shardyard.errors import MissingError

TRIES = 10


def make(
    client: docker.DockerClient, name: str, labels: dict[str, str], hosts: Sequence[str]
) -> dict[str, str]:
    """A bridge of the job's own, and the address of each host there."""
    said = ""
    for _ in range(TRIES):
        try:
            subnet = _free_subnet(client, name, labels)
            pool = IPAMPool(subnet=str(subnet))
            _create(client, name, labels, ipam=IPAMConfig(pool_configs=[pool]))
        except APIError as error:  # another job was given the same in this moment
            said = str(error.explanation or error)
            if "overlap" not in said:
                break
            continue
        addresses = subnet.hosts()
        next(addresses)  # the gateway's
        return dict(zip(hosts, map(str, addresses), strict=False))
    raise MissingError(
        f"the engine makes no network for the job: {said}. Where it has no addresses left, type: "
        "docker network prune"
    )


def _free_subnet(client: docker.DockerClient, name: str, labels: dict[str, str]) -> ipaddress.IPv4Network:
    """The engine's own choice, that of a network which is gone again. Fixed addresses need a subnet of ours."""
    probe = _create(client, f"{name}-probe", labels)
    try:
        probe.reload()
        found = (ipaddress.ip_network(one["Subnet"]) for one in probe.attrs["IPAM"]["Config"])
        return next(one for one in found if isinstance(one, ipaddress.IPv4Network))
    finally:
        probe.remove()


def _create(client: docker.DockerClient, name: str, labels: dict[str, str], **options: Any) -> Any:
    return client.networks.create(name, driver="bridge", labels=labels, check_duplicate=True, **options)
