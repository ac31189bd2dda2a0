"""Teach a small neural network to read handwritten digits, with nothing but the standard library.

A network of one hidden layer is trained by stochastic gradient descent on 1,437 pictures of 8 x 8 pixels and tried on
360 it has never seen. Runs on Python 3.9 or newer; the same file runs without `ml`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import time
from operator import mul
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLASSES = 10
TRAINED_ON = 1437


def read_pictures(path):
    """Return (64 numbers from 0 to 1, digit) for every row of the file."""
    with path.open(newline="") as file:
        rows = [[int(cell) for cell in row] for row in csv.reader(file)]
    return [([pixel / 16 for pixel in row[:-1]], row[-1]) for row in rows]


class Network:
    """Weights of a hidden layer (tanh) and of an output layer (softmax); the last weight of a row is its bias."""

    def __init__(self, inputs, hidden, rng):
        self.hidden = [_row(inputs, rng) for _ in range(hidden)]
        self.output = [_row(hidden, rng) for _ in range(CLASSES)]

    def forward(self, picture):
        """Return what the hidden layer says, and a probability for each digit."""
        inner = [math.tanh(sum(map(mul, row, picture)) + row[-1]) for row in self.hidden]
        raw = [sum(map(mul, row, inner)) + row[-1] for row in self.output]
        most = max(raw)
        powers = [math.exp(value - most) for value in raw]
        total = sum(powers)
        return inner, [power / total for power in powers]

    def learn(self, picture, digit, rate):
        """Take one step down the gradient of the cross-entropy; return its value before the step."""
        inner, chances = self.forward(picture)
        wrong = [chance - (number == digit) for number, chance in enumerate(chances)]
        back = [
            sum(map(mul, wrong, column)) * (1 - value * value)
            for column, value in zip(zip(*self.output), inner)
        ]
        _descend(self.output, wrong, [*inner, 1.0], rate)
        _descend(self.hidden, back, [*picture, 1.0], rate)
        return -math.log(max(chances[digit], 1e-12))


def _row(size, rng):
    scale = 1 / math.sqrt(size)
    return [rng.uniform(-scale, scale) for _ in range(size)] + [0.0]


def _descend(rows, gradients, values, rate):
    for number, gradient in enumerate(gradients):
        step = rate * gradient
        rows[number] = [weight - step * value for weight, value in zip(rows[number], values)]


def confusion(network, pictures):
    """Return a table: how often digit (row) was read as digit (column)."""
    table = [[0] * CLASSES for _ in range(CLASSES)]
    for picture, digit in pictures:
        chances = network.forward(picture)[1]
        table[digit][chances.index(max(chances))] += 1
    return table


def accuracy(table):
    """Return the share of pictures on the table's diagonal."""
    return sum(table[digit][digit] for digit in range(CLASSES)) / sum(map(sum, table))


def report(table, epochs, seconds):
    """Return the text that goes with the model."""
    lines = [
        f"accuracy on {sum(map(sum, table))} pictures it had not seen: {accuracy(table):.4f}",
        f"{epochs} epochs in {seconds:.1f} s",
        "",
        "rows: the digit written; columns: the digit read",
        "    " + "".join(f"{digit:>4}" for digit in range(CLASSES)),
    ]
    lines += [f"{digit:>4}" + "".join(f"{count:>4}" for count in row) for digit, row in enumerate(table)]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate of the first epoch")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()

    results = Path(os.environ.get("FETCHML_RESULTS", "results"))
    results.mkdir(parents=True, exist_ok=True)
    rng = random.Random(options.seed)
    pictures = read_pictures(HERE / "digits.csv")
    rng.shuffle(pictures)
    known, unknown = pictures[:TRAINED_ON], pictures[TRAINED_ON:]
    network = Network(len(known[0][0]), options.hidden, rng)
    print(f"learning from {len(known)} pictures, trying {len(unknown)} others", flush=True)

    begin = time.monotonic()
    table = confusion(network, unknown)
    for epoch in range(1, options.epochs + 1):
        rng.shuffle(known)
        rate = options.rate * (1 - (epoch - 1) / options.epochs)
        loss = sum(network.learn(picture, digit, rate) for picture, digit in known) / len(known)
        table = confusion(network, unknown)
        print(f"FETCHML_METRIC step={epoch} loss={loss:.4f} accuracy={accuracy(table):.4f}", flush=True)

    text = report(table, options.epochs, time.monotonic() - begin)
    (results / "report.txt").write_text(text)
    model = {"hidden": network.hidden, "output": network.output, "accuracy": accuracy(table)}
    (results / "model.json").write_text(json.dumps(model))
    print(text, end="")


if __name__ == "__main__":
    main()
