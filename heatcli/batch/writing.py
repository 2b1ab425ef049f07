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


def save_root(heatmap: Path, explanation: Explanation) -> Path:
    """Write the root beside the ``heatmap``, as a picture of the network's size or else as .npy; return its path."""
    import numpy as np

    picture = explanation.root_picture
    path = heatmap.with_name(f"{heatmap.stem}.root{'.npy' if picture is None else '.png'}")
    with replacing(path) as stream:
        if picture is None:
            np.save(stream, np.asarray(explanation.root), allow_pickle=False)
        else:
            picture.save(stream, "PNG")
    return path


def save_npz(path: Path, explanation: Explanation, *, layers: bool = False) -> None:
    """Write relevance, heatmap, class and account; with ``layers`` also every layer, from the top down.

    The arrays are ``relevance``, ``heatmap``, ``target``, ``label``, ``ledger_NAME`` for the numbers of the ledger (NaN
    where the method promises none). For layers ``layers_NAME`` holds their names and the columns of their account, one
    entry a layer, and ``layer_0``, ``layer_1``, … the relevance of their outputs in that order. ``root`` is there where
    the method found one, ``versus`` where the class was set against another.
    """
    import numpy as np

    ledger = explanation.ledger
    arrays = {
        "relevance": explanation.relevance,
        "heatmap": explanation.heatmap,
        "target": np.asarray(explanation.target),
        "label": np.asarray(explanation.label or ""),
    }
    if explanation.root is not None:
        arrays["root"] = explanation.root
    if explanation.versus is not None:
        arrays["versus"] = np.asarray(explanation.versus.index)
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
