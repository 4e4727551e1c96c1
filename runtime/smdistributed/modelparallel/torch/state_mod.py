from shardyard_runtime.torch.state import state
