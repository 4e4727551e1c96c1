from shardyard_runtime.torch.utils import dump_model, verify
