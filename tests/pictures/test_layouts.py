"""The same picture in every layout, and relevance back from it."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.pictures.layouts import Form, arranged, by_channel, chw, form_of, to_heatmap

PIXELS = np.arange(4 * 5 * 3, dtype=np.float32).reshape(4, 5, 3)
SHAPES = {
    "NCHW": (1, 3, 4, 5),
    "NHWC": (1, 4, 5, 3),
    "CHW": (3, 4, 5),
    "HWC": (4, 5, 3),
    "NHW": (1, 4, 5),
    "HW": (4, 5),
    "flat": (1, 60),
    "flat-HWC": (1, 60),
}


@pytest.mark.parametrize("layout", SHAPES)
def test_there_and_back(layout: str) -> None:
    pixels = PIXELS if "C" in layout or layout == "flat" else PIXELS[:, :, :1]
    x = arranged(pixels, layout)
    assert x.shape == SHAPES[layout]
    assert x.flags.c_contiguous
    back = chw(x, layout, (4, 5))
    assert back is not None
    assert np.array_equal(back, pixels.transpose(2, 0, 1))
    without_batch = x[0] if layout.startswith(("N", "flat")) else x
    assert np.array_equal(chw(without_batch, layout, (4, 5)), back)
    assert np.array_equal(to_heatmap(x, layout, (4, 5)), pixels.sum(axis=2))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC", "CHW", "HWC", "flat", "flat-HWC"])
def test_one_value_a_channel_broadcasts_to_the_input(layout: str) -> None:
    values = np.asarray([1.0, 2.0, 3.0])
    form = Form((4, 5), 3, layout)
    assert np.array_equal(
        np.broadcast_to(by_channel(values, form), SHAPES[layout]),
        arranged(np.broadcast_to(values, (4, 5, 3)), layout),
    )


@pytest.mark.parametrize(
    ("shape", "layout", "size", "expected"),
    [
        ((1, 3, 32, 40), "NCHW", None, Form((32, 40), 3, "NCHW")),
        ((1, 32, 40, 1), "NHWC", None, Form((32, 40), 1, "NHWC")),
        ((28, 28), "HW", None, Form((28, 28), 1, "HW")),
        ((1, 784), "flat", None, Form((28, 28), 1, "flat")),
        ((784,), "flat", None, Form((28, 28), 1, "flat")),
        ((1, 3072), "flat", None, Form((32, 32), 3, "flat")),
        ((1, 1568), "flat", None, None),
        ((1, 1568), "flat", (28, 56), Form((28, 56), 1, "flat")),
        ((1, 600), "flat", (10, 20), Form((10, 20), 3, "flat")),
        ((1, 4), "flat", None, None),
        ((1, 784), "flat", (28, 29), None),
        ((1, 4, 32, 32), "NCHW", None, None),
        ((2, 3, 32, 32), "NCHW", None, None),
        ((1, 12, 1000), "tensor", None, None),
    ],
)
def test_which_picture_an_input_holds(shape, layout, size, expected) -> None:
    assert form_of(shape, layout, size) == expected


def test_what_is_no_picture_stays_what_it_is() -> None:
    tensor = np.ones((2, 7, 5), np.float32)
    assert to_heatmap(tensor, "tensor").shape == (2, 7, 5)
    assert to_heatmap(np.ones(1568, np.float32), "flat").shape == (1568,)
    assert chw(tensor, "tensor") is None
