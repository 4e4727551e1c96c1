from shardyard_runtime.torch.nn.huggingface import (
    translate_hf_gptneo_state_dict_to_smdistributed,
    translate_state_dict_to_hf_gptneo,
)
