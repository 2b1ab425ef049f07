"""What takes the place of a region."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.errors import UsageError
from heatcli.evaluation.fillings import filled
from heatcli.evaluation.regions import regions_on

SHAPE = (1, 3, 28, 28)
REGIONS = regions_on(SHAPE, "NCHW")
X = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32) + np.arange(3, dtype=np.float32).reshape(1, 3, 1, 1)
BOUNDS = (
    np.array([-1.0, -2, -3], np.float32).reshape(1, 3, 1, 1),
    np.array([1.0, 2, 3], np.float32).reshape(1, 3, 1, 1),
)


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_mean_colour_is_that_of_each_channel():
    found = filled("mean", X, REGIONS, None, chance())
    assert found == pytest.approx(np.broadcast_to(X.mean(axis=(2, 3), keepdims=True), SHAPE), abs=1e-6)
    assert found.dtype == np.float32


def test_a_blur_keeps_what_is_flat_and_loses_what_is_fine():
    assert filled("blur", np.full_like(X, 3), REGIONS, None, chance()) == pytest.approx(np.full_like(X, 3))
    assert filled("blur", X, REGIONS, None, chance()).std(axis=(2, 3)).max() < 0.35 * X.std(axis=(2, 3)).min()


def test_noise_is_uniform_in_the_range_of_the_input_and_the_same_for_the_same_seed():
    found = filled("noise", X, REGIONS, BOUNDS, chance())
    assert np.array_equal(found, filled("noise", X, REGIONS, BOUNDS, chance()))
    assert not np.array_equal(found, filled("noise", X, REGIONS, BOUNDS, chance(1)))
    for channel, end in enumerate((1, 2, 3)):
        part = found[0, channel]
        assert -end <= part.min() < -0.9 * end
        assert 0.9 * end < part.max() <= end
        assert abs(part.mean()) < 0.1 * end


def test_noise_without_a_range_stays_within_each_channels_own():
    found = filled("noise", X, REGIONS, None, chance())
    assert (found.min(axis=(2, 3)) >= X.min(axis=(2, 3)) - 1e-6).all()
    assert (found.max(axis=(2, 3)) <= X.max(axis=(2, 3)) + 1e-6).all()


@pytest.mark.parametrize("name", ["mean", "blur", "noise"])
def test_integers_stay_integers(name: str):
    x = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    found = filled(name, x, REGIONS, (np.zeros(1, np.float32), np.full(1, 255, np.float32)), chance())
    assert found.dtype == np.uint8
    assert found.shape == SHAPE


def test_an_unknown_filling_is_refused():
    with pytest.raises(UsageError, match="known: mean, blur, noise"):
        filled("grey", X, REGIONS, None, chance())
