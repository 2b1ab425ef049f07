"""``heatcli explain`` from end to end: both streams, the files, the records."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest
from onnx import helper

from tests.cli.conftest import Done, classifier

Run = Callable[..., Done]
NET = ("-m", "net.onnx", "--preprocess", "unit")


def records(path: str = "heatmaps/records.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def opened(path: str | Path | io.BytesIO) -> np.ndarray:
    with PIL.Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


class TestOnePicture:
    def test_path_on_stdout_and_the_account_on_stderr(self, heatcli: Run) -> None:
        done = heatcli("explain", "photos/a.png", *NET, "--labels", "labels.txt")
        assert (done.code, done.out) == (0, "a.heatmap.png\n")
        assert opened("a.heatmap.png").shape == (24, 32, 3)
        assert "the class with the highest score" in done.err
        account = next(line for line in done.err.splitlines() if line.startswith("f(x)"))
        numbers = [float(word) for word in account.split() if word.replace(".", "").isdecimal()]
        assert numbers[0] == pytest.approx(sum(numbers[1:]), abs=2e-3)
        assert all(numbers[:3])
        assert "Wrote a.heatmap.png" in done.err

    def test_the_json_record_is_the_only_thing_on_stdout(self, heatcli: Run) -> None:
        done = heatcli("explain", "photos/a.png", *NET, "--json", "-q", "--target", "2")
        record = json.loads(done.out)
        assert done.err == ""
        assert (record["input"], record["output"], record["target"]["index"]) == ("photos/a.png", "a.heatmap.png", 2)
        ledger = record["ledger"]
        parts = sum(ledger[name] for name in ("pixels", "biases", "constants", "lost"))
        assert ledger["start"] == pytest.approx(parts, rel=1e-4)
        assert record["seconds"]["write"] > 0

    def test_biases_ignored_the_pixels_take_all(self, heatcli: Run) -> None:
        done = heatcli("explain", "photos/a.png", *NET, "--json", "--biases", "ignore", "--save", "npy")
        record = json.loads(done.out)
        relevance = np.load("a.heatmap.npy")
        assert relevance.shape == (3, 16, 16)
        assert float(relevance.sum()) == pytest.approx(record["ledger"]["score"], rel=1e-4)
        assert relevance.min() >= 0

    def test_a_guess_is_said_with_the_option_that_changes_it(self, heatcli: Run) -> None:
        assert "--preprocess" in heatcli("explain", "photos/a.png", "-m", "net.onnx").err
        assert "Assumed" not in heatcli("explain", "photos/a.png", *NET).err

    def test_no_evidence_is_said_in_words(self, heatcli: Run) -> None:
        done = heatcli("explain", "photos/a.png", *NET, "--target", "3", "--save", "npy")
        assert done.code == 0
        assert done.err.count("no evidence for this class") == 1
        assert "f(x) =" not in done.err
        assert not np.load("a.heatmap.npy").any()

    def test_several_targets_each_have_a_file(self, heatcli: Run) -> None:
        done = heatcli(
            "explain", "photos/a.png", *NET, "--target", "sea LION", "--target", "0", "--labels", "labels.txt"
        )
        assert done.out.splitlines() == ["a.3.heatmap.png", "a.0.heatmap.png"]
        assert len(heatcli("explain", "photos/a.png", *NET, "--target", "top-3").out.splitlines()) == 3

    def test_escapes_in_labels_and_names_never_reach_the_terminal(self, heatcli: Run, place: Path) -> None:
        Path("photos/a.png").rename("photos/\x1b[31mred.png")
        done = heatcli("explain", "photos/\x1b[31mred.png", *NET, "--target", "top-4", "--labels", "labels.txt", "-v")
        assert done.code == 0
        assert "owl\\x1b]0;evil\\x07" in done.err
        assert "photos/\\x1b[31mred.png" in done.err
        assert "\x1b" not in done.err

    def test_other_methods_and_rules(self, heatcli: Run) -> None:
        done = heatcli("explain", "photos/a.png", *NET, "--method", "sensitivity")
        assert "promises no account" in done.err
        done = heatcli("explain", "photos/a.png", *NET, "--rule", "conv=w2", "--json")
        assert json.loads(done.out)["settings"]["input_rule"] == "w2"

    def test_a_tensor_takes_its_range_from_the_option(self, heatcli: Run) -> None:
        np.save("x.npy", np.random.default_rng(1).uniform(-1, 1, (3, 16, 16)).astype(np.float32))
        without = json.loads(heatcli("explain", "x.npy", *NET, "--json").out)
        assert without["settings"]["input_rule"] == "w2"
        assert any("--range" in warning for warning in without["warnings"])
        given = json.loads(heatcli("explain", "x.npy", *NET, "--json", "--range", "-1,1/-1,1/-2,1").out)
        assert given["settings"]["input_rule"] == "zB"
        assert given["settings"]["range"] == [[-1, -1, -2], [1, 1, 1]]

    def test_what_a_tensor_does_not_go_through_is_not_said(self, heatcli: Run) -> None:
        np.save("x.npy", np.zeros((3, 16, 16), np.float32))
        assert "preprocessing" not in heatcli("explain", "x.npy", "-m", "net.onnx").err
        assert "preprocessing" not in heatcli("explain", "x.npy", "x.npy", "-m", "net.onnx", "-o", "maps").err
        assert "preprocessing" in heatcli("explain", "photos", "x.npy", "-m", "net.onnx", "-o", "maps").err

    def test_names_that_are_no_text_leave_json_whole(self, heatcli: Run, place: Path) -> None:
        name = os.fsdecode(b"b\xffd.png")
        Path("photos/a.png").rename(name)
        done = heatcli("explain", name, *NET, "--json")
        assert "\ufffd" not in done.out  # what the fixture puts for bytes that are no UTF-8
        assert json.loads(done.out)["input"] == name

    def test_stdin_to_stdout(self, place: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "heatcli", "explain", "-", *NET, "-o", "-"],
            input=Path("photos/a.png").read_bytes(),
            capture_output=True,
            check=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert opened(io.BytesIO(done.stdout)).shape == (24, 32, 3)
        assert b"f(x)" in done.stderr
        assert not list(place.glob("*.heatmap.png"))


class TestFolder:
    def test_sub_folders_are_mirrored_and_recorded(self, heatcli: Run) -> None:
        done = heatcli("explain", "photos", *NET)
        outputs = ["heatmaps/a.heatmap.png", "heatmaps/b.heatmap.png", "heatmaps/sub/a.heatmap.png"]
        assert done.code == 0
        assert sorted(done.out.splitlines()) == outputs
        assert sorted(record["output"] for record in records()) == outputs
        assert "3 inputs of 3 explained" in done.err
        assert not [path for path in Path("heatmaps").rglob("*") if path.name.startswith(".")]

    def test_one_bad_picture_does_not_stop_the_rest(self, heatcli: Run) -> None:
        Path("photos/0.png").write_text("not a picture")
        done = heatcli("explain", "photos", "missing.jpg", *NET, "--json")
        lines = [json.loads(line) for line in done.out.splitlines()]
        assert done.code == 1
        assert [line["error"] is None for line in lines].count(True) == 3
        assert {line["input"]: line["error"]["type"] for line in lines if line["error"]} == {
            "photos/0.png": "PictureError",
            "missing.jpg": "PictureError",
        }
        assert "2 inputs failed:" in done.err
        assert "Traceback" not in done.err

    def test_the_first_failure_stops_with_fail_fast(self, heatcli: Run) -> None:
        Path("photos/0.png").write_text("not a picture")
        done = heatcli("explain", "photos", *NET, "--fail-fast")
        assert (done.code, done.out) == (1, "")

    def test_finished_pictures_are_skipped_until_something_changes(self, heatcli: Run) -> None:
        Path("photos/0.png").write_text("not a picture")
        assert heatcli("explain", "photos", *NET).code == 1
        again = heatcli("explain", "photos", *NET)
        assert (again.code, again.out) == (1, "")
        assert "3 inputs of 4 were finished before" in again.err
        Path("photos/0.png").unlink()
        Path("heatmaps/b.heatmap.png").unlink()
        assert heatcli("explain", "photos", *NET).out == "heatmaps/b.heatmap.png\n"
        changed = heatcli("explain", "photos", *NET, "--style", "heatmap")
        assert (changed.code, changed.out) == (2, "")
        assert "style not given, now heatmap" in changed.err
        assert "--overwrite" in changed.err
        assert len(heatcli("explain", "photos", *NET, "--style", "heatmap", "--overwrite").out.splitlines()) == 3
        inputs = sorted(record["input"] for record in records())
        assert inputs == ["photos/0.png", "photos/a.png", "photos/b.jpg", "photos/sub/a.png"]

    def test_call_after_call_into_one_folder_adds_up_and_overwrites_nothing_unsaid(self, heatcli: Run) -> None:
        assert heatcli("explain", "photos/a.png", "photos/b.jpg", *NET, "-o", "maps").code == 0
        refused = heatcli("explain", "photos/sub/a.png", *NET, "-o", "maps")
        assert refused.code == 2
        assert "maps/a.heatmap.png is the heatmap of photos/a.png, made before, and would be overwritten" in refused.err
        alone = heatcli("explain", "photos/sub/a.png", *NET, "-o", "maps", "--overwrite")
        assert (alone.code, alone.out) == (0, "maps/a.heatmap.png\n")
        assert "Explained: class" in alone.err
        assert [record["input"] for record in records("maps/records.jsonl")] == ["photos/b.jpg", "photos/sub/a.png"]

    def test_stdin_goes_to_the_process_that_explains_it(self, heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        for content, code in ((Path("photos/a.png").read_bytes(), 0), (b"", 1)):
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
            done = heatcli("explain", "-", "photos/b.jpg", *NET, "-o", f"maps{code}")
            assert done.code == code
        assert "stdin: is empty" in done.err
        assert heatcli("explain", "photos/a.png", *NET, "-o", "a.png").code == 0
        assert Path("maps0/stdin.heatmap.png").read_bytes() == Path("a.png").read_bytes()

    def test_a_page_to_look_at_is_written_at_the_end(self, heatcli: Run) -> None:
        Path("photos/0.png").write_text("not a picture")
        done = heatcli("explain", "photos", *NET, "-o", "maps", "--report", "maps/page.html")
        assert done.code == 1
        assert "3 heatmaps and 1 failure in a page" in done.err
        assert "photos/sub/a.png" in Path("maps/page.html").read_text("utf-8")
        assert len(Path("maps/page.csv").read_text("utf-8").splitlines()) == 5
        refused = heatcli("explain", "photos/a.png", *NET, "--report", "page.html")
        assert (refused.code, "--report goes with folders" in refused.err) == (2, True)

    def test_a_failure_is_recorded_with_the_same_keys(self, heatcli: Run) -> None:
        Path("photos/0.png").write_text("not a picture")
        Path("photos/2.npy").write_text("not a tensor")
        np.save("photos/1.npy", np.zeros((3, 16, 16), np.float32))
        assert heatcli("explain", "photos", *NET, "-o", "maps").code == 1
        by_name = {record["input"]: record for record in records("maps/records.jsonl")}
        for bad, good in (("photos/0.png", "photos/a.png"), ("photos/2.npy", "photos/1.npy")):
            assert by_name[bad]["error"]
            assert not by_name[good]["error"]
            for part in ("settings", "preprocessing"):
                assert by_name[bad][part].keys() == by_name[good][part].keys(), part
        assert by_name["photos/0.png"]["preprocessing"] == by_name["photos/a.png"]["preprocessing"]
        assert by_name["photos/1.npy"]["preprocessing"] == {"source": "tensor"}

    def test_a_folder_that_cannot_be_searched_fails_and_the_rest_goes_on(
        self, heatcli: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        true = os.scandir

        def scandir(path: str | int) -> Any:
            if str(path).endswith("sub"):
                raise PermissionError(13, "Permission denied", path)
            return true(path)

        Path("photos/sub.png").write_bytes(Path("photos/a.png").read_bytes())  # its heatmap has the folder's name
        monkeypatch.setattr(os, "scandir", scandir)
        done = heatcli("explain", "photos", *NET)
        assert (done.code, len(done.out.splitlines())) == (1, 3)
        assert "photos/sub: this folder cannot be searched (Permission denied)" in done.err

    def test_a_quoted_glob_says_what_it_left_out(self, heatcli: Run) -> None:
        Path("photos/notes.txt").write_text("hello")
        done = heatcli("explain", "photos/*", *NET, "-o", "maps")
        assert (done.code, len(done.out.splitlines())) == (0, 3)
        assert "Left out: 1 file whose name does not end like a picture's." in done.err
        assert "Left out: 1 file" in heatcli("explain", "photos/[an]*.*", *NET, "-o", "one.png").err

    def test_shared_colours_and_saved_arrays(self, heatcli: Run) -> None:
        done = heatcli("explain", "photos", *NET, "--scale", "shared", "--save", "npz", "--layers", "-o", "maps")
        assert done.code == 0
        assert len({record["settings"]["scale"] for record in records("maps/records.jsonl")}) == 1
        with np.load("maps/sub/a.heatmap.npz") as saved:
            assert saved["layers_name"][-1] == "conv"
            assert saved["heatmap"].shape == (16, 16)

    def test_the_current_folder_can_be_explained_again_and_again(self, heatcli: Run) -> None:
        assert len(heatcli("explain", ".", *NET).out.splitlines()) == 3
        done = heatcli("explain", ".", *NET, "--overwrite")
        assert len(done.out.splitlines()) == 3
        assert "Left out: 3 heatmaps" in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["text.jpg"], 1, "text.jpg"),
        (["missing.jpg"], 1, "missing.jpg: no such file"),
        (["photos/a.png", "-m", "photos/a.png"], 3, "photos/a.png"),
        (["photos/a.png", "-m", "cut.onnx"], 3, "cut.onnx"),
        (["photos/a.png", "-m", "missing.onnx"], 3, "missing.onnx"),
        (["photos/a.png", "--labels", "short.txt"], 2, "short.txt"),
        (["photos/a.png", "--labels", "labels.txt", "--target", "zebra"], 2, "zebra"),
        (["photos/a.png", "--target", "17"], 2, "classes 0 to 3"),
        (["photos/a.png", "-o", "labels.txt/maps"], 2, "not a folder"),
        (["photos", "-o", "labels.txt"], 2, "not a folder"),
        (["photos/a.png", "--method", "magic"], 2, "deep-taylor"),
        (["photos/a.png", "--input-rule", "magic"], 2, "zB"),
        (["photos/a.png", "--rule", "*=magic"], 2, "epsilon"),
        (["photos/a.png", "--rule", "nowhere=w2"], 2, "nowhere"),
        (["photos/a.png", "--preprocess", "magic"], 2, "imagenet"),
        (["photos/a.png", "--colormap", "magic"], 2, "magic"),
        (["photos/a.png", "--style", "magic"], 2, "side-by-side"),
        (["photos/a.png", "--range", "1"], 2, "--range 1"),
        (["photos/a.png", "--scale", "big"], 2, "--pixel-scale"),
        (["photos/a.png", "--save", "gif"], 2, "npy, npz"),
        (["photos/a.png", "--layers"], 2, "--save npz"),
        (
            ["photos/a.png", "--method", "simple-taylor", "--save", "root", "--versus", "top"],
            2,
            "--save root does not go with --versus",
        ),
        (["photos/a.png", "-o", "-", "--json"], 2, "stdout"),
        (["photos/a.png", "photos/sub/a.png"], 2, "would both write"),
        (["photos/a.png", "--mean", "1,x"], 2, "'x' is no number"),
        (["photos/a.png", "--nonsense"], 2, "--nonsense"),
        (["empty"], 2, "no pictures"),
        (["photos/a.png", "-o", ""], 2, "-o is empty"),
        (["photos/a.png", "--fit", "tall"], 2, "--fit tall: unknown; known: crop, squash, pad"),
        (["photos/a.png", "--jobs", "0"], 2, "--jobs 0: a whole number"),
        (["photos/a.png", "--std", "0"], 2, "std must not be zero"),
        (["photos/a.png", "--target", "top-x"], 2, "top-3"),
        (["huge.npy"], 1, "at most 1,024 MiB are read"),
        (["objects.npy"], 1, "holds Python objects; save an array of numbers"),
        ([], 2, "nothing to explain"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_clear_message_the_right_code_and_nothing_half_written(
    heatcli: Run, place: Path, arguments: list[str], code: int, message: str
) -> None:
    Path("text.jpg").write_text("not a picture at all")
    Path("short.txt").write_text("cat\ndog\n")
    Path("cut.onnx").write_bytes(Path("net.onnx").read_bytes()[:300])
    Path("empty").mkdir()
    np.save("objects.npy", np.array([{}]))
    claim = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(117) + b"\n"
    Path("huge.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(claim).to_bytes(2, "little") + claim)
    before = sorted(place.rglob("*"))
    model = [] if "-m" in arguments else ["-m", "net.onnx"]
    preset = [] if "--preprocess" in arguments else ["--preprocess", "unit"]
    done = heatcli("explain", *arguments, *model, *preset)
    assert done.code == code
    assert message in done.err
    assert done.err.startswith("heatcli: ")
    assert done.err.count("\n") <= 3
    assert "Traceback" not in done.err
    assert done.out == ""
    assert sorted(place.rglob("*")) == before


def test_many_unsupported_nodes_are_counted_by_operation(heatcli: Run) -> None:
    names = ["conv", *(f"odd{place}" for place in range(6))]
    kinds = ["Cos", "Acos", "Cos", "Hardmax", "Cos", "Acos"]
    extra = [
        helper.make_node(kind, [above], [name]) for kind, above, name in zip(kinds, names, names[1:], strict=False)
    ]
    onnx.save(classifier(extra=tuple(extra)), "odd one.onnx")
    done = heatcli("explain", "photos/a.png", "-m", "odd one.onnx")
    assert (done.code, done.out) == (3, "")
    lines = done.err.splitlines()
    assert lines[0].endswith("cannot explain 6 nodes of this network: Cos (3), Acos (2), Hardmax (1)")
    assert lines[1:] == [
        "`heatcli inspect 'odd one.onnx'` lists every node",
        "--method occlusion explains the model without decomposing it",
    ]
    onnx.save(classifier(extra=tuple(extra[:1])), "odd.onnx")
    assert "Cos (odd0): " in heatcli("explain", "photos/a.png", "-m", "odd.onnx").err


class TestOcclusion:
    def test_the_record_has_no_account(self, heatcli: Run) -> None:
        done = heatcli("explain", "photos/a.png", *NET, "--method", "occlusion", "--window", "4", "--json")
        record, other = json.loads(done.out), json.loads(heatcli("explain", "photos/a.png", *NET, "--json").out)
        assert record.keys() == other.keys()
        assert record["settings"].keys() == other["settings"].keys()
        assert (record["method"], record["settings"]["input_rule"], record["settings"]["pool"]) == (
            "occlusion",
            None,
            None,
        )
        assert {name: record["settings"][name] for name in ("window", "stride", "reference")} == {
            "window": [4, 4],
            "stride": [2, 2],
            "reference": [0.5, 0.5, 0.5],
        }
        assert [record["ledger"][name] for name in ("biases", "constants", "lost", "error")] == [None] * 4
        assert record["ledger"]["start"] == max(0, record["ledger"]["score"])
        assert record["relevance"]["negative_share"] >= 0
        assert [other["settings"][name] for name in ("window", "stride", "reference")] == [None] * 3

    def test_what_was_assumed_is_said_and_no_bar_is_piped(self, heatcli: Run) -> None:
        done = heatcli("explain", "photos/a.png", *NET, "--method", "occlusion")
        assert "windows of 2×2 are hidden, one every 1; change with --window" in done.err
        assert "the middle of the input's range" in done.err
        assert "occlusion promises no account" in done.err
        assert "Explaining" not in done.err

    def test_a_bar_counts_the_windows_on_a_terminal(self, heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "80")
        shown = heatcli("explain", "photos/a.png", *NET, "--method", "occlusion", "--window", "4").err
        assert "49/49" in shown
        assert "Explaining" not in heatcli("explain", "photos/a.png", *NET).err

    def test_in_a_folder_it_is_said_once_and_failures_have_the_same_keys(self, heatcli: Run) -> None:
        Path("photos/0.png").write_text("not a picture")
        done = heatcli("explain", "photos", *NET, "--method", "occlusion", "--window", "5", "-o", "maps")
        assert (done.code, len(done.out.splitlines())) == (1, 3)
        assert done.err.count("the middle of the input's range") == 1
        good, bad = (
            next(entry for entry in records("maps/records.jsonl") if (entry["error"] is None) == well)
            for well in (True, False)
        )
        assert good["settings"].keys() == bad["settings"].keys()

    def test_what_cannot_be_decomposed(self, heatcli: Run) -> None:
        onnx.save(classifier(extra=(helper.make_node("Hardmax", ["conv"], ["hard"], axis=1),)), "odd.onnx")
        odd = ("-m", "odd.onnx", "--preprocess", "unit")
        hint = "--method occlusion explains the model without decomposing it"
        for refused in (
            ("explain", "missing.png", *odd),
            ("explain", "missing.png", *odd, "--method", "gradient"),
            ("inspect", "odd.onnx"),
            ("inspect", "odd.onnx", "--method", "occlusion"),
            ("inspect", "odd.onnx", "--json"),
            ("compile", "odd.onnx", "-o", "out.onnx"),
        ):
            done = heatcli(*refused)
            assert done.code == 3
            assert "Hardmax (" in done.err
            assert done.err.splitlines()[-1] == hint
        assert json.loads(heatcli("inspect", "odd.onnx", "--json").out)["error"]["hint"] == hint
        done = heatcli("explain", "photos/a.png", *odd, "--method", "occlusion", "--save", "npy")
        assert (done.code, done.out) == (0, "a.heatmap.png\n")
        assert np.load("a.heatmap.npy").any()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--window", "x"), "--window x: a whole number from 1 on is needed"),
            (("--window", "16"), "--window 16 covers the whole input"),
            (("--rule", "*=z+"), "--rule does not go with occlusion"),
            (("--engine", "compiled"), "--engine compiled does not go with occlusion"),
            (("--layers", "--save", "npz"), "--layers does not go with occlusion"),
        ],
    )
    def test_what_does_not_go_with_it(self, heatcli: Run, arguments: tuple[str, ...], message: str) -> None:
        done = heatcli("explain", "photos/a.png", *NET, "--method", "occlusion", *arguments)
        assert (done.code, done.out) == (2, "")
        assert message in done.err


def test_whether_a_model_can_be_read_is_found_out_by_reading_it(heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refused(path: str, *options: Any, **more: Any) -> int:
        if str(path).endswith("net.onnx"):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *options, **more)

    monkeypatch.setattr(os, "open", refused)
    monkeypatch.setattr(os, "access", lambda path, *_: not str(path).endswith(".onnx"))
    for command in (("explain", "photos/a.png", *NET), ("inspect", "net.onnx")):
        done = heatcli(*command)
        assert (done.code, done.err) == (3, "heatcli: net.onnx: cannot be read (Permission denied)\n")
