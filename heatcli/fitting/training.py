"""Trains the relevance model of one layer: the smallest ⟨(R̂_k − R_k)²⟩ over samples, by Adam on minibatches.

    R̂_k = Σ_{j ∈ k} y_j ,   y_j = max(0, Σ_i x_i v_ij + a_j) ,   a_j = min(0, Σ_l R_l v_lj + d_j)      (paper 5.1)

Where training starts decides what becomes of it: from random numbers most neurons fall silent and never wake. So v
starts with the network's own weights, and v_lj with how much relevance j has where l has some; both in the sizes that
fit best. At the end the model is scaled so that its relevance adds up to what arrived: the smallest mean square alone
keeps a few per cent back at every layer.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

WARM_UP = 1.0
"""Passes over the samples until steps have their full length."""
TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Samples:
    """What neurons of a layer saw: one row for every place that was looked at, in floating point.

    ``x`` (N, G, I) holds the inputs in G groups of channels, ``upper`` (N, L) the R_l that are seen from there,
    ``relevance`` (N, J) what arrived at each neuron.
    """

    x: Array
    upper: Array
    relevance: Array

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.relevance)

    def rows(self, chosen: Array | slice) -> Samples:
        """Return some of them."""
        return Samples(self.x[chosen], self.upper[chosen], self.relevance[chosen])


@dataclass(frozen=True, eq=False)
class Parameters:
    """``v`` (G, I, J/G), ``upper`` v_lj (L, J), ``offset`` d (J,)."""

    v: Array
    upper: Array
    offset: Array

    def times(self, factor: float | Array) -> Parameters:
        """Return the model whose y is ``factor`` times as large, a positive number or one for each j."""
        factor = np.asarray(factor, self.v.dtype)
        groups = factor if factor.ndim == 0 else factor.reshape(self.v.shape[0], 1, -1)
        return Parameters(self.v * groups, self.upper * factor, self.offset * factor)

    def in_units(self, size: float) -> Parameters:
        """Return the same model for relevance, R_l and y, that is measured in numbers ``size`` times as large."""
        return Parameters(self.v * self.v.dtype.type(size), self.upper, self.offset * self.offset.dtype.type(size))


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    At most ``epochs`` passes over the samples and about ``seconds``; an end after ``patience`` passes without a smaller
    error on the samples that are held out. A step changes numbers by about ``rate`` of the size that they start with;
    steps become shorter along a cosine.
    """

    epochs: int = 30
    patience: int = 6
    rate: float = 1e-2
    seconds: float = math.inf


