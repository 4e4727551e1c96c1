"""The models as their libraries make them, tiny and with random weights, and a batch for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import transformers
from torch import nn

from tests.integration.models.vision import ResNet, UNet

BATCH, LENGTH, VOCABULARY, SIDE = 8, 12, 64, 16


@dataclass(frozen=True)
class Case:
    build: Callable[[], nn.Module]
    batch: Callable[[], dict[str, torch.Tensor]]
    loss: Callable[[nn.Module, dict[str, torch.Tensor]], torch.Tensor]


def own_loss(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return model(**batch).loss


def cross_entropy(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch["images"]), batch["labels"])


def tokens() -> torch.Tensor:
    return torch.randint(2, VOCABULARY, (BATCH, LENGTH))


def padded() -> dict[str, torch.Tensor]:
    """Some rows are shorter: the mask is not all ones."""
    ids, mask = tokens(), torch.ones(BATCH, LENGTH, dtype=torch.long)
    mask[::2, -3:] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def gpt2() -> nn.Module:
    sizes = {"vocab_size": VOCABULARY, "n_positions": LENGTH, "n_embd": 32, "n_layer": 4, "n_head": 2}
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    config = transformers.GPT2Config(**sizes, **none, bos_token_id=0, eos_token_id=0)
    return transformers.GPT2LMHeadModel(config)


def bert() -> nn.Module:
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2}
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return transformers.BertForMaskedLM(transformers.BertConfig(**sizes, **none, intermediate_size=64))


def t5() -> nn.Module:
    sizes = {"vocab_size": VOCABULARY, "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 3, "num_heads": 2}
    config = transformers.T5Config(**sizes, dropout_rate=0.0, decoder_start_token_id=0)
    return transformers.T5ForConditionalGeneration(config)


def vit() -> nn.Module:
    sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 64}
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    config = transformers.ViTConfig(**sizes, **none, image_size=SIDE, patch_size=4, num_labels=4)
    return transformers.ViTForImageClassification(config)


def images(name: str, *label_shape: int) -> dict[str, torch.Tensor]:
    return {name: torch.randn(BATCH, 3, SIDE, SIDE), "labels": torch.randint(0, 4, (BATCH, *label_shape))}


CASES = {
    "gpt2": Case(gpt2, padded, own_loss),
    "bert": Case(bert, padded, own_loss),
    "t5": Case(t5, padded, own_loss),
    "vit": Case(vit, lambda: images("pixel_values"), own_loss),
    "resnet": Case(ResNet, lambda: images("images"), cross_entropy),
    "unet": Case(UNet, lambda: images("images", SIDE, SIDE), cross_entropy),
}
