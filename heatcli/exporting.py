"""Writing a compiled explainer to a file, once it has shown that it agrees with the NumPy engine."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heatcli import __version__, runtime
from heatcli.compiling import Compiled, open_compiled
from heatcli.errors import HeatcliError, UsageError
from heatcli.explanation import ClassScore
from heatcli.inputs import Bounds
from heatcli.network.layers import InputSpec
from heatcli.pictures.layouts import Form
from heatcli.planning.infinite import infinite_scores
from heatcli.planning.layerwise import LayerPlan
from heatcli.replacing import replacing
from heatcli.targets import probabilities

Array = np.ndarray

TOLERANCE = 1e-4
"""How far file and NumPy engine may differ, as a share of the largest relevance."""


@dataclass(frozen=True)
class Written:
    """An explainer that was written: where, how large in bytes, and how far it is from the NumPy engine.

    ``difference`` is a share of the largest relevance, None where there was none to compare. ``inputs`` and ``outputs``
    are (name, type, shape) as onnxruntime tells them; ``open_batch`` says that the number of pictures is open,
    ``notes`` what the user must know.
    """

    path: Path
    size: int
    difference: float | None
    inputs: tuple[tuple[str, str, tuple[Any, ...]], ...]
    outputs: tuple[tuple[str, str, tuple[Any, ...]], ...]
    open_batch: bool
    notes: tuple[str, ...]


def write_explainer(
    plan: LayerPlan, bounds: Bounds | None, form: Form | None, settings: Mapping[str, Any], path: Path
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
    compiled = plan.compile(metadata, form, open_batch=True)
    x, expected = example(plan, bounds)
    if compiled.open_batch and not agrees_in_batches(compiled, plan, x):
        compiled = plan.compile(metadata, form)
    if not compiled.open_batch:
        notes.append("the network takes one picture at a time, and so does the explainer")
    if form is None:
        notes.append("the input is no picture: there is no output heatmap")
    session = open_compiled(compiled, (), threads=None, provider="cpu")
    difference = apart(session, compiled, x, expected)
    if difference is None:  # a walk that starts with 1 tells more than one that starts with nothing
        unit = plan.with_evidence("one")
        x, expected = example(unit, bounds)
        begun = unit.compile(metadata, form)
        difference = apart(open_compiled(begun, (), threads=None, provider="cpu"), begun, x, expected)
        notes.append("no class has evidence on noise or plain colours: what was compared is a relevance of 1")
    if difference is None:
        notes.append("no relevance reaches the input: the check had nothing to compare")
    elif not difference <= TOLERANCE:
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


def example(plan: LayerPlan, bounds: Bounds | None) -> tuple[Array, Array]:
    """Return an input and what the NumPy engine says to its best class: the first of a few that has any relevance.

    Raises HeatcliError where the scores of none are finite.
    """
    network, found = plan.network, None
    for x in inputs_within(network.input, bounds):
        values = plan.forward(x, [-1])
        scores = np.asarray(values[network.output.logits], np.float32).reshape(-1)
        if not np.isfinite(scores).all():
            continue
        chances = probabilities(scores, values[network.output.name], network.output.kind, plan.activation)
        best = int(scores.argmax())
        explained = ClassScore(best, None, float(scores[best]), float(chances[best]))
        relevance = plan.walk(values, x, [explained])[0].relevance
        found = x, relevance
        if relevance.any():
            break
    if found is None:
        raise HeatcliError(f"the explainer cannot be checked on noise or plain colours: {infinite_scores(network, x)}")
    return found


def inputs_within(spec: InputSpec, bounds: Bounds | None) -> Iterator[Array]:
    """Yield inputs within ``bounds``: noise, then plain colours from dark to bright."""
    low, high = (np.asarray(-1.0), np.asarray(1.0)) if bounds is None else bounds
    yield np.random.default_rng(0).uniform(low, high, spec.shape).astype(spec.dtype)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield np.broadcast_to(low + share * (high - low), spec.shape).astype(spec.dtype)


def apart(session: runtime.Session, compiled: Compiled, x: Array, expected: Array) -> float | None:
    """Return how far the explainer is from ``expected`` on ``x``, as a share of the largest relevance, None if it is 0.

    Nothing was expected and something came: that is infinitely far.
    """
    feeds = {session.get_inputs()[0].name: x, compiled.names["target"]: np.array([-1], np.int64)}
    (relevance,) = runtime.run(session, [compiled.names["relevance"]], feeds)
    largest = float(np.abs(expected).max())
    if not largest:
        return math.inf if np.any(relevance) else None
    return float(np.abs(relevance - expected).max()) / largest


def agrees_in_batches(compiled: Compiled, plan: LayerPlan, x: Array) -> bool:
    """Whether two pictures at once come out as each alone does: some graphs hold their batch of one in places."""
    names = [compiled.names["relevance"], plan.network.output.name]
    other = np.ascontiguousarray(x[..., ::-1])
    try:
        session = open_compiled(compiled, names[1:], threads=None, provider="cpu")
        name, best = plan.network.input.name, {compiled.names["target"]: np.array([-1], np.int64)}
        both = runtime.run(session, names, {name: np.concatenate([x, other]), **best})
        alone = [runtime.run(session, names, {name: one, **best}) for one in (x, other)]
    except HeatcliError:
        return False
    for together, *single in zip(both, *alone, strict=True):
        expected = np.concatenate(single)
        slack = TOLERANCE * float(np.abs(expected).max())
        if together.shape != expected.shape or not np.isfinite(slack):
            return False
        if not np.allclose(together, expected, rtol=1e-3, atol=slack):
            return False
    return True
