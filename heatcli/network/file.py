"""Open a model file that nobody vouches for: what is refused before anything is run, and why."""

from __future__ import annotations

import errno
import hashlib
import re
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from heatcli import runtime
from heatcli.errors import UnreadableModel, UnsupportedNode
from heatcli.limits import Limits, amount
from heatcli.network import wire
from heatcli.network.examining import examine
from heatcli.opening import Irregular, TooLarge, content, opened, reason, size

LOOPS = ("Loop", "Scan", "SequenceMap")
FOREIGN_CODE = ("EPContext", "PyOp", "PythonOp")
"""Operations that hand a piece of the file, or a file that it names, to another program."""
JOINING = "StringConcat"
CONTROL_FLOW = ("If", *LOOPS)
BLOCKED = "com.microsoft.nchwc"
AGAIN = "re-export without layout optimisation"
QUANTISED = re.compile("QLinear|QGemm|QAttention|Quantize|Dequantize|DynamicQuantize|MatMulInteger|ConvInteger")
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")


def load(path: Path, limits: Limits | None = None) -> onnx.ModelProto:
    """Return the model at ``path``, weights kept outside the file left outside.

    Raises UnreadableModel where the file is missing, no regular one, no ONNX model, cut short, has no graph, asks for
    more than ``limits`` allow, or is not sound in itself: see ``examining``.
    """
    limits = limits or Limits()
    raw = _content(path, limits)
    found = wire.survey(raw, limits)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(raw)
    except (DecodeError, RecursionError) as error:
        raise UnreadableModel(wire.BROKEN) from error
    except MemoryError as error:
        raise UnreadableModel("does not fit into memory") from error
    del raw
    if not model.graph.node or not model.graph.output:
        raise UnreadableModel("holds no ONNX graph; is it a model file, and a whole one?")
    for unused in ("training_info", "configuration"):
        if unused in model.DESCRIPTOR.fields_by_name:
            model.ClearField(unused)
    examine(model, path.resolve().parent, limits, found)
    return model


def _content(path: Path, limits: Limits) -> bytes:
    """Return the bytes of the file; raises UnreadableModel."""
    most = min(limits.file, wire.LARGEST)
    try:
        raw = content(path, most)
    except FileNotFoundError:
        raise UnreadableModel("no such model file; give the path of an .onnx file with --model") from None
    except Irregular as error:
        said = f"{error.strerror}, not a regular file" if error.errno == errno.EISDIR else error.strerror
        raise UnreadableModel(f"{said}; give the path of an .onnx file with --model") from None
    except TooLarge:
        raise _too_large(path.stat().st_size, limits) from None
    except MemoryError:
        raise UnreadableModel("does not fit into memory") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise UnreadableModel(f"cannot be read ({reason(error)})") from error
    if not raw:
        raise UnreadableModel("the file is empty; export or download the model again")
    return raw


def crashing(model: onnx.ModelProto) -> tuple[UnsupportedNode, ...]:
    """Return every node that onnxruntime must not see, in whatever graph or function: what crashes it, and loops.

    Nobody can tell beforehand whether a loop ends, or how much it gathers until then; and onnxruntime may run it as
    soon as it opens the file.
    """
    reason = "an output without a name, which makes onnxruntime crash; name it or leave it out"
    bodies = [graph.node for graph in runtime.graphs(model.graph)]
    for function in model.functions:
        bodies.append(function.node)
        parts = (part for node in function.node for part in runtime.inside(node))
        bodies += [graph.node for part in parts for graph in runtime.graphs(part)]
    empty = {entry.name for graph in runtime.graphs(model.graph) for entry in graph.initializer if 0 in entry.dims}
    found = []
    for body in bodies:
        for node in body:
            if node.op_type == "Split" and "" in node.output:
                found.append(_unsupported(node, reason))
            elif node.op_type in FOREIGN_CODE:
                found.append(_unsupported(node, "code of another program inside the model, which is not run"))
            elif QUANTISED.match(node.op_type) and not empty.isdisjoint(node.input):
                found.append(_unsupported(node, "a scale or zero point without a number, which crashes onnxruntime"))
            elif node.op_type == JOINING:
                found.append(_unsupported(node, "text that is put together, of which nobody can tell how long it gets"))
            elif node.op_type in LOOPS and node.domain in ("", "ai.onnx"):
                found.append(_unsupported(node, "control flow cannot be explained, and a loop may have no end"))
    return tuple(found)


def foreign(model: onnx.ModelProto) -> tuple[UnsupportedNode, ...]:
    """Return every node that is no layer whatever it does: control flow, and operations that ONNX does not define."""
    own = {function.domain for function in model.functions}
    found = []
    for node in model.graph.node:
        if node.op_type in LOOPS:
            continue  # ``crashing`` names them
        if node.op_type in CONTROL_FLOW:
            found.append(_unsupported(node, "control flow cannot be explained"))
        elif node.domain == BLOCKED:
            reason = "channels in blocks, as onnxruntime writes them for one processor; "
            found.append(_unsupported(node, reason + AGAIN))
        elif node.domain not in DOMAINS and node.domain not in own:
            found.append(_unsupported(node, "a custom operation"))
    return tuple(found)


def _unsupported(node: onnx.NodeProto, reason: str) -> UnsupportedNode:
    name = next((output for output in node.output if output), node.name)
    return UnsupportedNode(name, node.op_type, node.domain, reason)


def _too_large(size: int, limits: Limits) -> UnreadableModel:
    if size > wire.LARGEST:
        return UnreadableModel("has more than the 2 GiB that an ONNX file can have; weights go into a file beside it")
    return UnreadableModel(
        f"has {amount(size)} bytes; {amount(limits.file)} are accepted; {limits.raised('file', size)}"
    )


def digest(path: Path, limits: Limits) -> str:
    """Return the sha256 of the file as hexadecimal digits; raises OSError, UnreadableModel for a file too large.

    A file that takes no room on the disk can have terabytes.
    """
    with opened(path) as stream:
        if (length := size(stream)) > min(limits.file, wire.LARGEST):
            raise _too_large(length, limits)
        return hashlib.file_digest(stream, "sha256").hexdigest()


def producer(model: onnx.ModelProto) -> str:
    """Return the producer's name and version as the file states them, empty if it does not."""
    return f"{model.producer_name} {model.producer_version}".strip()
