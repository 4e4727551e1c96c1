"""``import smdistributed.modelparallel.torch as smp``."""

from shardyard_runtime.torch.activation_checkpointing import (
    checkpoint,
    checkpoint_sequential,
    set_activation_checkpointing,
)
from shardyard_runtime.torch.checkpoints.files import load, save
from shardyard_runtime.torch.checkpoints.resume import resume_from_checkpoint
from shardyard_runtime.torch.checkpoints.save import save_checkpoint
from shardyard_runtime.torch.init import init
from shardyard_runtime.torch.microbatch import StepOutput
from shardyard_runtime.torch.model import DistributedModel
from shardyard_runtime.torch.optimizer import DistributedOptimizer
from shardyard_runtime.torch.partition.manual import mark as set_partition
from shardyard_runtime.torch.partition.manual import partition
from shardyard_runtime.torch.ranks import (
    CommGroup,
    RankType,
    allgather,
    barrier,
    broadcast,
    dp_barrier,
    dp_rank,
    dp_size,
    get_dp_group,
    get_dp_process_group,
    get_mp_group,
    get_mp_process_group,
    get_pp_group,
    get_pp_process_group,
    get_rdp_group,
    get_rdp_process_group,
    get_tp_group,
    get_tp_process_group,
    get_world_process_group,
    is_initialized,
    local_rank,
    local_size,
    mp_barrier,
    mp_rank,
    mp_size,
    pp_barrier,
    pp_rank,
    pp_size,
    rank,
    rdp_rank,
    rdp_size,
    recv_from,
    send,
    size,
    tp_rank,
    tp_size,
)
from shardyard_runtime.torch.state import state
from shardyard_runtime.torch.step import step
from shardyard_runtime.torch.tensor_parallel import (
    delay_param_initialization,
    model_creation,
    set_tensor_parallelism,
    tensor_parallelism,
    tp_register,
    tp_register_with_module,
)
from shardyard_runtime.torch.utils import (
    hvd_average_grads,
    is_tracing,
    num_microbatches,
)
from smdistributed.modelparallel import __version__
from smdistributed.modelparallel.torch import (
    amp,
    core,
    exceptions,
    model,
    nn,
    optimizers,
    patches,
    state_mod,
    utils,
)

step.StepOutput = StepOutput  # smp.step is the decorator and, to scripts, the place where StepOutput lives

WORLD = CommGroup.WORLD
PP_GROUP = CommGroup.PP_GROUP
TP_GROUP = CommGroup.TP_GROUP
RDP_GROUP = CommGroup.RDP_GROUP
DP_GROUP = CommGroup.DP_GROUP
MP_GROUP = CommGroup.MP_GROUP

__all__ = [name for name in dir() if not name.startswith("_")]
