"""State dicts of Hugging Face models. At degree 1 a model keeps its own layers, so nothing is translated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shardyard_runtime.errors import refusing
from shardyard_runtime.torch.state import state
from shardyard_runtime.torch.tensor_parallel import require_degree_1

Translation = Callable[..., dict[str, Any]]


def _identity(name: str) -> Translation:
    def translate(state_dict: dict[str, Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        if state.initialized:
            require_degree_1(f"smp.nn.huggingface: {name}")
        return state_dict

    translate.__name__ = translate.__qualname__ = name
    translate.__doc__ = "Returns the dict as it is. Raises NotBuiltYet above tensor parallel degree 1."
    return translate


translate_hf_state_dict_to_smdistributed = _identity("translate_hf_state_dict_to_smdistributed")
translate_hf_block_state_dict_to_smdistributed = _identity("translate_hf_block_state_dict_to_smdistributed")
translate_layer_state_dict_to_hf_gpt2_block = _identity("translate_layer_state_dict_to_hf_gpt2_block")
translate_hf_state_dict_to_smdistributed_gpt2 = _identity("translate_hf_state_dict_to_smdistributed_gpt2")
translate_state_dict_to_hf_gpt2 = _identity("translate_state_dict_to_hf_gpt2")
translate_hf_gptj_state_dict_to_smdistributed = _identity("translate_hf_gptj_state_dict_to_smdistributed")
translate_hf_state_dict_to_smdistributed_gptj = _identity("translate_hf_state_dict_to_smdistributed_gptj")
translate_state_dict_to_hf_gptj = _identity("translate_state_dict_to_hf_gptj")
translate_hf_gptneo_state_dict_to_smdistributed = _identity("translate_hf_gptneo_state_dict_to_smdistributed")
translate_state_dict_to_hf_gptneo = _identity("translate_state_dict_to_hf_gptneo")


def get_hf_gpt2_transformer_layer_hooks() -> tuple[
    Callable[..., Any], Callable[..., Any], Callable[..., Any]
]:
    """Init, forward and return hook for ``tp_register_with_module``; nothing calls them at degree 1."""
    init_hook, forward_hook, return_hook = (
        refusing(f"get_hf_gpt2_transformer_layer_hooks: {kind}_hook", "tensor parallelism", "use degree 1")
        for kind in ("init", "forward", "return")
    )
    return init_hook, forward_hook, return_hook
