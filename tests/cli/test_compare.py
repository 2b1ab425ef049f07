"""``heatcli compare`` from end to end: the sheet and the zoom, both streams, records, what is refused."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import PIL.Image
import pytest
from onnx import helper

import heatcli
from heatcli.pictures.colormaps import colormap
from heatcli.pictures.rendering import full_colour
from heatcli.pictures.zoom import busiest
from tests.cli.conftest import Done, classifier

Run = Callable[..., Done]
NET = ("-m", "net.onnx", "--preprocess", "unit")
BOTH = ("photos/a.png", "photos/b.jpg")


def opened(path: str | Path | io.BytesIO) -> np.ndarray:
    with PIL.Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def cells(sheet: np.ndarray, side: int = 224) -> list[list[np.ndarray]]:
    """The cells of a sheet, found by the frames around them: lines of the frames' grey that are longer than a cell."""
    edge = (sheet == 190).all(axis=-1)
    lines = [np.nonzero(edge.sum(axis=1 - axis) > side)[0] for axis in (0, 1)]
    starts = [[a + 1 for a, b in pairwise(found) if b - a == side + 1] for found in lines]
    return [[sheet[y : y + side, x : x + side] for x in starts[1]] for y in starts[0]]


def explained(picture: str, method: str, **settings: Any) -> heatcli.Explanation:
    return heatcli.load("net.onnx", preprocess="unit").explain(picture, method=method, **settings)


