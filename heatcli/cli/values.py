"""Reads the values of options that are more than a word: sizes, ranges, lists of numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from heatcli.errors import UsageError
from heatcli.limits import Limits
from heatcli.settings import BASELINES, Settings

if TYPE_CHECKING:
    from heatcli.cli.options import Biases, Channels, Evidence, Fit, Layout, Pool

Bounds = tuple[float | tuple[float, ...], float | tuple[float, ...]]


def size(text: str | None) -> int | tuple[int, int] | None:
    """Read ``224`` as the side of a square, ``240x320`` as height and width."""
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,9})(?:\s*[x×,]\s*(\d{1,9}))?\s*", text)
    sides = [int(side) for side in match.groups() if side] if match else []
    if not sides or not all(1 <= side <= 65536 for side in sides):
        raise UsageError(f"--size {text}: give one side, such as 224, or height x width, such as 240x320")
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """Read one number, or one a channel with commas between."""
    if text is None:
        return None
    return tuple(number(part, option) for part in text.split(","))


def number(text: str, option: str) -> float:
    """Read a finite number; a fraction such as ``1/255`` is understood."""
    above, slash, below = text.partition("/")
    try:
        value = float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError):
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{option}: '{text.strip()}' is no number")
    return value


def bounds(text: str | None) -> Bounds | None:
    """Read ``l,h``, or one pair a channel as ``l,h/l,h/l,h``; return (l, h), each a number or one a channel."""
    if text is None:
        return None
    pairs = []
    for part in re.split("[/;]", text):
        pair = [number(piece, "--range") for piece in part.split(",")]
        if len(pair) != 2:
            raise UsageError(f"--range {text}: give l,h, such as -1,1, or a pair a channel, such as -2,2/-1,1/-1,1")
        if pair[0] >= pair[1]:
            raise UsageError(f"--range {text}: the lower bound comes first; {part.strip()} is not in that order")
        pairs.append(pair)
    if len(pairs) == 1:
        return pairs[0][0], pairs[0][1]
    return tuple(low for low, _ in pairs), tuple(high for _, high in pairs)


def loading(
    *,
    preprocess: str,
    labels: str | None,
    size_: str | None,
    fit: Fit | None,
    mean: str | None,
    std: str | None,
    pixel_scale: str | None,
    channels: Channels | None,
    layout: Layout | None,
    range_: str | None,
    inputs: Sequence[str] | None = None,
    limit: Sequence[str] | None = None,
    max_pixels: str | None = None,
) -> dict[str, Any]:
    """Return the options that settle how a model is loaded as the keywords of ``heatcli.load``.

    ``limits`` is among them only where one was given.
    """
    accepted = limits(limit, max_pixels)
    return {
        "preprocess": preprocess,
        "labels": labels,
        "size": size(size_),
        "fit": fit and fit.value,
        "mean": numbers(mean, "--mean"),
        "std": numbers(std, "--std"),
        "scale": None if pixel_scale is None else number(pixel_scale, "--pixel-scale"),
        "channels": channels and channels.value,
        "layout": layout and layout.value.upper(),
        "inputs": named_files(inputs),
        "range": bounds(range_),
        **({"limits": accepted} if accepted else {}),
    }


def limits(texts: Sequence[str] | None, max_pixels: str | None = None) -> dict[str, int]:
    """Read ``NAME=N``, each name once, and the limit of pixels; return those given, by name."""
    found: dict[str, int] = {}
    pixels = [] if max_pixels is None else [f"pixels={max_pixels}"]
    for text in (*(texts or ()), *pixels):
        name, equals, amount = text.partition("=")
        if not equals:
            raise UsageError(f"--limit {text}: give a name and a number, such as nodes=100k or weights=16G")
        if name in found:
            raise UsageError(f"--limit {name} was given twice{'; --max-pixels is the same' if pixels else ''}")
        found[name] = getattr(Limits.of({name: amount}), name)
    return found


def settings(
    *,
    method: str,
    input_rule: str | None,
    rule: Sequence[str] | None,
    pool: Pool | None,
    biases: Biases,
    evidence: Evidence,
    window: str | None,
    steps: str | None,
    baseline: str | None,
    noise: str | None,
    seed: str | None,
    time_limit: str | None,
    relevance_model: str | None,
) -> Settings:
    """Return the options that settle a method as the keywords of ``Explainer.explain``."""
    place: str | float | None = baseline
    if baseline is not None and baseline not in BASELINES:
        place = number(baseline, f"--baseline {', '.join(BASELINES)} or a value of the input")
    return {
        "method": method,
        "input_rule": input_rule,
        "rules": tuple(rule or ()),
        "pool": pool and pool.value,
        "biases": biases.value,
        "evidence": evidence.value,
        "window": None if window is None else whole(window, "--window"),
        "steps": None if steps is None else whole(steps, "--steps"),
        "baseline": place,
        "noise": None if noise is None else number(noise, "--noise"),
        "seed": None if seed is None else whole(seed, "--seed", least=0),
        "time_limit": None if time_limit is None else number(time_limit, "--time-limit"),
        "relevance_model": relevance_model,
    }


def region(text: str) -> tuple[int, int, int, int] | None:
    """Read ``X,Y,W,H`` in pixels; None for ``auto``."""
    if text.strip().lower() == "auto":
        return None
    match = re.fullmatch(r"\s*(\d{1,5})\s*,\s*(\d{1,5})\s*,\s*(\d{1,5})\s*,\s*(\d{1,5})\s*", text)
    if match is None:
        raise UsageError(f"--zoom {text}: give auto, or X,Y,WIDTH,HEIGHT in pixels of the network, such as 40,60,75,75")
    x, y, width, height = (int(number) for number in match.groups())
    return x, y, width, height


def named_files(texts: Sequence[str] | None) -> dict[str, str]:
    """Read ``NAME=FILE.npy``, each name once."""
    found: dict[str, str] = {}
    for text in texts or ():
        name, _, file = text.partition("=")
        if not name or not file:
            raise UsageError(f"--input {text}: give the input's name and a file, such as mask=mask.npy")
        if name in found:
            raise UsageError(f"--input {name} was given twice: {found[name]} and {file}")
        found[name] = file
    return found


def whole(text: str, option: str, *, least: int = 1) -> int:
    """Read a whole number from ``least`` on."""
    if not re.fullmatch(r"\d{1,6}", text) or int(text) < least:
        raise UsageError(f"{option} {text}: a whole number from {least} on is needed")
    return int(text)


def colour_scale(text: str, words: Sequence[str] = ("per-image", "shared")) -> str | float:
    """Read one of the ``words``, or the relevance that gets the strongest colour."""
    if text in words:
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UsageError(
            f"--scale {text}: give {', '.join(words)} or a number above 0 (--pixel-scale is the one of preprocessing)"
        )
    return value


def choices(text: str | None, option: str, known: Collection[str]) -> frozenset[str]:
    """Read words with commas between, each of them one of ``known``."""
    words = [word.strip() for word in (text or "").split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise UsageError(f"{option}: '{word}' is not known; known: {', '.join(known)}")
    return frozenset(words)
