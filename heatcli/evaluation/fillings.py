"""What takes the place of a region that is taken away: the mean colour, a blur of the picture, noise."""

from __future__ import annotations

import numpy as np

from heatcli.choosing import one_of
from heatcli.evaluation.regions import Regions
from heatcli.evaluation.smoothing import gaussian, smoothed
from heatcli.inputs import Bounds

Array = np.ndarray
FILLINGS = ("mean", "blur", "noise")


def filled(name: str, x: Array, regions: Regions, bounds: Bounds | None, random: np.random.Generator) -> Array:
    """Return what the whole input ``x`` becomes, in its shape and dtype; regions of it are then put into ``x``.

    ``mean`` is the mean of each channel over the picture, ``blur`` the picture under a Gaussian whose σ is the length
    of a region, ``noise`` uniform between the ``bounds`` (l, h) of the input, or between the lowest and highest value
    of each channel where they are not known. Raises UsageError for another ``name``.
    """
    one_of("--fillings", name, FILLINGS)
    seen = np.asarray(x.reshape(regions.shape), np.float64)
    if name == "mean":
        found = np.broadcast_to(seen.mean(axis=regions.axes, keepdims=True), seen.shape)
    elif name == "blur":
        length = (np.prod(regions.sides) / regions.count) ** (1 / len(regions.sides))
        found = smoothed(seen, gaussian(float(length)), regions.axes)
    elif bounds is None:
        low, high = (end(seen, axis=regions.axes, keepdims=True) for end in (np.min, np.max))
        found = random.uniform(np.broadcast_to(low, seen.shape), np.broadcast_to(high, seen.shape))
    else:
        low, high = (np.broadcast_to(bound, x.shape).astype(np.float64).reshape(seen.shape) for bound in bounds)
        found = random.uniform(low, high)
    return (np.rint(found) if x.dtype.kind in "iu" else found).astype(x.dtype).reshape(x.shape)
