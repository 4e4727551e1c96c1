"""Objects with tensors: structure and buffers, and back."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shardyard_runtime.comm.torch_codec import as_buffer, flatten, to_wire, unflatten

DTYPES = [
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
]
Pair = namedtuple("Pair", ["left", "right"])


@st.composite
def tensors(draw: Any) -> torch.Tensor:
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    made = (torch.randn(shape) * 3).to(draw(st.sampled_from(DTYPES)))
    kind = draw(st.sampled_from(["plain", "transposed", "strided", "expanded", "grad"]))
    if kind == "transposed" and made.dim() > 1:
        return made.transpose(0, 1)
    if kind == "strided" and made.dim():
        return made[::2]
    if kind == "expanded":
        return made.expand(2, *made.shape)
    if kind == "grad" and made.is_floating_point():
        return made.requires_grad_()
    return made


OBJECTS = st.recursive(
    tensors() | st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.tuples(inner, inner).map(lambda pair: Pair(*pair))
        | st.tuples(inner)
    ),
    max_leaves=8,
)


def over_the_wire(tensor: torch.Tensor) -> torch.Tensor:
    sent = to_wire(tensor)
    got = torch.empty(sent.shape, dtype=sent.dtype)
    if sent.numel():
        memoryview(as_buffer(got)).cast("B")[:] = memoryview(as_buffer(sent)).cast("B")
    return got


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        if not isinstance(b, torch.Tensor) or a.dtype != b.dtype or a.shape != b.shape:
            return False
        return torch.equal(a.detach(), b.detach())
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@settings(deadline=None, max_examples=200)
@given(OBJECTS)
def test_round_trip(obj: Any) -> None:
    structure, found = flatten(obj)
    assert len({id(t) for t in found}) == len(found)
    assert same(unflatten(structure, [over_the_wire(t) for t in found]), obj)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_every_dtype_arrive(dtype: torch.dtype) -> None:
    sent = torch.tensor([0, 1, 1, 0, 1]).to(dtype)
    assert same(over_the_wire(sent), sent)
    assert same(over_the_wire(sent[1]), sent[1])


def test_lazily_conjugated_and_negated_values_arrive() -> None:
    sent = torch.randn(3, dtype=torch.complex64)
    assert same(over_the_wire(sent.conj()), sent.conj().resolve_conj())
    assert same(over_the_wire(sent.conj().imag), -sent.imag)


def test_a_repeated_tensor_travels_once_and_stays_one() -> None:
    x, equal = torch.ones(2), torch.ones(2)
    structure, found = flatten({"a": x, "b": [x, equal]})
    assert [id(t) for t in found] == [id(x), id(equal)]
    back = unflatten(structure, [t.clone() for t in found])
    assert back["a"] is back["b"][0]
    assert back["a"] is not back["b"][1]


def test_the_structure_holds_no_values() -> None:
    structure, _ = flatten([torch.zeros(100_000)])
    assert len(structure) < 200


def test_the_wire_is_cut_off_from_autograd() -> None:
    assert not to_wire(torch.ones(2, requires_grad=True) * 2).requires_grad
