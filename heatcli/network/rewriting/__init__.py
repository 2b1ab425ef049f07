"""Operations of several steps are written as those steps before anything is read.

What onnxruntime's optimiser fuses, and what ONNX has one name for, becomes standard operations with readers: then every
step can be captured, has its own rule, and the compiled explainer writes standard nodes alone. A rewriter states what
its operation computes; it never says anything about relevance.

To add one: write a function under ``@rewrites("Name", domain="…")`` that takes the node, a ``Steps`` and returns the
names of its outputs.
"""

from heatcli.network.rewriting import (  # noqa: F401  (importing them fills the registry)
    arranging,
    attention,
    classical,
    contracting,
    fused,
    reducing,
)
from heatcli.network.rewriting.registry import rewrite, rewritten

__all__ = ["rewrite", "rewritten"]
