"""The file of a network's relevance models, MODEL.relevance.npz: arrays by layer, what they were fitted for and how.

``description`` is JSON: schema, model (name and sha256), layers (a name and the report of its fit each), and whatever
was settled. Array ``0/v`` belongs to the first layer in that list, with ``0/upper`` v_lj and ``0/offset`` d; float32.
Nothing in the file is run: arrays of Python objects are refused, and so is a file that unpacks to more than its network
can need.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from heatcli.errors import UsageError
from heatcli.network.layers import Network
from heatcli.opening import Irregular, TooLarge, content, reason
from heatcli.relevance.detection import Detection, detections
from heatcli.relevance.models import RelevanceModel

Array = np.ndarray

SCHEMA = 1
PARTS = ("v", "upper", "offset")
SLACK = 1 << 20
"""Bytes that headers and the description may take."""
NOT_UNDERSTOOD = (
    *(ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, RuntimeError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What NumPy, zipfile and json raise at files that are damaged or foreign."""


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds: relevance ``models`` by layer, its ``description``, and the ``sha256`` of the file."""

    path: Path
    models: dict[str, RelevanceModel]
    description: dict[str, Any]
    sha256: str

    def record(self) -> dict[str, str]:
        """Return where it came from, and what tells it from another."""
        return {"file": str(self.path), "sha256": self.sha256}


class ModelFile:
    """The relevance models of one network, read once while their file stays as it is; safe to use from threads."""

    def __init__(self, network: Network, model: str | Path, sha256: str) -> None:
        """Take the network, its file ``model`` and the checksum of that."""
        self._network, self._model, self._sha256 = network, model, sha256
        self._last: tuple[tuple[Path, int, int], Stored] | None = None
        self._came = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what came from another process or machine; a file of the same name here may be another one."""
        self.__dict__.update(state, _came=True)

    def read(self, given: str | None) -> Stored:
        """Return what the file ``given`` holds, by default the one beside the model; raises UsageError as ``read``."""
        path = beside(self._model) if given is None else Path(given)
        if self._came and self._last is not None and self._last[0][0] == path:
            return self._last[1]
        try:
            state = path.stat()
        except OSError:
            if given is not None:
                raise UsageError(f"--relevance-model {path}: no such file; `heatcli fit` writes it") from None
            raise UsageError(
                f"deep-taylor-minmax needs relevance models, and there is no {path}\n"
                f"`heatcli fit {self._model} --images DIR` fits them; --relevance-model names another file."
            ) from None
        key, last = (path, state.st_mtime_ns, state.st_size), self._last
        if last is None or last[0] != key:
            last = (key, read(path, self._network, self._sha256))
            self._last = last
        return last[1]


def beside(model: str | Path) -> Path:
    """Return where the relevance models of the network in file ``model`` are looked for."""
    return Path(model).with_suffix(".relevance.npz")


def write(stream: BinaryIO, models: Sequence[RelevanceModel], description: Mapping[str, Any]) -> None:
    """Write ``models`` in the order of the layers that ``description`` lists."""
    arrays: dict[str, Array] = {"description": np.array(json.dumps({"schema": SCHEMA, **description}))}
    for place, model in enumerate(models):
        for name, value in zip(PARTS, (model.weights, model.upper, model.offset), strict=True):
            arrays[f"{place}/{name}"] = value.astype(np.float32, copy=False)
    # NumPy below 2.1 has no allow_pickle here and would store it as an array
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def read(path: Path, network: Network, sha256: str) -> Stored:
    """Return what the file at ``path`` holds for ``network``, whose own file has the checksum ``sha256``.

    Raises UsageError where there is no such file, it is damaged, or belongs to another network.
    """
    found = detections(network)
    most = SLACK + sum(4 * math.prod(shape) for entry in found for shape in shapes(entry))
    try:
        packed = content(path, most + SLACK)
        description = _description(packed)
    except (FileNotFoundError, Irregular):
        raise UsageError(f"{path}: no such file of relevance models; `heatcli fit` writes it") from None
    except TooLarge:
        raise UsageError(
            f"{path}: has more than the {most:,} bytes that relevance models of this network take; "
            "is it that of another one?"
        ) from None
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({reason(error)})") from error
    except NOT_UNDERSTOOD as error:
        raise damaged(path) from error
    fitted_for = description["model"]
    if fitted_for["sha256"] != sha256:
        raise UsageError(
            f"{path}: was fitted for {fitted_for['name']} (sha256 {fitted_for['sha256'][:12]}…), not for this network "
            f"(sha256 {sha256[:12]}…)\n`heatcli fit` fits relevance models to this one."
        )
    try:
        models = _models(packed, description, found, most)
    except NOT_UNDERSTOOD as error:
        raise damaged(path) from error
    return Stored(path, models, description, hashlib.sha256(packed).hexdigest())


def damaged(path: Path) -> UsageError:
    """Return the error for a file that cannot be understood."""
    return UsageError(f"{path}: is no file of relevance models, or damaged; `heatcli fit --overwrite` writes it anew")


def shapes(detection: Detection) -> tuple[tuple[int, ...], ...]:
    """Return the shapes of v, v_lj and d of a layer."""
    seen = sum(upper.channels for upper in detection.uppers)
    return detection.layer.weights.shape, (seen, detection.neurons), (detection.neurons,)


def _description(packed: bytes) -> dict[str, Any]:
    """Return what the file says of itself; raises one of ``NOT_UNDERSTOOD`` where it is none of ours."""
    with zipfile.ZipFile(io.BytesIO(packed)) as parts:
        # NumPy takes the name as it stands before it takes the one with an ending
        if parts.getinfo("description.npy").file_size > SLACK or "description" in parts.namelist():
            raise ValueError("no description is that long")
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        described = json.loads(str(arrays["description"][()]))
    model = described["model"]
    if described["schema"] != SCHEMA or not isinstance(model["sha256"], str) or not isinstance(model["name"], str):
        raise ValueError("another schema")
    return dict(described)


def _models(
    packed: bytes, description: Mapping[str, Any], found: Sequence[Detection], most: int
) -> dict[str, RelevanceModel]:
    """Return the models by layer; raises one of ``NOT_UNDERSTOOD`` where an array does not fit its layer.

    The file unpacks to ``most`` bytes at most.
    """
    by_name = {entry.layer.name: entry for entry in found}
    with zipfile.ZipFile(io.BytesIO(packed)) as parts:
        if sum(entry.file_size for entry in parts.infolist()) > most:
            raise ValueError("it unpacks to more than the network can need")
    models = {}
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        for place, entry in enumerate(description["layers"]):
            detection = by_name[entry["name"]]
            values = [arrays[f"{place}/{part}"] for part in PARTS]
            for value, shape in zip(values, shapes(detection), strict=True):
                if value.shape != shape or value.dtype != np.float32 or not np.isfinite(value).all():
                    raise ValueError(f"an array of {entry['name']} does not fit")
            models[entry["name"]] = RelevanceModel(detection, *values)
    return models
