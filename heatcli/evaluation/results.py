"""What an evaluation holds: the figures of every method, and of every picture and map behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heatcli.evaluation.conservation import Conservation
from heatcli.evaluation.histograms import Histogram
from heatcli.evaluation.localisation import Localisation, Located
from heatcli.evaluation.perturbation import Drops, Perturbation
from heatcli.evaluation.sanity import Sanity

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Measured:
    """One map of one picture: ``pixels`` is ΣR, ``negative`` the negative share of Σ|R|, ``least`` the smallest R.

    ``biases`` is what biases drew and ``missing`` what neither they nor the pixels got, in parts of f; None without an
    account.
    ``order`` are the numbers of the regions, the most relevant first; ``located`` is None where no object is known.
    """

    pixels: float
    biases: float | None
    missing: float | None
    negative: float
    least: float
    seconds: float
    order: Array
    located: Located | None


@dataclass(frozen=True, eq=False)
class Judged:
    """One picture: its class ``target``, what the network says of it, and every method's map of it.

    ``drops`` holds, by filling and name, how probability or score fell; baselines are among the names.
    """

    name: str
    target: int
    label: str | None
    score: float
    probability: float
    measured: Mapping[str, Measured]
    drops: Mapping[str, Mapping[str, Drops]] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """A picture that was left out of everything, and why."""

    name: str
    error: Exception


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured over ``pictures``, those that every method could explain; ``failures`` are the others.

    A check that was not made has no entries. ``histograms`` count R_p by method, ``window`` is the side of the box in
    the pointing game, ``unnamed`` counts pictures all of whose objects are said to be of other classes than the one
    explained, and ``unseen`` names those whose objects lie outside of what the network sees.
    """

    methods: Mapping[str, Mapping[str, Any]]
    pictures: tuple[Judged, ...]
    failures: tuple[Failure, ...]
    conservation: tuple[Conservation, ...] = ()
    histograms: Mapping[str, Histogram] = field(default_factory=dict)
    perturbation: tuple[Perturbation, ...] = ()
    localisation: tuple[Localisation, ...] = ()
    sanity: tuple[Sanity, ...] = ()
    regions: int = 0
    window: int = 0
    unnamed: int = 0
    unseen: tuple[str, ...] = ()
