"""Composites: which rule for which layer, by name, and the user's overrides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from heatcli.errors import UsageError
from heatcli.network.layers import (
    Activation,
    Averaging,
    Convolution,
    DataProduct,
    Dense,
    Extremum,
    Gating,
    Layer,
    Linear,
    MaxPooling,
    MaxReduction,
    Network,
    StackedDense,
    Summation,
)
from heatcli.relevance.bounds import first_layers
from heatcli.relevance.rules import (
    DECONVNET,
    FLAT,
    GATE,
    GRADIENT,
    GUIDED,
    PASS,
    PROPORTIONAL,
    SMOOTH,
    W_SQUARED,
    WINNER,
    Z_BOX,
    Z_PLUS,
    Rule,
    alpha_beta,
    epsilon,
    gamma,
    named,
)

FIXED = (Averaging, Summation)
"""Linear layers whose weights are fixed: averages, sums, merges."""
LARGEST = (MaxPooling, MaxReduction)


@dataclass(frozen=True)
class Composite:
    """A rule for each place in the network; ``first`` is None where the first layer gets no rule of its own.

    ``rectifier`` is that of activations that cut what is negative, such as ReLU; None where it is ``other`` too.
    ``fixed`` is that of averages and sums. It shares in proportion under every rule that keeps positive and negative
    shares apart, αβ and γ included: weights of one sign would leave their other half without anything to share by.
    """

    name: str
    convolution: Rule
    dense: Rule
    first: Rule | None
    pool: Rule
    fixed: Rule = PROPORTIONAL
    other: Rule = PASS
    rectifier: Rule | None = None


GRADIENTS = Composite("gradient", GRADIENT, GRADIENT, first=None, pool=WINNER, fixed=GRADIENT, other=GRADIENT)

COMPOSITES = {
    composite.name: composite
    for composite in (
        Composite("deep-taylor", Z_PLUS, Z_PLUS, first=Z_BOX, pool=PROPORTIONAL),
        Composite("lrp-epsilon", epsilon(1e-6), epsilon(1e-6), first=None, pool=WINNER, fixed=epsilon(1e-6)),
        Composite("lrp-alpha2-beta1", alpha_beta(2, 1), alpha_beta(2, 1), first=None, pool=WINNER),
        Composite("lrp-epsilon-plus-flat", Z_PLUS, epsilon(1e-6), first=FLAT, pool=WINNER),
        Composite("lrp-epsilon-gamma-box", gamma(0.1), epsilon(0.25), first=Z_BOX, pool=WINNER),
        GRADIENTS,
        replace(GRADIENTS, name="guided-backprop", rectifier=GUIDED),
        replace(GRADIENTS, name="deconvnet", rectifier=DECONVNET),
        replace(GRADIENTS, name="smooth-gradient", rectifier=SMOOTH),
    )
}


def assign(
    network: Network,
    composite: Composite,
    *,
    bounded: bool,
    input_rule: str | None = None,
    pool: str | None = None,
    overrides: Sequence[str] = (),
) -> dict[str, Rule]:
    """Return the rule of every layer by name.

    ``bounded`` says whether the pixel range is known, which z^B needs; without it w² takes its place. ``input_rule``
    names the first layers' rule, ``pool`` (proportional or winner) that of max pooling, ``overrides`` are texts
    ``PATTERN=RULE``. Raises UsageError for an unknown rule, a pattern that fits no layer, or z^B without a range.
    """
    first = first_layers(network)
    input_choice = _input_rule(composite, input_rule, bounded)
    if pool not in (None, "proportional", "winner"):
        raise UsageError(f"unknown pool rule '{pool}'; known: proportional, winner")
    if composite.pool is WINNER and composite.other is GRADIENT and pool == "proportional":
        raise UsageError("--pool proportional does not go with a gradient, which follows the winner")
    pooling = composite.pool if pool is None else named(pool)
    assigned: dict[str, Rule] = {}
    for layer in network.layers:
        if layer.name in first and input_choice is not None:
            assigned[layer.name] = input_choice
        elif isinstance(layer, Dense | StackedDense):
            assigned[layer.name] = composite.dense
        elif isinstance(layer, DataProduct):
            assigned[layer.name] = _of_products(composite.dense)
        elif isinstance(layer, Convolution):
            assigned[layer.name] = composite.convolution
        elif isinstance(layer, FIXED):
            assigned[layer.name] = composite.fixed
        elif isinstance(layer, LARGEST):
            assigned[layer.name] = pooling
        elif composite.rectifier is not None and rectifies(layer):
            assigned[layer.name] = composite.rectifier
        elif composite.other is not GRADIENT and isinstance(layer, Extremum | Gating):
            assigned[layer.name] = WINNER if isinstance(layer, Extremum) else GATE
        else:
            assigned[layer.name] = composite.other
    for text in overrides:
        _override(assigned, network, text, first, bounded, composite.other is GRADIENT)
    return assigned


def rectifies(layer: Layer) -> bool:
    """Whether ``layer`` is an activation that passes what is positive, at least to a ceiling, and nothing else."""
    if not isinstance(layer, Activation):
        return False
    from_zero = layer.function in ("Clip", "Max") and all(np.equal(bound, 0).all() for bound in layer.constants[:1])
    return layer.function in ("Relu", "ThresholdedRelu") or from_zero


def _of_products(rule: Rule) -> Rule:
    """Return the rule of attention: a weighted average, which shares as averages do where all values are negative."""
    return PROPORTIONAL if rule is Z_PLUS else rule


def _input_rule(composite: Composite, name: str | None, bounded: bool) -> Rule | None:
    if name is None:
        return W_SQUARED if composite.first is Z_BOX and not bounded else composite.first
    if name not in ("zB", "w2", "z+", "flat"):
        raise UsageError(f"unknown input rule '{name}'; known: zB, w2, z+, flat")
    if composite.other is GRADIENT:
        raise UsageError("--input-rule does not go with a gradient method")
    if name == "zB" and not bounded:
        raise UsageError("the rule zB needs the range of the input; give it with --range")
    return named(name)


def _override(
    assigned: dict[str, Rule], network: Network, text: str, first: tuple[str, ...], bounded: bool, gradient: bool
) -> None:
    pattern, separator, name = text.rpartition("=")
    if not separator or not pattern:
        raise UsageError(f"'{text}' is no rule override; write PATTERN=RULE, for example 'conv1*=w2'")
    rule = named(name)
    if gradient and rule is not GRADIENT:
        raise UsageError(f"the rule {rule.name} does not go with a gradient method, which has one rule everywhere")
    matched = [layer for layer in network.layers if fnmatchcase(layer.name, pattern)]
    if not matched:
        raise UsageError(f"no layer's name fits '{pattern}'; `heatcli inspect` lists the names")
    fitting = [layer for layer in matched if accepts(layer, rule)]
    if not fitting:
        raise UsageError(f"the rule {rule.name} fits none of the {len(matched)} layers named '{pattern}'")
    for layer in fitting:
        if rule.needs_range and (layer.name not in first or not bounded):
            raise UsageError(f"the rule {rule.name} needs the range of its input, which is not known at {layer.name}")
        assigned[layer.name] = _of_products(rule) if isinstance(layer, (*FIXED, DataProduct)) else rule


def accepts(layer: Layer, rule: Rule) -> bool:
    """Whether ``rule`` can stand at ``layer``."""
    if isinstance(layer, Linear):
        return (bool(rule.shares) and rule is not PROPORTIONAL) or rule is GRADIENT
    if isinstance(layer, (*FIXED, DataProduct)):
        return (bool(rule.shares) and not rule.needs_range) or rule is GRADIENT
    if isinstance(layer, LARGEST):
        return rule in (PROPORTIONAL, WINNER, GRADIENT)
    if isinstance(layer, Extremum | Gating):
        return rule in (WINNER if isinstance(layer, Extremum) else GATE, GRADIENT)
    return rule in (PASS, GRADIENT)
