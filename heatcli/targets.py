"""Which class is explained: from what the user names to class indices, and from scores to probabilities."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import numpy as np

from heatcli.errors import UsageError
from heatcli.pictures.labels import find_label

Array = np.ndarray


def wanted(targets: Sequence[str | int], classes: int, labels: tuple[str, ...] | None) -> list[int]:
    """Return what ``targets`` name before scores are known: class indices, and −k for the k-th best of ``classes``.

    A target is ``"top"``, ``"top-K"`` (the K best), an index as number or digits, or a label. Raises UsageError.
    """
    targets = (targets,) if isinstance(targets, str) else targets
    found: list[int] = []
    for target in targets:
        best = re.fullmatch(r"top(?:-(\d+))?", target, re.IGNORECASE) if isinstance(target, str) else None
        if best:
            count = _number(best.group(1) or "1")
            if not 1 <= count <= classes:
                raise UsageError(f"the target '{target}' asks for {best.group(1)} classes; the model has {classes}")
            found += [-rank for rank in range(1, count + 1)]
        elif isinstance(target, bool) or not isinstance(target, str | int | np.integer):
            raise UsageError(f"the target {target!r} is not understood; give top, top-3, a class index or a label")
        elif isinstance(target, int | np.integer) or re.fullmatch(r"-?\d+", target):
            index = _number(target) if isinstance(target, str) else int(target)
            if not 0 <= index < classes:
                raise UsageError(f"there is no class {target}; the model has the classes 0 to {classes - 1}")
            found.append(index)
        elif target.lower().startswith("top-") and not any(target.lower() == name.lower() for name in labels or ()):
            raise UsageError(f"the target '{target}' has no number; top-3 stands for the three best classes")
        elif labels is None:
            raise UsageError(
                f"the target '{target}' is no class index, and labels are needed to find it by name (--labels)"
            )
        else:
            found.append(find_label(labels, target))
    return found


def _number(digits: str) -> int:
    """Return the number that ``digits`` are, or one beyond all classes: Python reads no number of thousands."""
    return int(digits) if len(digits) < 20 else sys.maxsize


def ranked(wanted: Sequence[int], scores: Array) -> list[int]:
    """Return the class indices of what is ``wanted``, −k being the k-th best of ``scores`` (K,)."""
    order = np.argsort(-scores, kind="stable")
    return [int(order[-entry - 1]) if entry < 0 else entry for entry in wanted]


def resolve_target(targets: Sequence[str | int], scores: Array, labels: tuple[str, ...] | None) -> list[int]:
    """Return the class indices that ``targets`` name for these ``scores`` (K,), each once, in the order named."""
    return list(dict.fromkeys(ranked(wanted(targets, scores.size, labels), scores)))


def probabilities(scores: Array, output: Array, kind: str, activation: str = "softmax") -> Array:
    """Return the probability of every class (K,): the network's own output, or ``activation`` of its logits.

    ``activation`` is softmax or, where every class is a yes or no of its own, sigmoid; a single logit has the sigmoid.
    """
    if kind in ("softmax", "sigmoid"):
        return np.asarray(output, np.float32).reshape(-1)
    if kind == "log-softmax":
        return np.exp(np.asarray(output, np.float32)).reshape(-1)
    if scores.size == 1 or activation == "sigmoid":
        return np.asarray(np.exp(-np.logaddexp(0, -scores)), np.float32)
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum(), np.float32)
