"""Matrix products of two data tensors: O = A V is linear in the values V, the weights A being constants.

(Ali et al. 2022, Achtibat et al. 2024.) The rule is the composite's for linear layers, with A in place of learned
weights; see ``sharing``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heatcli.kernels.protocol import Kernels, Tensor
from heatcli.kernels.terms import WeightPart

Shape = tuple[int, ...]


class ByData:
    """x · w or w · x over the last two axes, where the weights w depend on the picture too; other axes broadcast."""

    def __init__(self, kernels: Kernels, weights: Tensor, part: WeightPart, shape: Shape, *, before: bool) -> None:
        """Take ``part`` of ``weights``; ``shape`` is that of x, and ``before`` says that w stands before it."""
        self.kernels, self.weights, self.shape, self.before = kernels, part.of(weights), shape, before

    def apply(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return the product."""
        (x,) = inputs
        product: Tensor = np.matmul(self.weights, x) if self.before else np.matmul(x, self.weights)
        return product

    def adjoint(self, s: Tensor) -> list[Tensor]:
        """Return the product with the transposed weights, of the shape of x."""
        turned = turn(self.kernels, self.weights)
        back: Tensor = np.matmul(turned, s) if self.before else np.matmul(s, turned)
        return [self.kernels.unbroadcast(back, self.shape)]


def turn(kernels: Kernels, x: Tensor) -> Tensor:
    """Return ``x`` with its last two axes in the other order."""
    axes = len(x.shape)
    return kernels.transpose(x, (*range(axes - 2), axes - 1, axes - 2))


def gradients(kernels: Kernels, a: Tensor, b: Tensor, r: Tensor, shapes: Sequence[Shape]) -> list[Tensor]:
    """Return r bᵀ and aᵀ r, the derivatives of a b by both."""
    parts: list[Tensor] = [np.matmul(r, turn(kernels, b)), np.matmul(turn(kernels, a), r)]
    return [kernels.unbroadcast(part, shape) for part, shape in zip(parts, shapes, strict=True)]
