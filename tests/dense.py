"""The dense-matrix twin: every linear layer as a matrix in float64, and every rule written out over that matrix.

Nothing here uses the package. The matrices follow the ONNX specification with plain loops over output elements, so they
are slow and easy to check; the rules are the textbook formulas, element by element.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Geometry:
    """A window over any number of spatial axes, in the words of the ONNX specification."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]  # begins, then ends
    ceil: bool = False

    @property
    def output(self) -> tuple[int, ...]:
        lengths = []
        rank = len(self.size)
        for axis in range(rank):
            room = self.size[axis] + self.pads[axis] + self.pads[axis + rank]
            extent = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            if self.ceil:
                length = -(-(room - extent) // self.strides[axis]) + 1
                # a window must begin inside the tensor or its leading padding
                if (length - 1) * self.strides[axis] >= self.size[axis] + self.pads[axis]:
                    length -= 1
            else:
                length = (room - extent) // self.strides[axis] + 1
            lengths.append(length)
        return tuple(lengths)

    def meetings(self):
        """Yield (output position, kernel position, input position) wherever the kernel lies inside the tensor."""
        for out in itertools.product(*map(range, self.output)):
            for place in itertools.product(*map(range, self.kernel)):
                where = tuple(
                    o * s - p + k * d
                    for o, s, p, k, d in zip(
                        out, self.strides, self.pads[: len(self.size)], place, self.dilations, strict=True
                    )
                )
                if all(0 <= w < n for w, n in zip(where, self.size, strict=True)):
                    yield out, place, where


def convolution(weights: Array, groups: int, geometry: Geometry) -> Array:
    """Return the matrix (C·size, O·output) of a convolution with ``weights`` (O, C/groups, *kernel)."""
    outs, ins = weights.shape[:2]
    channels = ins * groups
    matrix = np.zeros((channels, *geometry.size, outs, *geometry.output))
    for out, place, where in geometry.meetings():
        for o in range(outs):
            group = o // (outs // groups)
            for c in range(ins):
                matrix[(group * ins + c, *where, o, *out)] += weights[(o, c, *place)]
    return matrix.reshape(channels * int(np.prod(geometry.size)), -1)


def window_average(channels: int, geometry: Geometry, divisors: Array | None) -> Array:
    """Return the matrix of an average pool; ``divisors`` has the output's spatial shape, None for a sum."""
    matrix = np.zeros((channels, *geometry.size, channels, *geometry.output))
    for out, _, where in geometry.meetings():
        for c in range(channels):
            matrix[(c, *where, c, *out)] += 1.0 if divisors is None else 1.0 / divisors[out]
    return matrix.reshape(channels * int(np.prod(geometry.size)), -1)


def share(numerators: Array, denominators: Array, r: Array) -> Array:
    """Return Σ_j numerators_ij / denominators_j r_j, where 0/0 gives nothing."""
    safe = np.where(denominators == 0, 1, denominators)
    return numerators @ np.where(denominators == 0, 0, r / safe)


def rule(name: str, x: Array, w: Array, b: Array, r: Array, low: Array, high: Array) -> Array:
    """Return R_i of a rule for x (I,), w (I, J), b (J,), r (J,) by the written-out formula.

    ``b`` is zero where biases are ignored. ``low`` and ``high`` (I,) are the range for z^B.
    """
    pos, neg = np.maximum(w, 0), np.minimum(w, 0)
    column = x[:, None]
    match name.split(":")[0]:
        case "z+":
            parts = np.maximum(column * w, 0)
            return share(parts, parts.sum(0) + np.maximum(b, 0), r)
        case "zB":
            parts = column * w - low[:, None] * pos - high[:, None] * neg
            return share(parts, parts.sum(0) + np.maximum(b, 0), r)
        case "w2":
            return share(w**2, (w**2).sum(0), r)
        case "flat":
            linked = (w != 0).astype(float)
            return share(linked, linked.sum(0), r)
        case "epsilon":
            strength = float(name.split(":")[1])
            parts = column * w
            z = parts.sum(0) + b
            return share(parts, z + strength * np.where(z >= 0, 1, -1), r)
        case "alpha-beta":
            alpha, beta = map(float, name.split(":")[1].split(","))
            up, down = np.maximum(column * w, 0), np.minimum(column * w, 0)
            positive = share(up, up.sum(0) + np.maximum(b, 0), r)
            return alpha * positive - beta * share(down, down.sum(0) + np.minimum(b, 0), r)
        case "gamma":
            strength = float(name.split(":")[1])
            total = np.zeros_like(x)
            y = x @ w + b
            for j in range(w.shape[1]):
                # the part that agrees with the output's sign is boosted
                parts = x * w[:, j]
                agrees = parts > 0 if y[j] > 0 else parts < 0
                boosted = np.where(agrees, (1 + strength) * parts, parts)
                bias = b[j] * (1 + strength) if (b[j] > 0) == (y[j] > 0) and b[j] != 0 else b[j]
                total += share(boosted[:, None], np.array([boosted.sum() + bias]), r[j : j + 1])
            return total
        case "gradient":
            return w @ r
    raise ValueError(name)
