"""What the kernels in NumPy do beside linear maps: choosing by condition, dividing with a stabiliser."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.kernels.arrays import ArrayKernels

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_kept_is_what_where_chooses(dtype):
    r = RANDOM.normal(size=(3, 4, 5)).astype(dtype)
    r[0, 0] = [np.inf, -np.inf, np.nan, -0.0, 1e-45]
    condition = RANDOM.random((1, 4, 5)) < 0.5
    kernels = ArrayKernels({}, dtype, batched=True)
    found = kernels.kept(r, condition)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.where(condition, r, dtype(0)))
    np.testing.assert_array_equal(kernels.kept(r[:, ::2, 1:], condition[:, ::2, 1:]), found[:, ::2, 1:])


def test_the_stabiliser_goes_away_from_zero_and_up_at_zero():
    z = np.array([2.0, -2.0, 0.0, -0.0, 1e-3], np.float32)
    quotient = ArrayKernels({}, np.float32, batched=True).divide(np.ones(5, np.float32), z, 0.5)
    np.testing.assert_array_equal(quotient.added, [0.5, -0.5, 0.5, 0.5, 0.5])
    np.testing.assert_allclose(1 / quotient.s, [2.5, -2.5, 0.5, 0.5, 0.501], rtol=1e-6)
    assert quotient.left is None
