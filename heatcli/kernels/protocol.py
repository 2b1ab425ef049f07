"""What rules and families are written in: tensors with NumPy's arithmetic, and the kernels that NumPy has no word for.

There are two kinds of tensor. A NumPy array is computed at once (``arrays``). A ``Symbol`` stands for an array that is
not there yet: the same arithmetic on it writes ONNX nodes (``symbols``, ``written``). So a rule is written once, and
serves the NumPy engine, the denominators beside the forward pass, and the compiled explainer.

Axis 0 of every tensor is the batch. Its length is open where the kernels say ``batched``: relevance of several classes
goes down in one walk beside activations of one picture, which broadcast. Shapes that are passed to kernels are those at
batch 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from heatcli.kernels.terms import WeightPart
from heatcli.network.layers import Layer, Window

Array = np.ndarray
Shape = tuple[int, ...]
Tensor = Any
"""A NumPy array or a ``Symbol``; where relevance is handed over, a ``Product`` of two of them too."""

SMALLEST = 1e-30
"""Denominators up to this size count as zero: dividing by less could overflow float32."""


class Product:
    """Relevance R = a ⊙ c that is not multiplied out: a part ``a`` of an activation, and ``c``, what came back to it.

    A quotient takes both factors at once, which saves a pass over memory; relevance of several layers above that goes
    to the same activation is added before it is multiplied.
    """

    def __init__(self, a: Tensor, c: Tensor) -> None:
        """Take ``c`` of the relevance's shape and ``a``, which broadcasts to it; neither is changed."""
        self.a, self.c = a, c

    @cached_property
    def whole(self) -> Tensor:
        """The relevance itself."""
        return self.c * self.a

    @property
    def shape(self) -> Shape:
        """The shape of the relevance."""
        return tuple(self.c.shape)


def whole(r: Tensor) -> Tensor:
    """Return relevance multiplied out."""
    return r.whole if isinstance(r, Product) else r


class Quotient(NamedTuple):
    """``s`` = R / (z + ε sign z), zero where z is zero; ``left`` the R that found z zero, None where there is none.

    ``added`` is ε sign z, which held the denominator away from zero, None where ε is 0.
    """

    s: Tensor
    left: Tensor | None
    added: Tensor | None


class LinearMap(Protocol):
    """A linear map between tensors and its transpose; ⟨apply(x), s⟩ = ⟨x, adjoint(s)⟩."""

    def apply(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the output for these inputs, without bias."""
        ...

    def adjoint(self, s: Tensor) -> list[Tensor]:
        """Return one tensor for every input, of its shape."""
        ...


def like(shape: Shape, output: Shape) -> Shape:
    """Return the ``shape`` of a constant with as many axes as ``output``, so that axis 0 is the batch for it too."""
    return (1,) * (len(output) - len(shape)) + tuple(shape)


class Kernels(Protocol):
    """Everything a rule does with tensors beyond arithmetic."""

    batched: bool

    def map(self, layer: Layer, part: WeightPart) -> LinearMap | None:
        """Return the linear map of ``layer`` with ``part`` of its weights, None where that is zero everywhere."""
        ...

    def constant(self, value: Array) -> Tensor:
        """Return a constant of the network in the precision of the walk."""
        ...

    def truth(self, value: Array) -> Tensor:
        """Return a constant that is true or false for every element."""
        ...

    def zeros(self, shape: Shape) -> Tensor:
        """Return nothing but zeros, batch 1."""
        ...

    def divide(self, r: Tensor, z: Tensor, epsilon: float, *, lossless: bool = False) -> Quotient:
        """Return R / (z + ε sign z), sign 0 = +1; ``lossless`` promises that z is positive everywhere."""
        ...

    def kept(self, r: Tensor, condition: Tensor) -> Tensor:
        """Return ``r`` where ``condition`` holds and zero elsewhere, whatever stands there, ∞ included."""
        ...

    def sum_of_products(self, one: Product, other: Product) -> Tensor:
        """Return both relevances added."""
        ...

    def total(self, r: Tensor) -> Tensor:
        """Return Σ r, one number for every entry of the batch."""
        ...

    def total_product(self, s: Tensor, c: Tensor) -> Tensor:
        """Return Σ s · c for a ``c`` that broadcasts to ``s`` and is the same for the whole batch."""
        ...

    def finite(self, x: Tensor) -> Tensor:
        """Return ``x`` with zero for what is not finite."""
        ...

    def reshape(self, r: Tensor, shape: Shape) -> Tensor:
        """Return ``r`` under another shape."""
        ...

    def transpose(self, r: Tensor, permutation: Sequence[int]) -> Tensor:
        """Return ``r`` with its axes in another order."""
        ...

    def unbroadcast(self, r: Tensor, shape: Shape) -> Tensor:
        """Return the adjoint of broadcasting ``shape`` to the shape of ``r``: sums over what was repeated."""
        ...

    def embed(self, r: Tensor, shape: Shape, place: tuple[slice, ...]) -> Tensor:
        """Return zeros of ``shape`` with ``r`` at ``place``."""
        ...

    def put_back(self, r: Tensor, shape: Shape, axis: int, indices: Array) -> Tensor:
        """Return the adjoint of picking ``indices``, a row of them, along ``axis``: what was picked twice adds up."""
        ...

    def largest_of_windows(self, x: Tensor, y: Tensor, r: Tensor, window: Window) -> Tensor:
        """Return ``r`` moved to the place of each window's maximum ``y`` in ``x``, the first of equals."""
        ...

    def largest_of_axes(self, x: Tensor, r: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return ``r`` moved to the place of the maximum of ``x`` over whole ``axes``, the first of equals."""
        ...

    def mean(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """Return the mean of ``x`` over ``axes``, which stay with length 1."""
        ...

    def near_channels(self, x: Tensor, before: int, after: int) -> Tensor:
        """Return Σ x over channels c−before … c+after for every channel c, axis 1."""
        ...


def joined(kernels: Kernels, r: Tensor, other: Tensor) -> Tensor:
    """Return r + other; products with the same activation stay one."""
    if not (isinstance(r, Product) and isinstance(other, Product)):
        return whole(r) + whole(other)
    return Product(r.a, r.c + other.c) if r.a is other.a else kernels.sum_of_products(r, other)
