from shardyard_runtime.torch.amp import GradScaler
