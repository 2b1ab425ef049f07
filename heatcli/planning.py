"""A method settled for a network: which rule stands at which layer, the session that feeds the walk, the walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heatcli.errors import HeatcliError, UsageError
from heatcli.explanation import ClassScore
from heatcli.forward import Forward
from heatcli.methods import Method
from heatcli.network.layers import Network
from heatcli.relevance.bounds import bounded_inputs, first_layers
from heatcli.relevance.composites import assign
from heatcli.relevance.ledger import Ledger
from heatcli.relevance.propagate import Propagator
from heatcli.relevance.rules import GRADIENT, Rule

Array = np.ndarray
Bounds = tuple[Array, Array]

LOST_SHARE, BIAS_SHARE, MISSING_SHARE = 0.05, 0.5, 1e-3
"""From which share of relevance on, lost, drawn by biases or unaccounted for, an explanation carries a warning."""


@dataclass(frozen=True)
class Choice:
    """What the user settles about a method; ``rules`` are overrides PATTERN=RULE."""

    method: Method
    input_rule: str | None
    rules: tuple[str, ...]
    pool: str | None
    biases: str


class Plan:
    """A ``choice`` for a network and an input range, ready to explain one picture after the other."""

    def __init__(
        self,
        network: Network,
        choice: Choice,
        bounds: Bounds | None,
        *,
        threads: int | None,
        dtype: type[np.floating],
    ) -> None:
        """Open the session; ``bounds`` (l, h) are those of the network input, ``dtype`` that of the walk."""
        if not choice.method.conserves and choice.biases != "neurons":
            raise UsageError(f"--biases does not go with {choice.method.name}, which shares nothing out")
        self.network, self.method = network, choice.method
        self.warnings: tuple[str, ...] = ()
        inputs = bounded_inputs(network)
        rules = rules_for(network, choice, bounded=True)
        if any(rule.needs_range for rule in rules.values()) and (bounds is None or inputs is None):
            why = (
                "the range of the input is not known; give it with --range"
                if bounds is None
                else "what lies before the first linear layer does not keep the order of values"
            )
            if choice.input_rule == "zB" or any(text.endswith("=zB") for text in choice.rules):
                raise UsageError(f"the rule zB cannot be used: {why}")
            self.warnings = (f"w2 instead of zB on the first layer: {why}",)
            rules = rules_for(network, choice, bounded=False)
        pushed: dict[str, Bounds] = {}
        if bounds is not None and inputs is not None and any(rule.needs_range for rule in rules.values()):
            pushed = push(network, bounds, inputs, threads)
        self.rules = rules
        self.conserves = GRADIENT not in rules.values()
        self.signed = self.method.signed if not self.method.conserves else any(rule.signed for rule in rules.values())
        self._propagator = Propagator(network, rules, bounds=pushed, biases=choice.biases == "neurons", dtype=dtype)
        self._forward = Forward(network, self._propagator.activations, self._propagator.denominators, threads=threads)

    @property
    def input_rule(self) -> str:
        """The name of the rule at the first linear layer."""
        first = first_layers(self.network) or [layer.name for layer in self.network.layers if layer.family == "linear"]
        return self.rules[first[0]].name

    def forward(self, x: Array) -> dict[str, Array]:
        """Run the network on ``x``; return what the walk needs, class scores and output included, by name."""
        return self._forward.run(x)

    def walk(
        self,
        activations: dict[str, Array],
        x: Array,
        explained: ClassScore,
        evidence: str,
        kept: dict[str, Array] | None = None,
    ) -> tuple[Array, Ledger, tuple[str, ...]]:
        """Return the relevance of ``x`` for one class, its account, and what the user must be told about it.

        Into ``kept``, if given, goes what arrived at every layer's output, by name.
        """
        start = {"logit": max(0.0, explained.score), "one": 1.0, "probability": explained.probability}[evidence]
        put_in = start if self.method.conserves else 1.0  # a gradient starts with ∂f/∂f
        relevance, ledger = self._propagator.run(activations, explained.index, put_in, score=explained.score, kept=kept)
        relevance = self.method.finish(relevance, x.astype(relevance.dtype))
        if not np.isfinite(relevance).all():
            raise HeatcliError("the relevance is not finite; try another method or rule")
        if not self.conserves:
            return relevance, Ledger(explained.score, start, pixels=float(relevance.sum())), self.warnings
        return relevance, ledger, (*self.warnings, *doubts(ledger))


def rules_for(network: Network, choice: Choice, *, bounded: bool) -> dict[str, Rule]:
    """Return the rule of every layer under ``choice``, by layer name."""
    return assign(
        network,
        choice.method.composite,
        bounded=bounded,
        input_rule=choice.input_rule,
        pool=choice.pool,
        overrides=choice.rules,
    )


def push(network: Network, bounds: Bounds, inputs: Sequence[str], threads: int | None) -> dict[str, Bounds]:
    """Send black and white through the layers before the first linear ones: the range of each one's input."""
    spec = network.input
    ends = [np.ascontiguousarray(np.broadcast_to(bound, spec.shape), spec.dtype) for bound in bounds]
    if set(inputs) <= {spec.name}:
        return {spec.name: (ends[0], ends[1])}
    forward = Forward(network, inputs, threads=threads, scores=False)
    black, white = (forward.run(end) for end in ends)
    return {name: (np.minimum(black[name], white[name]), np.maximum(black[name], white[name])) for name in inputs}


def doubts(ledger: Ledger) -> list[str]:
    """Return what the account says against trusting the map."""
    found = []
    if ledger.start == 0:
        found.append(
            f"f(x) is {ledger.score:.4g}, not positive: there is no evidence for this class and the map is empty"
        )
        return found
    if not abs(ledger.error or 0.0) <= MISSING_SHARE:  # NaN counts as missing
        found.append(
            f"the account does not close: {ledger.error:.1%} of the relevance is missing; do not trust the map"
        )
    lost, biases = (ledger.lost or 0.0) / ledger.start, (ledger.biases or 0.0) / ledger.start
    if abs(lost) > LOST_SHARE:
        found.append(f"{abs(lost):.0%} of the relevance was lost on the way; see the account by layer")
    if biases > BIAS_SHARE:
        found.append(
            f"positive biases drew {biases:.0%} of the relevance and the map shows the rest; "
            "--biases ignore leaves all of it to the pixels"
        )
    return found
