"""Describing a model: what is tried on a picture of known class, what is written, and that it is read back the same."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

import heatcli
from heatcli.cli import main
from heatcli.describing import trials
from heatcli.errors import UsageError
from heatcli.pictures.preprocessing import read_sidecar

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "sample_images"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The shipped network without the file that describes it, beside its labels in a text file."""
    shipped = ROOT / "models" / "emoji_scenes" / "emoji_scenes.onnx"
    shutil.copy(shipped, tmp_path / "net.onnx")
    (tmp_path / "labels.txt").write_text("\n".join(read_sidecar(shipped)["labels"]), encoding="utf-8")
    return tmp_path / "net.onnx"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_true_preprocessing_is_among_the_right_ones(model: Path):
    explainer = heatcli.load(model, labels=model.with_name("labels.txt"), preprocess="raw")
    names = ("shark", "volcano", "two_frogs", "cat", "penguin")
    found = trials(explainer, [SAMPLES / f"{name}.png" for name in names], ["shark", "volcano", "frog", "cat", "9"], {})
    right = {(trial.preset, trial.channels) for trial in found if trial.right}
    assert ("half", "rgb") in right
    assert ("raw", "rgb") not in right
    assert [sum(trial.ranks) for trial in found] == sorted(sum(trial.ranks) for trial in found)
    assert len({(trial.preset, trial.channels, trial.fit) for trial in found}) == len(found) == 5 * 2 * 2
    for trial in found:
        explained = heatcli.load(
            model, labels=explainer.labels, preprocess=trial.preset, channels=trial.channels, fit=trial.fit
        ).explain(SAMPLES / "shark.png")
        assert explained.target == trial.tops[0]


def test_what_is_certain_is_not_tried_otherwise(model: Path):
    explainer = heatcli.load(model)
    found = trials(explainer, [SAMPLES / "cat.png"], ["2"], {"channels": "bgr", "fit": "pad", "preprocess": "auto"})
    assert {(trial.channels, trial.fit) for trial in found} == {("bgr", "pad")}
    (only,) = trials(explainer, [SAMPLES / "cat.png"], ["2"], {"preprocess": "half", "channels": "rgb", "fit": "crop"})
    assert only.preset == "half"
    with pytest.raises(UsageError, match="--expect was given 2 times for 1 pictures"):
        trials(explainer, [SAMPLES / "cat.png"], ["2", "3"], {})


def test_written_and_read_back_the_same(model: Path, capsys):
    given = ("--mean", "0.4,0.5,0.6", "--std", "0.3", "--pixel-scale", "1/255", "--channels", "bgr", "--fit", "squash")
    labels = model.with_name("labels.txt")
    assert run("models", "describe", model, *given, "--labels", labels) == 0
    assert capsys.readouterr().out.strip() == str(model.with_suffix(".heatcli.json"))
    before = heatcli.load(
        model, mean=[0.4, 0.5, 0.6], std=[0.3], scale=1 / 255, channels="bgr", fit="squash", labels=labels
    )
    after = heatcli.load(model)
    plain = {"source": "", "evidence": ()}
    assert replace(after.preprocessing, **plain) == replace(before.preprocessing, **plain)
    assert after.preprocessing.source == "sidecar"
    assert after.labels == before.labels
    assert not after.notes
    assert json.loads(model.with_suffix(".heatcli.json").read_text())["sha256"] == after.model.sha256
    # a second time it is not replaced unasked
    assert run("models", "describe", model) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert run("models", "describe", model, "--overwrite") == 0


@pytest.mark.parametrize("name", ["onnxweb_sethjuarez", "keras_mlperf_resnet8_cifar10", "mnist_cntk_opset8"])
def test_other_inputs_read_back_the_same(data, tmp_path, capsys, name):
    shutil.copy(data / "models" / f"{name}.onnx", tmp_path / "net.onnx")
    before = heatcli.load(tmp_path / "net.onnx").preprocessing
    assert run("models", "describe", tmp_path / "net.onnx") == 0
    after = heatcli.load(tmp_path / "net.onnx").preprocessing
    assert after.source == "sidecar"
    plain = {"source": "", "evidence": ()}
    assert replace(after, **plain) == replace(before, **plain)


def test_the_guess_gives_way_to_what_is_right(model: Path, capsys):
    pictures = [
        part for name in ("shark", "volcano") for part in ("--check", SAMPLES / f"{name}.png", "--expect", name)
    ]
    given = ("--labels", model.with_name("labels.txt"), "--preprocess", "raw")
    assert run("models", "describe", model, *given, *pictures) == 1
    assert "none of 4 ways makes the network right; nothing is written" in capsys.readouterr().err
    assert not model.with_suffix(".heatcli.json").exists()
    assert run("models", "describe", model, *given[:2], *pictures) == 0
    shown = capsys.readouterr().err
    assert "ways make the network right" in shown
    assert "weak evidence" in shown
    assert max(map(len, shown[shown.index("  preset") :].splitlines()[:10])) <= 80
    explainer = heatcli.load(model)
    assert [explainer.explain(SAMPLES / f"{name}.png").label for name in ("shark", "volcano")] == ["shark", "volcano"]


def test_stdout_and_half_a_question(model: Path, capsys):
    assert run("models", "describe", model, "-o", "-", "-q") == 0
    assert json.loads(capsys.readouterr().out)["channels"] == "rgb"
    assert not model.with_suffix(".heatcli.json").exists()
    assert run("models", "describe", model, "--expect", "cat") == 2
    assert "go together" in capsys.readouterr().err
