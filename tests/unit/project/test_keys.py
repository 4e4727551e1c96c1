"""A key in the wrong place is told where it belongs; a number that cannot be printed is not printed."""

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


def test_numbers_beyond_64_bits(tmp_path: Path) -> None:
    """Python refuses to print such a one, so every message that quotes it would end in a traceback."""
    large = "0x" + "f" * 5000
    text = f'[image]\nname = "a"\n[{MODELPARALLEL}]\nenabled = true\n'
    (tmp_path / "shardyard.toml").write_text(f"{text}parameters = {{ partitions = {large} }}\n")
    [found] = shardyard.check(tmp_path)
    assert f"{MODELPARALLEL}.parameters.partitions is a whole number beyond 64 bits" in found.message
    (tmp_path / "shardyard.toml").write_text(f'{text}parameters = "p.json"\n')
    (tmp_path / "p.json").write_text(f'{{"partitions": [{"9" * 4000}]}}')
    [found] = shardyard.check(tmp_path)
    assert "'p.json' holds a whole number beyond 64 bits at 'partitions'" in found.message
