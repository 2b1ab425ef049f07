"""What the user settles about a method, and which settings go together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heatcli import methods
from heatcli.errors import UsageError
from heatcli.methods import Method
from heatcli.relevance.composites import Composite


@dataclass(frozen=True)
class Choice:
    """A method with its settings.

    ``rules`` are overrides PATTERN=RULE, ``evidence`` is what is shared out, ``window`` the side of what occlusion
    hides.
    """

    method: Method
    input_rule: str | None = None
    rules: tuple[str, ...] = ()
    pool: str | None = None
    biases: str = "neurons"
    evidence: str = "logit"
    window: int | None = None

    @property
    def composite(self) -> Composite:
        """The rules of the method; raises UsageError where it has none."""
        if self.method.composite is None:
            raise UsageError(f"{self.method.name} sends nothing through the layers: it cannot be compiled")
        return self.method.composite


def choose(
    method: str,
    *,
    input_rule: str | None = None,
    rules: Sequence[str] = (),
    pool: str | None = None,
    biases: str = "neurons",
    evidence: str = "logit",
    window: int | None = None,
) -> Choice:
    """Return the choice of ``method``; raises UsageError for what is not known or does not go together.

    Whether rules and patterns fit the layers of a network shows when they are assigned.
    """
    chosen = methods.named(method)
    one_of("biases", biases, ("neurons", "ignore"))
    one_of("evidence", evidence, ("logit", "one", "probability"))
    if evidence != "logit" and not chosen.conserves:
        raise UsageError(f"--evidence does not go with {method}, which shares nothing out")
    rules = (rules,) if isinstance(rules, str) else tuple(rules)
    if chosen.composite is None:
        ruling = {"--input-rule": input_rule, "--rule": rules, "--pool": pool, "--biases": biases != "neurons"}
        for option in (option for option, given in ruling.items() if given):
            raise UsageError(f"{option} does not go with {method}, which sends nothing through the layers")
    elif window is not None:
        raise UsageError(f"--window does not go with {method}; it is the side of what --method occlusion hides")
    if window is not None and (type(window) is not int or window < 1):
        raise UsageError(f"--window {window}: a whole number from 1 on is needed")
    return Choice(chosen, input_rule, rules, pool, biases, evidence, window)


def one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    """Raise UsageError unless ``value`` is one of those that are ``known`` for ``option``."""
    if value not in known:
        raise UsageError(f"unknown value '{value}' for {option}; known: {', '.join(known)}")
