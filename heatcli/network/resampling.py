"""Resize and Upsample, axis by axis: what each new sampling point takes of the old ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from heatcli import runtime

Array = np.ndarray
Shape = tuple[int, ...]
MOST = 1 << 27
"""Numbers that the matrix of an axis may have: those of an axis of eleven thousand points."""
FORM = (
    "antialias",
    "coordinate_transformation_mode",
    "cubic_coeff_a",
    "exclude_outside",
    "extrapolation_value",
    "mode",
    "nearest_mode",
)
"""Attributes that say how one axis is sampled."""


class NotByAxis(Exception):
    """The axes cannot be sampled one after the other; the message is the reason."""


@dataclass(frozen=True)
class Sampling:
    """How a node samples: its ``operation``, the operator set, the attributes of ``FORM``; a ``scale`` for every axis.

    Scales are None where the node says sizes instead.
    """

    operation: str
    opset: int
    form: Mapping[str, Any]
    scales: tuple[float, ...] | None

    def matrix(self, axis: int, length: int, wanted: int) -> Array:
        """Return the matrix (length, wanted) of one axis: onnxruntime samples the identity.

        Raises NotByAxis where it would be too large.
        """
        if length * max(length, wanted) > MOST:
            raise NotByAxis(f"an axis goes from {length:,} to {wanted:,} points, which takes too large a matrix")
        scales = None if self.scales is None else [1.0, self.scales[axis]]
        inputs, constants, attributes = self.node([length, wanted], scales)
        graph = helper.make_graph(
            [helper.make_node(self.operation, ["x", *inputs], ["y"], **attributes)],
            "sampling",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [length, length])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        session = runtime.open_session(model.SerializeToString(), level="none", threads=1)
        return np.asarray(runtime.run(session, ["y"], {"x": np.eye(length, dtype=np.float32)})[0])

    def node(self, sizes: list[int], scales: list[float] | None) -> tuple[list[str], dict[str, Array], dict[str, Any]]:
        """Return what a node needs beside its tensor: names of further inputs, their values, attributes."""
        attributes = dict(self.form)
        constants: dict[str, Array] = {}
        if scales is not None:
            constants["scales"] = np.asarray(scales, np.float32)
        else:
            constants["sizes"] = np.asarray(sizes, np.int64)
        if self.operation == "Upsample" and self.opset < 9:
            assert scales is not None
            return [], {}, attributes | {"scales": [float(scale) for scale in scales]}
        if self.operation == "Upsample" or self.opset == 10:
            return ["scales"], constants, attributes
        nothing = "" if self.opset >= 13 else "nothing"
        if nothing:
            constants[nothing] = np.zeros(0, np.float32)
        return ([nothing, "scales"] if scales is not None else [nothing, nothing, "sizes"]), constants, attributes


def settled(
    operation: str,
    opset: int,
    shape: Shape,
    attributes: Mapping[str, Any],
    scales: Array | None,
) -> Sampling:
    """Return how a node samples a tensor of ``shape``; raises NotByAxis for what does more than that."""
    if attributes.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        raise NotByAxis("a region is cut out and resized")
    if attributes.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NotByAxis("the shape of the picture is kept")
    form = {name: attributes[name] for name in FORM if name in attributes}
    given = attributes.get("scales") if scales is None or not scales.size else scales.reshape(-1).tolist()
    if given is None:
        return Sampling(operation, opset, form, None)
    axes = attributes.get("axes", range(len(shape)))
    whole = [1.0] * len(shape)
    for axis, scale in zip(axes, given, strict=True):
        whole[axis] = float(scale)
    return Sampling(operation, opset, form, tuple(whole))
