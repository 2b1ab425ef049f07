"""Open a model file that nobody vouches for: what is refused before anything is run, and why."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from heatcli import runtime
from heatcli.errors import UnreadableModel, UnsupportedNode

MOST_NODES = 50_000
CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")
BLOCKED = "com.microsoft.nchwc"
AGAIN = "re-export without layout optimisation"
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")


def load(path: Path) -> onnx.ModelProto:
    """Return the model at ``path``, weights kept outside the file left outside.

    Raises UnreadableModel where the file is missing, is no ONNX model, is cut short, has no graph or more than 50 000
    nodes.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise UnreadableModel("no such model file; give the path of an .onnx file with --model") from None
    except OSError as error:
        raise UnreadableModel(f"cannot be read ({error.strerror or error})") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableModel("is not a regular file; give the path of an .onnx file with --model")
    if status.st_size == 0:
        raise UnreadableModel("the file is empty; export or download the model again")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise UnreadableModel(
            "cannot be read as an ONNX model (it is another kind of file, or cut short); check it, or download it again"
        ) from error
    except OSError as error:
        raise UnreadableModel(f"cannot be read ({error.strerror or error})") from error
    if not model.graph.node or not model.graph.output:
        raise UnreadableModel("holds no ONNX graph; is it a model file, and a whole one?")
    if len(model.graph.node) > MOST_NODES:
        raise UnreadableModel(f"has {len(model.graph.node)} nodes, more than the {MOST_NODES} that are accepted")
    return model


def crashing(model: onnx.ModelProto) -> tuple[UnsupportedNode, ...]:
    """Return every node that onnxruntime must not see."""
    reason = "an output without a name, which makes onnxruntime crash; name it or leave it out"
    nodes = (node for graph in runtime.graphs(model.graph) for node in graph.node)
    return tuple(_unsupported(node, reason) for node in nodes if node.op_type == "Split" and "" in node.output)


def foreign(model: onnx.ModelProto) -> tuple[UnsupportedNode, ...]:
    """Return every node that is no layer whatever it does: control flow, and operations that ONNX does not define."""
    own = {function.domain for function in model.functions}
    found = []
    for node in model.graph.node:
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


def digest(path: Path) -> str:
    """Return the sha256 of the file as hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def producer(model: onnx.ModelProto) -> str:
    """Return the producer's name and version as the file states them, empty if it does not."""
    return f"{model.producer_name} {model.producer_version}".strip()
