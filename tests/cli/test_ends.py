"""What the command says and takes where a network has several inputs, or one number for two classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Done
from tests.whole import End, f, node, save

Run = Callable[..., Done]


@pytest.fixture
def two(place: Path) -> Path:
    """A network of a picture and a token, ``two.onnx``, and the token in ``token.npy``."""
    nodes = [
        node("Conv", "x k", "c"),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "m"),
        node("Flatten", "m", "row"),
        node("Concat", "row token", "all", axis=1),
        node("Gemm", "all v", "y"),
    ]
    inputs = [End("token", [1, 2]), End("x", [1, 3, 16, 16])]
    np.save(place / "token.npy", f(1, 2))
    return save(place / "two.onnx", nodes, inputs, [End("y", [1, 4])], {"k": f(4, 3, 3, 3), "v": f(6, 4)})


@pytest.fixture
def one(place: Path) -> Path:
    """A network that ends in one probability, ``one.onnx``."""
    nodes = [
        node("Conv", "x k", "c"),
        node("Relu", "c", "r"),
        node("GlobalAveragePool", "r", "m"),
        node("Flatten", "m", "row"),
        node("Gemm", "row v", "z"),
        node("Sigmoid", "z", "p"),
    ]
    constants = {"k": f(4, 3, 3, 3), "v": f(4, 1)}
    return save(place / "one.onnx", nodes, [End("x", [1, 3, 16, 16])], [End("p", [1, 1])], constants)


def test_missing_inputs_are_named_with_the_option(heatcli: Run, two: Path) -> None:
    for command in (("explain", "photos/a.png", "-m", "two.onnx"), ("inspect", "two.onnx")):
        done = heatcli(*command)
        assert (done.code, done.out) == (3, "")
        assert "  x float32 1x3x16x16, which looks like the picture\n" in done.err
        assert "--input token=FILE.npy" in done.err


def test_records_and_inspection_show_what_was_given(heatcli: Run, two: Path) -> None:
    given = ("--input", "token=token.npy")
    record = json.loads(heatcli("explain", "photos/a.png", "-m", "two.onnx", *given, "--json").out)
    ((name, told),) = record["settings"]["inputs"].items()
    assert (name, told["file"], len(told["sha256"])) == ("token", "token.npy", 64)
    assert record["settings"]["options"]["inputs"] == record["settings"]["inputs"]
    assert record["ledger"]["constants"] != 0
    described = json.loads(heatcli("inspect", "two.onnx", *given, "--json").out)
    assert described["constants"] == [{"name": "token", "shape": [1, 2], "dtype": "float32", **told}]
    assert "constants     token 1×2 float32, from token.npy" in heatcli("inspect", "two.onnx", *given).out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("token",), "--input token: give the input's name and a file"),
        (("=token.npy",), "--input =token.npy: give the input's name and a file"),
        (("token=token.npy", "token=b.npy"), "--input token was given twice"),
        (("token=photos/a.png",), "--input token: photos/a.png: is no .npy file"),
        (("token=absent.npy",), "--input token: absent.npy: no such file"),
        (("other=token.npy",), "--input other: the model has no such input"),
        (("x=token.npy",), "--input x: the array is float32 1x2; the model takes x float32 1x3x16x16"),
    ],
)
@pytest.mark.parametrize("command", [("explain", "photos/a.png", "-m", "two.onnx"), ("inspect", "two.onnx")])
def test_what_does_not_fit_is_wrong_usage(
    heatcli: Run, two: Path, command: tuple[str, ...], given: tuple[str, ...], message: str
) -> None:
    done = heatcli(*command, *(word for text in given for word in ("--input", text)))
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert len(done.err.splitlines()) <= 3


def test_folders_are_done_again_where_another_array_is_given(heatcli: Run, two: Path) -> None:
    command = ("explain", "photos", "-m", "two.onnx", "-o", "maps", "--input", "token=token.npy")
    assert heatcli(*command).code == 0
    assert "3 inputs of 3 were finished before" in heatcli(*command).err
    np.save("token.npy", 2 * f(1, 2))
    assert "finished before" not in heatcli(*command).err


def test_describe_writes_what_was_given(heatcli: Run, two: Path) -> None:
    Path("net").mkdir()
    moved = two.rename("net/two.onnx")
    done = heatcli("models", "describe", str(moved), "--input", "token=token.npy", "--preprocess", "unit")
    assert done.code == 0
    assert json.loads(Path("net/two.heatcli.json").read_text("utf-8"))["inputs"] == {"token": "../token.npy"}
    assert heatcli("explain", "photos/a.png", "-m", str(moved)).code == 0
    Path("net/two.heatcli.json").write_text(json.dumps({"inputs": {"token": [[1, 2]]}}), "utf-8")
    assert heatcli("explain", "photos/a.png", "-m", str(moved), "-o", "again.png").code == 0
    Path("net/two.heatcli.json").write_text(json.dumps({"inputs": ["token.npy"]}), "utf-8")
    done = heatcli("explain", "photos/a.png", "-m", str(moved))
    assert (done.code, "an object from names to files or numbers is needed" in done.err) == (2, True)


def test_compile_takes_what_was_given(heatcli: Run, two: Path) -> None:
    assert heatcli("compile", "two.onnx", "-o", "e.onnx", "--input", "token=token.npy").code == 0


def test_both_classes_of_one_number_are_shown(heatcli: Run, one: Path) -> None:
    inspected = heatcli("inspect", "one.onnx").out
    assert "p, one number f for 2 classes: 1 has the score f, 0 has −f" in inspected
    output = json.loads(heatcli("inspect", "one.onnx", "--json").out)["output"]
    assert (output["name"], output["classes"], output["single"]) == ("p", 2, True)
    Path("one.txt").write_text("dog\n", "utf-8")
    done = heatcli("explain", "photos/a.png", "-m", "one.onnx", "--labels", "one.txt", "--target", "not dog", "--json")
    record = json.loads(done.out)
    assert (record["target"]["index"], record["target"]["label"]) == (0, "not dog")
    assert [entry["score"] for entry in record["top"]] == sorted(
        (record["target"]["score"], -record["target"]["score"])
    )[::-1]
    assert sum(entry["probability"] for entry in record["top"]) == pytest.approx(1)
    assert "class 1 is f, class 0 is −f" in done.err
    assert heatcli("explain", "photos/a.png", "-m", "one.onnx", "--target", "2").code == 2
