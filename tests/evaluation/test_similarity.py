"""Rank correlation against published and hand values, structural similarity against windows written out."""

from __future__ import annotations

import numpy as np
import pytest

from heatcli.evaluation.similarity import ranks, spearman, ssim

IQ = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
TELEVISION = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
"""The worked example of textbooks and encyclopaedias: ρ = −29/165."""


def test_ranks_share_their_mean_where_values_are_equal():
    assert ranks(np.array([3, 1, 4, 1, 5, 1])).tolist() == [4, 2, 5, 2, 6, 2]


def test_spearman_of_the_textbooks():
    assert spearman(np.array(IQ), np.array(TELEVISION)) == pytest.approx(-29 / 165)


def test_spearman_with_ties_by_hand():
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, deviations √4.5 and √5
    assert spearman(np.array([1, 2, 2, 3]), np.array([1, 2, 3, 4])) == pytest.approx(4.5 / np.sqrt(4.5 * 5))


def test_spearman_sees_the_order_alone():
    a = np.random.default_rng(0).normal(size=(8, 8))
    assert spearman(a, np.exp(a)) == pytest.approx(1)
    assert spearman(a, -(a**3)) == pytest.approx(-1)
    assert np.isnan(spearman(a, np.zeros((8, 8))))


def test_spearman_of_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    random = np.random.default_rng(1)
    a, b = random.integers(0, 6, 300), random.integers(0, 6, 300)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def written_out(x: np.ndarray, y: np.ndarray) -> float:
    """SSIM of maps in 0–1, one window after the other (Wang et al. 2004, equation 13)."""
    height, width = x.shape
    rows, columns = np.mgrid[:height, :width]
    found = []
    for row in range(height):
        for column in range(width):
            weights = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 1.5**2))
            weights /= weights.sum()
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            cxy = (weights * (x - mx) * (y - my)).sum()
            found.append((2 * mx * my + 1e-4) * (2 * cxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    return float(np.mean(found))


def test_ssim_written_out():
    random = np.random.default_rng(2)
    x, y = random.random((9, 12)), random.random((9, 12))
    x[0, 0] = y[3, 3] = 1  # the largest value of each is 1 already
    assert ssim(x, y) == pytest.approx(written_out(x, y))


def test_ssim_does_not_see_the_scale():
    x = np.random.default_rng(3).random((16, 16))
    assert ssim(x, 7 * x) == pytest.approx(1)
    assert ssim(x, 1 - x) < 0
    assert np.isnan(ssim(x, np.zeros((16, 16))))
