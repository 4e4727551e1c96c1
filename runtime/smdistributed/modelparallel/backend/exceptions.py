"""The exception classes that need no framework; all of them are in ``torch.exceptions``."""

from shardyard_runtime.config.parameters import ParameterError
from shardyard_runtime.errors import NotBuiltYet
from shardyard_runtime.torch.pipeline.errors import PeerFailed
