"""The rules of relevance as torch's own derivative: what is a constant under them is detached.

Where every linear layer, sum and matrix of values shares by R_i = Σ_j x_i w_ij / z_j R_j, relevance is R_i = x_i c_i,
and c goes through them as a derivative does. What hands its relevance on unchanged, y(x), has c_x = c_y · y/x: the
derivative of x · (y/x) with the quotient held fixed. Attention weights, gates and divisors are held fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function


class Detached(TorchFunctionMode):
    """While it is active, derivatives of what torch computes are those above, and values are what they were."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        """Call ``function`` by the reading that is entered under its name, or as it is."""
        reading = READINGS.get(function.__name__)
        kwargs = kwargs or {}
        return function(*args, **kwargs) if reading is None else reading(function, *args, **kwargs)


def unchanged(function: Callable[..., Tensor], x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Activations and normalisations: R_x = R_y."""
    y = function(x, *args, **kwargs)
    return x * torch.where(x == 0, 0, y / x).detach()


def constant(function: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    """Gates and attention weights take nothing."""
    return function(*args, **kwargs).detach()


def product(function: Callable[..., Tensor], a: Tensor, b: Tensor) -> Tensor:
    """The smaller of two data tensors is a gate; two of the same size, or two matrices, get half each."""
    if not (isinstance(a, Tensor) and isinstance(b, Tensor) and a.requires_grad and b.requires_grad):
        return function(a, b)
    if function.__name__ == "mul" and size(a) != size(b):
        return function(a, b.detach()) if size(a) > size(b) else function(a.detach(), b)
    return 0.5 * (function(a, b.detach()) + function(a.detach(), b))


def size(x: Tensor) -> int:
    """Return how many elements of ``x`` are no repetitions."""
    return math.prod(length for length, stride in zip(x.shape, x.stride(), strict=True) if stride)


def quotient(function: Callable[..., Tensor], a: Tensor, b: Tensor | float) -> Tensor:
    """What is divided takes all."""
    return function(a, b.detach() if isinstance(b, Tensor) else b)


def gated(function: Callable[..., Tensor], x: Tensor, dim: int = -1) -> Tensor:
    """One half of ``x`` is the signal, the sigmoid of the other half its gate."""
    signal, gate = x.chunk(2, dim)
    return signal * torch.sigmoid(gate).detach()


def attention(function: Callable[..., Any], q: Tensor, k: Tensor, v: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Relevance goes through the values."""
    return function(q.detach(), k.detach(), v, *args, **kwargs)


def scaled_sum(function: Callable[..., Tensor], shift: Tensor, scale: Tensor, x: Tensor) -> Tensor:
    """A scale and a shift for each channel, which no linear layer beside it can take up: R_x = R_y."""
    return unchanged(lambda z: function(shift, scale, z), x)


def bypassed(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return ``layer(x)``, R_x = R_y: for a layer that is linear in x, but stands by itself."""
    return handle_torch_function(bypassed, (x,), layer, x) if has_torch_function((x,)) else layer(x)


ACTIVATIONS = ("gelu", "silu", "hardswish", "mish", "elu", "tanh")
NORMALISATIONS = ("layer_norm", "group_norm", "instance_norm")
READINGS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(ACTIVATIONS + NORMALISATIONS, unchanged),
    **dict.fromkeys(("softmax", "sigmoid", "hardsigmoid"), constant),
    **dict.fromkeys(("mul", "matmul"), product),
    "div": quotient,
    "glu": gated,
    **dict.fromkeys(("scaled_dot_product_attention", "multi_head_attention_forward"), attention),
    "addcmul": scaled_sum,
    "bypassed": lambda _, layer, x: unchanged(layer, x),
}
