"""The paper's detector of two digits: its file, its pairs, MNIST's files, and the figures that were reached."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import PIL.Image
import pytest

from heatcli.errors import UsageError
from heatcli.network.layers import Activation, Dense, Reduction, Reshape
from heatcli.pictures.facts import read_sidecar
from models.two_digits import evaluate, reproduce, stack
from models.two_digits.architecture import DETECTORS, GROUP, PIXELS, POOLED, Weights, read_onnx, start, write_onnx
from models.two_digits.maps import METHODS, MODEL, maps_of, open_explainer, scores_of
from models.two_digits.mnist import SIDE, STEMS, Digits, read_digits
from models.two_digits.pairs import BLACK, WHITE, PairMaker, Pairs, batches
from tests.dense import rule

explainer = cache(open_explainer)


@pytest.fixture(scope="module")
def mnist(data: Path) -> Path:
    return data / "mnist"


@pytest.fixture(scope="module")
def digits(mnist: Path) -> Digits:
    return read_digits(mnist, "test")


def some_digits(count: int = 60) -> Digits:
    """Digits 0 to 9 in turn: frames with a margin of four, each in a brightness of its own, no two alike."""
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    images[:, 4:-4, 4:-4] = np.arange(count, dtype=np.uint8)[:, None, None] + 100
    return Digits(images, (np.arange(count) % 10).astype(np.uint8))


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(BLACK, WHITE, (count, 1, SIDE, 2 * SIDE)).astype(np.float32)


# the file -------------------------------------------------------------------------------------------------------------


def test_the_layers_are_those_of_the_paper_the_sums_among_them() -> None:
    layers = explainer().network.layers
    assert [(layer.name, type(layer), layer.operation) for layer in layers] == [
        ("pixels", Reshape, "Flatten"),
        ("dense1", Dense, "Gemm"),
        ("detection1", Activation, "Relu"),
        ("groups", Reshape, "Reshape"),
        ("pooling1", Reduction, "ReduceSum"),
        ("dense2", Dense, "Gemm"),
        ("detection2", Activation, "Relu"),
        ("score", Reduction, "ReduceSum"),
    ]
    rules = explainer().assigned_rules()
    assert (rules["dense1"], rules["dense2"]) == ("zB", "z+")


def test_the_file_is_free_in_the_batch_and_written_in_standard_operations() -> None:
    model = onnx.load(MODEL)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert MODEL.stat().st_size < 3_000_000
    x = noise(3)
    np.testing.assert_allclose(scores_of(x), [scores_of(each[None])[0] for each in x], rtol=1e-5, atol=1e-4)


def test_no_bias_is_positive_and_all_is_float32() -> None:
    weights = read_onnx(MODEL)
    assert weights.w1.shape == (PIXELS, DETECTORS)
    assert weights.w2.shape == (POOLED, DETECTORS)
    assert max(weights.b1.max(), weights.b2.max()) <= 0
    assert {value.dtype for value in vars(weights).values()} == {np.dtype(np.float32)}


def test_black_and_white_of_a_picture_are_the_ends_of_the_range() -> None:
    preprocessing = explainer().preprocessing
    assert preprocessing is not None
    assert explainer().labels == ("digit 0-3",)
    assert read_sidecar(MODEL)["channels"] == "grey"
    low, high = preprocessing.bounds()
    assert (low.item(), high.item()) == pytest.approx((BLACK, WHITE), abs=1e-7)
    pixels = np.arange(SIDE * 2 * SIDE, dtype=np.int64).reshape(SIDE, 2 * SIDE) % 256
    x, _ = preprocessing.tensor(PIL.Image.fromarray(pixels.astype(np.uint8)))
    assert x.shape == (1, 1, SIDE, 2 * SIDE)
    np.testing.assert_allclose(x[0, 0], pixels / 127.5 - 0.5, atol=1e-6)


def test_the_file_holds_the_weights_that_were_written(tmp_path: Path) -> None:
    weights = start(3)
    write_onnx(weights, tmp_path / "model.onnx")
    again = read_onnx(tmp_path / "model.onnx")
    assert all(np.array_equal(value, getattr(again, name)) for name, value in vars(weights).items())
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    x = noise(4)
    scores = written_out(weights, x)[-1].sum(axis=1)
    np.testing.assert_allclose(scores_of(x, tmp_path / "model.onnx"), scores, rtol=1e-5)


def test_the_start_is_normal_with_biases_of_zero() -> None:
    weights = start(1)
    assert weights.w1.std() == pytest.approx(0.05, rel=0.01)
    assert abs(weights.w2.mean()) < 0.001
    assert not weights.b1.any()
    assert not weights.b2.any()
    assert np.array_equal(weights.w1, start(1).w1)
    assert not np.array_equal(weights.w1, start(2).w1)


# its heatmaps on inputs that need no data -----------------------------------------------------------------------------


def written_out(weights: Weights, x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Input, first detection, first pooling and second detection layer, (N, neurons) float64."""
    pixels = x.reshape(len(x), -1).astype(np.float64)
    detection1 = np.maximum(pixels @ weights.w1.astype(np.float64) + weights.b1, 0)
    pooling1 = detection1.reshape(len(x), POOLED, GROUP).sum(axis=2)
    return pixels, detection1, pooling1, np.maximum(pooling1 @ weights.w2.astype(np.float64) + weights.b2, 0)


