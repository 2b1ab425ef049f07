"""Two digits side by side, and whether one of them is 0, 1, 2 or 3: the pairs of the paper's section 6.1.

A digit 0–3 is a target, a digit 4–9 a distractor. Half of the pairs are negative, without a target; of the positive
ones a quarter has two targets. Every digit is moved by up to two pixels each way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models.two_digits.mnist import SIDE, Digits

Array = np.ndarray
TARGETS = 4
"""The digits below are what is to be detected."""
SHIFT = 2
BLACK, WHITE = -0.5, 1.5
POSITIVE, BOTH = 0.5, 0.25
"""Share of pairs with a target, and share of those with two."""
PRESENT, ABSENT = 100.0, 0.0
"""What the network is to say."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """``x`` (N, 1, 28, 56) float32 from −0.5 (black) to +1.5 (white); ``digits`` (N, 2) uint8, left and right."""

    x: Array
    digits: Array

    @property
    def targets(self) -> Array:
        """Which of the two digits are below 4: (N, 2) bool."""
        return self.digits < TARGETS

    @property
    def wanted(self) -> Array:
        """100 where there is a target, else 0: (N,) float32."""
        return np.where(self.targets.any(axis=1), np.float32(PRESENT), np.float32(ABSENT))


def coded(pixels: Array) -> Array:
    """Return grey values 0 … 255 as network input −0.5 … +1.5, float32."""
    return pixels * np.float32((WHITE - BLACK) / 255) + np.float32(BLACK)


class PairMaker:
    """Draws pairs of ``digits``; the same generator gives the same pairs."""

    def __init__(self, digits: Digits, shift: int = SHIFT) -> None:
        """Sort the digits into targets and distractors, each with a black margin to be moved in."""
        padded = np.pad(digits.images, ((0, 0), (shift, shift), (shift, shift)))
        # (N, moves down, moves right, 28, 28): every move is a view, nothing is copied until a pair is drawn.
        self._moved = np.lib.stride_tricks.sliding_window_view(padded, (SIDE, SIDE), axis=(1, 2))
        self._labels, self._moves = digits.labels, 2 * shift + 1
        self._kinds = [np.flatnonzero(digits.labels >= TARGETS), np.flatnonzero(digits.labels < TARGETS)]

    def mixed(self, rng: np.random.Generator, count: int) -> Pairs:
        """Draw ``count`` pairs of all kinds in the shares above."""
        positive = rng.random(count) < POSITIVE
        both = positive & (rng.random(count) < BOTH)
        left = rng.random(count) < 0.5
        return self._draw(rng, np.stack([positive & (both | left), positive & (both | ~left)], axis=1))

    def single(self, rng: np.random.Generator, count: int) -> Pairs:
        """Draw ``count`` pairs of one target and one distractor, the target left or right."""
        left = rng.random(count) < 0.5
        return self._draw(rng, np.stack([left, ~left], axis=1))

    def _draw(self, rng: np.random.Generator, targets: Array) -> Pairs:
        """Draw a digit for each place, a target where ``targets`` (N, 2) bool says so."""
        chosen = np.empty(targets.shape, np.intp)
        for kind, indices in enumerate(self._kinds):
            here = targets == bool(kind)
            chosen[here] = indices[rng.integers(len(indices), size=int(here.sum()))]
        down, right = rng.integers(self._moves, size=(2, *targets.shape))
        halves = self._moved[chosen, down, right]  # (N, 2, 28, 28)
        pictures = halves.transpose(0, 2, 1, 3).reshape(len(targets), 1, SIDE, 2 * SIDE)
        return Pairs(coded(pictures), self._labels[chosen])


def batches(maker: PairMaker, seed: int, count: int, size: int, block: int = 100) -> Iterator[tuple[Array, Array]]:
    """Yield ``count`` batches of mixed pairs: input (``size``, 1568) and what is wanted (``size``,), both float32.

    ``block`` batches are drawn at once, which is faster; a batch depends on the seed and its place alone.
    """
    for start in range(0, count, block):
        pairs = maker.mixed(np.random.default_rng((seed, start // block)), block * size)
        x, wanted = pairs.x.reshape(block, size, -1), pairs.wanted.reshape(block, size)
        for index in range(min(block, count - start)):
            yield x[index], wanted[index]
