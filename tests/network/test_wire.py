"""What a file holds is counted before it is parsed: in fields, bytes and depth, and nothing else is trusted."""

from __future__ import annotations

import random
import sys

import onnx
import pytest
from onnx import TensorProto, helper

from heatcli.errors import UnreadableModel
from heatcli.limits import Limits
from heatcli.network.wire import BROKEN, survey
from tests.apart import peak

LIMITS = Limits()


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def message(field: int, content: bytes) -> bytes:
    """Return a field that holds a row of bytes; 7 is a model's graph, 1 a graph's node."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def small(**attributes) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("LeakyRelu", ["h"], ["y"], **attributes)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor("w", TensorProto.FLOAT, [3], [1, 2, 3])],
    )
    return helper.make_model(graph)


def test_counts_are_those_of_the_parsed_model():
    found = survey(small(alpha=0.5).SerializeToString(), LIMITS)
    assert (found.nodes, found.graphs, found.weights) == (2, 1, 3 * 4)


def test_inner_graphs_and_functions_count():
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "b", [], [])
    node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
    function = helper.make_function("own", "F", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [])
    model = helper.make_model(helper.make_graph([node], "g", [], []), functions=[function])
    found = survey(model.SerializeToString(), LIMITS)
    assert (found.nodes, found.graphs) == (1 + 2 + 1, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (message(7, message(1, b"") * 60_000), r"more than the 50,000 nodes .* --limit nodes=100k accepts it"),
        (message(7, message(5, b"") * 3_000_000), r"2,100,000 names, attributes and the like"),
        (message(14, b"") * 3_000_000, r"2,100,000 names, attributes and the like"),
        (message(7, message(1, message(1, b"") * 3_000_000)), r"2,100,000 names, attributes and the like"),
        (message(7, message(1, message(5, b"") * 3_000_000)), r"2,100,000 names, attributes and the like"),
    ],
    ids=["nodes", "constants", "metadata", "inputs of a node", "attributes"],
)
def test_empty_things_by_the_million_are_refused_unparsed(content: bytes, said: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnx.ModelProto, "ParseFromString", lambda *_: pytest.fail("parsed"))
    with pytest.raises(UnreadableModel, match=said):
        survey(content, LIMITS)


def test_numbers_of_one_byte_count_as_what_they_take_in_memory():
    """A packed integer of one byte takes eight when it is parsed."""
    numbers = message(7, message(5, message(7, b"\1" * 1000)))
    assert survey(numbers, LIMITS).weights == 8000
    with pytest.raises(UnreadableModel, match=r"constants of 8,000 bytes; 7,000 are accepted; --limit weights=8k"):
        survey(numbers, Limits(weights=7000))


def test_names_of_megabytes():
    """They are copied at every step; metadata is not."""
    content = message(7, message(1, message(1, b"a" * 300_000) * 400))
    with pytest.raises(UnreadableModel, match=r"more than 100M bytes of names; --limit nodes=100k accepts it"):
        survey(content, LIMITS)
    assert survey(content, Limits(nodes=100_000)).nodes == 1
    assert survey(message(14, message(2, b"a" * 300_000)) * 400, LIMITS).nodes == 0


def test_graphs_inside_graphs():
    content = b""
    for _ in range(13):
        content = message(1, message(5, message(6, content)))  # a node's attribute that is a graph
    with pytest.raises(UnreadableModel, match="more than 12 deep"):
        survey(message(7, content), LIMITS)


@pytest.mark.parametrize(
    "content",
    [
        b"\x3a\xff\xff\xff\xff\x0f",  # a graph of four gigabytes in six bytes
        b"\x3a" + b"\xff" * 12,  # a length without end
        b"\x08" + b"\x80" * 10 + b"\x01",  # a number of more bytes than there are
        b"\x3a",
        b"\x0b\x0c",  # groups
        b"I am a text file, not a model",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        small().SerializeToString()[:-3],
    ],
)
def test_what_is_no_protocol_buffer(content: bytes):
    with pytest.raises(UnreadableModel) as caught:
        survey(content, LIMITS)
    assert str(caught.value) == BROKEN


@pytest.mark.parametrize("place", ["op_type", "input", "producer", "metadata"])
def test_names_that_are_no_text(place: str):
    """Python gets bytes for them where it expects text."""
    model = small()
    marked = {"op_type": b"Relu", "input": b"h", "producer": b"maker", "metadata": b"value"}[place]
    model.producer_name = "maker"
    model.metadata_props.add(key="key", value="value")
    content = model.SerializeToString().replace(marked, b"\xff" * len(marked))
    with pytest.raises(UnreadableModel, match="no text in UTF-8"):
        survey(content, LIMITS)


def test_doc_strings_may_be_anything():
    model = small()
    model.doc_string = "written"
    survey(model.SerializeToString().replace(b"written", b"\xff" * 7), LIMITS)


def test_damage_ends_in_an_error_or_in_what_can_be_parsed():
    """Whatever the survey lets through, the parser can be asked about."""
    whole, chance = small(alpha=0.5).SerializeToString(), random.Random(0)
    for _ in range(3000):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        try:
            survey(bytes(content[: chance.randint(len(content) // 2, len(content))]), LIMITS)
        except UnreadableModel as error:
            assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells how much memory a process had")
def test_a_file_of_empty_nodes_takes_neither_time_nor_memory(tmp_path):
    """Ten megabytes of it take a quarter of a minute in ``onnx.load``."""
    path = tmp_path / "m.onnx"
    path.write_bytes(message(7, message(1, b"") * 5_000_000))
    code = (
        "import sys, pathlib\nfrom heatcli.network import file\n"
        "try:\n    file.load(pathlib.Path(sys.argv[1]))\n"
        "except Exception as error:\n    print(type(error).__name__)\n"
    )
    (kind,), megabytes = peak(code, path)
    assert kind == "UnreadableModel"
    assert megabytes < 250