def deep_taylor(weights: Weights, x: np.ndarray) -> np.ndarray:
    """The paper's rules as matrices in float64 for one input: z⁺ on top, z^B at the pixels."""
    pixels, detection1, pooling1, detection2 = (values[0] for values in written_out(weights, x))
    w1, b1, w2, b2 = (np.asarray(value, np.float64) for value in vars(weights).values())
    low, high = np.full(PIXELS, BLACK), np.full(PIXELS, WHITE)
    nothing = np.zeros(POOLED)
    groups = np.repeat(np.eye(POOLED), GROUP, axis=0)
    on_pooling = rule("z+", pooling1, w2, b2, detection2, nothing, nothing)
    on_detection = rule("z+", detection1, groups, nothing, on_pooling, nothing, nothing)
    return rule("zB", pixels, w1, b1, on_detection, low, high).reshape(SIDE, 2 * SIDE)


@pytest.mark.parametrize("seed", range(6))
def test_the_map_is_that_of_the_rules_written_out_and_the_account_closes(seed: int) -> None:
    x = noise(1, seed)
    explanation = explainer().explain(x)
    assert explanation.score == pytest.approx(scores_of(x)[0], rel=1e-5)
    assert explanation.score > 0
    assert abs(explanation.ledger.error or 0.0) < 1e-5
    assert (explanation.ledger.biases, explanation.ledger.constants, explanation.ledger.lost) == (0, 0, 0)
    assert explanation.relevance.min() >= 0
    expected = deep_taylor(read_onnx(MODEL), x)
    assert expected.sum() == pytest.approx(explanation.score, rel=1e-5)
    np.testing.assert_allclose(explanation.heatmap, expected, rtol=0, atol=1e-4 * expected.max())


RELEVANCE = MODEL.with_suffix(".relevance.npz")


def min_max(weights: Weights, x: np.ndarray) -> np.ndarray:
    """Equations 14 and 15 as matrices in float64 for one input, with z^B at the pixels and the numbers of the file."""
    with np.load(RELEVANCE) as held:
        v, upper, d = (held[f"0/{name}"].astype(np.float64) for name in ("v", "upper", "offset"))
    pixels, _, _, detection2 = (values[0] for values in written_out(weights, x))
    y = np.maximum(0, pixels @ v + np.minimum(0, detection2 @ upper + d))
    low, high, nothing = np.full(PIXELS, BLACK), np.full(PIXELS, WHITE), np.zeros(DETECTORS)
    return rule("zB", pixels, v, nothing, y, low, high).reshape(SIDE, 2 * SIDE)


