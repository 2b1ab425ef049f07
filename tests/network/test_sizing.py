"""Small files that ask for much memory: refused before it is taken, whatever way they ask."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import heatcli
from heatcli import runtime
from heatcli.errors import ModelError, UnsupportedModel
from heatcli.network import inferring
from tests.apart import peak
from tests.network.strangers import CONVOLUTION, f, proto

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node = helper.make_node


def told(model: onnx.ModelProto, path: Path, **limits: int) -> str:
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError) as caught:
        heatcli.load(path, limits={"activations": 10**8, **limits})
    said = str(caught.value).removeprefix(f"{path}: ")
    assert "\n" not in said or isinstance(caught.value, UnsupportedModel)
    return said


def gathered(nodes: list[onnx.NodeProto], name: str = "big", **values: np.ndarray) -> onnx.ModelProto:
    """Return a classifier to whose picture the sum of ``name`` is added, which ``nodes`` make of ``values``."""
    behind = [
        node("ReduceSum", [name], ["sum"], keepdims=0),
        node("Add", ["x", "sum"], ["more"]),
        node("Conv", ["more", "w"], ["c"]),
        *CONVOLUTION[1:],
    ]
    return proto([*nodes, *behind], {"w": f(5, 3, 3, 3), **values}, opset=15)


# What a file can be made to take in many ways: 200 million numbers or so of nothing.
SIDES = np.array([20_000, 10_000])
ONE = np.ones(1, "float32")
TALL, WIDE = np.ones((20_000, 1), "float32"), np.ones((1, 10_000), "float32")
DOUBLED = [node("Concat", [f"d{n}", f"d{n}"], [f"d{n + 1}"], axis=0) for n in range(28)]
STATIC = {
    "ConstantOfShape": gathered([node("ConstantOfShape", ["sides"], ["big"])], sides=SIDES),
    "Expand": gathered([node("Expand", ["one", "sides"], ["big"])], one=ONE, sides=SIDES),
    "Tile": gathered([node("Tile", ["one", "times"], ["big"])], one=ONE, times=np.array([2 * 10**8])),
    "Pad": gathered([node("Pad", ["one", "pads"], ["big"])], one=ONE, pads=np.array([0, 2 * 10**8])),
    "Range": gathered(
        [node("Range", ["start", "end", "step"], ["big"])],
        start=np.array(0.0, "float32"), end=np.array(2e8, "float32"), step=np.array(1.0, "float32"),
    ),
    "Resize": gathered(
        [node("Resize", ["picture", "", "scales"], ["big"])],
        picture=np.ones((1, 1, 2, 2), "float32"), scales=np.float32([1, 1, 7000, 7000]),
    ),
    "RandomNormal": gathered([node("RandomNormal", [], ["big"], shape=[20_000, 10_000])]),
    "broadcasting": gathered([node("Add", ["tall", "wide"], ["big"])], tall=TALL, wide=WIDE),
    "an outer product": gathered([node("MatMul", ["tall", "wide"], ["big"])], tall=TALL, wide=WIDE),
    "Conv": gathered([node("Conv", ["x", "w"], ["big"], pads=[5000] * 4)]),
    "ConvTranspose": gathered([node("ConvTranspose", ["x", "k"], ["big"], strides=[1500, 1500])], k=f(3, 1, 2, 2)),
    "doubling": gathered(DOUBLED, "d28", d0=ONE),
    "OneHot": gathered(
        [node("OneHot", ["places", "depth", "ends"], ["big"])],
        places=np.zeros(20_000, "int64"), depth=np.array(10_000), ends=np.float32([0, 1]),
    ),
    "a shape in a node": gathered(
        [node("Constant", [], ["sides"], value_ints=[20_000, 10_000]), node("ConstantOfShape", ["sides"], ["big"])]
    ),
}  # fmt: skip
COMPUTED = [node("Pow", ["ten", "powers"], ["p"]), node("Cast", ["p"], ["sides"], to=INT64)]
TEN, POWERS = np.float32([10.0]), np.float32([4.3, 4.0])
HIDDEN = {
    "a shape that is computed": gathered(
        [*COMPUTED, node("ConstantOfShape", ["sides"], ["big"])], ten=TEN, powers=POWERS
    ),
    "an expansion that is computed": gathered(
        [*COMPUTED, node("Expand", ["one", "sides"], ["big"])], ten=TEN, powers=POWERS, one=ONE
    ),
    "doubling behind what inference does not know": gathered(
        [node("Pow", ["ten", "powers"], ["p"]), node("Cast", ["p"], ["sides"], to=INT64),
         node("ConstantOfShape", ["sides"], ["d0"]), *DOUBLED[:14]],
        "d14", ten=TEN, powers=np.float32([4.3]),
    ),
    "in a branch": gathered(
        [node("If", ["yes"], ["big"], **{
            f"{name}_branch": helper.make_graph(
                [*COMPUTED, node("ConstantOfShape", ["sides"], ["inner"])], name, [],
                [helper.make_tensor_value_info("inner", FLOAT, None)])
            for name in ("then", "else")})],
        yes=np.array(True), ten=TEN, powers=POWERS,
    ),
    "in an operation that onnx does not know": gathered(
        [node("Gelu", ["tall"], ["t"], domain="com.microsoft"), node("Mul", ["t", "wide"], ["big"])],
        tall=TALL, wide=WIDE,
    ),
}  # fmt: skip
for model in (*STATIC.values(), *HIDDEN.values()):
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


@pytest.mark.parametrize("case", STATIC)
def test_what_shapes_tell_is_refused_before_any_session(tmp_path, case, monkeypatch):
    monkeypatch.setattr(runtime, "open_session", lambda *_, **__: pytest.fail("onnxruntime was asked"))
    said = told(STATIC[case], tmp_path / "m.onnx")
    found = re.match(
        r"its activations take ([\d.]+)(G|M) bytes for one picture, the largest being (\w+), [\dx]+;", said
    )
    assert found
    assert float(found[1]) * {"G": 1e9, "M": 1e6}[found[2]] > 4e8
    assert re.search(r"; 100M are accepted; --limit activations=[\d.]+[GM] accepts it", said)


# What takes memory beside its inputs and outputs, all of which are small.
SQUARE = np.ones((75, 75), "float32")
BESIDE = {
    "Einsum": gathered(
        [node("Einsum", ["square"] * 4, ["big"], equation="ab,cd,ac,bd->")], square=SQUARE
    ),
    "ConvTranspose": gathered(
        [node("ConvTranspose", ["plane", "kernel"], ["big"])],
        plane=np.ones((1, 1, 90, 90), "float32"), kernel=np.ones((1, 1, 60, 60), "float32"),
    ),
    "LRN": gathered([node("LRN", ["x"], ["big"], size=1_000_001)]),
}  # fmt: skip


@pytest.mark.parametrize("case", BESIDE)
def test_what_operations_take_beside_their_outputs(tmp_path, case):
    said = told(BESIDE[case], tmp_path / "m.onnx")
    assert re.search(
        rf"its activations take more than 100M bytes for one picture \({case} asks for [\d,]+ bytes\);", said
    )


TEXTS = [node("Equal", ["many", "text"], ["same"]), node("Cast", ["same"], ["big"], to=FLOAT)]


def test_texts_count_with_their_letters(tmp_path):
    nodes = [node("Expand", ["text", "sides"], ["many"]), *TEXTS]
    model = gathered(nodes, text=np.array(["a" * 10_000], object), sides=np.array([20_000]))
    model.opset_import[0].version = 19
    said = told(model, tmp_path / "m.onnx")
    assert re.search(r"its activations take 201M bytes for one picture, the largest being many, 20000;", said)


def test_letters_are_bounded_where_shapes_are_not_known(tmp_path):
    nodes = [*COMPUTED, node("Expand", ["text", "sides"], ["many"]), *TEXTS]
    model = gathered(nodes, text=np.array(["a" * 10_000], object), ten=TEN, powers=np.float32([2, 2.3]))
    model.opset_import[0].version = 19
    assert "(Expand asks for " in told(model, tmp_path / "m.onnx")


def test_text_that_is_put_together(tmp_path):
    doubled = [node("StringConcat", [f"t{n}", f"t{n}"], [f"t{n + 1}"]) for n in range(40)]
    model = gathered([*doubled, node("Equal", ["t40", "t0"], ["same"]), node("Cast", ["same"], ["big"], to=FLOAT)],
                     t0=np.array(["a"], object))  # fmt: skip
    model.opset_import[0].version = 20
    assert "StringConcat (t1): text that is put together" in told(model, tmp_path / "m.onnx")


def chosen(condition: list[onnx.NodeProto], **values: np.ndarray) -> onnx.ModelProto:
    """Return a network with two branches, the other of which expands a number to ``sides``."""
    branches = [
        helper.make_graph(nodes, "b", [], [helper.make_tensor_value_info(nodes[-1].output[0], FLOAT, [1])])
        for nodes in (
            [node("Identity", ["one"], ["then"])],
            [node("Expand", ["one", "sides"], ["wide"]), node("ReduceSum", ["wide"], ["else"], keepdims=0)],
        )
    ]
    choice = node("If", ["condition"], ["big"], then_branch=branches[0], else_branch=branches[1])
    return gathered([*condition, choice], one=ONE, limit=np.array(9, "float32"), **values)


SUMMED = [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Less", ["s", "limit"], ["condition"])]


def test_branches_that_the_picture_chooses(tmp_path, monkeypatch):
    """A run on an empty picture shows one of them."""
    monkeypatch.setattr(runtime, "open_session", lambda *_, **__: pytest.fail("onnxruntime was asked"))
    said = told(chosen(SUMMED, sides=SIDES), tmp_path / "m.onnx")
    assert re.search(r"If \(big\): which of its branches is run depends on what the picture shows", said)


@pytest.mark.parametrize("case", HIDDEN)
def test_what_shapes_do_not_tell_is_run_within_bounds_first(tmp_path, case, monkeypatch):
    opened = []
    real = runtime.open_session
    monkeypatch.setattr(runtime, "open_session", lambda *a, **k: opened.append(k.get("most")) or real(*a, **k))
    said = told(HIDDEN[case], tmp_path / "m.onnx")
    assert re.search(r"its activations take more than 100M bytes for one picture \(\w+ asks for [\d,]+ bytes\);", said)
    assert opened == [10**8]


def test_one_tensor(tmp_path):
    model = STATIC["ConstantOfShape"]
    said = told(model, tmp_path / "m.onnx", activations=10**12, dimension=10**8)
    assert said.startswith("the tensor big is 20000x10000; 100M elements are accepted; --limit dimension=200M accepts")


def test_what_is_accepted_is_explained(tmp_path):
    """The same with a few numbers, by all ways: nothing here is refused for its kind."""
    sides = np.array([20, 10])
    path, x = tmp_path / "m.onnx", f(1, 3, 8, 8).clip(0, 1)
    for model in (
        gathered([node("ConstantOfShape", ["sides"], ["big"])], sides=sides),
        gathered([*COMPUTED, node("ConstantOfShape", ["sides"], ["big"])], ten=TEN, powers=np.float32([1.5, 1])),
    ):
        path.write_bytes(model.SerializeToString())
        assert heatcli.load(path, range=(0, 1)).explain(x).relevance.shape == (3, 8, 8)


@pytest.mark.parametrize("size", [4000, 60_000])
def test_a_size_that_the_user_asks_for(tmp_path, size):
    path = tmp_path / "m.onnx"
    path.write_bytes(proto(CONVOLUTION, {"w": f(5, 3, 3, 3)}, shape=[1, 3, "h", "w"]).SerializeToString())
    with pytest.raises(ModelError, match=r"--limit (activations|dimension)=[\d.]+[MG] accepts it"):
        heatcli.load(path, size=size, limits={"activations": "100M"})
    path.with_suffix(".heatcli.json").write_text(f'{{"size": [{size}, {size}]}}', encoding="utf-8")
    with pytest.raises(ModelError, match=r"--limit (activations|dimension)=[\d.]+[MG] accepts it"):
        heatcli.load(path, limits={"activations": "100M"})


def test_a_batch_that_the_file_asks_for(tmp_path):
    model = proto(CONVOLUTION, {"w": f(5, 3, 3, 3)}, shape=[10**6, 3, 8, 8])
    assert "the input x is 1x3x8x8, 1000000 times: more than is accepted" in told(model, tmp_path / "m.onnx")


SEEN = {
    "Range": [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Range", ["zero", "s", "unit"], ["big"])],
    "Expand": [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Cast", ["s"], ["n"], to=INT64),
               node("Reshape", ["n", "line"], ["sides"]), node("Expand", ["one", "sides"], ["big"])],
    "NonZero": [node("NonZero", ["x"], ["places"]), node("Cast", ["places"], ["big"], to=FLOAT)],
}  # fmt: skip


@pytest.mark.parametrize("operation", SEEN)
def test_sizes_that_depend_on_what_the_picture_shows(tmp_path, operation, monkeypatch):
    """On an empty picture they are small."""
    monkeypatch.setattr(runtime, "open_session", lambda *_, **__: pytest.fail("onnxruntime was asked"))
    model = gathered(SEEN[operation], zero=np.array(0, "float32"), unit=np.array(1, "float32"),
                     line=np.array([-1]), one=ONE)  # fmt: skip
    said = told(model, tmp_path / "m.onnx")
    assert re.search(rf"{operation} \(\w+\): its size depends on what the picture shows", said)


def test_sizes_that_depend_on_the_shape_of_the_picture_do_not(tmp_path):
    nodes = [node("Shape", ["x"], ["s"]), node("ConstantOfShape", ["s"], ["big"])]
    path = tmp_path / "m.onnx"
    path.write_bytes(gathered(nodes).SerializeToString())
    assert heatcli.load(path, range=(0, 1)).network.output.classes == 5


def test_rows_of_integers_are_not_followed_without_end():
    """Each joining doubles what the inference of shapes would keep in mind."""
    doubled = gathered([node("Cast", ["d28"], ["big"], to=FLOAT)], d0=np.ones(1, "int64"))
    for each in reversed(DOUBLED):
        doubled.graph.node.insert(0, each)
    assert not inferring.propagates_little(doubled)
    assert inferring.propagates_little(STATIC["ConstantOfShape"])


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells how much memory a process had")
@pytest.mark.parametrize("powers", [[5.0, 4.9], [9.0, 8.0]])
def test_thirty_gigabytes_and_more_are_never_taken(tmp_path, powers):
    """With the usual limits, in a process that would die of them."""
    model = gathered([*COMPUTED, node("ConstantOfShape", ["sides"], ["big"])], ten=TEN, powers=np.float32(powers))
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    code = (
        "import sys, heatcli\n"
        "try:\n    heatcli.load(sys.argv[1])\n"
        "except heatcli.ModelError as error:\n    print(error)\n"
    )
    (said,), megabytes = peak(code, path)
    assert "its activations take more than 8G bytes" in said
    assert megabytes < 300
