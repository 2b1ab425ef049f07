"""The kernels in NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heatcli.kernels.convolution import ConvolutionMap
from heatcli.kernels.maps import linear_map, unbroadcast
from heatcli.kernels.pieces import PIECE, pieces
from heatcli.kernels.protocol import SMALLEST, LinearMap, Product, Quotient, like, whole
from heatcli.kernels.selection import largest_of_axes, largest_of_windows
from heatcli.kernels.terms import WeightPart, WeightParts
from heatcli.network.layers import Layer, Window

Array = np.ndarray
Shape = tuple[int, ...]


class ArrayKernels:
    """The kernels on NumPy arrays of one ``dtype``; ``shapes`` are those of all data tensors at batch 1.

    Weights are split and arranged once, at first use. Safe to use from several threads.
    """

    def __init__(self, shapes: Mapping[str, Shape], dtype: type[np.floating], *, batched: bool) -> None:
        """Keep the shapes; nothing is computed yet."""
        self.shapes, self.dtype, self.batched = shapes, np.dtype(dtype), batched
        self.parts = WeightParts(dtype)
        self._maps: dict[tuple[str, str], LinearMap | None] = {}

    def map(self, layer: Layer, part: WeightPart) -> LinearMap | None:
        key = (layer.name, part.name)
        if key not in self._maps:
            operands = getattr(layer, "operands", layer.inputs)
            output = self.shapes[layer.name]
            shapes = [self.shapes[o] if isinstance(o, str) else like(o.shape, output) for o in operands]
            self._maps[key] = linear_map(layer, part, shapes, output, self.parts)
        return self._maps[key]

    def arrange(self, layer: Layer, part: WeightPart) -> None:
        """Arrange the weights of a map for its adjoint before it is used."""
        linear = self.map(layer, part)
        if isinstance(linear, ConvolutionMap):
            linear.arrange()

    def constant(self, value: Array) -> Array:
        return np.asarray(value).astype(self.dtype, copy=False)

    def truth(self, value: Array) -> Array:
        return value.astype(bool)

    def zeros(self, shape: Shape) -> Array:
        return np.zeros(shape, self.dtype)

    def divide(self, r: Array | Product, z: Array, epsilon: float, *, lossless: bool = False) -> Quotient:
        added: Array | None = None
        if epsilon:
            added = z + z.dtype.type(0)  # −0 + 0 is 0
            np.copysign(z.dtype.type(epsilon), added, out=added)
        sure = lossless or epsilon > SMALLEST  # no stabilised denominator is zero
        s = np.empty(r.shape, self.dtype)
        left: Array | None = None
        for part in pieces(s):
            above = np.multiply(r.a[part], r.c[part], out=s[part]) if isinstance(r, Product) else r[part]
            beneath = z[part] if added is None else z[part] + added[part]
            nothing = None if sure or beneath.min() > SMALLEST else np.abs(beneath) <= SMALLEST
            if nothing is None or not nothing.any():
                np.divide(above, beneath, out=s[part])
                continue
            missed = self.kept(above, nothing)
            if missed.any():
                left = np.zeros_like(s) if left is None else left
                left[part] = missed
            s[part] = np.divide(above, beneath, out=np.zeros_like(s[part]), where=~nothing)
        return Quotient(s, left, added)

    def kept(self, r: Array, condition: Array) -> Array:
        """Choose by bits: choosing by ``where`` takes six times as long where the condition has no pattern."""
        bits = np.dtype(f"i{r.dtype.itemsize}")
        mask = np.negative(condition.view(np.int8)).astype(bits)  # all bits set, or none
        return np.asarray(np.bitwise_and(r.view(bits), mask).view(r.dtype))

    def sum_of_products(self, one: Product, other: Product) -> Array:
        total = np.empty(one.shape, self.dtype)
        for part in pieces(total):
            np.multiply(one.a[part], one.c[part], out=total[part])
            total[part] += other.a[part] * other.c[part]
        return total

    def total(self, r: Array | Product) -> Array:
        if isinstance(r, Product):
            return self._total_of(r)
        if not self.batched:
            return np.sum(r).reshape(1)
        if r.ndim < 2:
            return r
        return r.reshape(len(r), -1).sum(axis=1)

    def _total_of(self, r: Product) -> Array:
        """Sum a ⊙ c without multiplying it out; stretch by stretch, which keeps rounding small."""
        batch = len(r.c) if self.batched and r.c.ndim else 1
        if r.a.size * batch != r.c.size:
            return self.total(whole(r))
        a, c = r.a.reshape(-1), r.c.reshape(batch, -1)
        stretches = (slice(begin, begin + PIECE) for begin in range(0, a.size, PIECE))
        return np.asarray(sum(c[:, part] @ a[part] for part in stretches))

    def total_product(self, s: Array, c: Array) -> Array:
        """Sum ``s`` first over the axes along which ``c`` is one number."""
        if not self.batched:
            return np.sum(s * c).reshape(1)
        c = c.reshape((1,) * (s.ndim - c.ndim) + c.shape)
        same = tuple(axis for axis in range(1, s.ndim) if c.shape[axis] == 1)
        return self.total(s.sum(axis=same, keepdims=True) * c)

    def finite(self, x: Array) -> Array:
        return x if np.isfinite(x.min()) else np.where(np.isfinite(x), x, x.dtype.type(0))

    def reshape(self, r: Array, shape: Shape) -> Array:
        return r.reshape(self._open(r, shape))

    def transpose(self, r: Array, permutation: Sequence[int]) -> Array:
        return r.transpose(permutation)

    def unbroadcast(self, r: Array, shape: Shape) -> Array:
        if self.batched:
            shape = self._open(r, (1,) * (r.ndim - len(shape)) + tuple(shape))
        return unbroadcast(r, shape)

    def embed(self, r: Array, shape: Shape, place: tuple[slice, ...]) -> Array:
        whole = np.zeros(self._open(r, shape), r.dtype)
        whole[place] = r
        return whole

    def put_back(self, r: Array, shape: Shape, axis: int, indices: Array) -> Array:
        shape = self._open(r, shape)
        flat = r.reshape(*shape[:axis], indices.size, *shape[axis + 1 :])
        whole = np.zeros((shape[axis], *shape[:axis], *shape[axis + 1 :]), r.dtype)
        np.add.at(whole, indices.reshape(-1), np.moveaxis(flat, axis, 0))
        return np.moveaxis(whole, 0, axis)

    def largest_of_windows(self, x: Array, y: Array, r: Array, window: Window) -> Array:
        return largest_of_windows(x, y, r, window)

    def largest_of_axes(self, x: Array, r: Array, axes: tuple[int, ...]) -> Array:
        return largest_of_axes(x, r, axes)

    def mean(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.mean(axis=axes, keepdims=True)

    def near_channels(self, x: Array, before: int, after: int) -> Array:
        channels = x.shape[1]
        sums = np.cumsum(x, axis=1, dtype=np.float64)
        sums = np.concatenate([np.zeros_like(sums[:, :1]), sums], axis=1)
        upper = np.minimum(np.arange(channels) + after + 1, channels)
        lower = np.maximum(np.arange(channels) - before, 0)
        return (sums[:, upper] - sums[:, lower]).astype(x.dtype)

    def _open(self, r: Array, shape: Shape) -> Shape:
        """Return ``shape`` with the batch of ``r``."""
        return (r.shape[0], *shape[1:]) if self.batched else tuple(shape)