@pytest.mark.parametrize("seed", range(6))
def test_the_min_max_map_is_that_of_its_equations(seed: int) -> None:
    x = noise(1, seed)
    explanation = explainer().explain(x, method="deep-taylor-minmax")
    expected = min_max(read_onnx(MODEL), x)
    np.testing.assert_allclose(explanation.heatmap, expected, rtol=0, atol=1e-4 * max(1e-6, expected.max()))
    assert explanation.relevance.min() >= 0
    assert explanation.ledger.lost == pytest.approx(explanation.score - expected.sum(), abs=1e-3 * explanation.score)
    assert abs(explanation.ledger.error or 0.0) < 1e-5


def test_the_relevance_models_are_those_of_this_file() -> None:
    with np.load(RELEVANCE, allow_pickle=False) as held:
        described = json.loads(str(held["description"]))
        assert all(held[name].dtype == np.float32 for name in held.files if name != "description")
    assert described["model"]["sha256"] == hashlib.sha256(MODEL.read_bytes()).hexdigest()
    assert described["settings"]["pictures"] == stack.COUNT
    (layer,) = described["layers"]
    assert (layer["name"], layer["groups"], layer["uppers"]) == ("dense1", POOLED, ["dense2"])
    assert layer["error"] < 0.05
    assert RELEVANCE.stat().st_size < 3_000_000


def test_a_stack_for_fit_holds_mixed_pairs_of_training_digits(folder: Path, tmp_path: Path) -> None:
    stack.write_stack(folder, tmp_path / "pairs.npy", 2000)
    pairs = np.load(tmp_path / "pairs.npy")
    assert pairs.shape == (2000, 1, SIDE, 2 * SIDE)
    assert pairs.dtype == np.float32
    assert (pairs.min(), pairs.max()) == (BLACK, pytest.approx(159 / 127.5 - 0.5))
    again = PairMaker(read_digits(folder, "train")).mixed(np.random.default_rng(stack.SEED), 2000)
    np.testing.assert_array_equal(pairs, again.x)
    assert np.mean(again.targets.any(axis=1)) == pytest.approx(0.5, abs=0.05)


# pairs ----------------------------------------------------------------------------------------------------------------


def test_pairs_come_in_the_shares_of_the_recipe() -> None:
    pairs = PairMaker(some_digits()).mixed(np.random.default_rng(0), 20_000)
    found = pairs.targets.sum(axis=1)
    assert np.mean(found > 0) == pytest.approx(0.5, abs=0.015)
    assert np.mean(found[found > 0] == 2) == pytest.approx(0.25, abs=0.02)
    assert np.mean(pairs.targets[found == 1, 0]) == pytest.approx(0.5, abs=0.025)
    np.testing.assert_array_equal(pairs.wanted, np.where(found > 0, 100, 0))
    assert set(np.unique(pairs.digits)) == set(range(10))


def test_a_pair_is_two_whole_digits_each_moved_by_up_to_two_pixels() -> None:
    digits = some_digits()
    pairs = PairMaker(digits).single(np.random.default_rng(0), 400)
    assert (pairs.targets.sum(axis=1) == 1).all()
    assert pairs.x.dtype == np.float32
    assert pairs.x.shape == (400, 1, SIDE, 2 * SIDE)
    grey = np.rint((pairs.x[:, 0] + 0.5) * 127.5).astype(int)
    np.testing.assert_allclose(pairs.x[:, 0], grey / 127.5 - 0.5, atol=1e-6)
    seen = set()
    for picture, labels in zip(grey, pairs.digits, strict=True):
        for half, label in zip(np.split(picture, 2, axis=1), labels, strict=True):
            source = int(half.max()) - 100
            assert digits.labels[source] == label
            down, right = (int(where.min()) - 4 for where in np.nonzero(half))
            assert np.array_equal(half, np.roll(digits.images[source], (down, right), (0, 1)))
            seen.add((down, right))
    assert seen == {(down, right) for down in range(-2, 3) for right in range(-2, 3)}


def test_without_moves_a_digit_stays_where_it_is() -> None:
    pairs = PairMaker(some_digits(), shift=0).mixed(np.random.default_rng(0), 50)
    margin = pairs.x[:, 0].reshape(50, SIDE, 2, SIDE)[:, :4]
    assert (margin == BLACK).all()
    assert (pairs.x[:, 0, 4:-4, 4:24] > BLACK).all()


