"""``heatcli models describe``: what is written, what is said about it, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import heatcli as package
from tests.cli.conftest import Done

Run = Callable[..., Done]
ROOT = Path(__file__).resolve().parents[2]
SIDECAR = Path("net.heatcli.json")


@pytest.fixture
def emoji(place: Path) -> tuple[str, ...]:
    """The shipped network without its sidecar, with its labels in a text file, as arguments of the command."""
    shipped = ROOT / "models" / "emoji_scenes" / "emoji_scenes.onnx"
    shutil.copy(shipped, "emoji.onnx")
    shutil.copytree(ROOT / "sample_images", "samples")
    labels = json.loads(shipped.with_suffix(".heatcli.json").read_text("utf-8"))["labels"]
    Path("emoji.txt").write_text("\n".join(labels), "utf-8")
    return ("models", "describe", "emoji.onnx", "--labels", "emoji.txt", "--activation", "sigmoid")


def checked(*names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--check", f"samples/{name}.png", "--expect", name))


def test_what_is_given_is_written_and_no_option_needed_from_then_on(heatcli: Run) -> None:
    given = ("--mean", "0.4,0.5,0.6", "--std", "0.3", "--pixel-scale", "1/255", "--channels", "bgr", "--fit", "squash")
    told = heatcli("models", "describe", "net.onnx", *given, "--labels", "labels.txt", "--activation", "sigmoid")
    assert (told.code, told.out.strip()) == (0, str(SIDECAR))
    text = SIDECAR.read_text("utf-8")
    assert '"mean": [0.4, 0.5, 0.6],\n' in text
    content = json.loads(text)
    assert content["activation"] == "sigmoid"
    assert content["labels"][3] == "sea lion"
    explainer = package.load("net.onnx")
    assert content["sha256"] == explainer.model.sha256
    assert (explainer.activation, explainer.notes) == ("sigmoid", ())
    for said in ("given: --fit squash", "given: --labels labels.txt: cat", "--activation changes nothing here"):
        assert said in told.err
    assert "\x1b" not in told.err
    done = heatcli("explain", "photos/a.png", "-m", "net.onnx", "--target", "dog")
    assert (done.code, "Assumed" in done.err) == (0, False)
    assert not list(Path().glob(".*.part"))


def test_a_guess_is_told_with_its_evidence_and_option(heatcli: Run) -> None:
    told = heatcli("models", "describe", "net.onnx").err
    assert "by nothing in the file says otherwise" in told
    assert "Assumed:" in told
    assert "--preprocess" in told
    assert "Labels: none" in told


def test_a_file_that_is_there_is_shown_and_left(heatcli: Run) -> None:
    SIDECAR.write_text(json.dumps({"preprocess": "half", "labels": list("abcd"), "license": "MIT"}))
    before = SIDECAR.read_bytes()
    told = heatcli("models", "describe", "net.onnx")
    assert (told.code, told.out, SIDECAR.read_bytes()) == (2, "", before)
    assert "4 labels; preprocess half; license MIT" in told.err
    assert "--overwrite" in told.err
    assert heatcli("models", "describe", "net.onnx", "-o", "other/net.json", "-q").out.strip() == "other/net.json"
    told = heatcli("models", "describe", "net.onnx", "--overwrite", "--preprocess", "caffe")
    assert "stated in net.heatcli.json: a; b; c; …" in told.err
    content = json.loads(SIDECAR.read_text("utf-8"))
    assert (content["channels"], content["license"], content["labels"]) == ("bgr", "MIT", list("abcd"))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--expect", "1"], 2, "go together"),
        (["--check", "photos/a.png"], 2, "go together"),
        (["--json", "-o", "-"], 2, "stdout"),
        (["-o", "photos"], 2, "is a folder"),
        (["-o", "net.onnx", "--overwrite"], 2, "is the model itself"),
        (["--activation", "relu"], 2, "softmax"),
        (["--labels", "labels.txt", "--check", "photos/a.png", "--expect", "zebra"], 2, "zebra"),
        (["--check", "missing.png", "--expect", "1"], 1, "missing.png: no such file"),
        (["--check", "labels.txt", "--expect", "1"], 1, "labels.txt"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refused_and_nothing_written(heatcli: Run, place: Path, arguments: list[str], code: int, message: str) -> None:
    before = {path: path.stat().st_size for path in place.rglob("*")}
    done = heatcli("models", "describe", "net.onnx", *arguments)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert "Traceback" not in done.err
    assert {path: path.stat().st_size for path in place.rglob("*")} == before


def test_stdout_is_the_file_alone(heatcli: Run) -> None:
    done = heatcli("models", "describe", "net.onnx", "-o", "-", "-q")
    assert (json.loads(done.out)["channels"], done.err) == ("rgb", "")
    assert not SIDECAR.exists()
    assert heatcli("models", "describe", "net.onnx", "-q").code == 0
    assert SIDECAR.read_text("utf-8") == done.out


def test_what_makes_the_network_right_is_found(heatcli: Run, emoji: tuple[str, ...]) -> None:
    done = heatcli(*emoji, *checked("shark"), "--json")
    assert done.code == 0
    result = json.loads(done.out)
    assert "half" in {trial["preset"] for trial in result["trials"] if trial["right"]}
    assert result["content"] == json.loads(Path(result["path"]).read_text("utf-8"))
    assert "One picture is weak evidence; repeat --check with others." in done.err
    assert "Right for the picture: " in done.err
    assert f"of {len(result['trials'])} ways." in done.err
    assert package.load("emoji.onnx").explain("samples/shark.png").label == "shark"
    left = len(result["trials"]) - len([line for line in done.err.splitlines() if " %  " in line])
    assert f"not listed: {left} ways" in done.err
    head = next(n for n, line in enumerate(done.err.splitlines()) if line.startswith("  preset"))
    rows = done.err.splitlines()[head : head + 12]
    assert max(map(len, rows)) <= 80
    assert sum(row.startswith("* ") and " in force" not in row for row in rows) == 1


def test_the_guess_gives_way_out_loud_and_options_do_not(heatcli: Run, emoji: tuple[str, ...]) -> None:
    fitting = ("--fit", "crop", "--channels", "rgb")  # narrows what is tried, settles nothing
    Path("config.json").write_text(
        json.dumps({"mean": [0, 0, 0], "std": [0.004, 0.004, 0.004], "input_size": [3, 128, 128]})
    )
    told = heatcli(*emoji, *fitting, *checked("shark", "volcano"))
    assert told.code == 0
    assert "config.json beside the model" in told.err
    assert "The way in force is not right, so the best that is right is written instead: " in told.err
    explainer = package.load("emoji.onnx")
    assert [explainer.explain(f"samples/{name}.png").label for name in ("shark", "volcano")] == ["shark", "volcano"]
    told = heatcli(*emoji, "--overwrite", "--preprocess", "raw", *checked("shark", "volcano"))
    assert told.code == 0
    assert "Warning: what the options say is written, though it makes the network wrong: raw" in told.err
    assert package.load("emoji.onnx").preprocessing.preset == "raw"


def test_where_none_is_right_nothing_is_written(heatcli: Run, emoji: tuple[str, ...]) -> None:
    wrong = ("--check", "samples/shark.png", "--expect", "pizza", "--json")
    done = heatcli(*emoji, *wrong)
    assert done.code == 1
    assert "ways makes the network right; nothing is written" in done.err
    assert json.loads(done.out)["path"] is None
    assert not Path("emoji.heatcli.json").exists()


def test_a_link_that_waits_beside_the_model_is_not_followed(heatcli: Run) -> None:
    SIDECAR.symlink_to("elsewhere")
    given = ("models", "describe", "net.onnx", "--preprocess", "unit")
    assert heatcli(*given).code == 0
    assert not Path("elsewhere").exists()
    assert SIDECAR.is_file()
    assert not SIDECAR.is_symlink()
