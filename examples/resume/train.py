"""Train for a while, and lose nothing when stopped: write a checkpoint, exit, go on from it next time.

A small network learns to tell two interleaved spirals apart. Standard library, Python 3.9 or newer.

What makes it resumable, in the order of the file:
1. `load`: it starts from $FETCHML_CHECKPOINT_DIR, else from a checkpoint.json beside this file, else anew;
2. `save`: a checkpoint is complete or absent, never half written;
3. `Stop`: SIGTERM, or the file $FETCHML_STOP_FILE, ends the loop at the next step.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import signal
import sys
import time
from operator import mul
from pathlib import Path

HERE = Path(__file__).resolve().parent
STOPPED = 128 + signal.SIGTERM
"""Exit status of a run that was stopped: not 0, since it is not done."""


class Stop:
    """Whether this run is to end; `reason` says why."""

    def __init__(self, file):
        self._file = file
        self._signalled = False
        signal.signal(signal.SIGTERM, self._on_signal)

    def _on_signal(self, _number, _frame):
        self._signalled = True

    def __bool__(self):
        return self._signalled or bool(self._file and self._file.exists())

    @property
    def reason(self):
        if self._file and self._file.exists():
            return self._file.read_text(errors="replace").strip()
        return "SIGTERM"


def load(folder):
    """Return the newest checkpoint and where it was found; (None, None) to begin anew."""
    for path in (folder / "checkpoint.json", HERE / "checkpoint.json"):
        if path.exists():
            return json.loads(path.read_text()), path
    return None, None


def save(folder, state):
    """Write a checkpoint that survives a kill at any moment: to another name, onto the disk, then renamed."""
    folder.mkdir(parents=True, exist_ok=True)
    path, part = folder / "checkpoint.json", folder / "checkpoint.json.part"
    with part.open("w") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return path


def spirals(points=60):
    """Return (x, y, 1 as the bias's input) and the arm, 0 or 1, of each point of two spirals."""
    found = []
    for number in range(points):
        angle, radius = number / 16 * math.pi, 1 - number / points * 0.9
        x, y = radius * math.sin(angle), radius * math.cos(angle)
        found += [((x, y, 1.0), 1), ((-x, -y, 1.0), 0)]
    return found


def begin(hidden, seed):
    """Return the state before the first step: all that a checkpoint needs."""
    rng = random.Random(seed)
    inner = [[rng.gauss(0, 4), rng.gauss(0, 4), rng.gauss(0, 2)] for _ in range(hidden)]
    return {"step": 0, "inner": inner, "outer": [0.0] * (hidden + 1)}


def learn(state, points, rate):
    """Go once through all points; return the mean cross-entropy and the share that was told apart."""
    inner, outer = state["inner"], state["outer"]
    loss = right = 0
    for point, arm in points:
        values = [math.tanh(sum(map(mul, row, point))) for row in inner] + [1.0]
        chance = 1 / (1 + math.exp(-max(-30.0, min(30.0, sum(map(mul, outer, values))))))
        loss -= math.log(max(chance if arm else 1 - chance, 1e-12))
        right += (chance > 0.5) == (arm == 1)
        wrong = chance - arm
        for row, weight, value in zip(inner, outer, values):
            step = rate * wrong * weight * (1 - value * value)
            row[:] = [old - step * part for old, part in zip(row, point)]
        outer[:] = [weight - rate * wrong * value for weight, value in zip(outer, values)]
    state["step"] += 1
    return loss / len(points), right / len(points)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--every", type=int, default=500, help="steps between two checkpoints")
    parser.add_argument("--hidden", type=int, default=24)
    parser.add_argument("--rate", type=float, default=0.05)
    options = parser.parse_args()

    results = Path(os.environ.get("FETCHML_RESULTS", "results"))
    checkpoints = Path(os.environ.get("FETCHML_CHECKPOINT_DIR", "checkpoint"))
    stop_file = os.environ.get("FETCHML_STOP_FILE")
    stop = Stop(Path(stop_file) if stop_file else None)
    results.mkdir(parents=True, exist_ok=True)

    state, found = load(checkpoints)
    if state is None:
        state = begin(options.hidden, seed=1)
        print("begins at step 0", flush=True)
    else:
        print(f"resumes at step {state['step']} from {found}", flush=True)

    points = spirals()
    last = time.monotonic()
    while state["step"] < options.steps and not stop:
        loss, right = learn(state, points, options.rate)
        if state["step"] % options.every == 0:
            save(checkpoints, state)
            pace = options.every / (time.monotonic() - last)
            last = time.monotonic()
            print(f"FETCHML_METRIC step={state['step']} loss={loss:.4f} accuracy={right:.4f}", flush=True)
            print(f"checkpoint at step {state['step']}, {pace:.0f} steps a second", flush=True)

    # A copy goes with the results, so that it can be pulled and sent along with a new job.
    shutil.copyfile(save(checkpoints, state), results / "checkpoint.json")
    if state["step"] < options.steps:
        print(f"stopped at step {state['step']} ({stop.reason}); its checkpoint is written", flush=True)
        return STOPPED
    print(f"done after {state['step']} steps", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
