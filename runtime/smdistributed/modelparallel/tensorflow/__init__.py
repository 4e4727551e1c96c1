"""``import smdistributed.modelparallel.tensorflow as smp``: imports without TensorFlow; every call is refused."""

from shardyard_runtime.errors import refusing
from smdistributed.modelparallel import __version__
from smdistributed.modelparallel.tensorflow import core, state, utils

_MISSING, _ADVICE = "the TensorFlow runtime", "use PyTorch: smdistributed.modelparallel.torch"

CheckpointManager = refusing("smdistributed.modelparallel.tensorflow.CheckpointManager", _MISSING, _ADVICE)
DistributedModel = refusing("smdistributed.modelparallel.tensorflow.DistributedModel", _MISSING, _ADVICE)
barrier = refusing("smdistributed.modelparallel.tensorflow.barrier", _MISSING, _ADVICE)
dp_rank = refusing("smdistributed.modelparallel.tensorflow.dp_rank", _MISSING, _ADVICE)
dp_size = refusing("smdistributed.modelparallel.tensorflow.dp_size", _MISSING, _ADVICE)
init = refusing("smdistributed.modelparallel.tensorflow.init", _MISSING, _ADVICE)
local_rank = refusing("smdistributed.modelparallel.tensorflow.local_rank", _MISSING, _ADVICE)
local_size = refusing("smdistributed.modelparallel.tensorflow.local_size", _MISSING, _ADVICE)
mp_rank = refusing("smdistributed.modelparallel.tensorflow.mp_rank", _MISSING, _ADVICE)
mp_size = refusing("smdistributed.modelparallel.tensorflow.mp_size", _MISSING, _ADVICE)
pp_rank = refusing("smdistributed.modelparallel.tensorflow.pp_rank", _MISSING, _ADVICE)
pp_size = refusing("smdistributed.modelparallel.tensorflow.pp_size", _MISSING, _ADVICE)
rank = refusing("smdistributed.modelparallel.tensorflow.rank", _MISSING, _ADVICE)
size = refusing("smdistributed.modelparallel.tensorflow.size", _MISSING, _ADVICE)
step = refusing("smdistributed.modelparallel.tensorflow.step", _MISSING, _ADVICE)
