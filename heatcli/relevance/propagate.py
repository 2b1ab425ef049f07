"""The walk: relevance starts at the class score and goes backwards through the layer list, booked layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from heatcli.kernels import Denominator, InputPart, LinearMap, Term, WeightPart, linear_map
from heatcli.network.layers import Layer, Linear, Network
from heatcli.relevance.families import needs, redistribute
from heatcli.relevance.ledger import Ledger, LedgerRow
from heatcli.relevance.rules import GRADIENT, Rule, Share
from heatcli.relevance.sharing import total

Array = np.ndarray
Bounds = tuple[Array, Array]


class Propagator:
    """A network with a rule for every layer, ready to send relevance backwards.

    ``rules`` holds a rule for each layer by name; ``bounds`` the range (l, h) of the first layers' inputs by tensor
    name; ``biases`` says whether positive biases count as neurons (paper 6.2). Weights are split and arranged once, at
    first use.
    """

    def __init__(
        self,
        network: Network,
        rules: Mapping[str, Rule],
        *,
        bounds: Mapping[str, Bounds] | None = None,
        biases: bool = True,
        dtype: type[np.floating] = np.float32,
    ) -> None:
        """Keep the assignment; nothing is computed yet."""
        self.network, self.rules, self.biases, self.dtype = network, rules, biases, dtype
        self._bounds = dict(bounds or {})
        self._maps: dict[tuple[str, str], LinearMap | None] = {}

    @property
    def activations(self) -> tuple[str, ...]:
        """The names of the activations that a walk reads, each once."""
        names = [name for layer in self.network.layers for name in needs(layer, self.rules[layer.name])]
        return tuple(dict.fromkeys(names))

    @property
    def denominators(self) -> tuple[Denominator, ...]:
        """What is worth computing beside the forward pass: the denominators of all layers with learned weights.

        In float64 there are none: they are then computed here, so that the account closes to rounding.
        """
        if self.dtype is not np.float32:
            return ()
        requests = []
        for layer in self.network.layers:
            rule = self.rules[layer.name]
            if isinstance(layer, Linear) and rule is not GRADIENT:
                for place, share in enumerate(rule.shares):
                    terms, bias = self.terms(layer, share), share.bias if self.biases else None
                    requests.append(Denominator(_key(layer, place), layer, terms, bias, self.bounds(layer)))
        return tuple(requests)

    def run(
        self,
        activations: Mapping[str, Array],
        target: int,
        start: float,
        *,
        score: float | None = None,
        kept: dict[str, Array] | None = None,
    ) -> tuple[Array, Ledger]:
        """Send ``start`` from class ``target`` down to the input; return its relevance and the account.

        ``activations`` holds what ``activations`` and ``denominators`` ask for, by name. The result has the network
        input's shape with the batch axis. Into ``kept``, if given, goes the relevance of every layer's output by name.
        """
        walk = _Walk(self, activations)
        logits = self.network.output.logits
        top = np.zeros(self.network.shapes[logits], self.dtype)
        top.reshape(-1)[target] = start
        found: dict[str, Array] = {logits: top}
        rows: list[LedgerRow] = []
        for layer in reversed(self.network.layers):
            r = found.pop(layer.name, None)
            if r is None:
                continue
            if kept is not None:
                kept[layer.name] = r
            rule = self.rules[layer.name]
            outcome = redistribute(layer, rule, r, walk)
            outgoing = 0.0
            for name, part in zip(layer.inputs, outcome.inputs, strict=True):
                outgoing += total(part)
                found[name] = found[name] + part if name in found else part
            rows.append(
                LedgerRow(
                    name=layer.name,
                    operation=layer.operation,
                    rule=rule.name,
                    incoming=total(r),
                    outgoing=outgoing,
                    biases=outcome.biases,
                    constants=outcome.constants,
                    lost=outcome.lost,
                )
            )
        source = self.network.input
        relevance = found.get(source.name, np.zeros(source.shape, self.dtype))
        ledger = Ledger(
            score=start if score is None else score,
            start=start,
            pixels=total(relevance),
            biases=sum(row.biases for row in rows),
            constants=sum(row.constants for row in rows),
            lost=sum(row.lost for row in rows),
            layers=tuple(rows),
        )
        return relevance, ledger

    def terms(self, layer: Layer, share: Share) -> tuple[Term, ...]:
        """Return the terms of ``share`` that matter here: where x is never negative, x⁺ is x and x⁻ is nothing."""
        names = getattr(layer, "operands", layer.inputs)
        if not all(isinstance(name, str) and name in self.network.nonnegative for name in names):
            return share.terms
        return tuple(
            (InputPart.X if a is InputPart.POSITIVE else a, v) for a, v in share.terms if a is not InputPart.NEGATIVE
        )

    def bounds(self, layer: Layer) -> Bounds | None:
        """Return the range (l, h) of the layer's input, if known."""
        return self._bounds.get(layer.inputs[0])

    def map(self, layer: Layer, part: WeightPart) -> LinearMap | None:
        """Return the linear map of ``layer`` with ``part`` of its weights, made at first use."""
        key = (layer.name, part.name)
        if key not in self._maps:
            operands = getattr(layer, "operands", layer.inputs)
            shapes = [self.network.shapes[o] if isinstance(o, str) else o.shape for o in operands]
            self._maps[key] = linear_map(layer, part, shapes, self.network.shapes[layer.name], self.dtype)
        return self._maps[key]


class _Walk:
    """The context of one walk: one picture's activations beside the network's maps."""

    def __init__(self, propagator: Propagator, activations: Mapping[str, Array]) -> None:
        self.propagator, self.activations = propagator, activations
        self.biases = propagator.biases
        self.map = propagator.map
        self.terms = propagator.terms
        self.bounds = propagator.bounds

    def activation(self, name: str) -> Array:
        return self.activations[name].astype(self.propagator.dtype, copy=False)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.propagator.network.shapes[name]

    def denominator(self, layer: Layer, share: int) -> Array | None:
        return self.activations.get(_key(layer, share))


def _key(layer: Layer, share: int) -> str:
    return f"heatcli/z/{share}/{layer.name}"
