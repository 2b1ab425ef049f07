"""On whose authority a picture is preprocessed as it is: options, files beside the model, the model, a guess."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heatcli.errors import UsageError
from heatcli.pictures.facts import (
    SMALLEST,
    Facts,
    default_facts,
    from_config,
    from_graph,
    from_metadata,
    from_options,
    from_sidecar,
    parse_size,
    read_sidecar,
    stated_size,
)
from heatcli.pictures.layouts import Form, chw, form_of, to_heatmap
from heatcli.pictures.normalisation import Numbers, Preprocessing
from heatcli.pictures.placement import Placement
from heatcli.pictures.presets import PRESETS, margin

if TYPE_CHECKING:
    from heatcli.network.layers import InputSpec

__all__ = [
    "PRESETS",
    "Placement",
    "Preprocessing",
    "chw",
    "parse_size",
    "read_sidecar",
    "resolve",
    "stated_size",
    "to_heatmap",
]

MEAN_OF_PIXELS = 3.0
"""From here on a mean speaks of pixels 0–255, not of pixels scaled to about 0–1."""


def resolve(
    spec: InputSpec,
    *,
    preprocess: str = "auto",
    size: int | str | Sequence[int] | None = None,
    fit: str | None = None,
    mean: float | str | Sequence[float] | None = None,
    std: float | str | Sequence[float] | None = None,
    scale: float | None = None,
    channels: str | None = None,
    layout: str | None = None,
    model_path: str | Path | None = None,
    metadata: Mapping[str, str] | None = None,
    producer: str = "",
    known: Facts | None = None,
) -> tuple[Preprocessing | None, tuple[str, ...]]:
    """Settle how pictures become the input ``spec``; return it with notes, one sentence for every guess.

    In order of authority: the options, ``MODEL.heatcli.json`` beside the model, what is on record for a
    ``known`` file, its ``metadata``, Hugging Face and timm configuration files beside it, the graph and its
    ``producer``, a default. Each source may state single facts;
    ``mean`` and ``std`` are in units of pixel·scale and in the order of ``channels``. None for an input that holds no
    picture: then only tensors can be given. Raises UsageError where what is stated does not fit the input.
    """
    options = from_options(
        {
            "preprocess": preprocess,
            "size": size,
            "fit": fit,
            "mean": mean,
            "std": std,
            "scale": scale,
            "channels": channels,
            "layout": layout,
        }
    )
    found = [
        options,
        from_sidecar(model_path) if model_path is not None else None,
        known,
        from_metadata(metadata or {}),
        from_config(model_path) if model_path is not None else None,
        from_graph(spec, producer),
    ]
    stated = [facts for facts in found if facts is not None]
    notes = [warning for facts in stated for warning in facts.warnings]
    form, form_notes = _form(spec, stated)
    if form is None:
        return None, (*notes, *form_notes)
    if not any(facts.preset or (facts.mean and facts.scale) for facts in stated):
        stated.append(default_facts(form.channels))
    settled = _settle(spec, form, stated)
    notes += [*form_notes, *_notes(settled, spec, stated)]
    return settled, tuple(notes)


def _form(spec: InputSpec, stated: list[Facts]) -> tuple[Form | None, list[str]]:
    """Return which picture the input holds, by what is stated and by its shape."""
    said_layout = next((facts.layout for facts in stated if facts.layout), None)
    said_size = next((facts for facts in stated if facts.size), None)
    if spec.layout == "flat":
        return _row_form(spec, said_layout, said_size)
    shape = "×".join(map(str, spec.shape))
    form = form_of(spec.shape, said_layout or spec.layout)
    if form is not None:
        return form, _check_size(spec, form, said_size)
    if said_layout:
        raise UsageError(f"--layout {said_layout.lower()} does not fit the input {spec.name} of shape {shape}")
    return None, [f"the input {spec.name} of shape {shape} is no picture, only .npy tensors can be given"]


def _row_form(spec: InputSpec, layout: str | None, stated: Facts | None) -> tuple[Form | None, list[str]]:
    """Return which picture a row of numbers holds; only a person's word on the size counts."""
    count = math.prod(spec.shape)
    size = stated.size if stated and stated.source in ("option", "sidecar") else None
    form = form_of(spec.shape, "flat-HWC" if layout and layout.endswith("HWC") else "flat", size)
    if form is None and size:
        raise UsageError(f"--size {size[0]}x{size[1]} does not make {count} numbers, neither grey nor in colour")
    if form is None:
        text = f"the input {spec.name} of {count} numbers is no square picture, only .npy tensors can be given"
        return None, [f"{text}; if it is a picture, give --size HEIGHTxWIDTH"]
    if size:
        return form, []
    height, width = form.size
    kind = "one grey picture" if form.channels == 1 else "three colour planes"
    if form.layout == "flat-HWC":
        kind = "RGB pixels"
    return form, [f"the row of {count} numbers is taken for {kind}, {height}×{width}; change with --size"]


def _check_size(spec: InputSpec, form: Form, stated: Facts | None) -> list[str]:
    """Compare a stated size with the network's."""
    if stated is None or stated.size is None or stated.size == form.size:
        return []
    (height, width), (tall, wide) = stated.size, form.size
    if stated.source in ("option", "sidecar") and not spec.free:
        name = "--size" if stated.source == "option" else "the sidecar file's size"
        raise UsageError(f"{name} {height}x{width}: the model's input is fixed at {tall}×{wide}, leave it out")
    if spec.free:
        return [f"{stated.evidence}: {height}×{width}, but the network runs at {tall}×{wide}; change with --size"]
    return [f"{stated.evidence}: {height}×{width}, but the model takes only {tall}×{wide}, which is used"]


