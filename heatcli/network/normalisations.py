"""Normalisations written out: a tensor scaled and shifted by statistics of itself, in whatever spelling.

A statistic is made by reductions and what is elementwise: means, variances, norms. Relevance of what is scaled by it
goes back along the elements of the tensor, past the ways that lead through a reduction.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from heatcli.network.chains import Made, steps_of
from heatcli.network.layers import (
    Activation,
    Affine,
    Broadcasting,
    Chain,
    Extremum,
    Gating,
    Layer,
    MaxReduction,
    Moving,
    Normalization,
    NormalizationChain,
    Reduction,
    Reshape,
    Softmax,
    Summation,
    Transpose,
)

Shape = tuple[int, ...]
REDUCING = Reduction | MaxReduction
TURNING = Reshape | Transpose
"""What leaves all elements as they are, in another order or under another shape."""
STATISTICAL = REDUCING | TURNING | Broadcasting | Activation | Affine | Chain | Gating | Summation | Extremum
"""What a statistic is made of: reductions, and what is elementwise or only moves."""


def softmax(layer: Layer, made: Made, shapes: dict[str, Shape]) -> Layer | None:
    """Join exp(x) over its own sum along an axis, also with the largest x taken away first, which changes nothing."""
    if not (isinstance(layer, Gating) and layer.divide):
        return None
    above, below = (made.get(name) for name in layer.inputs)
    while below is not None and (isinstance(below, Reshape | Broadcasting) or _rounds(below)):
        below = made.get(below.inputs[0])
    if not (isinstance(above, Activation) and above.function == "Exp" and isinstance(below, Reduction)):
        return None
    shape = shapes[above.name]
    if below.inputs != (above.name,) or below.weights != 1 or len(below.axes) != 1 or shape[below.axes[0]] == 1:
        return None
    (axis,) = below.axes
    if shapes[layer.inputs[1]] not in (shape, (*shape[:axis], 1, *shape[axis + 1 :])):
        return None
    before = made.get(above.inputs[0])
    source = before if isinstance(before, NormalizationChain) and _shifts(before, axis) else above
    return Softmax(name=layer.name, operation="Softmax", inputs=source.inputs, axis=axis)


def _shifts(chain: NormalizationChain, axis: int) -> bool:
    """Whether a chain takes from every element the same as from all others along ``axis``."""
    alike = all(axis in step.axes for step in chain.steps if isinstance(step, REDUCING))
    return alike and not chain.moves and not any(isinstance(step, Gating) for step in chain.steps)


def normalisation(layer: Layer, made: Made, shapes: dict[str, Shape]) -> Layer | None:
    """Join a tensor that is scaled or shifted by statistics of its own: x / s(x), x · s(x), x − mean(x)."""
    for signal, statistic in _roles(layer):
        if shapes[signal] != shapes[layer.name]:
            continue
        line = _line(signal, made, shapes)
        for place, source in enumerate(line):
            between = _statistic(statistic, source, made)
            if between is None:
                continue
            if isinstance(layer, Summation) and not _normalises(layer, line[: place + 1], statistic, made, shapes):
                break
            if isinstance(layer, Gating):
                place += _centring(line[place:], made)
            path = line[:place]
            moves = [move for name in reversed(path) for move in _moves(made[name], shapes)]
            steps = steps_of(between | set(path), made, layer)
            centred = isinstance(layer, Summation) or any(
                isinstance(step, Summation) for step in steps_of(path, made, layer)
            )
            return NormalizationChain(
                name=layer.name,
                operation=_title(layer, steps, shapes, centred=centred),
                inputs=(line[place],),
                steps=steps,
                moves=tuple(moves),
            )
    return None


def _roles(layer: Layer) -> Iterator[tuple[str, str]]:
    """Yield which operand of a layer can be a signal, and which then is the statistic."""
    if isinstance(layer, Gating) or (isinstance(layer, Summation) and len(layer.inputs) == len(layer.operands) == 2):
        a, b = layer.inputs
        yield a, b
        if not (isinstance(layer, Gating) and layer.divide):
            yield b, a


def _line(name: str, made: Made, shapes: dict[str, Shape]) -> list[str]:
    """Return ``name`` and the tensors before it as far as their elements are only scaled, shifted and moved."""
    line = [name]
    while (layer := made.get(line[-1])) is not None:
        if not _keeps(layer) and not isinstance(layer, Affine | NormalizationChain):
            break
        if isinstance(layer, Affine) and shapes[layer.inputs[0]] != shapes[layer.name]:
            break
        line.append(layer.inputs[0])
    return line


def _statistic(name: str, source: str, made: Made) -> set[str] | None:
    """Return all layers between ``source`` and its statistic ``name``, None where ``name`` is no statistic of it.

    Every way from one to the other leads through a reduction.
    """
    seen: set[tuple[str, bool]] = set()
    pending = [(name, False)]
    while pending:
        here = pending.pop()
        name, reduced = here
        if name == source and reduced:
            continue
        layer = made.get(name)
        if name == source or not isinstance(layer, STATISTICAL):
            return None
        if here not in seen:
            seen.add(here)
            pending += [(before, reduced or isinstance(layer, REDUCING)) for before in layer.inputs]
    return {name for name, _ in seen}


def _normalises(layer: Summation, line: list[str], statistic: str, made: Made, shapes: dict[str, Shape]) -> bool:
    """Whether a sum of a signal with a statistic of the last tensor of its ``line`` belongs to a normalisation.

    That takes the mean or the largest away, or shifts what was divided by a deviation: x/σ + (β − μ/σ). The sum of a
    tensor and its mean is a sum of two signals.
    """
    before = [made[name] for name in line[:-1]]
    if any(isinstance(entry, NormalizationChain) and any(map(takes_root, entry.steps)) for entry in before):
        return True
    if not all(map(_keeps, before)):
        return False
    signal = layer.inputs.index(line[0])
    factor = float(layer.weights[1 - signal] / layer.weights[signal])
    name, reduced = statistic, False
    while name != line[-1]:
        step = made[name]
        if isinstance(step, Affine) and step.scale is not None and step.scale.size == 1 and step.shift is None:
            factor *= step.scale.item()
        elif isinstance(step, Reduction) and not reduced:
            factor *= float(step.weights) * math.prod(shapes[step.inputs[0]][axis] for axis in step.axes)
            reduced = True
        elif isinstance(step, MaxReduction) and not reduced:
            reduced = True
        elif not _keeps(step) and not isinstance(step, Broadcasting):
            return False
        name = step.inputs[0]
    return math.isclose(factor, -1, rel_tol=1e-5)


def _centring(line: list[str], made: Made) -> int:
    """Return how many tensors of ``line`` lie behind a mean taken away with nothing but moves in between, 0 if none."""
    for place, name in enumerate(line[:-1]):
        layer = made[name]
        if isinstance(layer, NormalizationChain) and isinstance(layer.steps[-1], Summation):
            return place + 1
        if not _keeps(layer):
            break
    return 0


def _moves(layer: Layer, shapes: dict[str, Shape]) -> tuple[Moving, ...]:
    """Return the steps in which elements change places."""
    if isinstance(layer, NormalizationChain):
        return layer.moves
    same = isinstance(layer, Reshape) and shapes[layer.inputs[0]] == shapes[layer.name]
    return (layer,) if isinstance(layer, TURNING) and not same else ()


def takes_root(step: Layer) -> bool:
    """Whether a layer is a root, or one over it."""
    if not isinstance(step, Activation):
        return False
    return step.function == "Sqrt" or (step.function == "Pow" and bool(np.any(step.constants[0] % 1)))


def _title(layer: Layer, steps: tuple[Layer, ...], shapes: dict[str, Shape], *, centred: bool) -> str:
    """Name a normalisation by what it computes."""
    reductions = [step for step in steps if isinstance(step, REDUCING)]
    axes, rank = reductions[0].axes, len(shapes[reductions[0].inputs[0]])
    means = all(isinstance(step, Reduction) and step.weights < 1 for step in reductions)
    if not any(map(takes_root, steps)):
        largest = all(isinstance(step, MaxReduction) for step in reductions)
        if isinstance(layer, Summation):
            return "x−max" if largest else "x−mean"
        return f"x{'/' if getattr(layer, 'divide', False) else '·'}{'max' if largest else 'mean' if means else 'sum'}"
    if centred:
        return "InstanceNorm" if rank >= 4 and len(axes) == rank - 2 else "LayerNorm"
    if len(reductions) > 1:
        return "x·norm"
    return "RMSNorm" if means else "L2Norm"


def _rounds(layer: Layer | None) -> bool:
    return isinstance(layer, Activation) and layer.function == "Quantize"


def _keeps(layer: Layer | None) -> bool:
    """Whether a layer leaves the elements as they are, but for their order, their shape and rounding."""
    return isinstance(layer, TURNING) or _rounds(layer)


# what stands around a chain -------------------------------------------------------------------------------------------


def widen_chains(layers: list[Layer], shapes: dict[str, Shape]) -> list[Layer]:
    """Join chains with what belongs to them and stands around them, where nothing else uses what is between.

    A normalisation is joined with the scale and the shift behind it, and with reshapes into groups and back around it;
    an activation with a factor behind it, such as the half of x · (1 + erf(x/√2)) / 2.
    """
    uses = Counter(name for layer in layers for name in layer.inputs)
    made: Made = {}
    for layer in layers:
        inner = made.get(layer.inputs[0]) if uses[layer.inputs[0]] == 1 else None
        wider: Layer | None = None
        if isinstance(inner, Chain) and shapes[layer.name] == shapes[inner.name] and _ends(inner, layer):
            wider = replace(inner, name=layer.name, steps=(*inner.steps, layer))
        elif isinstance(inner, Normalization | NormalizationChain) and isinstance(layer, Reshape):
            wider = _with_reshapes(inner, layer, made, shapes)
        made[layer.name] = wider or layer
    return list(made.values())


def _ends(chain: Chain, layer: Layer) -> bool:
    """Whether a layer is the factor behind an activation, or the scale or the shift of a normalisation.

    It has one of each, the shift last; where that varies along several axes, it has the shape of the scale.
    """
    if isinstance(layer, Reshape):  # the shape is the same: a cast
        return True
    if not isinstance(chain, NormalizationChain):
        factor = layer.scale if isinstance(layer, Affine) and layer.shift is None else None
        return factor is not None and factor.size == 1
    if _rounds(layer):
        return True
    last = next(step for step in reversed(chain.steps) if not _keeps(step))
    scale = last.scale if isinstance(last, Affine) else None
    if len(last.inputs) == 1 and (isinstance(last, Summation) or (isinstance(last, Affine) and last.shift is not None)):
        return False
    if isinstance(layer, Affine):
        return layer.scale is None or (layer.shift is None and scale is None)
    if not isinstance(layer, Summation) or scale is None or len(layer.inputs) > 1 or bool(np.any(layer.weights != 1)):
        return False
    return [operand.shape for operand in layer.operands if not isinstance(operand, str)] == [scale.shape]


def _with_reshapes(
    inner: Normalization | NormalizationChain, behind: Reshape, made: Made, shapes: dict[str, Shape]
) -> Layer | None:
    before = made.get(inner.inputs[0])
    if not isinstance(before, Reshape) or shapes[before.inputs[0]] != shapes[behind.name]:
        return None
    steps, moves = (inner.steps, inner.moves) if isinstance(inner, NormalizationChain) else ((inner,), ())
    grouped = shapes[before.name][:2] != shapes[behind.name][:2] or len(shapes[before.name]) > len(shapes[behind.name])
    return NormalizationChain(
        name=behind.name,
        operation="GroupNorm" if grouped else inner.operation,
        inputs=before.inputs,
        steps=(before, *steps, behind),
        moves=(before, *moves, behind),
    )
