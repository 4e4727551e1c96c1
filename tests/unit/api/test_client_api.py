"""Every import and every name that public client scripts use, and what the names do at degree 1."""

from __future__ import annotations

import fnmatch
import importlib
import pickle
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.torch_version import TorchVersion

import shardyard_runtime.torch.exceptions
from shardyard_runtime.config.parameters import SmpConfig
from shardyard_runtime.config.placement import Placement
from shardyard_runtime.errors import NotBuiltYet
from shardyard_runtime.torch.state import NotInitialized, state

MP = "smdistributed.modelparallel"
API = Path(__file__).parents[3] / "docs" / "api.md"

IMPORTS = """
import smdistributed.modelparallel
import smdistributed.modelparallel.torch
import smdistributed.modelparallel.torch as smp
import smdistributed.modelparallel.tensorflow
import smdistributed.modelparallel.tensorflow as smp
import smdistributed.modelparallel.tensorflow.utils
from smdistributed.modelparallel import __version__
from smdistributed.modelparallel.backend import exceptions
from smdistributed.modelparallel.torch import exceptions
from smdistributed.modelparallel.torch.nn import FusedLayerNorm
from smdistributed.modelparallel.torch.nn import DistributedTransformerLayer
from smdistributed.modelparallel.torch.nn import FlashAttentionLayer
from smdistributed.modelparallel.torch.state_mod import state
from smdistributed.modelparallel.torch.nn.huggingface.gpt2 import translate_state_dict_to_hf_gpt2
from smdistributed.modelparallel.torch.nn.huggingface.gpt2 import translate_hf_state_dict_to_smdistributed
from smdistributed.modelparallel.torch.nn.huggingface.gpt2 import translate_hf_state_dict_to_smdistributed_gpt2
from smdistributed.modelparallel.torch.nn.huggingface.gpt2 import get_hf_gpt2_transformer_layer_hooks
from smdistributed.modelparallel.torch.nn.huggingface.gpt2 import translate_hf_block_state_dict_to_smdistributed
from smdistributed.modelparallel.torch.nn.huggingface.gpt2 import translate_layer_state_dict_to_hf_gpt2_block
from smdistributed.modelparallel.torch.nn.huggingface.gptj import translate_hf_gptj_state_dict_to_smdistributed
from smdistributed.modelparallel.torch.nn.huggingface.gptj import translate_state_dict_to_hf_gptj
from smdistributed.modelparallel.torch.nn.huggingface.gptj import translate_hf_state_dict_to_smdistributed_gptj
from smdistributed.modelparallel.torch.nn.huggingface.gptneo import translate_hf_gptneo_state_dict_to_smdistributed
from smdistributed.modelparallel.torch.nn.huggingface.gptneo import translate_state_dict_to_hf_gptneo
from smdistributed.modelparallel.torch.utils import get_distribution_axis
from smdistributed.modelparallel.torch.utils import rmsg
from smdistributed.modelparallel.torch.optimizers import FusedLAMB
from smdistributed.modelparallel.torch.optimizers import FusedNovoGrad
from smdistributed.modelparallel.test.torch.utils import dump_model, verify
""".strip().splitlines()

