from shardyard_runtime.torch.utils import get_distribution_axis, rmsg
