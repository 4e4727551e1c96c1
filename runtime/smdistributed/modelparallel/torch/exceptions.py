from shardyard_runtime.torch.exceptions import (
    CommunicationTimeout,
    NotBuiltYet,
    NotInitialized,
    OutsideStep,
    ParameterError,
    PeerFailed,
    RemoteTraceback,
)
