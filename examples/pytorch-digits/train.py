"""Handwritten digits (scikit-learn's, 8 x 8 pixels), a convolutional network in two partitions.

Runs unchanged in SageMaker, in `shardyard run`, and under plain `mpirun`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import smdistributed.modelparallel.torch as smp


def digits() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training and test images, (n, 1, 8, 8) in 0..1, with their labels, (n,)."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(data.target)
    train, test = train_test_split(range(len(labels)), test_size=0.25, random_state=0, stratify=data.target)
    return images[train], labels[train], images[test], labels[test]


def network() -> nn.Module:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU()),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)),
    )


@smp.step
def train_step(model: smp.DistributedModel, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    loss = nn.functional.cross_entropy(model(images), labels)
    model.backward(loss)
    return loss


@smp.step
def test_step(model: smp.DistributedModel, images: torch.Tensor) -> torch.Tensor:
    return model(images)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=64, help="samples a replica and step")
    parser.add_argument("--lr", type=float, default=2e-3)
    args, _ = parser.parse_known_args()

    smp.init()
    torch.manual_seed(0)
    torch.cuda.set_device(smp.local_rank())
    x, y, test_x, test_y = digits()
    model = smp.DistributedModel(network())
    optimizer = smp.DistributedOptimizer(torch.optim.Adam(model.parameters(), lr=args.lr))

    shuffle = torch.Generator().manual_seed(1)
    for epoch in range(args.epochs):
        order = torch.randperm(len(x), generator=shuffle)[smp.dp_rank() :: smp.dp_size()]
        for start in range(0, len(x) // smp.dp_size() - args.batch_size + 1, args.batch_size):
            batch = order[start : start + args.batch_size]
            optimizer.zero_grad()
            loss = train_step(model, x[batch], y[batch]).reduce_mean()
            optimizer.step()
        if smp.rank() == 0:
            print(f"epoch={epoch} loss={loss.item():.4f}", flush=True)

    model.eval()
    count = len(test_x) // smp.state.cfg.microbatches * smp.state.cfg.microbatches
    with torch.no_grad():
        predicted = test_step(model, test_x[:count]).concat().argmax(1)
    accuracy = (predicted.cpu() == test_y[:count]).float().mean().item()

    folder = Path(os.environ.get("SM_MODEL_DIR", "."))
    if smp.dp_rank() == 0:  # one replica has it all; the gather is among its own ranks
        state = model.state_dict()
        if smp.pp_rank() == 0:
            smp.save(state, folder / "model.pt", partial=False)
    if smp.rank() == 0:
        print(f"accuracy={accuracy:.4f}", flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()
