"""What the user settles about a method, and which settings go together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heatcli import methods
from heatcli.errors import UsageError, shown
from heatcli.methods import Method
from heatcli.relevance.composites import Composite
from heatcli.settings import BASELINES, OWN


@dataclass(frozen=True)
class Choice:
    """A method with its settings; those of ``OWN`` are None where the user left them to the method."""

    method: Method
    input_rule: str | None = None
    rules: tuple[str, ...] = ()
    pool: str | None = None
    biases: str = "neurons"
    evidence: str = "logit"
    window: int | None = None
    steps: int | None = None
    baseline: str | float | None = None
    noise: float | None = None
    seed: int | None = None
    time_limit: float | None = None
    relevance_model: str | None = None

    def own(self, name: str) -> Any:
        """Return a setting of ``OWN``: what the user gave, or the method's default."""
        given = getattr(self, name)
        return self.method.own.get(name) if given is None else given

    @property
    def composite(self) -> Composite:
        """The rules of the method; raises UsageError where it has none."""
        if self.method.composite is None:
            raise UsageError(f"{self.method.name} sends nothing through the layers: it cannot be compiled")
        return self.method.composite


def choose(
    method: str = "deep-taylor",
    *,
    input_rule: str | None = None,
    rules: Sequence[str] = (),
    pool: str | None = None,
    biases: str = "neurons",
    evidence: str = "logit",
    window: int | None = None,
    steps: int | None = None,
    baseline: str | float | None = None,
    noise: float | None = None,
    seed: int | None = None,
    time_limit: float | None = None,
    relevance_model: str | Path | None = None,
) -> Choice:
    """Return the choice of ``method``; raises UsageError for what is not known or does not go together.

    Whether rules and patterns fit the layers of a network shows when they are assigned.
    """
    chosen = methods.named(method)
    one_of("biases", biases, ("neurons", "ignore"))
    one_of("evidence", evidence, ("logit", "one", "probability"))
    if evidence != "logit" and not chosen.conserves:
        raise UsageError(f"--evidence does not go with {method}, which shares nothing out")
    if biases != "neurons" and not chosen.conserves:
        raise UsageError(f"--biases does not go with {method}, which shares nothing out")
    rules = (rules,) if isinstance(rules, str) else tuple(rules)
    if chosen.composite is None:
        ruling = {"--input-rule": input_rule, "--rule": rules, "--pool": pool}
        for option in (option for option, given in ruling.items() if given):
            raise UsageError(f"{option} does not go with {method}, which sends nothing through the layers")
    own: dict[str, object] = {"window": window, "steps": steps, "baseline": baseline, "noise": noise, "seed": seed}
    own |= {"time_limit": time_limit, "relevance_model": relevance_model}
    if chosen.fitted:
        _as_fitted(chosen, rules, pool, biases, evidence)
    for name in (name for name, value in own.items() if value is not None and name not in chosen.own):
        raise UsageError(f"--{name.replace('_', '-')} does not go with {method}; it is {OWN[name]}")
    for name, least in (("window", 1), ("steps", 1), ("seed", 0)):
        _whole(name, own[name], least)
    if isinstance(baseline, str):
        one_of("baseline", baseline, BASELINES)
    for name, number in (("noise", noise), ("time-limit", time_limit)):
        if number is not None and not (math.isfinite(number) and number > 0):
            raise UsageError(f"--{name} {number}: a number above 0 is needed")
    file = None if relevance_model is None else str(relevance_model)
    return Choice(
        chosen, input_rule, rules, pool, biases, evidence, window, steps, baseline, noise, seed, time_limit, file
    )


def _as_fitted(method: Method, rules: tuple[str, ...], pool: str | None, biases: str, evidence: str) -> None:
    """Raise UsageError where relevance would come down otherwise than where the relevance models were fitted to it."""
    other = {"--rule": bool(rules), "--pool": pool not in (None, "proportional"), "--biases": biases != "neurons"}
    other["--evidence"] = evidence != "logit"
    for option in (option for option, given in other.items() if given):
        raise UsageError(
            f"{option} does not go with {method.name}: its relevance models are fitted to shares of f(x) by the rules "
            "of deep-taylor, and hold for no others"
        )


def _whole(name: str, value: object, least: int) -> None:
    if value is not None and (type(value) is not int or value < least):
        raise UsageError(f"--{name} {value}: a whole number from {least} on is needed")


def one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    """Raise UsageError unless ``value`` is one of those that are ``known`` for ``option``."""
    if value not in known:
        raise UsageError(f"unknown value '{shown(str(value))}' for {option}; known: {', '.join(known)}")