NAMES = [
    "local_rank",
    "rank",
    "tp_rank",
    "rdp_rank",
    "dp_size",
    "dp_rank",
    "barrier",
    "tp_size",
    "step",
    "step.StepOutput",
    "DistributedOptimizer",
    "DistributedModel",
    "init",
    "rdp_size",
    "pp_rank",
    "pp_size",
    "nn.FusedLayerNorm",
    "recv_from",
    "get_dp_process_group",
    "set_activation_checkpointing",
    "checkpoint",
    "checkpoint_sequential",
    "get_tp_group",
    "save",
    "set_partition",
    "broadcast",
    "load",
    "resume_from_checkpoint",
    "PP_GROUP",
    "save_checkpoint",
    "get_mp_process_group",
    "model_creation",
    "allgather",
    "size",
    "RankType.PP_RANK",
    "state_mod.state",
    "get_world_process_group",
    "mp_rank",
    "RankType.RDP_RANK",
    "delay_param_initialization",
    "send",
    "tensor_parallelism",
    "utils.get_distribution_axis",
    "set_tensor_parallelism",
    "TP_GROUP",
    "is_initialized",
    "DP_GROUP",
    "RankType.TP_RANK",
    "amp.GradScaler",
    "nn.huggingface.gpt2.translate_hf_state_dict_to_smdistributed",
    "nn.huggingface.gpt2.translate_state_dict_to_hf_gpt2",
    "MP_GROUP",
    "CommGroup.DP_GROUP",
    "RankType.WORLD_RANK",
    "WORLD",
    "model.DistributedModel",
    "optimizers.FusedLAMB",
    "tp_register_with_module",
    "exceptions",
    "RankType.DP_RANK",
    "hvd_average_grads",
    "nn.DistributedTransformer",
    "nn.DistributedTransformerLayer",
    "nn.FlashAttentionLayer",
    "nn.huggingface.gpt2.get_hf_gpt2_transformer_layer_hooks",
    "nn.huggingface.gpt2.translate_hf_block_state_dict_to_smdistributed",
    "nn.huggingface.gpt2.translate_layer_state_dict_to_hf_gpt2_block",
    "nn.huggingface.gptj.translate_hf_gptj_state_dict_to_smdistributed",
    "nn.huggingface.gptj.translate_state_dict_to_hf_gptj",
    "nn.huggingface.gptneo.translate_hf_gptneo_state_dict_to_smdistributed",
    "nn.huggingface.gptneo.translate_state_dict_to_hf_gptneo",
    "optimizers.FusedNovoGrad",
    "partition",
    "state.module_manager.translate_functions",
    "core.initialized",
    "local_size",
    "get_mp_group",
    "get_dp_group",
    "is_tracing",
    "num_microbatches",
    "mp_barrier",
    "pp_barrier",
    "dp_barrier",
    "optimizers.FusedLamb",
    "patches.checkpoint.checkpoint",
    "patches.checkpoint.checkpoint_sequential",
    "CommGroup.MP_GROUP",
    "RankType.MP_RANK",
]


@pytest.fixture
def smp() -> Any:
    return importlib.import_module(f"{MP}.torch")


def initialize(monkeypatch: pytest.MonkeyPatch, pp: int = 1, tp: int = 1, **cfg: Any) -> None:
    """Pretends that ``smp.init`` ran on rank 0 of ``pp * tp`` ranks."""
    placement = Placement(pp_size=pp, tp_size=tp, rdp_size=1)
    config = SmpConfig(pipeline_parallel_degree=pp, tensor_parallel_degree=tp, **cfg)
    monkeypatch.setattr(state, "runtime", SimpleNamespace(cfg=config, placement=placement, rank=0))


@pytest.mark.parametrize("line", IMPORTS)
def test_an_import_of_the_clients(line: str) -> None:
    exec(line, {})


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_the_clients(smp: Any, name: str) -> None:
    value = smp
    for part in name.split("."):
        value = getattr(value, part)


def documented() -> list[str]:
    """The names in the first columns of the documentation's tables, their braces written out."""
    names = []
    for row in API.read_text().splitlines():
        if row.startswith("| ") and "tensorflow" not in row:
            names += re.findall(r"`([^`]+)`", row.split(" | ")[0])
    while any("{" in name for name in names):
        name = next(name for name in names if "{" in name)
        before, choices, after = re.split(r"\{(.*?)\}", name, maxsplit=1)
        names.remove(name)
        names += [f"{before}{choice}{after}" for choice in choices.split(",")]
    return names


def there(place: Any, name: str) -> bool:
    head, _, rest = name.partition(".")
    found = fnmatch.filter(dir(place), head)
    return bool(found) and (not rest or all(there(getattr(place, one), rest) for one in found))


