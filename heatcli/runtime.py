"""The one door to onnxruntime: opens sessions, runs them, and translates whatever goes wrong there.

onnxruntime raises half a dozen exception types without a common public base, so this door catches broadly on purpose.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper

from heatcli.errors import UnreadableModel, UsageError

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # else it asks for its maker's server when it is imported

import onnxruntime as ort

Array = np.ndarray

LARGE = 1024
"""Constants of so many bytes or more are kept outside the graph."""
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
}
"""What a network can run on, and onnxruntime's name for it."""
Session = ort.InferenceSession
LEVELS = {
    "none": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def open_session(
    model: bytes | str | Path,
    *,
    weights: Mapping[str, Array] | None = None,
    level: str = "basic",
    threads: int | None = None,
    write_to: Path | None = None,
    without: Sequence[str] = (),
    provider: str = "cpu",
    spinning: bool = True,
    most: int | None = None,
) -> ort.InferenceSession:
    """Open a session on serialised bytes or a path.

    ``weights`` are the values of initializers that are placeholders, used where they lie. ``level`` is none, basic or
    all; ``threads`` bounds the threads inside one operation (None: as many as onnxruntime likes); ``write_to`` has the
    optimised model written there, its constants of ``LARGE`` bytes or more beside it in ``NAME.data``; ``without``
    names optimisers to leave out; ``provider`` is one of ``PROVIDERS``, with the CPU for what it cannot do;
    ``spinning`` lets threads wait busily for the next run, which takes a core from whatever comes between; ``most``
    bounds the bytes of all tensors that a run holds at a time, beyond which it ends in TooMuch. Raises UnreadableModel
    with onnxruntime's reason in one line.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = LEVELS[level]
    # Weights packed for matrix products save nothing on single pictures, and double large ones in memory.
    options.add_session_config_entry("session.disable_prepacking", "1")
    # Which quantised operations are fused, and so how they round, must not hang on what is captured.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    if not spinning:
        options.add_session_config_entry("session.force_spinning_stop", "1")
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    if write_to is not None:
        options.optimized_model_filepath = str(write_to)
        for key, value in (("file_name", f"{write_to.name}.data"), ("min_size_in_bytes", str(LARGE))):
            options.add_session_config_entry(f"session.optimized_model_external_initializers_{key}", value)
    if weights:
        values = [ort.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
        options.add_external_initializers(list(weights), values)
    if most is not None:
        options.add_session_config_entry("session.use_env_allocators", "1")
    extra: dict[str, Any] = {"disabled_optimizers": list(without)} if without else {}
    source = str(model) if isinstance(model, Path) else model
    try:
        with _bounded(most):
            return ort.InferenceSession(source, sess_options=options, providers=providers(provider), **extra)
    except Exception as error:  # no common base, see above
        raise UnreadableModel(f"onnxruntime cannot open the model: {reason(error)}") from error


class TooMuch(UnreadableModel):
    """A run takes more memory than its session was opened with."""


_ONE_BOUND = threading.Lock()
OUT_OF_BOUNDS = "is smaller than requested bytes of"
"""What onnxruntime says where its allocator has no more to give."""


@contextlib.contextmanager
def _bounded(most: int | None) -> Iterator[None]:
    """Have a session that is opened meanwhile take its memory from an allocator with ``most`` bytes.

    The allocator belongs to the process: a new one takes the place of the last, which its sessions keep.
    """
    if most is None:
        yield
        return
    place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    exact = {"arena_extend_strategy": 1, "initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1}
    with _ONE_BOUND:
        ort.create_and_register_allocator(place, ort.OrtArenaCfg({"max_mem": most, **exact}))
        yield


def providers(name: str) -> list[str]:
    """Return onnxruntime's names of provider ``name`` and of the CPU after it; raises UsageError where it is not there.

    Nothing falls back in silence: what is asked for is there, or is refused.
    """
    if name not in PROVIDERS:
        raise UsageError(f"unknown provider '{name}'; known: {', '.join(PROVIDERS)}")
    if PROVIDERS[name] not in ort.get_available_providers():
        there = [known for known, long in PROVIDERS.items() if long in ort.get_available_providers()]
        raise UsageError(f"this onnxruntime has no provider {name}; it has: {', '.join(there)}")
    return list(dict.fromkeys((PROVIDERS[name], PROVIDERS["cpu"])))


def placeholder(name: str, value: Array) -> onnx.TensorProto:
    """Return an initializer that says where its value is not: it comes with the ``weights`` of ``open_session``."""
    tensor = onnx.TensorProto(
        name=name,
        dims=value.shape,
        data_type=onnx.helper.np_dtype_to_tensor_dtype(value.dtype),
        data_location=onnx.TensorProto.EXTERNAL,
    )
    tensor.external_data.add(key="location", value="given with the session")
    return tensor


def initializer(name: str, value: Array) -> onnx.TensorProto:
    """Return an initializer that holds a small constant itself, and stands for a large one."""
    return placeholder(name, value) if value.nbytes >= LARGE else onnx.numpy_helper.from_array(value, name)


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield ``graph`` and every graph inside it: the branches of conditions, the bodies of loops."""
    yield graph
    for node in graph.node:
        for inner in inside(node):
            yield from graphs(inner)


def reads(node: onnx.NodeProto) -> set[str]:
    """Return the names of what ``node`` reads: its inputs, and what the graphs inside it take from around them."""
    names = set(node.input)
    for graph in inside(node):
        names.update((entry.name for entry in graph.output), *map(reads, graph.node))
    names.discard("")
    return names


def inside(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the graphs that a node holds: branches, bodies."""
    return [graph for entry in node.attribute for graph in ([entry.g] if entry.HasField("g") else entry.graphs)]


def prune(graph: onnx.GraphProto, names: Iterable[str]) -> None:
    """Drop nodes and constants that none of the tensors ``names`` hangs on."""
    wanted = set(names)
    kept = []
    for node in reversed(graph.node):
        if any(name in wanted for name in node.output):
            wanted.update(reads(node))
            kept.append(node)
    constants = [entry for entry in graph.initializer if entry.name in wanted]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)


def run(session: ort.InferenceSession, outputs: Sequence[str], feeds: dict[str, Array]) -> list[Array]:
    """Run ``session`` and return the named ``outputs`` as arrays.

    Raises UnreadableModel with the reason, TooMuch where the session's bound on memory is it.
    """
    try:
        values: list[Array] = session.run(list(outputs), feeds)
    except Exception as error:  # no common base, see above
        why = reason(error)
        if OUT_OF_BOUNDS in str(error):
            asked = re.search(rf"running (\S+) node.*{OUT_OF_BOUNDS} (\d+)", str(error), re.DOTALL)
            raise TooMuch(f"{asked[1]} asks for {int(asked[2]):,} bytes" if asked else why) from error
        raise UnreadableModel(f"onnxruntime cannot run the model: {why}") from error
    return values


def reason(error: BaseException) -> str:
    """Return the first line of an onnxruntime message, without its error-code prefix, at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    if text.startswith("[ONNXRuntimeError]"):
        text = text.split(" : ", 3)[-1]
    return text if len(text) <= 300 else text[:297] + "…"