@dataclass(frozen=True)
class Fit:
    """How a model fits: ``error`` ⟨(R̂ − R)²⟩ / ⟨R²⟩, ``ratio`` ΣR̂ / ΣR, and how many neurons are ``silent``.

    Both are NaN where there is no relevance. A silent neuron has y = 0 in all samples.
    """

    error: float
    ratio: float
    silent: int


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass over the samples, counted from 1; 0 is the start. ``parameters`` are the best so far."""

    epoch: int
    fit: Fit
    parameters: Parameters


def forward(parameters: Parameters, samples: Samples) -> tuple[Array, Array]:
    """Return y (N, J), and whether each neuron is held back (N, J)."""
    n = len(samples)
    if parameters.v.shape[0] == 1:
        y = samples.x.reshape(n, -1) @ parameters.v[0]
    else:
        y = np.matmul(samples.x.transpose(1, 0, 2), parameters.v).transpose(1, 0, 2).reshape(n, -1)
    a = samples.upper @ parameters.upper
    a += parameters.offset
    held = a < 0
    y += np.minimum(a, 0, out=a)
    return np.maximum(y, 0, out=y), held


def pooled(y: Array, groups: Array) -> Array:
    """Return the sums over groups of neurons (N, K) of y (N, J); ``groups`` (K, neurons) are the j of every k."""
    return y[:, groups[:, 0]] if groups.shape[1] == 1 else y[:, groups].sum(axis=2)


def gradient(parameters: Parameters, samples: Samples, groups: Array) -> tuple[float, Parameters]:
    """Return ⟨(R̂ − R)²⟩ over samples and k, and its derivatives by the parameters."""
    y, held = forward(parameters, samples)
    difference = pooled(y, groups) - pooled(samples.relevance, groups)
    slope = np.empty_like(y)
    slope[:, groups] = difference[:, :, None] * y.dtype.type(2 / difference.size)
    slope *= y > 0
    n, (g, _, o) = len(samples), parameters.v.shape
    if g == 1:
        v = (samples.x.reshape(n, -1).T @ slope)[None]
    else:
        v = np.matmul(samples.x.transpose(1, 2, 0), slope.reshape(n, g, o).transpose(1, 0, 2))
    slope *= held
    loss = float(np.mean(np.square(difference)))
    return loss, Parameters(v, samples.upper.T @ slope, slope.sum(axis=0))


def start(samples: Samples, weights: Array, bias: Array, groups: Array, *, rows: int = 4096) -> Parameters:
    """Return where training starts, from the layer's own ``weights`` (G, I, J/G) and ``bias`` (J,).

    v = s w and d = s min(0, b) − D, with s_k of the least squares of R_k over what the layer itself puts out; v_lj in
    proportion to ⟨R_l R_j⟩ / ⟨R_l⟩, so large that the mean of Σ_l R_l v_lj is D, the size of R_k. A last factor for
    every k brings all of it to the least squares of R_k over R̂_k. Memory: ``rows`` samples at a time.
    """
    dtype = weights.dtype
    of_group = np.empty(groups.size, np.intp)
    of_group[groups] = np.arange(len(groups))[:, None]
    blocks = [slice(begin, begin + rows) for begin in range(0, len(samples), rows)]
    own = Parameters(weights, np.zeros((samples.upper.shape[1], groups.size), dtype), np.minimum(bias, 0))
    scale = _least_squares(own, samples, groups, blocks)[of_group]
    size = np.zeros(len(groups))
    both = np.zeros(own.upper.shape)
    for block in blocks:
        part = samples.rows(block)
        size += np.square(pooled(part.relevance, groups), dtype=np.float64).sum(axis=0)
        both += part.upper.T @ part.relevance
    depth = np.sqrt(size / len(samples))[of_group]
    mean = samples.upper.mean(axis=0, dtype=np.float64)
    both /= np.maximum(mean, TINY)[:, None]
    both *= depth / np.maximum(mean @ both, TINY)
    started = Parameters(own.times(scale).v, both.astype(dtype), (own.offset * scale - depth).astype(dtype))
    return started.times(_least_squares(started, samples, groups, blocks)[of_group])


def _least_squares(parameters: Parameters, samples: Samples, groups: Array, blocks: list[slice]) -> Array:
    """Return the factor of every k (K,) that brings R̂_k nearest to R_k; 1 where R̂_k is 0."""
    above, below = np.zeros(len(groups)), np.zeros(len(groups))
    for block in blocks:
        part = samples.rows(block)
        found, wanted = pooled(forward(parameters, part)[0], groups), pooled(part.relevance, groups)
        above += (found * wanted).sum(axis=0, dtype=np.float64)
        below += np.square(found).sum(axis=0, dtype=np.float64)
    return np.where(below > TINY, above / np.maximum(below, TINY), 1.0)


def fitted(parameters: Parameters, samples: Samples, groups: Array, *, rows: int = 4096) -> Fit:
    """Return how the model fits ``samples``."""
    wrong = square = found = wanted = 0.0
    speaks = np.zeros(groups.size, bool)
    for begin in range(0, len(samples), rows):
        part = samples.rows(slice(begin, begin + rows))
        y, truth = forward(parameters, part)[0], pooled(part.relevance, groups)
        speaks |= (y > 0).any(axis=0)
        guess = pooled(y, groups)
        wrong += float(np.square(guess - truth, dtype=np.float64).sum())
        square += float(np.square(truth, dtype=np.float64).sum())
        found += float(guess.sum(dtype=np.float64))
        wanted += float(truth.sum(dtype=np.float64))
    silent = int(groups.size - speaks.sum())
    return Fit(wrong / square, found / wanted, silent) if square and wanted else Fit(math.nan, math.nan, silent)


def train(
    samples: Samples,
    held_out: Samples,
    begin: Parameters,
    groups: Array,
    schedule: Schedule,
    random: np.random.Generator,
) -> Iterator[Pass]:
    """Yield the start and then every pass over ``samples``; the last one holds the model to keep.

    ``held_out`` samples decide which pass is the best. All relevance should be of the order of 1 and positive
    somewhere. The order of samples hangs on ``random`` alone.
    """
    begun = time.monotonic()
    now = Parameters(*(value.copy() for value in _values(begin)))
    lengths = [schedule.rate * float(np.sqrt(np.mean(np.square(value, dtype=np.float64)))) for value in _values(begin)]
    first, second = ([np.zeros_like(value) for value in _values(now)] for _ in range(2))
    best = Pass(0, fitted(begin, held_out, groups), begin)
    yield best
    steps, since = 0, 0
    batch = batch_for(len(samples))
    per_epoch = -(-len(samples) // batch)
    for epoch in range(1, schedule.epochs + 1):
        order = random.permutation(len(samples))
        for place in range(per_epoch):
            steps += 1
            chosen = order[place * batch : (place + 1) * batch]
            _, slopes = gradient(now, samples.rows(chosen), groups)
            gone = max(steps / (per_epoch * schedule.epochs), (time.monotonic() - begun) / schedule.seconds)
            pace = min(1.0, steps / (per_epoch * WARM_UP)) * 0.5 * (1 + math.cos(math.pi * min(1.0, gone)))
            for value, slope, m, v, length in zip(_values(now), _values(slopes), first, second, lengths, strict=True):
                _step(value, slope, m, v, length * pace, steps)
        fit = fitted(now, held_out, groups)
        if fit.error < best.fit.error:
            best, since = Pass(epoch, fit, Parameters(*(value.copy() for value in _values(now)))), 0
        else:
            since += 1
        yield Pass(epoch, fit, best.parameters)
        if since >= schedule.patience or time.monotonic() - begun >= schedule.seconds:
            break


def batch_for(rows: int) -> int:
    """Return how many samples make a step: 128, but that a pass has 150 to 500 steps where there are enough."""
    return max(min(128, max(16, rows // 150)), -(-rows // 500))


def _step(value: Array, slope: Array, m: Array, v: Array, length: float, step: int) -> None:
    """Change ``value`` in place by one step of Adam (Kingma & Ba 2015) of about this ``length``."""
    m *= 0.9
    m += 0.1 * slope
    v *= 0.999
    np.square(slope, out=slope)
    slope *= 0.001
    v += slope
    np.sqrt(v, out=slope)
    slope *= 1 / math.sqrt(1 - 0.999**step)
    slope += slope.dtype.type(TINY)
    np.divide(m, slope, out=slope)
    slope *= length / (1 - 0.9**step)
    value -= slope


def _values(parameters: Parameters) -> tuple[Array, Array, Array]:
    return parameters.v, parameters.upper, parameters.offset
