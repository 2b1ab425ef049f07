"""What the detector of two digits was trained on: MNIST's files, pairs of its digits, and a stack of them for fit."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import pytest

from heatcli.errors import UsageError
from models.two_digits import evaluate, reproduce, stack
from models.two_digits.architecture import PIXELS
from models.two_digits.mnist import SIDE, STEMS, Digits, read_digits
from models.two_digits.pairs import BLACK, PairMaker, batches


def some_digits(count: int = 60) -> Digits:
    """Digits 0 to 9 in turn: frames with a margin of four, each in a brightness of its own, no two alike."""
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    images[:, 4:-4, 4:-4] = np.arange(count, dtype=np.uint8)[:, None, None] + 100
    return Digits(images, (np.arange(count) % 10).astype(np.uint8))


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


def test_a_stack_for_fit_holds_mixed_pairs_of_training_digits(folder: Path, tmp_path: Path) -> None:
    stack.write_stack(folder, tmp_path / "pairs.npy", 2000)
    pairs = np.load(tmp_path / "pairs.npy")
    assert pairs.shape == (2000, 1, SIDE, 2 * SIDE)
    assert pairs.dtype == np.float32
    assert (pairs.min(), pairs.max()) == (BLACK, pytest.approx(159 / 127.5 - 0.5))
    again = PairMaker(read_digits(folder, "train")).mixed(np.random.default_rng(stack.SEED), 2000)
    np.testing.assert_array_equal(pairs, again.x)
    assert np.mean(again.targets.any(axis=1)) == pytest.approx(0.5, abs=0.05)
