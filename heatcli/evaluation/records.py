"""An evaluation as plain data, as ``heatcli evaluate --json`` prints it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from heatcli.batch.records import plain
from heatcli.evaluation.conservation import Conservation
from heatcli.evaluation.results import Evaluation, Judged, Measured

SCHEMA = 1


def record(found: Evaluation) -> dict[str, Any]:
    """Return every figure in the types that JSON has: what is not a number is None, checks not made are empty."""
    values: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "methods": {name: dict(settings) for name, settings in found.methods.items()},
            "regions": found.regions,
            "window": found.window,
            "conservation": [_conservation(entry) for entry in found.conservation],
            "perturbation": [asdict(entry) for entry in found.perturbation],
            "localisation": [{**asdict(entry), "pointing": entry.pointing} for entry in found.localisation],
            "sanity": [asdict(entry) for entry in found.sanity],
            "objects": {"of_other_classes": found.unnamed, "out_of_sight": found.unseen},
            "pictures": [_picture(entry) for entry in found.pictures],
            "failures": [
                {"input": entry.name, "type": type(entry.error).__name__, "message": str(entry.error)}
                for entry in found.failures
            ],
        }
    )
    return values


def _conservation(entry: Conservation) -> dict[str, Any]:
    judged = {name: getattr(entry, name) for name in ("conservative", "closes", "positive", "consistent")}
    return {**asdict(entry), **judged}


def _picture(entry: Judged) -> dict[str, Any]:
    """Return one picture: its class, every map of it, and what taking its regions away did, by filling and order."""
    return {
        "input": entry.name,
        "target": {
            "index": entry.target,
            "label": entry.label,
            "score": entry.score,
            "probability": entry.probability,
        },
        "maps": {method: _map(measured) for method, measured in entry.measured.items()},
        "drops": {
            filling: {
                name: {"most": drops.most, "least": drops.least, "difference": drops.difference}
                for name, drops in orders.items()
            }
            for filling, orders in entry.drops.items()
        },
    }


def _map(entry: Measured) -> dict[str, Any]:
    kept = {name: getattr(entry, name) for name in ("pixels", "biases", "missing", "negative", "least", "seconds")}
    return {**kept, "located": None if entry.located is None else asdict(entry.located)}
