"""The inputs of a local job on this machine's disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from shardyard.local.logs import Sink


def at_hand(
    channels: Mapping[str, Path | str], root: Path, region: str | None, sink: Sink
) -> dict[str, Path]:
    """What lies in S3 is downloaded to a folder of the job's own; the rest is used where it is."""
    found = {name: where for name, where in channels.items() if isinstance(where, Path)}
    away = {name: where for name, where in channels.items() if isinstance(where, str)}
    if away:
        from shardyard.local import s3_inputs  # boto3 takes a third of a second

        s3 = s3_inputs.client(region)
        for name, uri in away.items():
            found[name] = root / "channels" / name
            sink("shardyard", f"input {name!r}: downloading {uri}")
            files, size = s3_inputs.download(s3, uri, found[name])
            sink("shardyard", f"input {name!r}: {files:,} files, {size:,} bytes")
    return found
