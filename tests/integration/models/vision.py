"""A ResNet and a U-Net as anyone writes them: batch norm, shortcuts, skip connections across the whole depth."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, enter: int, leave: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(enter, leave, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(leave)
        self.conv2 = nn.Conv2d(leave, leave, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(leave)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or enter != leave:
            self.downsample = nn.Sequential(
                nn.Conv2d(enter, leave, 1, stride, bias=False), nn.BatchNorm2d(leave)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 8))
        self.layer2 = nn.Sequential(BasicBlock(8, 16, 2), BasicBlock(16, 16))
        self.layer3 = nn.Sequential(BasicBlock(16, 32, 2), BasicBlock(32, 32))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(32, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def double_conv(enter: int, leave: int) -> nn.Sequential:
    def one(first: int) -> list[nn.Module]:
        return [nn.Conv2d(first, leave, 3, padding=1), nn.BatchNorm2d(leave), nn.ReLU(inplace=True)]

    return nn.Sequential(*one(enter), *one(leave))


class UNet(nn.Module):
    """Predicts a class a pixel. The way up is defined before the way down: order of execution is another."""

    def __init__(self, classes: int = 4, widths: tuple[int, ...] = (8, 16, 32)) -> None:
        super().__init__()
        self.head = nn.Conv2d(widths[0], classes, 1)
        pairs = list(pairwise(widths))
        self.up = nn.ModuleList([nn.ConvTranspose2d(b, a, 2, 2) for a, b in reversed(pairs)])
        self.merge = nn.ModuleList([double_conv(2 * a, a) for a, _ in reversed(pairs)])
        self.down = nn.ModuleList([double_conv(a, b) for a, b in zip((3, *widths), widths, strict=False)])
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for i, block in enumerate(self.down):
            x = block(x if i == 0 else self.pool(x))
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([skips.pop(), up(x)], dim=1))
        return self.head(x)
