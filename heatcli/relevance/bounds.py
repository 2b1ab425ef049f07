"""Which linear layers come first, and whether the pixel range [l, h] can be pushed to them.

A first layer is one whose input comes from the picture alone, without another linear layer in between (paper 4.2).
Black and white sent through the layers before it bound what lies between them as long as every element of its input
moves one way when pixels grow. Elementwise layers may turn the direction of an element; a layer that adds up or
compares several elements needs them all to move upwards.
"""

from __future__ import annotations

import numpy as np

from heatcli.network.layers import (
    Activation,
    Affine,
    Averaging,
    Extremum,
    Layer,
    Linear,
    MaxPooling,
    MaxReduction,
    Moving,
    Network,
    Summation,
)

GROWING = ("Relu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Erf", "Exp", "Clip", "Quantize", "Max", "Min")
GROWING_IF_POSITIVE = ("LeakyRelu", "PRelu", "Elu", "Celu", "Selu", "HardSigmoid")
"""Activations that grow with their input, the second kind where their constants are not negative."""


def first_layers(network: Network) -> tuple[str, ...]:
    """Return the linear layers that the picture reaches without passing another linear layer, by name."""
    return tuple(layer.name for layer in _front(network)[0])


def bounded_inputs(network: Network) -> tuple[str, ...] | None:
    """Return the inputs of all first layers, or None where black and white do not bound one of them."""
    first, directions = _front(network)
    inputs = tuple(dict.fromkeys(layer.inputs[0] for layer in first))
    return inputs if first and all(directions[name] != "mixed" for name in inputs) else None


def _front(network: Network) -> tuple[list[Linear], dict[str, str]]:
    """Return the first layers, and how every tensor before them moves with the pixels: up, each its own way, mixed."""
    directions = {network.input.name: "up"}
    first: list[Linear] = []
    for layer in network.layers:
        if not layer.inputs or any(name not in directions for name in layer.inputs):
            continue
        if isinstance(layer, Linear):
            first.append(layer)
        else:
            directions[layer.name] = _direction(layer, {directions[name] for name in layer.inputs})
    return first, directions


def _direction(layer: Layer, before: set[str]) -> str:
    if "mixed" in before:
        return "mixed"
    up = before == {"up"}
    match layer:
        case Moving():
            return "up" if up else "each"
        case Affine():
            return "up" if up and (layer.scale is None or bool(np.all(layer.scale >= 0))) else "each"
        case Activation():
            positive = all(bool(np.all(value >= 0)) for value in layer.constants)
            grows = layer.function in GROWING or (layer.function in GROWING_IF_POSITIVE and positive)
            return ("up" if up else "each") if grows else "mixed"
        case Summation():
            return "up" if up and bool(np.all(layer.weights >= 0)) else "mixed"
        case Averaging():
            return "up" if up and bool(np.all(layer.weights >= 0)) else "mixed"
        case MaxPooling() | MaxReduction() | Extremum():
            return "up" if up else "mixed"
        case _:
            return "mixed"
