"""What can be explained: every operation that is registered, by family."""

from __future__ import annotations

from heatcli.network.quantised import quantised
from heatcli.network.reading.registry import families
from heatcli.network.rewriting import rewritten

STEPS, INTEGERS = "written in steps of the above", "quantised, read as real numbers"


def operations() -> dict[str, list[str]]:
    """Return the names of all operations by family; those outside the standard with their domain."""
    found: dict[str, set[str]] = {}
    for family, names in families().items():
        found[family] = {_title(*name) for name in names if name[1] != "QuantizeLinear"}
    read = set().union(*found.values())
    found[STEPS] = {_title(*name) for name in rewritten()} - read
    found[INTEGERS] = {_title(*name) for name in quantised()}
    return {family: sorted(names, key=str.lower) for family, names in found.items()}


def _title(domain: str, operation: str) -> str:
    return f"{domain}:{operation}" if domain else operation
