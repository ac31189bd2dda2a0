"""Train a small convolutional network with PyTorch, its data made by two DataLoader workers.

The data are pictures of noisy stripes, made on the fly: the workers compute, and hand their batches over in shared
memory. The network learns to tell the direction of the stripes, one of eight. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

SIZE = 24
DIRECTIONS = 8


class Stripes(Dataset):
    """Pictures of 24 x 24 pixels: stripes in one of eight directions, under noise stronger than they are."""

    def __init__(self, count, seed):
        self.count = count
        self.seed = seed
        axis = torch.linspace(-1, 1, SIZE)
        self.y, self.x = torch.meshgrid(axis, axis, indexing="ij")

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        own = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        direction = int(torch.randint(DIRECTIONS, (), generator=own))
        phase, width = torch.rand(2, generator=own).tolist()
        angle = math.pi * direction / DIRECTIONS
        along = self.x * math.cos(angle) + self.y * math.sin(angle)
        stripes = torch.sin(along * (6 + 6 * width) + 2 * math.pi * phase)
        noise = 2 * torch.randn(SIZE, SIZE, generator=own)
        return (stripes + noise).unsqueeze(0), direction


def network():
    """Return the network, not trained yet."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(32 * 9, DIRECTIONS),
    )


def learn(model, loader, optimiser):
    """Go once through the pictures; return the mean loss."""
    model.train()
    total = 0.0
    for pictures, directions in loader:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(pictures), directions)
        loss.backward()
        optimiser.step()
        total += loss.item() * len(pictures)
    return total / len(loader.dataset)


@torch.no_grad()
def accuracy(model, loader):
    """Return the share of pictures whose direction is told right."""
    model.eval()
    right = sum(int((model(pictures).argmax(1) == wanted).sum()) for pictures, wanted in loader)
    return right / len(loader.dataset)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2, help="processes that make the data")
    options = parser.parse_args()

    results = Path(os.environ.get("FETCHML_RESULTS", "results"))
    results.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(7)
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)

    def load(count, seed, *, shuffle=False):
        # persistent: the workers live as long as the loader, and are not started anew for every epoch
        return DataLoader(
            Stripes(count, seed),
            batch_size=64,
            shuffle=shuffle,
            num_workers=options.workers,
            persistent_workers=options.workers > 0,
        )

    known, unknown = load(options.pictures, seed=1, shuffle=True), load(options.pictures // 4, seed=2)
    model = network()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    share = 0.0
    for epoch in range(1, options.epochs + 1):
        loss = learn(model, known, optimiser)
        share = accuracy(model, unknown)
        print(f"FETCHML_METRIC step={epoch} loss={loss:.4f} accuracy={share:.4f}", flush=True)

    torch.save(model.state_dict(), results / "model.pt")
    (results / "summary.json").write_text(json.dumps({"accuracy": share, "epochs": options.epochs}) + "\n")


if __name__ == "__main__":
    main()
