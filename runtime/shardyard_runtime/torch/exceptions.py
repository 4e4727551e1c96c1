"""Every exception class that scripts may meet."""

from shardyard_runtime.comm.detector import Deadlock
from shardyard_runtime.comm.torch_mpi import CommunicationBroken, CommunicationTimeout
from shardyard_runtime.config.parameters import ParameterError
from shardyard_runtime.errors import NotBuiltYet
from shardyard_runtime.torch.checkpoints.read import CheckpointUnreadable
from shardyard_runtime.torch.pipeline.errors import PeerFailed, RemoteTraceback
from shardyard_runtime.torch.pipeline.foresight import Surprise
from shardyard_runtime.torch.pipeline.intercept import OutsideStep
from shardyard_runtime.torch.pipeline.remote_tensor import ChangedView, KeptTooLong
from shardyard_runtime.torch.state import NotInitialized

__all__ = [
    "ChangedView",
    "CheckpointUnreadable",
    "CommunicationBroken",
    "CommunicationTimeout",
    "Deadlock",
    "KeptTooLong",
    "NotBuiltYet",
    "NotInitialized",
    "OutsideStep",
    "ParameterError",
    "PeerFailed",
    "RemoteTraceback",
    "Surprise",
]
