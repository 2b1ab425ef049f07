"""Writing a compiled explainer to a file, once it has shown that it agrees with the NumPy engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heatcli import __version__, runtime
from heatcli.compiling import Compiled, open_compiled
from heatcli.errors import HeatcliError, UsageError
from heatcli.explanation import ClassScore
from heatcli.inputs import Bounds
from heatcli.pictures.layouts import Form
from heatcli.planning import Plan
from heatcli.replacing import replacing

Array = np.ndarray

TOLERANCE = 1e-4
"""How far file and NumPy engine may differ, as a share of the largest relevance."""


@dataclass(frozen=True)
class Written:
    """An explainer that was written: where, how large in bytes, and how far it is from the NumPy engine.

    ``inputs`` and ``outputs`` are (name, type, shape) as onnxruntime tells them; ``open_batch`` says that the number of
    pictures is open, ``notes`` what the user must know.
    """

    path: Path
    size: int
    difference: float
    inputs: tuple[tuple[str, str, tuple[Any, ...]], ...]
    outputs: tuple[tuple[str, str, tuple[Any, ...]], ...]
    open_batch: bool
    notes: tuple[str, ...]


def write_explainer(
    plan: Plan, bounds: Bounds | None, form: Form | None, settings: Mapping[str, Any], path: Path
) -> Written:
    """Write the explainer of ``plan`` to ``path``; ``settings`` are put into its metadata."""
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give the name of a file")
    metadata = {"heatcli.version": __version__}
    metadata |= {f"heatcli.{name}": text(value) for name, value in settings.items() if value is not None}
    metadata["heatcli.about"] = (
        "A classifier and its explanation. target: class index, or -1 for the best class. relevance: of the input's "
        "shape. heatmap: relevance summed over channels. ledger: start, pixels, biases, constants, lost."
    )
    notes = list(plan.warnings)
    x = noise(plan, bounds)
    compiled = plan.compile(metadata, form, open_batch=True)
    if compiled.open_batch and not agrees_in_batches(compiled, plan, x):
        compiled = plan.compile(metadata, form)
    if not compiled.open_batch:
        notes.append("the network takes one picture at a time, and so does the explainer")
    if form is None:
        notes.append("the input is no picture: there is no output heatmap")
    session = open_compiled(compiled, (), threads=None, provider="cpu")
    difference = apart(session, compiled, plan, x)
    if not difference <= TOLERANCE:
        raise HeatcliError(
            f"the explainer differs from the NumPy engine by {difference:.1e} of the largest relevance; nothing is "
            "written. Please report this network"
        )
    content = compiled.serialised()
    with replacing(path) as stream:
        stream.write(content)
    inputs = tuple((entry.name, entry.type, tuple(entry.shape)) for entry in session.get_inputs())
    outputs = tuple((entry.name, entry.type, tuple(entry.shape)) for entry in session.get_outputs())
    return Written(path, len(content), difference, inputs, outputs, compiled.open_batch, tuple(notes))


def text(value: Any) -> str:
    """Return a setting for the metadata: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def noise(plan: Plan, bounds: Bounds | None) -> Array:
    """Return an input with values all over its range."""
    spec = plan.network.input
    low, high = (np.asarray(-1.0), np.asarray(1.0)) if bounds is None else bounds
    return np.random.default_rng(0).uniform(low, high, spec.shape).astype(spec.dtype)


def apart(session: runtime.Session, compiled: Compiled, plan: Plan, x: Array) -> float:
    """Return how far the explainer is from the NumPy engine on ``x``, as a share of the largest relevance."""
    network = plan.network
    values = plan.forward(x, [-1])
    scores = np.asarray(values[network.output.logits], np.float32).reshape(-1)
    best = int(scores.argmax())
    walked = plan.walk(values, x, [ClassScore(best, None, float(scores[best]), 1.0)])[0]
    feeds = {network.input.name: x, compiled.names["target"]: np.array([best], np.int64)}
    (relevance,) = runtime.run(session, [compiled.names["relevance"]], feeds)
    largest = float(np.abs(walked.relevance).max())
    return float(np.abs(relevance - walked.relevance).max()) / largest if largest else float(np.abs(relevance).max())


def agrees_in_batches(compiled: Compiled, plan: Plan, x: Array) -> bool:
    """Whether two pictures at once come out as each alone does: some graphs hold their batch of one in places."""
    names = [compiled.names["relevance"], plan.network.output.name]
    other = np.ascontiguousarray(x[..., ::-1])
    try:
        session = open_compiled(compiled, (), threads=None, provider="cpu")
        name, best = plan.network.input.name, {compiled.names["target"]: np.array([-1], np.int64)}
        both = runtime.run(session, names, {name: np.concatenate([x, other]), **best})
        alone = [runtime.run(session, names, {name: one, **best}) for one in (x, other)]
    except HeatcliError:
        return False
    for together, *single in zip(both, *alone, strict=True):
        expected = np.concatenate(single)
        slack = TOLERANCE * float(np.abs(expected).max())
        if together.shape != expected.shape or not np.allclose(together, expected, rtol=1e-3, atol=slack):
            return False
    return True
