"""One class against another: the relevance of a class less that of its rival, pixel by pixel.

Shares of f_c(x) less shares of f_r(x) are shares of f_c(x) − f_r(x): what speaks for both classes cancels, and what is
left says why it is the one and not the other. Both accounts are kept, and so is their difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from heatcli.errors import PictureError
from heatcli.explanation import ClassScore
from heatcli.planning.plan import Walked
from heatcli.relevance.ledger import Ledger, LedgerRow

Array = np.ndarray


def rivals(explained: Sequence[int], named: int, scores: Array) -> dict[int, int]:
    """Return the rival of every class that is ``explained``, by class index.

    ``named`` is the rival's index, or −1 for the best of ``scores`` (K,) but the class itself. Raises PictureError
    where the scores made a class its own rival: that is a matter of this picture.
    """
    best, second = (int(index) for index in np.argsort(-scores, kind="stable")[:2])
    found = {index: named if named >= 0 else second if index == best else best for index in explained}
    for index in (index for index, rival in found.items() if rival == index):
        raise PictureError(itself(index))
    return found


def itself(index: int) -> str:
    """Return what is said of a class that is its own rival."""
    return f"class {index} cannot be set against itself; name another one with --versus, or --versus top"


class Found(NamedTuple):
    """What was found of a class: ``layers`` by name where they were kept, its ``rival`` where it has one."""

    explained: ClassScore
    walked: Walked
    layers: dict[str, Array] | None
    rival: ClassScore | None = None


def sorted_out(
    indices: Sequence[int],
    opposed: Mapping[int, int],
    walking: Sequence[ClassScore],
    walked: Sequence[Walked],
    kept: Sequence[dict[str, Array]] | None,
) -> list[Found]:
    """Return what was found of the classes ``indices``, each less its rival where it is ``opposed`` to one.

    ``walking`` are the classes that went down, rivals among them; ``walked`` and ``kept`` are what came of each.
    """
    found = {
        entry.index: Found(entry, walked[place], None if kept is None else kept[place])
        for place, entry in enumerate(walking)
    }
    return [_less(found[index], found[opposed[index]]) if index in opposed else found[index] for index in indices]


def _less(one: Found, other: Found) -> Found:
    layers = None
    if one.layers is not None and other.layers is not None:
        layers = {name: value - other.layers[name] for name, value in one.layers.items()}
    return Found(one.explained, against(one.walked, other.walked), layers, other.explained)


def against(one: Walked, other: Walked) -> Walked:
    """Return the relevance of ``one`` less that of ``other``, with the difference of their accounts."""
    warnings = [*one.warnings]
    if other.ledger.start <= 0 and other.ledger.biases is not None:
        warnings.append(f"nothing speaks for the rival, f(x) {other.ledger.score:.4g}: the map is the class's own")
    else:
        warnings += [f"rival: {warning}" for warning in other.warnings if warning not in one.warnings]
    return Walked(one.relevance - other.relevance, less(one.ledger, other.ledger), tuple(warnings))


def less(one: Ledger, other: Ledger) -> Ledger:
    """Return the difference of two accounts, entry by entry and layer by layer where the layers are the same."""

    def difference(name: str) -> float | None:
        mine, yours = getattr(one, name), getattr(other, name)
        return None if mine is None or yours is None else mine - yours

    layers: tuple[LedgerRow, ...] = ()
    if [row.name for row in one.layers] == [row.name for row in other.layers]:
        amounts = ("incoming", "outgoing", "biases", "constants", "lost")
        layers = tuple(
            replace(row, **{name: getattr(row, name) - getattr(rival, name) for name in amounts})
            for row, rival in zip(one.layers, other.layers, strict=True)
        )
    return Ledger(
        score=one.score - other.score,
        start=one.start - other.start,
        pixels=one.pixels - other.pixels,
        biases=difference("biases"),
        constants=difference("constants"),
        lost=difference("lost"),
        layers=layers,
        turnover=max(one.start, other.start),
    )
