"""Derivatives of everything that is not linear: what the plain gradient needs and relevance passes by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from heatcli.kernels.protocol import SMALLEST, Tensor


def derivative(function: str, x: Tensor, constants: Sequence[Tensor]) -> Tensor:
    """Return the elementwise derivative of an activation at ``x``, in its dtype; ``function`` is its ONNX name."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return DERIVATIVES[function](x, *constants) * np.ones_like(x)


def passes(function: str, x: Tensor, constants: Sequence[Tensor]) -> Tensor:
    """Return where the derivative of one of ``STEPS`` is 1, true or false for every element of ``x``; else it is 0."""
    found: Tensor = DERIVATIVES[function](x, *constants)
    return found


def _sigmoid(x: Tensor) -> Tensor:
    return 0.5 * (1 + np.tanh(0.5 * x))


def _sigmoid_slope(x: Tensor) -> Tensor:
    s = _sigmoid(x)
    return s * (1 - s)


def _softplus(x: Tensor) -> Tensor:
    return np.logaddexp(0, x)


def _normal_density(x: Tensor) -> Tensor:
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _erf(x: Tensor) -> Tensor:
    """Return the error function to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - series * np.exp(-x * x))


def _gelu(x: Tensor) -> Tensor:
    return 0.5 * (1 + _erf(x / math.sqrt(2))) + x * _normal_density(x)


def _gelu_tanh(x: Tensor) -> Tensor:
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    t = np.tanh(inner)
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x)


def _hard_sigmoid(x: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    y = alpha * x + beta
    return alpha * ((y > 0) & (y < 1))


def _hard_swish(x: Tensor) -> Tensor:
    y = x / 6 + 0.5
    return np.clip(y, 0, 1) + x / 6 * ((y > 0) & (y < 1))


def _mish(x: Tensor) -> Tensor:
    t = np.tanh(_softplus(x))
    return t + x * (1 - t * t) * _sigmoid(x)


def _swish(x: Tensor, alpha: Tensor) -> Tensor:
    s = _sigmoid(alpha * x)
    return s + alpha * x * s * (1 - s)


def _all(x: Tensor, conditions: Sequence[Tensor]) -> Tensor:
    return reduce(np.logical_and, conditions, np.ones_like(x) > 0)


def _tanh(x: Tensor) -> Tensor:
    t = np.tanh(x)
    return 1 - t * t


DERIVATIVES: dict[str, Callable[..., Tensor]] = {
    "Relu": lambda x: x > 0,
    "LeakyRelu": lambda x, alpha: np.where(x > 0, 1, alpha),
    "PRelu": lambda x, slope: np.where(x > 0, 1, slope),
    "ThresholdedRelu": lambda x, alpha: x > alpha,
    "Elu": lambda x, alpha: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    "Celu": lambda x, alpha: np.where(x > 0, 1, np.exp(np.minimum(x, 0) / alpha)),
    "Selu": lambda x, alpha, gamma: gamma * np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    "Clip": lambda x, low, high: (x > low) & (x < high),
    "Quantize": lambda x, low, high: (x > low) & (x < high),
    "Max": lambda x, *bounds: _all(x, [x > bound for bound in bounds]),
    "Min": lambda x, *bounds: _all(x, [x < bound for bound in bounds]),
    "Sigmoid": _sigmoid_slope,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "Swish": _swish,
    "Mish": _mish,
    "Softplus": _sigmoid,
    "Softsign": lambda x: 1 / (1 + np.abs(x)) ** 2,
    "Tanh": _tanh,
    "Gelu": _gelu,
    "GeluTanh": _gelu_tanh,
    "Erf": lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x),
    "Sign": np.zeros_like,
    "Abs": np.sign,
    "Exp": np.exp,
    "Log": lambda x: 1 / x,
    "Sqrt": lambda x: 0.5 / np.sqrt(x),
    "Reciprocal": lambda x: -1 / (x * x),
    "Pow": lambda x, exponent: exponent * x ** (exponent - 1),
}


STEPS = ("Relu", "ThresholdedRelu", "Clip", "Quantize", "Max", "Min")
"""Functions whose derivative is 1 or 0."""
SHARPNESS = 100.0
"""How sharp the bend of a smooth rectifier is: t, times the mean size of what it rectifies."""


def smooth(x: Tensor, slope: Tensor, size: Tensor) -> Tensor:
    """Return the derivative of t⁻¹ log(½ + ½ exp(tx)) at ``x``, 1 / (1 + exp(−tx)), in place of a rectifier's.

    ``slope`` is the rectifier's own, which stops where it has a ceiling; ``size`` is the mean of |x|.
    """
    below = np.where(x > 0, slope, np.ones_like(x))
    return below * _sigmoid(x * (SHARPNESS / (size + SMALLEST)))


def lrn_adjoint(
    x: Tensor, r: Tensor, near: Callable[[Tensor, int, int], Tensor], size: int, alpha: float, beta: float, bias: float
) -> Tensor:
    """Return the transposed Jacobian of local response normalisation at ``x`` (N, C, …) applied to ``r``.

    y_c = x_c / d_c^β with d_c = bias + α/size Σ_{c' near c} x_c'², so
    r_i ← r_i / d_i^β − 2αβ/size · x_i Σ_{c: i near c} r_c x_c / d_c^(β+1).
    ``near`` sums over neighbouring channels, see ``Kernels.near_channels``.
    """
    before, after = (size - 1) // 2, size // 2
    d = bias + alpha / size * near(x * x, before, after)
    slope = d**-beta
    back = near(r * x * slope / d, after, before)
    return r * slope - 2 * alpha * beta / size * x * back


def normalization_adjoint(
    x: Tensor, r: Tensor, mean: Callable[[Tensor], Tensor], scale: Tensor, epsilon: float, *, centred: bool
) -> Tensor:
    """Return the transposed Jacobian of a normalisation at ``x`` applied to ``r``.

    y = scale · d/σ + bias with d = x − mean(x), or x itself where it is not ``centred``, and σ = √(mean(d²) + ε), so
    r ← (g − d/σ² · mean(g d)) / σ with g = scale · r, less its mean where it is ``centred``.
    """
    d = x - mean(x) if centred else x
    sigma = np.sqrt(mean(d * d) + epsilon)
    g = r * scale
    back = (g - d * (mean(g * d) / (sigma * sigma))) / sigma
    return back - mean(back) if centred else back
