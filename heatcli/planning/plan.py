"""What every plan is: a forward pass, then a walk that explains some of the classes; and what both hand over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from heatcli.explanation import ClassScore
from heatcli.relevance.ledger import Ledger
from heatcli.settings import OWN

Array = np.ndarray
Bounds = tuple[Array, Array]

ON_RECORD = ("input_rule", "rules", "pool", "biases", "evidence", *OWN, "stride", "reference")
"""What is on record about a method, None where it has nothing of the kind."""


class Walked(NamedTuple):
    """The relevance of an input for one class, its account, and what the user must be told about it.

    ``relevance`` has the network input's shape, batch axis included, and so has ``root``, the root point where the
    method searches for one.
    """

    relevance: Array
    ledger: Ledger
    warnings: tuple[str, ...]
    root: Array | None = None


class Plan(Protocol):
    """A method settled for a network and an input range, ready to explain one picture after the other."""

    signed: bool
    """Whether maps can have negative values."""
    notes: tuple[str, ...]
    """What the method assumed."""

    @property
    def settings(self) -> dict[str, Any]:
        """What is on record about the method, in types that JSON has: ``ON_RECORD``."""
        ...

    def forward(self, x: Array, wanted: Sequence[int]) -> dict[str, Array]:
        """Run the network on ``x``; return what the walk needs, class scores and output included, by name.

        ``wanted`` are the classes to be explained, −k for the k-th best.
        """
        ...

    def walk(
        self,
        values: dict[str, Array],
        x: Array,
        explained: Sequence[ClassScore],
        kept: list[dict[str, Array]] | None = None,
        advance: Callable[[], None] = ...,
    ) -> list[Walked]:
        """Return for every class to explain the relevance of ``x``, its account, and what the user must be told.

        To ``kept``, if given, goes what arrived at every layer's output, by name, a dictionary for every class; raises
        UsageError where the method has no such thing. ``advance`` is called after every step, where there are several.
        """
        ...


def nothing() -> None:
    """Do nothing: what is called after every step where nobody watches."""


def start(explained: ClassScore, evidence: str) -> float:
    """Return how much relevance is put in at the top."""
    return {"logit": max(0.0, explained.score), "one": 1.0, "probability": explained.probability}[evidence]


def on_record(**known: Any) -> dict[str, Any]:
    """Return everything that is on record about a method, with what is ``known`` of this one."""
    return dict.fromkeys(ON_RECORD) | known


def no_evidence(score: float) -> str:
    """Return what is said where nothing speaks for the class."""
    return f"f(x) is {score:.4g}, not positive: there is no evidence for this class and the map is empty"
