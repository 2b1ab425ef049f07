"""Targets by rank, index and label; probabilities by the kind of output."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.errors import UsageError
from heatcli.targets import probabilities, resolve_target

SCORES = np.array([0.5, 3.0, -1.0, 3.0, 2.0], "float32")
LABELS = ("cat", "dog, hound", "bird", "red fox", "grey fox")


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        (["top"], [1]),
        (["top-3"], [1, 3, 4]),
        (["TOP-1"], [1]),
        ([2], [2]),
        (["4"], [4]),
        ([np.int64(3)], [3]),
        (["CAT"], [0]),
        (["hound"], [1]),
        (["red"], [3]),
        (["top-2", "bird", 1], [1, 3, 2]),
    ],
)
def test_what_a_target_names(targets, expected):
    assert resolve_target(targets, SCORES, LABELS) == expected


@pytest.mark.parametrize(
    ("target", "labels", "reason"),
    [
        (5, LABELS, "classes 0 to 4"),
        ("-1", LABELS, "classes 0 to 4"),
        ("top-6", LABELS, "the model has 5"),
        ("top-0", LABELS, "asks for 0"),
        ("cat", None, "labels are needed"),
        ("fox", LABELS, "grey fox"),
        ("catt", LABELS, "closest: cat"),
        ("catt", LABELS, "--labels"),
        ("top-x", LABELS, "top-3 stands for the three best"),
        ("top-", None, "top-3 stands for"),
        (2.5, LABELS, "2.5 is not understood; give top, top-3, a class index or a label"),
        (None, LABELS, "None is not understood"),
        (True, LABELS, "True is not understood"),
    ],
)
def test_targets_that_name_no_class(target, labels, reason):
    with pytest.raises(UsageError, match=reason):
        resolve_target([target], SCORES, labels)


def test_one_target_alone_and_a_label_that_begins_like_a_rank():
    assert resolve_target("top", SCORES, LABELS) == [1]
    assert resolve_target(["top-hat"], SCORES, (*LABELS[:4], "Top-Hat")) == [4]


def test_probabilities():
    softmax = np.exp(SCORES) / np.exp(SCORES).sum()
    np.testing.assert_allclose(probabilities(SCORES, SCORES, "logits"), softmax, rtol=1e-6)
    np.testing.assert_allclose(probabilities(SCORES, np.log(softmax)[None], "log-softmax"), softmax, rtol=1e-6)
    np.testing.assert_array_equal(probabilities(SCORES, softmax[None], "softmax"), softmax)
    np.testing.assert_allclose(probabilities(np.array([0.7]), np.array([0.7]), "logits"), 1 / (1 + np.exp(-0.7)))
    np.testing.assert_allclose(probabilities(SCORES, SCORES, "logits", "sigmoid"), 1 / (1 + np.exp(-SCORES)), rtol=1e-6)
    assert np.isfinite(probabilities(SCORES * 1000, SCORES, "logits")).all()
