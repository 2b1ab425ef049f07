"""The paper's figures 5 and 6 from the weights that ship: heatmaps of twelve pairs, and how relevance adds up to f.

    python -m models.two_digits.reproduce --mnist DIR -o figures/     about 2 minutes on one core

Writes the numbers of both figures as .npz. The exit code is 1 where a method cannot be used (the figures go without
it), 2 where MNIST is not there.
"""

# ruff: noqa: T201 - a script that prints what it wrote

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from heatcli.errors import HeatcliError
from heatcli.replacing import replacing
from models.two_digits.maps import METHODS, MODEL, Maps, maps_of, open_explainer
from models.two_digits.mnist import read_digits
from models.two_digits.pairs import PairMaker, Pairs

Array = np.ndarray
SEED = 2017
EXAMPLES, POINTS = 12, 500
"""Pairs with a target in figure 5; mixed pairs in figure 6, every one a point."""


def examples(maker: PairMaker) -> Pairs:
    """Return the pairs of figure 5: the first twelve with a target that the seed draws."""
    return maker.single(np.random.default_rng((SEED, 5)), EXAMPLES)


def points(maker: PairMaker) -> Pairs:
    """Return the pairs of figure 6, mixed as in training."""
    return maker.mixed(np.random.default_rng((SEED, 6)), POINTS)


def explained(pairs: Pairs, model: Path = MODEL) -> tuple[list[Maps], dict[str, str]]:
    """Return the maps of ``pairs`` by every method that can be used, in the paper's order; why not for the others."""
    explainer = open_explainer(model)
    maps, missing = [], {}
    for method in METHODS:
        try:
            maps.append(maps_of(pairs.x, method, explainer, model))
        except HeatcliError as error:
            missing[method] = str(error)
    return maps, missing


def write_numbers(path: Path, pairs: Pairs, maps: list[Maps]) -> None:
    """Write the ``pictures`` (N, 28, 56), ``scores`` (N,) and the relevance (N, 28, 56) of every method as .npz."""
    numbers = {"pictures": pairs.x[:, 0], "digits": pairs.digits, "scores": maps[0].scores}
    with replacing(path) as stream:
        np.savez_compressed(stream, allow_pickle=False, **numbers, **{each.method: each.relevance for each in maps})
    print(path)


def reproduce(mnist: Path, folder: Path, model: Path = MODEL) -> dict[str, str]:
    """Write both figures to ``folder``; return the methods that could not be used, and why."""
    maker = PairMaker(read_digits(mnist, "test"))
    missing: dict[str, str] = {}
    for name, pairs in (("figure5", examples(maker)), ("figure6", points(maker))):
        maps, without = explained(pairs, model)
        write_numbers(folder / f"{name}.npz", pairs, maps)
        missing |= without
    return missing


def main() -> int:
    """Make the figures and say which methods are not in them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, metavar="DIR", help="folder of the four files of MNIST")
    parser.add_argument("-o", "--output", type=Path, default=Path("figures"), metavar="DIR", help="default: figures")
    parser.add_argument("--model", type=Path, default=MODEL, help="the ONNX file (default: beside this script)")
    given = parser.parse_args()
    try:
        missing = reproduce(given.mnist, given.output, given.model)
    except HeatcliError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    for method, reason in missing.items():
        print(f"{method} is not in the figures: {reason}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
