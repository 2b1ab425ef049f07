"""Localisation: whether a heatmap lies on the object, where it is known where the object is.

Pointing game: Zhang et al., Top-down neural attention by excitation backprop, ECCV 2016. Relevance inside: Kohlbrenner
et al., Towards best practice in explaining neural network decisions with LRP, IJCNN 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heatcli.evaluation.smoothing import box, smoothed

Array = np.ndarray
WINDOWS_ALONG = 25
"""The window of the pointing game goes so often, about, into the longer side: 9 pixels of 224."""


@dataclass(frozen=True)
class Located:
    """One map and one object: whether it points there, its relevance ``inside`` and the object's ``area``, both 0–1."""

    hit: bool
    inside: float
    area: float


@dataclass(frozen=True)
class Localisation:
    """One method over ``pictures`` with objects: ``hits``, mean relevance ``inside``, mean ``area`` of the objects."""

    name: str
    pictures: int
    hits: int
    inside: float
    area: float

    @property
    def pointing(self) -> float:
        """The share of pictures on which the map points at the object."""
        return self.hits / self.pictures


def window_of(sides: tuple[int, ...]) -> int:
    """Return the side of the window that smoothes a map of ``sides``, an odd number of pixels."""
    return 2 * round((max(sides) / WINDOWS_ALONG - 1) / 2) + 1


def locate(heatmap: Array, objects: Array, *, window: int | None = None) -> Located:
    """Compare ``heatmap`` (H, W), as the network sees the picture, with the mask ``objects`` (H, W) of bool.

    The map points at the middle of the box of ``window`` pixels a side (default: 9 of 224) that holds the most
    relevance. Inside is Σ R⁺ on the object over Σ R⁺ everywhere, R⁺ = max(0, R); a map without positive relevance
    points nowhere and has nothing inside.
    """
    width = window_of(heatmap.shape) if window is None else window
    positive = np.maximum(np.asarray(heatmap, np.float64), 0)
    total = float(positive.sum())
    area = float(objects.mean())
    if total == 0:
        return Located(hit=False, inside=0.0, area=area)
    peak = int(smoothed(heatmap, box(width)).argmax())
    return Located(bool(objects.reshape(-1)[peak]), float(positive[objects].sum()) / total, area)


def localisation(name: str, found: Sequence[Located]) -> Localisation:
    """Return the means over pictures, of which there must be one at least."""
    return Localisation(
        name,
        len(found),
        sum(entry.hit for entry in found),
        float(np.mean([entry.inside for entry in found])),
        float(np.mean([entry.area for entry in found])),
    )
