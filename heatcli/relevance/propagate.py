"""The walk: relevance starts at the class score and goes backwards through the layer list, booked layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from heatcli.kernels.arrays import ArrayKernels
from heatcli.kernels.protocol import Kernels, Tensor, joined, whole
from heatcli.kernels.symbols import Graph, Symbol
from heatcli.kernels.terms import ALL, InputPart, Term
from heatcli.kernels.written import GraphKernels
from heatcli.network.layers import Averaging, Layer, Linear, MaxPooling, Network, Summation
from heatcli.relevance.batching import batched
from heatcli.relevance.families import needs, redistribute, takes_products
from heatcli.relevance.ledger import Ledger, LedgerRow
from heatcli.relevance.models import RelevanceModel, predicted
from heatcli.relevance.rules import GRADIENT, Rule, Share
from heatcli.relevance.sharing import Bounds, denominator, sources_of
from heatcli.relevance.vanishing import Vanishing, vanishing_of

Array = np.ndarray

DENOMINATORS_FROM = 8
"""From which operator set on a maximum broadcasts; before it all denominators are computed in the walk."""
POOLS_FROM = 13
"""From which operator set on sums over axes are written as they are here."""
LARGEST_WALK = 64 << 20
"""Bytes that the largest tensor of one walk may take: more classes go down in several walks."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """A network with a rule for every layer, by name: all that a walk needs beside one picture's activations.

    ``bounds`` holds the range (l, h) of the first layers' inputs by tensor name; ``biases`` says whether positive
    biases count as neurons (paper 6.2). ``models`` are relevance models by the names of their layers, which have v in
    place of their weights (``with_models``). ``end`` is the tensor where the walk ends, the network's input unless
    another is named.
    """

    network: Network
    rules: Mapping[str, Rule]
    bounds: Mapping[str, Bounds]
    biases: bool = True
    models: Mapping[str, RelevanceModel] = field(default_factory=dict)
    end: str = ""

    @cached_property
    def vanishing(self) -> Vanishing:
        """Where relevance cannot arrive, and where none can be lost."""
        return vanishing_of(self.network, self.rules, self.bounds, biases=self.biases, modelled=self.models)

    @cached_property
    def watched(self) -> frozenset[str]:
        """The names of the layers whose relevance a relevance model below reads."""
        return frozenset(upper.layer.name for model in self.models.values() for upper in model.detection.uppers)

    @property
    def activations(self) -> tuple[str, ...]:
        """The names of the activations that a walk reads, each once."""
        names = [name for layer in self.network.layers for name in needs(layer, self.rules[layer.name])]
        return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Row:
    """What one layer did with relevance, for every entry of the batch."""

    layer: Layer
    incoming: Tensor
    outgoing: Tensor
    biases: Tensor
    constants: Tensor
    lost: Tensor


class Walk:
    """The context of one walk: kernels, activations by name, and denominators where they are known already."""

    def __init__(
        self,
        assignment: Assignment,
        kernels: Kernels,
        activations: Mapping[str, Tensor],
        denominators: Mapping[str, Tensor],
    ) -> None:
        """Take what ``assignment`` asks for; it can be arrays or symbols, as ``kernels`` understands them."""
        self.assignment, self.kernels, self.biases = assignment, kernels, assignment.biases
        self._activations, self._denominators = activations, denominators

    def activation(self, name: str) -> Tensor:
        """Return the captured activation ``name``."""
        return self._activations[name]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the tensor ``name`` at batch 1."""
        return self.assignment.network.shapes[name]

    def terms(self, layer: Layer, share: Share) -> tuple[Term, ...]:
        """Return the terms of ``share`` that matter here: where x is never negative, x⁺ is x and x⁻ is nothing."""
        names = sources_of(layer)
        if not all(isinstance(name, str) and self.nonnegative(name) for name in names):
            return share.terms
        return tuple(
            (InputPart.X if a is InputPart.POSITIVE else a, v) for a, v in share.terms if a is not InputPart.NEGATIVE
        )

    def denominator(self, layer: Layer, share: int) -> Tensor | None:
        """Return a denominator that was computed beside the forward pass, if it was."""
        return self._denominators.get(denominator_name(layer, share))

    def nonnegative(self, name: str) -> bool:
        """Whether the tensor ``name`` is never negative."""
        return name in self.assignment.network.nonnegative

    def lossless(self, layer: Layer) -> bool:
        """Whether no denominator of the layer is zero under relevance."""
        return layer.name in self.assignment.vanishing.lossless

    def shares(self, layer: Layer, rule: Rule) -> list[tuple[int, Share]]:
        """Return the shares of ``rule`` that matter here, with their places.

        Where relevance arrives at positive outputs alone, what is for them is for all, and the rest is for none.
        """
        bias = getattr(layer, "bias", None)
        if layer.name not in self.assignment.vanishing.positive or not (self.biases or bias is None):
            return list(enumerate(rule.shares))
        return [
            (place, replace(share, where="everywhere"))
            for place, share in enumerate(rule.shares)
            if share.where != "not positive"
        ]

    def bounds(self, layer: Layer) -> Bounds | None:
        """Return the range (l, h) of the layer's input, if known."""
        return self.assignment.bounds.get(layer.inputs[0])

    def upwards(self, layer: Layer) -> Tensor | None:
        """Return Σ_i x_i v_ij of a layer with a relevance model, None where v is zero."""
        known = self._denominators.get(upwards_name(layer))
        if known is not None:
            return known
        linear = self.kernels.map(layer, ALL)
        return None if linear is None else linear.apply([self.activation(layer.inputs[0])])

    def run(self, top: Tensor, kept: dict[str, Tensor] | None = None) -> tuple[Tensor, list[Row]]:
        """Send ``top``, the relevance of the class scores, down to the end; return what arrived, and the account.

        Into ``kept``, if given, goes the relevance of every layer's output by name. Where a layer has a relevance model
        that is what the model predicts, and what it differs by from what arrived is booked as lost.
        """
        network, total = self.assignment.network, self.kernels.total
        found: dict[str, Tensor] = {network.output.logits: top}
        totals: dict[str, Tensor] = {network.output.logits: total(top)}
        above: dict[str, Tensor] = {}
        rows = []
        for layer in reversed(network.layers):
            r = found.pop(layer.name, None)
            if r is None:
                continue
            incoming = totals.pop(layer.name)
            modelled = layer.name in self.assignment.models
            if modelled:
                r = self._predicted(layer, incoming, above)
            if layer.name in self.assignment.watched:
                above[layer.name] = whole(r)
            if kept is not None:
                kept[layer.name] = whole(r)
            rule = self.assignment.rules[layer.name]
            outcome = redistribute(layer, rule, r if takes_products(layer, rule) else whole(r), self)
            outgoing: Tensor = 0.0
            lost = outcome.lost + (incoming - total(r)) if modelled else outcome.lost
            for name, part in zip(layer.inputs, outcome.inputs, strict=True):
                if part is None:  # what only says how relevance is shared gets none
                    continue
                arrived = incoming if part is r else total(part)
                outgoing = outgoing + arrived
                found[name] = joined(self.kernels, found[name], part) if name in found else part
                totals[name] = totals[name] + arrived if name in totals else arrived
            rows.append(Row(layer, incoming, outgoing, outcome.biases, outcome.constants, lost))
        end = self.assignment.end or network.input.name
        return whole(found.get(end, self.kernels.zeros(self.shape(end)))), rows

    def _predicted(self, layer: Layer, incoming: Tensor, above: Mapping[str, Tensor]) -> Tensor:
        """Return y of a layer with a relevance model; where nothing arrives there is nothing to predict."""
        model, kernels = self.assignment.models[layer.name], self.kernels
        y = predicted(model, self.upwards(layer), above, kernels, self.assignment.network.shapes)
        arrives = kernels.reshape(incoming > 0, (1,) * len(self.shape(layer.name)))
        zero: Tensor = kernels.constant(np.zeros(()))
        return np.where(arrives, y, zero)


