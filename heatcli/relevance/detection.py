"""Detection layers (paper 5.1): which layers can have a relevance model, and what each sees of the layers above.

A detection layer is a dense layer or a convolution that a rectifier follows directly, with a further linear layer on
the way to the class scores: its upper layers are the linear layers that its output reaches without passing another one.
A place of a convolution sees those outputs of an upper layer whose receptive field covers it. Windows of convolutions
and pools compose: on top of kernel k, stride s, padding p, those of k', s', p' cover (k' − 1) s + k places from
o s s' − (p' s + p) on. Where the way is more than windows and elementwise functions, every place sees all outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from heatcli.network.layers import (
    Activation,
    Affine,
    AveragePooling,
    Chain,
    Comparison,
    Concatenation,
    Convolution,
    DataProduct,
    Dense,
    Extremum,
    Gating,
    Layer,
    Linear,
    LocalResponseNormalization,
    MaxPooling,
    MaxReduction,
    Network,
    Normalization,
    Padding,
    Reduction,
    Reshape,
    Selection,
    Slicing,
    Softmax,
    Summation,
    Transpose,
    Window,
)

Array = np.ndarray
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Upper:
    """A linear layer above a detection layer, as seen from its places.

    ``window`` says which places each output of ``layer`` covers; None where every place sees all outputs.
    """

    layer: Linear
    window: Window | None

    @property
    def channels(self) -> int:
        """How many neurons l it has at each place."""
        weights = self.layer.weights
        by_rows = type(self.layer) is Convolution
        if isinstance(self.layer, Convolution) and not by_rows:  # transposed: (C, O/groups, *kernel)
            return weights.shape[1] * self.layer.groups
        return int(weights.shape[0 if by_rows else -1])


@dataclass(frozen=True, eq=False)
class Detection:
    """A detection ``layer``, the layers above it, and ``groups`` (K, neurons) of its neurons that are pooled into one.

    Every neuron is in exactly one group, alone where no pool of whole groups follows.
    """

    layer: Dense | Convolution
    uppers: tuple[Upper, ...]
    groups: Array

    @property
    def neurons(self) -> int:
        """How many neurons j there are at each place."""
        return int(self.groups.size)

    @property
    def pooled(self) -> bool:
        """Whether neurons are pooled in groups."""
        return self.groups.shape[1] > 1


def detections(network: Network) -> tuple[Detection, ...]:
    """Return the detection layers of ``network`` in forward order."""
    consumers: dict[str, list[Layer]] = {}
    for layer in network.layers:
        for name in layer.inputs:
            consumers.setdefault(name, []).append(layer)
    reached = _reached(network)
    found = []
    for place, layer in enumerate(network.layers):
        if not (isinstance(layer, Dense) or type(layer) is Convolution) or layer.name not in reached:
            continue
        users = consumers.get(layer.name, [])
        if not users or not all(map(rectifies, users)) or layer.name == network.output.logits:
            continue
        later = [above for above in network.layers[place + 1 :] if above.name in reached]
        uppers = _uppers(layer, later, network.shapes)
        if uppers:
            found.append(Detection(layer, uppers, _groups(layer, consumers, network.shapes)))
    return tuple(found)


def rectifies(layer: Layer) -> bool:
    """Whether a layer is max(0, x), up to an upper bound and rounding that it may have."""
    if not isinstance(layer, Activation):
        return False
    bounded = layer.function in ("Clip", "Quantize") and len(layer.constants) > 0
    return layer.function == "Relu" or (bounded and bool(np.all(layer.constants[0] == 0)))


def _reached(network: Network) -> set[str]:
    """Return the tensors that relevance of the class scores can reach: none goes to gates, conditions, weights."""
    reached = {network.output.logits}
    for layer in reversed(network.layers):
        if layer.name not in reached or isinstance(layer, Comparison):
            continue
        if isinstance(layer, Gating) and layer.signal is not None:
            reached.add(layer.inputs[layer.signal])
        elif isinstance(layer, DataProduct) and layer.values is not None:
            reached.add(layer.inputs[layer.values])
        elif isinstance(layer, Selection):
            reached.update(part for part in layer.operands if isinstance(part, str))
        else:
            reached.update(layer.inputs)
    return reached


# what is above ------------------------------------------------------------------------------------------------------


def _uppers(layer: Linear, later: Sequence[Layer], shapes: Mapping[str, Shape]) -> tuple[Upper, ...]:
    """Return the first linear layers on all ways up from ``layer``; ``later`` follow it in forward order."""
    axes = len(shapes[layer.name]) - 2
    ones, zeros = (1,) * axes, (0,) * axes
    seen: dict[str, Window | None] = {layer.name: Window(kernel=ones, strides=ones, dilations=ones, pads=zeros)}
    uppers = []
    for above in later:
        ways = [_through(above, name, seen[name], layer, shapes) for name in above.inputs if name in seen]
        if not ways:
            continue
        window = ways[0] if all(way == ways[0] for way in ways) else None
        if isinstance(above, Linear):
            uppers.append(Upper(above, window))
        else:
            seen[above.name] = window
    return tuple(uppers)


def _through(
    above: Layer, name: str, window: Window | None, layer: Linear, shapes: Mapping[str, Shape]
) -> Window | None:
    """Return which places of ``layer`` an output of ``above`` covers, its input ``name`` covering ``window``."""
    if window is None:
        return None
    before, after = shapes[name], shapes[above.name]
    if isinstance(layer, Dense):
        same = before[:-1] == after[:-1]
        return window if same and (isinstance(above, Dense) or (_elementwise(above) and before == after)) else None
    if type(above) is Convolution:
        inner = Window(
            kernel=above.weights.shape[2:], strides=above.strides, dilations=above.dilations, pads=above.pads
        )
        return _composed(window, inner)
    if isinstance(above, AveragePooling | MaxPooling):
        return _composed(window, above.window)
    if isinstance(above, Padding) and len(before) == len(after):
        return _composed(window, _cut([1] * len(above.pads), [before for before, _ in above.pads]))
    if isinstance(above, Slicing) and len(before) == len(after) and all((part.step or 1) > 0 for part in above.slices):
        cuts = [part.indices(length) for part, length in zip(above.slices, before, strict=True)]
        return _composed(window, _cut([step for _, _, step in cuts], [-start for start, _, _ in cuts]))
    joined = isinstance(above, Concatenation) and above.axis == 1
    kept = len(before) == len(after) and before[2:] == after[2:]
    return window if kept and (joined or _elementwise(above)) else None


def _elementwise(layer: Layer) -> bool:
    """Whether a layer leaves every place where it is, as far as relevance goes."""
    single = Activation | Affine | Chain | LocalResponseNormalization | Normalization | Softmax
    return isinstance(layer, single | Reshape | Summation | Extremum | Gating)  # Reshape: of the same shape


def _cut(strides: list[int], pads: list[int]) -> Window:
    """Return a window of one place on the axes behind batch and channels."""
    axes = len(strides) - 2
    return Window(kernel=(1,) * axes, strides=tuple(strides[2:]), dilations=(1,) * axes, pads=tuple(pads[2:]))


def _composed(outer: Window, inner: Window) -> Window | None:
    """Return what an output of ``inner`` covers, whose inputs cover ``outer``; None where the axes differ."""
    if len(outer.kernel) != len(inner.kernel):
        return None
    axes = range(len(outer.kernel))
    return Window(
        kernel=tuple((inner.kernel[a] - 1) * inner.dilations[a] * outer.strides[a] + outer.kernel[a] for a in axes),
        strides=tuple(outer.strides[a] * inner.strides[a] for a in axes),
        dilations=outer.dilations,
        pads=tuple(outer.pads[a] + inner.pads[a] * outer.strides[a] for a in axes),
    )


# what is pooled -----------------------------------------------------------------------------------------------------


def _groups(layer: Linear, consumers: Mapping[str, list[Layer]], shapes: Mapping[str, Shape]) -> Array:
    """Return the groups of a dense layer's neurons that a sum, mean or maximum over whole axes pools into one."""
    shape = shapes[layer.name]
    if isinstance(layer, Convolution):
        return np.arange(layer.weights.shape[0])[:, None]
    alone = np.arange(shape[-1])[:, None]
    if math.prod(shape) != shape[-1]:
        return alone
    numbers, name = np.arange(shape[-1]).reshape(shape), layer.name
    while len(users := consumers.get(name, [])) == 1:
        above = users[0]
        if isinstance(above, Reduction | MaxReduction):
            rest = [axis for axis in range(numbers.ndim) if axis not in above.axes]
            size = math.prod(numbers.shape[axis] for axis in above.axes)
            return numbers.transpose(*rest, *above.axes).reshape(-1, size)
        if isinstance(above, Reshape):
            numbers = numbers.reshape(shapes[above.name])
        elif isinstance(above, Transpose):
            numbers = numbers.transpose(above.permutation)
        elif not (isinstance(above, Activation) and shapes[above.name] == numbers.shape):
            break
        name = above.name
    return alone
