"""What the detector of two digits reaches on MNIST's test digits, and the figures that show it."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from models.two_digits import evaluate, reproduce
from models.two_digits.architecture import start, write_onnx
from models.two_digits.maps import METHODS, MODEL, maps_of, open_explainer, scores_of
from models.two_digits.mnist import SIDE, Digits, read_digits
from models.two_digits.pairs import WHITE, PairMaker, Pairs

explainer = cache(open_explainer)


@pytest.fixture(scope="module")
def mnist(data: Path) -> Path:
    return data / "mnist"


@pytest.fixture(scope="module")
def digits(mnist: Path) -> Digits:
    return read_digits(mnist, "test")


# what was reached, on MNIST's test digits -----------------------------------------------------------------------------


@pytest.mark.parametrize("shift", [0, 2])
def test_the_network_tells_pairs_with_a_target_from_those_without(digits: Digits, shift: int) -> None:
    pairs = PairMaker(digits, shift).mixed(np.random.default_rng(1), 10_000)
    figures = evaluate.score_figures(pairs)
    assert figures[evaluate.ERROR] <= 180
    assert figures[evaluate.ACCURACY] >= 0.98
    assert figures[evaluate.SILENT] >= 0.45


def test_a_network_that_was_not_trained_does_not(digits: Digits, tmp_path: Path) -> None:
    write_onnx(start(1), tmp_path / "model.onnx")
    pairs = PairMaker(digits).mixed(np.random.default_rng(1), 1000)
    figures = evaluate.score_figures(pairs, tmp_path / "model.onnx")
    assert figures[evaluate.ERROR] > 5000
    assert figures[evaluate.ACCURACY] < 0.6


@pytest.fixture(scope="module")
def tried(digits: Digits) -> evaluate.Trial:
    return evaluate.trial(PairMaker(digits))


def figures_of(method: str, tried: evaluate.Trial) -> dict[str, float]:
    one, mixed, none = (maps_of(pairs.x, method, explainer()) for pairs in (tried.one, tried.mixed, tried.none))
    return evaluate.map_figures(one, mixed, none, tried)


def few(tried: evaluate.Trial, count: int) -> evaluate.Trial:
    return evaluate.Trial(
        *(Pairs(pairs.x[:count], pairs.digits[:count]) for pairs in (tried.one, tried.mixed, tried.none))
    )


def test_deep_taylor_without_training_is_consistent_and_on_the_target(tried: evaluate.Trial) -> None:
    assert [len(pairs.x) for pairs in (tried.one, tried.mixed, tried.none)] == [200, 200, 200]
    figures = figures_of("deep-taylor", tried)
    assert figures[evaluate.WORST] < 1e-5
    assert figures[evaluate.LOWEST] == 0
    assert figures[evaluate.EMPTY] == 0
    assert figures[evaluate.INSIDE] > 0.65
    assert figures[evaluate.LEAST] > 0.5
    assert figures[evaluate.FOLLOWS] == pytest.approx(1.0, abs=1e-6)


def test_min_max_is_positive_and_near_the_score(tried: evaluate.Trial) -> None:
    figures = figures_of("deep-taylor-minmax", tried)
    assert figures[evaluate.OFF] < 0.15
    assert figures[evaluate.FOLLOWS] > 0.97
    assert figures[evaluate.LOWEST] == 0
    assert figures[evaluate.EMPTY] == 0
    assert abs(figures[evaluate.RATIO] - 1) < 0.05
    assert figures[evaluate.INSIDE] > 0.62


def test_sensitivity_does_not_follow_the_score(tried: evaluate.Trial) -> None:
    figures = figures_of("sensitivity", tried)
    assert abs(figures[evaluate.ALONE]) < 0.5
    assert figures[evaluate.LOWEST] == 0
    assert figures[evaluate.INSIDE] > 0.65


def test_simple_taylor_finds_roots_and_loses_relevance(tried: evaluate.Trial) -> None:
    figures = figures_of("simple-taylor", few(tried, 8))
    assert figures[evaluate.ROOTS] == 1.0
    assert figures[evaluate.NEGATIVE] < 0.02
    assert 0.3 < figures[evaluate.RATIO] < 1.0


def test_a_point_with_too_high_a_score_or_outside_the_box_is_no_root(tried: evaluate.Trial) -> None:
    x = tried.one.x[:4]
    maps = maps_of(x, "simple-taylor", explainer())
    assert maps.roots is not None
    assert evaluate.found(maps).tolist() == [True] * 4
    maps.roots[0], maps.roots[1, 0, 0], maps.failed[2] = x[0, 0], WHITE + 0.01, True
    assert evaluate.found(maps).tolist() == [False, False, False, True]


def test_the_share_on_the_target_counts_the_half_that_has_it(tried: evaluate.Trial) -> None:
    pairs = Pairs(tried.one.x[:2], np.array([[2, 7], [7, 2]], np.uint8))
    maps = maps_of(pairs.x, "deep-taylor", explainer())
    maps.relevance[:] = 0
    maps.relevance[:, 3, SIDE - 1], maps.relevance[:, 5, SIDE] = 3, 1
    np.testing.assert_allclose(evaluate.target_share(maps, pairs), [0.75, 0.25])


def test_both_figures_are_drawn_and_their_numbers_written(
    mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.setattr(reproduce, "EXAMPLES", 2)
    monkeypatch.setattr(reproduce, "POINTS", 5)
    monkeypatch.setattr(evaluate, "report", lambda mnist, model: ("the table", True))
    monkeypatch.setattr(sys, "argv", ["script", "--mnist", str(mnist), "-o", str(tmp_path / "figures")])
    code = reproduce.main()
    streams = capsys.readouterr()
    for name, count in (("figure5", 2), ("figure6", 5)):
        with np.load(tmp_path / "figures" / f"{name}.npz") as numbers:
            there = [method for method in METHODS if method in numbers]
            assert all(numbers[method].shape == (count, SIDE, 2 * SIDE) for method in there)
            np.testing.assert_allclose(numbers["scores"], scores_of(numbers["pictures"][:, None]), rtol=1e-5)
            sums = numbers["deep-taylor"].sum(axis=(1, 2))
            np.testing.assert_allclose(sums, np.maximum(numbers["scores"], 0), rtol=1e-5, atol=1e-4)
        assert there == list(METHODS)
        with PIL.Image.open(tmp_path / "figures" / f"{name}.png") as drawn:
            pixels = np.asarray(drawn.convert("RGB"), np.int16)
        red = (pixels[..., 0] - pixels[..., 1:].max(axis=-1) > 100).mean()
        assert 0.001 < red < 0.5
    assert code == 0
    assert streams.err == ""
    assert streams.out.splitlines()[-1] == "the table"
    assert {Path(line).name for line in streams.out.splitlines()[:-1]} == {
        *("figure5.npz", "figure5.png", "figure6.npz", "figure6.png", "figure6.svg")
    }


def test_a_method_that_cannot_be_used_is_named_and_left_out(
    mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    alone = tmp_path / MODEL.name
    alone.write_bytes(MODEL.read_bytes())
    monkeypatch.setattr(reproduce, "EXAMPLES", 2)
    monkeypatch.setattr(reproduce, "POINTS", 3)
    monkeypatch.setattr(evaluate, "report", lambda mnist, model: ("the table", True))
    arguments = ["script", "--mnist", str(mnist), "-o", str(tmp_path / "figures"), "--model", str(alone)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert reproduce.main() == 1
    assert "deep-taylor-minmax is not in the figures" in capsys.readouterr().err
    with np.load(tmp_path / "figures" / "figure5.npz") as numbers:
        assert "deep-taylor-minmax" not in numbers
