from shardyard_runtime.torch.optimizers import FusedLAMB, FusedLamb, FusedNovoGrad
