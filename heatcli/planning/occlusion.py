"""Occlusion: how far the class score falls when a window of the input is replaced, one window after the other.

Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV 2014, section 4.2:

    R(p) = mean over the windows W that cover pixel p of  f(x) − f(x with W replaced by a reference value)

The network is only run, never taken apart, so it may be made of anything. Every run takes one input, and several runs
go on at the same time, one a core: batches were measured to be no faster (GoogLeNet on two cores: 22 to 23 ms a window
either way), and many a network whose batch axis is said to be open fails beyond one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from heatcli.choosing import Choice
from heatcli.cores import cores
from heatcli.errors import HeatcliError, UsageError
from heatcli.explanation import ClassScore
from heatcli.forward import Forward
from heatcli.network.layers import InputSpec, Network
from heatcli.pictures.layouts import spread
from heatcli.planning.plan import Bounds, Walked, nothing, on_record, start
from heatcli.relevance.ledger import Ledger

Array = np.ndarray

STEPS = 14
"""So many windows, about, lie along each side of a picture, and the square of it along a row."""
ABREAST = 8
"""So many runs, at most, go on at the same time: each holds the activations of one input."""


@dataclass(frozen=True)
class Windows:
    """Where windows lie: on an input seen in ``shape``, along its ``axes``, by ``size`` and ``stride`` one an axis.

    The last window of an axis ends where the axis does, and may be smaller.
    """

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    size: tuple[int, ...]
    stride: tuple[int, ...]

    @property
    def sides(self) -> tuple[int, ...]:
        """The lengths of the axes that windows lie along."""
        return tuple(self.shape[axis] for axis in self.axes)

    def places(self) -> list[tuple[slice, ...]]:
        """Return the slices of every window, one an axis of ``axes``."""
        along = [
            [slice(begin, min(begin + size, side)) for begin in range(0, max(side - size, 0) + stride, stride)]
            for side, size, stride in zip(self.sides, self.size, self.stride, strict=True)
        ]
        return list(product(*along))

    def whole(self, place: tuple[slice, ...]) -> tuple[slice, ...]:
        """Return the slices of a window along all axes of ``shape``."""
        found = dict(zip(self.axes, place, strict=True))
        return tuple(found.get(axis, slice(None)) for axis in range(len(self.shape)))


def windows_on(
    shape: tuple[int, ...], layout: str, size: tuple[int, int] | None = None, window: int | None = None
) -> Windows:
    """Lay windows of side ``window`` on an input of ``shape``, each half a window from the next.

    ``size`` is the (height, width) of a picture laid out flat. Without ``window`` every input gets about as many
    windows. Raises UsageError where a single one would cover all.
    """
    shape, axes = spread(shape, layout, size)
    sides = [shape[axis] for axis in axes]
    if window is None:
        lengths, strides = zip(*(usual(side, row=len(sides) == 1) for side in sides), strict=True)
        return Windows(shape, axes, lengths, strides)
    if window >= max(sides):
        raise UsageError(f"--window {window} covers the whole input, {'×'.join(map(str, sides))}; give a smaller one")
    return Windows(shape, axes, tuple(min(window, side) for side in sides), (max(1, window // 2),) * len(sides))


def usual(side: int, *, row: bool) -> tuple[int, int]:
    """Return length and stride of windows along a ``side`` of a picture, or along a ``row`` of numbers.

    Numbers of a short row are hidden one at a time: they need not have to do with their neighbours.
    """
    if row and side <= STEPS**2:
        return 1, 1
    stride = math.ceil(side / STEPS**2) if row else max(1, round(side / STEPS))
    return min(2 * stride, max(1, side // 2)), stride


class Occlusion:
    """Occlusion settled for a network and an input range, ready to explain one picture after the other."""

    def __init__(
        self,
        network: Network,
        choice: Choice,
        bounds: Bounds | None,
        windows: Windows,
        *,
        threads: int | None = None,
        provider: str = "cpu",
    ) -> None:
        """Open the session; the reference value is the middle of ``bounds`` (l, h), or 0 where they are not known."""
        self.network, self.choice, self.windows = network, choice, windows
        self.signed = choice.method.signed
        self.reference = reference(network.input, bounds)
        self.notes = notes(windows, window=choice.window, bounds=bounds)
        threads = threads or cores()
        self._abreast = min(threads, ABREAST)
        # Every run works in the thread that asks for it, and those that are left over help all of them.
        self._forward = Forward(network, threads=threads - self._abreast + 1, provider=provider)

    @property
    def settings(self) -> dict[str, Any]:
        """What is on record about the method, in types that JSON has: no rules, but windows and reference."""
        windows, values = self.windows, self.reference.reshape(-1)[:8]
        return on_record(
            rules=[],
            evidence=self.choice.evidence,
            window=list(windows.size),
            stride=list(windows.stride),
            reference=[float(value) for value in values],
        )

    def forward(self, x: Array, wanted: Sequence[int]) -> dict[str, Array]:  # noqa: ARG002 - all classes come at once
        """Run the network on the whole ``x``; return class scores and output by name."""
        return self._forward.run(x)

    def walk(
        self,
        values: dict[str, Array],
        x: Array,
        explained: Sequence[ClassScore],
        kept: list[dict[str, Array]] | None = None,
        advance: Callable[[], None] = nothing,
    ) -> list[Walked]:
        """Return for every class to explain the map of ``x``, f(x) and the map's sum; all classes share the runs.

        ``advance`` is called after every window. Raises UsageError where layers are to be ``kept``.
        """
        if kept is not None:
            raise UsageError("--layers does not go with occlusion, which sends nothing through the layers")
        indices, logits = [entry.index for entry in explained], self.network.output.logits
        windows, seen = self.windows, x.reshape(self.windows.shape)
        grey = np.broadcast_to(self.reference, x.shape).reshape(windows.shape)

        def scores(place: tuple[slice, ...]) -> Array:
            hidden, window = seen.copy(), windows.whole(place)
            hidden[window] = grey[window]
            answer = self._forward.run(hidden.reshape(x.shape))
            advance()
            return answer[logits].reshape(-1)[indices].astype(np.float64)

        places = windows.places()
        with ThreadPoolExecutor(self._abreast) as executor:
            without = np.stack(list(executor.map(scores, places)))
        if not np.isfinite(without).all():
            raise HeatcliError("the network's scores are not finite where a window is hidden; try another --window")
        drops = values[logits].reshape(-1)[indices].astype(np.float64) - without
        found = []
        for entry, fall in zip(explained, drops.T, strict=True):
            relevance = mapped(windows, places, fall).reshape(x.shape)
            ledger = Ledger(entry.score, start(entry, self.choice.evidence), pixels=float(relevance.sum()))
            warnings = () if fall.any() else ("no window changes the score; try a larger one with --window",)
            found.append(Walked(relevance, ledger, warnings))
        return found


def mapped(windows: Windows, places: Sequence[tuple[slice, ...]], drops: Array) -> Array:
    """Give every pixel the mean of the ``drops`` (float64, one a window) at the ``places`` that cover it.

    Return float32 of the windows' shape: where a pixel has several elements, such as channels, each has an equal part.
    """
    total, count = np.zeros(windows.sides), np.zeros(windows.sides)
    for place, drop in zip(places, drops, strict=True):
        total[place] += drop
        count[place] += 1
    sides = [length if axis in windows.axes else 1 for axis, length in enumerate(windows.shape)]
    elements = math.prod(windows.shape) // math.prod(windows.sides)
    mean = (total / count / elements).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(mean.reshape(sides), windows.shape))


def reference(spec: InputSpec, bounds: Bounds | None) -> Array:
    """Return what stands in a hidden window, in the input's dtype and so that it broadcasts to the input.

    It is the middle of ``bounds``: black and white make grey, in every preprocessing.
    """
    if bounds is None:
        return np.zeros((1,) * len(spec.shape), spec.dtype)
    low, high = (bound.astype(np.float64) for bound in bounds)
    middle, kind = (low + high) / 2, np.dtype(spec.dtype)
    return (np.rint(middle) if kind.kind in "iu" else middle).astype(kind)


def notes(windows: Windows, *, window: int | None, bounds: Bounds | None) -> tuple[str, ...]:
    """Say what was assumed: windows, where no ``window`` was given, and what stands in them."""
    size, *stride = "×".join(map(str, windows.size)), *dict.fromkeys(windows.stride)
    lie = f"windows of {size} are hidden, one every {'×'.join(map(str, stride))}; change with --window"
    if bounds is None:
        stands = "what is hidden becomes 0, the range of the input not being known; --range L,H makes it the middle"
    else:
        stands = "what is hidden becomes the middle of the input's range, grey in a picture; change with --range"
    return (stands,) if window is not None else (lie, stands)
