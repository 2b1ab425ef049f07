"""Where relevance cannot arrive, and so cannot be lost: behind rectifiers, under rules that share by activations.

A rule loses relevance where its denominator is zero. With z⁺, z^B and proportional sharing the denominator z_j is at
least the layer's own output: z_j ≥ x_j, and at least zero. So nothing is lost if relevance arrives only where x_j > 0:
behind a rectifier above which every rule shares in proportion to activations. Such denominators need no test, which
saves passes over memory; all others are tested. And a rule that treats outputs by their sign needs no second share
where relevance arrives at positive ones alone.

Where a relevance model takes the place of what arrived, y_j > 0 asks for Σ_i x_i v_ij > 0, and the denominator with
v in place of w is at least that: nothing is lost there, wherever relevance arrived.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from heatcli.kernels.terms import InputPart
from heatcli.network.layers import (
    Activation,
    Averaging,
    Layer,
    Linear,
    LocalResponseNormalization,
    MaxPooling,
    MaxReduction,
    Moving,
    Network,
    Padding,
    Summation,
)
from heatcli.relevance.rules import PASS, PROPORTIONAL, WINNER, Z_BOX, Z_PLUS, Rule
from heatcli.relevance.sharing import Bounds

SHARING = Linear | Averaging | Summation | MaxPooling | MaxReduction


@dataclass(frozen=True)
class Vanishing:
    """What is known before a picture is seen.

    ``positive`` are tensors whose relevance vanishes wherever they are not positive; ``lossless`` are layers, by name,
    whose denominators are positive wherever relevance arrives.
    """

    positive: frozenset[str]
    lossless: frozenset[str]


def vanishing_of(
    network: Network,
    rules: Mapping[str, Rule],
    bounds: Mapping[str, Bounds],
    *,
    biases: bool,
    modelled: Collection[str] = (),
) -> Vanishing:
    """Return where relevance vanishes and where none is lost; ``modelled`` layers have a relevance model.

    Without biases as neurons a positive bias can lift an output above its denominator: layers that have one can lose.
    """
    vanishing: set[str] = set()  # of the class scores nothing is known: relevance can be put in where one is negative
    without_loss: set[str] = set()
    consumers: dict[str, list[Layer]] = {}
    for layer in network.layers:
        for name in layer.inputs:
            consumers.setdefault(name, []).append(layer)
    for layer in reversed(network.layers):
        within = layer.name in vanishing or layer.name in modelled
        if within and _covers(layer, rules[layer.name], bounds, biases=biases):
            without_loss.add(layer.name)
        for name in layer.inputs:
            users = consumers[name]
            if all(_keeps_zero(user, rules[user.name], name, network, vanishing, without_loss) for user in users):
                vanishing.add(name)
    return Vanishing(frozenset(vanishing.difference(modelled)), frozenset(without_loss))


def _keeps_zero(
    layer: Layer, rule: Rule, name: str, network: Network, vanishing: set[str], without_loss: set[str]
) -> bool:
    """Whether ``layer`` hands no relevance to elements of its input ``name`` that are zero or negative."""
    if isinstance(layer, SHARING) and rule in (Z_PLUS, PROPORTIONAL):
        if name in network.nonnegative:
            return True
        positive = not isinstance(layer, Linear) and bool(np.all(getattr(layer, "weights", 1) >= 0))
        return positive and layer.name in without_loss  # what is negative gets a share only where all else is zero
    if isinstance(layer, SHARING) and name in network.nonnegative and _by_activation(rule):
        return True
    if layer.name not in vanishing:
        return False
    if isinstance(layer, MaxPooling | MaxReduction):
        return rule is WINNER
    if rule is not PASS:
        return False
    if isinstance(layer, Activation):
        clipped = layer.function == "Clip" and len(layer.constants) > 0 and bool(np.all(layer.constants[0] == 0))
        return layer.function in ("Relu", "Quantize") or clipped  # zero stands for zero among integers
    moved = isinstance(layer, Moving) and not (isinstance(layer, Padding) and layer.value > 0)
    return moved or isinstance(layer, LocalResponseNormalization)


def _by_activation(rule: Rule) -> bool:
    """Whether the rule multiplies every share by a part of the input, and so gives nothing to zero."""
    parts = (InputPart.X, InputPart.POSITIVE, InputPart.NEGATIVE)
    shares = [*rule.shares, *(share.otherwise for share in rule.shares if share.otherwise is not None)]
    return bool(shares) and all(a in parts for share in shares for a, _ in share.terms)


def _covers(layer: Layer, rule: Rule, bounds: Mapping[str, Bounds], *, biases: bool) -> bool:
    """Whether the denominator of ``layer`` is at least its output."""
    bias = getattr(layer, "bias", None)
    if not biases and bias is not None and bool(np.any(bias > 0)):
        return False
    if rule is Z_BOX:
        low, high = bounds[layer.inputs[0]]
        return bool(np.all(low <= 0) and np.all(high >= 0))
    if isinstance(layer, MaxPooling | MaxReduction):
        return rule is PROPORTIONAL
    return isinstance(layer, SHARING) and rule in (Z_PLUS, PROPORTIONAL)
