"""The import path that scripts use; everything is defined in ``shardyard_runtime``."""

# The API version that client scripts branch on (Hugging Face at 1.10, others at 1.15), not Shardyard's own.
__version__ = "1.15.0"
