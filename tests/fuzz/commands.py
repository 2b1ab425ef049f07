"""Command lines of all commands: any options, any values, in any order."""

from __future__ import annotations

from enum import EnumType
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image

from tests.fuzz import networks
from tests.fuzz.cases import Case, Chance
from tests.fuzz.damage import EXTREME, word
from tests.fuzz.models import METHODS

COMMANDS = {
    "explain": 10, "inspect": 3, "compare": 3, "evaluate": 3, "report": 2, "compile": 2, "fit": 1, "models list": 1,
    "models path": 1, "models pull": 1, "models describe": 2, "models": 1, "": 1,
}  # fmt: skip
LEFT_OUT = {
    "--watch",
    "--cluster",
    "--every",
    "--install-completion",
    "--show-completion",
    "--debug",
    "--parquet",
    "--figures",
}
"""What never ends, asks other machines, or shows tracebacks on purpose."""
FILES = (
    "a.png",
    "photos",
    "photos/*.png",
    "t.npy",
    "row.npy",
    "labels.txt",
    "missing",
    "m.onnx",
    "empty",
    ".",
    "out",
    "t.tar",
)
VALUES = {
    "--model": ("m.onnx", "m.onnx", "m.onnx", "row.onnx", "googlenet", "missing.onnx", "a.png", "photos"),
    "--output": ("out", "out/", "new.png", "out/x.png", "-", "", "a.png", "photos", "m.onnx", "missing/deep/er/",
                 "x.html", "e.onnx", "x.npz"),
    "--method": METHODS,
    "--methods": ("deep-taylor", "gradient,sensitivity", "occlusion", "x", "", "gradient,gradient", ","),
    "--target": ("top", "0", "3", "4", "-1", "cat", "top-2", "top-0", "top-999", "all-of:labels.txt", "TOP", "c"),
    "--versus": ("top", "1", "cat", "x"),
    "--labels": ("labels.txt", "a.png", "missing", "photos"),
    "--input-rule": ("zB", "w2", "z+", "flat", "zb", "x"),
    "--rule": ("*=w2", "*=epsilon:0.25", "*=alpha-beta:2,1", "*=gamma:0.1", "a=zB", "x", "=",
               "*=epsilon:nan", "*=alpha-beta:1", "*=gamma:-1", "[=w2", "*=flat"),
    "--range": ("-1,1", "0,255", "1,-1", "-1,1/-1,1/-1,1", "nan,1", "-1", "0,1e400", "-1e38,1e38", ",", "-1,1/-1,1"),
    "--window": ("3", "1", "0", "-1", "999", "x", "8"),
    "--steps": ("2", "1", "0", "-1", "x", "1.5"),
    "--baseline": ("black", "grey", "white", "0.5", "nan", "x", "1e39"),
    "--noise": ("0.1", "0", "-1", "nan", "1e30", "x"),
    "--seed": ("0", "7", "-1", "x", "99999999999999999999"),
    "--time-limit": ("1", "0", "-1", "nan", "x"),
    "--preprocess": ("auto", "imagenet", "caffe", "half", "unit", "raw", "x"),
    "--size": ("8", "8x8", "0", "8x", "99999", "-1", "8x8x8", "1", "16"),
    "--fit": ("crop", "squash", "pad", "tall"),
    "--mean": ("0.5", "0.5,0.5,0.5", "1,2", "nan", "x", "1e39", ""),
    "--std": ("0.5", "0", "0.5,0.5,0.5", "-1", "1e-45", "x"),
    "--scale": ("per-image", "shared", "1", "0", "-1", "nan", "1e-300", "x", "0.001"),
    "--pixel-scale": ("1/255", "1", "0", "1/0", "nan", "1e39", "x", "-1"),
    "--channels": ("rgb", "bgr", "grey", "x"),
    "--layout": ("nchw", "nhwc", "x"),
    "--input": ("x=t.npy", "factor=t.npy", "x", "=", "=t.npy", "x=missing", "x=a.png", "x=labels.txt"),
    "--style": ("heatmap", "overlay", "side-by-side", "contour", "x"),
    "--colormap": ("hot", "red", "viridis", "grey", "000,f00,fff", "seismic", "f", "zzz,000", "", "000", "x"),
    "--save": ("npy", "npz", "npy,npz", "root", "x", "", ","),
    "--pattern": ("*.png", "*", "[", "", "*.PNG,*.jpg", "**"),
    "--list": ("list.txt", "missing", "-", "photos", "a.png"),
    "--jobs": ("1", "2", "0", "-1", "x", "99999999999999999999"),
    "--workers": ("threads", "x"),
    "--engine": ("numpy", "compiled", "x"),
    "--provider": ("cpu", "cuda", "x"),
    "--report": ("out/r.html", "r.html", "x.png", "-", ""),
    "--checks": ("conservation", "perturbation", "localisation", "sanity", "x", ""),
    "--boxes": ("boxes.json", "missing", "a.png", "photos"),
    "--masks": ("photos", "missing", "a.png"),
    "--fillings": ("mean", "blur", "noise", "x", "mean,mean"),
    "--images": ("photos", "a.png", "t.npy", "missing", "-"),
    "--epochs": ("1", "2", "0", "x"),
    "--seconds": ("1", "2", "0", "-1", "x"),
    "--memory": ("1", "2", "0", "99999999999999", "x"),
    "--thumbnails": ("32", "160", "0", "99999", "x"),
    "--most": ("1", "0", "99999", "-1", "x"),
    "--relevance-model": ("missing", "a.png", "m.onnx"),
}  # fmt: skip


