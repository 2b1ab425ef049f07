"""The training of a relevance model: its gradient, where it starts, and that it finds a model that is there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heatcli.fitting.training import (
    Parameters,
    Samples,
    Schedule,
    fitted,
    forward,
    gradient,
    pooled,
    start,
    train,
)

ALONE = np.arange(6)[:, None]
PAIRS = np.arange(6).reshape(3, 2)[:, ::-1]


def drawn(groups=1, *, rows=40, seed=0, dtype=np.float64):
    """Return samples and parameters of six neurons that see five inputs (of each group) and four neurons above."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, groups, 5))
    upper, relevance = random.exponential(size=(rows, 4)), random.exponential(size=(rows, 6))
    parameters = Parameters(
        random.normal(size=(groups, 5, 6 // groups)), random.normal(size=(4, 6)), random.normal(size=6)
    )
    samples = Samples(*(value.astype(dtype) for value in (x, upper, relevance)))
    return samples, Parameters(*(value.astype(dtype) for value in (parameters.v, parameters.upper, parameters.offset)))


def by_loops(parameters, samples):
    """Return y by its equation, one number after the other."""
    groups, inputs, neurons = parameters.v.shape
    y = np.zeros((len(samples), groups * neurons))
    for n in range(len(samples)):
        for j in range(groups * neurons):
            group, place = divmod(j, neurons)
            z = sum(samples.x[n, group, i] * parameters.v[group, i, place] for i in range(inputs))
            above = sum(samples.upper[n, k] * parameters.upper[k, j] for k in range(samples.upper.shape[1]))
            y[n, j] = max(0.0, z + min(0.0, above + parameters.offset[j]))
    return y


@pytest.mark.parametrize("groups", [1, 3])
def test_y_is_its_equation(groups):
    samples, parameters = drawn(groups)
    y, held = forward(parameters, samples)
    np.testing.assert_allclose(y, by_loops(parameters, samples), atol=1e-12)
    assert held.any()
    assert not held.all()
    assert (y > 0).any()


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("pooling", [ALONE, PAIRS])
def test_the_gradient_is_that_of_the_loss(groups, pooling):
    """Central differences at every parameter."""
    samples, parameters = drawn(groups)
    loss, slopes = gradient(parameters, samples, pooling)
    truth = np.stack([samples.relevance[:, group].sum(1) for group in pooling], axis=1)

    def again(name, value):
        y = by_loops(replace(parameters, **{name: value}), samples)
        return np.mean((np.stack([y[:, group].sum(1) for group in pooling], axis=1) - truth) ** 2)

    assert loss == pytest.approx(again("offset", parameters.offset))
    for name in ("v", "upper", "offset"):
        value = getattr(parameters, name)
        found = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            step = np.zeros_like(value)
            step[place] = 1e-6
            found[place] = (again(name, value + step) - again(name, value - step)) / 2e-6
        np.testing.assert_allclose(getattr(slopes, name), found, atol=1e-7)


def test_units_and_factors():
    samples, parameters = drawn()
    y = forward(parameters, samples)[0]
    np.testing.assert_allclose(forward(parameters.times(2.5), samples)[0], 2.5 * y)
    each = np.linspace(0.5, 2, 6)
    np.testing.assert_allclose(forward(parameters.times(each), samples)[0], each * y)
    larger = Samples(samples.x, 7 * samples.upper, 7 * samples.relevance)
    np.testing.assert_allclose(forward(parameters.in_units(7.0), larger)[0], 7 * y)


def test_how_a_model_fits():
    samples, parameters = drawn()
    y = by_loops(parameters, samples)
    fit = fitted(parameters, samples, PAIRS, rows=7)
    guess, truth = (value[:, PAIRS].sum(2) for value in (y, samples.relevance))
    assert fit.error == pytest.approx(np.mean((guess - truth) ** 2) / np.mean(truth**2))
    assert fit.ratio == pytest.approx(guess.sum() / truth.sum())
    silent = replace(parameters, offset=np.where(np.arange(6) < 2, -1e9, parameters.offset))
    assert fitted(silent, samples, PAIRS).silent == fit.silent + 2
    nothing = replace(samples, relevance=np.zeros_like(samples.relevance))
    assert np.isnan(fitted(parameters, nothing, PAIRS).error)


def relevance_like(seed=0, rows=3000):
    """Return samples whose relevance comes from a layer and a gate above, and the layer's weights.

    Neurons speak for patterns in x, and get relevance in proportion to what they say where a neuron above has some.
    """
    random = np.random.default_rng(seed)
    x = np.maximum(random.normal(size=(rows, 1, 12)), 0).astype(np.float32)
    weights = random.normal(size=(1, 12, 8)).astype(np.float32)
    out = np.maximum(x[:, 0] @ weights[0] - 0.2, 0)
    upper = np.maximum(random.normal(size=(rows, 3)), 0).astype(np.float32)
    share = upper @ np.abs(random.normal(size=(3, 8))).astype(np.float32) ** 3
    relevance = out * share / (1 + share)
    return Samples(x, upper, (relevance / np.sqrt(np.mean(relevance**2))).astype(np.float32)), weights


def test_the_start_is_alive_and_speaks_of_what_is_above():
    samples, weights = relevance_like()
    groups = np.arange(8).reshape(4, 2)
    begin = start(samples, weights, np.full(8, -0.2, np.float32), groups, rows=100)
    assert fitted(begin, samples, groups).silent == 0
    # each neuron's weights are the layer's own, times one positive number a group
    factor = begin.v[0] / weights[0]
    assert np.ptp(factor, axis=0).max() < 1e-4 * factor.max()
    assert (factor > 0).all()
    np.testing.assert_allclose(factor[:, ::2], factor[:, 1::2], rtol=1e-4)
    # relevance above lifts what holds neurons back, and no factor of a group makes the error smaller
    assert (begin.upper > 0).all()
    assert (begin.offset < 0).all()
    error = fitted(begin, samples, groups).error
    for k in range(4):
        for slip in (0.99, 1.01):
            each = np.where(np.arange(8) // 2 == k, slip, 1.0)
            assert fitted(begin.times(each), samples, groups).error >= error - 1e-9
    own = Parameters(weights, np.zeros_like(begin.upper), np.full(8, -0.2, np.float32))
    least = own.times(np.repeat(_factors(own, samples, groups), 2))
    assert error < fitted(least, samples, groups).error  # better than the layer's own output, scaled


def _factors(parameters, samples, groups):
    found, wanted = pooled(forward(parameters, samples)[0], groups), pooled(samples.relevance, groups)
    return (found * wanted).sum(0) / (found * found).sum(0)


def test_a_neuron_that_never_speaks_gives_no_nonsense():
    samples, weights = relevance_like(rows=200)
    dead = weights.copy()
    dead[..., 0] = -1.0
    quiet = replace(samples, upper=np.zeros_like(samples.upper))
    for some in (samples, quiet):
        begin = start(some, dead, np.zeros(8, np.float32), np.arange(8)[:, None])
        for value in (begin.v, begin.upper, begin.offset):
            assert np.isfinite(value).all()


def last(passes):
    *_, final = passes
    return final


@pytest.mark.parametrize("groups", [np.arange(8)[:, None], np.arange(8).reshape(4, 2)])
def test_training_brings_the_error_down(groups):
    samples, weights = relevance_like()
    train_rows, held_out = samples.rows(slice(2500)), samples.rows(slice(2500, None))
    begin = start(train_rows, weights, np.zeros(8, np.float32), groups)
    before = fitted(begin, held_out, groups)
    final = last(train(train_rows, held_out, begin, groups, Schedule(epochs=30), np.random.default_rng(0)))
    after = fitted(final.parameters, held_out, groups)
    assert after.error < 0.5 * before.error
    assert after.error < 0.1
    assert after.silent == 0
    assert begin.v is not final.parameters.v
    again = last(train(train_rows, held_out, begin, groups, Schedule(epochs=30), np.random.default_rng(0)))
    np.testing.assert_array_equal(final.parameters.v, again.parameters.v)


def test_a_model_that_is_there_is_found():
    """Relevance that a model of this kind makes, from other weights than training starts with."""
    samples, weights = relevance_like()
    groups = np.arange(8)[:, None]
    random = np.random.default_rng(1)
    begin = start(samples, weights, np.zeros(8, np.float32), groups)
    slips = (random.lognormal(0, 0.3, value.shape).astype(np.float32) for value in (begin.v, begin.upper, begin.offset))
    there = Parameters(*(v * s for v, s in zip((begin.v, begin.upper, begin.offset), slips, strict=True)))
    made = replace(samples, relevance=forward(there, samples)[0])
    train_rows, held_out = made.rows(slice(2500)), made.rows(slice(2500, None))
    begin = start(train_rows, weights, np.zeros(8, np.float32), groups)
    final = last(train(train_rows, held_out, begin, groups, Schedule(epochs=60), np.random.default_rng(0)))
    assert fitted(begin, held_out, groups).error > 0.05
    assert final.fit.error < 0.005


def test_the_best_pass_is_kept_and_no_gain_ends_it():
    """Noise without a pattern: what is learned by heart does not help held-out samples."""
    random = np.random.default_rng(0)
    samples = Samples(
        random.normal(size=(60, 1, 40)).astype(np.float32),
        random.exponential(size=(60, 3)).astype(np.float32),
        random.exponential(size=(60, 6)).astype(np.float32),
    )
    held_out = samples.rows(slice(30, None))
    begin = start(samples.rows(slice(30)), random.normal(size=(1, 40, 6)).astype(np.float32), np.zeros(6), ALONE)
    schedule = Schedule(epochs=500, patience=5, rate=0.1)
    passes = list(train(samples.rows(slice(30)), held_out, begin, ALONE, schedule, np.random.default_rng(0)))
    errors = [step.fit.error for step in passes]
    assert len(passes) < 400
    best = int(np.argmin(errors))
    assert passes[-1].epoch == best + 5
    assert fitted(passes[-1].parameters, held_out, ALONE).error == pytest.approx(min(errors))


def test_no_time_means_one_pass():
    samples, weights = relevance_like(rows=300)
    begin = start(samples, weights, np.zeros(8, np.float32), np.arange(8)[:, None])
    schedule = Schedule(epochs=30, seconds=1e-9)
    passes = list(train(samples, samples, begin, np.arange(8)[:, None], schedule, np.random.default_rng(0)))
    assert [step.epoch for step in passes] == [0, 1]
