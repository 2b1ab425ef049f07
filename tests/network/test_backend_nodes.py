"""The standard's own node tests: what each node computes, and what goes back through it, whatever its form.

Every node test of the onnx package whose nodes heatcli has readers for is read as a file would be, with each of its
inputs of numbers as data, one at a time, and with all of them. An independent implementation, onnx's reference
evaluator in float64, says how ⟨f(x), y⟩ changes along v; heatcli must find the same as ⟨v, Aᵀy⟩, where Aᵀ is the walk
backwards by the gradient's rules, and its linear layers must compute what the file does.

A new reader is tried here as soon as it is registered. What is refused stands in ``REFUSED``, what is not tried in
``NOT_TRIED``, each with its reason.
"""

from __future__ import annotations

import math
import re
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from heatcli.errors import UnsupportedNode
from heatcli.kernels.arrays import ArrayKernels
from heatcli.kernels.maps import linear_map
from heatcli.kernels.terms import ALL, WeightParts
from heatcli.network import patterns
from heatcli.network.layers import Affine, Averaging, Layer, Linear, Summation
from heatcli.network.precision import lift
from heatcli.network.reading import read_layers, supported
from heatcli.network.rewriting import rewrite, rewritten
from heatcli.relevance.batching import batched
from heatcli.relevance.composites import COMPOSITES, assign
from heatcli.relevance.propagate import Assignment, Walk
from tests import single
from tests.installed import older

Array = np.ndarray
Values = Mapping[str, Array]

REFUSED = {
    r"is not a constant$": "weights, statistics, bounds and the like are the file's, not the picture's",
    r"where data is needed$": "the same: what is data here is a weight everywhere else",
    r"^it is in training mode": "an explanation is of a network that is done",
    r"^keys and values of earlier steps": "text is written step by step, pictures are seen at once",
    r"^its output .* is used": "an intermediate result of attention",
    r"heatcli does not know \(attribute left_window": "attention to what is near, in the newest operator sets",
    r"^a diagonal$": "not supported",
    r"^indices of their own": "not supported",
    r"^(a region is cut out|the shape of the picture is kept|points outside)": "sampling that depends on both axes",
}
"""Part of the reason that a reader gives, and why it may be given."""

NOT_TRIED = {
    r"nan_robustness": "queries that may look at no key, of which there are none in pictures",
    r"test_resize_downsample_scales_(linear|cubic)_align_corners": "onnxruntime takes other points, and it runs",
    r"\(\)$": "no input of numbers that could come from a picture: text, truth values, counting",
    r"_empty_set": "a tensor without elements",
    r"cast.*_to_(FLOAT8|FLOAT4|U?INT)": "rounding has no slope; relevance passes as if nothing were rounded",
}
"""Names of node tests (and their data), and why they have no answer."""

SEVERAL = "several nodes"
FLOATS = (np.float16, np.float32, np.float64)
ROUNDED = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
STEP = 1e-7
TRIED, ASKED = 1000, 1600
"""How many questions are answered at least, and how many are answered or refused."""


@dataclass(frozen=True)
class Question:
    """A node test: a ``model``, what goes in and comes out by name, and which of its inputs are ``data``."""

    name: str
    model: onnx.ModelProto
    inputs: Values
    outputs: Values
    data: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{self.name}({', '.join(self.data)})"

    @property
    def nodes(self) -> list[onnx.NodeProto]:
        """The nodes that hang on data, in forward order; all of them where nothing is data."""
        moved, found = set(self.data or self.inputs), []
        for node in self.model.graph.node:
            if not moved.isdisjoint(node.input):
                moved.update(node.output)
                found.append(node)
        return found

    @property
    def tolerance(self) -> float:
        """How far numbers in half precision, or in single, may be off."""
        half = any(value.dtype == np.float16 for value in self.outputs.values())
        return 2e-3 if half else 1e-5


@cache
def operations() -> list[str]:
    """Return what is read, as it is or rewritten; quantised operations have tests of their own."""
    written = (f"{domain}:{operation}".lstrip(":") for domain, operation in rewritten())
    return [*sorted({*supported(), *written} - {"QuantizeLinear"}), SEVERAL]


@cache
def questions() -> dict[str, list[Question]]:
    """Return what there is to ask, by operation; functions that are written out as nodes under ``SEVERAL``."""
    found: dict[str, list[Question]] = {name: [] for name in operations()}
    for case in collected():
        ((given, expected),) = case.data_sets
        inputs, outputs = named(case.model.graph.input, given), named(case.model.graph.output, expected)
        for data in choices(inputs):
            numbers = {name: inputs[name].astype(np.float32) for name in data if inputs[name].dtype.kind in "iu"}
            question = Question(case.name, case.model, inputs | numbers, outputs, data)
            kinds = [f"{node.domain}:{node.op_type}".lstrip(":") for node in question.nodes]
            if kinds and all(kind in found for kind in kinds):
                found[kinds[0] if len(kinds) == 1 else SEVERAL].append(question)
    return found


