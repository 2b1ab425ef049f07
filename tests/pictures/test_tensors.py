"""Tensors that nobody vouches for: nothing is believed before it is checked, and every refusal says what is wrong."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from heatcli.errors import PictureError
from heatcli.pictures.tensors import read_tensor


def saved(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


def header(shape: str, descr: str = "'<f4'") -> bytes:
    """The start of an .npy file that claims ``shape``, with no number behind it."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.float16, ">f8", np.int64, np.uint8, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0),
    ),
    st.sampled_from([(1, 0), (2, 0)]),
)
def test_what_numpy_saved_is_read(array: np.ndarray, version: tuple[int, int]) -> None:
    loaded = read_tensor(saved(array, version))
    assert loaded.dtype == array.dtype
    np.testing.assert_array_equal(loaded, array)


def test_a_path_in_either_form(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.asfortranarray(np.arange(6).reshape(2, 3)))
    for path in (tmp_path / "x.npy", str(tmp_path / "x.npy")):
        assert read_tensor(path).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no .npy file"),
        (b"hello, world", "is no .npy file"),
        (b"\x93NUMPY", "is a broken .npy file"),
        (b"\x93NUMPY\x09\x00" + header("(1,)")[8:], "is a broken .npy file"),
        (header("(2, 'a')"), "is a broken .npy file"),
        (header("(-1, 3)"), "is a broken .npy file"),
        (header("(0, 1180591620717411303424)"), "is a broken .npy file"),
        (header("(True, 3)") + bytes(12), "is a broken .npy file"),
        (header("(1000000, 1000000)"), "3,814,697 MiB; at most 1,024 MiB"),
        (header("(10, 10)"), "is cut short: an array of shape .* takes 400 bytes, but 0 are there"),
        (saved(np.zeros((4, 4)))[:-1], "is cut short"),
        (header("(3,)", "'|O'"), "holds Python objects; save an array of numbers"),
        (header("(10000000000000,)", "'|S0'"), "not numbers"),
        (saved(np.array(["cat"])), "not numbers"),
        (saved(np.array([1j])), "not numbers"),
        (saved(np.zeros(1, [("名", "f4")]), (3, 0)), "named fields"),
    ],
)
def test_what_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(PictureError, match=message) as refused:
        read_tensor(tmp_path / "x.npy")
    assert str(tmp_path / "x.npy") in str(refused.value)
    assert "pickle" not in str(refused.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    for name, message in (("missing.npy", "no such file"), ("pipe.npy", "not a regular file"), (".", "not a regular")):
        with pytest.raises(PictureError, match=message):
            read_tensor(tmp_path / name)
    with pytest.raises(PictureError, match="cannot be read"):
        read_tensor("a\0b.npy")
