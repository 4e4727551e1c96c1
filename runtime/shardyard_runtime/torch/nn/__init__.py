"""``smp.nn``: plain layers under the library's names, and layers that are only a name so far."""

from __future__ import annotations

from typing import Any

from torch import nn

from shardyard_runtime.errors import NotBuiltYet


class FusedLayerNorm(nn.LayerNorm):
    """``torch.nn.LayerNorm``, whose kernel is fused already."""


class _OnlyAName(nn.Module):
    """Lets ``isinstance`` and ``issubclass`` answer; cannot be constructed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotBuiltYet(
            f"smp.nn.{type(self).__name__}", "this layer", "use the plain torch.nn or transformers layer"
        )


class DistributedModule(_OnlyAName):
    """Base of the layers that tensor parallelism splits."""


class DistributedLinear(DistributedModule):
    """Not built yet."""


class DistributedEmbedding(DistributedModule):
    """Not built yet."""


class DistributedLayerNorm(DistributedModule):
    """Not built yet."""


class DistributedAttentionLayer(DistributedModule):
    """Not built yet."""


class DistributedTransformerOutputLayer(DistributedModule):
    """Not built yet."""


class DistributedTransformerLayer(DistributedModule):
    """Not built yet."""


class DistributedTransformer(DistributedModule):
    """Not built yet."""


class DistributedTransformerLMHead(DistributedModule):
    """Not built yet."""


class FlashAttentionLayer(_OnlyAName):
    """Not built yet."""
