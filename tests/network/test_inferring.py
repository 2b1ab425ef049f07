"""Shapes are inferred without the inference ending the process, and are those that onnx infers by itself."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import UnreadableModel
from heatcli.network.inferring import inferred

CUT = helper.make_node("Slice", ["t", "begin", "end", "axis"], ["y"])
BOUNDS = {"begin": np.array([2]), "end": np.array([9]), "axis": np.array([2])}


def node(operation, *inputs, out="t", **attributes):
    return helper.make_node(operation, inputs, [out], **attributes)


def model(nodes, constants, size=8):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, size, size))
    y = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def shapes(whole):
    entries = (*whole.graph.value_info, *whole.graph.output)
    return {entry.name: [dim.dim_value for dim in entry.type.tensor_type.shape.dim] for entry in entries}


def kernel(size):
    return np.zeros((4, 3, size, size), "float32")


# each of these ends a process that leaves it to onnx or onnxruntime
TAKEN_AWAY = {
    "Conv": (node("Conv", "x", "w"), {"w": kernel(20)}),
    "MaxPool": (node("MaxPool", "x", kernel_shape=[20, 20]), {}),
    "ConvTranspose": (node("ConvTranspose", "x", "w", pads=[9] * 4), {"w": kernel(2).transpose(1, 0, 2, 3)}),
    "Pad": (node("Pad", "x", "p"), {"p": np.array([0, 0, -90, 0, 0, 0, 0, 0])}),
    "Resize": (node("Resize", "x", "", "p"), {"p": np.array([1, 1, -2, 1], "float32")}),
    "Split": (helper.make_node("Split", ["x", "p"], ["t", "rest"], axis=2), {"p": np.array([-2, 10])}),
}


@pytest.mark.parametrize("name", TAKEN_AWAY)
def test_sides_below_zero(tmp_path, name):
    first, constants = TAKEN_AWAY[name]
    path = tmp_path / "m.onnx"
    path.write_bytes(model([first, CUT], BOUNDS | constants).SerializeToString())
    with pytest.raises(UnreadableModel, match=r"the tensor t would be 1x\dx-\d+x.* give a larger --size"):
        heatcli.load(path)


@pytest.mark.parametrize("declared", ["value_info", "output"])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT64])
def test_what_a_file_declares_hides_no_side(tmp_path, declared, kind):
    first, constants = TAKEN_AWAY["Conv"]
    untrue = model([first, CUT], BOUNDS | constants)
    info = helper.make_tensor_value_info("t" if declared == "value_info" else "y", kind, [1, 4, 5, 5])
    if declared == "value_info":
        untrue.graph.value_info.append(info)
    else:
        untrue.graph.output[0].CopyFrom(info)
    path = tmp_path / "m.onnx"
    path.write_bytes(untrue.SerializeToString())
    with pytest.raises(UnreadableModel, match="the tensor t would be"):
        heatcli.load(path)


def test_sides_below_zero_behind_a_slice():
    nodes = [node("Slice", "x", "begin", "end", "axis", out="s"), node("Conv", "s", "w"), CUT]
    constants = BOUNDS | {"w": np.zeros((4, 3, 7, 3), "float32")}
    assert shapes(inferred(model([nodes[0], nodes[1], node("Relu", "t", out="y")], constants)))["s"] == [1, 3, 6, 8]
    with pytest.raises(UnreadableModel, match="the tensor t would be 1x4x-2x6"):
        inferred(model(nodes, constants | {"w": np.zeros((4, 3, 9, 3), "float32")}))


def test_sides_below_zero_in_a_branch():
    inner = helper.make_graph([node("Conv", "x", "w"), CUT], "b", [], [helper.make_empty_tensor_value_info("y")])
    choose = node("If", "yes", out="z", then_branch=inner, else_branch=inner)
    with pytest.raises(UnreadableModel, match="the tensor t would be"):
        inferred(model([choose], BOUNDS | {"w": kernel(20), "yes": np.array(True)}))


def test_turns_without_end():
    nodes, last = [], "x"
    for turn in range(1000):
        nodes += [
            node("Slice", last, "begin", "end", "axis", out=f"s{turn}"),
            node("MaxPool", f"s{turn}", out=f"p{turn}", kernel_shape=[1, 1]),
        ]
        last = f"p{turn}"
    with pytest.raises(UnreadableModel, match="take turns 999 times"):
        inferred(model(nodes, BOUNDS | {"begin": np.array([0])}))


@pytest.fixture
def looks(monkeypatch):
    """How often onnx was asked."""
    asked, infer = [], onnx.shape_inference.infer_shapes

    def counted(*arguments, **options):
        asked.append(1)
        return infer(*arguments, **options)

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", counted)
    return asked


@pytest.mark.parametrize(
    ("pads", "times"),
    [([0, 0, 1, 1, 0, 0, 1, 1], 2), ([0, 0, -1, 1, 0, 0, 1, 1], 3), (None, 3), ([0, 0, 1 << 17, 0, 0, 0, 0, 0], 3)],
)
def test_pads_that_take_nothing_away_cost_no_look(looks, pads, times):
    nodes = [
        node("Conv", "x", "w", out="a"),
        node("Slice", "a", "begin", "end", "axis", out="b"),
        node("Pad", "b", "pads" if pads else "computed", out="c"),
        node("Slice", "c", "begin", "end", "axis", out="y"),
    ]
    computed = [node("Cast", "real", out="computed", to=TensorProto.INT64)] if pads is None else []
    numbers = {"pads": np.array(pads)} if pads else {"real": np.ones(8, "float32")}
    inferred(model([*computed, *nodes], BOUNDS | {"w": kernel(1)} | numbers))
    assert len(looks) == times


def test_rows_of_sizes_cost_no_look(looks):
    """Networks whose pads depend on the size of what comes in have slices of sizes at every layer."""
    nodes, last = [], "x"
    for turn in range(5):
        nodes += [
            node("Shape", last, out=f"s{turn}"),
            node("Cast", f"s{turn}", out=f"t{turn}", to=TensorProto.INT64),
            node("Slice", f"t{turn}", "begin", "end", "zero", out=f"u{turn}"),
            node("Concat", "none", f"u{turn}", f"u{turn}", out=f"v{turn}", axis=0),
            node("Mul", f"v{turn}", "zero", out=f"p{turn}"),
            node("Concat", f"p{turn}", "two", out=f"q{turn}", axis=0),
            node("Pad", last, f"q{turn}", out=f"d{turn}"),
            node("MaxPool", f"d{turn}", out=f"e{turn}", kernel_shape=[1, 1]),
        ]
        last = f"e{turn}"
    rows = {"zero": np.array([0]), "none": np.zeros(0, np.int64), "two": np.zeros(4, np.int64)}
    whole = inferred(model(nodes, BOUNDS | rows))
    assert shapes(whole)["u4"] == [2]
    assert len(looks) == 1


@pytest.mark.parametrize("named", ["kernel", "t"])
def test_one_name_for_several_tensors(named):
    """What a branch calls a constant may be a tensor elsewhere, and one that is taken from."""
    constant = numpy_helper.from_array(np.zeros((1, 3, 8, 8), "float32"), named)
    empty = helper.make_graph(
        [node("Relu", named, out="z")], "b", [], [helper.make_empty_tensor_value_info("z")], [constant]
    )
    choose = node("If", "yes", out="z2", then_branch=empty, else_branch=empty)
    nodes = [node("Conv", "x", "w"), choose, CUT]
    with pytest.raises(UnreadableModel, match="the tensor t would be"):
        inferred(model(nodes, BOUNDS | {"w": kernel(20), "yes": np.array(True)}))


def test_more_elements_than_there_can_be():
    nodes = [node("Tile", "x", "many"), CUT]
    with pytest.raises(UnreadableModel, match="more than any computer holds"):
        inferred(model(nodes, BOUNDS | {"many": np.array([1, 1, 1 << 40, 1])}))


def test_shapes_are_those_of_onnx():
    nodes = [
        node("Conv", "x", "w", out="a"),
        node("Slice", "a", "begin", "end", "axis", out="b"),
        node("Shape", "b", out="s"),
        node("Slice", "s", "begin", "end", "zero", out="hw"),
        node("Concat", "front", "hw", out="to", axis=0),
        node("Resize", "b", "", "", "to", out="c"),
        node("Slice", "c", "begin", "end", "axis", out="d"),
        node("MaxPool", "d", out="e", kernel_shape=[3, 3]),
        node("Slice", "e", "begin", "end", "axis", out="y"),
    ]
    constants = BOUNDS | {"w": kernel(3), "zero": np.array([0]), "front": np.array([1, 4])}
    for data in (True, False):
        whole = onnx.shape_inference.infer_shapes(model(nodes, constants, 24), data_prop=data)
        assert shapes(inferred(model(nodes, constants, 24), data=data)) == shapes(whole)
    assert shapes(inferred(model(nodes, constants, 24)))["y"] == [1, 4, 1, 20]
