from shardyard_runtime.torch.nn.huggingface import (
    translate_hf_gptj_state_dict_to_smdistributed,
    translate_hf_state_dict_to_smdistributed_gptj,
    translate_state_dict_to_hf_gptj,
)
