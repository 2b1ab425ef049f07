"""Write pairs of MNIST's training digits as one .npy stack, which ``heatcli fit`` takes; torch is not needed.

    python -m models.two_digits.stack --mnist DIR -o pairs.npy     a few seconds

Mixed pairs as in training, drawn by another seed.
"""

# ruff: noqa: T201 - a script that prints what it wrote

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from heatcli.errors import HeatcliError
from heatcli.replacing import replacing
from models.two_digits.mnist import read_digits
from models.two_digits.pairs import PairMaker

SEED = 51
COUNT = 50_000


def write_stack(mnist: Path, path: Path, count: int = COUNT) -> None:
    """Write ``count`` pairs to ``path``, (N, 1, 28, 56) float32; raises UsageError where MNIST is not there."""
    pairs = PairMaker(read_digits(mnist, "train")).mixed(np.random.default_rng(SEED), count)
    with replacing(path) as stream:
        np.save(stream, pairs.x, allow_pickle=False)


def main() -> int:
    """Write the stack and print where it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, metavar="DIR", help="folder of the four files of MNIST")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the .npy file")
    parser.add_argument("--count", type=int, default=COUNT, help="how many pairs (default %(default)s)")
    given = parser.parse_args()
    try:
        write_stack(given.mnist, given.output, given.count)
    except HeatcliError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(given.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
