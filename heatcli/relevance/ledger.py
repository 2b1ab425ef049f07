"""The account of an explanation: start = pixels + biases + constants + lost, as a whole and layer by layer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LedgerRow:
    """What one layer did: incoming = outgoing + biases + constants + lost."""

    name: str
    operation: str
    rule: str
    incoming: float
    outgoing: float
    biases: float = 0.0
    constants: float = 0.0
    lost: float = 0.0

    @property
    def error(self) -> float:
        """Incoming relevance that the row does not account for."""
        return self.incoming - self.outgoing - self.biases - self.constants - self.lost


@dataclass(frozen=True)
class Ledger:
    """The account of one explanation, in units of f(x).

    ``score`` is f(x); ``start`` the relevance put in at the top; ``pixels`` what arrived at the input; ``biases`` what
    positive biases drew (paper 6.2); ``constants`` what flowed to inputs that are not the picture; ``lost`` what had no
    way on. The last three are None for methods that promise no conservation. The difference of two accounts states its
    ``turnover``, the larger start of both, which an error is measured by: their difference can be next to nothing.
    """

    score: float
    start: float
    pixels: float
    biases: float | None = None
    constants: float | None = None
    lost: float | None = None
    layers: tuple[LedgerRow, ...] = ()
    turnover: float | None = None

    @property
    def error(self) -> float | None:
        """(start − pixels − biases − constants − lost) / start; 0 where start is 0, None without an account."""
        if self.biases is None or self.constants is None or self.lost is None:
            return None
        whole = self.start if self.turnover is None else self.turnover
        if whole == 0:
            return 0.0
        return (self.start - self.pixels - self.biases - self.constants - self.lost) / whole
