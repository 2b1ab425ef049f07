"""Elementwise functions of one tensor that are written out in several layers, such as x · sigmoid(x)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from heatcli.network.layers import (
    Activation,
    Affine,
    Chain,
    Extremum,
    Gating,
    Layer,
    NormalizationChain,
    Reshape,
    Summation,
)

Shape = tuple[int, ...]
LONGEST = 64
"""Layers of one chain at most: activations are written in a dozen, and a file may have any number in a row."""
Made = dict[str, Layer]
"""Every layer so far by the name of its output, in forward order."""


def exponential(layer: Layer, made: Made, shapes: dict[str, Shape]) -> Layer | None:
    """Join log(1 + exp(x)) and 1 / (1 + exp(x))."""
    if not isinstance(layer, Activation) or layer.function not in ("Log", "Reciprocal"):
        return None
    more = made.get(layer.inputs[0])
    if not isinstance(more, Affine) or more.scale is not None or more.shift is None or bool(np.any(more.shift <= 0)):
        return None
    power = made.get(more.inputs[0])
    if not isinstance(power, Activation) or power.function != "Exp" or shapes[power.name] != shapes[layer.name]:
        return None
    operation = "Softplus" if layer.function == "Log" else "Sigmoid"
    return Chain(name=layer.name, operation=operation, inputs=power.inputs, steps=(power, more, layer))


def elementwise(layer: Layer, made: Made, shapes: dict[str, Shape]) -> Layer | None:
    """Join what is elementwise in one tensor: all operands come from it through elementwise layers alone."""
    if not isinstance(layer, Gating | Summation | Extremum) or len(layer.inputs) < 2:
        return None
    if len(getattr(layer, "operands", layer.inputs)) > len(layer.inputs):  # constants have a part in a sum
        return None
    first, *others = (_elementwise_line(name, made, shapes) for name in layer.inputs)
    source = next((name for name in first if all(name in line for line in others)), None)
    if source is None or shapes[source] != shapes[layer.name]:
        return None
    between = {name for line in (first, *others) for name in line[: line.index(source)]}
    steps = steps_of(between, made, layer)
    if len(steps) > LONGEST:
        return None
    functions = [step.function for step in steps if isinstance(step, Activation)]
    operation = "·".join(["x", *functions]) if functions else "chain" if between else layer.operation  # x · x, x + x
    return Chain(name=layer.name, operation=operation, inputs=(source,), steps=steps)


def _elementwise_line(name: str, made: Made, shapes: dict[str, Shape]) -> list[str]:
    """Return ``name`` and the tensors before it as far as elementwise layers of one input reach."""
    line = [name]
    while (
        len(line) < LONGEST
        and (layer := made.get(line[-1])) is not None
        and isinstance(layer, Activation | Affine | Chain | Reshape)
    ):
        if isinstance(layer, NormalizationChain) or shapes[layer.inputs[0]] != shapes[name]:
            break
        line.append(layer.inputs[0])
    return line


def steps_of(names: Collection[str], made: Made, last: Layer) -> tuple[Layer, ...]:
    """Return the layers called ``names`` and ``last`` in forward order, chains among them as their steps, each once."""
    steps: Made = {}
    found: list[Layer] = []
    for name in reversed(made):  # they are among the last
        if len(found) == len(names):
            break
        if name in names:
            found.append(made[name])
    for layer in reversed(found):
        for step in layer.steps if isinstance(layer, Chain) else (layer,):
            steps.setdefault(step.name, step)
    return (*steps.values(), last)