def collected():
    """Return the node tests of the onnx package, the same numbers in them every time."""
    state = np.random.get_state()  # noqa: NPY002 (they draw from it)
    np.random.seed(0)  # noqa: NPY002
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        cases = collect_testcases(None)
    np.random.set_state(state)  # noqa: NPY002
    return cases


def named(entries, values) -> dict[str, Array]:
    """Return the tensors among ``values`` (no sequences, nothing absent) by name."""
    return {
        entry.name: numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
        for entry, value in zip(entries, values, strict=False)
        if isinstance(value, TensorProto | np.ndarray | np.generic)
    }


def choices(inputs: Values) -> list[tuple[str, ...]]:
    """Return which inputs can be data: each of floating-point numbers, and all of them; nothing where there are none.

    Whole numbers that come first and alone of their kind, such as a frame is put around, are data of any kind.
    """
    kinds = [value.dtype for value in inputs.values()]
    numbers = [
        name
        for place, name in enumerate(inputs)
        if kinds[place] in FLOATS or (place == 0 and kinds[0].kind in "iu" and kinds.count(kinds[0]) == 1)
    ]
    return [*((name,) for name in numbers), *([tuple(numbers)] if len(numbers) != 1 else [])]


# the reference --------------------------------------------------------------------------------------------------------


erf = np.vectorize(math.erf, otypes=[np.float64])
"""The error function in double precision; the reference evaluator's own is in single precision."""


class Erf(OpRun):
    def _run(self, x):
        return (erf(x).astype(x.dtype),)


class Gelu(OpRun):
    """x Φ(x), the normal distribution's Φ exact or by a hyperbolic tangent."""

    def _run(self, x, approximate=None):
        if approximate == "tanh":
            inner = np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))
        else:
            inner = erf(x / math.sqrt(2)).astype(x.dtype)
        return (0.5 * x * (1 + inner),)


def run(model: onnx.ModelProto, inputs: Values) -> dict[str, Array]:
    """Return every tensor of ``model`` by name."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return ReferenceEvaluator(model, new_ops=[Erf, Gelu]).run(None, dict(inputs), intermediate=True)


def in_double(value: Array) -> Array:
    return value.astype(np.float64) if value.dtype in FLOATS else value


def twin_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with all its constants, and what it casts to floating-point numbers, in float64."""
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    for entry in twin.graph.initializer:
        entry.CopyFrom(numpy_helper.from_array(in_double(numpy_helper.to_array(entry)), entry.name))
    for node in twin.graph.node:
        for entry in node.attribute:
            if entry.HasField("t"):
                entry.t.CopyFrom(numpy_helper.from_array(in_double(numpy_helper.to_array(entry.t))))
            elif node.op_type == "Cast" and entry.name == "to" and entry.i in ROUNDED:
                entry.i = TensorProto.DOUBLE
    return twin


# what heatcli says ----------------------------------------------------------------------------------------------------


def answer(question: Question) -> str:
    """Return nothing where heatcli reads the nodes and is right about them, else the reasons why it refuses them.

    Raises AssertionError where it is wrong.
    """
    question, unwritten = in_steps(question)
    values, constants, shapes = known(question)
    opsets = {entry.domain: entry.version for entry in question.model.opset_import}
    read, unsupported = read_layers(question.nodes, question.data[0], constants, shapes, opsets)
    if unwritten or unsupported:
        return "; ".join(node.reason for node in unwritten or unsupported)
    made = [layer.name for layer in read if layer.name in question.outputs]
    assert made, "no output is a layer"
    for output in made:
        layers = patterns.recognise(read, shapes, output, question.data[0])
        check_linear_layers(layers, shapes, values | dict(question.outputs), question.tolerance)
        check_way_back(layers, shapes, output, question)
    return ""


def in_steps(question: Question) -> tuple[Question, list[UnsupportedNode]]:
    """Return the question in float32 about what the nodes are rewritten to, and the nodes that cannot be."""
    model = onnx.ModelProto()
    model.CopyFrom(question.model)
    lift(model, Path())
    if all(entry.domain for entry in model.opset_import):
        model.opset_import.add(domain="", version=17)
    single_precision = {
        name: value.astype(np.float32) if value.dtype in FLOATS else value for name, value in question.inputs.items()
    }
    question = replace(question, model=model, inputs=single_precision)
    _, constants, shapes = known(question)
    _, unwritten = rewrite(model, constants, shapes)
    return question, unwritten


def known(question: Question) -> tuple[Values, dict[str, Array], dict[str, tuple[int, ...]]]:
    """Return the values of all tensors, those that are constants here, and the shapes of all others."""
    values = run(question.model, question.inputs)
    moved = {*question.data, *(name for node in question.nodes for name in node.output if name)}
    constants = {name: np.asarray(value) for name, value in values.items() if name and name not in moved}
    return values, constants, {name: values[name].shape for name in moved}


def check_linear_layers(layers: list[Layer], shapes, values: Values, tolerance: float) -> None:
    for layer in layers:
        found = computed(layer, shapes, values)
        if found is not None:
            expected = np.asarray(values[layer.name], np.float64)
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=tolerance, err_msg=layer.name)