class TestSheet:
    def test_a_row_a_picture_a_column_a_method(self, heatcli: Run) -> None:
        done = heatcli("compare", *BOTH, *NET, "--methods", "deep-taylor,gradient", "--scale", "per-image")
        assert (done.code, done.out) == (0, "comparison.png\n")
        assert "Wrote comparison.png" in done.err
        found = cells(opened("comparison.png"))
        assert [len(row) for row in found] == [3, 3]
        for row, picture in zip(found, BOTH, strict=True):
            positive = explained(picture, "deep-taylor").heatmap
            shades = np.clip(positive / full_colour(positive), 0, 1)
            assert np.array_equal(row[1][::14, ::14], colormap("red").table[np.rint(shades * 254).astype(int)])
            signed = explained(picture, "gradient").heatmap
            shades = np.clip(signed / full_colour(signed), -1, 1)
            assert np.array_equal(
                row[2][::14, ::14], colormap("seismic").table[np.rint(shades * 127 + 127).astype(int)]
            )

    def test_one_scale_for_a_method(self, heatcli: Run) -> None:
        assert heatcli("compare", *BOTH, *NET, "--methods", "sensitivity").code == 0
        maps = [explained(picture, "sensitivity").heatmap for picture in BOTH]
        full = np.median([full_colour(map) for map in maps])
        for row, map in zip(cells(opened("comparison.png")), maps, strict=True):
            shades = np.clip(map / np.float32(full), 0, 1)
            assert np.array_equal(row[1][::14, ::14], colormap("red").table[np.rint(shades * 254).astype(int)])

    def test_the_picture_is_what_the_network_saw(self, heatcli: Run) -> None:
        assert heatcli("compare", "photos/a.png", *NET, "--methods", "gradient").code == 0
        ((seen, _),) = cells(opened("comparison.png"))
        explanation = explained("photos/a.png", "gradient")
        assert explanation.image is not None
        assert explanation.placement is not None
        assert len({*explanation.placement.box}) == 4  # a margin is cut off on every side
        whole = PIL.Image.Resampling.LANCZOS
        expected = explanation.image.resize((224, 224), whole, box=explanation.placement.box)
        assert np.array_equal(seen, np.asarray(expected))

    def test_transposed(self, heatcli: Run) -> None:
        options = (*BOTH, *NET, "--methods", "deep-taylor,sensitivity,gradient")
        assert heatcli("compare", *options, "--cell", "64", "-o", "one.png").code == 0
        assert heatcli("compare", *options, "--cell", "64", "--transpose", "-o", "other.png").code == 0
        upright, turned = cells(opened("one.png"), 64), cells(opened("other.png"), 64)
        assert (len(upright), len(upright[0]), len(turned), len(turned[0])) == (2, 4, 4, 2)
        for row in range(2):
            for column in range(4):
                assert np.array_equal(upright[row][column], turned[column][row])

    def test_every_method_explains_the_class_that_is_named(self, heatcli: Run) -> None:
        done = heatcli("compare", *BOTH, *NET, "--labels", "labels.txt", "--target", "owl", "--json", "-q")
        assert done.err == ""
        found = [json.loads(line) for line in done.out.splitlines()]
        assert [(entry["input"], entry["method"]) for entry in found] == [
            (picture, method) for picture in BOTH for method in ("deep-taylor", "sensitivity")
        ]
        assert {entry["target"]["index"] for entry in found} == {2}
        assert {entry["output"] for entry in found} == {"comparison.png"}
        assert all(entry["seconds"]["relevance"] > 0 and entry["error"] is None for entry in found)
        account = found[0]["ledger"]
        assert account["start"] == pytest.approx(sum(account[name] for name in ("pixels", "biases")), rel=1e-4)

    def test_a_rival_makes_signed_maps(self, heatcli: Run) -> None:
        done = heatcli("compare", "photos/a.png", *NET, "--methods", "deep-taylor", "--versus", "top")
        assert done.code == 0
        ((_, map),) = cells(opened("comparison.png"))
        relevance = explained("photos/a.png", "deep-taylor", versus="top").heatmap
        shades = np.clip(relevance / full_colour(relevance), -1, 1)
        assert np.array_equal(map[::14, ::14], colormap("seismic").table[np.rint(shades * 127 + 127).astype(int)])

    def test_no_evidence_is_said_on_the_sheet_and_in_words(self, heatcli: Run) -> None:
        done = heatcli("compare", "photos/a.png", *NET, "--methods", "deep-taylor", "--target", "3")
        assert done.code == 0
        assert "deep-taylor: f(x) is" in done.err
        ((_, map),) = cells(opened("comparison.png"))
        words = map.max(axis=-1) < 200
        assert words.any()
        assert not words[:90].any()

    def test_tensors_have_pictures_too(self, heatcli: Run) -> None:
        shades = np.random.default_rng(2).integers(0, 256, (3, 16, 16)).astype(np.float32) / 255
        np.save("x.npy", shades)
        assert heatcli("compare", "x.npy", *NET, "--methods", "gradient").code == 0
        ((seen, _),) = cells(opened("comparison.png"))
        assert np.array_equal(seen[::14, ::14], np.rint(shades * 255).astype(int).transpose(1, 2, 0))

    def test_stdin_and_stdout(self, heatcli: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        content = io.TextIOWrapper(io.BytesIO((place / "photos/a.png").read_bytes()))
        monkeypatch.setattr(sys, "stdin", content)
        assert heatcli("compare", "-", *NET, "-o", "piped.png").code == 0
        assert heatcli("compare", "photos/a.png", *NET, "-o", "named.png").code == 0
        for one, other in zip(cells(opened("piped.png"))[0], cells(opened("named.png"))[0], strict=True):
            assert np.array_equal(one, other)

    def test_the_sheet_on_stdout(self, place: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        from heatcli.cli import main

        assert main(["compare", "photos/a.png", *NET, "-o", "-"]) == 0
        assert len(cells(opened(io.BytesIO(capfdbinary.readouterr().out)))[0]) == 3
        assert not list(place.glob("*.png"))


class TestSettings:
    def test_a_setting_goes_to_the_methods_that_it_fits(self, heatcli: Run) -> None:
        methods = ("--methods", "deep-taylor,occlusion,sensitivity")
        done = heatcli("compare", "photos/a.png", *NET, *methods, "--window", "4", "--biases", "ignore", "--json")
        assert done.code == 0
        assert "--window goes to occlusion" in done.err
        assert "--biases goes to deep-taylor" in done.err
        found = {entry["method"]: entry for entry in map(json.loads, done.out.splitlines())}
        assert found["occlusion"]["settings"]["window"] == [4, 4]
        assert found["deep-taylor"]["ledger"]["biases"] == 0
        assert found["deep-taylor"]["settings"]["biases"] == "ignore"

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            (("--methods", "deep-taylor,magic"), "unknown method 'magic'; known: deep-taylor, "),
            (("--methods", ""), "no method is named"),
            (("--methods", "gradient,gradient"), "gradient is named twice"),
            (("--window", "4"), "--window does not go with deep-taylor"),
            (("--methods", "gradient,sensitivity", "--biases", "ignore"), "--biases does not go with gradient"),
            (("--methods", "occlusion,gradient", "--input-rule", "w2"), "--input-rule does not go with occlusion"),
            (("--rule", "nothing=w2"), "no layer's name fits 'nothing'"),
            (("--target", "0", "--target", "1"), "--target was given 2 times"),
            (("--target", "top-3"), "names 3 classes"),
            (("--target", "unicorn"), "labels are needed"),
            (("--scale", "shared"), "give per-method, per-image or a number"),
            (("--style", "contour"), "known: heatmap, overlay"),
            (("--colormap", "pink"), "unknown colour map 'pink'"),
            (("--methods", "gradient", "--colormap", "hot"), "all maps are signed; use seismic or bwr"),
            (("--zoom", "here"), "--zoom here: give auto, or X,Y,WIDTH,HEIGHT"),
            (("--zoom", "10,10,9,2"), "does not lie inside the network's 16×16 pixels"),
            (("--zoom", "auto", "-o", "-"), "--zoom writes a second picture"),
            (("--json", "-o", "-"), "both write to stdout"),
            (("--cell", "0"), "--cell 0: a whole number"),
            (("--cell", "3"), "at least 8 pixels"),
            (("--cell", "9000"), "a smaller --cell"),
            (("-o", "x.jpg"), "a sheet is written as PNG"),
            (("-o", "photos/a.png"), "would overwrite the picture photos/a.png"),
            (("-o", "net.onnx/x.png"), "net.onnx is not a folder"),
        ],
    )
    def test_what_does_not_fit_is_refused_before_the_work(
        self, heatcli: Run, place: Path, options: tuple[str, ...], reason: str
    ) -> None:
        before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
        done = heatcli("compare", *BOTH, *NET, *options)
        assert (done.code, done.out) == (2, "")
        assert reason in done.err
        assert len(done.err.splitlines()) <= 2
        assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before

    def test_colours_that_start_at_zero_leave_signed_maps_alone(self, heatcli: Run) -> None:
        options = ("photos/a.png", *NET, "--methods", "deep-taylor,gradient")
        assert heatcli("compare", *options, "--colormap", "grey").code == 0
        ((_, positive, signed),) = cells(opened("comparison.png"))
        assert np.ptp(positive, axis=-1).max() == 0
        assert np.ptp(signed, axis=-1).max() > 200

    def test_a_network_without_layers_is_refused_for_those_that_need_them(self, heatcli: Run, place: Path) -> None:
        odd = helper.make_node("Cos", ["conv"], ["odd"])
        onnx.save(classifier(extra=(odd,)), place / "odd.onnx")
        options = ("photos/a.png", "-m", "odd.onnx", "--preprocess", "unit")
        assert heatcli("compare", *options, "--methods", "deep-taylor,occlusion").code == 3
        assert heatcli("compare", *options, "--methods", "occlusion").code == 0


