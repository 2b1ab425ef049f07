"""Fewer forms for the readers: onnxruntime's own optimiser folds constants, shapes and batch normalisation.

What comes in is any model; what goes out is a model in which every size is concrete, batch 1, no initializer is an
input, no node is a constant, and every remaining tensor's shape is known. The order of the steps was measured:
initializers listed as inputs and captured outputs both keep the optimiser from folding batch normalisation.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
from onnx import numpy_helper

from heatcli import runtime
from heatcli.errors import ModelError, UnreadableModel, UnsupportedNode, UsageError
from heatcli.limits import Limits
from heatcli.network import classical, inferring, one_picture, sizing, supplying
from heatcli.network.layers import InputSpec
from heatcli.network.precision import lift
from heatcli.network.quantised import realise
from heatcli.network.rewriting import rewrite, rewritten
from heatcli.network.shuffling import Shuffle, shuffle
from heatcli.network.supplying import dims_of, shape_text
from heatcli.network.weights import detach, fetch

Shape = tuple[int, ...]
DTYPES = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT8: "int8",
}
DEFAULT_SIDE = 224
MATRIX = 1 << 20
"""Matrices of so many bytes or more are kept away from the optimiser."""


@dataclass
class Simplified:
    """The simplified ``model``, its ``weights`` apart from it, its image input, all constants, all other shapes.

    ``nodes`` are what the readers get: those of the model, unless it is quantised. ``unclear`` are nodes that could not
    be brought into a form with a reader. ``batch`` is how many rows the outputs have, of which the picture's is the
    first; ``supplied`` are the inputs that became constants, ``labels`` the names of the classes if the graph has them.
    """

    model: onnx.ModelProto
    weights: dict[str, np.ndarray]
    input: InputSpec
    constants: dict[str, np.ndarray]
    shapes: dict[str, Shape]
    nodes: list[onnx.NodeProto]
    notes: list[str] = field(default_factory=list)
    unclear: list[UnsupportedNode] = field(default_factory=list)
    batch: int = 1
    supplied: tuple[InputSpec, ...] = ()
    labels: tuple[str, ...] | None = None


def simplify(
    model: onnx.ModelProto,
    folder: Path,
    *,
    size: tuple[int, int] | None = None,
    suggested: tuple[int, int] | None = None,
    layout: str | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    shuffled: Shuffle | None = None,
    limits: Limits | None = None,
) -> Simplified:
    """Simplify ``model``, whose external data lies in ``folder``, with its image input at ``size`` (height, width).

    ``suggested`` takes the place of ``size`` where the file leaves sizes open; ``layout`` overrides what the input's
    shape suggests; ``inputs`` are the values of all inputs but the picture; ``shuffled`` puts weights in disorder;
    ``limits`` bound the memory that it takes. Raises ModelError where another input is left, it takes too much or
    onnxruntime refuses it, and UsageError where ``size`` or ``inputs`` contradict the file.
    """
    limits = limits or Limits()
    if len(model.functions):
        model = inlined(model)
    supplied, named = supplying.supply(model, inputs or {})
    drop_initializers_from_inputs(model)
    labels = classical.names_of_classes(model)
    classical.prepare(model, rewritten())
    supplying.keep_picture(model, supplied)
    other = lift(model, folder)
    batch = one_picture.batch_of(model) if layout is None or layout.startswith(("N", "flat")) else 1
    spec, notes = settle_input(model, size, suggested, layout, batch=batch, named=named)
    sizing.check_input(spec, batch, limits)
    if other:
        notes.append(f"the file computes in {other}; it is explained in float32")
    inferring.forget_shapes(model)
    if batch > 1:
        one_picture.pad(model, spec, batch)
    try:
        simplified, weights = optimise(model, folder, spec, limits)
        drop_initializers_from_inputs(simplified)
        if batch > 1:
            one = one_picture.divided(simplified, weights, spec, batch)
            notes.append(one_picture.said(batch, divided=one is not None))
            if one is not None:
                (simplified, weights), batch = one, 1
                inferring.forget_shapes(simplified)
        constants, shapes = known(simplified, weights, spec)
    except UnreadableModel as error:
        guessed = f" ({'; '.join(notes)})" if notes else ""
        raise UnreadableModel(f"{error}{guessed}") from error
    nodes: list[onnx.NodeProto] = list(simplified.graph.node)
    unclear: list[UnsupportedNode] = []
    _, *inner = runtime.graphs(simplified.graph)
    if not inner:  # control flow is not read, only run: it stays as it is
        whole = simplified.SerializeToString()
        try:
            written, unclear = rewrite(simplified, constants, shapes)
        except (ValueError, IndexError):  # sizes that are inferred for a network that does not run may be wrong
            simplified.ParseFromString(whole)
            known(simplified, weights, spec, run=True)
            raise
        if written:
            try:
                constants, shapes = known(simplified, weights, spec, run=True)
            except UnreadableModel as error:  # such as steps on integers: what stands in the file runs, and is named
                simplified.ParseFromString(whole)
                unclear += [replace(node, reason=f"written in steps it does not run ({error})") for node in written]
    if shuffled is not None:
        shuffle(simplified, weights, spec.name, shuffled)
        constants, shapes = known(simplified, weights, spec)  # what is computed of weights is another value now
    if not inner:
        nodes, more = realise(simplified, constants, shapes, spec.name)
        unclear += more
    return Simplified(simplified, weights, spec, constants, shapes, nodes, notes, unclear, batch, supplied, labels)


def known(
    model: onnx.ModelProto, weights: dict[str, np.ndarray], spec: InputSpec, *, run: bool = False
) -> tuple[dict[str, np.ndarray], dict[str, Shape]]:
    """Return the values of all tensors that do not depend on the picture, and the shapes of all others.

    With ``run`` the model is run for that, which shows that it can be; else only where inference is not sure.
    """
    constants = weights | {
        entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer if entry.name not in weights
    }
    shapes = None if run else inferred(model, spec, constants)
    if shapes is None:
        shapes = probe(model, weights, spec, constants)
    return constants, shapes


def drop_initializers_from_inputs(model: onnx.ModelProto) -> None:
    """Leave only true inputs in ``graph.input``; files of IR version 3 had to list every initializer there."""
    constants = {entry.name for entry in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in constants]
    if len(inputs) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(inputs)
        model.ir_version = max(model.ir_version, 4)


def settle_input(
    model: onnx.ModelProto,
    size: tuple[int, int] | None,
    suggested: tuple[int, int] | None,
    layout: str | None,
    *,
    batch: int = 1,
    named: Mapping[str, int] | None = None,
) -> tuple[InputSpec, list[str]]:
    """Fix every free size of the model's one input in place, batch 1 for ``batch``, and say what was guessed about it.

    ``named`` are lengths of open axes that inputs given as constants have settled.
    """
    entry = model.graph.input[0]
    tensor = entry.type.tensor_type
    if tensor.elem_type not in DTYPES or not tensor.HasField("shape"):
        raise ModelError(f"the input {entry.name} is no tensor of numbers with a known number of axes")
    given = dims_of(entry)
    if batch > 1:
        given[0] = 1
    notes: list[str] = []
    if layout is None or layout.upper() == "FLAT-HWC":
        layout = layout_of(given)
    elif len(layout) != len(given) and layout not in ("flat", "tensor"):
        raise UsageError(f"--layout {layout} names {len(layout)} axes, but the input {entry.name} has {len(given)}")
    free = False
    shape = list(given)
    for axis, letter in enumerate(layout if layout not in ("flat", "tensor") else "N" * len(given)):
        side = "HW".find(letter)
        if side >= 0:
            if given[axis] == 0:
                free = True
                shape[axis] = (size or suggested or (DEFAULT_SIDE, DEFAULT_SIDE))[side]
            elif size and size[side] != given[axis]:
                raise UsageError(
                    f"the size {size[0]}x{size[1]} contradicts the model's input {shape_text(given)}, which is fixed; "
                    "leave --size out"
                )
        elif given[axis] == 0:
            if letter == "C":
                shape[axis] = 3
                notes.append("the number of channels is open in the file: 3 assumed")
            elif axis:
                raise ModelError(f"the input {entry.name} has sizes left open: {shape_text(given)}")
            else:
                shape[axis] = 1
    if free and size is None and suggested is None:
        notes.append(
            f"height and width are open in the file: {DEFAULT_SIDE}x{DEFAULT_SIDE} assumed; change with --size"
        )
    supplying.check_sizes(named or {}, entry, shape)
    for axis, length in enumerate(shape):
        tensor.shape.dim[axis].Clear()
        tensor.shape.dim[axis].dim_value = length
    return InputSpec(entry.name, tuple(shape), DTYPES[tensor.elem_type], layout, free), notes


def layout_of(shape: list[int]) -> str:
    """Guess the layout from sizes in which 0 stands for open: the axis of 1, 3 or 4 is the channel axis.

    A row of numbers may have axes of length 1 behind it.
    """
    channels = (1, 3, 4)
    if len(shape) == 1 or (len(shape) == 3 and shape[0] in (0, 1) and shape[1] > 4 and shape[2] == 1):
        return "flat"
    if len(shape) == 4:
        if shape[1] in channels or shape[3] not in channels:
            return "NCHW"
        return "NHWC"
    if len(shape) == 3:
        if shape[0] == 3:
            return "CHW"
        if shape[2] in channels and shape[0] > 4:
            return "HWC"
        return "NHW" if shape[0] in (0, 1) and shape[2] > 1 else "tensor"
    if len(shape) == 2:
        return "flat" if shape[0] in (0, 1) else "HW"
    return "tensor"


def inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model`` with its functions written out; raises UnreadableModel where onnx cannot."""
    try:
        return onnx.inliner.inline_local_functions(model)
    except Exception as error:  # its exceptions have no common base
        raise UnreadableModel(f"its functions cannot be written out: {runtime.reason(error)}") from error


