"""A key in the wrong place is told where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest

import shardyard

MODELPARALLEL = "distribution.smdistributed.modelparallel"


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        (
            "[distribution]\nprocesses_per_host = 8",
            "distribution.processes_per_host",
            "[distribution.mpi] or [run]",
        ),
        (
            f"[{MODELPARALLEL}]\npartitions = 2",
            f"{MODELPARALLEL}.partitions",
            f"[{MODELPARALLEL}.parameters]",
        ),
        (f"[{MODELPARALLEL}]\nparamters = {{}}", f"{MODELPARALLEL}.paramters", "'parameters'"),
        ("[distribution.modelparallel]\nenabled = true", "distribution.modelparallel", f"[{MODELPARALLEL}]"),
        ("[distribution.torch_distributed]\nenabled = true", "distribution.torch_distributed", "torchrun"),
        ("[distribution.smdistributed]\nenabled = true", "distribution.smdistributed", f"[{MODELPARALLEL}]"),
        ("[job]\nregion = 'us-east-1'", "job.region", "[registry]"),
        ("[registri]", "registri", "'registry'"),
        ("[job]\nzzzzzzzzz = 1", "job.zzzzzzzzz", "known here: "),
    ],
)
def test_where_it_belongs(tmp_path: Path, text: str, where: str, said: str) -> None:
    (tmp_path / "shardyard.toml").write_text(f'[image]\nname = "a"\n{text}\n')
    found = {one.where: one.remedy for one in shardyard.check(tmp_path)}
    assert said in found[where]
