"""Writes relevance as files for NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from heatcli.replacing import replacing

if TYPE_CHECKING:
    from heatcli.explanation import Explanation


def save_npy(path: Path, explanation: Explanation) -> None:
    """Write the relevance as the network sees it, (C, H, W) float32 for an NCHW network."""
    import numpy as np

    with replacing(path) as stream:
        np.save(stream, explanation.relevance, allow_pickle=False)


def save_npz(path: Path, explanation: Explanation, *, layers: bool = False) -> None:
    """Write relevance, heatmap, class and account; with ``layers`` also every layer, from the top down.

    The arrays are ``relevance``, ``heatmap``, ``target``, ``label``, ``ledger_NAME`` for the numbers of the ledger (NaN
    where the method promises none). For layers ``layers_NAME`` holds their names and the columns of their account, one
    entry a layer, and ``layer_0``, ``layer_1``, … the relevance of their outputs in that order.
    """
    import numpy as np

    ledger = explanation.ledger
    arrays = {
        "relevance": explanation.relevance,
        "heatmap": explanation.heatmap,
        "target": np.asarray(explanation.target),
        "label": np.asarray(explanation.label or ""),
    }
    for name in ("score", "start", "pixels", "biases", "constants", "lost", "error"):
        value = getattr(ledger, name)
        arrays[f"ledger_{name}"] = np.asarray(np.nan if value is None else value, np.float64)
    if layers:
        for name in ("operation", "rule", "incoming", "outgoing", "biases", "constants", "lost"):
            arrays[f"layers_{name}"] = np.asarray([getattr(row, name) for row in ledger.layers])
        kept = explanation.layers or {}
        arrays["layers_name"] = np.asarray(list(kept))
        arrays |= {f"layer_{place}": np.asarray(part, np.float32) for place, part in enumerate(kept.values())}
    with replacing(path) as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)
