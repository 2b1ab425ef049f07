"""Min–max relevance models (paper 5.1): the relevance of a detection layer's neurons, predicted from what they see.

    y_j = max(0, Σ_i x_i v_ij + a_j) ,    a_j = min(0, Σ_l R_l v_lj + d_j)

x is the layer's input and R_l the relevance of the neurons l of the layers above (``detection``); a_j holds back
neurons that no neuron above has use for. R_j = y_j (eq. 14) goes down by the layer's rule with v in place of w and
without bias (eq. 15): R_i = Σ_j q_ij / Σ_i' q_i'j R_j. A neuron of a convolution has the same v and d at all places.

The denominators Σ_i q_ij of z⁺ and z^B are at least Σ_i x_i v_ij, which is positive wherever y_j is: no relevance is
lost at them. How far Σ_j y_j is from the relevance that arrived is the fitting error of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from heatcli.kernels.protocol import Kernels, Tensor, like
from heatcli.kernels.terms import ALL
from heatcli.network.layers import AveragePooling, Convolution, Dense, Linear, Network, Window
from heatcli.relevance.detection import Detection, Upper

Array = np.ndarray
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class RelevanceModel:
    """The relevance model of one detection layer.

    ``weights`` v has the shape of the layer's own; ``upper`` (L, J) is v_lj, with the neurons of the upper layers below
    each other in their order; ``offset`` (J,) is d.
    """

    detection: Detection
    weights: Array
    upper: Array
    offset: Array

    @property
    def layer(self) -> Linear:
        """The detection layer with v in place of its weights and no bias: what relevance goes down by (eq. 15)."""
        return replace(self.detection.layer, weights=self.weights, bias=None)


def with_models(network: Network, models: Mapping[str, RelevanceModel]) -> Network:
    """Return ``network`` with v in place of the weights of the layers that have a relevance model.

    Its ``shapes`` know the tensors in which y is computed too.
    """
    if not models:
        return network
    layers = tuple(models[layer.name].layer if layer.name in models else layer for layer in network.layers)
    shapes = dict(network.shapes)
    for model in models.values():
        output = shapes[model.detection.layer.name]
        for upper in model.detection.uppers:
            if _by_windows(model.detection.layer, upper):
                shapes[_spread_name(model, upper)] = (*output[:2], *shapes[upper.layer.name][2:])
    return replace(network, layers=layers, shapes=shapes)


def predicted(
    model: RelevanceModel,
    upwards: Tensor | None,
    relevances: Mapping[str, Tensor],
    kernels: Kernels,
    shapes: Mapping[str, Shape],
) -> Tensor:
    """Return y (N, *output) of a detection layer.

    ``upwards`` is Σ_i x_i v_ij, None where v is zero; ``relevances`` holds R_l of the layers above by name, as far as
    any relevance reached them.
    """
    layer, output = model.detection.layer, shapes[model.detection.layer.name]
    channels = like((len(model.offset), *(1,) * (len(output) - 2)), output)
    if isinstance(layer, Dense):
        channels = like((len(model.offset),), output)
    a: Tensor = kernels.constant(model.offset.reshape(channels))
    first = 0
    for upper in model.detection.uppers:
        rows = model.upper[first : first + upper.channels]
        first += upper.channels
        r = relevances.get(upper.layer.name)
        if r is not None and rows.any():
            a = a + _seen(model, upper, rows, r, channels, kernels, shapes)
    y = np.minimum(a, 0)
    return np.maximum(y if upwards is None else upwards + y, 0)


def _seen(
    model: RelevanceModel,
    upper: Upper,
    rows: Array,
    r: Tensor,
    channels: Shape,
    kernels: Kernels,
    shapes: Mapping[str, Shape],
) -> Tensor:
    """Return Σ_l R_l v_lj over the neurons l of one upper layer that a place sees: (N, *output), or one for all places.

    ``rows`` (L, J) are v_lj, ``channels`` the shape of one number a neuron j.
    """
    layer, above = model.detection.layer, shapes[upper.layer.name]
    neurons = len(model.offset)
    if upper.window is None:
        axis = 1 if isinstance(upper.layer, Convolution) else len(above) - 1
        ones = tuple(length if place == axis else 1 for place, length in enumerate(above))
        summed = kernels.reshape(kernels.unbroadcast(r, ones), (1, upper.channels))
        return kernels.reshape(np.matmul(summed, kernels.constant(rows)), channels)
    if isinstance(layer, Dense):
        return np.matmul(r, kernels.constant(rows))
    places = int(np.prod(above[2:]))
    mixed = np.matmul(kernels.constant(rows.T), kernels.reshape(r, (1, upper.channels, places)))
    mixed = kernels.reshape(mixed, (1, neurons, *above[2:]))
    spread = kernels.map(_spread(model, upper), ALL)
    assert spread is not None
    (back,) = spread.adjoint(mixed)
    return back


def _by_windows(layer: Linear, upper: Upper) -> bool:
    return upper.window is not None and isinstance(layer, Convolution)


def _spread_name(model: RelevanceModel, upper: Upper) -> str:
    return f"heatcli/seen/{model.detection.layer.name}/{upper.layer.name}"


def _spread(model: RelevanceModel, upper: Upper) -> AveragePooling:
    """Return the sum over windows whose adjoint gives each output of ``upper`` to all places that it covers."""
    assert upper.window is not None
    layer = model.detection.layer
    return sum_over(upper.window, layer.name, _spread_name(model, upper))


def sum_over(window: Window, source: str, name: str) -> AveragePooling:
    """Return the sum over each window of the tensor ``source``, as a layer."""
    ones = np.ones((1,) * (len(window.kernel) + 2), np.float32)
    return AveragePooling(name=name, operation="Sum", inputs=(source,), window=window, weights=ones)
