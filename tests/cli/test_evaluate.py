"""``heatcli evaluate`` from end to end: both streams, the figures, exit codes, what is refused before work begins."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import pytest

from tests import terminal
from tests.cli.conftest import Done

Run = Callable[..., Done]
NET = ("-m", "net.onnx", "--preprocess", "unit")
QUICK = ("--methods", "deep-taylor,gradient-x-input")


def figures_of(table: str, name: str) -> list[str]:
    """The cells of the first row called ``name``."""
    return next(line.split()[1:] for line in table.splitlines() if line.split() and line.split()[0] == name)


def told(done: Done) -> dict[str, Any]:
    assert done.code in (0, 1), done.err
    return json.loads(done.out)


class TestTables:
    def test_table_1_is_measured(self, heatcli: Run) -> None:
        done = heatcli("evaluate", "photos", *NET, "--methods", "deep-taylor,sensitivity,gradient-x-input")
        assert done.code == 0
        assert "Conservation and positivity, 3 pictures" in done.out
        assert figures_of(done.out, "deep-taylor")[:3] == ["no", "yes", "no"]  # biases are neurons
        assert "With what biases drew, deep-taylor closes" in done.out
        assert figures_of(done.out, "sensitivity")[:3] == ["no", "yes", "no"]
        assert figures_of(done.out, "gradient-x-input")[:3] == ["no", "no", "no"]
        for name in ("random", "centre"):
            assert len(figures_of(done.out, name)) == 5  # two areas, the difference ± its error
        assert "Localisation" not in done.out
        assert "Sanity" not in done.out

    def test_biases_ignored_the_pixels_take_all(self, heatcli: Run) -> None:
        done = heatcli("evaluate", "photos", *NET, *QUICK, "--biases", "ignore", "--checks", "conservation")
        assert figures_of(done.out, "deep-taylor")[:3] == ["yes", "yes", "yes"]
        assert "With what biases drew" not in done.out
        assert "--biases goes to deep-taylor; the others have no such setting." in done.err
        assert "Perturbation" not in done.out

    def test_every_line_fits_80_columns(self, place: Path) -> None:
        names = "deep-taylor,sensitivity,lrp-epsilon-gamma-box,lrp-epsilon-plus-flat,lrp-alpha2-beta1,guided-backprop"
        command = [sys.executable, "-m", "heatcli", "evaluate", "photos", *NET, "--methods", names]
        command += ["--checks", "conservation,perturbation,sanity", "--fillings", "mean,noise"]
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.shown(command, 80))
        tables = text[text.index("Conservation and") :].replace("\r", "").splitlines()
        assert max(map(len, tables)) <= 80
        assert not any("…" in line for line in tables)

    def test_quiet_leaves_the_tables_alone(self, heatcli: Run) -> None:
        done = heatcli("evaluate", "photos", "-m", "net.onnx", *QUICK, "-q")
        assert done.err == ""
        assert "deep-taylor" in done.out
        assert "Mean drop" not in done.out

    def test_verbose_has_a_line_for_every_picture(self, heatcli: Run) -> None:
        done = heatcli("evaluate", "photos", *NET, *QUICK, "-v", "--labels", "labels.txt")
        lines = [line for line in done.err.splitlines() if line.startswith("photos/")]
        assert [line.split(":")[0] for line in lines] == ["photos/a.png", "photos/b.jpg", "photos/sub/a.png"]
        assert all("deep-taylor ΣR" in line and "\x1b" not in line for line in lines)

    def test_where_no_probability_changes_the_score_is_pointed_to(self, heatcli: Run) -> None:
        asked = ("evaluate", "photos", *NET, *QUICK, "--checks", "perturbation", "--target", "3")  # it has f(x) −40
        assert "It hardly changed; --drop score watches the score." in heatcli(*asked).out
        assert "It hardly changed" not in heatcli(*asked, "--drop", "score").out
        assert "It hardly changed" not in heatcli(*asked[:-2]).out

    def test_no_evidence_is_said(self, heatcli: Run) -> None:
        done = heatcli("evaluate", "photos", *NET, *QUICK, "--target", "3", "--checks", "conservation")
        assert "3 without evidence, f(x) ≤ 0, left out" in done.out
        assert figures_of(done.out, "deep-taylor")[:3] == ["–", "yes", "–"]


class TestJson:
    def test_one_object_with_every_figure(self, heatcli: Run) -> None:
        found = told(heatcli("evaluate", "photos", *NET, *QUICK, "--json", "--fillings", "mean,noise", "--seed", "7"))
        assert found["schema"] == 1
        assert [row["method"] for row in found["conservation"]] == ["deep-taylor", "gradient-x-input"]
        assert [(row["filling"], row["name"]) for row in found["perturbation"][::4]] == [
            ("mean", "deep-taylor"),
            ("noise", "deep-taylor"),
        ]
        first = found["pictures"][0]
        assert first["input"] == "photos/a.png"
        assert set(first["maps"]) == {"deep-taylor", "gradient-x-input"}
        drops = [entry["drops"]["noise"]["deep-taylor"]["difference"] for entry in found["pictures"]]
        (row,) = [row for row in found["perturbation"] if (row["filling"], row["name"]) == ("noise", "deep-taylor")]
        assert row["difference"] == pytest.approx(np.mean(drops))
        assert row["error"] == pytest.approx(np.std(drops, ddof=1) / 3**0.5)
        assert found["settings"] == {
            "target": "top",
            "checks": ["conservation", "perturbation"],
            "fillings": ["mean", "noise"],
            "output": "probability",
            "seed": 7,
        }
        assert found["localisation"] == found["sanity"] == found["failures"] == found["figures"] == []

    def test_the_same_seed_gives_the_same_numbers(self, heatcli: Run) -> None:
        def numbers(seed: str, jobs: str) -> list[Any]:
            asked = ("--fillings", "noise", "--methods", "smoothgrad", "--steps", "2")
            found = told(heatcli("evaluate", "photos", *NET, *asked, "--json", "--seed", seed, "--jobs", jobs))
            return [found["perturbation"], [row["worst"] for row in found["conservation"]]]

        assert numbers("1", "1") == numbers("1", "3")
        one, other = numbers("1", "1"), numbers("2", "1")
        assert one[0] != other[0]
        assert one[1] != other[1]  # the noise of smoothgrad is drawn anew too

    def test_sanity_is_told_stage_by_stage(self, heatcli: Run) -> None:
        found = told(heatcli("evaluate", "photos", *NET, *QUICK, "--checks", "sanity", "--json"))
        assert [stage["name"] for stage in found["sanity"][0]["stages"]] == ["logits", "conv"]
        assert all(len(row["spearman"]) == len(row["ssim"]) == 2 for row in found["sanity"])


class TestFailures:
    def test_a_bad_picture_is_listed_and_the_rest_goes_on(self, heatcli: Run) -> None:
        Path("photos/b.jpg").write_bytes(b"broken")
        done = heatcli("evaluate", "photos", "none.png", *NET, *QUICK)
        assert done.code == 1
        assert "2 pictures" in done.out
        assert "2 inputs failed:" in done.err
        assert "photos/b.jpg: not a picture" in done.err
        assert "none.png: no such file" in done.err

    def test_nothing_can_be_read(self, heatcli: Run) -> None:
        done = heatcli("evaluate", "none.png", *NET, *QUICK)
        assert (done.code, done.out) == (1, "")
        found = told(heatcli("evaluate", "none.png", *NET, *QUICK, "--json"))
        assert found["failures"] == [{"input": "none.png", "type": "PictureError", "message": "none.png: no such file"}]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--methods", "deep-tailor"), "unknown method 'deep-tailor'"),
            (("--methods", ","), "names no method"),
            (("--methods", "gradient,gradient"), "names gradient twice"),
            (("--checks", "beauty"), "'beauty' is not known; known: conservation"),
            (("--checks", "localisation"), "give --boxes or --masks"),
            (("--boxes", "b.json", "--checks", "sanity"), "which --checks leaves out"),
            (("--boxes", "b.json", "--masks", "m"), "give one of them"),
            (("--boxes", "b.json"), "no such file or folder"),
            (("--fillings", "grey"), "'grey' is not known; known: mean, blur, noise"),
            (("--seed", "x"), "--seed x"),
            (("--target", "0", "--target", "1"), "--target was given 2 times"),
            (("--target", "emu"), "labels are needed"),
            (("--methods", "gradient", "--biases", "ignore"), "--biases does not go with gradient"),
        ],
    )
    def test_wrong_usage(self, heatcli: Run, arguments: tuple[str, ...], said: str) -> None:
        done = heatcli("evaluate", "photos", *NET, *arguments)
        assert done.code == 2
        assert said in done.err
        assert len(done.err.splitlines()) <= 2

    def test_figures_without_matplotlib(self, heatcli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        done = heatcli("evaluate", "photos", *NET, *QUICK, "--figures", "drawn")
        assert done.code == 2
        assert "pip install matplotlib" in done.err
        assert not Path("drawn").exists()


class TestObjects:
    BOXES: ClassVar = {"a.png": [[0, 0, 12, 24]], "c.png": [[0, 0, 1, 1]]}

    def test_boxes(self, heatcli: Run) -> None:
        Path("photos/sub/a.png").unlink()
        Path("boxes.json").write_text(json.dumps(self.BOXES))
        done = heatcli("evaluate", "photos", *NET, *QUICK, "--boxes", "boxes.json")
        assert done.code == 0
        assert "Localisation, 1 picture" in done.out
        assert figures_of(done.out[done.out.index("Localisation") :], "centre")[1:3] == ["of", "1"]
        assert "Localisation leaves out 1 picture (b.jpg) without boxes." in done.err
        assert "Not among the inputs, but in --boxes boxes.json: 1 file (c.png)." in done.err

    def test_boxes_of_no_picture_at_all(self, heatcli: Run) -> None:
        Path("boxes.json").write_text(json.dumps({"x.png": [[0, 0, 1, 1]]}))
        done = heatcli("evaluate", "photos", *NET, "--boxes", "boxes.json")
        assert done.code == 2
        assert "none of its 1 picture is among the inputs, such as x.png" in done.err

    def test_sizes_that_do_not_fit_fail_for_that_picture(self, heatcli: Run) -> None:
        items = [{"file": "photos/a.png", "size": [24, 32], "boxes": [[0, 0, 9, 9]]}]
        Path("boxes.json").write_text(json.dumps({"items": [*items, {**items[0], "file": "b.jpg", "size": [32, 24]}]}))
        done = heatcli("evaluate", "photos", *NET, *QUICK, "--boxes", "boxes.json")
        assert done.code == 1
        assert "photos/a.png: boxes.json: its boxes are for a picture of 24×32 pixels; this one has 32×24" in done.err

    def test_masks_beside_the_pictures_are_no_inputs(self, heatcli: Run) -> None:
        masks = Path("photos/masks")
        masks.mkdir()
        for name in ("b.png", "b.dog.png"):
            mask = np.zeros((24, 32), np.uint8)
            mask[:, : 16 if name == "b.png" else 8] = 1
            PIL.Image.fromarray(mask).save(masks / name)
        asked = ("evaluate", "photos", *NET, *QUICK, "--masks", "photos/masks", "--labels", "labels.txt", "--json")
        for target, area in (("dog", 4 / 24), ("cat", 0.5)):
            found = told(heatcli(*asked, "--target", target))
            assert [entry["input"] for entry in found["pictures"]] == [
                "photos/a.png",
                "photos/b.jpg",
                "photos/sub/a.png",
            ]
            assert found["localisation"][0]["pictures"] == 1
            assert found["localisation"][0]["area"] == pytest.approx(area, abs=0.03)


class TestFigures:
    def test_png_and_svg_of_what_was_measured(self, heatcli: Run) -> None:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        checks = "conservation,perturbation,sanity"
        done = heatcli("evaluate", "photos", *NET, *QUICK, "--checks", checks, "--figures", "drawn", "--json")
        names = [f"{name}.{form}" for name in checks.split(",") for form in ("png", "svg")]
        assert told(done)["figures"] == [f"drawn/{name}" for name in names]
        assert sorted(path.name for path in Path("drawn").iterdir()) == sorted(names)
        assert done.err.count("Wrote drawn/") == 6

    def test_only_what_was_measured(self, heatcli: Run) -> None:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
        heatcli("evaluate", "photos", *NET, *QUICK, "--checks", "perturbation", "--figures", "drawn")
        assert sorted(path.name for path in Path("drawn").iterdir()) == ["perturbation.png", "perturbation.svg"]


def test_tensors_are_evaluated_too(heatcli: Run) -> None:
    np.save("x.npy", np.random.default_rng(1).uniform(0, 1, (3, 16, 16)).astype(np.float32))
    done = heatcli("evaluate", "x.npy", "-m", "net.onnx", *QUICK, "--range", "0,1", "--fillings", "blur")
    assert done.code == 0
    assert "1 picture" in done.out
    assert "preprocess" not in done.err
