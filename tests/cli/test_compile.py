"""``heatcli compile``, and the engine and provider of ``heatcli explain``."""

from __future__ import annotations

import json

import onnx


def test_compile(place, heatcli):
    done = heatcli("compile", "net.onnx", "-o", "explainer.onnx", "--preprocess", "raw", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["bytes"] == (place / "explainer.onnx").stat().st_size
    assert [entry["name"] for entry in told["outputs"]][1:] == ["relevance", "heatmap", "ledger"]
    assert "differs from the NumPy engine by" in done.err
    onnx.checker.check_model(onnx.load(place / "explainer.onnx"))
    assert not list(place.glob(".*part"))


def test_what_is_there_stays(place, heatcli):
    (place / "explainer.onnx").write_bytes(b"mine")
    done = heatcli("compile", "net.onnx", "-o", "explainer.onnx", "--preprocess", "raw")
    assert done.code == 2
    assert "--overwrite replaces it" in done.err
    assert (place / "explainer.onnx").read_bytes() == b"mine"
    assert heatcli("compile", "net.onnx", "-o", "explainer.onnx", "--preprocess", "raw", "--overwrite").code == 0


def test_the_model_itself_is_not_replaced(place, heatcli):
    before = (place / "net.onnx").read_bytes()
    done = heatcli("compile", "net.onnx", "-o", "./net.onnx", "--overwrite")
    assert done.code == 2
    assert "is the model itself" in done.err
    assert (place / "net.onnx").read_bytes() == before


def test_stdout_and_folders_are_refused(place, heatcli):
    assert heatcli("compile", "net.onnx", "-o", "-").code == 2
    (place / "there").mkdir()
    done = heatcli("compile", "net.onnx", "-o", "there", "--overwrite", "--preprocess", "raw")
    assert done.code == 2
    assert "is a folder" in done.err


def test_engines_write_the_same_picture(place, heatcli):
    options = ("explain", "photos/a.png", "-m", "net.onnx", "--preprocess", "raw", "--json", "-o")
    one = heatcli(*options, "one.png")
    other = heatcli(*options, "other.png", "--engine", "compiled")
    assert one.code == other.code == 0, other.err
    first, second = json.loads(one.out), json.loads(other.out)
    assert first["target"] == second["target"]
    assert abs(first["ledger"]["pixels"] - second["ledger"]["pixels"]) < 1e-4 * abs(first["ledger"]["start"])


def test_what_an_engine_cannot_do(place, heatcli):
    done = heatcli(
        "explain", "photos/a.png", "-m", "net.onnx", "--engine", "compiled", "--save", "npz", "--layers", "-o", "x.png"
    )
    assert done.code == 2
    assert "--layers goes with --engine numpy" in done.err
    done = heatcli("explain", "photos/a.png", "-m", "net.onnx", "--provider", "abacus", "-o", "x.png")
    assert done.code == 2
    assert "unknown provider 'abacus'; known: cpu, cuda" in done.err