@pytest.mark.parametrize("name", documented())
def test_a_name_of_the_documentation(smp: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    initialize(monkeypatch)
    monkeypatch.setattr(state, "model", None)
    monkeypatch.setattr(state, "optimizer", None)
    importlib.import_module(f"{MP}.test.torch.utils")
    optimizer = smp.DistributedOptimizer(torch.optim.SGD([torch.ones(1)], 0.1))
    root = SimpleNamespace(smdistributed=importlib.import_module("smdistributed"))
    assert any(there(place, name) for place in (smp, smp.DistributedModel, optimizer, SmpConfig(), root))


@pytest.mark.parametrize(
    "key", ["fp16", "prescaled_batch", "shard_optimizer_state", "sharded_data_parallel_degree"]
)
def test_configuration_that_clients_read(smp: Any, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    initialize(monkeypatch)
    assert getattr(smp.state.cfg, key) in (False, 1)


def test_the_plain_thing_at_degree_1(smp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    initialize(monkeypatch, microbatches=4)
    layer = torch.nn.Linear(2, 2)
    options = {"attention_in_fp32": False, "query_key_layer_scaling": True, "fused_softmax": True}
    with smp.model_creation(tensor_parallelism=True, dtype=torch.bfloat16, flash_attention=True, **options):
        assert smp.nn.FusedLayerNorm(4).weight.dtype == torch.bfloat16
    assert torch.get_default_dtype() == torch.float32
    with smp.tensor_parallelism(enabled=True, **options), smp.delay_param_initialization(enabled=False):
        assert smp.set_tensor_parallelism(layer) is layer
    smp.tp_register_with_module(
        torch.nn.Linear,
        smp.nn.DistributedLinear,
        *smp.nn.huggingface.gpt2.get_hf_gpt2_transformer_layer_hooks(),
    )

    @smp.tp_register(smp.nn.DistributedTransformer, init_hook=lambda config: ((), config))
    class Registered(torch.nn.Module):
        pass

    assert type(Registered()) is Registered
    weights = layer.state_dict()
    assert smp.nn.huggingface.gpt2.translate_state_dict_to_hf_gpt2(weights, max_seq_len=8) is weights
    assert smp.utils.get_distribution_axis(layer.weight) is None
    assert smp.utils.rmsg("hello") == "[0] hello"
    assert (smp.is_tracing(), smp.num_microbatches()) == (False, 4)
    assert smp.core.initialized
    assert smp.core.initialized()
    assert not isinstance(layer, smp.nn.FlashAttentionLayer)
    assert isinstance(smp.nn.FusedLayerNorm(4), torch.nn.LayerNorm)


@pytest.mark.parametrize(
    "ask",
    [
        lambda smp: smp.model_creation(tensor_parallelism=True).__enter__(),
        lambda smp: smp.tensor_parallelism().__enter__(),
        lambda smp: smp.set_tensor_parallelism(torch.nn.Linear(1, 1)),
        lambda smp: smp.tp_register_with_module(torch.nn.Linear, smp.nn.DistributedLinear),
        lambda smp: smp.tp_register(smp.nn.DistributedLinear)(torch.nn.Linear),
        lambda smp: smp.utils.get_distribution_axis(torch.nn.Parameter(torch.zeros(1))),
        lambda smp: smp.nn.huggingface.gptj.translate_state_dict_to_hf_gptj({}),
    ],
)
def test_tensor_parallelism_is_refused(smp: Any, monkeypatch: pytest.MonkeyPatch, ask: Any) -> None:
    initialize(monkeypatch, tp=2)
    with pytest.raises(
        NotBuiltYet, match="tensor parallelism is not built yet; set tensor_parallel_degree to 1"
    ):
        ask(smp)


@pytest.mark.parametrize(
    ("ask", "advice"),
    [
        (lambda smp: smp.model_creation(use_alibi=True).__enter__(), "ALiBi"),
        (lambda smp: smp.hvd_average_grads(), "ddp"),
        (lambda smp: smp.optimizers.FusedLAMB([]), "AdamW"),
        (lambda smp: smp.optimizers.FusedLamb([]), "AdamW"),
        (lambda smp: smp.optimizers.FusedNovoGrad([]), "AdamW"),
        (lambda smp: smp.nn.DistributedTransformer(num_layers=2), "plain"),
        (lambda smp: smp.nn.DistributedTransformerLayer(), "plain"),
        (lambda smp: smp.nn.FlashAttentionLayer(), "plain"),
        (lambda smp: smp.nn.huggingface.gpt2.get_hf_gpt2_transformer_layer_hooks()[0](None), "degree 1"),
        (lambda smp: importlib.import_module(f"{MP}.test.torch.utils").verify(), "leave the call out"),
        (lambda smp: importlib.import_module(f"{MP}.test.torch.utils").dump_model(), "leave the call out"),
    ],
)
def test_what_is_missing_is_refused_with_what_to_do(smp: Any, ask: Any, advice: str) -> None:
    with pytest.raises(NotBuiltYet, match=advice):
        ask(smp)


@pytest.mark.parametrize(
    "name",
    [
        "init",
        "step",
        "rank",
        "size",
        "local_rank",
        "dp_rank",
        "mp_rank",
        "barrier",
        "DistributedModel",
        "CheckpointManager",
        "core.barrier",
        "utils.send_checkpoint_files",
        "utils.receive_checkpoint_files",
    ],
)
def test_tensorflow_is_refused(name: str) -> None:
    value: Any = importlib.import_module(f"{MP}.tensorflow")
    assert not value.core.initialized
    assert not value.state.initialized
    for part in name.split("."):
        value = getattr(value, part)
    with pytest.raises(NotBuiltYet, match="TensorFlow runtime"):
        value({"partitions": 2})


def test_unknown_options_name_the_nearest(smp: Any) -> None:
    with pytest.raises(TypeError, match="did you mean 'fused_softmax'"):
        smp.model_creation(fused_softmx=True).__enter__()


def test_before_init(smp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "runtime", None)
    assert not smp.core.initialized
    assert not smp.is_initialized()
    with pytest.raises(NotInitialized):
        smp.set_tensor_parallelism(torch.nn.Linear(1, 1))


def test_exception_classes(smp: Any) -> None:
    row = next(row for row in API.read_text().splitlines() if row.startswith("| `exceptions` |"))
    documented = re.findall(r"`([A-Z]\w+)`", row)
    assert sorted(documented) == sorted(shardyard_runtime.torch.exceptions.__all__)
    for name in documented:
        assert issubclass(getattr(smp.exceptions, name), Exception)
    error = pickle.loads(pickle.dumps(NotBuiltYet("a", "b", "c")))
    assert str(error) == "a: b is not built yet; c"


def test_grad_scaler(smp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    initialize(monkeypatch, pp=2)
    smp.state.runtime.device = torch.device("cpu")
    assert smp.amp.GradScaler(init_scale=8.0).scale(torch.ones(1)).item() == 8
    assert smp.amp.GradScaler(enabled=False).scale(torch.ones(1)).item() == 1
    smp.state.runtime.cfg = SmpConfig(fp16=True)
    with pytest.raises(ValueError, match="dynamic_loss_scale=True"):
        smp.amp.GradScaler()
    assert not smp.amp.GradScaler(enabled=False).is_enabled()


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(3, 3)
        self.drop = torch.nn.Dropout(0.5)
        self.runs = 0

    def forward(self, x: torch.Tensor, *, scale: float = 1.0) -> dict[str, torch.Tensor]:
        self.runs += 1
        return {"x": self.drop(torch.tanh(self.inner(x))) * scale}


def test_activation_checkpointing_recomputes_the_same(smp: Any) -> None:
    block, x = Block(), torch.randn(4, 3)

    def gradients() -> list[torch.Tensor]:
        block.zero_grad()
        torch.manual_seed(1)
        block(x, scale=2.0)["x"].sum().backward()
        return [p.grad.clone() for p in block.parameters() if p.grad is not None]

    plain = gradients()
    smp.set_activation_checkpointing(block, pack_args_as_tuple=True, strategy="each")
    smp.set_activation_checkpointing(block)
    block.runs = 0
    assert all(torch.equal(a, b) for a, b in zip(plain, gradients(), strict=True))
    assert block.runs == 2
    with torch.no_grad():
        block(x)
    assert block.runs == 3


def test_activation_checkpointing_of_a_sequence_is_of_its_children(smp: Any) -> None:
    chain = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Tanh())
    smp.set_activation_checkpointing(chain)
    assert "forward" not in chain.__dict__
    assert all("forward" in child.__dict__ for child in chain)


def test_activation_checkpointing_by_strategy(smp: Any, caplog: pytest.LogCaptureFixture) -> None:
    row, x = torch.nn.Sequential(*(Chained() for _ in range(5))), torch.randn(2, 3)
    torch.manual_seed(1)
    row(x).sum().backward()
    plain = [p.grad.clone() for p in row.parameters() if p.grad is not None]
    saved: list[torch.Tensor] = []  # by autograd, outside of checkpointed regions
    for strategy, kept in {"each": 5, "group_2": 3, "contiguous": 1, "group_7": 1}.items():
        row.zero_grad()
        torch.manual_seed(1)
        saved.clear()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
            smp.checkpoint_sequential(row, x, strategy).sum().backward()
        assert len(saved) == kept, strategy
        found = [p.grad for p in row.parameters() if p.grad is not None]
        assert all(torch.equal(a, b) for a, b in zip(plain, found, strict=True))
    with caplog.at_level("WARNING"):
        smp.set_activation_checkpointing(Chained(), strategy="group_2")
        smp.set_activation_checkpointing(torch.nn.ModuleList([Chained()]), strategy="contiguous")
    first, second = caplog.messages
    assert first == "strategy 'group_2': Chained is not called as a sequence, it is one region"
    assert "each of its modules" in second
    for wrong in ("group_0", "group_x", "all"):
        with pytest.raises(ValueError, match=f"not '{wrong}'"):
            smp.set_activation_checkpointing(row, strategy=wrong)
    with pytest.raises(TypeError, match=r"takes an nn\.Sequential, not Linear"):
        smp.checkpoint_sequential(torch.nn.Linear(1, 1), x)


class Chained(Block):
    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(x)["x"]


def test_offloading_on_a_torch_that_cannot(smp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "runtime", None)
    monkeypatch.setattr(torch, "__version__", TorchVersion("2.0.1+cpu"))
    with pytest.raises(
        smp.exceptions.ParameterError, match=r"needs torch 2\.1 or newer, and this is 2\.0\.1"
    ):
        smp.init({"offload_activations": True})


def test_a_model_is_not_moved_to_a_gpu_before_its_first_step(
    smp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of it may not fit there. Fake tensors stand for those of a GPU."""
    initialize(monkeypatch, pp=2)
    monkeypatch.setattr(state, "model", None)
    monkeypatch.setattr(state, "optimizer", None)
    smp.state.runtime.cfg = SmpConfig(pipeline_parallel_degree=2, trace_device="cpu")
    model = smp.DistributedModel(torch.nn.Linear(2, 2))
    assert model.trace_device == "cpu"
    for refused in (lambda: model.register_comm_hook(None, print), model.join):
        with pytest.raises(RuntimeError, match="is for data parallelism"):
            refused()

    def moved(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty(tensor.shape, dtype=torch.float64, device="cuda")

    with FakeTensorMode(allow_non_fake_inputs=True):
        assert moved(torch.ones(1)).device.type == "cuda"
        assert model._apply(moved) is model
    assert {(p.device.type, p.dtype) for p in model.parameters()} == {("cpu", torch.float64)}
