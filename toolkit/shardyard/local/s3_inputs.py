"""Channels that lie in S3, downloaded before the job starts, as SageMaker's File mode does."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import boto3
from botocore.config import Config

from shardyard.errors import MissingError, ProjectError
from shardyard.registry.aws.boto import explained

AT_ONCE = 8


@dataclass(frozen=True)
class Item:
    """One object and its place in the channel; ``size`` in bytes."""

    key: str
    place: PurePosixPath
    size: int


def client(region: str | None) -> Any:
    with explained("reach S3"):
        return boto3.Session(region_name=region).client("s3", config=Config(max_pool_connections=2 * AT_ONCE))


def download(s3: Any, uri: str, folder: Path) -> tuple[int, int]:
    """All objects whose key begins with the URI's, each under the rest of its key; an object of just that key
    alone, under its own name. How many files, and how many bytes.

    Raises ProjectError where nothing lies there or where keys are no paths, MissingError where the disk is full.
    """
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    with explained(f"list {uri!r}"):
        items = _chosen(list(_listed(s3, bucket, prefix)), prefix)
    if not items:
        raise ProjectError(f"nothing lies under {uri!r}. Look with: aws s3 ls {uri}")
    _refuse_bad_places(items, uri)
    folder.mkdir(parents=True)
    total = sum(item.size for item in items)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise MissingError(
            f"{uri!r} holds {total:,} bytes, and the disk of {str(folder)!r} has {free:,} left. "
            "Set SHARDYARD_CACHE to a folder on another disk"
        )

    def fetch(item: Item) -> None:
        target = folder / item.place
        target.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, item.key, str(target))

    with explained(f"download {uri!r}"), ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(fetch, items))
    return len(items), total


def _listed(s3: Any, bucket: str, prefix: str) -> Iterator[Item]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Contents", ()):
            key = one["Key"]
            if not key.endswith("/"):  # what a console makes to show a folder
                rest = key[len(prefix) :].lstrip("/") or key.rpartition("/")[2]
                yield Item(key, PurePosixPath(rest), int(one["Size"]))


def _chosen(items: list[Item], prefix: str) -> list[Item]:
    exact = [item for item in items if item.key == prefix]
    return exact or items


def _refuse_bad_places(items: list[Item], uri: str) -> None:
    """Keys may be any text; two of them may want one place, or one of them another's folder."""
    files = {item.place for item in items}
    for item in items:
        if ".." in item.place.parts or not item.place.parts or len(files) < len(items):
            raise ProjectError(f"{uri!r} holds the key {item.key!r}, which is no path within a folder")
        over = next((parent for parent in item.place.parents if parent in files), None)
        if over is not None:
            raise ProjectError(f"{uri!r} holds {item.key!r}, and {str(over)!r} there is a file, not a folder")
