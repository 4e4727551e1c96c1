from smdistributed.modelparallel.torch.nn.huggingface import gpt2, gptj, gptneo