def test_batches_come_from_the_seed_and_begin_alike_however_many_are_drawn() -> None:
    maker = PairMaker(some_digits())
    few, many = list(batches(maker, 5, 7, 4, block=5)), list(batches(maker, 5, 12, 4, block=5))
    assert (len(few), len(many)) == (7, 12)
    assert few[0][0].shape == (4, PIXELS)
    for (x, wanted), (same, also) in zip(few, many, strict=False):
        np.testing.assert_array_equal(x, same)
        np.testing.assert_array_equal(wanted, also)
    assert not np.array_equal(many[0][0], many[5][0])


# MNIST's files --------------------------------------------------------------------------------------------------------


def idx(values: np.ndarray) -> bytes:
    header = bytes((0, 0, 8, values.ndim)) + b"".join(length.to_bytes(4, "big") for length in values.shape)
    return header + values.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the four files as they should be: 60 digits each."""
    digits = some_digits()
    for images, labels in STEMS.values():
        (tmp_path / f"{images}.gz").write_bytes(gzip.compress(idx(digits.images)))
        (tmp_path / f"{labels}.gz").write_bytes(gzip.compress(idx(digits.labels)))
    return tmp_path


@pytest.mark.parametrize("part", STEMS)
def test_digits_are_read_packed_and_unpacked(folder: Path, part: str) -> None:
    packed = read_digits(folder, part)
    np.testing.assert_array_equal(packed.images, some_digits().images)
    np.testing.assert_array_equal(packed.labels, some_digits().labels)
    for path in list(folder.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    np.testing.assert_array_equal(read_digits(folder, part).images, packed.images)


IMAGES, LABELS = (f"{stem}.gz" for stem in STEMS["test"])
WHOLE = idx(some_digits().images)
BROKEN = {
    "cut off in the archive": (IMAGES, gzip.compress(WHOLE)[:-20], "fetch the file again"),
    "changed in the archive": (IMAGES, gzip.compress(WHOLE)[:30] + b"\0\1\2\3" * 9, "fetch the file again"),
    "a page in its place": (IMAGES, b"<!DOCTYPE html><title>404</title>", "not an idx file of bytes with 3 axes"),
    "empty": (IMAGES, b"", "not an idx file of bytes"),
    "labels in the pictures' place": (IMAGES, idx(some_digits().labels), "not an idx file of bytes with 3 axes"),
    "too short": (IMAGES, gzip.compress(WHOLE[:-5]), "47035 values where its header says 60×28×28 = 47040"),
    "too long": (IMAGES, WHOLE + b"\0", "47041 values"),
    "other pictures": (IMAGES, idx(np.zeros((60, 20, 20), np.uint8)), "20×20 pixels, MNIST's have 28×28"),
    "too few labels": (LABELS, idx(some_digits(50).labels), "60 pictures"),
    "other labels": (LABELS, idx(np.arange(60, dtype=np.uint8)), "not the ten digits"),
    "one digit missing": (LABELS, idx(some_digits().labels % 9), "not the ten digits"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_named_with_what_is_wrong(folder: Path, case: str) -> None:
    name, content, reason = BROKEN[case]
    (folder / name).write_bytes(content)
    with pytest.raises(UsageError) as raised:
        read_digits(folder, "test")
    assert str(folder / name) in str(raised.value)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    read_digits(folder, "train")


@pytest.mark.parametrize("script", [evaluate, reproduce, stack])
def test_without_the_files_a_script_says_so_and_ends_with_2(
    script, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / LABELS).unlink()
    if script is stack:
        (folder / f"{STEMS['train'][1]}.gz").unlink()
    missing = f"{STEMS['train'][1]}.gz" if script is stack else LABELS
    for place, said in ((folder / "nowhere", "no such folder"), (folder, f"there is no {missing} in it")):
        given = ["--output", str(folder / "pairs.npy")] if script is stack else []
        monkeypatch.setattr(sys, "argv", ["script", "--mnist", str(place), *given])
        assert script.main() == 2
        streams = capsys.readouterr()
        assert streams.out == ""
        assert streams.err.startswith(f"error: {place}: {said}")
        assert streams.err.count("\n") == 1


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
