from shardyard_runtime.errors import refusing

initialized = False
barrier = refusing(
    "smdistributed.modelparallel.tensorflow.core.barrier",
    "the TensorFlow runtime",
    "use PyTorch: smdistributed.modelparallel.torch",
)
