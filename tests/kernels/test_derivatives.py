"""Every derivative against central differences of the plain function, those of normalisations against dense ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from heatcli.kernels.arrays import ArrayKernels
from heatcli.kernels.derivatives import DERIVATIVES, derivative, lrn_adjoint, normalization_adjoint


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def softplus(x):
    return math.log1p(math.exp(x))


def clamp(x, low, high):
    return min(max(x, low), high)


def gelu_tanh(x):
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


WHOLE, POSITIVE = (-4.0, 4.0), (0.2, 4.0)
# name: (function as the operator's definition has it, its constants, kinks and jumps, where it is defined)
FUNCTIONS = {
    "Relu": (lambda x: max(x, 0), (), (0,), WHOLE),
    "LeakyRelu": (lambda x, alpha: x if x > 0 else alpha * x, (0.3,), (0,), WHOLE),
    "PRelu": (lambda x, slope: x if x > 0 else slope * x, (-0.4,), (0,), WHOLE),
    "ThresholdedRelu": (lambda x, alpha: x if x > alpha else 0, (1.2,), (1.2,), WHOLE),
    "Elu": (lambda x, alpha: x if x > 0 else alpha * (math.exp(x) - 1), (0.7,), (0,), WHOLE),
    "Celu": (lambda x, alpha: max(0, x) + min(0, alpha * (math.exp(x / alpha) - 1)), (0.7,), (0,), WHOLE),
    "Selu": (lambda x, a, gamma: gamma * (x if x > 0 else a * (math.exp(x) - 1)), (1.6, 1.2), (0,), WHOLE),
    "Clip": (clamp, (-0.5, 2.0), (-0.5, 2), WHOLE),
    "Quantize": (clamp, (-0.5, 2.0), (-0.5, 2), WHOLE),  # rounding apart
    "Max": (lambda x, *bounds: max(x, *bounds), (-0.5, 0.3), (0.3,), WHOLE),
    "Min": (lambda x, *bounds: min(x, *bounds), (-0.5, 0.3), (-0.5,), WHOLE),
    "Sigmoid": (sigmoid, (), (), WHOLE),
    "HardSigmoid": (lambda x, alpha, beta: clamp(alpha * x + beta, 0, 1), (0.4, 0.3), (-0.75, 1.75), WHOLE),
    "HardSwish": (lambda x: x * clamp(x / 6 + 0.5, 0, 1), (), (-3, 3), WHOLE),
    "Swish": (lambda x, alpha: x * sigmoid(alpha * x), (1.7,), (), WHOLE),
    "Mish": (lambda x: x * math.tanh(softplus(x)), (), (), WHOLE),
    "Softplus": (softplus, (), (), WHOLE),
    "Softsign": (lambda x: x / (1 + abs(x)), (), (0,), WHOLE),
    "Tanh": (math.tanh, (), (), WHOLE),
    "Gelu": (lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2))), (), (), WHOLE),
    "GeluTanh": (gelu_tanh, (), (), WHOLE),
    "Erf": (math.erf, (), (), WHOLE),
    "Sign": (lambda x: math.copysign(1, x), (), (0,), WHOLE),
    "Abs": (abs, (), (0,), WHOLE),
    "Exp": (math.exp, (), (), WHOLE),
    "Log": (math.log, (), (), POSITIVE),
    "Sqrt": (math.sqrt, (), (), POSITIVE),
    "Reciprocal": (lambda x: 1 / x, (), (), POSITIVE),
    "Pow": (lambda x, exponent: x**exponent, (2.5,), (), POSITIVE),
}


def test_every_function_is_compared():
    assert set(FUNCTIONS) == set(DERIVATIVES)


def differences(function, x, constants, step=1e-5):
    slopes = [(function(v + step, *constants) - function(v - step, *constants)) / (2 * step) for v in x]
    return np.array(slopes, float)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivative(name):
    function, constants, kinks, (low, high) = FUNCTIONS[name]
    x = np.random.default_rng(0).uniform(low, high, 300)
    x = x[np.all([np.abs(x - kink) > 1e-3 for kink in (*kinks, 99)], axis=0)]
    found = derivative(name, x, tuple(np.array(value) for value in constants))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, differences(function, x, constants), rtol=1e-6, atol=1e-6)
    single = derivative(name, x.astype("float32"), tuple(np.array(value, "float32") for value in constants))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, found, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("exponent", [1.0, 2.0, 3.0])
def test_whole_powers_of_negative_numbers(exponent):
    x = np.linspace(-2, 2, 41)
    found = derivative("Pow", x, (np.array(exponent),))
    np.testing.assert_allclose(found, differences(lambda v: v**exponent, x, ()), atol=1e-6)


def test_constants_broadcast():
    x = np.array([[-1.0, 2.0], [-3.0, -4.0]])
    found = derivative("PRelu", x, (np.array([[0.1], [0.2]]),))
    np.testing.assert_array_equal(found, [[0.1, 1], [0.2, 0.2]])


LIMITS = {
    "Sigmoid": (0, 0), "Tanh": (0, 0), "Softplus": (0, 1), "Gelu": (0, 1), "GeluTanh": (0, 1), "Mish": (0, 1),
    "Swish": (0, 1), "HardSwish": (0, 1), "Erf": (0, 0), "Relu": (0, 1), "Elu": (0, 1), "Celu": (0, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_out(name, dtype):
    """No overflow and no 0·∞: the slope takes its limit, and no warning is raised."""
    constants = (np.array(1, dtype),) if name in ("Swish", "Elu", "Celu") else ()
    found = derivative(name, np.array([-1000, 1000], dtype), constants)
    np.testing.assert_allclose(found, LIMITS[name], atol=1e-12)


def lrn(x, size, alpha, beta, bias):
    """Return the local response normalisation of one column of channels, by the operator's definition."""
    before, after = math.floor((size - 1) / 2), math.ceil((size - 1) / 2)
    squares = [sum(v * v for v in x[max(0, c - before) : c + after + 1]) for c in range(len(x))]
    return np.array([v / (bias + alpha / size * square) ** beta for v, square in zip(x, squares, strict=True)])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