class Propagator:
    """An assignment ready to send relevance backwards in NumPy, in the precision ``dtype``."""

    def __init__(self, assignment: Assignment, dtype: type[np.floating] = np.float32) -> None:
        """Keep the assignment; nothing is computed yet."""
        self.assignment, self.network = assignment, assignment.network
        self.kernels = ArrayKernels(self.network.shapes, dtype, batched=batched(self.network))
        # A product of finite matrices can report an invalid value that its kernel read beside them; what arrives is
        # checked. A slope can be ∞ both ways before a rectifier stops it.
        gradient = GRADIENT in assignment.rules.values()
        self._silent: dict[str, Any] = dict.fromkeys(
            ("invalid", "divide", "over") if gradient else ("invalid",), "ignore"
        )

    def denominators(self) -> tuple[Graph, dict[str, str]]:
        """Write what is worth computing beside the forward pass: denominators.

        Return the nodes, and the tensors among them by the name under which ``run`` looks for them. In float64 there
        are none: they are then computed in the walk, so that the account closes to rounding.
        """
        graph, names = Graph(), dict[str, str]()
        if self.kernels.dtype == np.float32 and self.network.opset >= DENOMINATORS_FROM:
            shapes = self.network.shapes
            kernels = GraphKernels(graph, shapes, batched=self.kernels.batched, parts=self.kernels.parts)
            walk = Walk(
                self.assignment, kernels, kernels.activations(self.network.input.name, self.network.input.dtype), {}
            )
            names = {key: z.name for key, z in write_denominators(walk, pools=self.network.opset >= POOLS_FROM).items()}
        return graph, names

    def arrange(self) -> None:
        """Bring all weights into the form that the walk needs, which its first run would do otherwise."""
        walk = Walk(self.assignment, self.kernels, {}, {})
        for layer in self.network.layers:
            if isinstance(layer, Linear):
                for share in self.assignment.rules[layer.name].shares:
                    for _, part in walk.terms(layer, share):
                        self.kernels.arrange(layer, part)

    def run(
        self,
        values: Mapping[str, Array],
        targets: Sequence[int],
        starts: Sequence[float],
        *,
        kept: list[dict[str, Array]] | None = None,
    ) -> list[tuple[Array, Ledger]]:
        """Send ``starts`` from the classes ``targets`` down to the input; return each one's relevance and account.

        ``values`` holds the activations and denominators asked for, by name. A relevance has the network input's shape
        with the batch axis. To ``kept``, if given, goes a dictionary for each target: the relevance of every layer's
        output by name. Several targets share a walk as far as ``LARGEST_WALK`` allows.
        """
        dtype = self.kernels.dtype
        arrays = {name: value.astype(dtype, copy=False) for name, value in values.items() if value.dtype.kind == "f"}
        arrays |= {name: value.astype(dtype) for name, value in values.items() if value.dtype.kind in "iu"}
        arrays |= {name: value for name, value in values.items() if value.dtype.kind == "b"}
        walk = Walk(self.assignment, self.kernels, arrays, arrays)
        shapes = self.network.shapes
        together = walks_together(self.network, dtype.itemsize) if self.kernels.batched else 1
        found: list[tuple[Array, Ledger]] = []
        for begin in range(0, len(targets), together):
            chosen, put_in = list(targets[begin : begin + together]), np.asarray(starts[begin : begin + together])
            logits = shapes[self.network.output.logits]
            top = np.zeros((len(chosen), *logits[1:]) if self.kernels.batched else logits, dtype)
            top.reshape(len(chosen), -1)[np.arange(len(chosen)), chosen] = put_in
            layers: dict[str, Array] | None = None if kept is None else {}
            with np.errstate(**self._silent):
                relevance, rows = walk.run(top, layers)
                for place in range(len(chosen)):
                    part = slice(place, place + 1) if self.kernels.batched else slice(None)
                    whole = np.broadcast_to(relevance, (max(len(chosen), len(relevance)), *relevance.shape[1:]))[part]
                    found.append((whole, self._ledger(place, float(put_in[place]), whole, rows)))
                    if kept is not None and layers is not None:
                        kept.append({name: value[part] for name, value in layers.items()})
        return found

    def _ledger(self, place: int, start: float, relevance: Array, rows: Sequence[Row]) -> Ledger:
        """Return the account of one target, f(x) being what was put in."""

        def number(value: Tensor) -> float:
            return float(value if np.ndim(value) == 0 else value[place if len(value) > 1 else 0])

        entries = tuple(
            LedgerRow(
                name=row.layer.name,
                operation=row.layer.operation,
                rule=self.assignment.rules[row.layer.name].name,
                incoming=number(row.incoming),
                outgoing=number(row.outgoing),
                biases=number(row.biases),
                constants=number(row.constants),
                lost=number(row.lost),
            )
            for row in rows
        )
        return Ledger(
            score=start,
            start=start,
            pixels=float(relevance.sum()),
            biases=sum(entry.biases for entry in entries),
            constants=sum(entry.constants for entry in entries),
            lost=sum(entry.lost for entry in entries),
            layers=entries,
        )


