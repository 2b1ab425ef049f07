"""Tensors of a graph: constants, weights, and everything that moves elements, written as ONNX nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from heatcli.kernels.symbols import Graph, Symbol
from heatcli.kernels.terms import WeightPart, WeightParts
from heatcli.network.layers import Layer

Array = np.ndarray
Shape = tuple[int, ...]
Ints = Sequence[int]


class GraphTensors:
    """Tensors as symbols of ``graph``; ``shapes`` are those of all data tensors at batch 1.

    ``parts`` holds weights split beforehand, which then become constants of their own; without it the graph computes
    them from the ``initializers`` of the model, which are found by where they lie in memory, so that none is stored
    twice.
    """

    def __init__(
        self,
        graph: Graph,
        shapes: Mapping[str, Shape],
        *,
        batched: bool,
        parts: WeightParts | None = None,
        initializers: Mapping[str, Array] | None = None,
    ) -> None:
        """Write to ``graph``; what belongs to the network stands in it already."""
        self.graph, self.shapes, self.batched, self._parts = graph, shapes, batched, parts
        self._weights: dict[tuple[str, str, bool], Symbol] = {}
        self._stored = {_place(value): (name, value.shape) for name, value in (initializers or {}).items()}

    # constants and weights --------------------------------------------------------------------------------------------

    def activations(self, source: str, dtype: str) -> dict[str, Symbol]:
        """Return every tensor of the network by name; its input ``source``, of ``dtype``, becomes float32."""
        symbols = {name: Symbol(self.graph, name, shape) for name, shape in self.shapes.items()}
        if dtype != "float32":
            symbols[source] = self.graph.real(source, self.shapes[source])
        return symbols

    def constant(self, value: Array) -> Symbol:
        array = np.asarray(value, np.float32)
        return Symbol(self.graph, self.graph.constant(array), array.shape)

    def truth(self, value: Array) -> Symbol:
        return Symbol(self.graph, self.graph.constant(value.astype(bool)), value.shape, truth=True)

    def zeros(self, shape: Shape) -> Symbol:
        return self.constant(np.zeros(shape, np.float32))

    def weights(self, layer: Layer, part: WeightPart, *, turned: bool = False) -> Symbol:
        """Return ``part`` of the layer's weights, written once; ``turned`` has both axes of a matrix change places."""
        key = (layer.name, part.name, turned)
        if key not in self._weights:
            self._weights[key] = self._weights_of(layer, part, turned=turned)
        return self._weights[key]

    def _weights_of(self, layer: Layer, part: WeightPart, *, turned: bool) -> Symbol:
        if self._parts is not None:
            value = self._parts.get(layer, part)
            assert value is not None
            return self.constant(value.T if turned else value)
        whole: Array = layer.weights  # type: ignore[attr-defined]
        whole = whole.T if turned else whole
        name, shape = self._stored.get(_place(whole), ("", ()))
        if not name or not whole.flags.c_contiguous:
            return self.constant(part.of(whole.astype(np.float32, copy=False)))
        symbol = Symbol(self.graph, name, shape)
        if shape != whole.shape:
            symbol = self.graph.symbol("Reshape", [symbol, self.graph.integers(*whole.shape)], whole.shape)
        split: Symbol = part.of(symbol)  # type: ignore[arg-type, assignment]
        return split

    def sums(self, r: Symbol, axes: Ints) -> Symbol:
        """Write the sum over ``axes``, which stay with length 1."""
        if not axes:
            return r
        shape = tuple(1 if axis in axes else length for axis, length in enumerate(r.shape))
        return self.graph.symbol("ReduceSum", [r, self.graph.integers(*axes)], shape, keepdims=1)

    # moving -----------------------------------------------------------------------------------------------------------

    def reshape(self, r: Symbol, shape: Shape) -> Symbol:
        if r.shape == tuple(shape):
            return r
        target = (-1, *shape[1:]) if self.batched else shape
        return self.graph.symbol("Reshape", [r, self.graph.integers(*target)], shape)

    def transpose(self, r: Symbol, permutation: Ints) -> Symbol:
        order = [int(axis) for axis in permutation]
        return self.graph.symbol("Transpose", [r], tuple(r.shape[axis] for axis in order), perm=order)

    def unbroadcast(self, r: Symbol, shape: Shape) -> Symbol:
        padded = (1,) * (r.ndim - len(shape)) + tuple(shape)
        repeated = [
            axis
            for axis, (had, wanted) in enumerate(zip(r.shape, padded, strict=True))
            if wanted == 1 and had > 1 and not (axis == 0 and self.batched)
        ]
        summed = self.sums(r, repeated)
        return summed if self.batched else self.reshape(summed, shape)

    def embed(self, r: Symbol, shape: Shape, place: tuple[slice, ...]) -> Symbol:
        pads: list[tuple[int, int]] = []
        for axis, (length, part) in enumerate(zip(shape, place, strict=True)):
            start, stop, step = part.indices(length)
            if step < 0:
                indices = np.arange(start, stop, step)
                r = self.put_back(r, (*r.shape[:axis], length, *r.shape[axis + 1 :]), axis, indices)
                pads.append((0, 0))
                continue
            r = self.dilate(r, axis, step)
            pads.append((start, length - start - r.shape[axis]))
        return self.pad(r, pads)

    def fold_channels(self, r: Symbol, kernel: Ints, size: Ints, **attributes: Any) -> Symbol:
        """Write a transposed convolution by a kernel of ones, each channel by itself; ``size`` is what comes out.

        Channels are pictures of their own for it, which is faster than as many groups.
        """
        alone = self.graph.symbol("Reshape", [r, self.graph.integers(-1, 1, *r.shape[2:])], (1, 1, *r.shape[2:]))
        ones = self.constant(np.ones((1, 1, *kernel)))
        spread = self.graph.symbol("ConvTranspose", [alone, ones], (1, 1, *size), **attributes)
        whole = (r.shape[0], r.shape[1], *size)
        return self.graph.symbol("Reshape", [spread, self.graph.integers(-1, *whole[1:])], whole)

    def apart(self, r: Symbol, strides: Ints, after: Ints = ()) -> Symbol:
        """Return ``r`` with zeros between all elements of its spatial axes, as a convolution with ``strides`` skips.

        ``after`` is how many zeros follow the last element of an axis, fewer than its stride.
        """
        if all(stride == 1 for stride in strides):
            return r
        after = list(after or [0] * len(strides))
        size = [(n - 1) * stride + 1 + more for n, stride, more in zip(r.shape[2:], strides, after, strict=True)]
        return self.fold_channels(r, (1,) * len(size), size, strides=list(strides), output_padding=after)

    def repeat(self, r: Symbol, times: Ints) -> Symbol:
        """Return ``r`` with every element of its spatial axes ``times`` in a row."""
        if all(count == 1 for count in times):
            return r
        scales = self.graph.constant(np.asarray([1, 1, *times], np.float32))
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        shape = (*r.shape[:2], *(n * count for n, count in zip(r.shape[2:], times, strict=True)))
        return self.graph.symbol("Resize", [r, "", scales], shape, **how)

    def dilate(self, r: Symbol, axis: int, step: int) -> Symbol:
        """Return ``r`` with ``step`` − 1 zeros after every element along ``axis``, none after the last."""
        if step == 1 or r.shape[axis] == 1:
            return r
        before, n, after = r.shape[:axis], r.shape[axis], r.shape[axis + 1 :]
        apart = self.reshape(r, (*before, n, 1, *after))
        apart = self.pad(apart, [(0, 0)] * (axis + 1) + [(0, step - 1)] + [(0, 0)] * len(after))
        joined = self.reshape(apart, (*before, n * step, *after))
        return self.pad(joined, [(0, 0)] * axis + [(0, 1 - step)] + [(0, 0)] * len(after))

    def pad(self, r: Symbol, pads: Sequence[tuple[int, int]]) -> Symbol:
        """Return ``r`` with zeros around it; negative numbers crop."""
        if not any(before or after for before, after in pads):
            return r
        shape = tuple(n + before + after for n, (before, after) in zip(r.shape, pads, strict=True))
        ends = self.graph.integers(*(before for before, _ in pads), *(after for _, after in pads))
        return self.graph.symbol("Pad", [r, ends], shape)

    def put_back(self, r: Symbol, shape: Shape, axis: int, indices: Array) -> Symbol:
        flat = self.reshape(r, (*shape[:axis], indices.size, *shape[axis + 1 :]))
        row = np.asarray(indices, np.int64).reshape(-1, *(1,) * (len(shape) - axis - 1))
        return self.scatter(flat, shape, axis, self.graph.constant(row))

    def scatter(self, r: Symbol, shape: Shape, axis: int, indices: str, size: str | None = None) -> Symbol:
        """Return zeros of ``shape`` with ``r`` added along ``axis`` at ``indices``, which broadcast to ``r``.

        ``size`` is a tensor of the lengths of the result where they are not those of ``shape`` with the batch of ``r``.
        """
        graph = self.graph
        if size is None and self.batched:
            size = graph.node("Concat", [self.part_of_size(r.name, 0), graph.integers(*shape[1:])], axis=0)
        zeros = graph.node("Expand", [graph.constant(np.asarray(0, np.float32)), size or graph.integers(*shape)])
        spread = graph.node("Expand", [indices, graph.node("Shape", [r.name])])
        return graph.symbol("ScatterElements", [zeros, spread, r], shape, axis=axis, reduction="add")

    def part_of_size(self, name: str, axis: int) -> str:
        """Return the length of one axis of the tensor ``name``, as a row of one number."""
        ends = [self.graph.integers(axis), self.graph.integers(axis + 1)]
        return self.graph.node("Slice", [self.graph.node("Shape", [name]), *ends])


def _place(value: Array) -> tuple[int, int]:
    """Return where an array lies."""
    return value.__array_interface__["data"][0], value.nbytes
