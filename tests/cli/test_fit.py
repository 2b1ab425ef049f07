"""``heatcli fit``, and ``heatcli explain`` by what it wrote: tables, exit codes, interruption."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from heatcli.fitting import fitter

FIT = ("fit", "net.onnx", "--images", "many", "--preprocess", "unit", "--epochs", "4", "--memory", "1")
EXPLAIN = ("explain", "photos/a.png", "-m", "net.onnx", "--preprocess", "unit", "--method", "deep-taylor-minmax")


@pytest.fixture
def many(place):
    """Add a folder of small pictures with a bright square each."""
    random = np.random.default_rng(0)
    (place / "many").mkdir()
    for number in range(24):
        picture = random.integers(0, 80, (16, 16, 3), dtype=np.uint8)
        row, column = random.integers(0, 10, 2)
        picture[row : row + 6, column : column + 6, number % 3] = 250
        PIL.Image.fromarray(picture).save(place / "many" / f"{number}.png")
    return place


def test_a_layer_in_a_line_and_a_file_for_explain(many, heatcli):
    done = heatcli(*FIT)
    assert done.code == 0, done.err
    assert done.out == "net.relevance.npz\n"
    (head,) = [line for line in done.err.splitlines() if line.startswith("layer ")]
    (row,) = [line for line in done.err.splitlines() if line.startswith("conv ")]
    assert head.split() == ["layer", "oper…", "neurons", "places", "layers", "above", "rows", "error", "sum"]
    assert row.split()[:6] == ["conv", "Conv", "6", "256", "logits", "(all)"]
    assert len(head) == len(row) <= 80
    assert "24 pictures: so few fit a model badly" in done.err
    assert "Fitted to 24 pictures in" in done.err
    assert not list(many.glob("*part*"))

    explained = heatcli(*EXPLAIN, "--json", "-o", "a.png", "-v")
    assert explained.code == 0, explained.err
    record = json.loads(explained.out)
    assert record["method"] == "deep-taylor-minmax"
    assert record["settings"]["relevance_model"]["file"] == "net.relevance.npz"
    assert record["ledger"]["lost"] != 0
    assert abs(record["ledger"]["error"]) < 1e-5
    assert record["relevance"]["min"] >= 0


def test_json_for_scripts(many, heatcli):
    done = heatcli(*FIT, "--json", "--output", "models/other.npz", "--target", "top-2", "--seed", "3")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["path"] == "models/other.npz"
    assert told["settings"]["target"] == ["top-2"]
    assert told["settings"]["seed"] == 3
    (layer,) = told["layers"]
    assert layer["fitted"]
    assert layer["name"] == "conv"
    assert layer["uppers"] == ["logits (all)"]
    assert layer["error"] > 0
    assert (many / "models" / "other.npz").exists()
    explained = heatcli(*EXPLAIN, "-o", "a.png", "--relevance-model", "models/other.npz")
    assert explained.code == 0, explained.err
    assert heatcli(*EXPLAIN, "-o", "a.png").code == 2


def test_every_pass_with_verbose_and_nothing_with_quiet(many, heatcli):
    done = heatcli(*FIT, "--verbose")
    assert [line for line in done.err.splitlines() if line.startswith("  pass   4  error ")]
    done = heatcli(*FIT, "--quiet", "--overwrite")
    assert (done.code, done.err, done.out) == (0, "", "net.relevance.npz\n")


def test_an_interrupted_run_goes_on(many, heatcli, monkeypatch):
    train = fitter.training.train

    def stopped(*arguments):
        yield next(train(*arguments))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitter.training, "train", stopped)
        done = heatcli(*FIT)
    assert done.code == 130
    assert "Interrupted: 0 of 1 layer fitted." in done.err
    assert not (many / "net.relevance.npz").exists()
    assert heatcli(*FIT).code == 0


def test_what_is_left_of_an_interruption_is_said(many, heatcli, monkeypatch):
    """All layers are done and the end is not written: the next run has nothing to do but that."""
    written = fitter.Fitter.run

    def stopped(self, done):
        yield from written(self, done)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitter.Fitter, "run", stopped)
        done = heatcli(*FIT)
    assert done.code == 130
    assert "Interrupted: 1 of 1 layer fitted and kept in net.relevance.part.npz; the same command goes on" in done.err
    again = heatcli(*FIT)
    assert again.code == 0
    assert "1 layer of 1 from net.relevance.part.npz" in again.err
    assert any(line.startswith("conv ") for line in again.err.splitlines())
    assert not list(many.glob("*part*"))


def test_bad_pictures_are_named(many, heatcli):
    (many / "many" / "bad.png").write_bytes(b"no picture")
    done = heatcli(*FIT)
    assert done.code == 1
    assert "1 picture left out:" in done.err
    assert "many/bad.png" in done.err
    assert "Fitted to 24 pictures in" in done.err
    assert (many / "net.relevance.npz").exists()


def test_where_too_few_pictures_are_left_the_bad_ones_are_named(many, heatcli):
    (many / "bad.png").write_bytes(b"no picture")
    done = heatcli("fit", "net.onnx", "--images", "bad.png", "--images", "many/1.png", "--preprocess", "unit")
    assert done.code == 2
    assert "1 picture left out:\n  bad.png: not a picture" in done.err
    assert "need many pictures" in done.err


def test_one_is_held_out_of_those_that_can_be_read(many, heatcli):
    """Whichever of the three comes first: with the bad one second nothing would be held out."""
    (many / "bad.png").write_bytes(b"no picture")
    two = ("--images", "many/1.png", "--images", "many/2.png")
    for images in (
        (*two, "--images", "bad.png"),
        ("--images", "bad.png", *two),
        (*two[:2], "--images", "bad.png", *two[2:]),
    ):
        done = heatcli("fit", "net.onnx", *images, "--preprocess", "unit", "--epochs", "1", "--overwrite", "--json")
        assert done.code == 1, done.err
        assert json.loads(done.out)["layers"][0]["fitted"]


def test_what_does_not_fit(many, heatcli):
    cases = {
        ("--output", "-"): "relevance models are a file",
        ("--output", "net.onnx", "--overwrite"): "is the model itself",
        ("--epochs", "none"): "a whole number from 1 on",
        ("--seconds", "-3"): "a number above 0",
        ("--target", "7"): "there is no class 7",
        ("--images", "-"): "gone through several times",
        ("--images", "nowhere/"): "",
    }
    for arguments, said in cases.items():
        done = heatcli(*FIT, *arguments)
        assert done.code in (1, 2), arguments
        assert said in done.err
        assert "Traceback" not in done.err
    assert (many / "net.onnx").stat().st_size > 1000


def test_explain_without_models_says_what_to_do(many, heatcli):
    done = heatcli(*EXPLAIN)
    assert done.code == 2
    assert "deep-taylor-minmax" in done.err or "needs relevance models" in done.err
    assert "`heatcli fit net.onnx --images DIR` fits them" in done.err
    done = heatcli(*EXPLAIN, "--relevance-model", "photos/a.png")
    assert done.code == 2
    assert "is no file of relevance models, or damaged" in done.err


def test_models_of_another_network(many, heatcli):
    assert heatcli(*FIT).code == 0
    content = (many / "net.onnx").read_bytes()
    (many / "other.onnx").write_bytes(content.replace(b"tiny", b"tine"))
    done = heatcli(
        *EXPLAIN[:2], "-m", "other.onnx", *EXPLAIN[4:], "--relevance-model", "net.relevance.npz", "-o", "a.png"
    )
    assert done.code == 2
    assert "was fitted for net.onnx (sha256 " in done.err


def test_finished_pictures_are_done_again_when_the_models_are_others(many, heatcli):
    assert heatcli(*FIT).code == 0
    run = ("explain", "photos", *EXPLAIN[2:], "-o", "maps")
    assert heatcli(*run).code == 0
    assert "3 inputs of 3 were finished before" in heatcli(*run).err
    assert heatcli(*FIT, "--overwrite", "--seed", "1").code == 0
    refused = heatcli(*run)
    assert refused.code == 2
    assert "relevance-model net.relevance.npz (sha256 " in refused.err
    done = heatcli(*run, "--overwrite")
    assert "finished before" not in done.err
    assert "3 inputs of 3 explained" in done.err


def test_the_file_can_be_compiled(many, heatcli):
    assert heatcli(*FIT).code == 0
    done = heatcli(
        "compile", "net.onnx", "-o", "explainer.onnx", "--preprocess", "unit", "--method", "deep-taylor-minmax"
    )
    assert done.code == 0, done.err
    assert "differs from the NumPy engine by" in done.err


def test_links_that_wait_beside_the_model_are_not_followed(many, heatcli):
    for name in ("net.relevance.npz", "net.relevance.part.npz"):
        Path(name).symlink_to("elsewhere")
    assert heatcli(*FIT).code == 0
    assert not Path("elsewhere").exists()
    assert not Path("net.relevance.npz").is_symlink()