class Option(NamedTuple):
    """An option as typer knows it: one of its names, whether it is a flag or needed, and the words that it takes."""

    name: str
    flag: bool
    needed: bool
    choices: tuple[str, ...]


@cache
def options(command: str) -> tuple[list[Option], bool]:
    """Return the options of a command, and whether it takes arguments."""
    import typer

    from heatcli.cli.app import app

    found = typer.main.get_command(app)
    for part in command.split():
        found = found.get_command(None, part)
    known = []
    for parameter in found.params:
        if getattr(parameter, "param_type_name", "") == "option":
            kind = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
            choices = tuple(map(str, kind)) if isinstance(kind, EnumType) else ()
            for name in (*parameter.opts, *parameter.secondary_opts):
                if name not in LEFT_OUT:
                    known.append(Option(name, bool(parameter.is_flag), bool(parameter.required), choices))
    arguments = any(getattr(parameter, "param_type_name", "") == "argument" for parameter in found.params)
    return known, arguments


def make(chance: Chance, folder: Path) -> Case:
    """Write files of every kind, and a command line that may name them."""
    furnish(chance, folder)
    command = chance.choices(list(COMMANDS), list(COMMANDS.values()))[0]
    known, takes = options(command)
    sound = chance.happens(0.6)
    needed = [option for option in known if option.needed and option.name.startswith("--")]
    parts = [[option.name, pick(chance, option, sound)] for option in needed if sound or chance.happens(0.8)]
    for option in chance.some(known, 0, 3 if sound else 6) if known else ():
        if option.needed and chance.happens(0.8):
            continue
        if option.name in ("--help", "-h", "--help-methods", "--version") and chance.happens(0.8):
            continue
        if option.flag or chance.happens(0.02):  # a value may be missing
            parts.append([option.name])
        elif chance.happens(0.1) and option.name.startswith("--"):
            parts.append([f"{option.name}={pick(chance, option, sound)}"])
        else:
            parts.append([option.name, pick(chance, option, sound)])
    for _ in range(int(takes) if sound else chance.choice((0, 1, 1, 2))):
        parts.append([argument(chance, command, sound)])
    if not sound and chance.happens(0.1):
        parts.append([chance.choice(("--", "--x", "-x", "-oout", "--model=", "-mm.onnx", "---", "-", word(chance)))])
    if chance.happens(0.5):
        chance.shuffle(parts)
    arguments = [*command.split(), *(text.replace("\0", "")[:5000] for part in parts for text in part)]
    if command == "models pull":
        arguments.append("--offline")
    if command == "explain" and "--workers" not in arguments and not chance.happens(0.02):
        arguments += ["--workers", "threads"]
    if command == "fit":
        arguments += ["--seconds", "2", "--epochs", "1"]
    may_write = ["out", "heatmaps", "records.jsonl", "m.heatcli.json", "row.heatcli.json"]
    if "--overwrite" in arguments:
        named = [b for a, b in pairwise(arguments) if a in ("-o", "--output")]
        may_write += [name for name in named if name not in ("", ".", "m.onnx", "a.png")]
    return Case(arguments, chance.choice((None, None, None, "a.png", "list.txt")), may_write, None)


def argument(chance: Chance, command: str, sound: bool) -> str:
    if command in ("inspect", "compile", "fit", "models describe"):
        wanted = VALUES["--model"]
    elif command == "report":
        wanted = ("maps", "maps/records.jsonl", "maps", "out", "a.png", "missing")
    elif command in ("models path", "models pull"):
        wanted = ("googlenet", "vgg16", "x", "GoogLeNet", "../x")
    else:
        wanted = FILES
    if sound:
        return chance.choice(wanted[:3])
    return word(chance) if chance.happens(0.1) else chance.choice(wanted)


def pick(chance: Chance, option: Option, sound: bool) -> str:
    """Return a value for an option: of the kind that it takes, or any."""
    name = {"-m": "--model", "-o": "--output"}.get(option.name, option.name)
    known = option.choices or VALUES.get(name, ("1", "x", "a.png"))
    if sound:
        return chance.choice(known if option.choices else known[:2])
    if chance.happens(0.15):
        return chance.choice((word(chance), str(chance.choice(EXTREME)), "a.png", ""))
    return chance.choice(known)


def furnish(chance: Chance, folder: Path) -> None:
    """Write something of every kind that command lines name."""
    (folder / "m.onnx").write_bytes(
        networks.network(chance.choice(("plain", "pooled", "residual"))).SerializeToString()
    )
    (folder / "row.onnx").write_bytes(networks.network("row").SerializeToString())
    for name in ("photos", "empty", "maps"):
        (folder / name).mkdir()
    pixels = chance.numbers.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    for name in ("a.png", "photos/a.png", "photos/b.png"):
        PIL.Image.fromarray(pixels).save(folder / name)
    np.save(folder / "t.npy", chance.numbers.uniform(-1, 1, (1, 3, 8, 8)).astype("float32"))
    np.save(folder / "row.npy", chance.numbers.uniform(-1, 1, (1, 6)).astype("float32"))
    (folder / "labels.txt").write_text("cat\ndog\nowl\x1b[31m\nsea lion\n", "utf-8")
    (folder / "list.txt").write_text("a.png\nphotos/b.png\nmissing.png\n", "utf-8")
    (folder / "boxes.json").write_text('{"a.png": [[0, 0, 5, 5]], "b.png": [[1, 1, 9, 9]]}', "utf-8")
    (folder / "maps" / "records.jsonl").write_text(
        '{"schema": 1, "input": "a.png", "output": "maps/a.heatmap.png"}\n', "utf-8"
    )
