"""Relevance as files for NumPy: what is in them, as bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from heatcli.explanation import Explanation


def npy(values: np.ndarray) -> bytes:
    """Return an .npy file of ``values``: relevance as the network sees it, (C, H, W) float32 for an NCHW network."""
    import numpy as np

    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    return stream.getvalue()


def root(explanation: Explanation) -> tuple[str, bytes]:
    """Return the root as a file and how its name ends: a picture of the network's size, or else .npy."""
    import numpy as np

    picture = explanation.root_picture
    if picture is None:
        return ".npy", npy(np.asarray(explanation.root))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return ".png", stream.getvalue()


def npz(explanation: Explanation, *, layers: bool = False) -> bytes:
    """Return an .npz file of relevance, heatmap, class and account; with ``layers`` of every layer, from the top down.

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
    stream = io.BytesIO()
    # NumPy below 2.1 has no allow_pickle here and would store it as an array
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()
