"""Small models, each with one thing that a pipeline gets wrong easily. All take (batch, 8) and give (batch, 4)."""

from __future__ import annotations

import torch
from torch import nn


def chain() -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)
    )


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.a = nn.Linear(width, width)
        self.b = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"main": self.b(torch.relu(self.a(x))), "gate": torch.sigmoid(x)}


class Skips(nn.Module):
    """Nested, with dict outputs and skip connections across the cut."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(8, 16)
        self.blocks = nn.ModuleList([Block(16) for _ in range(4)])
        self.leave = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = x = self.enter(x)
        for block in self.blocks:
            out = block(x)
            x = x + out["main"] * out["gate"]
        return self.leave(x + first)


class Tied(nn.Module):
    """The first and the last layer share their weight; the middle is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Linear(8, 8, bias=False)
        self.middle = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 8))
        self.again = nn.Linear(8, 8, bias=False)
        self.leave = nn.Linear(8, 4)
        self.again.weight = self.enter.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.leave(self.again(self.middle(self.middle(self.enter(x)))))


class Keyword(nn.Module):
    """Takes its input by keyword in a nested container, some of it without gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(5, 8)
        self.body = Body()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        index = (x.abs().sum(1) % 5).long()
        return self.body(inputs={"pair": (x, self.embed(index))}, scale=0.5)


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(16, 16)
        self.outer = nn.Linear(16, 4)

    def forward(self, inputs: dict[str, tuple[torch.Tensor, ...]], scale: float) -> torch.Tensor:
        joined = torch.cat(inputs["pair"], 1)
        joined *= scale
        return self.outer(torch.relu(self.inner(joined)))


MODELS = {"chain": chain, "skips": Skips, "tied": Tied, "keyword": Keyword}