class TestFailures:
    def test_a_picture_that_fails_has_no_row_and_the_rest_goes_on(self, heatcli: Run, place: Path) -> None:
        (place / "bad\x1b[31m.png").write_bytes(b"no picture")
        done = heatcli("compare", "photos/a.png", "bad\x1b[31m.png", "gone.png", "photos/b.jpg", *NET)
        assert done.code == 1
        assert done.out == "comparison.png\n"
        assert len(cells(opened("comparison.png"))) == 2
        assert "2 inputs failed" in done.err
        assert r"bad\x1b[31m.png: not a picture that can be read" in done.err
        assert "gone.png: no such file; it has no row" in done.err
        assert "\x1b" not in done.err

    def test_records_of_a_failure(self, heatcli: Run) -> None:
        done = heatcli("compare", "gone.png", "photos/b.jpg", *NET, "--json")
        found = [json.loads(line) for line in done.out.splitlines()]
        assert done.code == 1
        assert [entry["error"] is None for entry in found] == [False, False, True, True]
        assert [entry["method"] for entry in found] == ["deep-taylor", "sensitivity"] * 2
        assert found[0].keys() == found[2].keys()

    def test_where_all_fail_nothing_is_written(self, heatcli: Run, place: Path) -> None:
        done = heatcli("compare", "gone.png", "lost.png", *NET)
        assert (done.code, done.out) == (1, "")
        assert "2 inputs failed" in done.err
        assert not list(place.glob("*.png"))

    def test_a_method_that_fails_on_one_picture_leaves_the_others(
        self, heatcli: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from heatcli.errors import HeatcliError
        from heatcli.explainer import Explainer

        right = Explainer.explain_targets

        def sometimes(self: Explainer, picture: Any, **settings: Any) -> Any:
            if settings["method"] == "sensitivity" and str(picture).endswith("a.png"):
                raise HeatcliError("not today")
            return right(self, picture, **settings)

        monkeypatch.setattr(Explainer, "explain_targets", sometimes)
        done = heatcli("compare", *BOTH, *NET)
        assert done.code == 1
        assert "sensitivity: photos/a.png: not today" in done.err
        (first, second) = cells(opened("comparison.png"))
        assert (first[2][0, 0] == 235).all()
        assert len(np.unique(second[2].reshape(-1, 3), axis=0)) > 20

    def test_names_in_any_writing(self, heatcli: Run, place: Path) -> None:
        picture = PIL.Image.open("photos/a.png")
        for name in ("日本.png", "Ünïcödé – ×.png", "x" * 200 + ".png", "line\nbreak.png"):
            picture.save(place / name)
            assert heatcli("compare", name, *NET, "-o", "sheet.png").code == 0
            assert opened("sheet.png").shape[1] < 1000


class TestZoom:
    def test_the_first_map_and_its_busiest_region(self, heatcli: Run) -> None:
        done = heatcli("compare", *BOTH, *NET, "--zoom", "auto", "-o", "fig.png")
        assert (done.code, done.out) == (0, "fig.png\nfig.zoom.png\n")
        map = explained("photos/a.png", "deep-taylor").heatmap
        region = busiest(map)
        assert (region.width, region.height) == (5, 5)
        ((_, whole), (_, near)) = cells(opened("fig.zoom.png"), 448)
        shades = np.clip(map / full_colour(map), 0, 1)[region.y : region.y + 5, region.x : region.x + 5]
        expected = colormap("red").table[np.rint(shades * 254).astype(int)]
        step = 90  # pixels of the map are 28 wide, 3 times larger nearly 90
        middles = near[40 : 40 + 5 * step : step, 40 : 40 + 5 * step : step]
        assert np.array_equal(middles[:5, :5], expected)
        assert (whole == 0).all(axis=-1).any()

    def test_a_region_of_ones_own(self, heatcli: Run) -> None:
        assert heatcli("compare", *BOTH, *NET, "--zoom", "2,3,4,4").code == 0
        ((_, _), (_, near)) = cells(opened("comparison.zoom.png"), 448)
        map = explained("photos/a.png", "deep-taylor").heatmap
        shades = np.clip(map / full_colour(map), 0, 1)[3:7, 2:6]
        assert np.array_equal(near[::112, ::112], colormap("red").table[np.rint(shades * 254).astype(int)])
