"""Curves that are known by hand: a linear function loses with a region exactly what the region gave to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from heatcli.errors import UsageError
from heatcli.evaluation.perturbation import SHARES, Drops, curves, drops
from heatcli.evaluation.regions import regions_on

SHAPE = (1, 3, 28, 28)
REGIONS = regions_on(SHAPE, "NCHW")
RANDOM = np.random.default_rng(4)
X, WEIGHTS = RANDOM.normal(size=SHAPE), RANDOM.normal(size=SHAPE)
NOTHING = np.zeros(SHAPE)


def linear(x: np.ndarray) -> float:
    return float((WEIGHTS * x).sum())


def parts() -> np.ndarray:
    """What each region gives to the linear function, (196,)."""
    contributions = (WEIGHTS * X)[0].sum(axis=0)
    return contributions.reshape(14, 2, 14, 2).sum(axis=(1, 3)).reshape(-1)


def test_a_linear_function_loses_what_the_regions_gave():
    order = REGIONS.ranked((WEIGHTS * X)[0].sum(axis=0))
    found = drops(linear, X, {"own": order}, REGIONS, NOTHING, before=linear(X))["own"]
    given = np.sort(parts())[::-1]
    counts = (0, 4, 8, 16, 24, 32, 48, 64)
    assert found.most == pytest.approx([given[:count].sum() for count in counts])
    assert found.least == pytest.approx([given[196 - count :].sum() for count in counts])
    assert found.difference == pytest.approx(found.most.mean() - found.least.mean())


def test_the_reverse_order_has_the_opposite_difference_and_shares_its_runs():
    order, asked = np.arange(196), []

    def counting(x: np.ndarray) -> float:
        asked.append(1)
        return linear(x)

    found = drops(counting, X, {"up": order, "down": order[::-1]}, REGIONS, NOTHING, before=linear(X))
    assert found["up"].difference == pytest.approx(-found["down"].difference)
    assert len(asked) == 2 * 7  # 7 shares above none, from either end, once for both


def test_threads_change_nothing():
    order = RANDOM.permutation(196)
    alone = drops(linear, X, {"a": order}, REGIONS, NOTHING, before=linear(X))["a"]
    with ThreadPoolExecutor(3) as executor:
        many = drops(linear, X, {"a": order}, REGIONS, NOTHING, before=linear(X), executor=executor)["a"]
    assert np.array_equal(alone.most, many.most)
    assert np.array_equal(alone.least, many.least)


def test_all_regions_are_all_of_the_picture():
    found = drops(linear, X, {"a": np.arange(196)}, REGIONS, NOTHING, before=linear(X), shares=(0, 1))["a"]
    assert found.most == pytest.approx([0, linear(X)])
    assert found.least == pytest.approx([0, linear(X)])


def test_means_over_pictures_and_their_standard_error():
    found = [
        Drops(np.array([0, 0.4, 0.8]), np.array([0, 0.1, 0.2])),
        Drops(np.array([0, 0.2, 0.4]), np.array([0, 0, 0.3])),
    ]
    shares = (0, 0.1, 0.2)
    curve = curves("mine", "mean", found, shares)
    assert curve.most == pytest.approx((0, 0.3, 0.6))
    assert curve.least == pytest.approx((0, 0.05, 0.25))
    assert (curve.area_most, curve.area_least) == pytest.approx((0.3, 0.1))
    assert curve.difference == pytest.approx(0.2)  # of 0.3 and 0.1
    assert curve.error == pytest.approx(0.1)
    assert (curve.pictures, curve.shares) == (2, shares)


def test_the_protocol_is_the_measured_one():
    assert [round(share * 196) for share in SHARES] == [0, 4, 8, 16, 24, 32, 48, 64]


@pytest.mark.parametrize("shares", [(), (0, 1.5), (-0.1,)])
def test_what_is_no_share_is_refused(shares):
    with pytest.raises(UsageError, match="between 0 and 1"):
        drops(linear, X, {"a": np.arange(196)}, REGIONS, NOTHING, before=0, shares=shares)
