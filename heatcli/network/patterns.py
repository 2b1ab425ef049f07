"""Several layers that are one: elementwise chains; which side of a product is a gate; what leads where.

No pattern names an architecture or an exporter: what counts is only what the layers compute.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from heatcli.network.folding import fold_affine, fold_affine_forward
from heatcli.network.layers import (
    Activation,
    Affine,
    Averaging,
    Broadcasting,
    Chain,
    Comparison,
    Concatenation,
    DataProduct,
    Extremum,
    Gating,
    Layer,
    LocalResponseNormalization,
    MaxPooling,
    MaxReduction,
    Moving,
    Padding,
    Selection,
    Softmax,
    Summation,
)

Shape = tuple[int, ...]
GATES = ("Sigmoid", "HardSigmoid", "Tanh", "Erf")


def recognise(layers: list[Layer], shapes: dict[str, Shape], logits: str, picture: str) -> list[Layer]:
    """Return the layer list with every pattern recognised and every layer dropped that does not lead to ``logits``."""
    layers = fold_affine(layers, shapes)
    layers = elementwise_chains(layers, shapes)
    layers = reachable(layers, logits)
    layers = fold_affine_forward(layers, shapes, picture)
    return settle_gates(layers, shapes)


# elementwise chains ---------------------------------------------------------------------------------------------------


def elementwise_chains(layers: list[Layer], shapes: dict[str, Shape]) -> list[Layer]:
    """Join what is an elementwise function of one tensor into one activation, such as x · sigmoid(x).

    Where both sides of a product or a sum come from the same tensor through elementwise layers alone, everything in
    between is one activation of that tensor.
    """
    made: dict[str, Layer] = {}
    for layer in layers:
        joined = _join(layer, made, shapes) if isinstance(layer, Gating | Summation | Extremum) else None
        made[layer.name] = joined or layer
    return list(made.values())


def _join(layer: Layer, made: dict[str, Layer], shapes: dict[str, Shape]) -> Layer | None:
    if len(layer.inputs) != 2 or len(getattr(layer, "operands", layer.inputs)) != 2:
        return None
    left, right = (_line(name, made, shapes) for name in layer.inputs)
    source = next((name for name in left if name in right), None)
    if source is None or shapes[source] != shapes[layer.name]:
        return None
    between = {name for line in (left, right) for name in line[: line.index(source)]}
    if not between:  # x · x, x + x
        return Chain(name=layer.name, operation=layer.operation, inputs=(source,), steps=(layer,))
    steps: list[Layer] = []
    for name, step in made.items():
        if name in between:
            steps += step.steps if isinstance(step, Chain) else (step,)
    return Chain(name=layer.name, operation=_title(steps), inputs=(source,), steps=(*steps, layer))


def _line(name: str, made: dict[str, Layer], shapes: dict[str, Shape]) -> list[str]:
    """Return ``name`` and the tensors before it as far as elementwise layers of one input reach."""
    line = [name]
    while (layer := made.get(line[-1])) is not None and isinstance(layer, Activation | Affine | Chain):
        if shapes[layer.inputs[0]] != shapes[name]:
            break
        line.append(layer.inputs[0])
    return line


def _title(steps: list[Layer]) -> str:
    functions = [step.function for step in steps if isinstance(step, Activation)]
    return "·".join(["x", *functions]) if functions else "chain"


# gates ----------------------------------------------------------------------------------------------------------------


def settle_gates(layers: list[Layer], shapes: dict[str, Shape]) -> list[Layer]:
    """Decide for every product of two tensors which is the signal: the other came through a gate or is broadcast.

    Of a matrix product the values are the signal, and the weights of attention came through a gate.
    """
    made = {layer.name: layer for layer in layers}
    settled: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Gating):
            settled.append(replace(layer, signal=_signal(layer, made, shapes)))
        elif isinstance(layer, DataProduct):
            gates = [_is_gate(name, made) for name in layer.inputs]
            settled.append(replace(layer, values=gates.index(False) if gates[0] != gates[1] else None))
        else:
            settled.append(layer)
    return settled


def _signal(layer: Gating, made: dict[str, Layer], shapes: dict[str, Shape]) -> int | None:
    if layer.divide:
        return 0
    gates = [_is_gate(name, made) for name in layer.inputs]
    if gates[0] != gates[1]:
        return gates.index(False)
    sizes = [int(np.prod(shapes[name])) for name in layer.inputs]
    if sizes[0] != sizes[1]:
        return int(sizes[1] > sizes[0])
    return None


def _is_gate(name: str, made: dict[str, Layer]) -> bool:
    while (layer := made.get(name)) is not None:
        if isinstance(layer, Softmax | Comparison):
            return True
        if isinstance(layer, Selection):  # such as 0 where a is not a number, else a
            taken = [operand for operand in layer.operands if isinstance(operand, str)]
            if len(taken) != 1:
                return False
            name = taken[0]
            continue
        if isinstance(layer, Activation) and layer.function == "Quantize":
            name = layer.inputs[0]
            continue
        if isinstance(layer, Activation):
            ramp = layer.function == "Clip" and all(np.all(np.isfinite(bound)) for bound in layer.constants)
            return layer.function in GATES or ramp
        if not isinstance(layer, Affine | Broadcasting) and not (isinstance(layer, Moving) and len(layer.inputs) == 1):
            return False
        name = layer.inputs[0]
    return False


# what leads where, and what cannot be negative ------------------------------------------------------------------------


def reachable(layers: list[Layer], logits: str) -> list[Layer]:
    """Return the layers that ``logits`` depends on, in the same order."""
    wanted = {logits}
    kept = []
    for layer in reversed(layers):
        if layer.name in wanted:
            wanted.update(layer.inputs)
            kept.append(layer)
    return kept[::-1]


NONNEGATIVE = ("Relu", "Sigmoid", "HardSigmoid", "Softplus", "Abs", "Exp", "Sqrt")


def nonnegative(layers: list[Layer]) -> frozenset[str]:
    """Return the names of tensors that hold no negative value, whatever the picture."""
    known: set[str] = set()
    for layer in layers:
        if _stays_nonnegative(layer, known):
            known.add(layer.name)
    return frozenset(known)


def _stays_nonnegative(layer: Layer, known: set[str]) -> bool:
    inputs = all(name in known for name in layer.inputs)
    match layer:
        case Activation(function="Clip" | "Quantize"):
            return bool(np.all(layer.constants[0] >= 0))
        case Activation(function="Max"):
            return any(bool(np.all(bound >= 0)) for bound in layer.constants) or inputs
        case Activation():
            return layer.function in NONNEGATIVE
        case Affine():
            positive = layer.scale is None or bool(np.all(layer.scale >= 0))
            return inputs and positive and (layer.shift is None or bool(np.all(layer.shift >= 0)))
        case Summation() | Concatenation() | Extremum():
            constants = all(bool(np.all(part >= 0)) for part in layer.operands if isinstance(part, np.ndarray))
            return inputs and constants and bool(np.all(getattr(layer, "weights", np.ones(1)) >= 0))
        case Padding():
            return inputs and layer.value >= 0
        case Comparison():
            return True
        case Selection():
            return all(part in known if isinstance(part, str) else bool(np.all(part >= 0)) for part in layer.operands)
        case Averaging():
            return inputs and bool(np.all(layer.weights >= 0))
        case MaxPooling() | MaxReduction() | Moving() | Gating():
            return inputs
        case LocalResponseNormalization() | DataProduct():
            return inputs
        case Softmax():
            return True
        case _:
            return False
