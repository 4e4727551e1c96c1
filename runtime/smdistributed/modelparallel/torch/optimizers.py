from shardyard_runtime.torch.optimizers import FusedLAMB, FusedNovoGrad
