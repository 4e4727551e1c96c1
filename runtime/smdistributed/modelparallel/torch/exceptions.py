from shardyard_runtime.torch.exceptions import (
    CheckpointUnreadable,
    CommunicationTimeout,
    NotBuiltYet,
    NotInitialized,
    OutsideStep,
    ParameterError,
    PeerFailed,
    RemoteTraceback,
)
