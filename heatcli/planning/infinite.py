"""Numbers that are not finite: at which layer they begin, and what is likely to be the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

import numpy as np

from heatcli.errors import HeatcliError, ModelError, PictureError, shown
from heatcli.forward import Forward
from heatcli.network.layers import Layer, Linear, Network
from heatcli.relevance.ledger import LedgerRow

Array = np.ndarray

DAMAGED = "the file is damaged, or was exported from a training that failed; download or export it again"
FARTHEST = 1e6
"""Activations beyond are far from those of any network that was trained."""


def check_weights(network: Network) -> None:
    """Raise ModelError where the weights of a layer are not all finite, with the first such layer."""
    for layer in network.layers:
        if isinstance(layer, Linear) and _holds_infinite(layer):
            raise ModelError(f"the weights of {_named(layer)} hold NaN or infinity: {DAMAGED}")


def infinite_scores(network: Network, x: Array, *, threads: int | None = None) -> HeatcliError:
    """Return the error for class scores of the input ``x`` that are not finite: where that begins, and why."""
    begin = "the network's scores are not finite for this input"
    span = f"the input has values from {x.min():g} to {x.max():g}; check the preprocessing with `heatcli inspect`"
    if not network.layers:
        return PictureError(f"{begin}; {span}, or whether the model file is damaged")
    names = dict.fromkeys(layer.name for layer in network.layers)
    inputs = {name for layer in network.layers for name in layer.inputs}
    values = Forward(network, [*names, *(inputs & names.keys()), network.input.name], threads=threads).run(x)
    for layer in network.layers:
        output = values[layer.name]
        if output.dtype.kind != "f" or not (np.isnan(output).any() or np.isposinf(output).any()):
            continue  # minus infinity alone is a mask
        if _holds_infinite(layer):
            return ModelError(f"the weights of {_named(layer)} hold NaN or infinity: {DAMAGED}")
        kind = "NaN" if np.isnan(output).any() else "infinity"
        reach = max((float(np.abs(values[name]).max()) for name in layer.inputs if name in values), default=0.0)
        where = f"{kind} begins at {_named(layer)}, whose input reaches {reach:.3g}"
        largest = float(np.abs(layer.weights).max(initial=0)) if isinstance(layer, Linear) else 0.0
        if max(reach, largest) > FARTHEST:
            weights = f"and whose weights reach {largest:.3g}" if largest > FARTHEST else "far from what is trained"
            return PictureError(f"{begin}: {where}, {weights}: a damaged model, or wrong preprocessing; {span}")
        return PictureError(f"{begin}: {where}; {span}")
    return PictureError(f"{begin}; {span}")


def infinite_relevance(rows: Iterable[LedgerRow] = ()) -> HeatcliError:
    """Return the error for relevance that is not finite; ``rows`` are the account by layer, from the class score down.

    They name the layer where it begins.
    """
    for row in rows:
        if np.isfinite(row.incoming) and not np.isfinite([row.outgoing, row.biases, row.constants, row.lost]).all():
            return HeatcliError(
                f"the relevance is not finite; try another method or rule: it begins at {shown(row.name)} "
                f"({row.operation}, rule {row.rule}), where relevance of {row.incoming:.3g} comes in"
            )
    return HeatcliError("the relevance is not finite; try another method or rule")


def infinite_denominators(rows: Iterable[LedgerRow]) -> HeatcliError:
    """Return the error for shares whose denominators are not finite, and so are nothing; ``rows`` as above.

    The layer where most is missing is named.
    """
    row = max(rows, key=lambda row: abs(row.error))
    return HeatcliError(
        f"the relevance cannot be shared out at {shown(row.name)} ({row.operation}, rule {row.rule}), where "
        f"{row.incoming:.3g} comes in: sums over its inputs are not finite; a damaged model, or wrong preprocessing"
    )


def _holds_infinite(layer: Layer) -> bool:
    """Whether a number that the file gives a layer is not finite; minus infinity alone is a mask."""
    for entry in fields(layer):
        value = getattr(layer, entry.name)
        for part in value if isinstance(value, tuple) else (value,):
            if not isinstance(part, np.ndarray) or part.dtype.kind != "f":
                continue
            with np.errstate(all="ignore"):
                suspect = not np.isfinite(part.sum())
            if suspect and (np.isnan(part).any() or np.isposinf(part).any() or isinstance(layer, Linear)):
                return not bool(np.isfinite(part).all())
    return False


def _named(layer: Layer) -> str:
    return f"{shown(layer.name)} ({layer.operation})"
