"""Every exception class that scripts may meet."""

from shardyard_runtime.comm.detector import Deadlock
from shardyard_runtime.comm.torch_mpi import CommunicationBroken, CommunicationTimeout
from shardyard_runtime.config.parameters import ParameterError
from shardyard_runtime.errors import NotBuiltYet
from shardyard_runtime.torch.checkpoints.read import CheckpointUnreadable
from shardyard_runtime.torch.pipeline.errors import PeerFailed, RemoteTraceback
from shardyard_runtime.torch.pipeline.intercept import OutsideStep
from shardyard_runtime.torch.state import NotInitialized

__all__ = [
    "CheckpointUnreadable",
    "CommunicationBroken",
    "CommunicationTimeout",
    "Deadlock",
    "NotBuiltYet",
    "NotInitialized",
    "OutsideStep",
    "ParameterError",
    "PeerFailed",
    "RemoteTraceback",
]
