"""Methods that send relevance, or a gradient, through the layers in one walk: which rule stands where, and the walk."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Self

import numpy as np

from heatcli.choosing import Choice
from heatcli.compiling import Compiled, compile_walk
from heatcli.errors import UsageError
from heatcli.explanation import ClassScore
from heatcli.forward import Forward
from heatcli.network.layers import Network
from heatcli.pictures.layouts import Form
from heatcli.planning.infinite import check_weights, infinite_denominators, infinite_relevance
from heatcli.planning.plan import Bounds, Walked, no_evidence, nothing, on_record, start
from heatcli.relevance.bounds import bounded_inputs, first_layers
from heatcli.relevance.composites import assign
from heatcli.relevance.ledger import Ledger
from heatcli.relevance.models import RelevanceModel, with_models
from heatcli.relevance.propagate import Assignment, Propagator
from heatcli.relevance.rules import GRADIENT, Rule

Array = np.ndarray

LOST_SHARE, BIAS_SHARE, MISSING_SHARE = 0.05, 0.5, 1e-3
"""From which share of relevance on, lost, drawn by biases or unaccounted for, an explanation carries a warning."""
MISFIT = 0.25
"""From which share of relevance on that relevance models miss; a tenth is usual."""


class LayerPlan:
    """A ``choice`` for a network and an input range, ready to explain one picture after the other."""

    def __init__(
        self,
        network: Network,
        choice: Choice,
        bounds: Bounds | None,
        *,
        models: Mapping[str, RelevanceModel] | None = None,
        activation: str = "softmax",
        threads: int | None = None,
        provider: str = "cpu",
        dtype: type[np.floating] = np.float32,
    ) -> None:
        """Open the session; ``bounds`` (l, h) are those of the network input, ``dtype`` that of the walk.

        ``models`` are the relevance models of a method that is fitted, by layer. ``activation`` makes probabilities of
        logits; ``provider`` is what onnxruntime runs on.
        """
        self.network, self.method, self.evidence, self.activation = network, choice.method, choice.evidence, activation
        self.choice = choice
        self.warnings: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        check_weights(network)
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
        rectifier = choice.composite.rectifier
        if choice.method.way == "walk" and rectifier is not None and rectifier not in rules.values():
            self.warnings = (f"nothing in this network rectifies: here {choice.method.name} is the plain gradient",)
        pushed: dict[str, Bounds] = {}
        if bounds is not None and inputs is not None and any(rule.needs_range for rule in rules.values()):
            pushed = push(network, bounds, inputs, threads)
        self.rules = rules
        self.conserves = GRADIENT not in rules.values()
        self.signed = self.method.signed if not self.method.conserves else any(rule.signed for rule in rules.values())
        models = dict(models or {})
        self.assignment = Assignment(
            with_models(network, models), rules, pushed, biases=choice.biases == "neurons", models=models
        )
        self._prepare(threads, provider, dtype)

    @property
    def input_rule(self) -> str:
        """The name of the rule at the first linear layer."""
        first = first_layers(self.network) or [layer.name for layer in self.network.layers if layer.family == "linear"]
        return self.rules[first[0]].name

    @property
    def settings(self) -> dict[str, Any]:
        """What is on record about the method, in types that JSON has."""
        choice = self.choice
        return on_record(
            input_rule=self.input_rule,
            rules=list(choice.rules),
            pool=choice.pool or choice.composite.pool.name,
            biases=choice.biases,
            evidence=choice.evidence,
        )

    def _prepare(self, threads: int | None, provider: str, dtype: type[np.floating]) -> None:
        self._propagator = Propagator(self.assignment, dtype)
        beside, named = self._propagator.denominators()
        with ThreadPoolExecutor(1) as worker:  # onnxruntime lets other threads run while it opens a session
            forward = worker.submit(
                Forward,
                self.network,
                self.assignment.activations,
                beside=beside,
                named=named,
                threads=threads,
                provider=provider,
            )
            self._propagator.arrange()
            self._forward = forward.result()

    def forward(self, x: Array, wanted: Sequence[int]) -> dict[str, Array]:  # noqa: ARG002 - an engine may need it
        """Run the network on ``x``; return what the walk needs, class scores and output included, by name.

        ``wanted`` are the classes to be explained, −k for the k-th best.
        """
        return self._forward.run(x)

    def walk(
        self,
        values: dict[str, Array],
        x: Array,
        explained: Sequence[ClassScore],
        kept: list[dict[str, Array]] | None = None,
        advance: Callable[[], None] = nothing,  # noqa: ARG002 - a walk is one step
    ) -> list[Walked]:
        """Return for every class to explain the relevance of ``x``, its account, and what the user must be told.

        To ``kept``, if given, goes what arrived at every layer's output, by name, a dictionary for every class.
        ``advance`` is called after every step, where there are several.
        """
        starts = [start(entry, self.evidence) for entry in explained]
        put_in = starts if self.method.conserves else [1.0] * len(starts)  # a gradient starts with ∂f/∂f
        walked = self._propagator.run(values, [entry.index for entry in explained], put_in, kept=kept)
        found = []
        for entry, begun, (relevance, ledger) in zip(explained, starts, walked, strict=True):
            with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is judged below
                relevance = self.method.finish(relevance, x.astype(relevance.dtype))
                pixels = float(relevance.sum())
            if not np.isfinite(relevance).all():
                raise infinite_relevance(ledger.layers)
            account = replace(ledger, score=entry.score)
            if self.conserves and not abs(account.error or 0.0) <= MISSING_SHARE and _overflowed(values):
                raise infinite_denominators(ledger.layers)
            if not self.conserves:
                account = Ledger(entry.score, begun, pixels=pixels)
            found.append(self.judge(relevance, account))
        return found

    def judge(self, relevance: Array, ledger: Ledger) -> Walked:
        """Return a relevance and its account with what the user must be told about them."""
        if not np.isfinite(relevance).all():
            raise infinite_relevance()
        return Walked(relevance, ledger, (*self.warnings, *(self._doubts(ledger) if self.conserves else ())))

    def _doubts(self, ledger: Ledger) -> list[str]:
        return doubts(ledger, fitted=self.method.fitted)

    def with_evidence(self, evidence: str) -> Self:
        """Return the same plan with something else put in at the top; both share the session."""
        other = copy.copy(self)
        other.evidence = evidence
        return other

    def compile(self, metadata: Mapping[str, str], form: Form | None = None, *, open_batch: bool = False) -> Compiled:
        """Write network and walk as one graph; ``form`` is the picture that the input holds, for the heatmap."""
        return compile_walk(
            self.assignment,
            self.method,
            conserves=self.conserves,
            evidence=self.evidence,
            activation=self.activation,
            form=form,
            open_batch=open_batch,
            metadata=metadata,
        )


def _overflowed(values: Mapping[str, Array]) -> bool:
    """Whether something of the forward pass, the denominators among it, is infinite; minus infinity alone is a mask."""
    return any(bool(np.isposinf(value).any()) for value in values.values() if value.dtype.kind == "f")


def rules_for(network: Network, choice: Choice, *, bounded: bool) -> dict[str, Rule]:
    """Return the rule of every layer under ``choice``, by layer name."""
    return assign(
        network,
        choice.composite,
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


def doubts(ledger: Ledger, *, fitted: bool = False) -> list[str]:
    """Return what the account says against trusting the map; ``fitted``, where relevance models stand behind it."""
    found = []
    if ledger.start == 0:
        found.append(no_evidence(ledger.score))
        return found
    if not abs(ledger.error or 0.0) <= MISSING_SHARE:  # NaN counts as missing
        found.append(
            f"the account does not close: {ledger.error:.1%} of the relevance is missing; do not trust the map"
        )
    lost, biases = (ledger.lost or 0.0) / ledger.start, (ledger.biases or 0.0) / ledger.start
    if fitted and abs(lost) > MISFIT:
        found.append(f"the relevance models {'lose' if lost > 0 else 'add'} {abs(lost):.0%} of the relevance here")
    elif not fitted and abs(lost) > LOST_SHARE:
        found.append(f"{abs(lost):.0%} of the relevance was lost on the way; see the account by layer")
    if biases > BIAS_SHARE:
        found.append(
            f"positive biases drew {biases:.0%} of the relevance and the map shows the rest; "
            "--biases ignore leaves all of it to the pixels"
        )
    return found
