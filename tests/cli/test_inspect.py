"""``heatcli inspect``: the layer list for eyes, for pipes and as data; what is unsupported, all at once."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import onnx
import pytest
from onnx import helper
from rich.console import Console

from heatcli.cli.inspect import _overview, _table
from tests.cli.conftest import Done, classifier

Run = Callable[..., Done]


def test_the_table_has_every_layer_with_its_rule(heatcli: Run) -> None:
    done = heatcli("inspect", "net.onnx")
    assert done.code == 0
    assert "\x1b" not in done.out
    lines = done.out.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("name "))
    cells = {line.split()[0]: line.split()[1:] for line in lines[head + 1 : -1]}
    assert cells["conv"] == ["Conv", "linear", "zB", "1×6×16×16", "168"]
    assert cells["relu"] == ["Relu", "activation", "pass", "1×6×16×16"]
    assert cells["logits"] == ["Gemm", "linear", "z+", "1×4", "28"]
    assert lines[-1].endswith("layers, 2 of them linear; 196 parameters")
    assert "softmax; explained before it, at logits" in done.out
    assert "x 1×3×16×16 float32, layout NCHW" in done.out
    assert "--preprocess" in done.out


def test_rules_follow_the_options(heatcli: Run) -> None:
    done = heatcli("inspect", "net.onnx", "--json", "--method", "lrp-epsilon-gamma-box", "--rule", "logits=z+")
    rules = {layer["name"]: layer["rule"] for layer in json.loads(done.out)["layers"]}
    assert rules["logits"] == "z+"
    assert rules["conv"] == "zB"


def test_data_on_stdout_is_json(heatcli: Run) -> None:
    description = json.loads(heatcli("inspect", "net.onnx", "--json", "--preprocess", "caffe").out)
    assert description["model"]["opset"] == 13
    assert len(description["model"]["sha256"]) == 64
    assert description["input"]["shape"] == [1, 3, 16, 16]
    assert description["output"] == {"name": "probabilities", "kind": "softmax", "classes": 4, "logits": "logits"}
    assert description["preprocessing"]["preset"] == "caffe"
    assert description["layers"][0]["name"] == "conv"
    assert description["totals"]["linear"] == 2


def test_every_unsupported_node_is_named_at_once(heatcli: Run) -> None:
    extra = (
        helper.make_node("Cos", ["conv"], ["wave"]),
        helper.make_node("Acos", ["wave"], ["angle"]),
        helper.make_node("Hardmax", ["angle"], ["hard"]),
    )
    onnx.save(classifier(extra=extra), "odd.onnx")
    done = heatcli("inspect", "odd.onnx")
    assert (done.code, done.out) == (3, "")
    assert all(name in done.err for name in ("Cos (wave)", "Acos (angle)", "Hardmax (hard)"))
    data = heatcli("inspect", "odd.onnx", "--json")
    assert data.code == 3
    assert [node["operation"] for node in json.loads(data.out)["unsupported"]] == ["Cos", "Acos", "Hardmax"]

    assert "\n" not in json.loads(data.out)["error"]["message"]
    assert json.loads(data.out)["error"]["message"].endswith("Cos (1), Acos (1), Hardmax (1)")


@pytest.mark.parametrize("name", ["photos/a.png", "missing.onnx"])
def test_every_model_error_is_data_too(heatcli: Run, name: str) -> None:
    done = heatcli("inspect", name, "--json")
    description = json.loads(done.out)
    assert done.code == 3
    assert (description["model"], description["unsupported"]) == ({"path": name}, [])
    assert description["error"]["type"] == "UnreadableModel"
    assert description["error"]["message"] in done.err


def test_options_that_change_what_is_shown(heatcli: Run) -> None:
    facts = ("--mean", "1,2,3", "--std", "2", "--pixel-scale", "1", "--channels", "bgr", "--fit", "squash")
    done = heatcli("inspect", "net.onnx", "--labels", "labels.txt", *facts)
    assert "custom (BGR 0–255, mean 1, 2, 3, std 2), squash to 16×16 (source: option)" in done.out
    assert "from -0.5, -1, -1.5 to 127, 126.5, 126\n" in done.out
    assert r"cat; dog; owl\x1b]0;evil\x07; sea lion" in done.out
    assert "\x1b" not in done.out
    description = json.loads(heatcli("inspect", "net.onnx", "--labels", "labels.txt", *facts, "--json").out)
    assert description["range"] == [[-0.5, -1.0, -1.5], [127.0, 126.5, 126.0]]
    assert description["labels"][0] == "cat"
    assert "from -1 to 1\n" in heatcli("inspect", "net.onnx", "--range", "-1,1").out


def test_quiet_is_the_table_alone_and_verbose_says_more(heatcli: Run) -> None:
    quiet = heatcli("inspect", "net.onnx", "-q").out.splitlines()
    assert quiet[0].startswith("name ")
    assert quiet[-1].startswith("logits ")
    plain, verbose = heatcli("inspect", "net.onnx").out, heatcli("inspect", "net.onnx", "-v").out
    sha256 = json.loads(heatcli("inspect", "net.onnx", "--json").out)["model"]["sha256"]
    assert sha256 not in plain
    assert sha256 in verbose


@pytest.mark.parametrize("width", [80, 100, 200])
def test_on_a_terminal_long_names_lose_their_middle(width: int) -> None:
    long = "network/block_17/branch_2/convolution_3x3_with_a_long_name/BiasAdd:0"
    rows = [(long, "Conv", "linear", "alpha-beta:2,1", "1×1024×112×112", "1,234,567")]
    rows.append(("y", "LayerNormalization", "normalisation", "pass", "1×4", ""))
    for whole in (False, True):
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(_table(rows, width, whole=whole))
        lines = console.export_text().splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) == 4 or whole
        assert (long in lines[2]) == (width == 200)
        assert any("…" in line for line in lines[2:3]) == (not whole and width < 200)
        assert all(text in lines[2] for text in ("alpha-beta:2,1", "1×1024×112×112", "1.23M"))


def test_a_long_list_is_summed_up_by_family_on_a_terminal() -> None:
    """Every layer is counted once, under its family and rule."""
    layers = [
        {"family": family, "rule": rule, "operation": operation, "parameters": count}
        for family, rule, operation, count in (
            [("linear", "zB", "Conv", 100)]
            + [("linear", "z+", "Conv", 1000)] * 30
            + [("linear", "z+", "Gemm", 5000)]
            + [("activation", "pass", "Relu", 0)] * 29
        )
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(_overview(layers))
    lines = [line.split() for line in console.export_text().splitlines()[2:]]
    assert lines == [
        ["linear", "zB", "1", "Conv", "100"],
        ["linear", "z+", "31", "Conv", "30,", "Gemm", "35k"],
        ["activation", "pass", "29", "Relu", "29"],
    ]


@pytest.mark.parametrize("arguments", [("photos/a.png",), ("missing.onnx",)])
def test_what_is_no_model_has_exit_code_3(heatcli: Run, arguments: tuple[str, ...]) -> None:
    done = heatcli("inspect", *arguments)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("heatcli: ")
    assert "Traceback" not in done.err
