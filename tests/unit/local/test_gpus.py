from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardyard.errors import MissingError
from shardyard.local.gpus import installed, requests, share_out, shared, variables


def test_each_host_has_neighbours_of_its_own() -> None:
    eight = [str(i) for i in range(8)]
    shares = share_out(eight, ("algo-1", "algo-2"), 4)
    assert shares == {"algo-1": ("0", "1", "2", "3"), "algo-2": ("4", "5", "6", "7")}
    assert share_out(eight, ("algo-1", "algo-2"), 2) == {"algo-1": ("0", "1"), "algo-2": ("2", "3")}
    assert share_out(eight, ("algo-1", "algo-2"), None) == shares
    assert shared(shares) is None


@given(st.integers(1, 16), st.integers(1, 8), st.integers(1, 8))
def test_a_rank_never_shares_with_another_of_its_host(there: int, hosts: int, processes: int) -> None:
    ids = [f"GPU-{i}" for i in range(there)]
    names = [f"algo-{i}" for i in range(hosts)]
    if processes > there:
        with pytest.raises(MissingError, match=f"--processes-per-host {there}"):
            share_out(ids, names, processes)
        return
    shares = share_out(ids, names, processes)
    assert all(len(set(one)) == processes for one in shares.values())
    assert (shared(shares) is None) == (hosts * processes <= there)


def test_no_gpu_asks_for_nothing() -> None:
    assert share_out((), ("algo-1",), 2) == {}
    assert requests(()) == []
    assert variables(None) == variables(("0",)) == {}
    assert variables(()) == {"NVIDIA_VISIBLE_DEVICES": "void"}


def test_what_docker_is_asked_for() -> None:
    (asked,) = requests(("2", "3"))
    assert asked == {
        "Driver": "",
        "Count": 0,
        "DeviceIDs": ["2", "3"],
        "Capabilities": [["gpu"]],
        "Options": {},
    }


def test_the_callers_choice_of_devices_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert installed({"CUDA_VISIBLE_DEVICES": "3, GPU-5a"}) == ("3", "GPU-5a")
    assert installed({"CUDA_VISIBLE_DEVICES": ""}) == installed({"CUDA_VISIBLE_DEVICES": "-1"}) == ()


def test_the_driver_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    tool = f"{tmp_path}/nvidia-smi"
    with open(tool, "w") as file:
        file.write("#!/bin/sh\nprintf '0\\n1\\n'\n")
    os.chmod(tool, 0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert installed({}) == ("0", "1")
    monkeypatch.setenv("PATH", "/nowhere")
    assert installed({}) == ()
