"""The properties of maps whose sums are made up."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.evaluation.conservation import conservation

F = np.array([2.0, 4.0, 10.0])
GOOD = np.zeros(3)


def test_what_adds_up_and_is_not_negative_is_consistent():
    found = conservation("m", F, F * (1 + np.array([0, 5e-4, -9e-4])), least=GOOD, negative=GOOD)
    assert found.worst == pytest.approx(9e-4)
    assert found.conservative
    assert found.positive
    assert found.consistent


def test_one_picture_that_does_not_add_up_is_enough():
    found = conservation("m", F, F * np.array([1, 1.002, 1]), least=GOOD)
    assert not found.conservative
    assert found.positive
    assert not found.consistent
    assert found.ratio == pytest.approx(1 + 0.002 / 3)


def test_one_negative_value_is_enough():
    found = conservation("m", F, F, least=np.array([0, -1e-9, 0]), negative=np.array([0, 0.3, 0]))
    assert found.conservative
    assert not found.positive
    assert not found.consistent
    assert found.negative == pytest.approx(0.1)


def test_what_biases_drew_is_said_beside_it():
    found = conservation(
        "m", F, F * 0.75, least=GOOD, biases=F * 0.25, missing=np.array([1e-7, -2e-7, 0]), seconds=np.array([1, 2, 3])
    )
    assert not found.conservative  # the pixels alone
    assert found.closes  # with the biases
    assert found.biases == pytest.approx(0.25)
    assert found.missing == pytest.approx(2e-7)
    assert found.seconds == 2


def test_pictures_without_evidence_say_nothing_about_conservation():
    found = conservation("m", np.array([2.0, -3.0, 0.0]), np.array([2.0, 5.0, 0.0]), least=GOOD)
    assert (found.pictures, found.empty) == (1, 2)
    assert found.conservative
    none = conservation("m", np.array([-3.0]), np.array([0.0]), least=np.zeros(1))
    assert none.pictures == 0
    assert np.isnan(none.worst)
    assert not none.conservative
