"""Mutated models: in their wiring, sizes, types, attributes and bytes; every command that opens a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import PIL.Image

from tests.fuzz import networks, wounds
from tests.fuzz.cases import Case, Chance
from tests.fuzz.damage import damaged

GENTLE = (
    *("revalued_constant", "all_of_one_value", "reshaped_constant", "changed_attribute", "without_a_node", "metadata"),
    *("other_window", "other_window", "put_between", "put_between", "thinned_constant", "thinned_constant", "joined"),
)
"""What a network often survives, so that what comes after reading it is met too."""
METHODS = (
    *("deep-taylor", "deep-taylor", "deep-taylor", "sensitivity", "simple-taylor", "gradient", "gradient-x-input"),
    *("integrated-gradients", "smoothgrad", "lrp-epsilon", "lrp-alpha2-beta1", "lrp-epsilon-plus-flat"),
    *("lrp-epsilon-gamma-box", "guided-backprop", "deconvnet", "occlusion", "occlusion"),
)


def make(chance: Chance, folder: Path) -> Case:
    """Write a model and something for it to look at; the command opens both."""
    chosen = chance.choice(list(networks.OWN if chance.happens(0.5) else networks.TABLES))
    model = networks.network(chosen)
    told = [chosen]
    only_bytes = chance.happens(0.1)
    if not only_bytes:
        wanted = chance.choice((1, 1, 1, 1, 1, 2, 2, 4))
        for _ in range(20):
            name = chance.choice(GENTLE if chance.happens(0.55) else list(wounds.WOUNDS))
            try:
                said = wounds.WOUNDS[name](chance, model, folder)
            except (ValueError, TypeError) as error:  # protobuf takes no such value
                said = None if "does not fit" in str(error) else f"({error})"[:60]
            if said is not None:
                told.append(f"{name}: {said}")
                wanted -= 1
            if not wanted:
                break
    content = model.SerializeToString()
    if only_bytes or chance.happens(0.03):
        content = damaged(chance, content)
        told.append("bytes damaged")
    (folder / "m.onnx").write_bytes(content)
    source = inputs(chance, folder, model)
    arguments, may_write = command(chance, source, folder)
    return Case(arguments, may_write=may_write, makes=[], told=told)


def inputs(chance: Chance, folder: Path, model: onnx.ModelProto) -> str:
    """Write what the network may be shown, and return its name."""
    dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] if model.graph.input else []
    picture = len(dims) == 4 and (dims[1] in (1, 3) or dims[3] in (1, 3))
    if (picture and chance.happens(0.85)) or not all(0 <= d <= 64 for d in dims):
        pixels = chance.numbers.integers(0, 256, (10, 9, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / "a.png")
        return "a.png"
    shape = [d or 1 for d in dims]
    np.save(folder / "a.npy", chance.numbers.uniform(-1, 1, shape).astype("float32"))
    return "a.npy"


def command(chance: Chance, source: str, folder: Path) -> tuple[list[str], list[str]]:
    """Return a command on m.onnx and ``source``, with what it may write."""
    more: list[str] = []
    if chance.happens(0.4):
        more += ["--preprocess", chance.choice(("half", "unit", "imagenet"))]
    if chance.happens(0.04):
        more += ["--size", chance.choice(("8", "6", "6", "12x10"))]
    if chance.happens(0.8 if b"factor" in (folder / "m.onnx").read_bytes() else 0.01):
        np.save(folder / "factor.npy", np.ones((1, 4, 1, 1), "float32"))
        more += ["--input", "factor=factor.npy"]
    match chance.choice(
        ("explain",) * 12 + ("inspect",) * 3 + ("compile", "compile", "compare", "evaluate", "fit", "describe")
    ):
        case "inspect":
            return ["inspect", "m.onnx", *more, *chance.some(["--json", "-v"], 0, 1)], []
        case "compile":
            return ["compile", "m.onnx", "-o", "out/e.onnx", *more, *chance.some(["--json"], 0, 1)], ["out"]
        case "compare":
            return ["compare", source, "-m", "m.onnx", "-o", "out/grid.png", *more], ["out"]
        case "evaluate":
            return ["evaluate", source, "-m", "m.onnx", "--json", "--methods", "deep-taylor,gradient", *more], []
        case "fit":
            more = [*more, "--epochs", "1", "--seconds", "2", "--memory", "1"]
            return ["fit", "m.onnx", "--images", source, "-o", "out/m.relevance.npz", *more], ["out"]
        case "describe":
            return ["models", "describe", "m.onnx", *more], ["m.heatcli.json"]
    if chance.happens(0.4):
        more += ["--method", chance.choice(METHODS), "--steps", "3"]
        if more[-3] not in ("integrated-gradients", "smoothgrad", "simple-taylor"):
            del more[-2:]
    if chance.happens(0.2):
        more += ["--range", chance.choice(("-1,1", "-3,3", "0,255", "0,1"))]
    if chance.happens(0.15):
        more += ["--engine", "compiled"]
    if chance.happens(0.15):
        more += ["--save", "npy,npz"]
    if chance.happens(0.1):
        more += ["--target", chance.choice(("1", "1", "top-2", "top-2", "a", "9999999"))]
    if chance.happens(0.1):
        more += ["--evidence", chance.choice(("one", "probability"))]
    if chance.happens(0.08):
        more += ["--pool", "winner", "--biases", "ignore"]
    if chance.happens(0.05):
        more += ["--versus", "top"]
    return ["explain", source, "-m", "m.onnx", "-o", "out/", "--json", *more], ["out"]
