"""What is said about a model that cannot be explained: in a line for eyes, and as data."""

from __future__ import annotations

from collections import Counter
from typing import Any

from heatcli.errors import ModelError, UnsupportedModel


def summary(error: ModelError) -> str:
    """Return the message with the operations of its nodes and how many there are of each, in place of every node."""
    if not isinstance(error, UnsupportedModel):
        return str(error)
    if not error.nodes:
        return error.message
    head = error.message.split("\n", 1)[0].rstrip(" :")
    operations = Counter(f"{node.domain}:{node.operation}" if node.domain else node.operation for node in error.nodes)
    return f"{head}: " + ", ".join(f"{name} ({times})" for name, times in operations.most_common())


def described(model: str, error: ModelError) -> dict[str, Any]:
    """Return the error as plain data, every unsupported node in its own list."""
    nodes, hint = (error.nodes, error.hint or None) if isinstance(error, UnsupportedModel) else ((), None)
    return {
        "model": {"path": model},
        "error": {"type": type(error).__name__, "message": summary(error), "hint": hint},
        "unsupported": [
            {"name": node.name, "operation": node.operation, "domain": node.domain, "reason": node.reason}
            for node in nodes
        ],
    }
