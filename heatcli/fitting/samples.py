"""What the neurons of a detection layer see of one picture: rows for training, one for every place looked at.

A neuron of a convolution is the same at all places. At a place it sees the part of the input under the kernel, and of
the layers above the relevance of those outputs whose receptive field covers the place (``relevance.detection``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from heatcli.fitting.training import Parameters, Samples
from heatcli.kernels.maps import make
from heatcli.network.layers import Convolution, Dense
from heatcli.relevance.detection import Detection, Upper
from heatcli.relevance.models import RelevanceModel, sum_over

Array = np.ndarray
Shape = tuple[int, ...]


class View:
    """Cuts rows out of the activations and relevances of one picture, for one detection layer."""

    def __init__(self, detection: Detection, shapes: Mapping[str, Shape]) -> None:
        """Take the ``shapes`` of all tensors at batch 1."""
        self.detection, self.layer, self.shapes = detection, detection.layer, shapes
        output = shapes[self.layer.name]
        self.sides = output[2:] if isinstance(self.layer, Convolution) else output[:-1]
        self.places = math.prod(self.sides)
        """How many places the layer has: positions of a convolution, rows of a dense layer."""
        groups = self.layer.groups if isinstance(self.layer, Convolution) else 1
        self.shape = (groups, _by_groups(self.layer.weights, self.layer).shape[1])
        """(G, I): groups of channels, and how many inputs a neuron has."""
        self.seen = sum(upper.channels for upper in detection.uppers)
        """L: how many neurons the layers above have together."""

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.shape) + self.seen + self.detection.neurons

    def rows(self, x: Array, r: Array, above: Mapping[str, Array], places: Array) -> Samples:
        """Return the rows of ``places`` (P,), numbers from 0 on.

        ``x`` is the layer's input and ``r`` what arrived at its output, both at batch 1; ``above`` holds the relevance
        of the layers above by name, as far as any reached them.
        """
        parts = [self._upper(upper, above.get(upper.layer.name), places) for upper in self.detection.uppers]
        return Samples(self._inputs(x, places), np.concatenate(parts, axis=1), self._by_place(r)[places])

    def _inputs(self, x: Array, places: Array) -> Array:
        """Return what lies under the kernel at every place, (P, G, I); padding is zero."""
        layer = self.layer
        if isinstance(layer, Dense):
            return x.reshape(-1, 1, x.shape[-1])[places]
        size, kernel = x.shape[2:], layer.weights.shape[2:]
        index, inside = np.zeros((len(places),), np.intp), np.ones((len(places),), bool)
        for axis, at in enumerate(np.unravel_index(places, self.sides)):
            start = at * layer.strides[axis] - layer.pads[axis]
            along = start[:, None] + np.arange(kernel[axis]) * layer.dilations[axis]
            along = along.reshape(len(places), *(1,) * axis, kernel[axis])
            inside = inside[..., None] & (along >= 0) & (along < size[axis])
            index = index[..., None] * size[axis] + np.clip(along, 0, size[axis] - 1)
        patches = x.reshape(x.shape[1], -1)[:, index.reshape(len(places), -1)]
        patches = patches * inside.reshape(len(places), -1)
        return patches.transpose(1, 0, 2).reshape(len(places), *self.shape)

    def _by_place(self, r: Array) -> Array:
        """Return a tensor of the shape of the layer's output as (places, J)."""
        return r.reshape(r.shape[1], -1).T if isinstance(self.layer, Convolution) else r.reshape(-1, r.shape[-1])

    def _upper(self, upper: Upper, r: Array | None, places: Array) -> Array:
        """Return the relevance of a layer above that is seen from every place, (P, L)."""
        if r is None:
            return np.zeros((len(places), upper.channels), np.float32)
        if upper.window is None:
            axis = 1 if isinstance(upper.layer, Convolution) else r.ndim - 1
            total = r.sum(axis=tuple(other for other in range(r.ndim) if other != axis))
            return np.broadcast_to(total, (len(places), len(total)))
        if isinstance(self.layer, Dense):
            return r.reshape(-1, r.shape[-1])[places]
        layer = sum_over(upper.window, self.layer.name, upper.layer.name)
        spread = make(layer, layer.weights, [(1, r.shape[1], *self.sides)], r.shape)
        return self._by_place(spread.adjoint(r)[0])[places]


def parameters(weights: Array, layer: Dense | Convolution) -> Array:
    """Return weights of the layer's own shape as (G, I, J/G), for rows of ``View``."""
    return np.ascontiguousarray(_by_groups(weights, layer), np.float32)


def model(detection: Detection, found: Parameters) -> RelevanceModel:
    """Return what was trained as the relevance model of its layer."""
    layer, v = detection.layer, found.v
    if isinstance(layer, Convolution):
        weights = v.transpose(0, 2, 1).reshape(layer.weights.shape)
    else:
        weights = v.reshape(layer.weights.shape)
    return RelevanceModel(detection, np.ascontiguousarray(weights), found.upper, found.offset)


def own_bias(layer: Dense | Convolution, neurons: int) -> Array:
    """Return the layer's bias as (J,), 0 where it has none or one for each place."""
    if layer.bias is None:
        return np.zeros(neurons, np.float32)
    bias = np.asarray(layer.bias, np.float32)
    return np.broadcast_to(bias.reshape(-1), (neurons,)) if bias.size in (1, neurons) else np.zeros(neurons, np.float32)


def _by_groups(weights: Array, layer: Dense | Convolution) -> Array:
    if isinstance(layer, Dense):
        return weights[None]
    return weights.reshape(layer.groups, weights.shape[0] // layer.groups, -1).transpose(0, 2, 1)
