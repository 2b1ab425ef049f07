"""Models that nobody vouches for: every one is refused in one line, before onnxruntime sees it, or explained."""

from __future__ import annotations

import hashlib
import json
import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import heatcli
from heatcli.errors import HeatcliError, ModelError, UnreadableModel, UnsupportedModel
from tests.network.strangers import CONVOLUTION, FLOAT, INT64, Value, classifier, f, proto, refusal


def test_the_classifier_itself_is_sound(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(classifier().SerializeToString())
    assert heatcli.load(path, range=(0, 1)).explain(f(1, 3, 8, 8).clip(0, 1)).score


# the file -------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_only_regular_files_are_opened(tmp_path):
    pipe = tmp_path / "m.onnx"
    os.mkfifo(pipe)
    for path, said in ((pipe, "a pipe or a device"), (tmp_path, "is a folder"), (Path("/dev/zero"), "a device")):
        with pytest.raises(UnreadableModel, match=rf"{said}.*not a regular file; give the path of an \.onnx file"):
            heatcli.load(path)
    link = tmp_path / "link.onnx"
    link.symlink_to(pipe)
    with pytest.raises(UnreadableModel, match="not a regular file"):
        heatcli.load(link)


def test_a_link_to_a_model_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    real = tmp_path / "there" / "real.onnx"
    real.write_bytes(classifier().SerializeToString())
    (tmp_path / "link.onnx").symlink_to(real)
    assert heatcli.load(tmp_path / "link.onnx").network.output.classes == 5


def test_a_file_of_a_size_is_refused_unread(tmp_path, monkeypatch):
    """Not for its checksum either: a file with holes can have terabytes."""
    hashed: list[object] = []
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: hashed.append(given))
    path = tmp_path / "m.onnx"
    with path.open("wb") as stream:
        stream.truncate(2_100_000_000)
    with pytest.raises(UnreadableModel, match=r"has 2.1G bytes; 2G are accepted; --limit file=2.1G accepts it"):
        heatcli.load(path)
    with path.open("wb") as stream:
        stream.truncate(3 * 10**9)
    for limits in ({}, {"file": "4G"}):
        with pytest.raises(UnreadableModel, match=r"more than the 2 GiB that an ONNX file can have"):
            heatcli.load(path, limits=limits)
    assert not hashed


def test_what_is_no_model_in_binary_form(tmp_path):
    """The onnx package would read these by their endings."""
    for name, content in (("m.json", b'{"irVersion": "8"}'), ("m.textproto", b"ir_version: 8"), ("m.onnxtxt", b"<")):
        assert "cannot be read as an ONNX model" in refusal(content, tmp_path / name)


# versions -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [0, -1, 10**9, 2**62])
def test_operator_sets_that_there_are_not(tmp_path, version, unopened):
    model = classifier()
    model.opset_import[0].version = version
    assert f"asks for version {version} of the operators ai.onnx" in refusal(model, tmp_path / "m.onnx")


@pytest.mark.parametrize("version", [0, -7, 2**62])
def test_formats_that_there_are_not(tmp_path, version, unopened):
    model = classifier()
    model.ir_version = version
    assert f"its format has version {version}" in refusal(model, tmp_path / "m.onnx")


@pytest.mark.parametrize(("place", "version"), [("opset", 400), ("ir", 400)])
def test_versions_that_onnxruntime_does_not_know(tmp_path, place, version):
    model = classifier()
    if place == "ir":
        model.ir_version = version
    else:
        model.opset_import[0].version = version
    assert "onnxruntime cannot open the model" in refusal(model, tmp_path / "m.onnx")


# names ----------------------------------------------------------------------------------------------------------------

