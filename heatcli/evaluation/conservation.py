"""Conservation and positivity measured: the properties of the paper's Table 1, for what was really computed.

A heatmap is conservative where Σ_p R_p(x) = f(x) (Def. 1), positive where no R_p is negative (Def. 2), consistent where
both hold (Def. 3). Pictures with f(x) ≤ 0 have no evidence to share out and say nothing about conservation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
CLOSE = 1e-3
"""Up to which |ΣR − f|/f a map counts as conservative."""


@dataclass(frozen=True)
class Conservation:
    """What was measured of one method, over ``pictures`` with f(x) > 0; ``empty`` had none.

    ``ratio`` is the mean of ΣR/f, ``worst`` the largest |ΣR − f|/f, ``biases`` the mean share of f that biases drew and
    ``missing`` the largest |f − ΣR − biases|/f, both None for methods without an account; ``negative`` is the mean part
    of |R| that is negative, ``least`` the smallest R of all, ``seconds`` what a picture took. Figures that no picture
    gives are NaN.
    """

    method: str
    pictures: int
    empty: int
    ratio: float
    worst: float
    biases: float | None
    missing: float | None
    negative: float
    least: float
    seconds: float | None

    @property
    def conservative(self) -> bool:
        """Whether the pixels alone add up to f(x) on every picture."""
        return self.worst < CLOSE

    @property
    def closes(self) -> bool:
        """Whether pixels and biases together add up to f(x) on every picture."""
        return self.missing is not None and self.missing < CLOSE

    @property
    def positive(self) -> bool:
        """Whether no relevance is negative, on any picture."""
        return self.least >= 0

    @property
    def consistent(self) -> bool:
        """Whether it is conservative and positive."""
        return self.conservative and self.positive


def conservation(
    method: str,
    scores: Array,
    sums: Array,
    *,
    least: Array,
    negative: Array | None = None,
    biases: Array | None = None,
    missing: Array | None = None,
    seconds: Array | None = None,
) -> Conservation:
    """Measure one ``method`` on N pictures, every array being (N,).

    ``scores`` are f(x), ``sums`` Σ_p R_p, ``least`` min_p R_p, ``negative`` the share of Σ|R_p| that is negative;
    ``biases`` is what biases drew and ``missing`` what neither they nor the pixels got, in parts of f, for methods with
    an account.
    """
    scores, sums, least = (np.asarray(entry, np.float64) for entry in (scores, sums, least))
    there = scores > 0
    shares = sums[there] / scores[there]
    drawn = None if biases is None else _mean(np.asarray(biases, np.float64)[there] / scores[there])
    return Conservation(
        method,
        pictures=int(there.sum()),
        empty=int((~there).sum()),
        ratio=_mean(shares),
        worst=float(np.abs(shares - 1).max(initial=0.0)) if shares.size else float("nan"),
        biases=drawn,
        missing=None if missing is None else float(np.abs(np.asarray(missing, np.float64)).max(initial=0.0)),
        negative=float("nan") if negative is None else _mean(np.asarray(negative, np.float64)),
        least=float(least.min()) if least.size else float("nan"),
        seconds=None if seconds is None else _mean(np.asarray(seconds, np.float64)),
    )


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")
