"""Training in float16 or bfloat16: the converted model, float32 masters of its parameters, the loss scale."""