relu = helper.make_node
NAMES = {
    "a circle": ([relu("Add", ["x", "b"], ["a"]), relu("Relu", ["a"], ["b"])], r"go round in a circle, at Add \(a\)"),
    "itself": ([relu("Relu", ["a"], ["a"])], r"go round in a circle, at Relu \(a\)"),
    "made twice": (
        [relu("Relu", ["x"], ["a"]), relu("Neg", ["x"], ["a"])],
        r"Neg \(a\) makes a, which is there already",
    ),
    "over a constant": ([relu("Relu", ["x"], ["w"])], r"Relu \(w\) makes w, which is there already"),
    "over the input": ([relu("Relu", ["x"], ["x"])], r"(makes x, which is there already|in a circle)"),
    "missing": ([relu("Add", ["x", "nowhere"], ["a"])], r"Add \(a\) reads nowhere, which no input, constant or node"),
    "nothing": ([relu("", ["x"], ["a"])], r"has a node without an operation \(a node \(a\)\)"),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_in_disorder(tmp_path, case, unopened):
    nodes, said = NAMES[case]
    model = proto([*CONVOLUTION, *nodes], {"w": f(5, 3, 3, 3)})
    assert re.search(said, refusal(model, tmp_path / "m.onnx"))


def test_names_twice_and_outputs_from_nowhere(tmp_path, unopened):
    model = classifier()
    model.graph.initializer.append(model.graph.initializer[0])
    assert "two constants of the name 'w'" in refusal(model, tmp_path / "m.onnx")
    model = classifier()
    model.graph.input.append(model.graph.input[0])
    assert "two inputs of the name 'x'" in refusal(model, tmp_path / "m.onnx")
    model = classifier()
    model.graph.output[0].name = "gone"
    assert "has an output gone, which no node makes" in refusal(model, tmp_path / "m.onnx")


def test_nodes_out_of_order_are_sorted(tmp_path):
    """Onnxruntime takes them in any order too."""
    model, path = classifier(), tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    x = f(1, 3, 8, 8).clip(0, 1)
    expected = heatcli.load(path, range=(0, 1)).explain(x)
    nodes = list(model.graph.node)
    shuffled = onnx.ModelProto.FromString(model.SerializeToString())
    del shuffled.graph.node[:]
    shuffled.graph.node.extend(nodes[place] for place in (4, 2, 0, 3, 1))
    path.write_bytes(shuffled.SerializeToString())
    found = heatcli.load(path, range=(0, 1)).explain(x)
    np.testing.assert_array_equal(found.relevance, expected.relevance)


def test_names_made_to_mislead_stay_in_one_line(tmp_path):
    name = "a\nheatcli: all is well\x1b[2J" + "b" * 5000
    model = proto([*CONVOLUTION, relu("Add", ["x", name], ["q"])], {"w": f(5, 3, 3, 3)})
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as caught:
        heatcli.load(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_names_of_unsupported_nodes_stay_in_one_line(tmp_path):
    model = proto([relu("Foo", ["x"], ["y\nheatcli: all is well" + "z" * 1000], domain="my"), *CONVOLUTION[:2],
                   relu("GlobalAveragePool", ["y\nheatcli: all is well" + "z" * 1000], ["row"])],
                  {"w": f(5, 3, 3, 3)})  # fmt: skip
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UnsupportedModel) as caught:
        heatcli.load(path)
    assert all(len(line) < 400 + len(str(path)) for line in str(caught.value).splitlines())
    assert not any(line.startswith("heatcli: ") for line in str(caught.value).splitlines())


# control flow ---------------------------------------------------------------------------------------------------------


def forever() -> onnx.NodeProto:
    """A loop that does not end, on constants alone."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [value("i", INT64, []), value("go", TensorProto.BOOL, []), value("a", FLOAT, [1])],
        [value("on", TensorProto.BOOL, []), value("b", FLOAT, [1])],
    )
    return helper.make_node("Loop", ["", "true", "start"], ["ever"], body=body)


START: dict[str, Value] = {"true": np.array(True), "start": np.zeros(1, "float32")}
ADDED = helper.make_node("Add", ["x", "ever"], ["more"])


def in_the_graph() -> onnx.ModelProto:
    return proto([forever(), ADDED, *CONVOLUTION], {"w": f(5, 3, 3, 3), **START})


def in_a_branch() -> onnx.ModelProto:
    out = helper.make_tensor_value_info("ever", FLOAT, [1])
    branch = helper.make_graph([forever()], "branch", [], [out])
    other = helper.make_graph([helper.make_node("Identity", ["start"], ["ever"])], "other", [], [out])
    node = helper.make_node("If", ["true"], ["ever"], then_branch=branch, else_branch=other)
    return proto([node, ADDED, *CONVOLUTION], {"w": f(5, 3, 3, 3), **START})


def in_a_function() -> onnx.ModelProto:
    body = forever()
    function = helper.make_function("own", "F", ["true", "start"], ["ever"], [body], [helper.make_opsetid("", 17)])
    node = helper.make_node("F", ["true", "start"], ["ever"], domain="own")
    return proto([node, ADDED, *CONVOLUTION], {"w": f(5, 3, 3, 3), **START}, functions=[function])


def in_a_branch_of_a_function() -> onnx.ModelProto:
    out = helper.make_tensor_value_info("ever", FLOAT, [1])
    branch = helper.make_graph([forever()], "branch", [], [out])
    node = helper.make_node("If", ["true"], ["ever"], then_branch=branch, else_branch=branch)
    function = helper.make_function("own", "F", ["true", "start"], ["ever"], [node], [helper.make_opsetid("", 17)])
    call = helper.make_node("F", ["true", "start"], ["ever"], domain="own")
    return proto([call, ADDED, *CONVOLUTION], {"w": f(5, 3, 3, 3), **START}, functions=[function])


@pytest.mark.parametrize("hidden", [in_the_graph, in_a_branch, in_a_function, in_a_branch_of_a_function])
def test_a_loop_is_found_wherever_it_hides(tmp_path, hidden, unopened):
    assert re.search(r"Loop \(ever\): control flow", refusal(hidden(), tmp_path / "m.onnx"))


def test_a_loop_that_a_function_takes_by_default(tmp_path, unopened):
    """It comes into the graph where the function is written out."""
    branch = helper.make_graph([forever()], "branch", [], [helper.make_tensor_value_info("ever", FLOAT, [1])])
    node = helper.make_node("If", ["true"], ["out"])
    for name in ("then_branch", "else_branch"):
        node.attribute.add(name=name, type=onnx.AttributeProto.GRAPH, ref_attr_name="body")
    function = helper.make_function(
        "own", "F", ["true", "start"], ["out"], [node], [helper.make_opsetid("", 17)], [],
        [helper.make_attribute("body", branch)],
    )  # fmt: skip
    call = helper.make_node("F", ["true", "start"], ["ever"], domain="own")
    model = proto([call, ADDED, *CONVOLUTION], {"w": f(5, 3, 3, 3), **START}, functions=[function])
    assert "the function F has a graph by default" in refusal(model, tmp_path / "m.onnx")


@pytest.mark.parametrize("operation", ["Scan", "SequenceMap"])
def test_other_loops(tmp_path, operation, unopened):
    body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body",
                             [helper.make_tensor_value_info("a", FLOAT, None)],
                             [helper.make_tensor_value_info("b", FLOAT, None)])  # fmt: skip
    node = helper.make_node(operation, ["x"], ["s"], body=body)
    assert f"{operation} (s): control flow" in refusal(proto([node, *CONVOLUTION], {"w": f(5, 3, 3, 3)}),
                                                       tmp_path / "m.onnx")  # fmt: skip


@pytest.mark.parametrize("operation", ["EPContext", "PythonOp"])
def test_code_of_other_programs_is_not_run(tmp_path, operation, unopened):
    """A provider would load what the node names, such as an engine for one processor."""
    held = helper.make_node(operation, ["x"], ["s"], domain="com.microsoft", ep_cache_context="../engine.bin")
    model = proto([held, *CONVOLUTION], {"w": f(5, 3, 3, 3)})
    assert f"com.microsoft:{operation} (s): code of another program" in refusal(model, tmp_path / "m.onnx")


# what only seems sound ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{"group": 2**62}, {"group": -1}, {"strides": [1, 1, 1]}, {"dilations": [0, 1]}, {"pads": [1]}, {"group": 3}],
    ids=str,
)
def test_attributes_that_contradict_weights(tmp_path, changes):
    """Whatever onnxruntime lets pass of it: there is one line, and never a fault."""
    model = classifier()
    model.graph.node[0].attribute.extend(helper.make_attribute(name, value) for name, value in changes.items())
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as caught:
        heatcli.load(path).network.require_layers()
    assert str(caught.value).count("\n") <= 2


def test_nodes_without_inputs(tmp_path):
    nodes = [helper.make_node("Scaler", [], ["s"], domain="ai.onnx.ml"), *CONVOLUTION]
    assert "cannot be understood (IndexError" in refusal(proto(nodes, {"w": f(5, 3, 3, 3)}), tmp_path / "m.onnx")


def test_ten_thousand_sums_in_a_row(tmp_path):
    """Each could be one with all before it: looking for that at every one would take minutes."""
    names = ["c", *(f"a{place}" for place in range(10_000))]
    sums = [helper.make_node("Add", [before, before], [after]) for before, after in pairwise(names)]
    nodes = [CONVOLUTION[0], *sums, helper.make_node("GlobalAveragePool", [names[-1]], ["row"])]
    path = tmp_path / "m.onnx"
    path.write_bytes(proto(nodes, {"w": f(5, 3, 3, 3)}).SerializeToString())
    assert len(heatcli.load(path).network.layers) > 10_000


def test_thousands_of_outputs(tmp_path):
    model = classifier()
    for place in range(1001):
        model.graph.node.append(helper.make_node("Relu", ["logits"], [f"o{place}"]))
        model.graph.output.append(helper.make_tensor_value_info(f"o{place}", FLOAT, [1, 5]))
    assert refusal(model, tmp_path / "m.onnx").startswith("has 1,002 outputs; heatcli explains classifiers")


@pytest.mark.parametrize("operation", ["AveragePool", "MaxPool"])
def test_a_window_of_a_thousand_million(tmp_path, operation):
    """Only what lies in the padding is left out of it: the scores of the layers are those of the network."""
    pool = helper.make_node(operation, ["r"], ["p"], kernel_shape=[10**9 + 1] * 2, pads=[5 * 10**8] * 4)
    model = proto([*CONVOLUTION[:2], pool, helper.make_node("GlobalAveragePool", ["p"], ["row"])], {"w": f(5, 3, 3, 3)})
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    explainer = heatcli.load(path, range=(0, 1))
    (layer,) = (layer for layer in explainer.network.layers if layer.name == "p")
    assert layer.window.kernel == (11, 11)  # six inputs meet six outputs
    found = explainer.explain(f(1, 3, 8, 8).clip(0, 1), pool="winner")
    assert found.ledger.error == pytest.approx(0, abs=1e-4)


def test_an_axis_whose_matrix_would_take_gigabytes(tmp_path):
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["z"], mode="linear"),
        helper.make_node("Conv", ["z", "w"], ["c"]),
        *CONVOLUTION[1:],
    ]
    values = {"w": f(5, 3, 1, 3), "scales": np.float32([1, 1, 1, 1.0001])}
    model = proto(nodes, values, shape=(1, 3, 1, 50_000))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    refused = heatcli.load(path).network.refusal
    assert refused is not None
    assert "from 50,000 to 50,005 points, which takes too large a matrix" in refused.message


def test_labels_that_lie_elsewhere(tmp_path):
    """Text of any file would come into records by way of labels."""
    (tmp_path / "there").mkdir()
    path, secret = tmp_path / "there" / "m.onnx", tmp_path / "secret.txt"
    path.write_bytes(classifier().SerializeToString())
    secret.write_text("a\nb\nc\nd\ne\n", encoding="utf-8")
    (tmp_path / "there" / "link.txt").symlink_to(secret)
    (tmp_path / "there" / "own.txt").write_text("v\nw\nx\ny\nz\n", encoding="utf-8")
    for name in ("../secret.txt", str(secret), "link.txt", "a\0b", "a" * 900):
        path.with_suffix(".heatcli.json").write_text(json.dumps({"labels": name}), encoding="utf-8")
        with pytest.raises(HeatcliError) as caught:
            heatcli.load(path)
        assert "outside the model's folder" in str(caught.value) or name == "a" * 900
    path.with_suffix(".heatcli.json").write_text('{"labels": "own.txt"}', encoding="utf-8")
    assert heatcli.load(path).labels == ("v", "w", "x", "y", "z")


# functions ------------------------------------------------------------------------------------------------------------


def calling(name: str, *called: str, constant: int = 0) -> onnx.FunctionProto:
    """Return a function that calls others one after the other."""
    nodes = [helper.make_node("Relu", ["a"], ["t0"])]
    for place, other in enumerate(called):
        nodes.append(helper.make_node(other, [f"t{place}"], [f"t{place + 1}"], domain="own"))
    if constant:
        held = numpy_helper.from_array(np.zeros(constant, "float32"), "held")
        nodes.append(helper.make_node("Constant", [], ["unused"], value=held))
    nodes.append(helper.make_node("Identity", [nodes[len(called)].output[0]], ["b"]))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_function("own", name, ["a"], ["b"], nodes, opsets)


def functional(functions: list[onnx.FunctionProto], times: int = 1) -> onnx.ModelProto:
    calls = [helper.make_node(functions[-1].name, [f"y{n}" if n else "x"], [f"y{n + 1}"], domain="own")
             for n in range(times)]  # fmt: skip
    return proto([*calls, *CONVOLUTION], {"w": f(5, 3, 3, 3)}, functions=functions)


def test_functions_that_unfold_into_billions(tmp_path, unopened):
    doubling = [calling("f0")] + [calling(f"f{n}", f"f{n - 1}", f"f{n - 1}") for n in range(1, 30)]
    assert re.search(r"functions that unfold into [\d.]+G nodes; 50,000 are accepted", refusal(functional(doubling), tmp_path / "m.onnx"))  # fmt: skip  # noqa: E501


def test_functions_that_unfold_into_many_bytes(tmp_path, unopened):
    model = functional([calling("f", constant=100_000)], times=6000)
    assert re.search(r"functions that unfold into 2\.4G bytes; 2\.15G are", refusal(model, tmp_path / "m.onnx"))


@pytest.mark.parametrize(
    ("functions", "said"),
    [
        ([calling("f", "f")], "f calls itself, without end"),
        ([calling("g", "f"), calling("f", "g")], "calls itself, without end"),
        ([calling("f0")] + [calling(f"f{n}", f"f{n - 1}") for n in range(1, 100)], "more than 32 deep"),
        ([calling("f"), calling("f")], "defines the function f twice"),
    ],
)
def test_functions_without_end(tmp_path, functions, said, unopened):
    assert said in refusal(functional(functions), tmp_path / "m.onnx")


def test_functions_that_hide_an_operation(tmp_path):
    """A function of the standard's own domain is the file's idea of that operation; nothing of it is run unseen."""
    body = forever()
    function = helper.make_function("", "Relu", ["a"], ["ever"], [body], [helper.make_opsetid("", 17)])
    assert "Loop (ever)" in refusal(proto(CONVOLUTION, {"w": f(5, 3, 3, 3)}, functions=[function]), tmp_path / "m.onnx")
