"""What the fuzzer found, each as a small case of its own: an end in a line or two where there was a fault."""

from __future__ import annotations

import json
import warnings

import numpy as np
import PIL.Image
import pytest
from onnx import helper, numpy_helper

from heatcli.cli import main
from tests.fuzz import networks, oracle
from tests.fuzz.texts import RECORD


@pytest.fixture
def heatcli(tmp_path, monkeypatch, capfdbinary):
    """A function that runs the command beside a.png and m.onnx; it returns the exit code and what was said."""
    monkeypatch.chdir(tmp_path)
    PIL.Image.new("RGB", (8, 8), "teal").save("a.png")

    def run(*arguments, model=None):
        made = networks.network("plain") if model is None else model
        (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
        capfdbinary.readouterr()
        code = main(arguments)
        said = capfdbinary.readouterr().err.decode("utf-8", "surrogateescape")
        assert "fault in heatcli" not in said, said
        assert oracle._control(said) is None
        return code, said

    return run


def with_constant(model, name, value):
    (entry,) = (entry for entry in model.graph.initializer if entry.name == name)
    entry.CopyFrom(numpy_helper.from_array(value, name))
    return model


EXPLAIN = ("explain", "a.png", "-m", "m.onnx", "-o", "out/")


@pytest.mark.parametrize(
    "changed",
    [{"settings": 7.5}, {"settings": {"options": "x"}}, {"model": [1]}, {"input": ["photos/a.png"]}, {"input": {}}],
    ids=str,
)
def test_records_that_somebody_edited(heatcli, tmp_path, changed):
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "photos" / "a.png")
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "records.jsonl").write_text(json.dumps(RECORD | changed) + "\n", "utf-8")
    code, said = heatcli("explain", "photos", "-m", "m.onnx", "-o", "maps", "--workers", "threads")
    assert code == 2
    assert "maps/records.jsonl: line 1 is no record" in said


def test_records_of_brackets_in_brackets(heatcli, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "a.png").rename(tmp_path / "photos" / "a.png")
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "records.jsonl").write_text("[" * 100_000 + "\n", "utf-8")
    code, said = heatcli("explain", "photos", "-m", "m.onnx", "-o", "maps", "--workers", "threads")
    assert code == 2
    assert "line 1 is no record" in said


def test_a_record_whose_heatmap_is_the_folder_of_the_page(heatcli, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "records.jsonl").write_text(json.dumps(RECORD | {"output": "."}) + "\n", "utf-8")
    assert heatcli("report", "maps")[0] == 0


@pytest.mark.parametrize("label", [[[8, 8]], {"a": 1}, 7.5])
def test_boxes_of_a_class_that_has_no_name(heatcli, tmp_path, label):
    boxes = {"items": [{"file": "a.png", "boxes_xyxy_px": [[0, 0, 5, 5]], "label": label}]}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes), "utf-8")
    code, said = heatcli("evaluate", "a.png", "-m", "m.onnx", "--checks", "localisation", "--boxes", "boxes.json")
    assert code == 2
    assert "of a.png is no text" in said


def test_an_input_of_a_type_that_onnx_does_not_know(heatcli):
    model = networks.network("several_inputs")
    model.graph.input[1].type.tensor_type.elem_type = 33
    code, said = heatcli("inspect", "m.onnx", model=model)
    assert code == 3
    assert "33" in said


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_model_that_no_file_is_called(heatcli, name):
    code, said = heatcli("inspect", name)
    assert code == 2
    assert said.startswith(f"heatcli: '{name}' is no model; give the path of an .onnx file")


def test_a_model_whose_name_no_file_can_have(heatcli):
    code, said = heatcli("inspect", "a" * 5000)
    assert code == 3
    assert len(said) < 4500


@pytest.mark.parametrize(("name", "shape"), [("c", (9,)), ("c", (3, 1)), ("b", (3,))])
@pytest.mark.parametrize("engine", ["numpy", "compiled"])
def test_a_bias_of_another_length(heatcli, name, shape, engine):
    """Such a file opens, and only a run shows that it cannot run."""
    model = with_constant(networks.network("plain"), name, np.full(shape, 0.25, "float32"))
    code, said = heatcli(*EXPLAIN, "--engine", engine, model=model)
    assert code == 3
    assert "its bias of shape" in said or "onnxruntime cannot" in said


def test_a_bias_of_four_on_a_network_with_one_output(heatcli):
    model = with_constant(networks.network("plain"), "v", np.ones((4, 1), "float32"))
    code, said = heatcli(*EXPLAIN, model=model)
    assert code == 3
    assert "its bias of shape (4,) does not fit what it makes" in said


def test_a_softmax_over_an_axis_that_is_not_there(heatcli):
    model = networks.network("transformer")
    (node,) = (node for node in model.graph.node if node.op_type == "Softmax")
    node.attribute[0].i = 1 << 40
    code, said = heatcli(*EXPLAIN, model=model)
    assert code == 3
    assert "a softmax over axis 1099511627776 of 3" in said


