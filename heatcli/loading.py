"""Loading: a model file and what is known of it become an explainer.

file ─ network ──► layer list ─ known, pictures ──► preprocessing, labels ──► Explainer
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from heatcli import network
from heatcli.errors import UnreadableModel, UsageError, shown
from heatcli.explainer import Explainer
from heatcli.explanation import ModelInfo
from heatcli.inputs import Range, constants
from heatcli.known.cache import altered
from heatcli.known.locate import by_name, locate
from heatcli.known.registry import labels as known_labels
from heatcli.known.registry import recognise
from heatcli.limits import Limits
from heatcli.network import file
from heatcli.network.layers import OutputSpec
from heatcli.pictures import preprocessing
from heatcli.pictures.facts import from_known, sidecar_path
from heatcli.pictures.labels import both, labels_from_metadata, read_labels

Array = np.ndarray
LONGEST_NAME = 1000


def load(
    model: str | Path,
    *,
    preprocess: str = "auto",
    labels: str | Path | Sequence[str] | None = None,
    size: int | str | tuple[int, int] | None = None,
    fit: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    scale: float | None = None,
    channels: str | None = None,
    layout: str | None = None,
    inputs: Mapping[str, str | Path | Array] | None = None,
    range: Range | None = None,
    threads: int | None = None,
    precision: str = "float32",
    engine: str = "numpy",
    provider: str = "cpu",
    limits: Limits | Mapping[str, int | str] | None = None,
) -> Explainer:
    """Load an ONNX classifier and settle how pictures become its input.

    ``model`` is a path, or the name of a known model that has been fetched; a file of that name goes first.
    ``preprocess`` is ``"auto"`` or a preset's name; ``size`` (height, width), ``fit``, ``mean``, ``std``, ``scale``,
    ``channels`` and ``layout`` override single facts of it. ``labels`` is a file or a list. ``inputs`` gives, by name,
    arrays or .npy files for the inputs of a network that takes more than the picture. ``range`` gives the bounds of the
    network input for z^B where no preprocessing says them. ``threads`` bounds onnxruntime; ``precision`` is that of the
    relevance pass. ``engine`` is numpy, or compiled: the relevance pass is written as ONNX nodes too, and onnxruntime
    runs both; ``provider`` is what onnxruntime runs on. ``limits`` say how large the file and pictures may be and how
    much memory the network may take, all of them or by name as in ``{"nodes": "100k"}``. A network that cannot be read
    into layers loads too: the methods that need layers refuse it. Raises ModelError where the model cannot be used,
    UsageError where an option does not fit.
    """
    if not isinstance(model, str | Path):
        raise UsageError(f"the model must be the path of an .onnx file, not {type(model).__name__}")
    if threads is not None and threads < 1:
        raise UsageError(f"threads must be 1 or more, not {threads}")
    bounds = Limits.of(limits)
    path, named = locate(model), by_name(model)
    sides = preprocessing.parse_size(size) if size is not None else None
    order = layout.upper() if layout and layout not in ("flat", "tensor") else layout
    sidecar = preprocessing.read_sidecar(path)
    given = constants(inputs or _beside(path, sidecar))
    with ThreadPoolExecutor(1) as worker:  # hashing lets other threads run
        digest = worker.submit(file.digest, path, bounds)
        if named is not None and digest.result() != named.sha256:  # before anything of it is parsed
            raise UnreadableModel(altered(path, named))
        read = network.read(
            path,
            size=sides,
            suggested=lambda metadata: preprocessing.stated_size(path, metadata),
            layout=order,
            inputs={name: entry.value for name, entry in given.items()},
            limits=bounds,
        )
        sha256 = digest.result()
    recognised = recognise(sha256)
    settled, notes = preprocessing.resolve(
        read.input,
        preprocess=preprocess,
        size=sides,
        fit=fit,
        mean=mean,
        std=std,
        scale=scale,
        channels=channels,
        layout=order,
        model_path=path,
        metadata=read.metadata,
        producer=read.producer,
        known=None
        if recognised is None
        else from_known(recognised.settings, recognised.name, checked=recognised.checked),
    )
    if labels is None and (beside := sidecar.get("labels")):
        labels = _own(path, beside) if isinstance(beside, str) else beside
    names = _labels(labels, path, read.output)
    if names is None and recognised is not None and recognised.classes == read.output.classes:
        names = known_labels(recognised)
    if names is None and (names := read.labels):
        notes = (*notes, "labels are the model's own, from its graph; change with --labels")
    if names is None and (names := labels_from_metadata(read.metadata, read.output.classes)):
        notes = (*notes, "labels are the model's own, from its metadata; change with --labels")
    return Explainer(
        read,
        model=ModelInfo(str(path), sha256, read.producer),
        preprocessing=settled,
        labels=names,
        notes=notes,
        range=range,
        threads=threads,
        precision=precision,
        activation=sidecar.get("activation") or "softmax",
        engine=engine,
        provider=provider,
        inputs=given,
        limits=bounds,
    )


def _beside(model: Path, sidecar: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs that the sidecar file gives: numbers, or files whose names are seen from the model."""
    stated = sidecar.get("inputs") or {}
    if not isinstance(stated, dict):
        raise UsageError(f"{sidecar_path(model)}: inputs: an object from names to files or numbers is needed")
    return {name: _named(model, value) if isinstance(value, str) else value for name, value in stated.items()}


def _named(model: Path, name: str) -> Path:
    """Return the file of that name as seen from the model, which its sidecar names."""
    if len(name) > LONGEST_NAME:
        raise UsageError(f"{sidecar_path(model)}: {shown(name)} is no name of a file")
    return model.parent / name


def _own(model: Path, name: str) -> Path:
    """Return the file of that name in the model's folder; raises UsageError where it is anywhere else.

    Text of any file could come into records and pictures by way of labels.
    """
    path = _named(model, name)
    try:
        inside = path.resolve().is_relative_to(model.parent.resolve())
    except (OSError, ValueError, RuntimeError):  # names that no file can have, links that go round in a circle
        inside = False
    if not inside:
        raise UsageError(
            f"{sidecar_path(model)}: the labels are said to lie outside the model's folder ({shown(name)}): refused; "
            "--labels takes them from anywhere"
        )
    return path


def _labels(labels: Any, model: Path, output: OutputSpec) -> tuple[str, ...] | None:
    if labels is None:
        return None
    if isinstance(labels, str | Path):
        return read_labels(labels, output.classes, single=output.single)
    if not isinstance(labels, Sequence) or not all(isinstance(label, str | int) for label in labels):
        raise UsageError(f"labels of {model}: a file or a list of names is needed, not a {type(labels).__name__}")
    if output.single and len(labels) == 1:
        return both(str(labels[0]))
    if len(labels) != output.classes:
        raise UsageError(f"{len(labels)} labels were given, but {model} has {output.classes} classes")
    return tuple(map(str, labels))