def computed(layer: Layer, shapes, values: Values) -> Array | None:
    """Return what a layer computes by heatcli's kernels, None where it has none for that."""
    operands = [
        np.asarray(values[operand] if isinstance(operand, str) else operand, np.float64)
        for operand in getattr(layer, "operands", layer.inputs)
    ]
    if isinstance(layer, Affine):
        scale, shift = 1 if layer.scale is None else layer.scale, 0 if layer.shift is None else layer.shift
        return operands[0] * scale + shift
    if not isinstance(layer, Linear | Averaging | Summation):
        return None
    linear = linear_map(layer, ALL, [x.shape for x in operands], shapes[layer.name], WeightParts(np.float64))
    product = np.zeros(shapes[layer.name]) if linear is None else linear.apply(operands)
    return product if layer.bias is None else product + layer.bias


def check_way_back(layers: list[Layer], shapes, output: str, question: Question) -> None:
    """Compare ⟨v, Aᵀy⟩ with the slope of ⟨f(x), y⟩ along v, for random y and v.

    The point x lies a little above the test's own input, off kinks and ties, within the domain of a logarithm.
    """
    random = np.random.default_rng(zlib.crc32(f"{question.title} {output}".encode()))
    twin, inputs = twin_of(question.model), {name: in_double(value) for name, value in question.inputs.items()}
    finite = {name: np.where(np.isfinite(inputs[name]), inputs[name], 0) for name in question.data}
    x = {name: finite[name] + random.uniform(0.01, 0.05, inputs[name].shape) for name in question.data}
    v = {name: random.normal(size=inputs[name].shape) for name in question.data}
    y = random.normal(size=shapes[output])
    above, below = (
        run(twin, inputs | {name: x[name] + step * v[name] for name in question.data})[output].astype(np.float64)
        for step in (STEP, -STEP)
    )
    y[~np.isfinite(above)] = 0  # what a mask hides of scores that are put out is −∞, and has no slope
    expected = np.sum(np.subtract(above, below, where=np.isfinite(above), out=np.zeros(y.shape)) * y) / (2 * STEP)
    activations = run(twin, inputs | x)
    found = sum(np.sum(v[name] * way_back(layers, shapes, name, y, activations)) for name in question.data)
    assert abs(found - expected) <= question.tolerance * max(1, abs(expected)), (found, expected)


def way_back(layers: list[Layer], shapes, source: str, y: Array, activations: Values) -> Array:
    """Return Aᵀy at the tensor ``source``, with the rules of the gradient."""
    network = single.network_of(layers, shapes, source)
    rules = assign(network, COMPOSITES["gradient"], bounded=False)
    kernels = ArrayKernels(shapes, np.float64, batched=batched(network))
    back, _ = Walk(Assignment(network, rules, {}), kernels, activations, {}).run(y)
    assert back.shape == shapes[source]
    return back


newest = pytest.mark.skipif(older("onnx", 1, 23), reason="older versions of onnx ask less")

# the tests ------------------------------------------------------------------------------------------------------------


def entry_for(text: str, table: dict[str, str]) -> str | None:
    return next((pattern for pattern in table if re.search(pattern, text)), None)


@dataclass
class Outcome:
    """What came of all questions about one operation, by title."""

    tried: list[str]
    refused: dict[str, str]
    not_tried: list[str]
    wrong: dict[str, str]


@cache
def outcome_of(operation: str) -> Outcome:
    outcome = Outcome([], {}, [], {})
    for question in questions()[operation]:
        if entry_for(question.title, NOT_TRIED):
            outcome.not_tried.append(question.title)
            continue
        try:
            reason = answer(question)
        except Exception as error:
            outcome.wrong[question.title] = f"{type(error).__name__}: {error}"
            continue
        if reason:
            outcome.refused[question.title] = reason
        else:
            outcome.tried.append(question.title)
    return outcome


@pytest.mark.parametrize("operation", operations())
def test_the_slope_is_what_comes_back(operation):
    assert not outcome_of(operation).wrong


@pytest.mark.parametrize("operation", operations())
def test_what_is_refused_is_known(operation):
    refused = outcome_of(operation).refused
    assert not {title: reason for title, reason in refused.items() if not entry_for(reason, REFUSED)}


@newest
def test_the_tables_hold_what_is_needed_alone():
    outcomes = [outcome_of(operation) for operation in questions()]
    assert {entry_for(reason, REFUSED) for o in outcomes for reason in o.refused.values()} == set(REFUSED)
    assert {entry_for(title, NOT_TRIED) for o in outcomes for title in o.not_tried} == set(NOT_TRIED)


@newest
def test_no_question_is_lost():
    outcomes = [outcome_of(operation) for operation in questions()]
    tried = sum(len(outcome.tried) for outcome in outcomes)
    assert tried >= TRIED
    assert tried + sum(len(outcome.refused) for outcome in outcomes) >= ASKED
