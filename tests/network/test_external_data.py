"""Weights in other files: only what lies in the model's folder is read, and only as far as it is there."""

from __future__ import annotations

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import heatcli
from heatcli.errors import UnreadableModel
from tests.network.strangers import CONVOLUTION, FLOAT, classifier, f, proto, refusal, tensor


def outside(location: str, **told: object) -> onnx.TensorProto:
    held = tensor(data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **told}.items():
        held.external_data.add(key=key, value=str(value))
    return held


@pytest.fixture
def folder(tmp_path):
    """A model's folder, beside which lies a file that is none of its business."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "w.bin").write_bytes(f(5, 3, 3, 3).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "w.bin").write_bytes(f(5, 3, 3, 3).tobytes())
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "link.bin").symlink_to(tmp_path / "secret" / "w.bin")
    (folder / "round").symlink_to(folder / "round")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.bin")
    return folder


OUTSIDE = {
    "../secret/w.bin": "outside the model's folder",
    "a/../../secret/w.bin": "outside the model's folder",
    "link.bin": "outside the model's folder",
    "out/w.bin": "outside the model's folder",
    "/etc/hostname": "outside the model's folder",
    "": "outside the model's folder",
    "w\0.bin": "outside the model's folder",
    "x" * 5000: "(outside the model's folder|missing)",
    "round": "(outside the model's folder|missing)",
    "pipe.bin": "is not a regular file",
    ".": "is not a regular file",
    "none.bin": "is missing; put it beside the model",
}


@pytest.mark.parametrize("place", ["initializer", "attribute", "branch", "function"])
@pytest.mark.parametrize("location", OUTSIDE, ids=lambda text: repr(text[:20]))
def test_files_that_are_none_of_the_models_business(folder, location, place, unopened):
    held = outside(location)
    if place == "initializer":
        model = classifier(w=held)
    else:
        node = helper.make_node("Constant", [], ["w"], value=held)
        model = proto([node, *CONVOLUTION], {"yes": np.array(True)})
        if place == "branch":
            held.name = "inner"
            graph = helper.make_graph([helper.make_node("Identity", ["inner"], ["w"])], "b", [],
                                      [helper.make_tensor_value_info("w", FLOAT, None)], [held])  # fmt: skip
            node = helper.make_node("If", ["yes"], ["w"], then_branch=graph, else_branch=graph)
            model = proto([node, *CONVOLUTION], {"yes": np.array(True)})
        elif place == "function":
            function = helper.make_function("own", "F", [], ["w"], [node], [helper.make_opsetid("", 17)])
            call = helper.make_node("F", [], ["w"], domain="own")
            model = proto([call, *CONVOLUTION], {}, functions=[function])
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnreadableModel, match=OUTSIDE[location]) as caught:
        heatcli.load(path)
    assert len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"offset": -4}, "too short for w"),
        ({"offset": 4}, "too short for w"),
        ({"offset": 2**63}, "too short for w"),
        ({"offset": "9" * 5000}, "cannot be read"),
        ({"offset": "four"}, "cannot be read"),
        ({"length": 100}, "takes 540 bytes by its shape, but 100 are said to lie in w.bin"),
        ({"length": -540}, "but -540 are said to lie"),
        ({"length": "5" * 5000}, "takes 540 bytes by its shape"),
    ],
)
def test_places_in_a_file_that_are_not_there(folder, told, said, unopened):
    assert said in refusal(classifier(w=outside("w.bin", **told)), folder / "m.onnx")


def test_a_constant_that_lies_in_two_places(folder, unopened):
    held = outside("w.bin")
    held.external_data.add(key="location", value="../secret/w.bin")
    assert "said twice to lie in another file" in refusal(classifier(w=held), folder / "m.onnx")


@pytest.mark.parametrize("place", ["attribute", "branch"])
def test_constants_inside_of_nodes_are_read_from_their_files(folder, place):
    held, path, x = outside("w.bin"), folder / "m.onnx", f(1, 3, 8, 8).clip(0, 1)
    path.write_bytes(classifier().SerializeToString())
    expected = heatcli.load(path, range=(0, 1)).explain(x)
    node = helper.make_node("Constant", [], ["w"], value=held)
    if place == "branch":
        held.name = "inner"
        graph = helper.make_graph([helper.make_node("Identity", ["inner"], ["w"])], "b", [],
                                  [helper.make_tensor_value_info("w", FLOAT, None)], [held])  # fmt: skip
        node = helper.make_node("If", ["yes"], ["w"], then_branch=graph, else_branch=graph)
    path.write_bytes(proto([node, *CONVOLUTION], {"yes": np.array(True)}).SerializeToString())
    found = heatcli.load(path, range=(0, 1)).explain(x)
    np.testing.assert_array_equal(found.relevance, expected.relevance)
