"""What can be given as a picture, a tensor or a range, and what is said about anything else."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from heatcli.errors import PictureError, UsageError
from heatcli.inputs import prepare
from heatcli.network.layers import InputSpec
from heatcli.pictures.preprocessing import resolve

FLOATS = InputSpec("x", (1, 3, 4, 4), "float32", "NCHW")
BYTES = InputSpec("x", (1, 3, 4, 4), "uint8", "NCHW")
HALVES = InputSpec("x", (1, 3, 4, 4), "float16", "NCHW")
PREPROCESSING, _ = resolve(FLOATS, preprocess="unit")
ZEROS = np.zeros((3, 4, 4), np.float32)


def test_a_picture_in_every_form_is_the_same_input(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 4, 3), np.uint8)
    path = tmp_path / "x.png"
    PIL.Image.fromarray(pixels).save(path)
    expected = (pixels.transpose(2, 0, 1)[None] / 255).astype(np.float32)
    for given in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes()), PIL.Image.fromarray(pixels)):
        prepared = prepare(given, FLOATS, PREPROCESSING, None)
        np.testing.assert_allclose(prepared.x, expected, atol=1e-6)
        assert prepared.image is not None


def test_a_tensor_in_every_form_is_the_same_input(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(1, 3, 4, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    for given in (x, x[0], x.astype(np.float64), tmp_path / "x.npy", (tmp_path / "x.npy").read_bytes()):
        prepared = prepare(given, FLOATS, PREPROCESSING, None)
        np.testing.assert_array_equal(prepared.x, x)
        assert prepared.image is prepared.bounds is None


@pytest.mark.parametrize("picture", [None, 42, ["a.jpg"], 2.5])
def test_what_is_no_picture_is_named_with_what_can_be_given(picture: Any) -> None:
    with pytest.raises(UsageError, match=rf"a {type(picture).__name__} is no picture; give a path.*NumPy array"):
        prepare(picture, FLOATS, PREPROCESSING, None)


def test_a_file_opened_as_text() -> None:
    with pytest.raises(PictureError, match="mode 'rb'"):
        prepare(io.StringIO("GIF89a"), FLOATS, PREPROCESSING, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "given", "low", "high"),
    [
        (FLOATS, (-1, 1), [-1], [1]),
        (FLOATS, [np.float64(-1), np.array([1, 2, 3])], [-1], [1, 2, 3]),
        (BYTES, (0, 255), [0], [255]),
        (BYTES, (0.0, (255.0, 200.0, 100.0)), [0], [255, 200, 100]),
        (HALVES, (-65504, 65504), [-65504], [65504]),
    ],
)
def test_ranges(spec: InputSpec, given: Any, low: list[float], high: list[float]) -> None:
    bounds = prepare(np.zeros(spec.shape, spec.dtype), spec, None, given).bounds
    assert bounds is not None
    assert [bound.ravel().tolist() for bound in bounds] == [low, high]
    assert bounds[0].dtype == bounds[1].dtype == spec.dtype


@pytest.mark.parametrize(
    ("spec", "given", "message"),
    [
        (FLOATS, (1,), "a lower and an upper bound"),
        (FLOATS, (1, 2, 3), "a lower and an upper bound"),
        (FLOATS, 5, "a lower and an upper bound"),
        (FLOATS, "-1,1", "a lower and an upper bound"),
        (FLOATS, "ab", "must be numbers"),
        (FLOATS, ({}, 1), "must be numbers"),
        (FLOATS, (float("nan"), 1), "finite numbers"),
        (FLOATS, (None, 1), "finite numbers"),
        (FLOATS, (-np.inf, np.inf), "finite numbers"),
        (FLOATS, ((), 1), "finite numbers"),
        (FLOATS, ((0, 0), (1, 1)), "gives 2 channels"),
        (FLOATS, (1, -1), "lower bound first"),
        (BYTES, (-1, 255), "the lower bound is -1; the input x takes uint8, whole numbers from 0 to 255"),
        (BYTES, (0, 256), "the upper bound is 256"),
        (BYTES, (0, 255.9), "the upper bound is 255.9"),
        (HALVES, (0, 1e6), r"takes float16, numbers up to 65504"),
    ],
)
def test_ranges_that_make_no_sense(spec: InputSpec, given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        prepare(np.zeros(spec.shape, spec.dtype), spec, None, given)


@pytest.mark.parametrize(
    ("spec", "tensor", "message"),
    [
        (FLOATS, ZEROS[:2], "has shape"),
        (FLOATS, ZEROS + np.nan, "not finite"),
        (FLOATS, ZEROS.astype(str), "not numbers"),
        (BYTES, ZEROS + 0.5, "takes uint8, whole numbers"),
        (BYTES, ZEROS - 1, "from -1 to -1"),
        (BYTES, np.full((3, 4, 4), 300), "from 300 to 300"),
        (HALVES, ZEROS + 1e6, "numbers up to 65504"),
        (FLOATS, np.full((3, 4, 4), 1e300), "takes float32"),
    ],
)
def test_tensors_that_do_not_fit(spec: InputSpec, tensor: np.ndarray, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        prepare(tensor, spec, None, None)


def test_whole_numbers_in_floats_fit_an_integer_input() -> None:
    assert prepare(ZEROS + 255, BYTES, None, None).x.dtype == np.uint8
