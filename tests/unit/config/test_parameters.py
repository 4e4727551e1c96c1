"""Parameters: what is accepted, what is refused and how; and never anything but ParameterError."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardyard_runtime.config.parameter_values import known
from shardyard_runtime.config.parameters import (
    ParameterError,
    SmpConfig,
    merged_with_environment,
    parse,
    placement_for,
)

# What the archived GPT-2 example gives to smp.init at degrees of one.
CLIENT = {
    "ddp": True,
    "tensor_parallel_degree": 1,
    "pipeline_parallel_degree": 2,
    "microbatches": 4,
    "shard_optimizer_state": False,
    "prescaled_batch": True,
    "fp16": 0,
    "offload_activations": False,
    "delayed_parameter_initialization": False,
    "optimize": "speed",
    "auto_partition": True,
    "default_partition": 0,
    "static_mode": 1,
    "fast_mode": 1,
    "active_microbatches": None,
    "skip_tracing": False,
    "sharded_data_parallel_degree": 1,
    "sdp_gradient_clipping": 1.0,
    "sdp_reduce_bucket_size": 5e8,
    "ddp_dist_backend": "auto",
    "activation_loading_horizon": 4,
}


def test_a_clients_dictionary_is_accepted_with_one_warning() -> None:
    config = parse(CLIENT)
    assert (config.partitions, config.microbatches, config.active_microbatches) == (2, 4, 4)
    assert config.ddp is True
    assert config.memory_weight == 0.2
    assert [one.name for one in config.warnings] == ["static_mode, fast_mode"]


def test_the_trace_may_be_put_on_the_cpu_by_a_parameter() -> None:
    assert parse({"trace_device": "cpu"}).trace_device == "cpu"
    assert parse({}).trace_device == "gpu"


def test_nothing_gives_the_defaults() -> None:
    assert parse({}) == parse(None) == SmpConfig()


@pytest.mark.parametrize("name", sorted(known()))
@pytest.mark.parametrize("framework", ["pytorch", "tensorflow"])
def test_null_and_the_documented_default_ask_for_nothing(name: str, framework: str) -> None:
    default = known()[name]["default"]
    fine = default if isinstance(default, (bool, int, float)) else None
    parse({name: None}, framework=framework)
    parse({name: fine}, framework=framework)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"tensor_parallel_degree": 2, "ddp": True}, ["2", "tensor parallelism is not built yet"]),
        ({"sharded_data_parallel_degree": 4}, ["sharded data parallelism is not built yet"]),
        ({"fp16_params": True}, ["fp16 keeps masters"]),
        ({"fp16": True, "bf16": True}, ["keep one of them"]),
        ({"shard_optimizer_state": 1}, ["optimizer"]),
        ({"horovod": True}, ["only TensorFlow can do"]),
        ({"pipeline": "_only_forward"}, ["backward"]),
        ({"pipeline": "zero_bubble"}, ["'zero_bubble'", "split by inputs and weights are not built yet"]),
        ({"pipeline": "simpel"}, ["'simpel'", "'interleaved', 'simple'"]),
        ({"microbatch": 2}, ["no known parameter", "'microbatches'"]),
        ({"hybrid_shard_degree": 2}, ["version 2"]),
        ({"microbatches": 0}, ["below 1"]),
        ({"offload_activations": True, "activation_loading_horizon": 0}, ["0", "below 1"]),
        ({"trace_device": "tpu"}, ["'tpu'", "'gpu', 'cpu'"]),
        ({"microbatches": "4"}, ["'4' is not a whole number"]),
        ({"memory_weight": 1.5}, ["above 1"]),
        ({"ddp": "yes"}, ["neither true nor false"]),
        ({"placement_strategy": "DDT"}, ["'DDT'", "'DPT'"]),
        ({"auto_partition": False}, ["default_partition"]),
        ({"default_partition": 2, "partitions": 2}, ["not below"]),
        ({"load_partition": True}, ["partition_file"]),
        ({"partitions": 2, "pipeline_parallel_degree": 4}, ["other name"]),
    ],
)
def test_refusals_say_what_is_missing(raw: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ParameterError) as caught:
        parse(raw)
    for word in words:
        assert word in str(caught.value)


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        parse({"microbatch": 2, "shard_optimizer_state": True, "pipeline": "x", "static_mode": True})
    assert len(caught.value.findings) == 4
    assert len(caught.value.warnings) == 1


def test_the_environment_wins_under_either_name() -> None:
    environ = {"SM_HP_MP_PARAMETERS": json.dumps({"partitions": 4, "microbatches": 8})}
    merged = merged_with_environment({"pipeline_parallel_degree": 2, "microbatches": 1, "ddp": True}, environ)
    config = parse(merged)
    assert (config.partitions, config.microbatches, config.ddp) == (4, 8, True)
    assert merged_with_environment({"microbatches": 3}, {"SM_HP_MP_PARAMETERS": "{}"}) == {"microbatches": 3}
    assert merged_with_environment({"microbatches": 3}, {}) == {"microbatches": 3}


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_an_environment_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="JSON"):
        merged_with_environment({}, {"SM_HP_MP_PARAMETERS": text})


def test_placement_spells_out_every_factor() -> None:
    assert placement_for(parse({"partitions": 2}), 8).rdp_size == 4
    with pytest.raises(ParameterError) as caught:
        placement_for(parse({"partitions": 3}), 8)
    for word in (
        "pipeline_parallel_degree 3",
        "tensor_parallel_degree 1",
        "8 processes",
        "6 processes would fit",
    ):
        assert word in str(caught.value)
    with pytest.raises(ParameterError, match="4 processes would fit"):
        placement_for(parse({"partitions": 4}), 2)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


@given(
    st.dictionaries(st.sampled_from(sorted(known())) | st.text(), _VALUES, max_size=6),
    st.sampled_from(["pytorch", "tensorflow"]),
)
def test_any_dictionary_parses_or_is_refused(raw: dict[str, object], framework: str) -> None:
    try:
        parse(raw, framework=framework)
    except ParameterError as error:
        if not any(one.level == "error" for one in error.findings):
            raise


@pytest.mark.parametrize(("name", "active"), [("auto", 6), ("virtual_stages", 8)])
def test_pipelines_of_pytorch(name: str, active: int) -> None:
    config = parse({"pipeline": name, "partitions": 4})
    assert (config.pipeline, config.active_microbatches) == (name, active)
    with pytest.raises(ParameterError, match=f"'{name}' asks for something that only PyTorch can do"):
        parse({"pipeline": name}, framework="tensorflow")