def optimise(
    model: onnx.ModelProto, folder: Path, spec: InputSpec, limits: Limits
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Return the model as onnxruntime's basic level leaves it, and its weights; MatMul and Add stay apart."""
    weights = detach(model, folder)
    runtime.prune(model.graph, [entry.name for entry in model.graph.output])
    present = {entry.name for entry in model.graph.initializer}
    weights = {name: value for name, value in weights.items() if name in present}  # others are asked for in vain
    sizing.check(model, spec, weights, limits)
    matrices = set_aside(model, weights)
    with tempfile.TemporaryDirectory(prefix="heatcli-") as scratch:
        path = Path(scratch) / "simplified.onnx"
        runtime.open_session(
            model.SerializeToString(),
            weights={name: value for name, value in weights.items() if name not in matrices},
            write_to=path,
            without=("MatMulAddFusion",),
            threads=1,
        )
        if not path.exists():
            raise UnreadableModel("onnxruntime did not write the simplified model")
        simplified = onnx.load(str(path), load_external_data=False)
        kept = fetch(simplified, path.parent)
    put_back(simplified, matrices)
    return simplified, kept | {name: weights[name] for name in matrices}


def set_aside(model: onnx.ModelProto, weights: dict[str, np.ndarray]) -> dict[str, onnx.TensorProto]:
    """Make inputs of large matrices that products read as they are, and return what they were, by name.

    There is nothing to simplify about them, and onnxruntime would copy and write them all.
    """
    uses: dict[str, list[bool]] = {}
    for node in model.graph.node:
        product = node.op_type in ("Gemm", "MatMul") and node.domain in ("", "ai.onnx")
        for place, name in enumerate(node.input):
            uses.setdefault(name, []).append(product and place == 1)
    matrices = {
        entry.name: entry
        for entry in model.graph.initializer
        if entry.name in weights and weights[entry.name].nbytes >= MATRIX and all(uses.get(entry.name, [False]))
    }
    rest = [entry for entry in model.graph.initializer if entry.name not in matrices]
    del model.graph.initializer[:]
    model.graph.initializer.extend(rest)
    model.graph.input.extend(
        onnx.helper.make_tensor_value_info(name, entry.data_type, list(entry.dims)) for name, entry in matrices.items()
    )
    return matrices


def put_back(model: onnx.ModelProto, matrices: dict[str, onnx.TensorProto]) -> None:
    """Undo ``set_aside``."""
    inputs = [entry for entry in model.graph.input if entry.name not in matrices]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.graph.initializer.extend(matrices.values())


def inferred(model: onnx.ModelProto, spec: InputSpec, constants: Mapping[str, np.ndarray]) -> dict[str, Shape] | None:
    """Return the shape of every tensor by static inference, or None where that is not sure to be the true one.

    It leaves many open, and for pools in ceil mode it disagrees with what onnxruntime does. What hangs on no input has
    to be computed anyway.
    """
    for node in model.graph.node:
        unsure = any(
            attribute.name == "output_shape" or (attribute.name == "ceil_mode" and attribute.i)
            for attribute in node.attribute
        )
        if unsure or all(name in constants for name in node.input if name):
            return None
    whole = inferring.inferred(model)
    if whole is None:
        return None
    shapes = {spec.name: spec.shape}
    for entry in (*whole.graph.value_info, *whole.graph.output):
        dims = entry.type.tensor_type.shape.dim
        if entry.type.tensor_type.HasField("shape") and all(d.dim_value > 0 for d in dims):
            shapes[entry.name] = tuple(d.dim_value for d in dims)
    known = all(name in shapes for node in model.graph.node for name in node.output if name)
    return shapes if known else None


def probe(
    model: onnx.ModelProto, weights: dict[str, np.ndarray], spec: InputSpec, constants: dict[str, np.ndarray]
) -> dict[str, Shape]:
    """Run the model once; return the shape of every tensor, and add to ``constants`` what hangs on no input.

    Shapes are those of true arrays.
    """
    fixed = set(constants)
    wanted: list[str] = []
    for node in model.graph.node:
        if node.op_type in inferring.SIZES or runtime.reads(node) <= fixed:
            fixed.update(node.output)
        wanted += [name for name in node.output if name]
    extended = onnx.ModelProto()
    extended.CopyFrom(model)
    del extended.graph.output[:]
    extended.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    runtime.prune(extended.graph, wanted)  # constants that nothing reads any more
    present = {entry.name for entry in extended.graph.initializer}
    given = {name: value for name, value in weights.items() if name in present}
    session = runtime.open_session(extended.SerializeToString(), weights=given, level="none")
    feeds = {spec.name: np.zeros(spec.shape, spec.dtype)}
    values = runtime.run(session, wanted, feeds)
    shapes = {spec.name: spec.shape}
    for name, value in zip(wanted, values, strict=True):
        if name in fixed:
            constants[name] = np.asarray(value)
        elif isinstance(value, np.ndarray):
            shapes[name] = value.shape
    return shapes
