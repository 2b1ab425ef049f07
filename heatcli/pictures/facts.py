"""What is stated about a network's preprocessing: by options, files beside the model, its metadata, its graph."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatcli.errors import UsageError, shown
from heatcli.opening import read_json, reason
from heatcli.pictures.layouts import LAYOUTS
from heatcli.pictures.placement import FITS
from heatcli.pictures.presets import PRESETS

if TYPE_CHECKING:
    from heatcli.network.layers import InputSpec

Numbers = tuple[float, ...]

CHANNELS = ("rgb", "bgr", "grey")
SMALLEST, LARGEST = 1e-12, 1e12
"""Numbers that pixels are divided by, and multiplied: float32 holds what comes of them."""
LONGEST_SIDE = 65536
"""Pixels: more than any picture or network has, and few enough to compute with."""
KEYS = ("preprocess", "size", "fit", "resize", "mean", "std", "scale", "channels", "layout")
OTHER_KEYS = frozenset(
    {"labels", "inputs", "activation", "range", "name", "description", "source", "license", "sha256"}
)
"""Keys of the sidecar file that other rooms read or that only people read."""


@dataclass(frozen=True)
class Facts:
    """What one source states; None where it says nothing. ``evidence`` is the statement in words.

    A ``guess`` is concluded from the evidence, not written there.
    """

    source: str
    evidence: str
    preset: str | None = None
    size: tuple[int, int] | None = None
    fit: str | None = None
    resize: int | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    scale: float | None = None
    channels: str | None = None
    layout: str | None = None
    warnings: tuple[str, ...] = ()
    guess: bool = False

    @property
    def normalises(self) -> bool:
        """Whether it says how pixels become numbers."""
        return any(value is not None for value in (self.preset, self.mean, self.std, self.scale, self.channels))


# options and the sidecar file -----------------------------------------------------------------------------------------


def from_options(options: Mapping[str, Any]) -> Facts | None:
    """Return the facts in options named as in ``KEYS``; None and ``preprocess`` auto say nothing. Raises UsageError."""
    given = {key: value for key, value in options.items() if value is not None}
    if given.get("preprocess") == "auto":
        del given["preprocess"]
    if not given:
        return None
    said = "given: " + ", ".join(f"--{key} {_written(value)}" for key, value in given.items())
    return _settings(given, "option", said, "--")


def sidecar_path(model_path: str | Path) -> Path:
    """Return where the settings of a model lie: ``googlenet.heatcli.json`` beside ``googlenet.onnx``."""
    return Path(model_path).with_suffix(".heatcli.json")


def read_sidecar(model_path: str | Path) -> dict[str, Any]:
    """Return the content of the sidecar file, empty where there is none. Raises UsageError where it is broken."""
    path = sidecar_path(model_path)
    if not _is_file(path):
        return {}
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as JSON ({reason(error)})") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: an object with keys such as {', '.join(KEYS)} is needed")
    return content


def _is_file(path: Path) -> bool:
    """Whether there is such a file; in a folder that is closed to us there is none to be seen."""
    return os.path.isfile(path)  # noqa: PTH113 - pathlib raises there


def from_sidecar(model_path: str | Path) -> Facts | None:
    """Return the facts in the sidecar file, None where there is none. Raises UsageError where it does not fit."""
    content = read_sidecar(model_path)
    name = sidecar_path(model_path).name
    given = {key: content[key] for key in KEYS if content.get(key) is not None}
    if given.get("preprocess") == "auto":
        del given["preprocess"]
    unknown = sorted(set(content) - set(KEYS) - OTHER_KEYS)
    warnings = tuple(f"{name}: the key '{key}' is not known and was left aside" for key in unknown)
    if not given and not warnings:
        return None
    facts = _settings(given, "sidecar", f"stated in {name}", f"{name}: ")
    return replace(facts, warnings=warnings)


def stated_size(model_path: str | Path, metadata: Mapping[str, str] | None = None) -> tuple[int, int] | None:
    """Return the (height, width) that files beside the model or its metadata state, where the graph leaves it open."""
    for facts in (from_sidecar(model_path), from_metadata(metadata or {}), from_config(model_path)):
        if facts and facts.size:
            return facts.size
    return None


def _settings(given: Mapping[str, Any], source: str, evidence: str, prefix: str) -> Facts:
    """Check values that a person wrote; ``prefix`` stands before the key in messages."""
    preset = given.get("preprocess")
    if preset is not None and str(preset) not in PRESETS:
        raise UsageError(f"{prefix}preprocess {_written(preset)}: no such preset; known: auto, {', '.join(PRESETS)}")
    layout = given.get("layout")
    if layout is not None:
        known = {name.lower(): name for name in LAYOUTS}
        if str(layout).lower() not in known:
            raise UsageError(f"{prefix}layout {_written(layout)}: unknown; known: {', '.join(known)}")
        layout = known[str(layout).lower()]
    scale, resize = given.get("scale"), given.get("resize")
    return Facts(
        source,
        evidence,
        preset=preset,
        size=None if given.get("size") is None else parse_size(given["size"], prefix),
        fit=_one_of(given.get("fit"), FITS, f"{prefix}fit"),
        resize=None if resize is None else parse_size(int(_numbers(resize, f"{prefix}resize")[0]), prefix)[0],
        mean=None if given.get("mean") is None else _numbers(given["mean"], f"{prefix}mean"),
        std=None if given.get("std") is None else _numbers(given["std"], f"{prefix}std"),
        scale=None if scale is None else _numbers(scale, f"{prefix}scale")[0],
        channels=_one_of(given.get("channels"), CHANNELS, f"{prefix}channels"),
        layout=layout,
    )


def parse_size(size: Any, prefix: str = "--") -> tuple[int, int]:
    """Return (height, width) from 224, "224", "28x56" or a pair. Raises UsageError for anything else."""
    try:
        parts = str(size).lower().replace("×", "x").split("x") if isinstance(size, str | int) else list(size)[:3]
        sides = tuple(int(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        sides = ()
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise UsageError(f"{prefix}size {_written(size)}: one number or HEIGHTxWIDTH is needed, such as 224 or 28x56")
    if max(sides) > LONGEST_SIDE:
        raise UsageError(f"{prefix}size {_written(size)}: sides of at most {LONGEST_SIDE} pixels are taken")
    return sides[0], sides[-1]


def _numbers(value: Any, name: str) -> Numbers:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    try:
        numbers = tuple(float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        numbers = ()
    if not numbers or not all(abs(value) <= LARGEST for value in numbers):
        raise UsageError(f"{name} {_written(value)}: numbers with commas between them are needed")
    return numbers


def _one_of(value: Any, known: tuple[str, ...], name: str) -> str | None:
    if value is not None and value not in known:
        raise UsageError(f"{name} {_written(value)}: unknown; known: {', '.join(known)}")
    return None if value is None else str(value)


def _written(value: Any) -> str:
    return shown(",".join(f"{part}" for part in value[:9]) if isinstance(value, list | tuple) else str(value))


def from_known(settings: Mapping[str, Any], evidence: str, *, checked: bool) -> Facts:
    """Return the facts that are on record for a known model; what was never checked on pictures counts as a guess."""
    return replace(_settings(settings, "known", evidence, f"{evidence}: "), guess=not checked)


# the model file and what lies beside it -------------------------------------------------------------------------------


def from_metadata(metadata: Mapping[str, str]) -> Facts | None:
    """Read the ONNX image metadata (Image.BitmapPixelFormat, Image.NominalPixelRange) or that of Ultralytics."""
    order = metadata.get("Image.BitmapPixelFormat", "")
    span = metadata.get("Image.NominalPixelRange", "")
    channels = next((name for start, name in _PIXEL_FORMATS.items() if order.lower().startswith(start)), None)
    preset = _PIXEL_RANGES.get(span.lower())
    if channels or preset:
        said = ", ".join(text for text in (f"pixels {order}" if order else "", f"range {span}" if span else "") if text)
        return Facts("metadata", f"the model's metadata says {said}", preset=preset, channels=channels)
    if "imgsz" in metadata and ("names" in metadata or "ultralytics" in metadata.get("description", "").lower()):
        try:
            size = parse_size(json.loads(metadata["imgsz"][:100]))
        except (ValueError, TypeError, RecursionError, UsageError):
            size = None
        said = "the model's metadata is that of Ultralytics"
        return Facts("metadata", said, preset="unit", size=size, fit="crop", resize=min(size) if size else None)
    return None


_PIXEL_FORMATS = {"bgr": "bgr", "rgb": "rgb", "gray": "grey"}
_PIXEL_RANGES = {"nominalrange_0_255": "raw", "normalized_0_1": "unit", "normalized_1_1": "half"}


NOT_UNDERSTOOD = (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, UsageError)
"""What reading a file raises that says other things than expected, or other kinds of things."""


def from_config(model_path: str | Path) -> Facts | None:
    """Read ``preprocessor_config.json`` (Hugging Face) or ``config.json`` (timm) beside the model.

    Exports often lie in a folder ``onnx`` below these files, so its parent is searched too.
    """
    folder = Path(model_path).absolute().parent
    for place in (folder, folder.parent) if folder.name == "onnx" else (folder,):
        for name, reader in (("preprocessor_config.json", _transformers), ("config.json", _timm)):
            path = place / name
            if not _is_file(path):
                continue
            try:
                content = read_json(path)
                facts = reader(content, f"{name} beside the model") if isinstance(content, dict) else None
            except NOT_UNDERSTOOD as error:
                warning = f"{path}: cannot be understood and was left aside ({reason(error)})"
                facts = Facts("config", "", warnings=(warning,))
            if facts is not None:
                return facts
    return None


def _transformers(config: Mapping[str, Any], name: str) -> Facts | None:
    """Understand the settings of a Hugging Face image processor."""
    if not {"image_mean", "do_normalize", "do_rescale", "do_resize", "rescale_factor"} & set(config):
        return None
    normalises = config.get("do_normalize", True) and "image_mean" in config
    size, crop = config.get("size"), config.get("crop_size")
    crop = crop if config.get("do_center_crop") else None
    resize: int | None = None
    fit: str | None = None
    sides: tuple[int, int] | None = None
    shortest = size.get("shortest_edge") if isinstance(size, Mapping) else size if crop is not None else None
    if crop is not None:
        sides = _sides(crop)
    if shortest:
        fit, resize = "crop", int(shortest)
        if sides is None:
            sides = (resize, resize)
            resize = int(resize / config["crop_pct"]) if config.get("crop_pct") else resize
    elif size is not None:
        whole = _sides(size)
        fit, resize = "squash", min(whole) if sides else None
        sides = sides or whole
    return Facts(
        "config",
        f"stated in {name}",
        size=sides,
        fit=fit,
        resize=resize,
        mean=_numbers(config["image_mean"], "image_mean") if normalises else (0.0,),
        std=_numbers(config.get("image_std", 1.0), "image_std") if normalises else (1.0,),
        scale=float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0,
        channels="bgr" if config.get("do_flip_channel_order") else "rgb",
    )


def _sides(size: Any) -> tuple[int, int]:
    return parse_size((size["height"], size["width"]) if isinstance(size, Mapping) else size)


def _timm(config: Mapping[str, Any], name: str) -> Facts | None:
    """Understand the settings that timm keeps, at the top or under ``pretrained_cfg``."""
    config = nested if isinstance(nested := config.get("pretrained_cfg"), Mapping) else config
    if not {"mean", "std", "input_size"} <= set(config):
        return None
    size = parse_size(config["input_size"][-2:])
    fit = {"squash": "squash", "border": "pad"}.get(str(config.get("crop_mode")), "crop")
    resize = math.floor(min(size) / float(config.get("crop_pct") or 0.875)) if fit != "pad" else None
    return Facts(
        "config",
        f"stated in {name}",
        size=size,
        fit=fit,
        resize=resize,
        mean=_numbers(config["mean"], "mean"),
        std=_numbers(config["std"], "std"),
        scale=1 / 255,
        channels="rgb",
    )


def from_graph(spec: InputSpec, producer: str = "") -> Facts | None:
    """Return what the graph or its producer tells: pixels are normalised inside, or a Caffe network was converted."""
    if spec.raw_pixels:
        return Facts(
            "graph", spec.raw_pixels, preset="raw", mean=(128.0,) if spec.dtype == "int8" else None, guess=True
        )
    if "caffe" in producer.lower():
        return Facts("metadata", f"the file was written by {producer}", preset="caffe", guess=True)
    return None


def default_facts(channels: int) -> Facts:
    """Return the guess where nothing is known: ``imagenet`` for three channels, ``unit`` for one."""
    preset = "imagenet" if channels == 3 else "unit"
    return Facts("default", "nothing in the file says otherwise", preset=preset, guess=True)