@pytest.mark.parametrize(("alpha", "beta", "bias"), [(0.9, 0.75, 1.0), (2.0, 0.5, 3.0), (1e-4, 0.75, 1.0)])
def test_lrn_adjoint(size, alpha, beta, bias):
    random = np.random.default_rng(size)
    channels, step = 6, 1e-6
    x, r = random.normal(size=(1, channels, 2, 3)), random.normal(size=(1, channels, 2, 3))
    near = ArrayKernels({}, np.float64, batched=True).near_channels
    found = lrn_adjoint(x, r, near, size, alpha, beta, bias)
    for place in np.ndindex(2, 3):
        column = x[(0, slice(None), *place)]
        jacobian = np.empty((channels, channels))
        for c in range(channels):
            moved = step * np.eye(channels)[c]
            above, below = (lrn(column + sign * moved, size, alpha, beta, bias) for sign in (1, -1))
            jacobian[:, c] = (above - below) / (2 * step)
        np.testing.assert_allclose(
            found[(0, slice(None), *place)], jacobian.T @ r[(0, slice(None), *place)], rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("axes", [(3,), (1, 2), (1, 2, 3)])
def test_normalization_adjoint(axes, centred):
    """Against a dense Jacobian by central differences of the operator's definition."""
    random = np.random.default_rng(len(axes))
    x, r, scale = (random.normal(size=(1, 2, 3, 2)) for _ in range(3))
    kernels = ArrayKernels({}, np.float64, batched=True)

    def normalised(values):
        d = values - values.mean(axis=axes, keepdims=True) if centred else values
        return scale * d / np.sqrt((d * d).mean(axis=axes, keepdims=True) + 0.1)

    step, expected = 1e-6, np.empty(x.shape)
    for place in np.ndindex(*x.shape):
        moved = np.zeros(x.shape)
        moved[place] = step
        expected[place] = ((normalised(x + moved) - normalised(x - moved)) * r).sum() / (2 * step)
    found = normalization_adjoint(x, r, lambda values: kernels.mean(values, axes), scale, 0.1, centred=centred)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
