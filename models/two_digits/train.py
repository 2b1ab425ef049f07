"""Train the detector of digits 0–3 and write two_digits.onnx with its sidecar beside this script.

    python -m models.two_digits.train --mnist DIR     about 10 minutes on one core

Needs torch, and the four files of MNIST in DIR. One seed, nothing chosen by results: the recipe is the paper's.
"""

# ruff: noqa: T201 - a script that prints its progress

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from heatcli.errors import HeatcliError
from heatcli.replacing import replacing
from models.two_digits.architecture import GROUP, Weights, start, write_onnx
from models.two_digits.mnist import SIDE, read_digits
from models.two_digits.pairs import PairMaker, batches

MODEL = Path(__file__).with_name("two_digits.onnx")
SEED = 20170501
ITERATIONS = 300_000
BATCH = 20
LEARNING_RATE = 1e-4
WARM_UP, CONSTANT, LAST = 5_000, 200_000, 0.1
"""Iterations up to the full rate, up to where it begins to fall, and the share of it that is left in the end."""
SHOWN = 5_000


def rate(iteration: int, iterations: int = ITERATIONS) -> float:
    """Return the learning rate of an iteration, counted from 1; a shorter training has the same shape."""
    at = iteration * ITERATIONS / iterations
    if at < WARM_UP:
        return LEARNING_RATE * at / WARM_UP
    return LEARNING_RATE * (1 - (1 - LAST) * max(0.0, (at - CONSTANT) / (ITERATIONS - CONSTANT)))


class Trainee:
    """The weights while they are trained by plain gradient descent, and the loss of the last step."""

    def __init__(self, weights: Weights) -> None:
        """Copy ``weights`` into torch."""
        self.w1, self.b1, self.w2, self.b2 = (
            torch.from_numpy(np.array(value)) for value in (weights.w1, weights.b1, weights.w2, weights.b2)
        )

    def step(self, x: torch.Tensor, wanted: torch.Tensor, learning_rate: float) -> torch.Tensor:
        """Go one step down the gradient of ⟨(f(x) − wanted)²⟩ and return this loss; then no bias is above 0.

        ``x`` (N, 1568), ``wanted`` (N,). The gradient is written out: each weight matrix is changed in place by one
        product, which takes a third of the time of torch's own way.
        """
        detection1 = torch.addmm(self.b1, x, self.w1).relu_()
        pooling1 = detection1.view(len(x), -1, GROUP).sum(dim=2)
        detection2 = torch.addmm(self.b2, pooling1, self.w2).relu_()
        error = detection2.sum(dim=1) - wanted
        slope2 = (detection2 > 0) * (error * (2 / len(x)))[:, None]
        slope1 = (detection1 > 0) * (slope2 @ self.w2.T).repeat_interleave(GROUP, dim=1)
        self.w2.addmm_(pooling1.T, slope2, alpha=-learning_rate)
        self.b2.sub_(slope2.sum(dim=0), alpha=learning_rate).clamp_(max=0)
        self.w1.addmm_(x.T, slope1, alpha=-learning_rate)
        self.b1.sub_(slope1.sum(dim=0), alpha=learning_rate).clamp_(max=0)
        return error.square().mean()

    def weights(self) -> Weights:
        """Return what has been learned so far."""
        return Weights(*(value.numpy().copy() for value in (self.w1, self.b1, self.w2, self.b2)))


def training(trainee: Trainee, maker: PairMaker, iterations: int = ITERATIONS) -> Iterator[tuple[int, torch.Tensor]]:
    """Train ``trainee`` step by step, yielding the number of each iteration and its loss."""
    for iteration, (x, wanted) in enumerate(batches(maker, SEED, iterations, BATCH), 1):
        yield iteration, trainee.step(torch.from_numpy(x), torch.from_numpy(wanted), rate(iteration, iterations))


def train(mnist: Path, iterations: int = ITERATIONS) -> Weights:
    """Return the trained weights; prints the loss, a mean over 5 000 iterations, as it falls."""
    torch.set_num_threads(1)
    maker, trainee = PairMaker(read_digits(mnist, "train")), Trainee(start(SEED))
    print(f"seed {SEED}, {iterations} iterations of {BATCH} pairs", flush=True)
    begun, total = time.perf_counter(), torch.zeros(())
    with torch.no_grad():
        for iteration, loss in training(trainee, maker, iterations):
            total += loss
            if iteration % SHOWN == 0:
                minutes = (time.perf_counter() - begun) / 60
                print(f"iteration {iteration:6}  loss {float(total) / SHOWN:7.1f}  {minutes:.1f} min", flush=True)
                total.zero_()
    return trainee.weights()


def write_sidecar(path: Path) -> None:
    """Write what heatcli needs to know about the model at ``path``: among it that black is −0.5 and white +1.5."""
    content = {
        "description": "whether one of two handwritten digits is 0, 1, 2 or 3",
        "size": [SIDE, 2 * SIDE],
        "fit": "squash",
        "channels": "grey",
        "layout": "nchw",
        "scale": 1 / 255,
        "mean": 0.25,
        "std": 0.5,
        "labels": ["digit 0-3"],
        "license": "MIT",
    }
    with replacing(path) as stream:
        stream.write((json.dumps(content, indent=2) + "\n").encode())


def main() -> int:
    """Train and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, metavar="DIR", help="folder of the four files of MNIST")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, help="batches of 20 pairs (default %(default)s)")
    parser.add_argument("--output", type=Path, default=MODEL, help="the ONNX file (default: beside this script)")
    given = parser.parse_args()
    try:
        weights = train(given.mnist, given.iterations)
    except HeatcliError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    write_onnx(weights, given.output)
    write_sidecar(given.output.with_suffix(".heatcli.json"))
    print(f"{given.output}: {given.output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