def _settle(spec: InputSpec, form: Form, stated: list[Facts]) -> Preprocessing:
    """Lay the statements over one another, the weakest first, and check the result."""
    values: dict[str, Any] = {}
    _apply_preset(values, "raw", form)
    for facts in reversed(stated):
        if facts.preset is not None:
            _apply_preset(values, facts.preset, form)
        if facts.fit is not None:
            values["fit"] = facts.fit
            values["resize"] = margin(form.size, facts.fit) if facts.fit == "crop" else None
        if facts.resize is not None:
            sides = facts.size or form.size
            values["resize"] = max(min(form.size), round(facts.resize * min(form.size) / min(sides)))
        for name in ("mean", "std"):
            given = getattr(facts, name)
            if given is not None:
                values[name] = _per_channel(given, form, f"{name} ({facts.evidence})")
        if facts.scale is not None:
            values["scale"] = facts.scale
        if facts.channels is not None:
            values["channels"] = _channels(facts, form)
    for name in ("scale", "std"):
        if not np.all(np.abs(values[name]) >= SMALLEST):
            said = next((facts for facts in stated if getattr(facts, name) is not None), None)
            raise UsageError(f"{name} must not be zero ({said.evidence if said else 'preset'})")
    normalising = [facts for facts in stated if facts.normalises]
    evidence = tuple(facts.evidence for facts in stated if facts.evidence)
    settled = Preprocessing(
        size=form.size,
        layout=form.layout,
        dtype=spec.dtype,
        source=normalising[0].source if normalising else "default",
        preset="custom",
        shape=spec.shape,
        evidence=evidence,
        **values,
    )
    _check_range(settled)
    return replace(settled, preset=_preset_name(settled, form))


def _apply_preset(values: dict[str, Any], name: str, form: Form) -> None:
    preset = PRESETS[name]
    values.update(
        scale=preset.scale,
        channels=preset.channels if form.channels == 3 else "grey",
        fit="crop",
        resize=margin(form.size, "crop"),
    )
    for key in ("mean", "std"):
        three: Numbers = getattr(preset, key)
        values[key] = three if form.channels == 3 else (round(sum(three) / 3, 6),)


def _per_channel(given: Numbers, form: Form, name: str) -> Numbers:
    if len(given) == 1:
        return given * form.channels
    if len(given) != form.channels:
        takes = "one channel" if form.channels == 1 else f"{form.channels} channels"
        raise UsageError(f"{len(given)} values for {name}, but the network takes {takes}")
    return given


def _channels(facts: Facts, form: Form) -> str:
    order = facts.channels or ""
    if (order == "grey") == (form.channels == 1):
        return order
    if facts.source in ("option", "sidecar"):
        takes = "one grey channel" if form.channels == 1 else "three channels"
        raise UsageError(f"channels {order} ({facts.evidence}), but the network takes {takes}")
    return "grey" if form.channels == 1 else "rgb"


def _check_range(settled: Preprocessing) -> None:
    """Refuse a normalisation that leaves nothing of the picture in an integer input."""
    kind = np.dtype(settled.dtype)
    if kind.kind not in "iu":
        return
    low, high = replace(settled, dtype="float32").bounds()
    limits = np.iinfo(kind)
    if high.max() - low.min() < 32 or low.min() < limits.min - 0.5 or high.max() > limits.max + 0.5:
        raise UsageError(
            f"the preprocessing gives numbers from {low.min():.4g} to {high.max():.4g}, but the input is "
            f"{settled.dtype}; use --preprocess raw"
        )


def _preset_name(settled: Preprocessing, form: Form) -> str:
    """Return the name of the preset that normalises in just this way, else custom."""
    for name in PRESETS:
        values: dict[str, Any] = {}
        _apply_preset(values, name, form)
        if (
            settled.channels == values["channels"]
            and np.allclose(settled.scale / np.asarray(settled.std), values["scale"] / np.asarray(values["std"]))
            and np.allclose(np.divide(settled.mean, settled.std), np.divide(values["mean"], values["std"]))
        ):
            return name
    return "custom"


def _notes(settled: Preprocessing, spec: InputSpec, stated: list[Facts]) -> list[str]:
    """Say what was guessed about the normalisation and what looks wrong about it."""
    notes = []
    first = next((facts for facts in stated if facts.normalises), None)
    weakest = stated[-1]
    if weakest.guess and (weakest is first or weakest.source == "default"):
        notes.append(f"preprocessing guessed: {settled.words()}, because {weakest.evidence}; change with --preprocess")
    elif first is not None and settled.source == "known" and first.guess:
        notes.append(
            f"preprocessing {settled.words()}, as published for {first.evidence}, not checked on pictures; "
            "change with --preprocess"
        )
    elif first is not None and settled.source in ("metadata", "config"):
        because = f"it is {first.evidence}" if first.evidence.startswith("stated in") else first.evidence
        notes.append(f"preprocessing {settled.words()}, because {because}; change with --preprocess")
    if spec.raw_pixels and settled.preset != "raw" and settled.source in ("metadata", "config"):
        notes.append(f"{spec.raw_pixels}, so pixels may be normalised twice; if so, give --preprocess raw")
    scaled = next((facts for facts in stated if facts.scale is not None or facts.preset is not None), None)
    meant = next((facts for facts in stated if facts.mean is not None), None)
    before = meant is not None and (scaled is None or stated.index(meant) < stated.index(scaled))
    if before and abs(settled.scale) < 0.1 and max(map(abs, settled.mean)) > MEAN_OF_PIXELS:
        notes.append("the mean looks like one of pixels 0–255, but pixels are scaled first; give --pixel-scale 1 if so")
    return notes