def walks_together(network: Network, itemsize: int = 4) -> int:
    """Return how many classes go down in one walk, with numbers of ``itemsize`` bytes."""
    return max(1, LARGEST_WALK // (itemsize * max(math.prod(shape) for shape in network.shapes.values())))


def write_denominators(walk: Walk, *, pools: bool) -> dict[str, Symbol]:
    """Write the denominators of layers with learned weights; return them by ``denominator_name``.

    With ``pools`` those of averages, sums and maxima are written too, for which the graph must have operator set 13.
    """
    written = {}
    for layer in walk.assignment.network.layers:
        rule = walk.assignment.rules[layer.name]
        largest = isinstance(layer, MaxPooling) and walk.nonnegative(layer.inputs[0])
        fixed = isinstance(layer, Summation | Averaging) or largest
        if isinstance(layer, Linear) or (pools and fixed):
            for place, share in walk.shares(layer, rule):
                z = denominator(layer, share, walk)
                if z is not None:
                    written[denominator_name(layer, place)] = z
        if layer.name in walk.assignment.models:
            upwards = walk.upwards(layer)
            if upwards is not None:
                written[upwards_name(layer)] = upwards
    return written


def denominator_name(layer: Layer, share: int) -> str:
    """Return under which name a denominator is looked for."""
    return f"heatcli/z/{share}/{layer.name}"


def upwards_name(layer: Layer) -> str:
    """Return under which name Σ_i x_i v_ij of a layer with a relevance model is looked for."""
    return f"heatcli/v/{layer.name}"
