from shardyard_runtime.errors import refusing

send_checkpoint_files = refusing(
    "smdistributed.modelparallel.tensorflow.utils.send_checkpoint_files",
    "the TensorFlow runtime",
    "use PyTorch: smdistributed.modelparallel.torch",
)
receive_checkpoint_files = refusing(
    "smdistributed.modelparallel.tensorflow.utils.receive_checkpoint_files",
    "the TensorFlow runtime",
    "use PyTorch: smdistributed.modelparallel.torch",
)
