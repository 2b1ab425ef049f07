"""One JSON object a heatmap (schema 1, a promise to scripts), and the file that keeps them, one a line."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from heatcli.batch.versions import versions
from heatcli.visible import escaped

if TYPE_CHECKING:
    from heatcli.explanation import ClassScore, Explanation, ModelInfo

SCHEMA = 1
LEDGER = ("score", "start", "pixels", "biases", "constants", "lost", "error")
TENSOR = {"source": "tensor"}
"""What is recorded as the preprocessing of an input that was given as the network takes it."""
BORDER = 20
"""The border takes this part of each side."""
SECONDS = ("read", "forward", "relevance", "write")

Record = dict[str, Any]


def record(
    explanation: Explanation,
    *,
    source: str,
    output: str | None,
    settings: Mapping[str, Any],
    write_seconds: float | None,
) -> Record:
    """Return the record of one heatmap; ``settings`` adds how it was drawn and asked for to the explanation's own."""
    seconds = {**explanation.seconds, "write": write_seconds}
    entry: Record = plain(
        {
            "schema": SCHEMA,
            "input": source,
            "output": output,
            "model": _model(explanation.model),
            "method": explanation.method,
            "settings": {**explanation.settings, **settings},
            "preprocessing": explanation.preprocessing or TENSOR,
            "target": {
                "index": explanation.target,
                "label": explanation.label,
                "score": explanation.score,
                "probability": explanation.probability,
            },
            "top": [_class(entry) for entry in explanation.top[:5]],
            "ledger": {name: getattr(explanation.ledger, name) for name in LEDGER},
            "relevance": _relevance(explanation),
            "seconds": {name: seconds.get(name) for name in SECONDS},
            "versions": versions(),
            "warnings": list(explanation.warnings),
            "error": None,
        }
    )
    return entry


def failure(
    error: BaseException,
    *,
    source: str,
    model: ModelInfo | None,
    method: str,
    settings: Mapping[str, Any],
    preprocessing: Mapping[str, Any] | None,
) -> Record:
    """Return the record of an input that has no heatmap: the same keys, and ``error`` with the type and message.

    ``preprocessing`` is what a picture would have gone through, None for a tensor.
    """
    entry: Record = plain(
        {
            "schema": SCHEMA,
            "input": source,
            "output": None,
            "model": None if model is None else _model(model),
            "method": method,
            "settings": dict(settings),
            "preprocessing": preprocessing or TENSOR,
            "target": None,
            "top": [],
            "ledger": None,
            "relevance": None,
            "seconds": dict.fromkeys(SECONDS),
            "versions": versions(),
            "warnings": [],
            "error": {
                "type": getattr(error, "kind", type(error).__name__),
                "message": str(error) or type(error).__name__,
            },
        }
    )
    return entry


def line(entry: Record) -> str:
    """Return the record as one line of JSON without its newline."""
    return json_text(entry)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return ``value`` as JSON in UTF-8; bytes of file names that are no text, and what cannot be seen, are escapes."""
    return escaped(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent))


def _model(model: ModelInfo) -> Record:
    return {"path": model.path, "sha256": model.sha256, "producer": model.producer}


def _class(entry: ClassScore) -> Record:
    return {"index": entry.index, "label": entry.label, "score": entry.score, "probability": entry.probability}


def _relevance(explanation: Explanation) -> Record:
    """Return minimum, maximum, and shares of all relevance by size (0 for an empty map): negative, at the border."""
    relevance = explanation.relevance.astype("float64")
    total = float(abs(relevance).sum())
    negative = float(abs(relevance[relevance < 0]).sum())
    return {
        "min": float(relevance.min()),
        "max": float(relevance.max()),
        "negative_share": negative / total if total else 0.0,
        "border_share": _border_share(explanation.heatmap),
    }


def _border_share(heatmap: Any) -> float | None:
    """Return which share of |R| lies in the outer twentieth of each side; None where the map (H, W) is no picture.

    Relevance that is spread evenly has 0.19 there.
    """
    if heatmap.ndim != 2:
        return None
    sizes = abs(heatmap.astype("float64"))
    down, across = (max(1, round(side / BORDER)) for side in sizes.shape)
    total = float(sizes.sum())
    return 1 - float(sizes[down:-down, across:-across].sum()) / total if total else 0.0


def plain(value: Any) -> Any:
    """Return ``value`` in the types that JSON has; numbers that are not finite become None, anything unknown text."""
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, Iterable):
        return [plain(entry) for entry in value]
    return str(value)
