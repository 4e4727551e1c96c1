"""Random numbers that do not depend on where modules are.

A microbatch's body is seeded with (seed, step, microbatch, replica). Every call of a module draws one number from the
stream of its caller and runs on a stream seeded with it, here or on another rank; afterwards the caller's stream goes
on. So what a module draws follows from the path of calls that led to it, whatever the placement and the order of
microbatches. (Splittable generators: Claessen and Pałka, 2013.) A checkpointed region starts again from the stream that
torch.utils.checkpoint restores, and draws the same.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

# These draw nothing and call no other module: a stream of their own would cost and change nothing.
_DRAW_NOTHING = frozenset(
    {
        *(nn.Linear, nn.Bilinear, nn.Identity, nn.Flatten, nn.Unflatten, nn.Embedding, nn.EmbeddingBag),
        *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
        *(nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
        *(
            nn.ReLU,
            nn.ReLU6,
            nn.GELU,
            nn.SiLU,
            nn.ELU,
            nn.LeakyReLU,
            nn.Sigmoid,
            nn.Tanh,
            nn.Softmax,
            nn.LogSoftmax,
        ),
        *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.Upsample),
        *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.CrossEntropyLoss, nn.MSELoss),
    }
)


def draws(module: nn.Module) -> bool:
    """False when a call of the module is known to draw nothing."""
    return type(module) not in _DRAW_NOTHING


class Streams:
    """The generators of this rank's device, as one stream."""

    def __init__(self, device: torch.device) -> None:
        self._generators = [torch.default_generator]
        if device.type == "cuda":
            self._generators.append(torch.cuda.default_generators[device.index])
        self._drawn = torch.empty((), dtype=torch.int64)
        self._read = self._drawn.numpy()  # the same bytes, read past dispatch modes: no value of the model's

    def save(self) -> list[torch.Tensor]:
        return [generator.get_state() for generator in self._generators]

    def restore(self, saved: list[torch.Tensor]) -> None:
        for generator, one in zip(self._generators, saved, strict=True):
            generator.set_state(one)

    def draw(self) -> int:
        """A seed for a call, from the stream of its caller."""
        self._drawn.random_()
        return int(self._read)

    def seed(self, seed: int) -> None:
        for generator in self._generators:
            generator.manual_seed(seed)

    @contextlib.contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """A stream of its own inside, the one from before afterwards."""
        saved = self.save()
        self.seed(seed)
        try:
            yield
        finally:
            self.restore(saved)


def seed_of(*parts: Any) -> int:
    """A seed, 63 bits, for the parts taken together."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
