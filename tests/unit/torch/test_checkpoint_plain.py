"""What may stand in a model's or an optimizer's file, and what a file that cannot be read says."""

from __future__ import annotations

import enum
import io
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from shardyard_runtime.torch.checkpoints.layout import Target
from shardyard_runtime.torch.checkpoints.plain import plain
from shardyard_runtime.torch.checkpoints.read import CheckpointUnreadable, read


class Mode(enum.IntEnum):
    FAST = 2


def test_plain_data_survives_weights_only() -> None:
    value = {
        "weight": torch.nn.Parameter(torch.ones(2)),
        "betas": (0.9, numpy.float64(0.5)),
        "mode": Mode.FAST,
        "nested": [{1: None, "dtype": torch.bfloat16, "shape": torch.Size([2])}],
    }
    file = io.BytesIO()
    torch.save(plain(value, "state"), file)
    file.seek(0)
    back = torch.load(file, weights_only=True)
    assert type(back["weight"]) is torch.Tensor
    assert back["betas"] == (0.9, 0.5)
    assert back["mode"] == 2
    assert back["nested"] == [{1: None, "dtype": torch.bfloat16, "shape": torch.Size([2])}]


def test_a_slice_takes_only_itself_and_shared_tensors_stay_shared() -> None:
    shared = torch.ones(4)
    state = plain({"slice": torch.zeros(1_000_000)[:2], "a": shared, "b": shared}, "state")
    assert state["slice"].untyped_storage().nbytes() == 8
    assert state["a"].data_ptr() == state["b"].data_ptr()


@pytest.mark.parametrize("value", [object(), {1, 2}, lambda: None, Path("x")])
def test_other_objects_are_named(value: Any) -> None:
    with pytest.raises(ValueError, match=r"optimizer\['groups'\]\[0\]\['mine'\] is a .*user_content"):
        plain({"groups": [{"mine": value}]}, "optimizer")


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    torch.save({"w": torch.zeros(1000)}, file)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + b"\1" + whole[len(whole) // 2 + 1 :])
    assert torch.load(file, weights_only=True)["w"].any()  # torch itself does not notice
    with pytest.raises(CheckpointUnreadable, match=r"model\.pt.*checksum"):
        read(file, trusted=False)


def test_objects_are_loaded_from_trusted_files_only(tmp_path: Path) -> None:
    file = tmp_path / "content.pt"
    torch.save({"path": Path("x")}, file)
    assert read(file, trusted=True) == {"path": Path("x")}
    with pytest.raises(CheckpointUnreadable, match=r"content\.pt.*other objects"):
        read(file, trusted=False)


def test_files_of_the_old_format_are_read(tmp_path: Path) -> None:
    file = tmp_path / "old.bin"
    torch.save({"w": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    assert torch.equal(read(file, trusted=False)["w"], torch.ones(2))


@pytest.mark.parametrize("tag", ["", ".", "..", ".hidden", "a/b", "nul\0"])
@pytest.mark.parametrize("partial", [True, False])
def test_tags_that_name_no_file(tag: str, partial: bool) -> None:
    with pytest.raises(ValueError, match="cannot name a checkpoint"):
        Target(Path(), tag, partial)


@pytest.mark.parametrize("tag", ["newest", "a_partial", "user_content_a", "optimizer_a"])
def test_tags_that_checkpoints_use_themselves(tag: str) -> None:
    assert Target(Path(), tag, True).name == f"{tag}_partial"
    with pytest.raises(ValueError, match="cannot name a checkpoint"):
        Target(Path(), tag, False)
