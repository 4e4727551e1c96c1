from shardyard_runtime.torch.ranks import barrier, local_rank, local_size, rank, size
from shardyard_runtime.torch.utils import initialized