@pytest.mark.parametrize(
    "names", ["{[]: 1}", "{0: {}, 1: [], 2: None, 3: 9}", "9" * 5000, "[" * 1000, "{True: 1, 1: 2}"]
)
def test_names_in_metadata_that_are_no_names(heatcli, names):
    model = networks.network("plain")
    model.metadata_props[0].value = names
    code, _ = heatcli(*EXPLAIN, model=model)
    assert code == 0


def test_a_scale_without_a_number(heatcli):
    """The constant folding of onnxruntime reads it all the same, and crashes."""
    model = with_constant(networks.network("quantised QLinearWhere"), "k7", np.zeros(0, "float32"))
    code, said = heatcli("inspect", "m.onnx", model=model)
    assert code == 3
    assert "QLinearWhere (p): a scale or zero point without a number" in said


def test_a_transposed_convolution_whose_shape_is_inferred_wrongly(heatcli):
    model = networks.network("operation ConvTranspose to 6 output_shape=[13, 12] strides=[2, 2]")
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "w"
    code, said = heatcli(*EXPLAIN, model=model)
    assert code == 0, said


@pytest.mark.parametrize("value", [1e38, float("nan")])
@pytest.mark.parametrize("name", ["signal", "fixed_batch", "plain"])
def test_weights_that_overflow(heatcli, tmp_path, name, value):
    """What begins where is said by heatcli, not by NumPy with a line of code."""
    model = networks.network(name)
    for entry in model.graph.initializer:
        entry.CopyFrom(numpy_helper.from_array(np.full(entry.dims, value, "float32"), entry.name))
    if name == "signal":
        np.save(tmp_path / "a.npy", np.ones((1, 2, 32), "float32"))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, said = heatcli("explain", "a.npy" if name == "signal" else "a.png", *EXPLAIN[2:], model=model)
    assert code in (1, 2, 3)
    assert "not finite" in said or "hold NaN or infinity" in said
    assert "Warning:" not in said


@pytest.mark.parametrize("evidence", ["logit", "one"])
def test_scores_at_the_end_of_float32(heatcli, evidence):
    """The scores are finite; the denominators, sums of positive terms alone, are not."""
    model = networks.network("row")
    with_constant(model, "b", np.full(4, 9.0, "float32"))
    with_constant(model, "v", np.array([[3e38], [-3e38], [3e38], [-2e38]] * np.ones((1, 4)), "float32"))
    np.save("a.npy", np.ones((1, 6), "float32"))
    code, said = heatcli("explain", "a.npy", *EXPLAIN[2:], "--range", "0,2", "--evidence", evidence, model=model)
    assert code == 1
    assert "the relevance cannot be shared out at" in said


def test_an_explainer_of_a_network_that_is_finite_on_some_inputs(heatcli):
    """What is negative has no logarithm; of such inputs nothing is compared."""
    model = networks.network("plain")
    model.graph.node.insert(0, helper.make_node("Log", [model.graph.input[0].name], ["log"]))
    model.graph.node[1].input[0] = "log"
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, said = heatcli("compile", "m.onnx", "-o", "e.onnx", "--range", "0.5,1", model=model)
        assert (code, "Warning:" in said) == (0, False), said
        code, said = heatcli("compile", "m.onnx", "-o", "f.onnx", "--range", "-1,1", model=model)
        assert (code, "Warning:" in said) == (0, False), said
        code, said = heatcli("compile", "m.onnx", "-o", "g.onnx", "--range", "-1,-0.5", model=model)
        assert (code, "Warning:" in said) == (1, False), said
        assert "cannot be checked on noise or plain colours: the network's scores are not finite" in said


def test_a_missing_picture_with_a_name_of_seventy_thousand_signs(heatcli, tmp_path):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "records.jsonl").write_text(
        json.dumps(RECORD | {"input": "a" * 70_000 + ".png"}) + "\n", "utf-8"
    )
    code, said = heatcli("report", "maps", "-v")
    assert code == 0
    assert "aaa" in said
    assert len(said) < 5000


def test_a_label_of_seventy_thousand_signs(heatcli, tmp_path):
    (tmp_path / "l.json").write_text(json.dumps(["a" * 70_000] * 4), "utf-8")
    for more in ((), ("--target", "1", "--versus", "2")):
        code, said = heatcli("explain", "a.png", "-m", "m.onnx", "-o", "out/", "--labels", "l.json", *more)
        assert code == 0, said
        assert "aaa… (class" in said
        assert len(said) < 5000
    code, said = heatcli("evaluate", "a.png", "-m", "m.onnx", "--labels", "l.json", "--methods", "gradient", "-v")
    assert code == 0, said
    assert len(said) < 5000


def test_a_name_of_seventy_thousand_signs(heatcli):
    model = networks.network("plain")
    name = "*" + "a" * 70_000
    model.graph.input[0].name = model.graph.node[0].input[0] = name
    code, said = heatcli("explain", "a.png", "-m", "m.onnx", "--input", "factor=x.npy", model=model)
    assert code == 2
    assert len(said) < 5000
